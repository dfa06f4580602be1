"""Propagation: fields that a handler adds reach the access line, and the ids reach the handler, wherever it runs."""

import asyncio
import contextvars
import logging
import threading
from collections.abc import AsyncIterator, Iterator, MutableMapping
from typing import Any

import anyio
import pytest
import structlog
from anyio import to_thread

from asgi_middleware._core.exchange import current_exchange
from asgi_middleware.logging import (
    LoggingMiddleware,
    RequestContextFilter,
    add_fields,
    add_request_context,
    correlation_id,
    timing,
)
from asgi_middleware.testing import http

pytestmark = pytest.mark.anyio

Lines = list[MutableMapping[str, Any]]


class Seen:
    """What log calls inside handlers carried."""

    def __init__(self) -> None:
        self.ids: list[Any] = []

    def work(self, name: str) -> None:
        """Do what a handler does: add a field and a time, and log through structlog and the standard library."""
        add_fields(**{name: 1})
        with timing(name):
            pass
        record = logging.LogRecord("x", logging.INFO, __file__, 1, "x", (), None)
        RequestContextFilter().filter(record)
        event = add_request_context(None, "info", {})
        merged = structlog.contextvars.get_contextvars()
        self.ids.append(
            (correlation_id.get(), event.get("request_id"), merged.get("request_id"), record.__dict__["request_id"])
        )


seen = Seen()


@pytest.fixture(autouse=True)
def forget() -> Iterator[None]:
    """Start each test with nothing seen."""
    seen.ids.clear()
    yield
    seen.ids.clear()


async def check(app: Any, path: str, lines: Lines, *names: str) -> None:
    """Make a request and check that each name is on its line, and that each log call carried its id."""
    result = await http(LoggingMiddleware(app), path=path, headers=[(b"x-request-id", b"abc"), (b"host", b"t.example")])
    assert result.status == 200, result.body
    [line] = [one for one in lines if one["event"] == "http.request"]
    assert line["status"] == 200
    missing = [name for name in names if line.get(name) != 1 or name not in line["timings_ms"]]
    assert missing == []
    assert seen.ids == [("abc",) * 4] * len(names)
    assert current_exchange.get() is None


async def _child_task() -> None:
    async with anyio.create_task_group() as group:
        group.start_soon(_in_task)


async def _in_task() -> None:
    seen.work("task")


def starlette_app() -> Any:
    """Build a Starlette app with handlers of every kind."""
    from starlette.applications import Starlette
    from starlette.background import BackgroundTask
    from starlette.requests import Request
    from starlette.responses import PlainTextResponse, Response, StreamingResponse
    from starlette.routing import Route

    async def on_loop(request: Request) -> Response:
        seen.work("on_loop")
        return PlainTextResponse("ok")

    def in_thread(request: Request) -> Response:
        seen.work("in_thread")
        return PlainTextResponse("ok")

    async def child(request: Request) -> Response:
        await _child_task()
        await to_thread.run_sync(seen.work, "worker")
        return PlainTextResponse("ok")

    async def streaming(request: Request) -> Response:
        async def body() -> AsyncIterator[bytes]:
            seen.work("stream")
            yield b"x"

        return StreamingResponse(body())

    async def sync_streaming(request: Request) -> Response:
        def body() -> Iterator[bytes]:
            seen.work("sync_stream")
            yield b"x"

        return StreamingResponse(body())

    async def background(request: Request) -> Response:
        return PlainTextResponse("ok", background=BackgroundTask(seen.work, "background"))

    handlers = (on_loop, in_thread, child, streaming, sync_streaming, background)
    return Starlette(routes=[Route(f"/{handler.__name__}", handler) for handler in handlers])


CASES = [
    ("/on_loop", ["on_loop"]),
    ("/in_thread", ["in_thread"]),
    ("/child", ["task", "worker"]),
    ("/streaming", ["stream"]),
    ("/sync_streaming", ["sync_stream"]),
    ("/background", ["background"]),
]


@pytest.mark.parametrize(("path", "names"), CASES, ids=lambda value: value if isinstance(value, str) else "")
async def test_starlette(path: str, names: list[str], lines: Lines) -> None:
    """Async and sync handlers, child tasks, threads, streaming bodies and background tasks of Starlette [3.2]."""
    await check(starlette_app(), path, lines, *names)


@pytest.mark.parametrize(("path", "names"), CASES, ids=lambda value: value if isinstance(value, str) else "")
async def test_starlette_base_http_middleware(path: str, names: list[str], lines: Lines) -> None:
    """The same under BaseHTTPMiddleware, which runs the app in a task of its own [3.2]."""
    from starlette.middleware.base import BaseHTTPMiddleware, RequestResponseEndpoint
    from starlette.requests import Request
    from starlette.responses import Response

    async def dispatch(request: Request, call_next: RequestResponseEndpoint) -> Response:
        return await call_next(request)

    app = starlette_app()
    app.add_middleware(BaseHTTPMiddleware, dispatch=dispatch)
    await check(app, path, lines, *names)


