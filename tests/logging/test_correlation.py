"""CorrelationIdMiddleware, message by message."""

import gc
import inspect
import weakref
from collections.abc import MutableMapping
from typing import Any

import anyio
import pytest
import structlog

from asgi_middleware._core.config import ConfigurationError
from asgi_middleware._core.exchange import enter, exchange_of
from asgi_middleware._core.refusals import Refusal
from asgi_middleware.logging import CorrelationIdMiddleware, correlation_id, is_safe_request_id
from asgi_middleware.testing import drive, http, http_scope, lifespan, websocket

pytestmark = pytest.mark.anyio


class App:
    """Notes where the id is found, and answers with headers of its own."""

    def __init__(self, *headers: tuple[bytes, bytes]) -> None:
        self.headers = list(headers)
        self.scope: Any = None
        self.places: dict[str, Any] = {}

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.scope = scope
        exchange = exchange_of(scope)
        assert exchange is not None
        self.places = {
            "exchange": exchange.request_id,
            "variable": correlation_id.get(),
            "structlog": structlog.contextvars.get_contextvars().get("request_id"),
            "state": scope.get("state", {}).get("request_id"),
        }
        await send({"type": "http.response.start", "status": 200, "headers": self.headers})
        await send({"type": "http.response.body"})


async def test_the_id_is_everywhere() -> None:
    """A safe id of the client is echoed once, and found wherever code may look for it [3.1]."""
    app = App()
    result = await http(CorrelationIdMiddleware(app), headers=[(b"x-request-id", b"abc")])
    assert app.places == {
        "exchange": "abc",
        "variable": "abc",
        "structlog": "abc",
        "state": "abc",
    }
    assert result.header_all(b"x-request-id") == [b"abc"]
    assert correlation_id.get() is None
    assert structlog.contextvars.get_contextvars() == {}


@pytest.mark.parametrize("bad", [b"", b"a b", b"x" * 129, b"\x85abc", b"a\r\nb", b"-" * 10_000])
async def test_bad_ids_are_replaced(bad: bytes) -> None:
    """An unsafe id is neither echoed nor passed on [3.1]."""
    app = App()
    result = await http(CorrelationIdMiddleware(app), headers=[(b"x-request-id", bad), (b"accept", b"*/*")])
    [told] = result.header_all(b"x-request-id")
    assert is_safe_request_id(told)
    assert app.scope["headers"] == [(b"accept", b"*/*"), (b"x-request-id", told)]


@pytest.mark.parametrize(
    ("names", "headers", "inner"),
    [
        ("X-Request-ID", [], [(b"x-request-id", b"made")]),
        ("X-Request-ID", [(b"x-request-id", b"ok")], [(b"x-request-id", b"ok")]),
        (["a", "b"], [(b"b", b"ok")], [(b"a", b"ok"), (b"b", b"ok")]),
        (["a", "b"], [(b"a", b"ok"), (b"b", b"other")], [(b"a", b"ok"), (b"b", b"ok")]),
        (["a", "b"], [(b"a", b"no good"), (b"b", b"other")], [(b"a", b"made"), (b"b", b"made")]),
        (["a"], [(b"A", b"one"), (b"a", b"two")], [(b"a", b"made")]),
        (["a"], [(b"A", b"ok"), (b"a", b"ok")], [(b"a", b"ok")]),
    ],
    ids=["absent", "present", "second name", "two names", "unsafe", "two lines", "the same twice"],
)
async def test_request_headers(
    names: Any, headers: list[tuple[bytes, bytes]], inner: list[tuple[bytes, bytes]]
) -> None:
    """The app finds the chosen id in the first of the names, and in each that the client sent; never another value."""
    app = App()
    scope = http_scope(headers=headers)
    given = scope["headers"]
    await drive(CorrelationIdMiddleware(app, header_name=names, generator=lambda: "made"), scope)
    assert sorted(app.scope["headers"]) == sorted(inner)
    assert scope["headers"] is given
    assert given == headers


async def test_request_headers_can_be_left_alone() -> None:
    """The app's request headers are the client's when asked for."""
    app = App()
    scope = http_scope(headers=[(b"x-request-id", b"not good")])
    await drive(CorrelationIdMiddleware(app, update_request_header=False), scope)
    assert app.scope["headers"] is scope["headers"]


