"""Context: what log calls see during a request, and that nothing is left for the next one."""

import contextvars
import logging
from collections.abc import Callable, MutableMapping
from typing import Any

import pytest
import structlog
from structlog.contextvars import bind_contextvars, clear_contextvars, get_contextvars

from asgi_middleware._core.exchange import Exchange, current_exchange
from asgi_middleware.logging import (
    CorrelationIdMiddleware,
    LoggingMiddleware,
    RequestContextFilter,
    TraceContext,
    add_request_context,
    correlation_id,
)
from asgi_middleware.logging.context import bind_request, unbind_request
from asgi_middleware.testing import drive, http_scope

BOTH = pytest.mark.parametrize("wrap", [LoggingMiddleware, CorrelationIdMiddleware])
Wrap = Callable[..., Any]


def exchange() -> Exchange:
    """Make an Exchange with ids."""
    made = Exchange()
    made.request_id = "abc"
    made.trace = TraceContext("1" * 32, "2" * 16)
    return made


@pytest.fixture(autouse=True)
def clean_context() -> Any:
    """Leave no variable behind."""
    yield
    clear_contextvars()


@pytest.mark.anyio
@BOTH
async def test_no_bleed(wrap: Wrap, lines: Any) -> None:
    """What an earlier request of the connection bound is not seen by the next one [3.2]."""
    seen: list[dict[str, Any]] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(get_contextvars())
        bind_contextvars(user_id="alice")
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body"})

    wrapped = wrap(app, exclude_paths=["/quiet"]) if wrap is LoggingMiddleware else wrap(app)
    # One task, one context, as on servers that start the next request inside the last one.
    for path in ("/", "/quiet", "/"):
        await drive(wrapped, http_scope(path=path))
        assert correlation_id.get() is None
        assert current_exchange.get() is None
    assert all("user_id" not in found for found in seen)
    assert len({found["request_id"] for found in seen}) == 3


@pytest.mark.anyio
@BOTH
async def test_bound_outside(wrap: Wrap) -> None:
    """What a caller has bound is back after the request; with `clear_contextvars=False` the request sees it."""
    seen: list[dict[str, Any]] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(get_contextvars())

    bind_contextvars(worker=3, request_id="outer")
    await drive(wrap(app), http_scope(headers=[(b"x-request-id", b"inner")]))
    assert get_contextvars() == {"worker": 3, "request_id": "outer"}
    assert "worker" not in seen[0]
    assert seen[0]["request_id"] == "inner"
    await drive(wrap(app, clear_contextvars=False), http_scope())
    assert seen[1]["worker"] == 3
    assert get_contextvars() == {"worker": 3, "request_id": "outer"}


@pytest.mark.anyio
@BOTH
async def test_reset_after_an_exception(wrap: Wrap) -> None:
    """The context is set back when the app raises."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        raise ValueError

    await drive(wrap(app), http_scope(), raise_exceptions=False)
    assert (correlation_id.get(), current_exchange.get(), get_contextvars()) == (None, None, {})


def test_reset_in_another_context() -> None:
    """A reset in another context than the one of the set leaves nothing of the request there [3.2]."""
    bound = bind_request(exchange(), clear=True)

    def elsewhere() -> tuple[Any, ...]:
        unbind_request(bound)
        return correlation_id.get(), current_exchange.get(), get_contextvars()

    assert contextvars.copy_context().run(elsewhere) == (None, None, {})
    assert correlation_id.get() == "abc"
    unbind_request(bound)
    assert (correlation_id.get(), current_exchange.get(), get_contextvars()) == (None, None, {})
    unbind_request(bound)
    assert correlation_id.get() is None


def test_the_id_where_there_is_none() -> None:
    """An id that is not there, or that somebody has bound as None, is the Exchange's, or else the default."""
    assert correlation_id.get("default") == "default"
    token = correlation_id.set(None)
    assert get_contextvars() == {}
    correlation_id.reset(token)
    bind_contextvars(request_id=None)
    assert correlation_id.get("default") == "default"
    for current, found in ((Exchange(), "default"), (exchange(), "abc")):
        held = current_exchange.set(current)
        assert correlation_id.get("default") == found
        current_exchange.reset(held)


def test_ids_without_a_trace() -> None:
    """Only the ids that there are get bound."""
    bound = bind_request(Exchange(), clear=False)
    assert get_contextvars() == {}
    unbind_request(bound)


def test_processor() -> None:
    """The processor adds the ids, keeps what the event has, and does nothing outside a request."""
    assert add_request_context(None, "info", {"event": "x"}) == {"event": "x"}
    token = current_exchange.set(exchange())
    try:
        event: MutableMapping[str, Any] = {"event": "x", "request_id": "own"}
        assert add_request_context(None, "info", event) == {
            "event": "x",
            "request_id": "own",
            "trace_id": "1" * 32,
            "span_id": "2" * 16,
        }
    finally:
        current_exchange.reset(token)


def test_processor_in_a_chain() -> None:
    """The processor serves in a structlog chain."""
    written: list[str] = []
    log = structlog.wrap_logger(
        structlog.PrintLogger(), processors=[add_request_context, structlog.processors.JSONRenderer(), _into(written)]
    )
    token = current_exchange.set(exchange())
    try:
        log.info("x")
    finally:
        current_exchange.reset(token)
    assert '"request_id": "abc"' in written[0]


def _into(written: list[str]) -> Any:
    def collect(_logger: Any, _name: str, event: Any) -> str:
        written.append(event)
        raise structlog.DropEvent

    return collect


def test_filter() -> None:
    """The filter gives every record of the standard library the ids, and a dash outside a request."""
    formatter = logging.Formatter("%(request_id)s %(correlation_id)s %(trace_id)s %(span_id)s %(message)s")
    ids = RequestContextFilter()
    record = logging.LogRecord("x", logging.INFO, __file__, 1, "hello %s", ("you",), None)
    assert ids.filter(record)
    assert formatter.format(record) == "- - - - hello you"
    token = current_exchange.set(exchange())
    try:
        assert ids.filter(record)
    finally:
        current_exchange.reset(token)
    assert formatter.format(record) == f"abc abc {'1' * 32} {'2' * 16} hello you"
