"""What the tables of the order say is so: each pair both ways round, and each clash, with real connections."""

from __future__ import annotations

import gzip
from typing import Any

import anyio
import pytest
import structlog

import asgi_middleware
from asgi_middleware._composition.order import PAIRS, RIVALS, TWICE
from asgi_middleware.problems import Refusal
from asgi_middleware.testing import Result, drive, http, http_scope, websocket, websocket_scope
from asgi_middleware.testing.driver import websocket_script

pytestmark = pytest.mark.anyio

ORIGIN = (b"origin", b"https://app.example")
OTHER = (b"origin", b"https://other.example")
TEXT = b"a long text " * 200
FORWARDED = [(b"x-forwarded-for", b"192.0.2.7"), (b"x-forwarded-proto", b"http")]


class SoldOut(Exception):
    pass


async def app(scope, receive, send) -> None:
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        await receive()
        return
    if scope["path"] == "/open/raise":
        raise SoldOut
    while (await receive()).get("more_body", False):
        pass
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": TEXT})


@pytest.fixture
def ask(wrap):
    """Make a request to two classes around the app, and give the response with the access lines and the counts.

    A request is the keywords of ``http``, or a function that connects to the wrapped app.
    """

    async def ask(*labels, options=None, app=app, request=None):
        wrapped = app
        for label in reversed(labels):
            wrapped = wrap(label, wrapped, **(options or {}).get(label, {}))
        with structlog.testing.capture_logs() as lines:
            if callable(request):
                result = await request(wrapped)
            else:
                result = await http(wrapped, **{"raise_exceptions": False, **(request or {})})
        counted = {
            sample.labels["http_response_status_code"]: sample.value
            for family in wrap.registry.collect()
            for sample in family.samples
            if sample.name in {"http_server_request_duration_seconds_count", "websocket_server_handshakes_total"}
        }
        return result, [line for line in lines if line["event"] in {"http.request", "websocket.session"}], counted

    return ask


async def upload_slowly(wrapped) -> Result:
    """Make a request whose body stops coming after its first byte."""
    scope = http_scope("POST", "/open/slow", headers=[ORIGIN, (b"transfer-encoding", b"chunked")])
    return await drive(wrapped, scope, [{"type": "http.request", "body": b"x", "more_body": True}])


async def connect_from_elsewhere(wrapped) -> Result:
    """Open a WebSocket from a page that may not do so."""
    return await websocket(wrapped, headers=[OTHER, (b"host", b"app.example")])


async def connect_twice(wrapped, first: str = "192.0.2.7", second: str = "192.0.2.7") -> Result:
    """Open two WebSockets through a proxy, and give what became of the second while the first is open."""
    opened, done = anyio.Event(), anyio.Event()

    def scope(client: str) -> dict[str, Any]:
        headers = [(b"x-forwarded-for", client.encode()), (b"x-forwarded-proto", b"http")]
        return websocket_scope("/open/socket", headers=headers, client=("127.0.0.1", 1))

    async def receive() -> dict[str, Any]:
        if not opened.is_set():
            return {"type": "websocket.connect"}
        await done.wait()
        return {"type": "websocket.disconnect", "code": 1000, "reason": ""}

    async def send(message: dict[str, Any]) -> None:
        assert message["type"] == "websocket.accept"
        opened.set()

    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(wrapped, scope(first), receive, send)
            await opened.wait()
            result = await drive(wrapped, scope(second), [*websocket_script([])])
            done.set()
    return result


async def connect_two_clients(wrapped) -> Result:
    """Open two WebSockets of two clients behind one proxy, and give what became of the second."""
    return await connect_twice(wrapped, second="192.0.2.8")


