"""MetricsEndpoint: where Prometheus scrapes. Formats and their choice stand in ``exposition.py``."""

from __future__ import annotations

import hmac
import inspect
import logging
import re
from collections.abc import Awaitable, Callable
from time import perf_counter
from typing import Any, Final, NamedTuple, TypeAlias

from prometheus_client import REGISTRY, CollectorRegistry

from asgi_middleware._core.config import Problems
from asgi_middleware._core.headers import find_all, header_list
from asgi_middleware._core.refusals import INTERNAL_ERROR, Refusal
from asgi_middleware._core.types import ASGIApp, Receive, Scope, Send
from asgi_middleware._core.workers import WorkerPool
from asgi_middleware.metrics.exposition import Format, accepts_gzip, negotiate, render, requested_names
from asgi_middleware.metrics.multiprocess import check_directory, files_directory, worker_registry
from asgi_middleware.metrics.options import check_registry

Authorize: TypeAlias = str | Callable[[Scope], bool | Awaitable[bool]]

_logger = logging.getLogger("asgi_middleware.metrics")
_ALLOW: Final = (b"allow", b"GET, HEAD, OPTIONS")
_TOKEN: Final = re.compile(r"[A-Za-z0-9\-._~+/]+=*")  # b64token (RFC 6750 2.1)
_BEARER: Final = b"bearer"

_NOT_FOUND: Final = Refusal(404, "not_found")
_METHOD_NOT_ALLOWED: Final = Refusal(405, "method_not_allowed", headers=[_ALLOW])
_TOKEN_MISSING: Final = Refusal(401, "token_missing", headers=[(b"www-authenticate", b"Bearer")])
_TOKEN_INVALID: Final = Refusal(401, "token_invalid", headers=[(b"www-authenticate", b'Bearer error="invalid_token"')])
_FORBIDDEN: Final = Refusal(403, "scrape_forbidden")


