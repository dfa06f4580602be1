"""The ASGI shell of response compression."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterable
from typing import Final, Literal

from asgi_middleware._core.config import Problems
from asgi_middleware._core.exchange import enter
from asgi_middleware._core.paths import PathRules
from asgi_middleware._core.types import ASGIApp, Receive, Scope, Send
from asgi_middleware._core.workers import WorkerPool
from asgi_middleware.compression.codecs import CODINGS, Codec, live_order, make_codec, missing_library
from asgi_middleware.compression.content_types import DEFAULT_CONTENT_TYPES, ContentTypes
from asgi_middleware.compression.entity_tags import ETAG_MODES, EtagMode
from asgi_middleware.compression.negotiation import Negotiator
from asgi_middleware.compression.requests import refusal_to_encode, scope_for_app
from asgi_middleware.compression.responses import EncodingResponse, Policy, Predicate, plain_send

_log: Final = logging.getLogger("asgi_middleware.compression")


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

    Raises:
        ConfigurationError: An option is wrong; every problem is listed with its fix.

    Source: RFC 9110 8.4, 8.8.3, 12.5.3 and 12.5.5; RFC 9659; RFC 1952, 7932, 8878. BREACH: Gluck, Harris, Prado, 2013.
    """

    __slots__ = ("_excluded", "_guard_cross_site", "_negotiate", "_policy", "app")

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
    ) -> None:
        problems = Problems("CompressionMiddleware")
        codings = _known_codings(encodings, problems)
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
        problems.raise_if_any()
        codecs = _make_codecs(codings, gzip_level=gzip_level, brotli_quality=brotli_quality, zstd_level=zstd_level)
        order = tuple(codecs)
        self.app = app
        self._excluded = excluded or None
        self._guard_cross_site = breach_protection == "cross-site"
        self._negotiate = Negotiator(order, live_order(order))
        self._policy = Policy(
            codecs=codecs,
            minimum_size=max(minimum_size, 1),
            content_types=content_types,
            etag=etag,
            thread_minimum_size=thread_minimum_size,
            predicate=predicate,
            pool=WorkerPool(min(4, os.cpu_count() or 1), name="asgi-compression"),
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] != "http" or (self._excluded is not None and self._excluded.exempts(scope)):
            await self.app(scope, receive, send)
            return
        scope, exchange = enter(scope)
        if not exchange.claim("compression"):
            await self.app(scope, receive, send)
            return
        index = exchange.headers(scope)
        accepted = index.get(b"accept-encoding")
        if accepted is not None and b"accept-encoding" in index.repeated:
            accepted = b",".join(index.repeated[b"accept-encoding"])
        coding, live_coding, reason = self._negotiate(accepted)
        if reason is None:
            reason = refusal_to_encode(index, scope["method"], guard_cross_site=self._guard_cross_site)
        if coding is None or live_coding is None or reason is not None:
            if self._policy.etag == "suffix":
                scope = scope_for_app(scope, index, exchange, "suffix", encodable=False)
            await self.app(scope, receive, plain_send(self._policy, send, exchange, index, reason))
            return
        if self._policy.etag == "suffix" or b"range" in index or scope.get("extensions"):
            scope = scope_for_app(scope, index, exchange, self._policy.etag, encodable=True)
        response = EncodingResponse(self._policy, scope, index, send, exchange, coding=coding, live_coding=live_coding)
        try:
            await self.app(scope, receive, response.send)
        finally:
            unsent = response.end()
        if unsent is not None:
            await send(unsent)  # a head without a body: what the server makes of it is not ours to change


def _known_codings(encodings: Iterable[str], problems: Problems) -> tuple[str, ...]:
    listed = problems.strings("encodings", encodings)
    if not listed and not problems:
        problems.add("encodings", encodings, "offers no coding", fix="list at least 'gzip'", code="no_coding")
    for coding in listed:
        if coding not in CODINGS:
            problems.add(
                "encodings",
                coding,
                "is no coding that can be offered",
                fix="list some of 'zstd', 'br' and 'gzip', in lower case",
                code="unknown_coding",
            )
    return tuple(dict.fromkeys(listed))


def _make_codecs(codings: tuple[str, ...], **levels: int) -> dict[bytes, Codec]:
    codecs: dict[bytes, Codec] = {}
    for coding in codings:
        codec = make_codec(coding, **levels)
        if codec is None:
            # Nobody asked for the defaults by name: that one is absent is worth knowing, not a warning.
            _log.log(logging.INFO if codings == CODINGS else logging.WARNING, "%s", missing_library(coding))
        else:
            codecs[codec.coding] = codec
    return codecs
