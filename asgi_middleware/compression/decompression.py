"""DecompressionMiddleware: the ASGI shell around the inflation of request bodies."""

from __future__ import annotations

import os
from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING, Final, Literal

from asgi_middleware._core.config import Problems
from asgi_middleware._core.exchange import exchange_of, listed_headers
from asgi_middleware._core.headers import without
from asgi_middleware._core.paths import PathRules
from asgi_middleware._core.refusals import Refusal
from asgi_middleware._core.workers import WorkerPool
from asgi_middleware.compression import inflation as bounds
from asgi_middleware.compression.buffered_body import BufferedBody
from asgi_middleware.compression.content_encoding import FIELD, applied_codings
from asgi_middleware.compression.encoded_body import EncodedBody, GuardedBody
from asgi_middleware.compression.encodings import known_codings
from asgi_middleware.compression.inflate import DECODABLE
from asgi_middleware.compression.inflation import InflationError
from asgi_middleware.compression.inflation_plans import Plan, make_codings, make_plan

if TYPE_CHECKING:
    import re

    from asgi_middleware._core.types import ASGIApp, HeaderList, RawHeaders, Receive, Scope, Send

DEFAULT_MAX_SIZE: Final = 10 * 1024 * 1024

_LENGTH: Final = b"content-length"
_FRAMING: Final = frozenset({b"content-length", b"transfer-encoding"})

_BROKEN: Final = {
    bounds.MALFORMED: Refusal(
        400, bounds.MALFORMED, detail="The request body is not what its Content-Encoding header says."
    ),
    bounds.TRUNCATED: Refusal(400, bounds.TRUNCATED, detail="The request body ends before its content coding does."),
    bounds.TOO_LARGE: Refusal(
        413, bounds.TOO_LARGE, detail="The request body inflates to more than this server accepts."
    ),
    bounds.RATIO: Refusal(
        413, bounds.RATIO, detail="The request body inflates to many times its size, more than this server accepts."
    ),
}


