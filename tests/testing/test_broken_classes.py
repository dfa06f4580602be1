"""Deliberately broken classes, each caught by a named rule."""

from __future__ import annotations

import asyncio
import contextlib
import copy
import functools
from collections.abc import Callable
from contextvars import ContextVar
from http import HTTPStatus
from typing import Any

import anyio
import pytest
import trio
from right_class import Base

from asgi_middleware.testing import (
    RULES,
    check_middleware,
)
from asgi_middleware.testing.battery_apps import app_variable

pytestmark = pytest.mark.anyio

variable: ContextVar[str] = ContextVar("variable")


class SwallowsUnknown(Base):
    async def send(self, message: Any, send: Any) -> None:
        if message["type"] in {"http.response.start", "http.response.body"} or message["type"].startswith("websocket."):
            await send(message)


class ChangesHeadersInPlace(Base):
    async def send(self, message: Any, send: Any) -> None:
        if message["type"] == "http.response.start" and type(message.get("headers")) is list:
            message["headers"].append((b"x-added", b"1"))
        await send(message)


class ChangesMessageInPlace(Base):
    async def send(self, message: Any, send: Any) -> None:
        message.setdefault("more_body", False)
        await send(message)


class ChangesReceivedInPlace(Base):
    async def serve(self, scope: Any, receive: Any, send: Any) -> None:
        async def receiving() -> Any:
            message = await receive()
            message["seen"] = True
            return message

        await self.app(scope, receiving, send)


class ChangesScopeInPlace(Base):
    async def serve(self, scope: Any, receive: Any, send: Any) -> None:
        scope["added"] = 1
        await self.app(scope, receive, send)


class CopiesScopeTooShallowly(Base):
    async def serve(self, scope: Any, receive: Any, send: Any) -> None:
        scope = dict(scope)
        if isinstance(scope.get("extensions"), dict):
            scope["extensions"]["added"] = {}
        await self.app(scope, receive, send)


class ChangesScopeAfterwards(Base):
    async def serve(self, scope: Any, receive: Any, send: Any) -> None:
        await self.app(scope, receive, send)
        scope.get("state", {})["added"] = 1


class DeepCopiesScope(Base):
    async def serve(self, scope: Any, receive: Any, send: Any) -> None:
        await self.app(copy.deepcopy(scope), receive, send)


class RemovesScopeKey(Base):
    async def serve(self, scope: Any, receive: Any, send: Any) -> None:
        await self.app({key: value for key, value in scope.items() if key != "extensions"}, receive, send)


class ChangesScopeValue(Base):
    async def serve(self, scope: Any, receive: Any, send: Any) -> None:
        await self.app({**scope, "path": f"/inner{scope['path']}"}, receive, send)


class CopiesLifespanScope(Base):
    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self.app(dict(scope), receive, send)


class DropsLifespan(Base):
    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "lifespan":
            await self.app(scope, receive, send)


class LeaksContext(Base):
    async def serve(self, scope: Any, receive: Any, send: Any) -> None:
        variable.set(scope["path"])
        await self.app(scope, receive, send)


class LeaksContextOnError(Base):
    async def serve(self, scope: Any, receive: Any, send: Any) -> None:
        token = variable.set(scope["path"])
        await self.app(scope, receive, send)
        variable.reset(token)


class LosesContext(Base):
    async def serve(self, scope: Any, receive: Any, send: Any) -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(self.app, scope, receive, send)


class ReplacesException(Base):
    async def serve(self, scope: Any, receive: Any, send: Any) -> None:
        try:
            await self.app(scope, receive, send)
        except LookupError as error:
            raise RuntimeError("failed") from error


class SwallowsException(Base):
    async def serve(self, scope: Any, receive: Any, send: Any) -> None:
        with contextlib.suppress(LookupError):
            await self.app(scope, receive, send)


class AnswersException(Base):
    async def serve(self, scope: Any, receive: Any, send: Any) -> None:
        try:
            await self.app(scope, receive, send)
        except LookupError:
            if scope["type"] == "http":
                await send({"type": "http.response.start", "status": 500, "headers": []})
                await send({"type": "http.response.body", "body": b"", "more_body": False})
            raise


