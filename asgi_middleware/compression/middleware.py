"""The ASGI shell of response compression."""

from __future__ import annotations

import os
import re
from collections.abc import Awaitable, Iterable
from typing import Final, Literal

from asgi_middleware._core.config import Problems
from asgi_middleware._core.exchange import SCOPE_KEY, enter, exchange_of, listed_headers
from asgi_middleware._core.paths import PathRules
from asgi_middleware._core.types import ASGIApp, Message, Receive, Scope, Send
from asgi_middleware._core.workers import WorkerPool
from asgi_middleware.compression import dictionaries as transport
from asgi_middleware.compression.agreement import Agreement, Agreements
from asgi_middleware.compression.assembly import OnComplete, dictionary_contents, make_codecs, tell
from asgi_middleware.compression.cache import BodyCache
from asgi_middleware.compression.codecs import CODINGS, LIVE_MEMORY
from asgi_middleware.compression.content_types import DEFAULT_CONTENT_TYPES, ContentTypes
from asgi_middleware.compression.encodings import known_codings
from asgi_middleware.compression.entity_tags import ETAG_MODES, EtagMode
from asgi_middleware.compression.figures import SKIPPED
from asgi_middleware.compression.gzip_backends import GZIP_BACKENDS, GzipBackend
from asgi_middleware.compression.heads import Marking
from asgi_middleware.compression.judge import Judge, with_listed_headers
from asgi_middleware.compression.padding import LARGEST as LARGEST_PADDING
from asgi_middleware.compression.policy import PATHSEND_MODES, LiveMemory, Pathsend, Policy, Predicate
from asgi_middleware.compression.requests import scope_for_app, sends_raw, spellings
from asgi_middleware.compression.responses import Request, Response

_NOTHING: Final[frozenset[bytes]] = frozenset()
_HIDDEN: Final = frozenset({b"accept-encoding"})


