"""What has to begin with the server and end with it: the sampler of the event loop, and the last write to files."""

from __future__ import annotations

from collections.abc import Callable

from asgi_middleware._core.types import ASGIApp, Receive, Scope, Send
from asgi_middleware.metrics import flushing
from asgi_middleware.metrics.families import Families
from asgi_middleware.metrics.family import Family
from asgi_middleware.metrics.loop_lag import start_sampler


def attend_lifespan(app: ASGIApp, families: Families, loop_lag: Family | None) -> ASGIApp:
    """Give the function that passes the lifespan on."""
    failed = families.failures.note

    def record(seconds: float) -> None:
        try:
            if loop_lag is not None:
                flushing.start()
                loop_lag.series(()).observe(seconds)
        except Exception:  # noqa: BLE001 -- metrics fail open
            failed("loop_lag")

    async def handle(scope: Scope, receive: Receive, send: Send) -> None:
        stop: Callable[[], None] | None = None
        try:
            if loop_lag is not None:
                stop = start_sampler(families.samplers, record)
        except Exception:  # noqa: BLE001 -- metrics fail open
            failed("loop_lag")
        try:
            await app(scope, receive, send)
        finally:
            try:
                if stop is not None:
                    stop()
                flushing.flush()
            except Exception:  # noqa: BLE001 -- metrics fail open
                failed("loop_lag")

    return handle