class SwallowsCancellation(Base):
    async def serve(self, scope: Any, receive: Any, send: Any) -> None:
        try:
            await self.app(scope, receive, send)
        except anyio.get_cancelled_exc_class():
            pass


class SwallowsSendError(Base):
    async def serve(self, scope: Any, receive: Any, send: Any) -> None:
        async def sending(message: Any) -> None:
            try:
                await send(message)
            except OSError as error:
                raise ValueError("gone") from error

        await self.app(scope, receive, sending)


class FailsWithoutHeaders(Base):
    async def send(self, message: Any, send: Any) -> None:
        if message["type"] == "http.response.start":
            len(message["headers"])
        await send(message)


class ReadsEarly(Base):
    async def serve(self, scope: Any, receive: Any, send: Any) -> None:
        first = [await receive()]

        async def receiving() -> Any:
            return first.pop() if first else await receive()

        await self.app(scope, receiving, send)


class ReadsInATask(Base):
    async def serve(self, scope: Any, receive: Any, send: Any) -> None:
        async def receiving() -> Any:
            return await asyncio.create_task(receive())

        await self.app(scope, receiving, send)


class InventsDisconnect(Base):
    async def serve(self, scope: Any, receive: Any, send: Any) -> None:
        async def receiving() -> Any:
            message = await receive()
            return {"type": "http.disconnect"} if message["type"] == "http.request" else message

        await self.app(scope, receiving, send)


class RepeatsRequest(Base):
    async def serve(self, scope: Any, receive: Any, send: Any) -> None:
        async def receiving() -> Any:
            message = await receive()
            return {"type": "http.request"} if message["type"] == "http.disconnect" else message

        await self.app(scope, receiving, send)


class ChangesRequest(Base):
    async def serve(self, scope: Any, receive: Any, send: Any) -> None:
        async def receiving() -> Any:
            message = await receive()
            if message["type"] == "http.request":
                return {"type": "http.request", "body": message.get("body", b"").upper(), "more_body": False}
            return message

        await self.app(scope, receiving, send)


class StartsTwice(Base):
    async def send(self, message: Any, send: Any) -> None:
        if message["type"] == "http.response.start":
            await send(message)
        await send(message)


class HoldsStart(Base):
    async def serve(self, scope: Any, receive: Any, send: Any) -> None:
        held: list[Any] = []

        async def sending(message: Any) -> None:
            if message["type"] == "http.response.start":
                held.append(message)
                return
            while held:
                await send(held.pop())
            await send(message)

        await self.app(scope, receive, sending)


class HoldsBody(Base):
    async def serve(self, scope: Any, receive: Any, send: Any) -> None:
        pieces: list[bytes] = []

        async def sending(message: Any) -> None:
            if message["type"] != "http.response.body":
                await send(message)
                return
            pieces.append(bytes(message.get("body", b"")))
            if not message.get("more_body"):
                await send({"type": "http.response.body", "body": b"".join(pieces), "more_body": False})

        await self.app(scope, receive, sending)


class HoldsUnknown(Base):
    async def serve(self, scope: Any, receive: Any, send: Any) -> None:
        held: list[Any] = []

        async def sending(message: Any) -> None:
            if message["type"] == "http.response.push":
                held.append(message)
                return
            await send(message)
            while held:
                await send(held.pop())

        await self.app(scope, receive, sending)


class HoldsEarlyHints(Base):
    async def serve(self, scope: Any, receive: Any, send: Any) -> None:
        held: list[Any] = []

        async def sending(message: Any) -> None:
            if message["type"] == "http.response.early_hint":
                held.append(message)
                return
            await send(message)
            while held:
                await send(held.pop())

        await self.app(scope, receive, sending)


class DropsTrailersKey(Base):
    async def send(self, message: Any, send: Any) -> None:
        await send({key: value for key, value in message.items() if key != "trailers"})


class DropsUnknownKeys(Base):
    async def send(self, message: Any, send: Any) -> None:
        await send({key: value for key, value in message.items() if key not in {"x-note", "x_note"}})


class ChangesStatus(Base):
    async def send(self, message: Any, send: Any) -> None:
        await send({**message, "status": 200} if message["type"] == "http.response.start" else message)


class RemovesHeader(Base):
    async def send(self, message: Any, send: Any) -> None:
        if message["type"] == "http.response.start":
            headers = [pair for pair in message.get("headers") or () if bytes(pair[0]).lower() != b"etag"]
            message = {**message, "headers": headers}
        await send(message)


