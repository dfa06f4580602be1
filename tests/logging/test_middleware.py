"""LoggingMiddleware's ids and options."""

import re
from collections.abc import MutableMapping
from typing import Any

import pytest
import structlog
from small_apps import echo, hello

from asgi_middleware._core.config import ConfigurationError
from asgi_middleware._core.exchange import enter, exchange_of
from asgi_middleware._core.refusals import Refusal
from asgi_middleware.logging import (
    Correlation,
    CorrelationIdMiddleware,
    Ending,
    LoggingMiddleware,
    Redaction,
    TraceContext,
)
from asgi_middleware.testing import drive, http, http_scope, websocket

pytestmark = pytest.mark.anyio

Lines = list[MutableMapping[str, Any]]


class TestIds:
    async def test_everywhere(self, lines: Lines) -> None:
        """The id is in headers, state, Exchange and response, and the trace context goes on [3.1, 3.2]."""
        trace = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
        seen: list[Any] = []

        async def app(scope: Any, receive: Any, send: Any) -> None:
            exchange = exchange_of(scope)
            assert exchange is not None
            seen.append((dict(scope["headers"])[b"x-request-id"], scope["state"]["request_id"], exchange.request_id))
            seen.append(exchange.trace)
            await hello(scope, receive, send)

        result = await http(LoggingMiddleware(app), headers=[(b"traceparent", trace)])
        request_id = lines[0]["request_id"]
        assert re.fullmatch("[0-9a-f]{32}", request_id)
        assert seen[0] == (request_id.encode(), request_id, request_id)
        assert result.header(b"x-request-id") == request_id.encode()
        assert lines[0]["trace_id"] == seen[1].trace_id == "0af7651916cd43dd8448eb211c80319c"
        assert lines[0]["parent_span_id"] == "b7ad6b7169203331"
        assert lines[0]["span_id"] == seen[1].span_id

    @pytest.mark.parametrize("wrap", [LoggingMiddleware, CorrelationIdMiddleware])
    @pytest.mark.parametrize("headers", [[], [(b"x-request-id", b"abc")]], ids=["made", "taken"])
    async def test_state(self, wrap: Any, headers: Any) -> None:
        """The id is in a copy of the server's state, an empty one too; where the server gives none, none is made."""
        seen: list[Any] = []

        async def app(scope: Any, receive: Any, send: Any) -> None:
            seen.append((exchange_of(scope), scope.get("state")))
            await hello(scope, receive, send)

        empty: dict[str, Any] = {}
        for state in (empty, None, ...):
            await http(wrap(app), headers=headers, state=state)
        (exchange, state), (_, nothing), (_, absent) = seen
        assert state == {"request_id": exchange.request_id}
        assert (empty, nothing, absent) == ({}, None, None)

    async def test_trace_off(self, lines: Lines) -> None:
        """Without trace context there are no trace fields."""
        await http(LoggingMiddleware(hello, trace_context="off"))
        assert not {"trace_id", "span_id", "parent_span_id"} & set(lines[0])

    async def test_response_header_can_be_left_out(self, lines: Lines) -> None:
        """Without a response header the id is still given and logged."""
        result = await http(LoggingMiddleware(hello, correlation=Correlation(response_header=None)))
        assert result.header(b"x-request-id") is None
        assert lines[0]["request_id"]

    async def test_ids_given_further_out_are_kept(self, lines: Lines) -> None:
        """Ids that stand in the Exchange already are used."""
        scope, exchange = enter(http_scope())
        exchange.request_id, exchange.trace = "given", TraceContext("1" * 32, "2" * 16)
        await drive(LoggingMiddleware(hello), scope)
        assert (lines[0]["request_id"], lines[0]["trace_id"]) == ("given", "1" * 32)

    async def test_correlation_options(self, lines: Lines) -> None:
        """The id's header names and hooks are options."""
        app = LoggingMiddleware(
            hello,
            correlation=Correlation(header_name=["X-Trace", "X-Req"], response_header="X-Ref", transformer=str.upper),
        )
        result = await http(app, headers=[(b"x-req", b"abc")])
        assert result.header(b"x-ref") == b"ABC"
        assert lines[0]["request_id"] == "ABC"

    @pytest.mark.parametrize("alone", [False, True])
    @pytest.mark.parametrize(
        ("options", "sent", "pattern"),
        [
            ({"transformer": lambda chosen: f"mine-{chosen}"}, None, b"mine-[0-9a-f]{32}"),
            ({"transformer": lambda chosen: f"mine-{chosen}"}, b"theirs", b"mine-theirs"),
            ({"validator": lambda offered: offered != "theirs"}, b"theirs", b"[0-9a-f]{32}"),
            ({"generator": lambda: "made"}, None, b"made"),
        ],
        ids=["transformed", "theirs transformed", "not valid", "made"],
    )
    async def test_hooks_are_asked(self, options: Any, sent: Any, pattern: bytes, alone: bool) -> None:
        """Each hook is asked also where it is the only one, of ids that came and of those that were made here."""
        wrapped: Any = CorrelationIdMiddleware(hello, **options)
        if not alone:
            wrapped = LoggingMiddleware(hello, correlation=Correlation(**options))
        result = await http(wrapped, headers=[] if sent is None else [(b"x-request-id", sent)])
        [told] = result.header_all(b"x-request-id")
        assert re.fullmatch(pattern, told)
        assert wrapped.failures == 0

    async def test_with_correlation_middleware_outside(self, lines: Lines) -> None:
        """Where a CorrelationIdMiddleware stands outside, its id is used and its header told once."""
        app = CorrelationIdMiddleware(LoggingMiddleware(hello), header_name="X-Outer", generator=lambda: "outer")
        result = await http(app)
        assert lines[0]["request_id"] == "outer"
        assert result.header_all(b"x-outer") == [b"outer"]
        assert result.header_all(b"x-request-id") == []

    async def test_with_correlation_middleware_inside(self, lines: Lines) -> None:
        """Where it stands inside, it steps aside."""
        result = await http(LoggingMiddleware(CorrelationIdMiddleware(hello, generator=lambda: "inner")))
        assert lines[0]["request_id"] != "inner"
        assert result.header_all(b"x-request-id") == [lines[0]["request_id"].encode()]

    @pytest.mark.parametrize(("version", "told"), [("2.3", True), ("2.0", False)])
    async def test_websocket_accept(self, version: str, told: bool) -> None:
        """The accept carries the id where the server takes headers there."""
        result = await websocket(LoggingMiddleware(echo), asgi={"version": "3.0", "spec_version": version})
        assert (result.header(b"x-request-id") is not None) is told
        assert ("headers" in result.sent[0]) is told

    async def test_websocket_denial(self) -> None:
        """A denial response carries the id."""

        async def app(scope: Any, receive: Any, send: Any) -> None:
            await Refusal(401, "no").send(scope, receive, send)

        result = await websocket(LoggingMiddleware(app))
        assert result.header(b"x-request-id") == result.json()["request_id"].encode()


