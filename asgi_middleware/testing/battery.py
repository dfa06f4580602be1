"""The battery: every case and every server profile, one connection each, through one instance of the class."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import anyio

from asgi_middleware._core.types import Receive, Send
from asgi_middleware.testing import battery_apps as apps
from asgi_middleware.testing.battery_cases import CASES, HEADER_SHAPES, PROFILED, Case
from asgi_middleware.testing.connection import Connection
from asgi_middleware.testing.driver import drive, http_scope, http_script, websocket_scope
from asgi_middleware.testing.observers import Sandwich
from asgi_middleware.testing.profiles import PROFILES, Profile
from asgi_middleware.testing.report import Violation
from asgi_middleware.testing.result import Result
from asgi_middleware.testing.scenario import DEFAULT_PATH, Scenario

_HOST: Final = ((b"host", b"api.example"), (b"user-agent", b"battery/1"), (b"accept", b"*/*"))
_TALK: Final = (
    {"type": "websocket.connect"},
    {"type": "websocket.receive", "text": "hello"},
    {"type": "websocket.receive", "text": ""},
    {"type": "websocket.receive", "bytes": b"\x00\xff"},
    {"type": "websocket.disconnect", "code": 1000, "reason": ""},
)


_MOST_HANGING: Final = 3


class _Uncopyable:
    """What a state holds that must not be deep-copied, such as a lock or a pool."""

    __slots__ = ("_connection",)

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def __deepcopy__(self, memo: object) -> _Uncopyable:
        self._connection.deepcopied = True
        return self


class Battery:
    """Runs the cases through one sandwich.

    Args:
        sandwich: The class under test, between its observers.
        scenario: What the requests look like.
        timeout: Seconds after which a case counts as hanging.
    """

    __slots__ = ("_hanging", "_scenario", "sandwich", "timeout")

    def __init__(self, sandwich: Sandwich, scenario: Scenario, timeout: float) -> None:
        self.sandwich = sandwich
        self._scenario = scenario
        self.timeout = timeout
        self._hanging: set[str] = set()

    async def run(self) -> None:
        """Run everything; what is found is in the sandwich's report."""
        for case in CASES:
            if "path" not in case.scope or self._scenario.path == DEFAULT_PATH:
                await self.one(case)
        for name, shape in HEADER_SHAPES:
            await self.one(Case(f"request headers in {name}", apps.plain), shape=shape)
        for profile in PROFILES:
            for case in PROFILED:
                if _speaks(profile, case):
                    await self.one(case, profile)

    async def one(
        self,
        case: Case,
        profile: Profile | None = None,
        *,
        shape: Callable[[Any], Any] = list,
        poison: bool = False,
        tag: int = 0,
    ) -> Result | None:
        """Run one case in a task of its own; give what came out, None where it was not served to its end.

        After a few cases that hang, no further one is run: each costs the whole time-out.
        """
        results: list[Result] = []
        if len(self._hanging) >= _MOST_HANGING:
            return None

        async def serve() -> None:
            connection = self.connection(case, profile, shape=shape, tag=tag)

            async def served(_scope: Any, receive: Receive, send: Send) -> None:
                await self.sandwich.serve(
                    connection, receive, _failing(send, case.fails_at), profile=profile, poison=poison
                )

            try:
                messages = self._messages(case, profile)
                result = await drive(served, connection.scope, messages, timeout=self.timeout, raise_exceptions=False)
                results.append(result)
            except TimeoutError:
                self.report_hang(connection, "the call did not come to its end")
            except BaseExceptionGroup as error:
                if error is not connection.error:
                    raise  # not the call's own, which the report has already

        async with anyio.create_task_group() as group:
            group.start_soon(serve)
        return results[0] if results else None

    # ------------------------------------------------------------ one connection

    def connection(
        self, case: Case, profile: Profile | None = None, *, shape: Callable[[Any], Any] = list, tag: int = 0
    ) -> Connection:
        """Make a fresh record with the scope that the case, the scenario and the profile ask for."""
        scope = self._scope(case, profile, shape, tag)
        name = case.name if profile is None else f"{case.name}, on {profile.name}"
        connection = Connection(scope, name if not self._scenario.name else f"{name} [{self._scenario.name}]", case.app)
        connection.weighed = case.weighed
        if isinstance(scope.get("state"), dict):
            scope["state"] = {"pool": _Uncopyable(connection), "settings": {"names": ["a"]}}
        connection.watch()
        return connection

    def _scope(self, case: Case, profile: Profile | None, shape: Callable[[Any], Any], tag: int) -> dict[str, Any]:
        scenario = self._scenario
        scope: dict[str, Any]
        match case.protocol:
            case "http":
                make = http_scope if profile is None else profile.http_scope
                scope = make(case.method or scenario.method, scenario.path, query_string=scenario.query_string)
            case "websocket":
                connect = websocket_scope if profile is None else profile.websocket_scope
                scope = connect(scenario.path, query_string=scenario.query_string, subprotocols=scenario.subprotocols)
            case "lifespan":
                plain = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": {}}
                scope = plain if profile is None else profile.lifespan_scope()
            case other:
                scope = {"type": other, "asgi": {"version": "3.0"}, "state": {}}
        if case.protocol != "lifespan":
            tagged = ((b"x-tag", b"%d" % tag), (b"x-request-id", b"request-%d" % tag)) if tag else ()
            scope["headers"] = shape((*_HOST, *case.headers, *scenario.headers, *tagged))
        for key in ("asgi", "extensions"):
            own: Any = scope.get(key)
            if isinstance(own, dict):
                scope[key] = dict(own)  # a broken class may change them; the profile's own must stay
        scope.update(case.scope)
        return {key: value for key, value in scope.items() if value is not ...}

    def _messages(self, case: Case, profile: Profile | None) -> list[dict[str, Any]]:
        chunks = self._scenario.body if case.method == "POST" else (b"",)
        default: dict[str, tuple[dict[str, Any], ...]] = {
            "http": tuple(http_script(chunks)),
            "websocket": _TALK,
            "lifespan": ({"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}),
        }
        chosen = default.get(case.protocol, ()) if case.messages is None else case.messages
        copies = [dict(message) for message in chosen]
        return copies if profile is None else [profile.incoming(message) for message in copies]

    def report_hang(self, connection: Connection, text: str) -> None:
        """Report that a call did not end in time."""
        self._hanging.add(f"{connection.protocol}: {connection.case}")
        self.sandwich.report.add(
            Violation("hangs", connection.protocol, text, case=connection.case, trace=connection.trace)
        )


def _speaks(profile: Profile, case: Case) -> bool:
    return {"websocket": profile.websockets, "lifespan": profile.lifespan}.get(case.protocol, True)


def _failing(send: Send, fails_at: int | None) -> Send:
    if fails_at is None:
        return send
    left = fails_at

    async def failing(message: Any) -> None:
        nonlocal left
        if left == 0:
            raise ConnectionResetError("the client is gone")
        left -= 1
        await send(message)

    return failing
