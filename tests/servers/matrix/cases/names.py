"""Bytes that try to be something else: line breaks, obs-text, and what is not UTF-8."""

from __future__ import annotations

from matrix.probing import Probe, bearer, new_id
from matrix.wire import Request

FORGERY = "{%22event%22:%22forged%22,%22outcome%22:%22forged%22}"


def _attempt(probe: Probe, path: str | bytes, headers: list[tuple[str, str | bytes]], request_id: str) -> str:
    try:
        reply = probe.exchange(Request(path, headers=[*headers, ("x-request-id", request_id), bearer()]))
    except ConnectionError:
        return "closed"
    if "forged" in {line.get("event") for line in probe.server.log_lines()}:
        return "forged"
    if reply.status >= 400 and not any(name == "x-request-id" for name, _ in reply.headers):
        return f"{reply.status} of the server"
    line = probe.server.access_line(request_id)
    clean = all(character >= " " and character != "\x7f" for character in line["path"])
    return f"{reply.status}, {'one clean line' if clean else 'not clean: ' + repr(line['path'])}"


def encoded_line_break_in_path(probe: Probe) -> str:
    return _attempt(probe, f"/items/%0A{FORGERY}%0D%0A", [], new_id("break"))


def invalid_utf8_in_path(probe: Probe) -> str:
    return _attempt(probe, "/items/%FF%FE%C0%80", [], new_id("not-utf8"))


def obs_text_in_path(probe: Probe) -> str:
    return _attempt(probe, b"/items/\xff\x85\xe9", [], new_id("obs-path"))


def obs_text_in_headers(probe: Probe) -> str:
    odd: list[tuple[str, str | bytes]] = [
        ("user-agent", b"\xff\x85\xe2\x80\xa8 agent"),
        ("origin", b"https://\xff.example"),
        ("accept-encoding", b"gzip;q=\xff, \xe9"),
        ("traceparent", b"00-\xff"),
        ("cookie", b"session=\x85\xff"),
    ]
    return _attempt(probe, "/items/1", odd, new_id("obs-headers"))


def obs_text_in_request_id(probe: Probe) -> str:
    try:
        reply = probe.exchange(Request("/open/tells", headers=[("x-request-id", b"an\x85id\xff")]))
    except ConnectionError:
        return "closed"
    given = reply["x-request-id"]
    if not given:
        return f"{reply.status} of the server"
    return f"{reply.status}, {'replaced' if len(given) == 32 and given.isalnum() else repr(given)}"


def obs_text_in_token(probe: Probe) -> str:
    try:
        reply = probe.exchange(Request("/protected", headers=[("authorization", b"Bearer \xff\x85.\xe9.\x80")]))
    except ConnectionError:
        return "closed"
    return f"{reply.status}{'' if reply['www-authenticate'] else ' of the server'}"
