"""Several requests on one connection, and clients that leave."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor

from matrix.probing import SHORT, Probe, new_id
from matrix.wire import Request, exchange

AT_ONCE = 8


def _context(request_id: str, body: bytes | None = None) -> Request:
    method = "GET" if body is None else "POST"
    return Request("/open/context", method, headers=[("x-request-id", request_id)], body=body)


def _kept_apart(probe: Probe, ids: list[str], replies: list) -> str:
    """Judge whether each request had its own id, in the answer, the app and the log, and nothing of the others."""
    for request_id, reply in zip(ids, replies, strict=True):
        report = json.loads(reply.body)
        if (report["id"], reply["x-request-id"], report["bound"]) != (request_id, request_id, None):
            return f"{request_id} saw {report} and got {reply['x-request-id']}"
        asked = [line for line in probe.server.log_lines() if line.get("asked_by") == request_id]
        if [line["request_id"] for line in asked] != [request_id]:
            return f"{request_id} logged {asked}"
        probe.server.access_line(request_id)
    return "kept apart"


def keep_alive(probe: Probe) -> str:
    ids = [new_id("keep-alive") for _ in range(3)]
    with probe.connection() as connection:
        replies = [exchange(connection, _context(request_id)) for request_id in ids]
    return _kept_apart(probe, ids, replies)


def at_once_on_one_connection(probe: Probe) -> str:
    """Pipelined on HTTP/1.1, interleaved on HTTP/2."""
    ids = [new_id("pipelined") for _ in range(3)]
    with probe.connection() as connection:
        keys = connection.send(*map(_context, ids))
        replies = [connection.read(key) for key in keys]
    return _kept_apart(probe, ids, replies)


def large_body_then_get(probe: Probe) -> str:
    ids = [new_id("large"), new_id("after-large")]
    with probe.connection() as connection:
        first = exchange(connection, _context(ids[0], b"x" * 300_000))
        second = exchange(connection, _context(ids[1]))
    if json.loads(first.body)["size"] != 300_000:
        return f"{first.body!r}"
    return _kept_apart(probe, ids, [first, second])


def app_reads_no_body(probe: Probe) -> str:
    """A GET whose app reads the body all the same, as Django does."""
    try:
        reply = probe.exchange(Request("/open/upload"), SHORT)
    except TimeoutError:
        return "waits for ever"
    return "read as empty" if json.loads(reply.body) == {"size": 0} else f"{reply.status} {reply.body!r}"


def many_connections(probe: Probe) -> str:
    ids = [new_id("many") for _ in range(AT_ONCE)]
    with ThreadPoolExecutor(AT_ONCE) as threads:
        replies = list(threads.map(probe.exchange, map(_context, ids)))
    return _kept_apart(probe, ids, replies)


def http_1_0(probe: Probe) -> str:
    with probe.connection() as connection:
        connection.send_raw(b"GET /open/tells HTTP/1.0\r\nhost: localhost\r\nx-request-id: old\r\n\r\n")
        reply = connection.read(0)
    line = probe.server.access_line("old")
    return f"{reply.status}, logged as {line['http_version']}"


def client_gone_before_start(probe: Probe) -> str:
    request_id = new_id("gone-early")
    with probe.connection() as connection:
        [key] = connection.send(Request("/open/waits", headers=[("x-request-id", request_id)]))
        # An answer to another request proves that this one has arrived, too.
        probe.exchange(Request("/open/204"))
        connection.leave(key)
        return f"logged as {probe.outcome(request_id)}"


def _gone_in_mid_body(probe: Probe, path: str) -> str:
    request_id = new_id("gone-in-body")
    with probe.connection() as connection:
        [key] = connection.send(Request(path, headers=[("x-request-id", request_id), ("accept-encoding", "identity")]))
        connection.read_first_bytes(key)
        connection.leave(key)
        return f"logged as {probe.outcome(request_id)}"


def client_gone_in_mid_body(probe: Probe) -> str:
    return _gone_in_mid_body(probe, "/open/endless-listening")


def client_gone_unheard(probe: Probe) -> str:
    return _gone_in_mid_body(probe, "/open/endless")


def client_gone_in_upload(probe: Probe) -> str:
    request_id = new_id("gone-in-upload")
    head = (
        f"POST /open/upload HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1000\r\nx-request-id: {request_id}\r\n\r\n"
    )
    with probe.connection() as connection:
        connection.send_raw(head.encode() + b"only the beginning")
        probe.exchange(Request("/open/204"))
        connection.leave(0)
        outcome = probe.outcome_if_any(request_id)
    return f"logged as {outcome}" if outcome else "app not called"


def client_gone_after_end(probe: Probe) -> str:
    request_id = new_id("gone-late")
    with probe.connection() as connection:
        exchange(connection, Request("/open/json", headers=[("x-request-id", request_id)]))
    return f"logged as {probe.outcome(request_id)}"
