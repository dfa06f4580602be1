"""The laws of transparency for messages from the app: what comes out of a class, compared with what went in.

Starts and bodies are what middleware exists to change, so they are compared by content: status, headers, bytes, pieces.
Every other message must come out as it went in, in its place.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

from asgi_middleware._core.headers import find, find_all
from asgi_middleware.testing.connection import Connection
from asgi_middleware.testing.grammar import EXTENSIONS
from asgi_middleware.testing.passed import Passed
from asgi_middleware.testing.report import Report

_STARTS: Final = ("http.response.start", "websocket.http.response.start", "websocket.accept")
_BODIES: Final = ("http.response.body", "websocket.http.response.body")
# Header fields whose value is one; a second line makes the message malformed or ambiguous (RFC 9110 5.3).
_SINGLE: Final = (
    b"access-control-allow-credentials",
    b"access-control-allow-origin",
    b"content-encoding",
    b"content-length",
    b"content-type",
    b"etag",
    b"location",
    b"retry-after",
    b"transfer-encoding",
    b"x-correlation-id",
    b"x-request-id",
)


def judge_messages(connection: Connection, report: Report, *, refused: bool) -> None:
    """Judge every message that came out."""
    _judge_own(connection)
    if not connection.app_calls:
        if refused and connection.error is None and connection.protocol in {"http", "websocket"}:
            _judge_refusal(connection)
        return
    sent, out = connection.from_app, connection.to_server
    if connection.app_error is not None:
        _judge_answer(connection, sent, out)
        return
    if connection.error is not None:
        return
    _judge_others(connection, sent, out)
    if connection.protocol in {"http", "websocket"}:
        _judge_starts(connection, report, sent, out)
        _judge_bodies(connection, sent, out)
        if connection.complete and not connection.complete_outside:
            connection.violate("end-lost", connection.protocol, "the app ended its answer, the class did not")


def keeps_order(members: Sequence[Any], among: Iterable[Any]) -> bool:
    """Tell whether `members` occur in `among`, all of them, in their order."""
    rest = iter(among)
    return all(member in rest for member in members)


def _judge_own(connection: Connection) -> None:
    """Judge what the class made itself: neither the app's message, nor a part of it."""
    from_app = {id(passed.message) for passed in connection.from_app}
    bodies = {id(passed.message.get("body")) for passed in connection.from_app if isinstance(passed.message, dict)}
    kinds = {passed.kind for passed in connection.from_app}
    announced = connection.scope.get("extensions") or {}
    for passed in connection.to_server:
        message = passed.message
        if id(message) in from_app or not isinstance(message, dict):
            continue
        body = message.get("body", b"")
        if not isinstance(body, bytes) and id(body) not in bodies:
            connection.violate("body-type", passed.kind, f"the class sends a body of type {type(body).__name__}")
        extension = EXTENSIONS.get(passed.kind)
        if extension is not None and extension not in announced and passed.kind not in kinds:
            connection.violate("extension-unannounced", passed.kind, f"the scope does not announce {extension}")


def _judge_refusal(connection: Connection) -> None:
    if not connection.complete_outside:
        connection.violate("end-lost", connection.protocol, "the class refused, but did not end its answer")
    starts = [passed for passed in connection.to_server if passed.kind in _STARTS]
    _judge_framing(connection, starts[:1], connection.to_server)


def _judge_answer(connection: Connection, sent: list[Passed], out: list[Passed]) -> None:
    """Judge what came out when the app raised: a part of what it had sent, and nothing else."""
    for passed in out:
        if not any(each.kind == passed.kind for each in sent):
            connection.violate("exception-answered", passed.kind, f"{passed.kind} came out for an exception of the app")
            return


def _judge_others(connection: Connection, sent: list[Passed], out: list[Passed]) -> None:
    waiting = [passed for passed in out if not _is_part(passed)]
    in_order = True
    for passed in sent:
        if _is_part(passed):
            continue
        match = next((each for each in waiting if passed.same_as(each)), None)
        if match is None:
            match = next((each for each in waiting if each.kind == passed.kind), None)
            if match is None:
                connection.violate("message-swallowed", passed.kind, f"{passed.kind} did not come out")
                in_order = False
                continue
            rule = "key-dropped" if _lacks_keys(passed, match) else "message-changed"
            connection.violate(rule, passed.kind, f"{passed.kind} did not come out as it went in")
        waiting.remove(match)
    for passed in waiting:
        connection.violate("message-invented", passed.kind, f"{passed.kind} came out, which the app did not send")
        in_order = False
    if in_order and _outline(sent) != _outline(out) and "" not in _outline(sent):
        text = f"the app sent {', '.join(_outline(sent))}; out came {', '.join(_outline(out))}"
        connection.violate("message-order", connection.protocol, text)


