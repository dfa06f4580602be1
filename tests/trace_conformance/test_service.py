"""The conformance service on real uvicorn, held to every rule of W3C Trace Context by requests from outside."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from processes import Server, running
from trace_harness import Harness, Headers, harness
from trace_rules import PARENT, RANDOM, RULES, SPAN, TRACE, Rule

ROOT = Path(__file__).parents[2]
TRACEPARENT = re.compile(r"00-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-(0[0-3])")


@pytest.fixture(scope="module", params=["h11", "httptools"])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Run the service on each of uvicorn's HTTP parsers."""
    yield from serve("app", request.param, tmp_path_factory.mktemp("service"))


@pytest.fixture(scope="module")
def service(server: Server) -> Iterator[Harness]:
    """Give the other end of the service."""
    with harness(server.port) as other_end:
        yield other_end


def serve(app: str, http: str, folder: Path) -> Iterator[Server]:
    command = [sys.executable, "-W", "ignore", "-m", "uvicorn", "--fd", "{fd}", "--app-dir", str(ROOT), "--http", http]
    with running([*command, f"examples.trace_conformance.service:{app}"], folder / "log") as server:
        yield server


def trace_of(call: Headers) -> tuple[str, str, str]:
    """Give the trace id, parent id and flags of a call, which must have one valid traceparent."""
    [traceparent] = [value for name, value in call if name == "traceparent"]
    match = TRACEPARENT.fullmatch(traceparent)
    assert match is not None, traceparent
    return match[1], match[2], match[3]


def state_of(call: Headers) -> str | None:
    """Give the tracestate of a call, which must be on one line and not empty."""
    lines = [value for name, value in call if name == "tracestate"]
    assert len(lines) <= 1
    assert all(lines)
    return lines[0] if lines else None


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_rule(service: Harness, rule: Rule) -> None:
    """The call has one valid traceparent, of the caller's trace or of a new one, and the state that belongs to it."""
    [call] = service.send(rule.headers)
    trace_id, parent_id, flags = trace_of(call)
    assert parent_id != SPAN
    if rule.flags is None:
        assert trace_id not in str(rule.headers)
        assert flags == RANDOM
    else:
        assert (trace_id, flags) == (TRACE, rule.flags)
    assert state_of(call) == rule.state


def test_no_rule_is_written_twice() -> None:
    """Each rule has a name of its own."""
    assert len({rule.name for rule in RULES}) == len(RULES)


@pytest.mark.parametrize("traceparent", [PARENT, None, PARENT.replace(TRACE, "0" * 32)])
def test_several_calls(service: Harness, traceparent: str | None) -> None:
    """Several calls of one request share its trace, and have each a parent id of their own."""
    calls = service.send([("traceparent", traceparent)] if traceparent else [], 3)
    traces = {trace_of(call)[0] for call in calls}
    assert len(traces) == 1
    assert (traces == {TRACE}) == (traceparent == PARENT)
    assert len({trace_of(call)[1] for call in calls}) == 3


def test_a_chain(service: Harness, server: Server) -> None:
    """Through a service that calls itself the trace, its state and the request id go on, each hop below the last."""
    end = {"url": f"{service.url}/end-of-chain-{server.port}", "arguments": []}
    again = {"url": f"{server.url}/test", "arguments": [end]}
    service.order([("traceparent", PARENT), ("tracestate", "foo=1"), ("x-request-id", "a-chain")], [again])
    call = service.only_call(f"/end-of-chain-{server.port}")
    trace_id, parent_id, _ = trace_of(call)
    assert (trace_id, state_of(call)) == (TRACE, "foo=1")
    assert dict(call)["x-request-id"] == "a-chain"
    server.wait_for_line(lambda line: line.get("parent_span_id") == SPAN)
    lines = {
        line["parent_span_id"]: line
        for line in server.log_lines()
        if line.get("request_id") == "a-chain" and line["event"] == "http.request"
    }
    [first] = lines[SPAN]["child_span_ids"]
    [second] = lines[first]["child_span_ids"]
    assert second == parent_id


@pytest.mark.parametrize("body", [b"", b"{}", b"[1]", b'[{"url": 1, "arguments": []}]', b'[{"url": "x"}]', b"\xff"])
def test_a_bad_order(service: Harness, body: bytes) -> None:
    """A body that is no list of calls is refused."""
    assert service.post([], body) == 400


def test_restart(tmp_path: Path) -> None:
    """A service that strangers call can begin every trace itself, unsampled, whatever they send [3.1]."""
    for server in serve("restarting", "h11", tmp_path):
        with harness(server.port) as other_end:
            [call] = other_end.send([("traceparent", PARENT), ("tracestate", "foo=1")])
        trace_id, _, flags = trace_of(call)
        assert trace_id != TRACE
        assert (flags, state_of(call)) == (RANDOM, None)