class ChangesBody(Base):
    async def send(self, message: Any, send: Any) -> None:
        if message["type"] == "http.response.body":
            message = {**message, "body": bytes(message.get("body", b"")) + b"!"}
        await send(message)


class SplitsBody(Base):
    async def send(self, message: Any, send: Any) -> None:
        if message["type"] == "http.response.body" and not message.get("more_body"):
            await send({**message, "more_body": True})
            message = {"type": "http.response.body", "body": b"", "more_body": False}
        await send(message)


class NeverEnds(Base):
    async def send(self, message: Any, send: Any) -> None:
        await send({**message, "more_body": True} if message["type"] == "http.response.body" else message)


class Hangs(Base):
    async def serve(self, scope: Any, receive: Any, send: Any) -> None:
        await self.app(scope, receive, send)
        await anyio.sleep_forever()


class AddsTo(Base):
    """Adds one pair of headers to every response, whatever it is."""

    def __init__(self, app: Any, pair: Any) -> None:
        super().__init__(app)
        self.pair = pair

    async def send(self, message: Any, send: Any) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*(message.get("headers") or ()), self.pair]}
        await send(message)


class SendsByteArray(Base):
    async def send(self, message: Any, send: Any) -> None:
        if message["type"] == "http.response.body":
            message = {**message, "body": bytearray(message.get("body", b""))}
        await send(message)


class SendsIterator(Base):
    async def send(self, message: Any, send: Any) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": (pair for pair in message.get("headers") or ())}
        await send(message)


class SendsSharedList(Base):
    def __init__(self, app: Any) -> None:
        super().__init__(app)
        self.start = {"type": "http.response.start", "status": 403, "headers": [(b"content-length", b"0")]}

    async def serve(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "websocket":
            await self.app(scope, receive, send)
            return
        await send(self.start)
        await send({"type": "http.response.body", "body": b"", "more_body": False})


class KeepsStateOnSelf(Base):
    async def serve(self, scope: Any, receive: Any, send: Any) -> None:
        self.start: Any = None

        async def sending(message: Any) -> None:
            if message["type"] == "http.response.start":
                self.start = message
                return
            if self.start is not None:
                await send(self.start)
                self.start = None
            await send(message)

        await self.app(scope, receive, sending if scope["type"] == "http" else send)


class KeepsHeaderOnSelf(Base):
    async def serve(self, scope: Any, receive: Any, send: Any) -> None:
        self.tag = b"".join(value for name, value in scope["headers"] if name == b"x-tag")

        async def sending(message: Any) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*(message.get("headers") or ()), (b"x-seen", self.tag)]}
            await send(message)

        await self.app(scope, receive, sending)


class KeepsSocketOnSelf(Base):
    async def serve(self, scope: Any, receive: Any, send: Any) -> None:
        self.outgoing = send

        async def sending(message: Any) -> None:
            await self.outgoing(message)

        await self.app(scope, receive, sending if scope["type"] == "websocket" else send)


class LetsInOne(Base):
    def __init__(self, app: Any) -> None:
        super().__init__(app)
        self.lock = anyio.Lock()

    async def serve(self, scope: Any, receive: Any, send: Any) -> None:
        async with self.lock:
            await self.app(scope, receive, send)


class LeavesTasks(Base):
    async def serve(self, scope: Any, receive: Any, send: Any) -> None:
        try:
            self.last = asyncio.get_running_loop().create_task(anyio.sleep(3600))
        except RuntimeError:
            trio.lowlevel.spawn_system_task(trio.sleep, 3600)
        await self.app(scope, receive, send)


class NamesStatus(Base):
    async def send(self, message: Any, send: Any) -> None:
        if message["type"] == "http.response.start":
            HTTPStatus(message["status"])
        await send(message)


class ReturnsValue(Base):
    async def __call__(self, scope: Any, receive: Any, send: Any) -> Any:
        await self.app(scope, receive, send)
        return True


class CallsTwice(Base):
    async def serve(self, scope: Any, receive: Any, send: Any) -> None:
        await self.app(scope, receive, send)
        if scope["type"] == "http":
            await self.app(scope, receive, send)


