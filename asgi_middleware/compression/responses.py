"""The send side: what becomes of the app's messages.

- A head that may be encoded is held back until the first message of the body shows which length is true. An app that
  fails in between has sent nothing, and whoever stands outside can still answer.
- A body that comes in one message is encoded at once and goes out with its length, or as it was if that is no smaller.
- Any other body is a stream (`stream.py`). Open-ended ones start at once, without waiting for their first chunk.
- Every message that is no head and no body goes through in order. Before the body, anything but an early hint or debug
  information may stand for the body: the response stays plain then, or is a file (`files.py`).
- An answer to HEAD without a body and a length does not show whether GET would be encoded, nor does one behind a server
  that could send a file by its path. It says nothing then that holds for one of the two only.
"""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from typing import Any, Final

from asgi_middleware._core.exchange import Exchange
from asgi_middleware._core.types import Message, Scope, Send
from asgi_middleware.compression.agreement import Agreement
from asgi_middleware.compression.codecs import Codec
from asgi_middleware.compression.figures import SKIPPED, CompressionFigures
from asgi_middleware.compression.files import EncodedFile, find_sibling
from asgi_middleware.compression.heads import encoded_head, undecided_head, varying
from asgi_middleware.compression.judge import ENCODE, Judgement, with_listed_headers
from asgi_middleware.compression.policy import Policy, Predicate
from asgi_middleware.compression.stream import EncodedStream, bodiless, body_of, nothing, send_both, timed

Request = tuple[Send, Policy, Scope, Sequence[Any], Exchange | None]
"""The server's send, the options, the scope as it came, its raw headers, and where the figures go, if anywhere."""

_START: Final = "http.response.start"
_BODY: Final = "http.response.body"
# These may come before the head is out; servers take early hints only then.
_AHEAD: Final = frozenset({"http.response.early_hint", "http.response.debug"})
_PATHSEND: Final = "http.response.pathsend"


