"""LoggingMiddleware changes nothing of what passes, and keeps nothing of it."""

import gc
import inspect
import weakref
from collections.abc import MutableMapping
from typing import Any

import anyio
import pytest

from asgi_middleware._core.exchange import Exchange, add_fields, enter
from asgi_middleware.logging import CorrelationIdMiddleware, LoggingMiddleware
from asgi_middleware.testing import drive, http, http_scope, lifespan

pytestmark = pytest.mark.anyio

Lines = list[MutableMapping[str, Any]]

START = {"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]}


async def hello(scope: Any, receive: Any, send: Any) -> None:
    """Answer with five bytes."""
    await send(START)
    await send({"type": "http.response.body", "body": b"hello"})


async def _swallow(message: Any) -> None:
    """Take a message and do nothing."""


class TestTransparency:
    async def test_other_scopes(self, lines: Lines) -> None:
        """Lifespan and unknown scopes get the very objects of the server, and no line [3.2]."""
        seen: list[Any] = []

        async def app(*given: Any) -> None:
            seen.append(given)

        wrapped = LoggingMiddleware(app)
        await lifespan(wrapped)
        scope, objects = {"type": "webtransport"}, (object(), object())
        await wrapped(scope, *objects)  # type: ignore[arg-type]
        assert seen[1][0] is scope
        assert seen[1][1:] == objects
        assert lines == []

    @pytest.mark.parametrize("wrap", [LoggingMiddleware, CorrelationIdMiddleware])
    @pytest.mark.parametrize("sent", [b"x-request-id: bad id", b"x-request-id: good", b"accept: */*", None])
    @pytest.mark.parametrize("further_out", [False, True])
    async def test_nothing_of_the_caller_changes(self, wrap: Any, sent: bytes | None, further_out: bool) -> None:
        """Scope, headers and state of the server, and the app's own messages, stay as they were [3.2]."""
        state = {"pool": object()}
        headers: Any = [] if sent is None else [tuple(sent.split(b": "))]
        given = list(headers)
        scope = http_scope(state=state) | {"headers": headers}
        if further_out:  # another of our classes stands there
            scope, _ = enter(scope)
        before = {**scope}
        start = {"type": "http.response.start", "status": 200, "headers": [(b"X-Request-ID", b"app's own")]}
        copy = {**start, "headers": list(start["headers"])}  # type: ignore[call-overload]

        async def app(inner: Any, receive: Any, send: Any) -> None:
            inner["route"] = "mine"
            inner["state"]["user"] = "me"
            await send(start)
            await send({"type": "http.response.body"})

        wrapped = wrap(app)
        await drive(wrapped, scope)
        assert wrapped.failures == 0
        assert scope == before
        assert scope["headers"] is before["headers"] is headers
        assert headers == given
        assert list(state) == ["pool"]
        assert start == copy

    async def test_messages_pass_unchanged(self) -> None:
        """Unknown messages, extra keys and order pass; a message that needs no header is the same object."""
        sent: list[dict[str, Any]] = [
            {"type": "http.response.early_hint", "links": [b"</a>; rel=preload"]},
            {"type": "http.response.start", "status": 200, "headers": [], "trailers": True, "extra": 1},
            {"type": "http.response.push", "path": "/x", "headers": []},
            {"type": "http.response.body", "body": b"x", "more_body": False},
            {"type": "http.response.trailers", "headers": [], "more_trailers": False},
            {"type": "future.message"},
        ]
        came: list[dict[str, Any]] = [
            {"type": "http.request", "body": b"", "more_body": False, "extra": 2},
            {"type": "future"},
        ]

        async def app(scope: Any, receive: Any, send: Any) -> None:
            for message in came:
                assert await receive() is message
            for message in sent:
                await send(message)

        result = await drive(LoggingMiddleware(app), http_scope(), came)
        assert result.types == [message["type"] for message in sent]
        assert result.sent[1] == {**sent[1], "headers": [(b"x-request-id", result.header(b"x-request-id"))]}
        assert all(result.sent[n] is sent[n] for n in (0, 2, 3, 4, 5))

    @pytest.mark.parametrize(
        ("headers", "kept"),
        [
            (lambda: ..., []),
            (lambda: None, []),
            (tuple, []),
            (lambda: ((b"a", b"1"),), [b"a"]),
            (lambda: [[b"a", b"1"]], [b"a"]),
            (lambda: iter([(b"a", b"1"), (b"b", b"2"), (b"X-Request-ID", b"3")]), [b"a", b"b"]),
        ],
        ids=["absent", "None", "empty tuple", "tuple", "lists", "iterator"],
    )
    async def test_any_shape_of_response_headers(self, headers: Any, kept: list[bytes]) -> None:
        """A response start may lack headers, or give them as any iterable; none but an id gets lost [3.3]."""

        async def app(scope: Any, receive: Any, send: Any) -> None:
            message = {"type": "http.response.start", "status": 200, "headers": headers()}
            await send({name: value for name, value in message.items() if value is not ...})
            await send({"type": "http.response.body"})

        wrapped = LoggingMiddleware(app)
        sent = (await http(wrapped)).sent[0]["headers"]
        assert type(sent) is list
        assert [name for name, _ in sent] == [*kept, b"x-request-id"]
        assert wrapped.failures == 0

    async def test_interleaved_requests(self, lines: Lines) -> None:
        """Two requests at a time on one instance do not mix."""

        async def app(scope: Any, receive: Any, send: Any) -> None:
            add_fields(mine=scope["path"])
            await anyio.sleep(0.01)
            await send(START)
            await anyio.sleep(0.01)
            await send({"type": "http.response.body", "body": scope["path"].encode()})

        wrapped = LoggingMiddleware(app)
        async with anyio.create_task_group() as group:
            for n in range(5):
                group.start_soon(http, wrapped, "GET", f"/{'x' * n}")
        assert sorted((line["path"], line["mine"], line["response_bytes"]) for line in lines) == [
            (f"/{'x' * n}", f"/{'x' * n}", n + 1) for n in range(5)
        ]
        assert len({line["request_id"] for line in lines}) == 5

    async def test_nested_copies(self, lines: Lines) -> None:
        """Of two copies in one stack the inner one steps aside: one line, one header."""
        result = await http(LoggingMiddleware(LoggingMiddleware(hello)))
        assert len(lines) == 1
        assert len(result.header_all(b"x-request-id")) == 1

    async def test_call_is_asgi_3(self) -> None:
        """The call is a coroutine function with the names of the specification, and gives None."""
        wrapped = LoggingMiddleware(hello)
        assert inspect.iscoroutinefunction(wrapped.__call__)
        result = await wrapped(scope=http_scope(), receive=anyio.sleep_forever, send=_swallow)  # type: ignore[func-returns-value]
        assert result is None

    async def test_no_circle_keeps_a_request_alive(self) -> None:
        """A request's record is freed with it, without the garbage collector, also after a failure that was told."""
        alive: list[weakref.ref[Exchange]] = []

        async def app(scope: Any, receive: Any, send: Any) -> None:
            alive.append(weakref.ref(scope["asgi_middleware"]))
            await hello(scope, receive, send)

        async def answers(scope: Any, receive: Any, send: Any) -> None:
            alive.append(weakref.ref(scope["asgi_middleware"]))
            try:
                raise ValueError
            except ValueError as error:
                scope["asgi_middleware"].error = error  # its traceback holds this frame, and that the scope
            await hello(scope, receive, send)

        async def broken(message: Any) -> None:
            raise OSError

        gc.collect()
        gc.disable()
        try:
            await LoggingMiddleware(app)(http_scope(), anyio.sleep_forever, _swallow)
            assert alive[0]() is None
            with pytest.raises(OSError):  # noqa: PT011 -- any
                await LoggingMiddleware(app)(http_scope(), anyio.sleep_forever, broken)
            assert alive[1]() is None
            await LoggingMiddleware(answers)(http_scope(), anyio.sleep_forever, _swallow)
            assert alive[2]() is None
        finally:
            gc.enable()

    async def test_outer_follower_keeps_the_scope(self) -> None:
        """A class further out that follows the scope finds it after the request, with what the framework wrote."""

        async def app(scope: Any, receive: Any, send: Any) -> None:
            scope["path_template"] = "/x"
            await hello(scope, receive, send)

        scope, exchange = enter(http_scope())
        exchange.follow(scope)
        await drive(LoggingMiddleware(app), scope)
        assert exchange.scope is not None
        assert exchange.scope["path_template"] == "/x"
        assert "path_template" not in scope
