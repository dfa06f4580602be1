"""Every framework with the whole stack, in every case of the table in `expectations.py`."""

import gzip

import pytest
from expectations import CASES, Cell, expected
from harness import Service, running, serving
from services.common import LIMIT, ORIGIN, PAGE, SECRET

from asgi_middleware._core.exchange import current_exchange
from asgi_middleware.testing import Result

# The whole stack outside of Starlette is what some tests are about; test_table.py says where it is warned about.
pytestmark = [pytest.mark.anyio, pytest.mark.filterwarnings("ignore::asgi_middleware.OrderWarning")]


async def test_http(framework: str, way: str, http_case: str) -> None:
    """Status, log lines, metrics and headers are those of the table, and agree with each other."""
    cell = expected(http_case, framework, way)
    assert isinstance(cell, Cell)
    with serving(framework, way) as service:
        async with running(service.app):
            result = await service.request(CASES[http_case])
            await service.settled(len(cell.works))
        assert result.exception is None
        assert result.status == cell.status
        check_framing(result, head=CASES[http_case].method == "HEAD")
        if not cell.seen:
            assert service.access == []
            return
        check_log(service, result, cell)
        check_metrics(service, CASES[http_case].method, cell)
        assert result.header_all(b"access-control-allow-origin") == [ORIGIN.encode()]
        check_body(http_case, result, cell)
        assert current_exchange.get() is None


def check_framing(result: Result, *, head: bool) -> None:
    """One length that is right, one coding, each member of Vary once [19]."""
    lengths = result.header_all(b"content-length")
    assert len(lengths) <= 1
    if lengths and not head:
        assert int(lengths[0]) == len(result.body)
    assert len(result.header_all(b"content-encoding")) <= 1
    vary = [member.strip().lower() for line in result.header_all(b"vary") for member in line.split(b",")]
    assert len(vary) == len(set(vary))


def check_log(service: Service, result: Result, cell: Cell) -> None:
    """One access line; the client, the handler and both logging systems have its id."""
    [access] = service.access
    request_id = access["request_id"]
    # A WebSocket that is closed before it was accepted becomes a 403 on the wire.
    status = None if result.accepted else result.status or 403
    assert (access["status"], access.get("route"), access["outcome"]) == (status, cell.route, cell.outcome)
    assert access.get("error_type", "") == cell.error
    assert access.get("subject") == cell.subject
    if result.started or result.accepted:
        assert result.header_all(b"x-request-id") == [request_id.encode()]
    assert tuple(line["where"] for line in service.works) == cell.works
    assert {line["request_id"] for line in service.works} <= {request_id}
    assert [record.__dict__["request_id"] for record in service.records] == [request_id] * len(cell.works)
    # A background task may add its field after the line was written.
    missing = [where for where in cell.works if where != "task" and access.get(where) != 1]
    assert missing == []


def check_metrics(service: Service, method: str, cell: Cell) -> None:
    """One observation with the table's labels, nothing left under way, nothing failed."""
    labels = ("http_request_method", "http_route", "http_response_status_code", "error_type")
    count = service.samples("http_server_request_duration_seconds_count", *labels)
    assert count == {(method, cell.route or "", str(cell.status), cell.label): 1}
    assert service.samples("http_server_active_requests", "http_request_method") == {}
    assert service.samples("asgi_middleware_metrics_errors_total", "site") == {}
    refused = {(cell.problem, "http"): 1} if cell.problem else {}
    assert service.samples("asgi_middleware_refusals_total", "reason", "protocol") == refused


def check_body(case: str, result: Result, cell: Cell) -> None:
    """The body is what the service wrote, or the problem document of the class that refused."""
    assert SECRET.encode() not in result.body
    if cell.problem is not None:
        assert result.header(b"content-type") == b"application/problem+json"
        document = result.json()
        assert (document["status"], document["reason"]) == (cell.status, cell.problem)
        assert document["request_id"].encode() == result.header(b"x-request-id")
    elif case in {"stream", "page", "encoded by the app"}:
        assert result.header(b"content-encoding") == b"gzip"
        assert gzip.decompress(result.body).decode() == PAGE
        if case == "stream":
            assert len([chunk for chunk in result.chunks if chunk]) >= 3
        if case == "page":
            assert {b"accept-encoding", b"cookie"} <= {
                member.strip().lower() for line in result.header_all(b"vary") for member in line.split(b",")
            }
    elif case == "body at the limit":
        assert result.json() == {"length": LIMIT}
    elif cell.works:
        seen = result.json()
        anonymous = case == "anonymous"
        assert (seen["user"], seen["scopes"]) == (("", []) if anonymous else ("alice", ["read"]))
        assert seen["request_id"].encode() == result.header(b"x-request-id")


async def test_websocket(framework: str, way: str, websocket_case: str) -> None:
    """A session has one line, one observation, the user and the id; a refusal is a denial response."""
    cell = expected(websocket_case, framework, way)
    assert isinstance(cell, Cell)
    with serving(framework, way) as service:
        async with running(service.app):
            result = await service.request(CASES[websocket_case])
        assert (result.status or result.close_code) == cell.status
        if not cell.seen:
            assert service.access == []
            return
        check_log(service, result, cell)
        labels = ("http_route", "outcome", "http_response_status_code")
        [(route, outcome, _)] = service.samples("websocket_server_handshakes_total", *labels)
        assert route == (cell.route or "")
        assert service.samples("websocket_server_active_connections", "http_route") == {}
        assert service.samples("asgi_middleware_metrics_errors_total", "site") == {}
        if cell.works:
            assert outcome == "accepted"
            assert result.messages == ["alice: hello"]
        if cell.problem is not None:
            assert outcome == "denied"
            assert result.json()["reason"] == cell.problem
        assert current_exchange.get() is None


async def test_lifespan(framework: str, way: str) -> None:
    """Start-up and shut-down reach the service through the stack; Django's and Channels' refusal of them comes out."""
    with serving(framework, way) as service:
        async with running(service.app):
            noted = list(service.calls.noted)
        if framework in {"django", "channels"}:
            assert service.calls.noted == []
        else:
            assert noted == ["startup"]
            assert service.calls.noted == ["startup", "shutdown"]
        assert service.access == []
