"""Outgoing calls and jobs carry the id and the trace of the request that they are made for."""

from collections.abc import AsyncIterator, Callable, Iterator, MutableMapping
from importlib import import_module
from types import ModuleType
from typing import Any

import pytest
import structlog
from anyio import to_thread

from asgi_middleware._core.config import ConfigurationError
from asgi_middleware._core.exchange import current_exchange
from asgi_middleware.logging import (
    CorrelationIdMiddleware,
    LoggingMiddleware,
    add_request_context,
    aiohttp_trace_config,
    continue_request,
    correlation_id,
    httpx_async_event_hooks,
    httpx_event_hooks,
    inject_headers,
)
from asgi_middleware.logging.trace_context import parse_traceparent
from asgi_middleware.testing import http

pytestmark = pytest.mark.anyio

TRACE = "0af7651916cd43dd8448eb211c80319c"
SPAN = "b7ad6b7169203331"
PARENT = (b"traceparent", f"00-{TRACE}-{SPAN}-01".encode())
STATE = (b"tracestate", b"foo=1,bar=2")
ID = (b"x-request-id", b"abc")

Lines = list[MutableMapping[str, Any]]
Call = Callable[[], Any]


async def serve(handler: Callable[[], Any], *headers: tuple[bytes, bytes], wrapper: Any = LoggingMiddleware) -> None:
    """Run a handler within a request that has these headers."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await handler()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body"})

    await http(wrapper(app), headers=list(headers))


async def injected(*headers: tuple[bytes, bytes], wrapper: Any = LoggingMiddleware, **options: Any) -> dict[str, str]:
    """Give what inject_headers makes within a request that has these headers."""
    made: dict[str, str] = {}

    async def handler() -> None:
        made.update(inject_headers(**options))

    await serve(handler, *headers, wrapper=wrapper)
    return made


class TestInjectHeaders:
    async def test_everything(self, lines: Lines) -> None:
        """Id, trace and tracestate go on, under a parent id that is neither the caller's nor the request's [3.1]."""
        made = await injected(ID, PARENT, STATE)
        assert set(made) == {"X-Request-ID", "traceparent", "tracestate"}
        assert (made["X-Request-ID"], made["tracestate"]) == ("abc", "foo=1,bar=2")
        parent = parse_traceparent([made["traceparent"].encode()])
        assert parent is not None
        assert (parent.trace_id, parent.flags) == (TRACE, 1)
        assert parent.parent_id not in {SPAN, lines[0]["span_id"]}

    async def test_every_call_has_its_own_parent_id(self, lines: Lines) -> None:
        """Each call gets a parent id of its own, and the access line names them, the first 32 [3.1]."""
        made: list[str] = []

        async def handler() -> None:
            made.extend(inject_headers()["traceparent"][36:52] for _ in range(2))
            await to_thread.run_sync(lambda: made.append(inject_headers()["traceparent"][36:52]))

        await serve(handler)
        assert len(set(made)) == 3
        assert lines[0]["child_span_ids"] == made

        async def many() -> None:
            for _ in range(40):
                inject_headers()

        await serve(many)
        assert len(lines[1]["child_span_ids"]) == 32

    async def test_what_is_there_stays(self) -> None:
        """A header that the caller has set stays, in any case; a foreign traceparent keeps its own tracestate alone."""
        given = {"x-request-ID": "mine", "TraceParent": "theirs"}
        assert await injected(ID, PARENT, STATE, headers=dict(given)) == given
        given = {"Tracestate": "orphan=1", "Accept": "text/plain"}
        made = await injected(ID, PARENT, headers=given)
        assert "Tracestate" not in made
        assert made["Accept"] == "text/plain"
        made = await injected(ID, PARENT, STATE, headers={"Tracestate": "orphan=1"})
        assert made["tracestate"] == "foo=1,bar=2"

    async def test_header_name(self) -> None:
        """The id travels under another name, or not at all."""
        assert (await injected(ID, header_name="X-Correlation-ID"))["X-Correlation-ID"] == "abc"
        assert set(await injected(ID, header_name=None)) == {"traceparent"}

    async def test_without_a_trace(self) -> None:
        """Where no trace is kept the id travels alone."""
        assert await injected(ID, PARENT, wrapper=CorrelationIdMiddleware) == {"X-Request-ID": "abc"}

        def untraced(app: Any) -> Any:
            return LoggingMiddleware(app, trace_context="off")

        assert await injected(ID, PARENT, wrapper=untraced) == {"X-Request-ID": "abc"}

    async def test_outside_a_request(self) -> None:
        """Outside a request nothing is added."""
        assert inject_headers() == {}
        given = {"a": "b"}
        assert inject_headers(given) is given
        assert given == {"a": "b"}


class Seen:
    """What a server got."""

    def __init__(self) -> None:
        self.headers: list[dict[str, str]] = []

    def answer(self, module: ModuleType) -> Callable[[Any], Any]:
        """Give the handler of a mock transport; /away redirects to another host, /on to the same."""

        def handler(request: Any) -> Any:
            self.headers.append(dict(request.headers))
            match request.url.path:
                case "/away":
                    return module.Response(302, headers={"location": "http://stranger.example/"})
                case "/on":
                    return module.Response(302, headers={"location": "/"})
            return module.Response(200)

        return handler


@pytest.fixture
def seen() -> Seen:
    """Start with nothing seen."""
    return Seen()


def parent_id(headers: dict[str, str]) -> str:
    """Give the parent id of a call that must be of our trace."""
    parent = parse_traceparent([headers["traceparent"].encode()])
    assert parent is not None
    assert parent.trace_id == TRACE
    return parent.parent_id


class TestHttpx:
    @pytest.fixture(params=["httpx", "httpx2"])
    def module(self, request: pytest.FixtureRequest) -> ModuleType:
        """Give the client's package; the oldest environment has no httpx2, which needs a newer anyio."""
        return import_module(request.param)

    @pytest.fixture
    def get(self, module: ModuleType, seen: Seen) -> Iterator[Callable[..., Any]]:
        """Give a function that makes calls by the synchronous client, as from a thread of the app's."""

        async def get(*urls: str, **options: Any) -> None:
            def calls() -> None:
                transport = module.MockTransport(seen.answer(module))
                hooks = httpx_event_hooks(**options)
                with module.Client(transport=transport, event_hooks=hooks, follow_redirects=True) as client:
                    for url in urls:
                        client.get(url)

            await to_thread.run_sync(calls)

        return get

    @pytest.fixture
    def get_async(self, module: ModuleType, seen: Seen) -> Callable[..., Any]:
        """Give the same with the asynchronous client."""

        async def get(*urls: str, **options: Any) -> None:
            transport = module.MockTransport(seen.answer(module))
            hooks = httpx_async_event_hooks(**options)
            async with module.AsyncClient(transport=transport, event_hooks=hooks, follow_redirects=True) as client:
                for url in urls:
                    await client.get(url)

        return get

    @pytest.fixture(params=["sync", "async"])
    def calls(self, request: pytest.FixtureRequest, get: Any, get_async: Any) -> Callable[..., Any]:
        """Give both, one after the other."""
        return get if request.param == "sync" else get_async

    async def test_calls_carry_id_and_trace(self, calls: Any, seen: Seen) -> None:
        """Each call of a client carries the id, and its own parent id."""
        await serve(lambda: calls("http://stock.example/", "http://stock.example/"), ID, PARENT, STATE)
        assert [headers["x-request-id"] for headers in seen.headers] == ["abc", "abc"]
        assert [headers["tracestate"] for headers in seen.headers] == ["foo=1,bar=2"] * 2
        assert len({parent_id(headers) for headers in seen.headers}) == 2

    async def test_a_redirect_is_a_call_of_its_own(self, calls: Any, seen: Seen) -> None:
        """The request that follows a redirect has one id and one parent, which is new."""
        await serve(lambda: calls("http://stock.example/on"), ID, PARENT)
        assert len({parent_id(headers) for headers in seen.headers}) == 2
        assert [headers["x-request-id"] for headers in seen.headers] == ["abc", "abc"]

    @pytest.mark.parametrize(
        ("hosts", "url", "told"),
        [
            (["stock.example"], "http://stock.example/", [True]),
            (["STOCK.example"], "http://stock.example:8080/", [True]),
            (["*.example"], "http://stock.example/", [True]),
            (["*.stock.example"], "http://stock.example/", [False]),
            (["stock.example"], "http://evilstock.example/", [False]),
            (["*.stock.example"], "http://evilstock.example/", [False]),
            ([], "http://stock.example/", [False]),
            (["stock.example"], "http://stock.example/away", [True, False]),
            (["stock.example"], "http://stock.example/on", [True, True]),
            (["stranger.example"], "http://stock.example/away", [False, True]),
        ],
    )
    async def test_hosts(self, calls: Any, seen: Seen, hosts: list[str], url: str, told: list[bool]) -> None:
        """Only the named hosts get the ids, redirects included."""
        await serve(lambda: calls(url, hosts=hosts), ID, PARENT, STATE)
        names = ("x-request-id", "traceparent", "tracestate")
        assert [[name in headers for name in names] for headers in seen.headers] == [[each] * 3 for each in told]

    async def test_own_headers_survive_a_redirect(self, module: ModuleType, seen: Seen) -> None:
        """A header that the caller of the client has set is never taken off."""
        hooks = httpx_event_hooks(hosts=["stock.example"])

        async def handler() -> None:
            transport = module.MockTransport(seen.answer(module))
            with module.Client(transport=transport, event_hooks=hooks, follow_redirects=True) as client:
                client.get("http://stock.example/away", headers={"X-Request-ID": "mine"})

        await serve(handler, ID)
        assert [headers["x-request-id"] for headers in seen.headers] == ["mine", "mine"]


