"""ProblemDetailsMiddleware: logging, debug mode, transparency and options."""

import gc
import inspect
import logging
import weakref
from contextlib import suppress
from typing import Any

import anyio
import pytest
from raising import raising
from structlog.testing import capture_logs

from asgi_middleware._core.config import ConfigurationError
from asgi_middleware._core.exchange import enter
from asgi_middleware.logging import LoggingMiddleware
from asgi_middleware.problems import ProblemDetailsMiddleware, Refusal
from asgi_middleware.testing import drive, http, http_scope, lifespan, websocket

pytestmark = pytest.mark.anyio

START: dict[str, Any] = {"type": "http.response.start", "status": 200, "headers": []}

FAULT = RuntimeError("db://user:CANARY@host")


class SoldOut(Exception):
    pass


class TestLogging:
    async def test_one_line(self, errors: pytest.LogCaptureFixture) -> None:
        """With a LoggingMiddleware outside, the access line has the exception and nobody else has [3.5]."""
        with capture_logs() as lines:
            await http(LoggingMiddleware(ProblemDetailsMiddleware(raising(FAULT))))
        [line] = lines
        assert (line["outcome"], line["status"], line["error_type"]) == ("error", 500, "RuntimeError")
        assert "raise error" in line["exception"]
        assert errors.records == []

    async def test_reraised_is_one_line(self, errors: pytest.LogCaptureFixture) -> None:
        """With `reraise` the same exception goes on, and the access line still has it once."""
        with capture_logs() as lines:
            result = await http(
                LoggingMiddleware(ProblemDetailsMiddleware(raising(FAULT), reraise=True)), raise_exceptions=False
            )
        assert result.exception is FAULT
        assert result.status == 500
        assert len(lines) == 1
        assert errors.records == []

    async def test_without_a_line(self, errors: pytest.LogCaptureFixture) -> None:
        """Without one the exception goes to the room's own logger, with its traceback and no text of the request."""
        await http(ProblemDetailsMiddleware(raising(FAULT)), path="/CANARY\n")
        [record] = errors.records
        assert (record.name, record.levelname) == ("asgi_middleware.problems", "ERROR")
        assert record.exc_info is not None
        assert record.exc_info[1] is FAULT
        assert record.getMessage() == "unhandled exception, request id -"

    async def test_noted_in_the_exchange(self, errors: pytest.LogCaptureFixture) -> None:
        """A logging class further out finds the exception and the refusal in the Exchange."""
        scope, exchange = enter(http_scope())
        exchange.claim("logging")
        await drive(ProblemDetailsMiddleware(raising(FAULT)), scope)
        assert exchange.error is FAULT
        assert exchange.refusal is not None
        assert exchange.refusal.status == 500

    async def test_what_is_not_noted(self, errors: pytest.LogCaptureFixture) -> None:
        """Where nobody logs, the exception is not kept; where the app has answered, no refusal is."""
        scope, exchange = enter(http_scope())
        await drive(ProblemDetailsMiddleware(raising(FAULT)), scope)
        assert exchange.error is None
        assert exchange.refusal is not None
        exchange.refusal = None
        await drive(ProblemDetailsMiddleware(raising(FAULT, START, {"type": "http.response.body"})), scope)
        assert exchange.refusal is None

    @pytest.mark.parametrize("reraise", [False, True])
    @pytest.mark.parametrize("logged", [False, True], ids=["alone", "logged"])
    async def test_no_circle(self, reraise: bool, logged: bool, monkeypatch: pytest.MonkeyPatch) -> None:
        """An exception that was answered is freed with its request, without the garbage collector."""
        alive: list[weakref.ref[Any]] = []

        class Watched:
            """Whatever hangs on the scope."""

        async def app(scope: Any, receive: Any, send: Any) -> None:
            alive.append(weakref.ref(scope["watched"]))
            raise SoldOut

        async def discard(message: Any) -> None:
            pass

        wrapped: Any = ProblemDetailsMiddleware(app, reraise=reraise)
        monkeypatch.setattr(logging.getLogger("asgi_middleware.problems"), "disabled", True)  # pytest keeps records
        gc.collect()
        gc.disable()
        try:
            with capture_logs(), suppress(SoldOut):
                outermost: Any = LoggingMiddleware(wrapped) if logged else wrapped
                await outermost(http_scope() | {"watched": Watched()}, anyio.sleep_forever, discard)
            assert alive[0]() is None
        finally:
            gc.enable()