class TestChoices:
    @pytest.mark.parametrize(
        ("path", "status", "raises", "written"),
        [
            ("/health", 200, False, False),
            ("/health", 503, False, True),
            ("/health", 404, False, True),
            ("/health", 200, True, True),
            ("/healthz", 200, False, True),
            ("//health", 200, False, True),
            ("/static/a/b.css", 200, False, False),
        ],
    )
    async def test_excluded_paths(self, path: str, status: int, raises: bool, written: bool, lines: Lines) -> None:
        """An excluded path is not logged unless it fails; it gets its id all the same [3.4]."""

        async def app(scope: Any, receive: Any, send: Any) -> None:
            await send({"type": "http.response.start", "status": status, "headers": []})
            await send({"type": "http.response.body"})
            if raises:
                raise ValueError

        wrapped = LoggingMiddleware(app, exclude_paths=["/health", "/static/**"])
        result = await http(wrapped, path=path, raise_exceptions=False)
        assert bool(lines) is written
        assert result.header(b"x-request-id")

    async def test_excluded_paths_are_remembered_for_what_they_are(self, lines: Lines) -> None:
        """A path that was excluded once is so again, but not by another method or reading, nor where it fails."""
        status = 200

        async def app(scope: Any, receive: Any, send: Any) -> None:
            await send({"type": "http.response.start", "status": status, "headers": []})
            await send({"type": "http.response.body"})

        wrapped = LoggingMiddleware(app, exclude_paths=["GET /health", "/static/**"])
        for number in range(600):
            await http(wrapped, path=f"/static/{number}")
        for _ in range(2):
            await http(wrapped, path="/health")
            await http(wrapped, path="/static/" + "x" * 5000)
        assert lines == []
        await http(wrapped, "POST", path="/health")
        await http(wrapped, path="/health", raw_path=b"/%68ealth")
        await http(wrapped, path="/health", root_path="/health")
        status = 503
        await http(wrapped, path="/health")
        assert [(line["method"], line["status"]) for line in lines] == [
            ("POST", 200),
            ("GET", 200),
            ("GET", 200),
            ("GET", 503),
        ]
        assert len(wrapped._log._excluded) <= 256
        assert max(map(len, wrapped._log._excluded)) <= 256

    async def test_level_hook(self, lines: Lines) -> None:
        """The level can be chosen from how the request ended."""
        seen: list[Ending] = []

        def level(ending: Ending) -> str:
            seen.append(ending)
            return "debug"

        await http(LoggingMiddleware(hello, level=level))
        assert lines[0]["log_level"] == "debug"
        assert (seen[0].outcome, seen[0].status, seen[0].error) == ("ok", 200, None)
        assert seen[0].duration >= 0

    @pytest.mark.parametrize("answer", ["loud", None, 7, []])
    async def test_level_rubbish(self, answer: Any, lines: Lines, capsys: pytest.CaptureFixture[str]) -> None:
        """A hook that gives no level is passed over."""
        wrapped = LoggingMiddleware(hello, level=lambda _: answer)
        await http(wrapped)
        assert lines[0]["log_level"] == "info"
        assert wrapped.failures == 1
        assert "asgi_middleware:" in capsys.readouterr().err

    async def test_filtered_lines_are_not_built(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Where the level is filtered out, no event is built."""
        written: list[Any] = []

        def collect(_logger: Any, _name: str, event: Any) -> str:
            written.append(event)
            raise structlog.DropEvent

        quiet = structlog.wrap_logger(
            structlog.PrintLogger(),
            processors=[collect],
            wrapper_class=structlog.make_filtering_bound_logger("warning"),
        )
        wrapped = LoggingMiddleware(hello, logger=quiet)
        monkeypatch.setattr(
            "asgi_middleware.logging.access_event.AccessEvents.describe", lambda *_, **__: pytest.fail("was built")
        )
        await http(wrapped)
        assert written == []
        assert wrapped.failures == 0

    async def test_loggers_of_every_kind(self, logging_state: None, caplog: pytest.LogCaptureFixture) -> None:
        """The standard library's loggers behind structlog serve as well, bound or generic, and their level is asked."""
        import logging

        for kind in (structlog.stdlib.BoundLogger, structlog.BoundLogger):
            caplog.clear()
            standard = logging.getLogger("tests.access")
            logger = structlog.wrap_logger(
                standard, processors=[structlog.stdlib.render_to_log_kwargs], wrapper_class=kind
            )
            wrapped = LoggingMiddleware(hello, logger=logger)
            with caplog.at_level("INFO"):
                await http(wrapped)
            with caplog.at_level("ERROR"):
                await http(wrapped)
            assert [record.getMessage() for record in caplog.records] == ["http.request"]
            assert caplog.records[0].__dict__["status"] == 200
            assert wrapped.failures == 0


def test_configuration_errors() -> None:
    """Wrong options are all told at once, at construction."""
    import logging

    wrong: dict[str, Any] = {
        "logger": logging.getLogger(),
        "correlation": Correlation(header_name=["bad name", "ok"], generator=7, response_header="a b"),  # type: ignore[arg-type]
        "trace_context": "maybe",
        "exclude_paths": "/health",
        "request_headers": "accept",
        "response_headers": ["a:b"],
        "redaction": Redaction(query="hide", max_length=0, parameters="token", replacement="\n"),  # type: ignore[arg-type]
        "level": "info",
        "clear_contextvars": 1,
    }
    with pytest.raises(ConfigurationError) as caught:
        LoggingMiddleware(hello, **wrong)
    options = [problem.option for problem in caught.value.problems]
    assert options == [
        "logger",
        "correlation.header_name",
        "correlation.generator",
        "correlation.response_header",
        "trace_context",
        "exclude_paths",
        "request_headers",
        "response_headers",
        "redaction.query",
        "redaction.parameters",
        "redaction.max_length",
        "redaction.replacement",
        "level",
        "clear_contextvars",
    ]


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"correlation": None}, "correlation"),
        ({"redaction": {}}, "redaction"),
        ({"correlation": Correlation(header_name=[])}, "correlation.header_name"),
        ({"correlation": Correlation(header_name="")}, "correlation.header_name"),
    ],
    ids=["no group", "dict for group", "no names", "empty name"],
)
def test_configuration_error(options: dict[str, Any], named: str) -> None:
    """A wrong group, and an empty list of names, are told as such."""
    with pytest.raises(ConfigurationError) as caught:
        LoggingMiddleware(hello, **options)
    assert [problem.option for problem in caught.value.problems] == [named]