class TestAiohttp:
    @pytest.fixture
    def anyio_backend(self) -> str:
        """Run on asyncio alone, as aiohttp does."""
        return "asyncio"

    @pytest.fixture
    async def url(self, seen: Seen) -> AsyncIterator[str]:
        """Run a server that notes what it gets; /away redirects to itself under another name."""
        from aiohttp import web
        from aiohttp.test_utils import TestServer

        async def answer(request: web.Request) -> web.Response:
            seen.headers.append({name.lower(): value for name, value in request.headers.items()})
            match request.path:
                case "/away":
                    return web.Response(status=302, headers={"location": f"http://localhost:{request.url.port}/"})
                case "/on":
                    return web.Response(status=302, headers={"location": "/"})
                case "/nowhere":
                    return web.Response(status=302, headers={"location": "http://[/"})
            return web.Response()

        app = web.Application()
        app.router.add_route("*", "/{path:.*}", answer)
        async with TestServer(app, host="127.0.0.1") as server:
            yield str(server.make_url("")).rstrip("/")

    @pytest.fixture
    def get(self, url: str) -> Callable[..., Any]:
        """Give a function that makes calls."""
        import aiohttp

        async def get(*paths: str, **options: Any) -> None:
            config = aiohttp_trace_config(**options)
            async with aiohttp.ClientSession(trace_configs=[config]) as session:
                for path in paths:
                    async with session.get(f"{url}{path}"):
                        pass

        return get

    async def test_calls_carry_id_and_trace(self, get: Any, seen: Seen) -> None:
        """Each call of a session carries the id, and its own parent id."""
        await serve(lambda: get("/", "/"), ID, PARENT, STATE)
        assert [headers["x-request-id"] for headers in seen.headers] == ["abc", "abc"]
        assert [headers["tracestate"] for headers in seen.headers] == ["foo=1,bar=2"] * 2
        assert len({parent_id(headers) for headers in seen.headers}) == 2

    @pytest.mark.parametrize(
        ("hosts", "path", "told"),
        [
            (None, "/on", [True, True]),
            (None, "/away", [True, True]),
            (["127.0.0.1"], "/on", [True, True]),
            (["127.0.0.1"], "/away", [True, False]),
            (["localhost"], "/away", [False, True]),
            (["other"], "/", [False]),
        ],
    )
    async def test_hosts(self, get: Any, seen: Seen, hosts: list[str] | None, path: str, told: list[bool]) -> None:
        """Only the named hosts get the ids, redirects included, each hop under a parent id of its own."""
        await serve(lambda: get(path, hosts=hosts), ID, PARENT, STATE)
        names = ("x-request-id", "traceparent", "tracestate")
        assert [[name in headers for name in names] for headers in seen.headers] == [[each] * 3 for each in told]
        parents = [parent_id(headers) for headers in seen.headers if "traceparent" in headers]
        assert len(set(parents)) == len(parents)

    async def test_a_redirect_to_nowhere(self, get: Any) -> None:
        """A target that is no URL is the client's to refuse."""
        from aiohttp import InvalidURL

        async def handler() -> None:
            with pytest.raises(InvalidURL):
                await get("/nowhere", hosts=["127.0.0.1"])

        await serve(handler, ID)