class TestDebug:
    async def test_traceback(self, errors: pytest.LogCaptureFixture) -> None:
        """Debug mode shows the traceback, and is loud about being one [3.5]."""
        app = ProblemDetailsMiddleware(raising(FAULT), debug=True)
        assert "never use it in production" in errors.records[0].getMessage()
        result = await http(app)
        document = result.json()
        assert document["traceback"][0] == "Traceback (most recent call last):"
        assert document["traceback"][-1] == "RuntimeError: db://user:CANARY@host"
        assert (document["status"], result.status) == (500, 500)
        assert result.header_all(b"content-length") == [str(len(result.body)).encode()]
        assert result.header(b"content-type") == b"application/problem+json"
        head = await http(app, "HEAD")
        assert (head.body, head.status) == (b"", 500)

    async def test_expected_ones_stay_short(self, errors: pytest.LogCaptureFixture) -> None:
        """An expected exception is answered as always, a WebSocket too."""
        app = ProblemDetailsMiddleware(raising(SoldOut()), debug=True, handlers={SoldOut: Refusal(409, "sold_out")})
        assert "traceback" not in (await http(app)).json()
        assert "traceback" not in (await websocket(ProblemDetailsMiddleware(raising(FAULT), debug=True))).json()

    async def test_refusal_is_noted(self, errors: pytest.LogCaptureFixture) -> None:
        """The Exchange says the same in debug mode."""
        scope, exchange = enter(http_scope())
        exchange.claim("logging")
        await drive(ProblemDetailsMiddleware(raising(FAULT), debug=True), scope)
        assert exchange.refusal is not None
        assert exchange.error is FAULT


class TestTransparency:
    async def test_other_scopes(self) -> None:
        """Lifespan gets the server's own objects, and its exception goes on: servers read it."""
        seen: list[Any] = []

        async def app(*given: Any) -> None:
            seen.extend(given)
            raise FAULT.with_traceback(None)

        result = await lifespan(ProblemDetailsMiddleware(app), raise_exceptions=False)
        assert seen[0] is result.scope
        assert result.exception is FAULT
        assert result.sent == []

    async def test_messages_pass(self) -> None:
        """Messages pass both ways as the same objects, unknown ones too."""
        sent = [
            {"type": "http.response.early_hint", "links": []},
            START,
            {"type": "http.response.body", "body": b"x", "more_body": False, "extra": 1},
            {"type": "future"},
        ]
        came: list[dict[str, Any]] = [{"type": "http.request", "body": b"", "extra": 1}, {"type": "future"}]

        async def app(scope: Any, receive: Any, send: Any) -> None:
            for message in came:
                assert await receive() is message
            for message in sent:
                await send(message)

        result = await drive(ProblemDetailsMiddleware(app), http_scope(), came)
        assert [id(message) for message in result.sent] == [id(message) for message in sent]

    async def test_scope_is_shared(self) -> None:
        """The app gets the very scope, which stays as it was."""
        scope = http_scope()
        before = dict(scope)

        async def app(inner: Any, receive: Any, send: Any) -> None:
            assert inner is scope
            await send(START)
            await send({"type": "http.response.body"})

        await drive(ProblemDetailsMiddleware(app), scope)
        assert scope == before

    async def test_nested(self, errors: pytest.LogCaptureFixture) -> None:
        """Of two copies the inner one answers."""
        result = await http(ProblemDetailsMiddleware(ProblemDetailsMiddleware(raising(FAULT))))
        assert len(result.sent) == 2
        assert len(errors.records) == 1


async def test_starlette_answers_first(errors: pytest.LogCaptureFixture) -> None:
    """Starlette sends its own 500 and raises then: the client gets that one, the log one traceback [3.5]."""
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import Route

    async def boom(request: Request) -> Response:
        raise FAULT.with_traceback(None)

    app = Starlette(routes=[Route("/", boom)])
    with capture_logs() as lines:
        result = await http(LoggingMiddleware(ProblemDetailsMiddleware(app)))
    assert (result.status, result.body) == (500, b"Internal Server Error")
    assert [(line["outcome"], line["status"], line["error_type"]) for line in lines] == [("error", 500, "RuntimeError")]
    inside = Starlette(routes=[Route("/", boom)])
    inside.add_middleware(ProblemDetailsMiddleware)
    result = await http(inside)
    assert result.json()["reason"] == "internal_error"


def test_shape() -> None:
    """The call has the names of the specification."""
    assert inspect.iscoroutinefunction(ProblemDetailsMiddleware.__call__)
    assert list(inspect.signature(ProblemDetailsMiddleware.__call__).parameters) == ["self", "scope", "receive", "send"]


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"debug": "no", "reraise": 1}, ["debug", "reraise"]),
        ({"handlers": [SoldOut]}, ["handlers"]),
        ({"handlers": {"SoldOut": Refusal(409, "x")}}, ["handlers"]),
        ({"handlers": {BaseException: Refusal(409, "x")}}, ["handlers"]),
        ({"handlers": {SoldOut: 409, KeyError: Refusal}}, ["handlers", "handlers"]),
    ],
    ids=["flags", "list", "name for class", "no Exception", "wrong values"],
)
def test_configuration_errors(options: dict[str, Any], named: list[str]) -> None:
    """Wrong options are told at construction, all at once."""
    with pytest.raises(ConfigurationError) as caught:
        ProblemDetailsMiddleware(raising(FAULT), **options)
    assert [problem.option for problem in caught.value.problems] == named
