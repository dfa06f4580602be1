"""A pair of observers, one outside and one inside a middleware class, around any app.

The outer one stands where the server stands, the inner one where the app stands. Both only look: every message is
handed on. The inner one finds its connection through a context variable, as an app would find its request.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextvars import ContextVar, copy_context
from functools import partial
from typing import Any

import anyio

from asgi_middleware._core.types import ASGIApp, Receive, Send
from asgi_middleware.testing.connection import Connection
from asgi_middleware.testing.laws import judge
from asgi_middleware.testing.profiles import Profile
from asgi_middleware.testing.report import Report
from asgi_middleware.testing.scenario import Scenario
from asgi_middleware.testing.snapshots import OneShot

_observed: ContextVar[Connection | None] = ContextVar("asgi_middleware_testing_connection", default=None)


class Sandwich:
    """A middleware class between two observers: an ASGI app that keeps a report.

    Serve it as you would serve the middleware, with your own test client or a real server, then look at ``report``.

    Attributes:
        middleware: The instance under test.
        report: What was found so far, complete for every connection that has ended.
    """

    __slots__ = ("_app", "_last", "_scenario", "middleware", "report")

    def __init__(
        self,
        cls: Callable[..., ASGIApp],
        app: ASGIApp,
        *,
        scenario: Scenario,
        options: dict[str, Any],
    ) -> None:
        """Build the class around the inner observer.

        Args:
            cls: The middleware class, or a function that builds one around an app.
            app: The app inside.
            scenario: What is expected of the class.
            options: The class's own options.
        """
        self._app = app
        self._scenario = scenario
        self._last: Connection | None = None
        self.report = Report(getattr(cls, "__name__", type(cls).__name__), skip=scenario.skip)
        self.middleware: ASGIApp = cls(self._inside, **options)

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        """Serve one connection and judge it."""
        connection = Connection(scope, _name(scope))
        await self.serve(connection, receive, send)

    async def serve(
        self,
        connection: Connection,
        receive: Receive,
        send: Send,
        *,
        profile: Profile | None = None,
        poison: bool = False,
    ) -> None:
        """Serve one connection through the class.

        Args:
            connection: A fresh record.
            receive: The server's receive.
            send: The server's send.
            profile: The server whose manners are played; None for a plain one.
            poison: Whether to spoil each message of the class once it is out, as an outer class may.
        """

        async def outer_receive() -> Any:
            connection.asked()
            try:
                message = await receive()
            except BaseException as error:
                connection.server_error = error
                raise
            connection.taken(message)
            return message

        async def outer_send(message: Any) -> None:
            message = _listed(connection, message)
            connection.came_out(message)
            if profile is not None:
                connection.refused_by(profile, message)
            try:
                # The server gets copies: what it does with them is not to be taken for the class's doing.
                await send(_copied(message))
            except BaseException as error:
                connection.server_error = error
                raise
            finally:
                if poison:
                    _poison(message)

        callables = (outer_receive, outer_send) if profile is None else profile.callables(outer_receive, outer_send)
        connection.given = (connection.scope, *callables)
        call: Any = self.middleware if profile is None else partial(profile.call, self.middleware)
        connection.task = anyio.get_current_task().id
        self._last = connection
        token = _observed.set(connection)
        connection.contexts["before"] = copy_context()
        try:
            connection.value = await call(*connection.given)
        except BaseException as error:
            connection.error = error
            raise
        finally:
            connection.contexts["after"] = copy_context()
            _observed.reset(token)
            if not poison:  # a spoiled connection is not judged: the next one shows whether the poison stayed
                connection.at_end()
                judge(connection, self._scenario, self.report)

    async def _inside(self, scope: Any, receive: Receive, send: Send) -> None:
        connection = _observed.get() or self._last
        if connection is None:
            raise RuntimeError("the app was called outside any connection")
        connection.app_calls += 1
        connection.note("app is called")
        connection.app_given = (scope, receive, send)
        connection.enter_app(scope)
        connection.app_task = anyio.get_current_task().id
        connection.contexts["entered"] = copy_context()

        async def app_receive() -> Any:
            connection.app_asks()
            message = None
            try:
                message = await receive()
            except BaseException as error:
                connection.raised_into_app(error, "receive")
                raise
            finally:
                connection.app_got(message)
            return message

        async def app_send(message: Any) -> None:
            message = _fresh(message)
            before = len(connection.to_server)
            passed = connection.app_sends(message)
            try:
                await send(message)
            except BaseException as error:
                connection.raised_into_app(error, "send")
                raise
            connection.app_sent(passed, before)

        try:
            await (connection.app or self._app)(scope, app_receive, app_send)
        except BaseException as error:
            connection.app_error = error
            connection.note(f"app raises {error!r}")
            raise
        finally:
            connection.leave_app(scope)
            connection.contexts["left"] = copy_context()


def _name(scope: Any) -> str:
    if scope.get("type") == "http":
        return f"{scope.get('method')} {scope.get('path')}"
    return f"{scope.get('type')} {scope.get('path', '')}".rstrip()


def _fresh(message: Any) -> Any:
    """Give the app's message in a form that can be looked at twice: an iterator of headers is read, and made anew."""
    if isinstance(message, dict) and isinstance(message.get("headers"), Iterator):
        return {**message, "headers": OneShot(message["headers"])}
    return message


def _listed(connection: Connection, message: Any) -> Any:
    if isinstance(message, dict) and isinstance(message.get("headers"), Iterator):
        if not isinstance(message["headers"], OneShot):
            connection.violate("header-shape", str(message.get("type")), "the class sends headers as an iterator")
        return {**message, "headers": list(message["headers"])}
    return message


def _copied(message: Any) -> Any:
    if not isinstance(message, dict):
        return message
    copied = dict(message)
    if isinstance(copied.get("headers"), list):
        copied["headers"] = list(copied["headers"])
    return copied


def _poison(message: Any) -> None:
    if isinstance(message, dict):
        message["x-poison"] = True
        if isinstance(message.get("headers"), list):
            message["headers"].append((b"x-poison", b"1"))