HANDLERS = {"ProblemDetailsMiddleware": {"handlers": {SoldOut: Refusal(409, "sold_out")}}}
REQUESTS = {
    "BodyTimeoutMiddleware": upload_slowly,
    "CORSMiddleware": {"method": "OPTIONS", "headers": [ORIGIN, (b"access-control-request-method", b"PUT")]},
    "CompressionMiddleware": {"headers": [(b"accept-encoding", b"gzip")]},
    "DecompressionMiddleware": {
        "method": "POST",
        "path": "/open/upload",
        "headers": [ORIGIN, (b"content-encoding", b"unknown")],
        "body": b"x",
    },
    "HeaderLimitMiddleware": {"headers": [ORIGIN], "query_string": b"q" * 1_000},
    "JWTAuthMiddleware": {"headers": [ORIGIN]},
    "LoggingMiddleware": {"headers": FORWARDED, "client": ("127.0.0.1", 1)},
    "ProblemDetailsMiddleware": {"path": "/open/raise", "headers": [ORIGIN]},
    "RequestBodyLimitMiddleware": {
        "method": "POST",
        "headers": [ORIGIN, (b"content-length", b"99")],
        "body": b"x" * 99,
    },
    "WebSocketMessageLimitMiddleware": connect_twice,
    "WebSocketOriginMiddleware": connect_from_elsewhere,
}

SMALL_ONCE_INFLATED = {
    "method": "POST",
    "path": "/open/upload",
    "headers": [(b"content-encoding", b"gzip"), (b"content-length", b"%d" % len(gzip.compress(b"tiny")))],
    "body": gzip.compress(b"tiny"),
}


UPLOAD_WITHOUT_A_TOKEN = {
    "method": "POST",
    "path": "/private",
    "headers": [(b"content-encoding", b"gzip"), (b"content-length", b"20")],
    "body": [b"x" * 10] * 2,
}


def has_id(result, lines, counted) -> bool:
    return result.header(b"x-request-id") is not None


def has_line(result, lines, counted) -> bool:
    return result.status in {line.get("status") for line in lines}


def has_line_and_id(result, lines, counted) -> bool:
    return has_line(result, lines, counted) and has_id(result, lines, counted)


def is_counted(result, lines, counted) -> bool:
    return counted.get(str(result.status)) == 1


def is_readable(result, lines, counted) -> bool:
    return result.header(b"access-control-allow-origin") is not None


def is_handled(result, lines, counted) -> bool:
    return result.status == 409


def knows_the_client(result, lines, counted) -> bool:
    return lines[0]["client"] == "192.0.2.7"


def is_accepted(result, lines, counted) -> bool:
    return result.types == ["websocket.accept"]


def is_bounded(result, lines, counted) -> bool:
    return result.status == 413


def lets_the_upload_end(result, lines, counted) -> bool:
    assert result.status == 401
    return result.received == 2


def has_its_own_header(result, lines, counted) -> bool:
    return result.header(b"x-trace-key") is not None


def counts_what_is_sent(result, lines, counted) -> bool:
    assert len(result.body) < len(TEXT)
    return lines[0]["response_bytes"] == len(result.body)


NOT_HANDLED = "a 500 of %s own: handlers and debug have no effect"
PROBES = {
    "browsers will report refusals as network errors": is_readable,
    "browsers will report its answers as network errors": is_readable,
    "what it refuses has no request id": has_id,
    "its answers have no request id in their head": has_id,
    "what it refuses has no access line and no request id": has_line_and_id,
    "its answers have no request id in their head, and the line has no status": has_line_and_id,
    "the preflights it answers have no access line": has_line,
    "the access line counts bytes before compression": counts_what_is_sent,
    "the preflights it answers are not counted": is_counted,
    "what it refuses is not counted": is_counted,
    "an exception counts as a 500, whatever its handlers answer": is_counted,
    f"CORSMiddleware answers an exception first, with {NOT_HANDLED % 'its'}": is_handled,
    f"Starlette and FastAPI answer an exception first, with {NOT_HANDLED % 'their'}": is_handled,
    "the access line names the proxy as the client": knows_the_client,
    "what comes in is not bounded, only what it inflates to": is_bounded,
    "a client that uploads without a token may miss the 401": lets_the_upload_end,
    "where it counts connections, every client has the proxy's address": is_accepted,
    "the request has its id by then, so that CorrelationIdMiddleware does nothing": has_its_own_header,
}


def request_of(pair):
    special = {
        is_accepted: connect_two_clients,
        is_bounded: SMALL_ONCE_INFLATED,
        lets_the_upload_end: UPLOAD_WITHOUT_A_TOKEN,
    }
    return special.get(PROBES[pair.reason], REQUESTS[pair.inner])