async def test_an_unchanged_list_is_passed_on() -> None:
    """Where the client's id is used as it came, no new header list is made."""
    app = App()
    scope = http_scope(headers=[(b"x-request-id", b"ok")])
    await drive(CorrelationIdMiddleware(app), scope)
    assert app.scope["headers"] is scope["headers"]


@pytest.mark.parametrize(
    ("option", "header", "told"),
    [
        ({}, b"x-request-id", [b"ok"]),
        ({"response_header": "X-Ref"}, b"x-ref", [b"ok"]),
        ({"response_header": None}, b"x-request-id", [b"the app's"]),
    ],
    ids=["as the request's", "another", "none"],
)
async def test_response_header(option: dict[str, Any], header: bytes, told: list[bytes]) -> None:
    """The response carries the id on exactly one line, whatever the app put there; or is left alone [3.3]."""
    app = App((b"X-Request-Id", b"the app's"))
    before = list(app.headers)
    result = await http(CorrelationIdMiddleware(app, **option), headers=[(b"x-request-id", b"ok")])
    assert result.header_all(header) == told
    assert app.headers == before


async def test_the_apps_constant_list_does_not_grow() -> None:
    """An app that sends one list for ever never gets anything added to it [3.2]."""
    app = App((b"a", b"1"))
    wrapped = CorrelationIdMiddleware(app)
    for _ in range(3):
        assert len((await http(wrapped)).headers) == 2
    assert app.headers == [(b"a", b"1")]


async def test_state() -> None:
    """The id is written into a copy of the state; where the server gives none, none is made."""
    app, state = App(), {"pool": 1}
    await http(CorrelationIdMiddleware(app), state=state)
    assert state == {"pool": 1}
    assert app.scope["state"]["pool"] == 1
    await http(CorrelationIdMiddleware(app), state=...)
    assert "state" not in app.scope


async def test_websocket() -> None:
    """The accept and the denial carry the id; data messages are left alone."""

    async def chat(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.send", "text": correlation_id.get()})
        await send({"type": "websocket.close"})

    async def refuse(scope: Any, receive: Any, send: Any) -> None:
        await Refusal(403, "no").send(scope, receive, send)

    headers = [(b"x-request-id", b"abc")]
    result = await websocket(CorrelationIdMiddleware(chat), headers=headers)
    assert result.header_all(b"x-request-id") == [b"abc"]
    assert result.messages == ["abc"]
    denied = await websocket(CorrelationIdMiddleware(refuse), headers=headers)
    assert denied.header_all(b"x-request-id") == [b"abc"]
    assert denied.json()["request_id"] == "abc"
    old = {"version": "3.0", "spec_version": "2.0"}
    assert "headers" not in (await websocket(CorrelationIdMiddleware(chat), asgi=old)).sent[0]


async def test_other_scopes_and_exceptions_pass() -> None:
    """Lifespan gets the server's objects; an exception comes out as the same object, and the context is set back."""
    fault = ValueError()
    seen: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope)
        if scope["type"] == "http":
            raise fault

    wrapped = CorrelationIdMiddleware(app)
    result = await lifespan(wrapped)
    assert seen == [result.scope]
    assert "asgi_middleware" not in seen[0]
    assert (await http(wrapped, raise_exceptions=False)).exception is fault
    assert correlation_id.get() is None


async def test_nested() -> None:
    """An inner copy steps aside: the outer one's id holds."""
    app = CorrelationIdMiddleware(CorrelationIdMiddleware(App(), generator=lambda: "inner"), generator=lambda: "outer")
    assert (await http(app)).header_all(b"x-request-id") == [b"outer"]


