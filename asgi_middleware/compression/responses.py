"""The send side: what becomes of the app's messages.

- A head that may be encoded is held back until the first message of the body shows which length is true. An app that
  fails in between has sent nothing, and whoever stands outside can still answer.
- A body that comes in one message is encoded at once and goes out with its length, or as it was if that is no smaller.
- Any other body is a stream (`stream.py`). Open-ended ones start at once, without waiting for their first chunk.
- Every message that is no head and no body goes through in order. Before the body, anything but an early hint or debug
  information may stand for the body (``http.response.pathsend``): the response stays plain then.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Final, NamedTuple

from asgi_middleware._core.exchange import Exchange
from asgi_middleware._core.headers import HeaderIndex, header_list
from asgi_middleware._core.types import HeaderList, Message, Scope, Send
from asgi_middleware._core.workers import WorkerPool
from asgi_middleware.compression.codecs import Codec
from asgi_middleware.compression.content_types import ContentTypes
from asgi_middleware.compression.entity_tags import EtagMode
from asgi_middleware.compression.figures import SKIPPED, CompressionFigures
from asgi_middleware.compression.heads import Fields, Verdict, encoded_head, fields_of, judge, revalidated_head, varying
from asgi_middleware.compression.stream import EncodedStream, body_of, timed

Predicate = Callable[[Scope, int, HeaderList], bool]

_START: Final = "http.response.start"
_BODY: Final = "http.response.body"
# These may come before the head is out; servers take early hints only then.
_AHEAD: Final = frozenset({"http.response.early_hint", "http.response.debug"})
_PATHSEND: Final = "http.response.pathsend"


class Policy(NamedTuple):
    """The options, as a response needs them."""

    codecs: Mapping[bytes, Codec]
    minimum_size: int
    content_types: ContentTypes
    etag: EtagMode
    thread_minimum_size: int | None
    predicate: Predicate | None
    pool: WorkerPool

    def inline_size(self, codec: Codec) -> int:
        """Give the bytes of one response to encode on the event loop; 0 for all of them."""
        return codec.inline_size if self.thread_minimum_size is None else self.thread_minimum_size

    def wants(self, scope: Scope, start: Message) -> bool:
        """Ask the predicate about a response."""
        predicate = self.predicate
        return predicate is None or bool(predicate(scope, start["status"], list(start["headers"])))

    def plain_start(
        self, message: Message, fields: Fields, verdict: Verdict, index: HeaderIndex, coding: bytes | None
    ) -> Message:
        """Give the start message of a response that stays as it is, but depends on Accept-Encoding.

        Args:
            message: The app's start message, its headers a list.
            fields: The look-up of those headers.
            verdict: What the head says.
            index: The look-up of the request's headers.
            coding: What this client's responses are encoded with; None for nothing.
        """
        headers = message["headers"]
        if verdict.reason == "not_modified" and b"if-none-match" in index:
            if_none_match = b",".join(index.get_all(b"if-none-match"))
            headers = revalidated_head(headers, self.etag, if_none_match, coding, self.codecs)
        return {**message, "headers": varying(headers, fields)}


def plain_send(policy: Policy, send: Send, exchange: Exchange, index: HeaderIndex, reason: str | None) -> Send:
    """Wrap send for a request whose response is not encoded; only the head needs care."""
    content_types, minimum_size = policy.content_types, policy.minimum_size

    def send_plain(message: Message) -> Awaitable[None]:
        if message["type"] == _START:
            message = _with_list(message)
            fields = fields_of(message["headers"])
            verdict, _ = judge(message["status"], fields, content_types, minimum_size)
            exchange.compression = SKIPPED[verdict.reason or reason or "no_common_coding"]
            if verdict.vary:
                message = policy.plain_start(message, fields, verdict, index, None)
        return send(message)

    return send_plain


class _Held(NamedTuple):
    """A head that waits for the first message of its body."""

    message: Message
    fields: Fields
    length: int | None
    live: bool

    def varying(self) -> Message:
        """Give the start message of a response that stays as it is, though another client would get it encoded."""
        return {**self.message, "headers": varying(self.message["headers"], self.fields)}


class EncodingResponse:
    """One response that may be encoded: its `send` stands in for the server's.

    Args:
        policy: The options.
        scope: The scope that the app gets.
        index: The look-up of the request's headers as they came.
        send: The server's send.
        exchange: Where the figures go.
        coding: The content coding agreed upon.
        live_coding: The same for an open-ended stream.
    """

    __slots__ = (
        "_coding",
        "_exchange",
        "_forward",
        "_held",
        "_index",
        "_live_coding",
        "_policy",
        "_scope",
        "_send",
        "_stream",
    )

    def __init__(
        self,
        policy: Policy,
        scope: Scope,
        index: HeaderIndex,
        send: Send,
        exchange: Exchange,
        *,
        coding: bytes,
        live_coding: bytes,
    ) -> None:
        self._policy = policy
        self._scope = scope
        self._index = index
        self._send = send
        self._exchange = exchange
        self._coding = coding
        self._live_coding = live_coding
        self._held: _Held | None = None
        self._stream: EncodedStream | None = None
        self._forward: Send | None = None

    def send(self, message: Message) -> Awaitable[None]:
        """Take one message of the app."""
        forward = self._forward
        if forward is not None:
            return forward(message)
        kind = message["type"]
        if kind == _START:
            return self._begin(_with_list(message))
        held = self._held
        if held is None or kind in _AHEAD:
            return self._send(message)
        self._held = None
        if kind == _BODY:
            return self._decide(held, message)
        return self._go_plain("raw_send", held, message)

    def end(self) -> Message | None:
        """Write the figures of a stream, also of one that was cut short; give the head that no body has released."""
        if self._stream is not None:
            self._stream.report()
        return None if self._held is None else self._held.varying()

    def _begin(self, message: Message) -> Awaitable[None]:
        """Judge the head, and send it now where the body need not be waited for."""
        policy = self._policy
        fields = fields_of(message["headers"])
        self._held = None  # an error handler may begin anew as long as nothing is out
        verdict, length = judge(message["status"], fields, policy.content_types, policy.minimum_size)
        if verdict.reason is not None or not policy.wants(self._scope, message):
            self._exchange.compression = SKIPPED[verdict.reason or "predicate"]
            self._forward = self._send
            if verdict.vary:
                message = policy.plain_start(message, fields, verdict, self._index, self._coding)
            return self._send(message)
        if length is not None and self._is_head():
            return self._send(self._bodiless_start(message, fields, self._coding))
        if verdict.live and not (verdict.file and _PATHSEND in (self._scope.get("extensions") or ())):
            if self._is_head():
                return self._send(self._bodiless_start(message, fields, self._live_coding))
            self._forward = self._open(self._live_coding, live=True).send
            return self._send(self._encoded_start(message, fields, self._live_coding, None))
        self._held = _Held(message, fields, length, verdict.live)
        return _nothing()

    def _decide(self, held: _Held, message: Message) -> Awaitable[None]:
        """Send the held head as the first message of the body shows it to be right."""
        body = body_of(message)
        more = message.get("more_body", False)
        coding = self._live_coding if held.live and more else self._coding
        if self._is_head() and (more or len(body) >= self._policy.minimum_size):
            start = self._bodiless_start(held.message, held.fields, coding)
            return _send_both(self._send, start, {**message, "body": b""})
        if more and len(body) != held.length:
            stream = self._open(coding, live=held.live)
            self._forward = stream.send
            return stream.open(self._encoded_start(held.message, held.fields, coding, None), message)
        if len(body) < self._policy.minimum_size:
            return self._go_plain("too_small", held, message)
        self._forward = self._send
        codec = self._policy.codecs[self._coding]
        limit = self._policy.inline_size(codec)
        if limit and len(body) >= limit:
            return self._send_from_thread(codec, held, message, body)
        return _send_both(self._send, *self._whole(held, message, body, *timed(codec.whole, body)))

    def _whole(
        self, held: _Held, message: Message, body: bytes, encoded: bytes, seconds: float
    ) -> tuple[Message, Message]:
        """Give the messages of a body that came whole: encoded, or as they were if that is no smaller."""
        size = len(encoded)
        if size >= len(body):
            self._exchange.compression = CompressionFigures(None, len(body), len(body), seconds, "not_smaller")
            return held.varying(), message
        figures = CompressionFigures(self._coding.decode("ascii"), len(body), size, seconds, None)
        self._exchange.compression = figures
        length = None if held.message.get("trailers", False) else size
        return (
            self._encoded_start(held.message, held.fields, self._coding, length),
            {**message, "body": encoded, "more_body": message.get("more_body", False)},
        )

    async def _send_from_thread(self, codec: Codec, held: _Held, message: Message, body: bytes) -> None:
        encoded, seconds = await self._policy.pool.run(timed, codec.whole, body)
        await _send_both(self._send, *self._whole(held, message, body, encoded, seconds))

    def _go_plain(self, reason: str, held: _Held, message: Message) -> Awaitable[None]:
        self._exchange.compression = SKIPPED[reason]
        self._forward = self._send
        return _send_both(self._send, held.varying(), message)

    def _open(self, coding: bytes, *, live: bool) -> EncodedStream:
        codec = self._policy.codecs[coding]
        limit = self._policy.inline_size(codec)
        stream = EncodedStream(self._send, self._exchange, codec, live=live, inline_size=limit, pool=self._policy.pool)
        self._stream = stream
        return stream

    def _is_head(self) -> bool:
        method: str = self._scope["method"]
        return method.upper() == "HEAD"  # it may arrive in lower case, as the client sent it

    def _bodiless_start(self, message: Message, fields: Fields, coding: bytes) -> Message:
        """Give the head of HEAD as it would be for GET, and let no bytes through that do not belong to it."""
        self._exchange.compression = CompressionFigures(coding.decode("ascii"), None, None, 0.0, None)
        self._forward = _bodiless(self._send)
        return self._encoded_start(message, fields, coding, None)

    def _encoded_start(self, message: Message, fields: Fields, coding: bytes, length: int | None) -> Message:
        return {**message, "headers": encoded_head(message["headers"], fields, coding, self._policy.etag, length)}


def _with_list(message: Message) -> Message:
    """Give a start message whose headers can be read twice: the app's own where they can."""
    headers = message.get("headers")
    return message if type(headers) is list else {**message, "headers": header_list(headers)}


def _bodiless(send: Send) -> Send:
    """Wrap send so that no byte of a body passes."""

    def send_bodiless(message: Message) -> Awaitable[None]:
        if message["type"] == _BODY and message.get("body"):
            message = {**message, "body": b""}
        return send(message)

    return send_bodiless


async def _send_both(send: Send, first: Message, second: Message) -> None:
    await send(first)
    await send(second)


async def _nothing() -> None:
    """Be awaited in the place of a send that is put off."""
