"""WebSockets: accepted, refused, closed by either side, broken off."""

from __future__ import annotations

import json
import socket

from matrix.probing import Probe, bearer, new_id, token
from websockets.exceptions import ConnectionClosed, InvalidStatus


def _denied(probe: Probe, path: str, request_id: str) -> str:
    try:
        with probe.websocket(path, additional_headers={"x-request-id": request_id}):
            return "accepted"
    except InvalidStatus as refused:
        response = refused.response
        status = str(response.status_code)
        document = json.loads(response.body) if response.body and response.body.startswith(b"{") else {}
        if status == "401" and "www-authenticate" not in response.headers:
            return "401 without a challenge"
        named = f" {document['reason']}" if document else ""
    return f"{status}{named}, logged as {probe.outcome(request_id)}"


def websocket_by_subprotocol(probe: Probe) -> str:
    request_id = new_id("echo")
    headers = {"x-request-id": request_id}
    with probe.websocket("/ws", subprotocols=["bearer", token()], additional_headers=headers) as client:
        client.send("hello")
        answer = client.recv(timeout=5)
        chosen = client.subprotocol
    if (answer, chosen) != ("ada: hello", "bearer"):
        return f"{answer}; {chosen}"
    return f"echoed, logged as {probe.outcome(request_id)}"


def websocket_by_header(probe: Probe) -> str:
    with probe.websocket("/ws", additional_headers=dict([bearer()])) as client:
        client.send("")
        empty = client.recv(timeout=5)
        client.send("hello")
        return "both echoed" if (empty, client.recv(timeout=5)) == ("ada: ", "ada: hello") else f"{empty!r}"


def websocket_refused_by_auth(probe: Probe) -> str:
    return _denied(probe, "/ws", new_id("ws-denied"))


def websocket_refused_by_app(probe: Probe) -> str:
    return _denied(probe, "/open/ws-refuses", new_id("ws-refused"))


def websocket_app_fails(probe: Probe) -> str:
    return _denied(probe, "/open/ws-fails", new_id("ws-fails"))


def websocket_accepted_to_be_closed(probe: Probe) -> str:
    with probe.websocket("/open/ws-accept-close") as client:
        try:
            return str(client.recv(timeout=5))
        except ConnectionClosed as closed:
            received = closed.rcvd
            return f"{received.code} {received.reason}".strip() if received else "no close frame"


def websocket_closed_by_app(probe: Probe) -> str:
    request_id = new_id("ws-closes")
    with probe.websocket("/open/ws-closes", additional_headers={"x-request-id": request_id}) as client:
        client.send("please")
        try:
            return str(client.recv(timeout=5))
        except ConnectionClosed as closed:
            received = closed.rcvd
    code = f"{received.code} {received.reason}".strip() if received else "no close frame"
    line = probe.server.access_line(request_id)
    return f"{code}, logged as {line['outcome']} {line['close_code']}"


def websocket_closed_by_client(probe: Probe) -> str:
    request_id = new_id("ws-closed")
    headers = {"x-request-id": request_id} | dict([bearer()])
    with probe.websocket("/ws", additional_headers=headers) as client:
        client.send("hello")
        client.recv(timeout=5)
        client.close(4001, "bye")
    line = probe.server.access_line(request_id)
    return f"logged as {line['outcome']} {line['close_code']}"


def websocket_broken_off(probe: Probe) -> str:
    request_id = new_id("ws-broken")
    headers = {"x-request-id": request_id} | dict([bearer()])
    with probe.websocket("/ws", additional_headers=headers) as client:
        client.send("hello")
        client.recv(timeout=5)
        client.socket.shutdown(socket.SHUT_RDWR)
    line = probe.server.access_line(request_id)
    return f"logged as {line['outcome']} {line['close_code']}"