def options_of(pair):
    if (pair.outer, pair.inner) == ("CorrelationIdMiddleware", "LoggingMiddleware"):
        return {"CorrelationIdMiddleware": {"header_name": "X-Trace-Key"}}
    return HANDLERS


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: f"{pair.outer}-{pair.inner}")
async def test_the_reason_of_a_pair_is_true(pair, ask):
    """What the table says about the wrong order does not happen in the right one."""
    shown = await ask(pair.outer, pair.inner, options=options_of(pair), request=request_of(pair))
    assert PROBES[pair.reason](*shown)


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: f"{pair.outer}-{pair.inner}")
async def test_the_wrong_order_has_the_consequence(pair, ask):
    """With the two classes swapped, the same request shows what the table warns of."""
    shown = await ask(pair.inner, pair.outer, options=options_of(pair), request=request_of(pair))
    assert not PROBES[pair.reason](*shown)


def test_no_probe_is_left_over():
    """Each probe belongs to a reason in the table."""
    assert {pair.reason for pair in PAIRS} == set(PROBES)


async def test_two_access_loggers_write_one_line(ask, wrap):
    """Of two copies the outer one writes the line and gives the id; the inner one's options have no effect [TWICE]."""
    from asgi_middleware.logging import Correlation

    inner = wrap("LoggingMiddleware", app, correlation=Correlation(header_name="X-Inner"))
    result, lines, _ = await ask("LoggingMiddleware", app=inner)
    assert len(lines) == 1
    assert result.header(b"x-inner") is None


async def test_two_correlation_ids_are_one(ask, wrap):
    """The header that the inner copy would set is not there [TWICE]."""
    inner = wrap("CorrelationIdMiddleware", app, header_name="X-Inner")
    result, _, _ = await ask("CorrelationIdMiddleware", app=inner)
    assert result.header(b"x-request-id") is not None
    assert result.header(b"x-inner") is None


async def test_two_recorders_count_once(ask):
    """Two copies on one registry count a request once [TWICE]."""
    _, _, counted = await ask("PrometheusMiddleware", "PrometheusMiddleware")
    assert counted == {"200": 1}


async def test_two_server_timings_are_one(ask, wrap):
    """The header has the names of the outer copy alone [TWICE]."""
    inner = wrap("ServerTimingMiddleware", app, total="inner")
    result, _, _ = await ask("ServerTimingMiddleware", app=inner)
    [timing] = result.header_all(b"server-timing")
    assert b"inner" not in timing


async def test_two_compressors_compress_once(ask, wrap):
    """One of the two encodes a body; inside a class that logs, what the outer one leaves plain stays plain [TWICE]."""
    inner = wrap("CompressionMiddleware", app)
    accepting = {"headers": [(b"accept-encoding", b"gzip")]}
    result, _, _ = await ask("CompressionMiddleware", app=inner, request=accepting)
    assert result.header_all(b"content-encoding") == [b"gzip"]
    assert gzip.decompress(result.body) == TEXT
    outer = {"CompressionMiddleware": {"exclude_content_types": ["text/plain"]}}
    labels = ("LoggingMiddleware", "CompressionMiddleware")
    result, _, _ = await ask(*labels, app=inner, options=outer, request=accepting)
    assert result.header(b"content-encoding") is None


async def test_of_two_cors_policies_the_outer_one_counts(ask, wrap):
    """An origin that only the inner policy allows gets no CORS headers, and its preflight is refused [TWICE]."""
    inner = wrap("CORSMiddleware", app, allow_origins=["https://other.example"])
    result, _, _ = await ask("CORSMiddleware", app=inner, request={"headers": [OTHER]})
    assert result.header(b"access-control-allow-origin") is None
    preflight = {"method": "OPTIONS", "headers": [OTHER, (b"access-control-request-method", b"PUT")]}
    result, _, _ = await ask("CORSMiddleware", app=inner, request=preflight)
    assert result.status == 403


CODINGS = {
    "GZipMiddleware (starlette)": b"gzip",
    "CompressionMiddleware (litestar)": b"gzip",
    "BrotliMiddleware (brotli_asgi)": b"br",
    "CompressMiddleware (starlette_compress)": b"gzip",
}


