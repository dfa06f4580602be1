"""Whole stacks, ours and the peers': six concerns on one app, as a service has them.

id and access line (JSON, to a file), metrics, CORS, body limit, JWT, compression. "Best" are the fastest peers that do
the job, with pure-ASGI recipes where there is no package; "popular" is what tutorials lead to.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

from asgi_middleware import stack
from benchmarks.scenarios import ECHO, ORIGIN, App, Routed, Scenario
from benchmarks.shapes import pass_through, wrap_send
from benchmarks.subjects import BODY_LIMIT, CORS, EXPORTER, INSTRUMENTATOR, KEY, TOKEN, Row, Subject, with_token

# Above any body here: compression is asked and decided against, so that the stack without a codec can be seen.
_TOO_SMALL: Final = 1_000_000
_CORS = Subject("starlette.middleware.cors:CORSMiddleware", CORS)
_LIMIT = Subject("starlette.middleware.body_limit:RequestBodyLimitMiddleware", BODY_LIMIT)
_AUTH = Subject("benchmarks.recipes:StarletteJWT", {"key": KEY})
_ID = Subject("asgi_correlation_id:CorrelationIdMiddleware")


def ours(app: App, *, codec: bool, log: str) -> App:
    """Give our six classes around `app`, outermost first as `docs/order.md` says."""
    from asgi_middleware import (  # noqa: PLC0415 -- a process that measures another stack must not load ours
        CompressionMiddleware,
        CORSMiddleware,
        JWTAuthMiddleware,
        LoggingMiddleware,
        PrometheusMiddleware,
        RequestBodyLimitMiddleware,
    )
    from asgi_middleware.logging import configure_structlog  # noqa: PLC0415

    configure_structlog(json=True, stream=open(log, "a", encoding="utf-8"))  # noqa: PTH123, SIM115 -- lives as long as the process
    return stack(
        app,
        LoggingMiddleware,
        PrometheusMiddleware,
        partial(CORSMiddleware, **CORS),
        partial(RequestBodyLimitMiddleware, **BODY_LIMIT),
        partial(JWTAuthMiddleware, **TOKEN),
        partial(CompressionMiddleware, encodings=["zstd"], minimum_size=500 if codec else _TOO_SMALL),
    )


def best_peers(app: App, *, codec: bool, log: str) -> App:
    """Give the fastest peers around `app`."""
    sizes = {"brotli": False, "gzip": False, "zstd_level": 3, "minimum_size": 500 if codec else _TOO_SMALL}
    return _around(
        app,
        _ID,
        Subject("benchmarks.recipes:StructlogRecipe", {"log": log}),
        EXPORTER,
        _CORS,
        _LIMIT,
        _AUTH,
        Subject("starlette_compress:CompressMiddleware", sizes),
    )


def popular_peers(app: App, *, codec: bool, log: str) -> App:
    """Give the peers that tutorials name around `app`."""
    return _around(
        app,
        _ID,
        Subject("benchmarks.recipes:BaseHTTPStructlogRecipe", {"log": log}),
        INSTRUMENTATOR,
        _CORS,
        _LIMIT,
        _AUTH,
        Subject("starlette.middleware.gzip:GZipMiddleware", {"minimum_size": 500 if codec else _TOO_SMALL}),
    )


def _around(app: App, *subjects: Subject) -> App:
    for subject in reversed(subjects):
        app = subject.wrap(app)
    return app


def six_pass_through(app: App) -> App:
    """Give six wrappers that do nothing around `app`."""
    return _six(pass_through, app)


def six_send_wrappers(app: App, **_: Any) -> App:
    """Give six wrappers that see every message and change none around `app`."""
    return _six(wrap_send, app)


def _six(wrap: Callable[[App], App], app: App) -> App:
    for _ in range(6):
        app = wrap(app)
    return app


def nothing_to_do(app: App) -> App:
    """Give six of our classes that are about HTTP alone: around a WebSocket app they have nothing to do."""
    from asgi_middleware import (  # noqa: PLC0415 -- see `ours`
        BodyTimeoutMiddleware,
        CompressionMiddleware,
        CORSMiddleware,
        DecompressionMiddleware,
        RequestBodyLimitMiddleware,
        ServerTimingMiddleware,
    )

    return stack(
        app,
        ServerTimingMiddleware,
        partial(CORSMiddleware, **CORS),
        partial(RequestBodyLimitMiddleware, **BODY_LIMIT),
        BodyTimeoutMiddleware,
        CompressionMiddleware,
        DecompressionMiddleware,
    )


# What runs over sockets, by the name in the table; the bare app has no wrapper.
OVER_SOCKETS: Final[Mapping[str, Callable[..., App] | None]] = {
    "bare app": None,
    "6 send wrappers": six_send_wrappers,
    "asgi-middleware": ours,
    "best peers": best_peers,
    "popular peers": popular_peers,
}


def rows() -> list[Row]:
    """Give the rows about whole stacks."""
    nothing = Row(
        "six idle classes",
        ECHO,
        Subject("benchmarks.stacks:nothing_to_do"),
        (Subject("benchmarks.stacks:six_pass_through", label="6 pass-through wrappers"),),
    )
    return [nothing, *(_row(codec=codec) for codec in (False, True))]


def _row(*, codec: bool) -> Row:
    options = {"codec": codec, "log": os.devnull}
    return Row(
        "whole stack",
        full(codec=codec),
        Subject("benchmarks.stacks:ours", options),
        (
            Subject("benchmarks.stacks:best_peers", options, label="best peers"),
            Subject("benchmarks.stacks:popular_peers", options, label="popular peers"),
        ),
    )


def full(*, codec: bool) -> Scenario:
    """Give the scenario of the whole stack: a browser's request from another origin with a token."""
    scenario = Routed("GET, whole stack" + (", zstd" if codec else ""), headers=(ORIGIN,), waits=True)
    return with_token(scenario)