class Response:
    """One response whose head says that it may be encoded: takes the app's messages from that head on.

    Args:
        request: What it answers.
        agreement: The agreement with the client.
        judgement: What the head comes to: that it is to be encoded.
    """

    __slots__ = (
        "_agreement",
        "_asked",
        "_exchange",
        "_forward",
        "_held",
        "_length",
        "_policy",
        "_scope",
        "_send",
        "_shape",
        "_stream",
        "_verdict",
    )

    def __init__(self, request: Request, agreement: Agreement, judgement: Judgement) -> None:
        self._send, self._policy, self._scope, self._asked, self._exchange = request
        self._agreement = agreement
        self._verdict, self._shape, self._length = judgement
        self._forward: Send | None = None  # what takes the messages once all is decided
        self._held: Message | None = None  # a head that waits for the first message of its body
        self._stream: EncodedStream | None = None  # the body, where it is encoded chunk by chunk

    def send(self, message: Message) -> Awaitable[None]:
        """Take one message of the app after the head."""
        forward = self._forward
        if forward is not None:
            return forward(message)
        held, kind = self._held, message["type"]
        if kind == _BODY and held is not None:
            self._held = None
            return self._decide(held, message)
        if kind == _START:
            return self._begin_anew(message)
        if held is None or kind in _AHEAD:
            return self._send(message)
        self._held = None
        if kind == _PATHSEND and self._policy.pathsend != "forward":
            self._forward = self._send
            return self._send_file(held, message)
        return self._go_plain("raw_send", held, message)

    def begin(self, message: Message) -> Awaitable[None]:
        """Take the head, and send it now where the body need not be waited for.

        Args:
            message: The app's start message, its headers a list.
        """
        policy, verdict = self._policy, self._verdict
        if policy.predicate is not None and not self._wanted(policy.predicate, message):
            return self._begin_plain("predicate", message, vary=True)
        if verdict is ENCODE:
            # What the app does with its own message and list from here on concerns nobody: the held ones are copies.
            if self._length is None or self._scope["method"] == "GET" or not self._is_head() or self._sends_files():
                self._held = held = message.copy()
                held["headers"] = held["headers"].copy()
                return nothing()
            return self._send(self._bodiless_start(message, self._agreement.codec))
        if verdict.file and self._sends_files():
            self._held = {**message, "headers": message["headers"].copy()}
            return nothing()
        return self._begin_live(message)

    def _begin_anew(self, message: Message) -> Awaitable[None]:
        """Take another head in the place of the held one: an error handler may begin anew as long as nothing is out."""
        self._held = None
        message, headers = with_listed_headers(message)
        verdict, self._shape, self._length = self._policy.judge.judge(message["status"], headers)
        self._verdict = verdict
        if verdict.reason is None:
            return self.begin(message)
        return self._begin_plain(verdict.reason, message, vary=verdict.vary)

    def _begin_plain(self, reason: str, message: Message, *, vary: bool) -> Awaitable[None]:
        """Send a head as it is, with what it depends on named if it depends on anything."""
        self._skip(reason)
        self._forward = self._send
        if vary:
            message = self._policy.plain_start(message, self._shape, reason, self._agreement, self._asked)
        return self._send(message)

    def end(self) -> Message | None:
        """Write the figures of a stream, also of one that was cut short; give the head that no body has released."""
        if self._stream is not None:
            self._stream.report()
            if self._verdict.live:
                self._policy.live_memory.give_back(self._agreement.live_codec)
        held, self._held = self._held, None  # a task that goes on sends the plain body of the head that goes out
        return None if held is None else self._varying(held)

    def _begin_live(self, message: Message) -> Awaitable[None]:
        """Send the head of an open-ended stream at once."""
        codec = self._agreement.live_codec
        if self._is_head():
            return self._send(self._bodiless_start(message, codec))
        if not self._takes_memory():
            self._forward = self._send
            return self._send(self._varying(message))
        self._forward = self._open(codec, self._agreement.live_limit).send
        return self._send(self._encoded_start(message, codec.coding, None))

    def _decide(self, held: Message, message: Message) -> Awaitable[None]:
        """Send the held head as the first message of the body shows it to be right."""
        body = message.get("body", b"")
        if type(body) is not bytes:
            body = body_of(message)
        size = len(body)
        if self._scope["method"] != "GET" and self._is_head():
            return self._decide_head(held, message, size)
        if message.get("more_body", False) and b"%d" % size != self._length:
            return self._begin_stream(held, message)
        policy, agreement = self._policy, self._agreement
        if size < policy.minimum_size:
            return self._go_plain("too_small", held, message)
        self._forward = send = self._send
        codec = agreement.codec
        if policy.cache is None and self._exchange is None and size < agreement.limit:
            encoded = codec.whole(body)
            smaller = len(encoded) < size
        else:
            known = None if policy.cache is None else policy.cache.get(codec, body)
            if known is None and size >= agreement.limit:
                return self._send_from_thread(held, message, body)
            encoded, seconds = timed(codec.whole, body) if known is None else (known, 0.0)
            smaller = self._note(size, len(encoded), seconds)
            if known is None and policy.cache is not None:
                policy.cache.put(codec, body, encoded)
        if not smaller:
            return send_both(send, self._varying(held), message)
        message = message.copy()
        message["body"] = encoded
        length = None if "trailers" in held and held["trailers"] else len(encoded)  # noqa: RUF019 -- half the time of get()
        held["headers"] = encoded_head(held["headers"], self._shape, codec.coding, length, policy.marking)
        return send_both(send, held, message)

    def _begin_stream(self, held: Message, message: Message) -> Awaitable[None]:
        agreement = self._agreement
        codec, limit = agreement.codec, agreement.limit
        if self._verdict.live:
            codec, limit = agreement.live_codec, agreement.live_limit
            if not self._takes_memory():
                self._forward = self._send
                return send_both(self._send, self._varying(held), message)
        stream = self._open(codec, limit)
        self._forward = stream.send
        return stream.send(message, self._encoded_start(held, codec.coding, None))

    def _decide_head(self, held: Message, message: Message, size: int) -> Awaitable[None]:
        """Send the head of an answer to HEAD as it would be for GET."""
        if message.get("more_body", False) or size >= self._policy.minimum_size:
            start = self._bodiless_start(
                held, self._agreement.live_codec if self._verdict.live else self._agreement.codec
            )
            return send_both(self._send, start, {**message, "body": b""})
        if size == 0:  # the GET of it may be a file, a body of any size, or nothing
            return self._go_undecided("too_small" if self._length is None else "raw_send", held, message)
        return self._go_plain("too_small", held, message)

    async def _send_from_thread(self, held: Message, message: Message, body: bytes) -> None:
        codec, cache = self._agreement.codec, self._policy.cache
        encoded, seconds = await self._policy.pool.run(timed, codec.whole, body)
        if cache is not None:
            cache.put(codec, body, encoded)
        if self._note(len(body), len(encoded), seconds):
            length = None if held.get("trailers") else len(encoded)
            await send_both(self._send, self._encoded_start(held, codec.coding, length), {**message, "body": encoded})
        else:
            await send_both(self._send, self._varying(held), message)

    def _note(self, size: int, encoded_size: int, seconds: float) -> bool:
        """Note what encoding a whole body came to; tell whether it has become smaller."""
        smaller = encoded_size < size
        if self._exchange is not None:
            self._exchange.compression = (
                CompressionFigures(self._agreement.codec.coding.decode("ascii"), size, encoded_size, seconds, None)
                if smaller
                else CompressionFigures(None, size, size, seconds, "not_smaller")
            )
        return smaller

    async def _send_file(self, held: Message, message: Message) -> None:
        """Send what the app gave by its path: an encoded file beside it, or its bytes encoded, or the file itself."""
        policy, path = self._policy, message["path"]
        sibling = await policy.pool.run(find_sibling, path, self._agreement.acceptable)
        if sibling is not None:
            if self._exchange is not None:
                self._exchange.compression = CompressionFigures(
                    sibling.coding.decode("ascii"), sibling.original_size, sibling.size, 0.0, None
                )
            length = None if held.get("trailers", False) else sibling.size
            start = self._encoded_start(held, sibling.coding, length)
            await send_both(self._send, start, {**message, "path": sibling.path})
            return
        if policy.pathsend == "siblings":
            await self._go_plain("raw_send", held, message)
            return
        if self._is_head():  # whether the file would get smaller shows only when it is read
            await self._go_undecided("raw_send", held, message)
            return
        file = EncodedFile(path, self._agreement.codec, policy.minimum_size)
        first = await policy.pool.run(file.first)
        if first is None:
            await self._go_plain("not_smaller", held, message)
            return
        length = len(first) if file.ended and not held.get("trailers", False) else None
        await self._send(self._encoded_start(held, self._agreement.codec.coding, length))
        encoded = first
        while True:
            if self._exchange is not None:
                self._exchange.compression = file.figures()
            await self._send({"type": _BODY, "body": encoded, "more_body": not file.ended})
            if file.ended:
                return
            encoded = await policy.pool.run(file.next)

    def _go_plain(self, reason: str, held: Message, message: Message) -> Awaitable[None]:
        self._skip(reason)
        self._forward = self._send
        return send_both(self._send, self._varying(held), message)

    def _go_undecided(self, reason: str, held: Message, message: Message) -> Awaitable[None]:
        self._skip(reason)
        self._forward = self._send
        head = undecided_head(held["headers"], self._shape, self._policy.marking)
        return send_both(self._send, {**held, "headers": head}, message)

    def _open(self, codec: Codec, limit: int) -> EncodedStream:
        pool = self._policy.pool
        stream = EncodedStream(self._send, self._exchange, codec, live=self._verdict.live, inline_size=limit, pool=pool)
        self._stream = stream
        return stream

    def _takes_memory(self) -> bool:
        taken = self._policy.live_memory.take(self._agreement.live_codec)
        if not taken:
            self._skip("live_memory")
        return taken

    def _skip(self, reason: str) -> None:
        if self._exchange is not None:
            self._exchange.compression = SKIPPED[reason]

    def _wanted(self, predicate: Predicate, message: Message) -> bool:
        return bool(predicate(self._scope, message["status"], list(message["headers"])))

    def _sends_files(self) -> bool:
        return _PATHSEND in (self._scope.get("extensions") or ())

    def _is_head(self) -> bool:
        method: str = self._scope["method"]
        return method.upper() == "HEAD"  # it may arrive in lower case, as the client sent it

    def _bodiless_start(self, message: Message, codec: Codec) -> Message:
        """Give the head of HEAD as it would be for GET, and let no bytes through that do not belong to it."""
        if self._exchange is not None:
            self._exchange.compression = CompressionFigures(codec.coding.decode("ascii"), None, None, 0.0, None)
        self._forward = bodiless(self._send)
        return self._encoded_start(message, codec.coding, None)

    def _encoded_start(self, message: Message, coding: bytes, length: int | None) -> Message:
        head = encoded_head(message["headers"], self._shape, coding, length, self._policy.marking)
        return {**message, "headers": head}

    def _varying(self, held: Message) -> Message:
        """Give the start message of a response that stays as it is, though another client would get it encoded."""
        return {**held, "headers": varying(held["headers"], self._shape, self._policy.marking)}
