# ruff: noqa: ARG001 -- an ASGI app takes scope, receive and send, whether it uses them or not
"""The part of the battery that takes more than one connection, or a second hand on one.

Cancellation; constant messages, and spoiled ones; requests at the same time.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import anyio
import anyio.lowlevel

from asgi_middleware._core.types import Receive, Send
from asgi_middleware.testing import battery_apps as apps
from asgi_middleware.testing.battery import Battery
from asgi_middleware.testing.battery_cases import Case
from asgi_middleware.testing.connection import Connection
from asgi_middleware.testing.passed import Passed
from asgi_middleware.testing.report import Violation
from asgi_middleware.testing.result import Result

_TAGS: Final = range(1, 6)
_OF_THE_CLOCK: Final = frozenset({b"date", b"server-timing"})  # equal in two answers only by luck


async def run_together(battery: Battery) -> None:
    """Run them all; what is found is in the report of the battery's sandwich."""
    for protocol in ("http", "websocket"):
        for where in ("while it works", "in receive"):
            case = Case(f"a call that is cancelled {where}", apps.plain, protocol=protocol)
            await _cancelled(battery, battery.connection(case), in_receive=where == "in receive")
    await _constant(battery)
    await _spoiled(battery)
    for case in (
        Case("requests at the same time", _tagged, method="POST"),
        Case("conversations at the same time", _tagged_talk, protocol="websocket"),
    ):
        await _at_the_same_time(battery, case)
    for protocol in ("http", "websocket"):
        await _meeting(battery, protocol)


async def _cancelled(battery: Battery, connection: Connection, *, in_receive: bool) -> None:
    """Cancel a call while the app waits."""
    inside = anyio.Event()
    opening = "websocket.connect" if connection.protocol == "websocket" else "http.request"
    script = iter(({"type": opening},))

    async def waiting(scope: Any, receive: Receive, send: Send) -> None:
        await receive()
        inside.set()
        await (receive() if in_receive else anyio.sleep_forever())

    async def receive() -> Any:
        message = next(script, None)
        return await anyio.sleep_forever() if message is None else message

    async def serve() -> None:
        try:
            await battery.sandwich.serve(connection, receive, _to_nowhere)
        finally:
            inside.set()  # a class that refuses never calls the app

    connection.app = waiting
    with anyio.move_on_after(battery.timeout) as clock:
        async with anyio.create_task_group() as group:
            group.start_soon(serve)
            await inside.wait()
            await anyio.lowlevel.checkpoint()
            group.cancel_scope.cancel()
    if clock.cancelled_caught:
        battery.report_hang(connection, "the call did not end when it was cancelled")


async def _constant(battery: Battery) -> None:
    """Let an app send the same objects again and again; the answers must be those that fresh objects give."""
    messages = (apps.start(200, apps.plain_headers()), apps.body())

    async def constant(scope: Any, receive: Receive, send: Send) -> None:
        for message in messages:
            await send(message)

    case = Case("an app that sends constant messages", constant)
    fresh = [await battery.one(Case("an app that sends fresh messages", apps.plain)) for _ in range(2)]
    again = [await battery.one(case) for _ in range(3)]
    _compare(battery, "message-mutated", case.name, again, fresh)


async def _spoiled(battery: Battery) -> None:
    """Spoil what the class sends, as an outer class may, and see whether it sends it again."""
    for case in (
        Case("an answer that an outer class changes", apps.plain),
        Case("a handshake that an outer class changes", apps.websocket_echo, protocol="websocket"),
    ):
        await battery.one(case, poison=True)
        result = await battery.one(case)
        for message in () if result is None else result.sent:
            if "x-poison" in message or (b"x-poison", b"1") in [*(message.get("headers") or ())]:
                text = f"{message['type']} carries what an outer class had added to an earlier one"
                battery.sandwich.report.add(Violation("shared-list", message["type"], text, case=case.name))


