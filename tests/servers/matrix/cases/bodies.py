"""Bodies that are too large, and responses without a body or with something beside it."""

from __future__ import annotations

import json
from collections.abc import Iterator

import httpx
from matrix.probing import SHORT, Probe, new_id
from matrix.wire import Request, exchange
from service_constants import ETAG, UPLOAD_LIMIT

CHUNK = b"x" * 65_536
CHUNKS = 64  # 4 MiB: more than the sockets' buffers hold, so that the client still sends when the answer comes


def _chunks() -> Iterator[bytes]:
    for _ in range(CHUNKS):
        yield CHUNK


def _refusal(probe: Probe, response: httpx.Response, request_id: str) -> str:
    document = response.json()
    return f"{response.status_code} {document['reason']}, logged as {probe.outcome(request_id)}"


def body_of_the_limit(probe: Probe) -> str:
    with probe.client() as client:
        response = client.post("/open/upload", content=b"x" * UPLOAD_LIMIT)
    return "read whole" if response.json() == {"size": UPLOAD_LIMIT} else f"{response.status_code}"


def chunked_over_the_limit(probe: Probe) -> str:
    request_id = new_id("chunked")
    with probe.client() as client:
        try:
            response = client.post("/open/upload", content=_chunks(), headers={"x-request-id": request_id})
        except httpx.TransportError as error:
            return f"no answer ({type(error).__name__}), logged as {probe.outcome(request_id)}"
    return _refusal(probe, response, request_id)


def declared_over_the_limit(probe: Probe) -> str:
    request_id = new_id("declared")
    with probe.client() as client:
        try:
            response = client.post("/open/upload", content=CHUNK * CHUNKS, headers={"x-request-id": request_id})
        except httpx.TransportError as error:
            return f"no answer ({type(error).__name__}), logged as {probe.outcome(request_id)}"
    return _refusal(probe, response, request_id)


def sending_before_reading(probe: Probe) -> str:
    """A client that reads nothing until it has sent all, as many libraries do."""
    head = b"POST /open/upload HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n"
    piece = b"%x\r\n%s\r\n" % (len(CHUNK), CHUNK)
    with probe.connection() as connection:
        try:
            connection.send_raw(head, *[piece] * CHUNKS, b"0\r\n\r\n")
            reply = connection.read(0)
        except ConnectionError as error:
            return type(error).__name__
    return str(reply.status)


def expect_continue(probe: Probe) -> str:
    """A client that asks first, with a length over the limit."""
    head = b"POST /open/upload HTTP/1.1\r\nhost: localhost\r\ncontent-length: 900000\r\nexpect: 100-continue\r\n\r\n"
    with probe.connection(SHORT) as connection:
        connection.send_raw(head)
        try:
            reply = connection.read(0)
        except TimeoutError:
            return "waits for the body"
    asked = [status for status, _ in reply.interim]
    return f"{reply.status}" if not asked else f"{asked[0]}, then {reply.status}"


def head(probe: Probe) -> str:
    """The head of GET, no body, and a connection in step."""
    coded = [("accept-encoding", "gzip")]
    with probe.connection() as connection:
        got = exchange(connection, Request("/open/json", headers=coded))
        only = exchange(connection, Request("/open/json", "HEAD", headers=coded))
        after = exchange(connection, Request("/open/tells"))
    # A length that is known only once the content is made may be left out (RFC 9110 9.3.2).
    names = ["content-type", "content-encoding", "vary", *(["content-length"] if only["content-length"] else [])]
    differing = [name for name in names if got[name] != only[name]]
    if only.body or after.status != 200:
        return f"out of step: {only} {after.status}"
    if differing:
        return f"{only.status}, other {', '.join(f'{name}: {only[name] or None}' for name in differing)}"
    return f"{only.status} {only['content-encoding']}"


def _without_a_body(probe: Probe, path: str) -> str:
    with probe.connection() as connection:
        reply = exchange(
            connection, Request(path, headers=[("accept-encoding", "gzip"), ("origin", "https://x.example")])
        )
        after = exchange(connection, Request("/open/tells"))
    if reply.body or reply["content-encoding"] or after.status != 200:
        return f"out of step: {reply} {after.status}"
    kept = reply["etag"] == ETAG
    return f"{reply.status}{' with its ETag' * kept}"


def no_content(probe: Probe) -> str:
    return _without_a_body(probe, "/open/204")


def not_modified(probe: Probe) -> str:
    return _without_a_body(probe, "/open/304")


def early_hints(probe: Probe) -> str:
    reply = probe.exchange(Request("/open/hint"))
    if reply.body == b"not offered":
        return "not offered"
    hints = [(status, dict(headers).get("link")) for status, headers in reply.interim]
    return "103 with the link" if hints == [(103, "</style.css>; rel=preload; as=style")] else f"{hints}"


def trailers(probe: Probe) -> str:
    request_id = new_id("trailers")
    reply = probe.exchange(Request("/open/trailers", headers=[("te", "trailers"), ("x-request-id", request_id)]))
    if reply.body == b"not offered":
        return "not offered"
    line = probe.server.access_line(request_id)
    told = "whole" if reply.trailers == [("x-digest", "of the body")] else f"{reply.trailers}"
    return f"{told}, logged as {line['outcome']}"


def pathsend(probe: Probe) -> str:
    request_id = new_id("file")
    headers = [("accept-encoding", "gzip"), ("x-request-id", request_id)]
    reply = probe.exchange(Request("/open/file", headers=headers))
    if reply.body == b"not offered":
        return "not offered"
    if reply.body != b"a file " * 1000:
        return f"{reply.status} {reply.headers} {len(reply.body)} bytes"
    return f"whole, logged as {probe.outcome(request_id)}"


def extensions_stay(probe: Probe) -> str:
    """What a server announces to one request is announced to the next: nothing of ours is left in a shared dict."""
    before = json.loads(probe.exchange(Request("/open/tells")).body)["extensions"]
    probe.exchange(Request("/open/json", headers=[("accept-encoding", "br")]))
    after = json.loads(probe.exchange(Request("/open/tells")).body)["extensions"]
    return "unchanged" if before == after else f"{before}, then {after}"