def _is_part(passed: Passed) -> bool:
    return passed.kind in _STARTS or passed.kind in _BODIES


def _lacks_keys(before: Passed, after: Passed) -> bool:
    return any(key not in after.frozen for key in before.frozen)


def _outline(messages: list[Passed]) -> list[str]:
    """Give the types in order, a run of body messages as one."""
    outline: list[str] = []
    for passed in messages:
        if not (outline and outline[-1] == passed.kind and passed.kind in _BODIES):
            outline.append(passed.kind)
    return outline


def _judge_starts(connection: Connection, report: Report, sent: list[Passed], out: list[Passed]) -> None:
    for kind in _STARTS:
        before = [passed for passed in sent if passed.kind == kind][:1]
        after = [passed for passed in out if passed.kind == kind][:1]
        if before and after:
            _judge_start(connection, report, before[0], after[0])
        elif before:
            connection.violate("message-swallowed", kind, f"{kind} did not come out")
        elif after:
            connection.violate("message-invented", kind, f"{kind} came out, which the app did not send")
        if after and kind != "websocket.accept":
            _judge_framing(connection, after, out)


def _judge_start(connection: Connection, report: Report, before: Passed, after: Passed) -> None:
    kind = before.kind
    for key, value in before.frozen.items():
        if key == "headers":
            continue
        if key not in after.frozen:
            connection.violate("key-dropped", f"{kind}.{key}", f"{key} of {kind} did not come out")
        elif after.frozen[key] != value:
            rule = "status-changed" if key == "status" else "message-changed"
            subject = "" if key == "status" else f"{kind}.{key}"
            connection.violate(rule, subject, f"{key} was {value!r} and came out as {after.frozen[key]!r}")
    old, new = before.headers, after.headers
    names = list(dict.fromkeys(name.lower() for name, _ in old))
    for name in names:
        values, now = find_all(old, name), find_all(new, name)
        subject = name.decode("latin-1")
        if not keeps_order(values, now) and not (name == b"vary" and _members(values) <= _members(now)):
            connection.violate("header-changed", subject, f"{subject} was {values!r} and came out as {now!r}")
        elif len(now) > len(values) and name in _SINGLE:
            connection.violate("header-duplicated", subject, f"{subject} came out {len(now)} times: {now!r}")
    added = {name for name, _ in new if name.lower() not in names}
    report.changes.update(f"response +{name.decode('latin-1').lower()}" for name in added)
    for name in added:
        if name != name.lower():
            connection.violate("header-name", name.decode("latin-1"), f"the class adds {name!r}, not in lower case")


def _members(values: list[bytes]) -> set[bytes]:
    return {member.strip().lower() for member in b",".join(values).split(b",")} - {b""}


def _judge_bodies(connection: Connection, sent: list[Passed], out: list[Passed]) -> None:
    for kind in _BODIES:
        before = [passed for passed in sent if passed.kind == kind]
        after = [passed for passed in out if passed.kind == kind]
        if not before:
            continue
        if connection.bodiless and not _joined(after):
            continue  # dropping a body that the client will not get is no change
        if _joined(before) != _joined(after):
            connection.violate(
                "body-changed", kind, f"{len(_joined(before))} bytes went in, {len(_joined(after))} came out"
            )
        elif len(before) != len(after):
            connection.violate("body-rechunked", kind, f"{len(before)} body messages went in, {len(after)} came out")
        else:
            for old, new in zip(before, after, strict=True):
                if any(key not in new.frozen for key in old.frozen if key not in {"body", "more_body"}):
                    connection.violate("key-dropped", kind, f"{kind} came out with fewer keys")


def _joined(messages: list[Passed]) -> bytes:
    return b"".join(passed.frozen.get("body", b"") for passed in messages)


def _judge_framing(connection: Connection, starts: list[Passed], out: list[Passed]) -> None:
    """Judge the length of what comes out, unless the app's own was wrong in the same way."""
    for start in starts:
        kind = start.kind.replace(".start", ".body")
        body, own = (_joined([each for each in part if each.kind == kind]) for part in (out, connection.from_app))
        status = start.frozen.get("status", 200)
        if connection.bodiless:
            if body and not own:
                connection.violate("body-forbidden", str(status), f"{len(body)} bytes of body in an answer without one")
            continue
        lengths = find_all(start.headers, b"content-length")
        if lengths and connection.complete_outside and not _rightly(lengths, body):
            theirs = next((each for each in connection.from_app if each.kind == start.kind), None)
            announced = find(theirs.headers, b"content-length") if theirs else None
            if announced is None or _rightly([announced], own):
                text = f"content-length is {lengths!r} for a body of {len(body)} bytes"
                connection.violate("content-length", str(status), text)


def _rightly(lengths: list[bytes], body: bytes) -> bool:
    return all(value == b"%d" % len(body) for value in lengths)