class OtherNames(Base):
    async def __call__(self, s: Any, r: Any, w: Any) -> None:
        await self.app(s, r, w)


class PlainCall(Base):
    def __call__(self, scope: Any, receive: Any, send: Any) -> Any:
        return self.app(scope, receive, send)


class OtherFirstParameter:
    def __init__(self, application: Any) -> None:
        self.app = application

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self.app(scope, receive, send)


class AnswersWebSocketByHttp(Base):
    async def serve(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "http.response.start", "status": 403, "headers": []})
            return
        await self.app(scope, receive, send)


class DeniesUnannounced(Base):
    async def serve(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.http.response.start", "status": 403, "headers": []})
            await send({"type": "websocket.http.response.body", "body": b"", "more_body": False})
            return
        await self.app(scope, receive, send)


class AcceptsTwice(Base):
    async def send(self, message: Any, send: Any) -> None:
        if message["type"] == "websocket.accept":
            await send({"type": "websocket.accept"})
        await send(message)


class SendsNoMessage(Base):
    async def send(self, message: Any, send: Any) -> None:
        await send(message if message["type"] != "http.response.invented" else {"at": message["at"]})


class SendsHalfAMessage(Base):
    async def send(self, message: Any, send: Any) -> None:
        await send({**message, "more_body": 1} if message["type"] == "http.response.body" else message)


class SendsBodyFirst(Base):
    async def send(self, message: Any, send: Any) -> None:
        if message["type"] == "http.response.start":
            await send({"type": "http.response.body", "body": b"", "more_body": True})
        await send(message)


class CompletesLifespanTwice(Base):
    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        async def sending(message: Any) -> None:
            await send(message)
            if message["type"] == "lifespan.startup.complete":
                await send(message)

        await self.app(scope, receive, sending if scope["type"] == "lifespan" else send)


class ChangesClose(Base):
    async def send(self, message: Any, send: Any) -> None:
        await send({**message, "code": 1000} if message["type"] == "websocket.close" else message)


class InventsMessage(Base):
    async def send(self, message: Any, send: Any) -> None:
        await send(message)
        if message["type"] == "websocket.accept":
            await send({"type": "websocket.send", "text": "welcome"})


class ResetsTheAppsContext(Base):
    async def serve(self, scope: Any, receive: Any, send: Any) -> None:
        await self.app(scope, receive, send)
        app_variable.set("")


BROKEN: list[tuple[Callable[..., Any], str]] = [
    (SwallowsUnknown, "message-swallowed:http.response.invented"),
    (SwallowsUnknown, "message-swallowed:http.response.pathsend"),
    (ChangesHeadersInPlace, "message-mutated:http.response.start"),
    (ChangesMessageInPlace, "message-mutated:http.response.body"),
    (ChangesReceivedInPlace, "message-mutated:http.request"),
    (ChangesScopeInPlace, "scope-mutated:added"),
    (CopiesScopeTooShallowly, "scope-mutated:extensions"),
    (ChangesScopeAfterwards, "scope-mutated:state"),
    (DeepCopiesScope, "scope-deepcopied:state"),
    (RemovesScopeKey, "scope-key-removed:extensions"),
    (ChangesScopeValue, "scope-key-changed:path"),
    (CopiesLifespanScope, "not-passed-through:scope"),
    (DropsLifespan, "app-not-called:lifespan"),
    (LeaksContext, "context-leaked:variable"),
    (LeaksContextOnError, "context-leaked:variable"),
    (LosesContext, "extra-task:http"),
    (ReplacesException, "exception-replaced:RuntimeError"),
    (SwallowsException, "exception-swallowed:LookupError"),
    (AnswersException, "exception-answered:http.response.start"),
    (SwallowsCancellation, "cancellation-swallowed"),
    (SwallowsSendError, "exception-replaced:ValueError"),
    (FailsWithoutHeaders, "exception-invented:KeyError"),
    (ReadsEarly, "early-receive:http"),
    (InventsDisconnect, "receive-invented:http.disconnect"),
    (RepeatsRequest, "receive-order:http.request"),
    (ChangesRequest, "receive-changed:http.request"),
    (StartsTwice, "second-start:http.response.start"),
    (HoldsStart, "start-held:http.response.start"),
    (HoldsBody, "chunk-held:http.response.body"),
    (HoldsBody, "body-held:http.response.body"),
    (HoldsUnknown, "message-delayed:http.response.push"),
    (HoldsUnknown, "message-order:http"),
    (HoldsEarlyHints, "early-hint-order:http.response.early_hint"),
    (DropsTrailersKey, "key-dropped:http.response.start.trailers"),
    (DropsTrailersKey, "trailers-order:http.response.trailers"),
    (DropsUnknownKeys, "key-dropped:http.response.body"),
    (DropsUnknownKeys, "key-dropped:websocket.send"),
    (ChangesStatus, "status-changed"),
    (RemovesHeader, "header-changed:etag"),
    (ChangesBody, "body-changed:http.response.body"),
    (ChangesBody, "content-length:200"),
    (ChangesBody, "body-forbidden:304"),
    (SplitsBody, "body-rechunked:http.response.body"),
    (NeverEnds, "end-lost:http"),
    (Hangs, "hangs:http"),
    (functools.partial(AddsTo, pair=(b"X-Upper", b"1")), "header-name:X-Upper"),
    (functools.partial(AddsTo, pair=(b":status", b"1")), "header-name::status"),
    (functools.partial(AddsTo, pair=(b"x-split", b"1\r\nset-cookie: a=b")), "header-value:x-split"),
    (functools.partial(AddsTo, pair=("x-text", "1")), "header-shape"),
    (functools.partial(AddsTo, pair=(b"content-length", b"2250")), "header-duplicated:content-length"),
    (SendsByteArray, "body-type:http.response.body"),
    (SendsIterator, "header-shape:http.response.start"),
    (SendsSharedList, "shared-list:http.response.start"),
    (SendsSharedList, "app-not-called:http"),
    (KeepsStateOnSelf, "shared-state:status"),
    (KeepsHeaderOnSelf, "shared-state:x-seen"),
    (KeepsSocketOnSelf, "shared-state:messages"),
    (LetsInOne, "hangs:http"),
    (LetsInOne, "hangs:websocket"),
    (LeavesTasks, "task-left"),
    (NamesStatus, "exception-invented:ValueError"),
    (ReturnsValue, "returned-value:bool"),
    (CallsTwice, "app-called-twice:http"),
    (CallsTwice, "after-end:http.response.body"),
    (OtherNames, "call-signature"),
    (PlainCall, "call-signature"),
    (OtherFirstParameter, "constructor:app"),
    (AnswersWebSocketByHttp, "wrong-protocol:http.response.start"),
    (DeniesUnannounced, "extension-unannounced:websocket.http.response.start"),
    (AcceptsTwice, "websocket-order:websocket.accept"),
    (SendsNoMessage, "message-shape:dict"),
    (SendsHalfAMessage, "message-key:http.response.body.more_body"),
    (SendsBodyFirst, "before-start:http.response.body"),
    (CompletesLifespanTwice, "lifespan-order:lifespan.startup.complete"),
    (ChangesClose, "message-changed:websocket.close"),
    (InventsMessage, "message-invented:websocket.send"),
    (ResetsTheAppsContext, "context-lost:asgi_middleware_testing_app"),
]


def test_every_rule_catches_something() -> None:
    """No rule stands in the table that no broken class breaks."""
    caught = {key.partition(":")[0] for _, key in BROKEN}
    assert caught | {"app-called"} == set(RULES)


@pytest.mark.parametrize(("broken", "key"), BROKEN, ids=lambda value: value if isinstance(value, str) else None)
async def test_a_broken_class_is_caught(broken: Callable[..., Any], key: str) -> None:
    """Each fault is reported under the name of its rule and what it is about."""
    report = await check_middleware(broken, timeout=1)
    assert key in report.keys
    found = next(violation for violation in report.violations if violation.key == key)
    assert found.rule in RULES
    assert found.party == "middleware"
    assert found.section in str(report)


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_task_around_receive_is_caught(anyio_backend: str) -> None:
    """``asyncio.create_task(receive())`` fails where receive gives an awaitable that is no coroutine [law 4]."""
    report = await check_middleware(ReadsInATask)
    assert {"exception-invented:TypeError"} <= report.keys
    assert all("granian" in each.case or "pyvoy" in each.case for each in report.violations)
