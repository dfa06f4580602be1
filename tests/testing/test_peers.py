"""The checker over other projects' classes: it must find the faults that are known of them.

A row that fails after an update of the peer means that the peer has mended it (then the fault goes from the row), or
that the checker has become blind.
"""

from __future__ import annotations

import gc
import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from asgi_correlation_id import CorrelationIdMiddleware
from brotli_asgi import BrotliMiddleware
from litestar.config.compression import CompressionConfig
from litestar.middleware.compression import CompressionMiddleware as LitestarCompressionMiddleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette_context.middleware import RawContextMiddleware

from asgi_middleware.testing import Report, Scenario, check_middleware

pytestmark = [
    pytest.mark.anyio,
    # Generators and gzip files that the peers leave open when an app raises.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning"),
]

GZIP = Scenario(headers=[(b"accept-encoding", b"gzip")])
BROTLI = Scenario(headers=[(b"accept-encoding", b"br")])
ORIGIN = Scenario(headers=[(b"origin", b"https://a.example")])


class PlainBaseHTTPMiddleware(BaseHTTPMiddleware):
    """A subclass that does nothing."""

    async def dispatch(self, request: Any, call_next: Any) -> Any:
        return await call_next(request)


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Keep asgi-correlation-id's line for each generated id away, and what the peers leave open from later tests."""
    caplog.set_level(logging.ERROR)
    yield
    gc.collect()


PEERS: list[tuple[Callable[..., Any], dict[str, Any], Scenario | None, set[str]]] = [
    (
        GZipMiddleware,
        {},
        GZIP,
        {
            # It knows start, body, pathsend and trailers; an answer that begins with anything else never comes out.
            "message-swallowed:http.response.debug",
            "message-swallowed:http.response.push",
            "message-swallowed:http.response.zerocopysend",
            # It writes into the app's header list: a constant list says gzip for plain bodies afterwards.
            "message-mutated:http.response.start",
            "start-held:http.response.start",
            # Django and python-socketio send names in mixed case, which it does not recognise.
            "header-duplicated:content-length",
            "header-duplicated:content-encoding",
            # A streamed empty 204 or 304 gets the end of a gzip stream for a body.
            "body-forbidden:204",
            "body-forbidden:304",
        },
    ),
    (
        CORSMiddleware,
        {"allow_origins": ["https://a.example"]},
        ORIGIN,
        # With a constant list: "vary: Origin, Origin, Origin", and one client's origin in the next one's answer.
        {"message-mutated:http.response.start", "message-mutated:vary"},
    ),
    (
        PlainBaseHTTPMiddleware,
        {},
        None,
        {
            "extra-task:http",
            "key-dropped:http.response.start.trailers",
            "message-swallowed:http.response.trailers",
            "exception-invented:AssertionError",  # at a push
            "exception-replaced:BaseExceptionGroup",
            "receive-invented:http.disconnect",
            "start-held:http.response.start",
            "body-rechunked:http.response.body",
        },
    ),
    (
        LitestarCompressionMiddleware,
        {"config": CompressionConfig(backend="gzip")},
        GZIP,
        {
            "message-swallowed:http.response.pathsend",
            "message-swallowed:http.response.early_hint",
            "message-swallowed:http.response.trailers",
            "message-mutated:http.response.start",
            "header-changed:content-encoding",  # it encodes what is encoded already
            "body-forbidden:204",
        },
    ),
    (
        BrotliMiddleware,
        {},
        BROTLI,
        {
            "message-swallowed:http.response.pathsend",
            "message-swallowed:http.response.early_hint",
            "message-swallowed:http.response.trailers",
            "message-mutated:http.response.start",
            "body-forbidden:304",
        },
    ),
    (
        CorrelationIdMiddleware,
        {},
        None,
        # The id stays in the context, for the next request on the connection; the server's headers are written to.
        {"context-leaked:correlation_id", "scope-mutated:headers", "message-mutated:http.response.start"},
    ),
    (
        RawContextMiddleware,
        {},
        None,
        {"context-leaked:starlette_context"},  # when the app raises
    ),
]


@pytest.mark.parametrize(
    ("peer", "options", "scenario", "faults"), [pytest.param(*row, id=row[0].__module__) for row in PEERS]
)
async def test_the_known_faults_of_peers_are_found(
    peer: Callable[..., Any], options: dict[str, Any], scenario: Scenario | None, faults: set[str]
) -> None:
    """The checker names every fault that is known of a published class."""
    report: Report = await check_middleware(peer, scenario=scenario, **options)
    assert faults <= report.keys, str(report)