class MetricsEndpoint:
    """Serve the metrics of a registry, as a path inside an application or as an application of its own.

    What it shows (routes, rates, errors) is not for everyone, and rendering costs time: keep the path inside your
    network, put the endpoint on a port of its own, or set `authorize`. Rendering runs in one thread, so that the event
    loop stays free, and scrapes that arrive together share a rendering.

    Around an application, every other request passes untouched::

        from asgi_middleware import MetricsEndpoint, PrometheusMiddleware


        async def app(scope, receive, send): ...


        app = MetricsEndpoint(PrometheusMiddleware(app), authorize="a-long-random-token")

    Alone, as an application on its own port::

        metrics = MetricsEndpoint()

    With ``PROMETHEUS_MULTIPROC_DIR`` set it gives the sum of all worker processes, whatever the registry holds.

    Args:
        app: The application around which it stands; None to be the whole application.
        path: Where it answers inside `app`, with or without a trailing slash, relative to the root path. Without `app`
            it answers everywhere: whoever routes to it has chosen the path.
        registry: The registry to show; None for prometheus_client's default.
        authorize: Who may scrape. A string is a bearer token (RFC 6750): scrapers without it get 401. A function is
            called with the scope and returns True, or gives it by awaiting, for a request that may pass; others get
            403, also when it raises. None lets everybody in.
        compression: Whether gzip is used for clients that accept it. Scrapes shrink to a tenth or less.

    Raises:
        ConfigurationError: An option is wrong, or ``PROMETHEUS_MULTIPROC_DIR`` is no directory.

    Source: Prometheus, "Exposition formats" and "Scrape protocol content negotiation"; OpenMetrics 1.0.
    """

    __slots__ = ("_authorize", "_compression", "_paths", "_renderer", "_token", "app")

    def __init__(
        self,
        app: ASGIApp | None = None,
        *,
        path: str = "/metrics",
        registry: CollectorRegistry | None = None,
        authorize: Authorize | None = None,
        compression: bool = True,
    ) -> None:
        problems = Problems(type(self).__name__)
        if not isinstance(path, str) or not path.startswith("/") or path == "/" or "//" in path:
            problems.add("path", path, "is no path of its own", fix="pass for example '/metrics'", code="invalid_path")
            path = "/metrics"
        registry = REGISTRY if registry is None else registry
        check_registry(registry, problems)
        if isinstance(authorize, str):
            if _TOKEN.fullmatch(authorize) is None:
                problems.add(
                    "authorize",
                    "(a token)",  # a secret is never shown
                    "is no bearer token",
                    fix="use letters, digits and -._~+/ (RFC 6750 2.1)",
                    code="invalid_token",
                )
        else:
            problems.callable("authorize", authorize, optional=True)
        problems.boolean("compression", compression)
        check_directory(problems, recording=False)
        problems.raise_if_any()

        self.app = app
        stem = path.rstrip("/")
        self._paths = frozenset({stem, f"{stem}/"})
        self._token = authorize.encode("ascii") if isinstance(authorize, str) else None
        self._authorize = None if isinstance(authorize, str) else authorize
        self._compression = compression
        directory = files_directory()
        self._renderer = _Renderer(registry if directory is None else worker_registry(directory))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a scrape, and pass everything else on."""
        if scope["type"] == "http" and (self.app is None or _own_path(scope) in self._paths):
            await self._answer(scope, receive, send)
        elif self.app is not None:
            await self.app(scope, receive, send)
        elif scope["type"] == "lifespan":
            await _lifespan(receive, send)
        elif scope["type"] == "websocket":
            await _NOT_FOUND.send(scope, receive, send)
        else:
            raise RuntimeError(f"MetricsEndpoint serves no {scope['type']!r} connections")

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope = {**scope, "headers": header_list(scope.get("headers"))}  # read more than once, which not all can be
        refusal = await self._refusal(scope)
        if refusal is not None:
            await refusal.send(scope, receive, send)
            return
        if scope["method"].upper() == "OPTIONS":
            await send({"type": "http.response.start", "status": 204, "headers": [_ALLOW]})
            await send({"type": "http.response.body", "body": b"", "more_body": False})
            return
        headers = scope["headers"]
        compress = self._compression and accepts_gzip(find_all(headers, b"accept-encoding"))
        wanted = _Wanted(
            negotiate(find_all(headers, b"accept")), requested_names(scope.get("query_string") or b""), compress
        )
        try:
            body = await self._renderer.render(wanted)
        except Exception:
            _logger.exception("the metrics could not be rendered")
            await INTERNAL_ERROR.send(scope, receive, send)
            return
        await send({"type": "http.response.start", "status": 200, "headers": _headers(wanted, len(body))})
        # Rendered on HEAD too: its length must be that of GET (RFC 9110 9.3.2).
        shown = b"" if scope["method"].upper() == "HEAD" else body
        await send({"type": "http.response.body", "body": shown, "more_body": False})

    async def _refusal(self, scope: Scope) -> Refusal | None:
        if self._token is not None:
            given = find_all(scope["headers"], b"authorization")
            # Without credentials of this scheme the challenge names no error (RFC 6750 3).
            if not any(value.partition(b" ")[0].lower() == _BEARER for value in given):
                return _TOKEN_MISSING
            if len(given) > 1 or not _holds(given[0], self._token):
                return _TOKEN_INVALID
        elif self._authorize is not None:
            try:
                allowed = self._authorize(scope)
                if inspect.isawaitable(allowed):
                    allowed = await allowed
            except Exception:
                _logger.exception("authorize raised; the scrape is refused")
                allowed = False
            if allowed is not True:
                return _FORBIDDEN
        if scope["method"].upper() not in {"GET", "HEAD", "OPTIONS"}:
            return _METHOD_NOT_ALLOWED
        return None


class _Wanted(NamedTuple):
    """What one scraper is to get."""

    format: Format
    names: frozenset[str]
    compress: bool


class _Renderer:
    """Renders in one thread, one scrape after the other.

    A scrape that waited while another for the same began and ended takes over its result: that is younger than its own
    arrival. So however many scrapers there are, at most one rendering is under way and one to come for each variant.
    """

    __slots__ = ("_last", "_pool", "_registry")

    def __init__(self, registry: Any) -> None:
        self._registry = registry
        self._pool = WorkerPool(1, name="asgi-middleware-metrics")
        self._last: tuple[_Wanted, float, bytes] | None = None

    async def render(self, wanted: _Wanted) -> bytes:
        """Give the bytes, collected after this call."""
        return await self._pool.run(self._render, wanted, perf_counter())

    def _render(self, wanted: _Wanted, arrived: float) -> bytes:
        last = self._last
        if last is not None and last[0] == wanted and last[1] > arrived:
            return last[2]
        begun = perf_counter()
        body = render(self._registry, wanted.format, wanted.names, compress=wanted.compress)
        self._last = (wanted, begun, body)
        return body


def _headers(wanted: _Wanted, length: int) -> list[tuple[bytes, bytes]]:
    headers = [
        (b"content-type", wanted.format.content_type),
        (b"content-length", b"%d" % length),
        (b"cache-control", b"no-store"),
        (b"vary", b"accept, accept-encoding"),
    ]
    if wanted.compress:
        headers.append((b"content-encoding", b"gzip"))
    return headers


def _own_path(scope: Scope) -> str:
    """Give the path below the root path, which is part of the path under some servers only."""
    path: str = scope["path"]
    return path.removeprefix((scope.get("root_path") or "").rstrip("/"))


def _holds(given: bytes, token: bytes) -> bool:
    """Tell whether bearer credentials are this token; compared in constant time."""
    return hmac.compare_digest(given.partition(b" ")[2].strip(b" "), token)


async def _lifespan(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        if message["type"] == "lifespan.startup":
            await send({"type": "lifespan.startup.complete"})
        elif message["type"] == "lifespan.shutdown":
            await send({"type": "lifespan.shutdown.complete"})
            return
