"""The laws of transparency, judged when a connection is over: scope, call, exceptions, context, messages to the app.

What comes out of a class is compared with what went in; ``responses`` does that for the messages from the app.
"""

from __future__ import annotations

from contextvars import Context, ContextVar
from typing import Any

from asgi_middleware._core.headers import header_list
from asgi_middleware.testing.connection import Connection, is_cancellation
from asgi_middleware.testing.passed import Passed
from asgi_middleware.testing.report import Report
from asgi_middleware.testing.responses import judge_messages, keeps_order
from asgi_middleware.testing.scenario import Scenario


def judge(connection: Connection, scenario: Scenario, report: Report) -> None:
    """Judge one connection that is over, and put what was found into the report."""
    report.connections += 1
    refused = connection.protocol in scenario.refuses
    if connection.deepcopied:
        connection.violate("scope-deepcopied", "state", "the scope, or its state, was deep-copied")
    if connection.app_calls:
        if refused:
            connection.violate("app-called", connection.protocol, "the app was called for a request to be refused")
        _judge_call(connection)
        _judge_scope(connection, scenario, report)
        _judge_context(connection)
        _judge_received(connection)
    elif connection.error is None and not refused:
        connection.violate("app-not-called", connection.protocol, "the app was not called")
    _judge_exceptions(connection)
    judge_messages(connection, report, refused=refused)
    for violation in connection.found:
        report.add(violation)


def _judge_call(connection: Connection) -> None:
    if connection.app_calls > 1:
        connection.violate("app-called-twice", connection.protocol, f"the app was called {connection.app_calls} times")
    if connection.task != connection.app_task:
        connection.violate("extra-task", connection.protocol, "the app ran in another task than the caller's")
    if connection.value is not None:
        kind = type(connection.value).__name__
        connection.violate("returned-value", kind, f"the call returned {connection.value!r}")


def _judge_scope(connection: Connection, scenario: Scenario, report: Report) -> None:
    outer, inner = connection.frozen_scope, connection.frozen_app_scope
    if connection.protocol not in {"http", "websocket"} or connection.protocol in scenario.untouched:
        names = ("scope", "receive", "send")
        for name, given, got in zip(names, connection.given, connection.app_given or (), strict=False):
            if given is not got:
                connection.violate("not-passed-through", name, f"the app did not get the very {name} of the server")
    if not isinstance(inner, dict):
        connection.violate("scope-key-changed", "", f"the app got a scope of type {type(inner).__name__}")
        return
    report.changes.update(f"scope +{key}" for key in inner if key not in outer)
    for key, before in outer.items():
        if key not in inner:
            connection.violate("scope-key-removed", key, f"the app's scope lacks {key!r}")
        elif inner[key] != before:
            if key == "headers" and _pairs(before) == _pairs(inner[key]):
                continue  # a tuple in place of a list is no change
            if _only_gains(key, before, inner[key]):
                report.changes.add(f"scope {key}+")
            elif not _lost_entries(connection, key, before, inner[key]):
                text = f"{key!r} was {before!r} and reached the app as {inner[key]!r}"
                connection.violate("scope-key-changed", key, text)


def _only_gains(key: str, before: Any, after: Any) -> bool:
    if key == "headers":
        return keeps_order(_pairs(before), _pairs(after))
    if isinstance(before, dict) and isinstance(after, dict):
        return all(name in after and after[name] == value for name, value in before.items())
    return False


def _lost_entries(connection: Connection, key: str, before: Any, after: Any) -> bool:
    """Note the entries that a dict of the scope has lost; tell whether that is the whole difference."""
    if not isinstance(before, dict) or not isinstance(after, dict):
        return False
    lost = [name for name in before if name not in after]
    for name in lost:
        connection.violate("scope-key-removed", f"{key}.{name}", f"the app's scope lacks {key}[{name!r}]")
    return bool(lost) and all(after[name] == before[name] for name in before if name in after)


def _pairs(headers: Any) -> list[tuple[bytes, bytes]]:
    return [(bytes(name), bytes(value)) for name, value in header_list(headers)]


def _judge_context(connection: Connection) -> None:
    contexts = connection.contexts
    if connection.task != connection.app_task or "left" not in contexts:
        return
    before, entered, left, after = (contexts[moment] for moment in ("before", "entered", "left", "after"))
    for variable in {*before, *entered, *left, *after}:
        by_app = _value(left, variable) is not _value(entered, variable)
        expected = _value(left if by_app else before, variable)
        now = _value(after, variable)
        if now is expected:
            continue
        if by_app:
            connection.violate(
                "context-lost", variable.name, f"what the app set in {variable.name} is not visible outside"
            )
        elif now is not None:
            connection.violate(
                "context-leaked", variable.name, f"{variable.name} is still set to {now!r} after the call"
            )


def _value(context: Context, variable: ContextVar[Any]) -> Any:
    return context.get(variable)


def _judge_exceptions(connection: Connection) -> None:
    raised, came_out = connection.app_error, connection.error
    if is_cancellation(raised):
        if came_out is None:
            connection.violate(
                "cancellation-swallowed", "", "the app was cancelled, and the call ended as if nothing were"
            )
        elif not is_cancellation(came_out):
            connection.blame_for(came_out, "exception-invented", "the app was cancelled, and the class raised")
    elif raised is not None:
        if came_out is None:
            text = f"{raised!r} of the app did not come out"
            connection.violate("exception-swallowed", type(raised).__name__, text)
        elif came_out is not raised and not is_cancellation(came_out):
            connection.blame_for(came_out, "exception-replaced", f"the app raised {raised!r}; out came")
    elif came_out is not None and not is_cancellation(came_out) and came_out is not connection.server_error:
        rule = "exception-invented" if connection.server_error is None else "exception-replaced"
        connection.blame_for(came_out, rule, "the class raised")


def _judge_received(connection: Connection) -> None:
    waiting = list(connection.from_server)
    for got in connection.to_app:
        match = next((each for each in waiting if each.message is got.message), None)
        if match is None:
            match = next((each for each in waiting if _filled(each) == _filled(got)), None)
        if match is None and waiting and waiting[0].kind == got.kind:
            match = waiting[0]
            connection.violate("receive-changed", got.kind, f"{got.kind} did not reach the app as the server gave it")
        if match is None:
            connection.violate("receive-invented", got.kind, f"the app got {got.kind}, which the server did not give")
            continue
        if match is not waiting[0]:
            connection.violate(
                "receive-changed", waiting[0].kind, f"{waiting[0].kind} did not reach the app in its turn"
            )
        waiting.remove(match)


def _filled(passed: Passed) -> Any:
    """Give the message with its defaults written out: a class may do that."""
    if passed.kind == "http.request":
        return {"body": b"", "more_body": False, **passed.frozen}
    return passed.frozen