def fastapi_app() -> Any:
    """Build a FastAPI app with dependencies of every kind."""
    from fastapi import Depends, FastAPI

    app = FastAPI()

    async def on_loop() -> None:
        seen.work("async_dependency")

    def in_thread() -> None:
        seen.work("sync_dependency")

    def in_thread_around() -> Iterator[None]:
        seen.work("before")
        yield
        seen.work("after")

    app.get("/async", dependencies=[Depends(on_loop)])(_async_view)
    app.get("/sync", dependencies=[Depends(in_thread)])(_sync_view)
    app.get("/around", dependencies=[Depends(in_thread_around)])(_async_view)
    return app


async def _async_view() -> dict[str, int]:
    seen.work("view")
    return {}


def _sync_view() -> dict[str, int]:
    seen.work("view")
    return {}


@pytest.mark.parametrize(
    ("path", "names"),
    [
        ("/async", ["async_dependency", "view"]),
        ("/sync", ["sync_dependency", "view"]),
        ("/around", ["before", "view", "after"]),
    ],
    ids=["async", "sync", "around"],
)
async def test_fastapi(path: str, names: list[str], lines: Lines) -> None:
    """Async and sync views and dependencies of FastAPI, those with a yield included [3.2]."""
    await check(fastapi_app(), path, lines, *names)


async def test_litestar(lines: Lines) -> None:
    """A sync handler of Litestar in its thread, and its route template [3.2]."""
    from litestar import Litestar, get

    @get("/items/{number:int}", sync_to_thread=True)
    def in_thread() -> dict[str, int]:
        seen.work("in_thread")
        return {}

    await check(Litestar([in_thread], logging_config=None), "/items/7", lines, "in_thread")
    assert lines[0]["route"] == "/items/{number}"
    assert lines[0]["path"] == "/items/7"


class TestDjango:
    @pytest.fixture
    def anyio_backend(self) -> str:
        """Django runs on asyncio alone."""
        return "asyncio"

    @pytest.fixture
    def app(self) -> Iterator[Any]:
        """Build a Django app with views of every kind, whatever settings another test has made."""
        import django
        from django.conf import settings
        from django.core.asgi import get_asgi_application
        from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
        from django.test import override_settings
        from django.urls import path

        if not settings.configured:
            settings.configure(SECRET_KEY="for tests", LOGGING_CONFIG=None, USE_TZ=True)
        django.setup()

        async def on_loop(request: HttpRequest) -> HttpResponse:
            seen.work("on_loop")
            await asyncio.to_thread(seen.work, "worker")
            return HttpResponse("ok")

        def in_thread(request: HttpRequest) -> HttpResponse:
            seen.work("in_thread")
            return HttpResponse("ok")

        async def streaming(request: HttpRequest) -> StreamingHttpResponse:
            async def body() -> AsyncIterator[bytes]:
                seen.work("stream")
                yield b"x"

            return StreamingHttpResponse(body())

        patterns = tuple(path(view.__name__, view) for view in (on_loop, in_thread, streaming))
        with override_settings(ROOT_URLCONF=patterns, ALLOWED_HOSTS=["*"], MIDDLEWARE=[]):
            yield get_asgi_application()

    @pytest.mark.parametrize(
        ("path", "names"),
        [("/on_loop", ["on_loop", "worker"]), ("/in_thread", ["in_thread"]), ("/streaming", ["stream"])],
        ids=["async", "sync", "streaming"],
    )
    async def test_views(self, app: Any, path: str, names: list[str], lines: Lines) -> None:
        """Async, sync and streaming views of Django, which run in tasks and threads of their own [3.2]."""
        await check(app, path, lines, *names)


class TestBareApp:
    async def test_tasks_and_threads(self, lines: Lines) -> None:
        """Child tasks and threads of a bare app, and a thread of one's own that is given a copy of the context."""

        async def app(scope: Any, receive: Any, send: Any) -> None:
            await _child_task()
            await to_thread.run_sync(seen.work, "worker")
            context = contextvars.copy_context()
            own = threading.Thread(target=context.run, args=(seen.work, "own_thread"))
            own.start()
            own.join()
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body"})

        await check(app, "/", lines, "task", "worker", "own_thread")

    async def test_many_threads_at_once(self, lines: Lines) -> None:
        """Fields and times added from many threads at once are all there."""

        def work(number: int) -> None:
            for step in range(20):
                add_fields(**{f"field_{number}_{step}": 1})
                with timing("work"):
                    pass

        async def app(scope: Any, receive: Any, send: Any) -> None:
            async with anyio.create_task_group() as group:
                for number in range(10):
                    group.start_soon(to_thread.run_sync, work, number)

        await http(LoggingMiddleware(app))
        assert sum(name.startswith("field_") for name in lines[0]) == 200

    async def test_outside_a_request(self) -> None:
        """Outside a request nothing is added anywhere, and nothing fails."""
        seen.work("nowhere")
        assert seen.ids == [(None, None, None, "-")]