async def test_inside_a_class_that_follows_the_scope() -> None:
    """A class further out that follows the scope finds what the framework wrote, in the innermost copy."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        scope["path_template"] = "/x"

    scope, exchange = enter(http_scope())
    exchange.follow(scope)
    await drive(CorrelationIdMiddleware(app), scope)
    assert exchange.scope is not None
    assert exchange.scope["path_template"] == "/x"
    assert "path_template" not in scope


async def test_no_circle_keeps_a_request_alive() -> None:
    """The record of a request is freed with it, also where another class has made it that follows no scope."""
    scope, exchange = enter(http_scope())
    alive = weakref.ref(exchange)

    async def swallow(message: Any) -> None:
        pass

    gc.collect()
    gc.disable()
    try:
        await CorrelationIdMiddleware(App())(scope, anyio.sleep_forever, swallow)
        del scope, exchange
        assert alive() is None
    finally:
        gc.enable()


async def test_an_id_given_further_out_is_kept() -> None:
    """An id that stands in the Exchange already is told, not replaced."""
    scope, exchange = enter(http_scope())
    exchange.request_id = "given"
    result = await drive(CorrelationIdMiddleware(App()), scope)
    assert result.header(b"x-request-id") == b"given"


async def test_interleaved() -> None:
    """Requests at the same time keep their ids apart."""
    seen: dict[str, str | None] = {}

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await anyio.sleep(0.01)
        seen[scope["path"]] = correlation_id.get()

    wrapped = CorrelationIdMiddleware(app)
    async with anyio.create_task_group() as group:
        for n in range(4):
            scope = http_scope(path=str(n), headers=[(b"x-request-id", b"id-%d" % n)])
            group.start_soon(drive, wrapped, scope)
    assert seen == {str(n): f"id-{n}" for n in range(4)}


@pytest.mark.parametrize("step", ["logging.request_ids.RequestIds.give", "_core.header_finder.HeaderFinder.pick"])
async def test_fail_open(step: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Should giving the id fail, the request is served all the same, and the failure is counted and told once."""

    def broken(*_: Any) -> Any:
        raise RuntimeError(step)

    wrapped = CorrelationIdMiddleware(App(), update_request_header=False)
    monkeypatch.setattr(f"asgi_middleware.{step}", broken)
    for _ in range(2):
        assert (await http(wrapped, headers=[(b"x-request-id", b"abc")])).status == 200
    assert wrapped.failures == 2
    assert capsys.readouterr().err.count("asgi_middleware:") == 1
    assert correlation_id.get() is None


async def test_fail_open_at_the_response(capsys: pytest.CaptureFixture[str]) -> None:
    """A response start that cannot be read is handed to the server as it is."""
    app = App()
    app.headers = [b"not a pair"]  # type: ignore[list-item]
    wrapped = CorrelationIdMiddleware(app)
    result = await http(wrapped)
    assert result.sent[0]["headers"] == [b"not a pair"]
    assert wrapped.failures == 1
    assert "asgi_middleware:" in capsys.readouterr().err


def test_shape() -> None:
    """The call has the names of the specification, and the options those of asgi-correlation-id."""
    assert inspect.iscoroutinefunction(CorrelationIdMiddleware.__call__)
    assert list(inspect.signature(CorrelationIdMiddleware.__call__).parameters) == ["self", "scope", "receive", "send"]
    options = inspect.signature(CorrelationIdMiddleware).parameters
    theirs = ["header_name", "update_request_header", "generator", "validator", "transformer"]
    assert list(options)[:6] == ["app", *theirs]


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"header_name": "bad name"}, ["header_name"]),
        ({"header_name": []}, ["header_name"]),
        ({"header_name": 7}, ["header_name"]),
        ({"response_header": "a\nb", "generator": "x"}, ["generator", "response_header"]),
        ({"validator": 1, "transformer": 2}, ["validator", "transformer"]),
        ({"update_request_header": "yes", "clear_contextvars": None}, ["update_request_header", "clear_contextvars"]),
    ],
    ids=["name", "no names", "no string", "two", "hooks", "flags"],
)
def test_configuration_errors(options: dict[str, Any], named: list[str]) -> None:
    """Wrong options are told at construction, all at once."""
    with pytest.raises(ConfigurationError) as caught:
        CorrelationIdMiddleware(App(), **options)
    assert [problem.option for problem in caught.value.problems] == named


async def test_lines_of_the_request_carry_the_id() -> None:
    """A plain structlog set-up with merge_contextvars shows the id on every line."""
    written: list[MutableMapping[str, Any]] = []

    def collect(_logger: Any, _name: str, event: MutableMapping[str, Any]) -> str:
        written.append(event)
        raise structlog.DropEvent

    log = structlog.wrap_logger(structlog.PrintLogger(), processors=[structlog.contextvars.merge_contextvars, collect])

    async def app(scope: Any, receive: Any, send: Any) -> None:
        log.info("working")

    await http(CorrelationIdMiddleware(app), headers=[(b"x-request-id", b"abc")])
    log.info("after")
    assert [line.get("request_id") for line in written] == ["abc", None]