@pytest.mark.may_skip("some peers are installed for the benchmarks only")
@pytest.mark.parametrize("label", sorted(CODINGS))
async def test_of_two_compressors_the_inner_one_encodes(label, ask):
    """Whichever is inside, a body is encoded once, and the outer one finds nothing to do [RIVALS]."""
    pytest.importorskip(label.partition("(")[2].rstrip(")"))
    coding = CODINGS[label]
    request = {"headers": [(b"accept-encoding", coding)]}
    for labels in (("CompressionMiddleware", label), (label, "CompressionMiddleware")):
        result, _, _ = await ask(*labels, request=request)
        assert result.header_all(b"content-encoding") == [coding]


def cors_pairs(wrap):
    """Our class outside and inside Starlette's and Litestar's; the outer one allows ORIGIN, the inner one OTHER."""
    from litestar import Litestar, get
    from litestar.config.cors import CORSConfig
    from litestar.middleware import DefineMiddleware

    @get("/")
    async def hello() -> str:
        return "hello"

    ours, theirs = "CORSMiddleware", "CORSMiddleware (starlette)"
    outer, inner = ["https://app.example"], ["https://other.example"]
    inside = DefineMiddleware(asgi_middleware.CORSMiddleware, allow_origins=inner)
    return {
        "outside-starlette": wrap(ours, wrap(theirs, app, allow_origins=inner), allow_origins=outer),
        "inside-starlette": wrap(theirs, wrap(ours, app, allow_origins=inner), allow_origins=outer),
        "outside-litestar": wrap(ours, Litestar([hello], cors_config=CORSConfig(inner)), allow_origins=outer),
        "inside-litestar": Litestar([hello], cors_config=CORSConfig(outer), middleware=[inside]),
    }


@pytest.mark.parametrize("which", ["outside-starlette", "inside-starlette", "outside-litestar", "inside-litestar"])
async def test_two_cors_classes_are_two_policies(which, wrap):
    """The outer one alone answers preflights: what only the inner one allows is refused [RIVALS]."""
    preflight = [OTHER, (b"access-control-request-method", b"PUT")]
    result = await http(cors_pairs(wrap)[which], "OPTIONS", headers=preflight)
    assert result.status in {400, 403}


@pytest.mark.may_skip("asgi-correlation-id is installed for the benchmarks only")
@pytest.mark.parametrize("ours", ["CorrelationIdMiddleware", "LoggingMiddleware"])
async def test_two_makers_of_ids_do_not_agree(ours, ask):
    """With the foreign class outside the header is there twice; with it inside its logs have another id [RIVALS]."""
    foreign = "CorrelationIdMiddleware (asgi_correlation_id)"
    logged = pytest.importorskip("asgi_correlation_id").correlation_id
    result, _, _ = await ask(foreign, ours)
    assert len(result.header_all(b"x-request-id")) == 2

    async def tells(scope, receive, send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": logged.get().encode()})

    result, _, _ = await ask(ours, foreign, app=tells, request={"headers": [(b"x-request-id", b"a-client-s-id")]})
    assert result.header(b"x-request-id") == b"a-client-s-id"
    assert result.body != b"a-client-s-id"


def test_every_clash_has_its_test():
    """The tables of clashes name no two classes whose consequence is not shown above."""
    assert {clash.first for clash in TWICE} == {
        "CORSMiddleware",
        "CompressionMiddleware",
        "CorrelationIdMiddleware",
        "LoggingMiddleware",
        "PrometheusMiddleware",
        "ServerTimingMiddleware",
    }
    assert {(clash.first, clash.second) for clash in RIVALS} == {
        *(("CompressionMiddleware", label) for label in CODINGS),
        ("CORSMiddleware", "CORSMiddleware (litestar)"),
        ("CORSMiddleware", "CORSMiddleware (starlette)"),
        ("CorrelationIdMiddleware", "CorrelationIdMiddleware (asgi_correlation_id)"),
        ("LoggingMiddleware", "CorrelationIdMiddleware (asgi_correlation_id)"),
    }