@pytest.mark.parametrize("make", [httpx_event_hooks, httpx_async_event_hooks, aiohttp_trace_config])
@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"header_name": "a b"}, ["header_name"]),
        ({"hosts": "a.example"}, ["hosts"]),
        ({"hosts": ["https://a.example", "a.*", "*.", ""]}, ["hosts"] * 4),
        ({"header_name": "", "hosts": [1]}, ["header_name", "hosts"]),
    ],
    ids=["name", "string", "no hosts", "both"],
)
def test_configuration_errors(make: Any, options: dict[str, Any], named: list[str]) -> None:
    """Wrong options are told when the hooks are made, all at once."""
    with pytest.raises(ConfigurationError) as caught:
        make(**options)
    assert [problem.option for problem in caught.value.problems] == named


class TestContinueRequest:
    async def test_a_job_goes_on(self) -> None:
        """A worker's log calls carry the request's id and trace, and its own calls pass them on."""
        message = await injected(ID, PARENT, STATE)
        with continue_request({name.upper(): value for name, value in message.items()}) as exchange:
            event = add_request_context(None, "info", {})
            bound = structlog.contextvars.get_contextvars()
            onward = inject_headers()
            assert correlation_id.get() == "abc"
        for found in (event, bound):
            assert (found["request_id"], found["trace_id"]) == ("abc", TRACE)
        assert exchange.trace.parent_id == message["traceparent"][36:52]
        assert onward["X-Request-ID"] == "abc"
        assert onward["tracestate"] == "foo=1,bar=2"
        assert parent_id(dict(onward)) not in {SPAN, exchange.trace.parent_id, exchange.trace.span_id}
        assert (correlation_id.get(), current_exchange.get()) == (None, None)
        assert structlog.contextvars.get_contextvars() == {}

    @pytest.mark.parametrize(
        "headers",
        [{}, {"X-Request-ID": "a b"}, {"x-request-id": "a" * 129, "traceparent": "x", "tracestate": "é=1"}, {"a": 1}],
    )
    async def test_without_good_headers(self, headers: Any) -> None:
        """Without an id and a trace that can be used, both are new."""
        with continue_request(headers) as exchange:
            assert exchange.request_id is not None
            assert len(exchange.request_id) == 32
            assert (exchange.trace.parent_id, exchange.trace.tracestate) == (None, "")

    async def test_header_name(self) -> None:
        """The id is read under the name it was given."""
        with continue_request({"X-Correlation-ID": "abc"}, header_name="x-correlation-id") as exchange:
            assert exchange.request_id == "abc"

    async def test_an_exception_ends_it(self) -> None:
        """A job that fails leaves nothing behind."""
        with pytest.raises(LookupError), continue_request({"X-Request-ID": "abc"}):
            raise LookupError
        assert (correlation_id.get(), current_exchange.get()) == (None, None)

    async def test_within_a_request(self) -> None:
        """Around a job that runs within another request, that one's context comes back."""

        async def handler() -> None:
            with continue_request({"X-Request-ID": "other"}):
                assert correlation_id.get() == "other"
            assert correlation_id.get() == "abc"

        await serve(handler, ID)