class CompressionMiddleware:
    """Encode response bodies with zstd, brotli or gzip, as the client prefers.

    Caveat: compression tells the length of what it compresses. A page that holds a secret and repeats what the request
    said leaks the secret to whoever can send many requests and measure (BREACH). Cross-site requests with credentials
    are therefore answered plainly by default; exclude whatever else repeats foreign input beside a secret.

    Example:
        >>> from asgi_middleware import CompressionMiddleware
        >>> async def app(scope, receive, send): ...
        >>> app = CompressionMiddleware(app, minimum_size=1000, exclude_paths=["/static/**"])

    Every chunk of a stream can be decoded when it arrives. Server-sent events, ndjson and other open-ended streams are
    encoded with little memory, and their head goes out at once. Work of more than about a millisecond leaves the event
    loop. Left alone are ranges, bodies that are encoded already, ``no-transform``, digests, signatures, and
    ``Content-Encoding: identity`` (the app's way to opt out). ``Vary``, ``ETag``, ``Content-Length`` and
    ``Accept-Ranges`` are kept true.

    Args:
        app: The ASGI app.
        encodings: Codings to offer, best first, of "zstd", "br" and "gzip". It settles equal preferences of the client.
            One whose library is missing is left out with a log line. The default goes by speed for the size reached.
        minimum_size: Bytes from which a body is encoded, 0 or more; judged by Content-Length or by a body sent in one
            message. Below 500 little is gained, since one packet is sent either way.
        gzip_level: 1 (fast) to 9. 9 takes far longer than 6 on large bodies, for 2 to 6 % less.
        brotli_quality: 0 (fast) to 11. 4 takes longer than gzip 6 at 1 KB and less from some 20 KB on;
            10 and 11 take milliseconds a page.
        zstd_level: 1 (fast) to 22. 3 is the knee of the curve.
        include_content_types: Media types to encode, with ``*`` as wildcard: "text/*", "application/*+json". Responses
            without a type are left alone.
        exclude_content_types: Media types not to encode; wins over `include_content_types`.
        exclude_paths: Requests to leave alone: "/files/*", "/static/**", "GET /report", or compiled patterns.
        etag: "weak" turns ``"abc"`` into ``W/"abc"`` on encoded responses. "suffix" makes it ``"abc-br"`` and takes the
            suffix off again in If-Match and If-None-Match, so that optimistic locking works. "drop" removes it. "keep"
            leaves it, which breaks RFC 9110 8.8.3.3 and is meant for caches that ignore that section.
        breach_protection: "cross-site" leaves responses plain when the browser says that another site caused the
            request and it carries a Cookie or an Authorization; "off" encodes them as well.
        thread_minimum_size: Bytes of one response to encode on the event loop before a thread takes over. None
            estimates a millisecond's worth by coding and level; 0 never uses a thread.
        predicate: ``predicate(scope, status, headers) -> bool`` has the last word about a response that would be
            encoded. It gets a copy of the raw headers, names in any case. What it raises comes out of the app's send.
        breach_padding: The most bytes, 0 to 4096, that are added to an encoded body so that its length says less. How
            many follows from the body and a secret of this process: asking again gives the same. 0 adds none.
        gzip_backend: "auto" takes the fastest that is installed: ISA-L (the extra ``speed``) up to gzip level 6, which
            is up to ten times as fast as zlib for 5 to 25 % more bytes, then zlib-ng, then zlib. Or name one.
        pathsend: What becomes of a file that the app lets the server send by its path. "forward": the server sends it
            as it is. "siblings": the server sends ``style.css.br`` (.zst, .gz) in place of ``style.css`` where one
            stands beside it and is no older; for folders that only you write into. "encode": as "siblings", and files
            without one are read and encoded here.
        cache_size: Bytes of bodies kept together with their encoded form, so that what is sent often is encoded once.
            0 keeps none.
        dictionaries: Contents, up to 4 MiB each, that clients may have stored as dictionaries (Use-As-Dictionary, which
            the app sends). Who names one by its hash gets ``dcz``, encoded against it; over https and from the same
            origin only.
        remove_accept_encoding: Whether the app sees no Accept-Encoding, so that nothing inside encodes by itself.
        on_complete: ``on_complete(scope, figures)`` is told of every response in the end, with its
            `CompressionFigures`. What it raises is logged and goes no further.

    Raises:
        ConfigurationError: An option is wrong; every problem is listed with its fix.

    Source: RFC 9110 8.4, 8.8.3, 12.5.3 and 12.5.5; RFC 9659; RFC 1952, 7932, 8878. BREACH: Gluck, Harris, Prado, 2013.
    """

    __slots__ = (
        "_excluded",
        "_hidden",
        "_looked_for",
        "_on_complete",
        "_policy",
        "app",
    )

    def __init__(
        self,
        app: ASGIApp,
        *,
        encodings: Iterable[str] = CODINGS,
        minimum_size: int = 500,
        gzip_level: int = 6,
        brotli_quality: int = 4,
        zstd_level: int = 3,
        include_content_types: Iterable[str] = DEFAULT_CONTENT_TYPES,
        exclude_content_types: Iterable[str] = (),
        exclude_paths: Iterable[str | re.Pattern[str]] = (),
        etag: EtagMode = "weak",
        breach_protection: Literal["cross-site", "off"] = "cross-site",
        thread_minimum_size: int | None = None,
        predicate: Predicate | None = None,
        breach_padding: int = 0,
        gzip_backend: GzipBackend = "auto",
        pathsend: Pathsend = "forward",
        cache_size: int = 0,
        dictionaries: Iterable[bytes] = (),
        remove_accept_encoding: bool = False,
        on_complete: OnComplete | None = None,
    ) -> None:
        problems = Problems("CompressionMiddleware")
        codings = known_codings(encodings, CODINGS, problems)
        problems.integer("minimum_size", minimum_size, minimum=0)
        problems.integer("gzip_level", gzip_level, minimum=1, maximum=9)
        problems.integer("brotli_quality", brotli_quality, minimum=0, maximum=11)
        problems.integer("zstd_level", zstd_level, minimum=1, maximum=22)
        content_types = ContentTypes(include_content_types, exclude_content_types, problems)
        excluded = PathRules(exclude_paths, problems=problems)
        problems.one_of("etag", etag, ETAG_MODES)
        problems.one_of("breach_protection", breach_protection, ("cross-site", "off"))
        problems.integer("thread_minimum_size", thread_minimum_size, minimum=0, optional=True)
        problems.callable("predicate", predicate, optional=True)
        problems.integer("breach_padding", breach_padding, minimum=0, maximum=LARGEST_PADDING)
        problems.one_of("gzip_backend", gzip_backend, GZIP_BACKENDS)
        problems.one_of("pathsend", pathsend, PATHSEND_MODES)
        problems.integer("cache_size", cache_size, minimum=0)
        contents = dictionary_contents(dictionaries, problems)
        problems.boolean("remove_accept_encoding", remove_accept_encoding)
        problems.callable("on_complete", on_complete, optional=True)
        problems.raise_if_any()
        codecs, dictionary_codecs = make_codecs(
            codings,
            contents,
            gzip_level=gzip_level,
            brotli_quality=brotli_quality,
            zstd_level=zstd_level,
            gzip_backend=gzip_backend,
            breach_padding=breach_padding,
        )
        minimum_size = max(minimum_size, 1)  # an empty body gains nothing, whatever the option says
        self.app = app
        self._excluded = excluded or None
        self._hidden = _HIDDEN if remove_accept_encoding else _NOTHING
        self._looked_for = spellings(b"range", *((b"if-match", b"if-none-match") if etag == "suffix" else ()))
        self._on_complete = on_complete
        vary = (b"Accept-Encoding",) if dictionary_codecs is None else transport.VARY
        self._policy = Policy(
            minimum_size=minimum_size,
            judge=Judge(content_types, minimum_size),
            marking=Marking(etag, vary),
            predicate=predicate,
            pathsend=pathsend,
            cache=BodyCache(cache_size) if cache_size else None,
            pool=WorkerPool(min(4, os.cpu_count() or 1), name="asgi-compression"),
            live_memory=LiveMemory(LIVE_MEMORY),
            agreements=Agreements(
                codecs,
                guard_cross_site=breach_protection == "cross-site",
                dictionaries=dictionary_codecs,
                thread_minimum_size=thread_minimum_size,
            ),
        )

    async def __call__(  # noqa: C901 -- each call of a function costs as much as a look at two headers
        self, scope: Scope, receive: Receive, send: Send
    ) -> None:
        """Serve one connection."""
        if scope["type"] != "http" or (self._excluded is not None and self._excluded.exempts(scope)):
            await self.app(scope, receive, send)
            return
        # An Exchange is only used where someone stands by to read it: an outer class of ours, or `on_complete`.
        exchange = exchange_of(scope) if SCOPE_KEY in scope else None
        if exchange is not None:
            if not exchange.claim("compression"):  # an outer copy decides alone
                await self.app(scope, receive, send)
                return
        elif self._on_complete is not None:
            scope, exchange = enter(scope)
            exchange.claim("compression")
        asked = scope.get("headers")
        if type(asked) is not list:
            scope, asked = listed_headers(scope)
        # The request is read closely only where the app must not see all of it. What else it says is looked for when a
        # response wants to be encoded.
        policy, inner, looked_for = self._policy, scope, self._looked_for
        closely = self._hidden or ("extensions" in scope and sends_raw(scope))
        for name, _ in asked:
            if name in looked_for:
                closely = True
        if closely:
            encodable = type(policy.agreements.reach(scope, asked)) is Agreement
            inner = scope_for_app(scope, asked, exchange, policy.marking.etag, self._hidden, encodable=encodable)
        request: Request = (send, policy, scope, asked, exchange)
        response: Response | None = None  # what takes the messages, once the head may be encoded

        # It shares two variables with this function: each further one would cost more than reading it from the tuple.
        def send_encoded(message: Message) -> Awaitable[None]:
            nonlocal response
            if response is not None:
                return response.send(message)
            if message["type"] != "http.response.start":
                return request[0](message)
            headers = message.get("headers")
            if type(headers) is not list:
                message, headers = with_listed_headers(message)
            send, policy, scope, asked, exchange = request
            judgement = policy.judge.judge(message["status"], headers)
            verdict = judgement[0]
            reason = verdict.reason
            if verdict.vary:
                agreed = policy.agreements.reach(scope, asked)
                if reason is None and type(agreed) is Agreement:
                    response = Response(request, agreed, judgement)
                    return response.begin(message)
                reason = reason or str(agreed)
                message = policy.plain_start(message, judgement[1], reason, agreed, asked)
            if exchange is not None:
                exchange.compression = SKIPPED[reason]
            return send(message)

        try:
            await self.app(inner, receive, send_encoded)
        finally:
            unsent = None if response is None else response.end()
            if self._on_complete is not None and exchange is not None and exchange.compression is not None:
                tell(self._on_complete, inner, exchange.compression)
        if unsent is not None:
            await send(unsent)  # a head without a body: what the server makes of it is not ours to change