async def _at_the_same_time(battery: Battery, case: Case) -> None:
    """Run different connections alone, alone again, and all at once; the answers must be the same."""
    alone = [[await battery.one(case, tag=tag) for tag in _TAGS] for _ in range(2)]
    together: dict[int, Result | None] = {}

    async def serve(tag: int) -> None:
        together[tag] = await battery.one(case, tag=tag)

    async with anyio.create_task_group() as group:
        for tag in _TAGS:
            group.start_soon(serve, tag)
    for tag, lone in zip(_TAGS, zip(*alone, strict=True), strict=True):
        _compare(battery, "shared-state", case.name, [together[tag]], lone)


async def _meeting(battery: Battery, protocol: str) -> None:
    """Let two connections wait for each other in the app: a class that lets in one at a time never ends."""
    inside = 0
    both = anyio.Event()
    answer = apps.websocket_echo if protocol == "websocket" else apps.plain

    async def meet(scope: Any, receive: Receive, send: Send) -> None:
        nonlocal inside
        inside += 1
        if inside > 1:
            both.set()
        await both.wait()
        await answer(scope, receive, send)

    case = Case("two that wait for each other", meet, protocol=protocol)
    async with anyio.create_task_group() as group:
        for _ in range(2):
            group.start_soon(battery.one, case)


def _tag(scope: Any) -> bytes:
    return bytes(next(value for name, value in scope["headers"] if name == b"x-tag"))


async def _tagged_talk(scope: Any, receive: Receive, send: Send) -> None:
    """Send back what comes with what belongs to this conversation; each takes its own time."""
    tag = _tag(scope)
    await receive()
    await send({"type": "websocket.accept", "subprotocol": None, "headers": [(b"x-tag", tag)]})
    while True:
        for _ in range(int(tag)):
            await anyio.lowlevel.checkpoint()
        message = await receive()
        if message["type"] == "websocket.disconnect":
            return
        data = message.get("bytes") or (message.get("text") or "").encode()
        await send({"type": "websocket.send", "bytes": tag + data})


async def _tagged(scope: Any, receive: Receive, send: Send) -> None:
    """Answer with what belongs to this request, slowly enough for others to come between."""
    tag = _tag(scope)
    for _ in range(3):
        await anyio.lowlevel.checkpoint()
    data = await apps.read_body(receive)
    text = tag * (600 + int(tag)) + data
    await send(apps.start(200 + int(tag), [(b"content-type", b"text/plain"), (b"x-tag", tag)]))
    for piece in (text[:700], text[700:]):
        for _ in range(int(tag)):
            await anyio.lowlevel.checkpoint()
        await send(apps.body(piece, more=True))
    await send(apps.body(b""))


async def _to_nowhere(message: Any) -> None:
    await anyio.lowlevel.checkpoint()


def _compare(
    battery: Battery, rule: str, case: str, results: Iterable[Result | None], standard: Iterable[Result | None]
) -> None:
    """Compare answers with two that must be equal to them; what those two differ in (a request id) is left out."""
    first, second = (None if each is None else _parts(each) for each in standard)
    if first is None or second is None:
        return
    for result in results:
        parts = {} if result is None else _parts(result)
        for name, value in first.items():
            if parts and value == second.get(name) and parts.get(name) != value:
                text = f"{name} was {_short(value)} by itself, and {_short(parts.get(name))} here"
                battery.sandwich.report.add(Violation(rule, name, text, case=case))


def _parts(result: Result) -> dict[str, Any]:
    parts: dict[str, Any] = {"status": result.status, "body": result.body, "messages": result.messages}
    start = next((message for message in result.sent if "headers" in message), {})
    headers = Passed(start).headers
    for name, value in headers:
        if name.lower() not in _OF_THE_CLOCK:
            parts.setdefault(name.decode("latin-1").lower(), []).append(value)
    parts["header names"] = sorted({name.lower() for name, _ in headers})
    return parts


def _short(value: Any) -> str:
    shown = repr(value)
    return shown if len(shown) <= 60 else f"{shown[:60]}..."
