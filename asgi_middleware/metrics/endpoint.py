"""MetricsEndpoint: where Prometheus scrapes. Formats and their choice stand in ``exposition.py``."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Final

from prometheus_client import REGISTRY, CollectorRegistry

from asgi_middleware._core.config import Problems
from asgi_middleware._core.headers import find_all, header_list
from asgi_middleware._core.refusals import INTERNAL_ERROR, Refusal
from asgi_middleware._core.types import ASGIApp, Receive, Scope, Send
from asgi_middleware.metrics.admission import Admission, Authorize
from asgi_middleware.metrics.exposition import accepts_gzip, negotiate, requested_names
from asgi_middleware.metrics.multiprocess import check_directory, files_directory, worker_registry
from asgi_middleware.metrics.options import check_registry
from asgi_middleware.metrics.scraping import Scraping, Wanted, stand_aside

_logger = logging.getLogger("asgi_middleware.metrics")
_ALLOW: Final = (b"allow", b"GET, HEAD, OPTIONS")
_RETRY: Final = (b"retry-after", b"5")

_NOT_FOUND: Final = Refusal(404, "not_found")
_METHOD_NOT_ALLOWED: Final = Refusal(405, "method_not_allowed", headers=[_ALLOW])
_TOO_MANY: Final = Refusal(503, "too_many_scrapes", headers=[_RETRY])
_TOO_SLOW: Final = Refusal(503, "scrape_timeout", headers=[_RETRY])


class MetricsEndpoint:
    """Serve the metrics of a registry, as a path inside an application or as an application of its own.

    What it shows (routes, rates, errors) is not for everyone, and rendering costs time: keep the path inside your
    network, put the endpoint on a port of its own, or set `authorize` or `networks`. Rendering runs in one thread, so
    that the event loop stays free, and scrapes that arrive together share a rendering.

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
        networks: The networks that scrapers must be in, such as ``["10.0.0.0/8", "::1"]``; others get 403. It is the
            peer's address that counts, behind a proxy the proxy's. None for any.
        hide: Whether whoever may not scrape gets 404, so that nobody learns that there is something.
        compression: Whether gzip is used for clients that accept it. Scrapes shrink to a tenth or less.
        max_scrapes: How many scrapers may wait at a time, at least 1; further ones get 503.
        timeout: Seconds after which a scraper that waits gets 503, above 0. Prometheus itself waits 10 by default.

    Raises:
        ConfigurationError: An option is wrong, or ``PROMETHEUS_MULTIPROC_DIR`` is no directory.

    Source: Prometheus, "Exposition formats" and "Scrape protocol content negotiation"; OpenMetrics 1.0.
    """

    __slots__ = ("_admission", "_compression", "_hide", "_paths", "_scraping", "app")

    def __init__(
        self,
        app: ASGIApp | None = None,
        *,
        path: str = "/metrics",
        registry: CollectorRegistry | None = None,
        authorize: Authorize | None = None,
        networks: Iterable[str] | None = None,
        hide: bool = False,
        compression: bool = True,
        max_scrapes: int = 16,
        timeout: float = 10.0,
    ) -> None:
        problems = Problems(type(self).__name__)
        if not isinstance(path, str) or not path.startswith("/") or path == "/" or "//" in path:
            problems.add("path", path, "is no path of its own", fix="pass for example '/metrics'", code="invalid_path")
            path = "/metrics"
        registry = REGISTRY if registry is None else registry
        check_registry(registry, problems)
        admission = Admission(authorize, networks, problems)
        problems.boolean("hide", hide)
        problems.boolean("compression", compression)
        problems.integer("max_scrapes", max_scrapes, minimum=1)
        if problems.number("timeout", timeout, minimum=0) and timeout == 0:
            problems.add("timeout", timeout, "leaves no time for a scrape", fix="pass seconds, such as 10")
        check_directory(problems, recording=False)
        problems.raise_if_any()

        self.app = app
        stem = path.rstrip("/")
        self._paths = frozenset({stem, f"{stem}/"})
        self._admission = admission
        self._hide = hide
        self._compression = compression
        directory = files_directory()
        shown = registry if directory is None else worker_registry(directory, stand_aside)
        self._scraping = Scraping(shown, max_scrapes, timeout)

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
        refusal = await self._admission.refusal(scope)
        if refusal is not None:
            await (_NOT_FOUND if self._hide else refusal).send(scope, receive, send)
            return
        method = scope["method"].upper()
        if method == "OPTIONS":
            await send({"type": "http.response.start", "status": 204, "headers": [_ALLOW]})
            await send({"type": "http.response.body", "body": b"", "more_body": False})
            return
        if method not in {"GET", "HEAD"}:
            await _METHOD_NOT_ALLOWED.send(scope, receive, send)
            return
        headers = scope["headers"]
        wanted = Wanted(
            negotiate(find_all(headers, b"accept")),
            requested_names(scope.get("query_string") or b""),
            self._compression and accepts_gzip(find_all(headers, b"accept-encoding")),
        )
        body = await self._render(wanted)
        if isinstance(body, Refusal):
            await body.send(scope, receive, send)
            return
        await send({"type": "http.response.start", "status": 200, "headers": _headers(wanted, len(body))})
        # Rendered on HEAD too: its length must be that of GET (RFC 9110 9.3.2).
        await send({"type": "http.response.body", "body": b"" if method == "HEAD" else body, "more_body": False})

    async def _render(self, wanted: Wanted) -> bytes | Refusal:
        try:
            body = await self._scraping.scrape(wanted)
        except TimeoutError:
            _logger.warning("a scrape took too long")
            return _TOO_SLOW
        except Exception:
            _logger.exception("the metrics could not be rendered")
            return INTERNAL_ERROR
        return _TOO_MANY if body is None else body


def _headers(wanted: Wanted, length: int) -> list[tuple[bytes, bytes]]:
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


async def _lifespan(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        if message["type"] == "lifespan.startup":
            await send({"type": "lifespan.startup.complete"})
        elif message["type"] == "lifespan.shutdown":
            await send({"type": "lifespan.shutdown.complete"})
            return