class DecompressionMiddleware:
    """Gives the app request bodies without their content codings: gzip, deflate, brotli and zstd, also several at once.

    A few hundred bytes can inflate to hundreds of megabytes. So `max_size` bounds what comes out, and the default is a
    bound. It does not bound what comes in, and whoever sends encoded bodies takes some of the server's time: put the
    class inside :class:`RequestBodyLimitMiddleware` and inside authentication.

    A body is inflated while the app reads it, by one piece of about 64 KiB at a time; an app that does not read it
    costs nothing. The app sees neither Content-Encoding nor the Content-Length of the encoded body. What cannot be
    given to it is refused whatever the app makes of it: a coding that is not at hand with a 415 before the app is
    called, a body that is malformed, cut short or followed by more with a 400, one that inflates to too much with a
    413. From then on the app receives ``http.disconnect``, what it sends is dropped, and what it raises is swallowed;
    when the app had begun its own response by then, the connection is aborted by :class:`DecompressionError`. A request
    without Content-Encoding passes untouched::

        from asgi_middleware import DecompressionMiddleware


        async def app(scope, receive, send): ...


        app = DecompressionMiddleware(app, max_size=1_000_000)

    A digest or a signature of the encoded body (Content-Digest, Repr-Digest) is left in the headers; what checks it
    belongs outside this class, where the body is the one that was signed.

    Args:
        app: The ASGI app.
        encodings: Codings to undo, of "gzip", "deflate", "br" and "zstd", which a 415 lists in this order. One whose
            library is missing is left out with a log line.
        max_size: The most bytes that a body may inflate to, 0 or more; None for any. 10 MiB by default: more than
            nearly all JSON and forms, and about a tenth of a second of one core for the slowest coding. Bodies of more
            than a thousand gzip members or zstd frames have 256 bytes counted for each further one.
        max_ratio: The most bytes, 1 or more, that may come out for each that came in, for bodies that inflate to more
            than 1 MiB; None (the default) for any. Honest logs reach 290 with gzip and thousands with zstd and brotli,
            so a ratio is for bodies that you know.
        max_encodings: The most codings that may have been applied to one body, 1 or more. 2 by default; there is hardly
            a reason to use two.
        unsupported: "reject" answers codings that are not at hand with a 415, which names those that are; "pass" leaves
            such a request to the app as it came.
        buffer: Whether to inflate the whole body before the app is called, and to give the app its true Content-Length.
            For apps that read no body without one: Django's form parser, and WSGI apps. It holds up to `max_size` bytes
            a request, or what was sent and what the decoder needs, where that is more. A brotli or zstd body that would
            need more than that is inflated twice. Off by default.
        exclude_paths: Requests to leave alone: "/blobs/**", "PUT /files/*", or compiled patterns.
        thread_minimum_size: Bytes of one body, encoded and inflated together, to process on the event loop before a
            thread takes over. None estimates a millisecond's worth by coding; 0 never uses a thread.

    Raises:
        ConfigurationError: Some options are wrong; every one is listed with its fix.

    Source: RFC 9110 8.4, 12.5.3, 15.5.14 and 15.5.16; RFC 7694; RFC 1950 to 1952, 7932, 8878, 9659.
    """

    __slots__ = (
        "_buffer",
        "_excluded",
        "_make",
        "_max_encodings",
        "_pass_on",
        "_pool",
        "_simple",
        "_too_many",
        "_unsupported",
        "app",
    )

    def __init__(
        self,
        app: ASGIApp,
        *,
        encodings: Iterable[str] = DECODABLE,
        max_size: int | None = DEFAULT_MAX_SIZE,
        max_ratio: float | None = None,
        max_encodings: int = 2,
        unsupported: Literal["reject", "pass"] = "reject",
        buffer: bool = False,
        exclude_paths: Iterable[str | re.Pattern[str]] = (),
        thread_minimum_size: int | None = None,
    ) -> None:
        """Check the options; see the class."""
        problems = Problems("DecompressionMiddleware")
        names = known_codings(encodings, DECODABLE, problems)
        problems.integer("max_size", max_size, minimum=0, optional=True)
        problems.number("max_ratio", max_ratio, minimum=1, optional=True)
        problems.integer("max_encodings", max_encodings, minimum=1)
        problems.one_of("unsupported", unsupported, ("reject", "pass"))
        problems.boolean("buffer", buffer)
        excluded = PathRules(exclude_paths, problems=problems)
        problems.integer("thread_minimum_size", thread_minimum_size, minimum=0, optional=True)
        problems.raise_if_any()
        most = bounds.UNBOUNDED if max_size is None else max_size
        codings = make_codings(names, most)
        offered = (b"accept-encoding", b", ".join(codings) or b"identity")
        self.app = app
        self._make = partial(make_plan, max_size=most, max_ratio=max_ratio, thread_minimum_size=thread_minimum_size)
        self._simple: dict[bytes, Plan] = {name: self._make((coding,)) for name, coding in codings.items()}
        self._max_encodings = max_encodings
        self._pass_on = unsupported == "pass"
        self._buffer = buffer
        self._excluded = excluded or None
        self._pool = WorkerPool(min(4, os.cpu_count() or 1), name="asgi-decompression")
        self._unsupported = Refusal(
            415,
            "unsupported_content_encoding",
            detail="The request body is in a content coding that this server does not know.",
            headers=[offered],
        )
        self._too_many = Refusal(
            415,
            "too_many_content_encodings",
            detail="The request body has more content codings around it than this server accepts.",
            headers=[offered],
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] == "http":
            headers = scope.get("headers")
            if type(headers) is not list:
                scope, headers = listed_headers(scope)
            for name, _ in headers:
                if len(name) == 16 and name.lower() == FIELD:  # few names have its length
                    await self._serve(headers, scope, receive, send)
                    return
        await self.app(scope, receive, send)

    async def _serve(self, headers: RawHeaders, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request that says that its body is encoded."""
        if self._excluded is not None and self._excluded.exempts(scope):
            await self.app(scope, receive, send)
            return
        # One pass for what the app is to see and for the codings.
        values: list[bytes] = []
        kept: HeaderList = []
        for pair in headers:
            if len(pair[0]) == 16 and pair[0].lower() == FIELD:
                values.append(bytes(pair[1]))
            else:
                kept.append(pair)
        plan: Plan | Refusal | None = self._simple.get(values[0]) if len(values) == 1 else None
        if plan is None:
            names = applied_codings(values)
            if not names:  # identity: the body is what the app is to see
                await self.app(_with(scope, kept), receive, send)
                return
            plan = self._plan(names)
        if isinstance(plan, Plan):
            inflate = self._inflate_first if self._buffer else self._inflate
            await inflate(plan, kept, scope, receive, send)
        elif self._pass_on:
            await self.app(scope, receive, send)
        else:
            await plan.send(scope, receive, send)

    def _plan(self, names: tuple[bytes, ...]) -> Plan | Refusal:
        """Plan how several codings are undone, or say why they are not."""
        try:
            codings = tuple([self._simple[name].codings[0] for name in reversed(names)])
        except KeyError:
            return self._unsupported
        if len(codings) > self._max_encodings:
            return self._too_many
        return self._make(codings)

    async def _inflate(self, plan: Plan, headers: HeaderList, scope: Scope, receive: Receive, send: Send) -> None:
        body = EncodedBody(receive, plan, self._pool)
        guarded = GuardedBody(body, _BROKEN, scope, send)
        try:
            await self.app(_with(scope, _without_length(headers)), guarded.receive, guarded.send)
        except Exception as error:
            if guarded.taken is None:
                raise
            guarded.taken.swallow(error)
        if guarded.taken is not None:
            await guarded.taken.end(send)

    async def _inflate_first(self, plan: Plan, headers: RawHeaders, scope: Scope, receive: Receive, send: Send) -> None:
        body = BufferedBody(receive, plan, self._pool)
        try:
            complete = await body.inflate()
        except InflationError as error:
            await _BROKEN[error.reason].send(scope, receive, send, unread=not body.ended)
            return
        if complete:  # else the client is gone, and nobody waits for an answer
            sized = [*without(headers, _FRAMING), (b"content-length", b"%d" % body.size)]
            await self.app(_with(scope, sized), body.receive, send)


def _without_length(headers: HeaderList) -> HeaderList:
    size = len(_LENGTH)  # most names differ in length, which costs less to see than their lower case
    return [pair for pair in headers if len(pair[0]) != size or pair[0].lower() != _LENGTH]


def _with(scope: Scope, headers: HeaderList) -> Scope:
    """Give a copy of the scope with other headers."""
    inner = {**scope, "headers": headers}
    exchange = exchange_of(inner)
    if exchange is not None and exchange.scope is not None:
        exchange.scope = inner
    return inner
