"""A service that records everything there is, and a client that gives it something to record."""

import asyncio
import time
from contextlib import nullcontext

import anyio
import uvicorn

from asgi_middleware import (
    MetricsEndpoint,
    PrometheusMiddleware,
    RequestBodyLimitMiddleware,
    ServerTimingMiddleware,
    timing,
)
from asgi_middleware.testing.driver import drive, http, http_scope, websocket

ROUTES = {"/items": 0.004, "/search": 0.03, "/report": 0.12}
"""Seconds that each route takes."""


TRACE = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def broken(scope):
    raise RuntimeError("this label cannot be told")


async def answer(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})
    elif scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        while (message := await receive())["type"] == "websocket.receive":
            await anyio.sleep(0.05)
            await send({"type": "websocket.send", "text": message["text"]})
    else:
        await respond(scope, receive, send)


async def respond(scope, receive, send):
    exchange, path = scope["asgi_middleware"], scope["path"]
    exchange.set_route(path)  # all of them are routes here
    exchange.add_label("tenant", path)
    if path == "/fail":
        raise RuntimeError("this fails")
    if path == "/leave":
        await receive()
        await receive()
        return
    await receive()
    with timing("db"):
        await anyio.sleep(ROUTES.get(path, 0))
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"x" * 1000})
    await anyio.sleep(0.001)


app = PrometheusMiddleware(
    ServerTimingMiddleware(RequestBodyLimitMiddleware(answer, max_body_size=100)),
    body_sizes=True,
    time_to_first_byte=True,
    background=True,
    queue_time_header="x-request-start",
    timings=True,
    loop_lag=True,
    labels={"tenant": None, "broken": broken},
    max_label_values=4,
    max_series=12,
)
TOKEN = "a-token-for-prometheus"
served = MetricsEndpoint(app, authorize=TOKEN, networks=["127.0.0.0/8"])


async def traffic(seconds, *, made_up):
    """Ask for everything there is, again and again; for made-up routes too, until there are too many."""
    end = asyncio.get_running_loop().time() + seconds

    async def ask(path, pause, **options):
        while asyncio.get_running_loop().time() < end:
            await http(app, "POST", path, body=b"y" * 50, raise_exceptions=False, **options)
            await asyncio.sleep(pause)

    async def others():
        number = 0
        while asyncio.get_running_loop().time() < end:
            number += 1
            await http(app, "POST", "/items", body=b"z" * 1000, raise_exceptions=False)
            await drive(app, http_scope("GET", "/leave"), [{"type": "http.request"}, {"type": "http.disconnect"}])
            if made_up:
                await http(app, "GET", f"/made-up/{number}")
            await asyncio.sleep(0.1 + 0.05 * (number // 40 % 2))

    async def talk(pause):
        while asyncio.get_running_loop().time() < end:
            await websocket(app, "/room", messages=["hello"] * 10)
            await asyncio.sleep(pause)

    async with asyncio.TaskGroup() as tasks:
        headers = [(b"x-request-start", b"t=%.3f" % time.time()), (b"traceparent", TRACE)]
        for path in ROUTES:
            tasks.create_task(ask(path, 0.01, headers=headers))
        tasks.create_task(ask("/fail", 0.1))
        tasks.create_task(others())
        tasks.create_task(talk(0.5))
        tasks.create_task(talk(2))


async def serve(port_is, seconds, stop, *, made_up=True):
    """Serve on a port that the system picks, with traffic for so long; then until told to stop."""
    server = uvicorn.Server(uvicorn.Config(served, port=0, log_level="warning"))
    server.capture_signals = nullcontext  # it runs in a thread
    running = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110 -- uvicorn has no event for it
        await asyncio.sleep(0.01)
    port_is(server.servers[0].sockets[0].getsockname()[1])
    await traffic(seconds, made_up=made_up)
    await asyncio.to_thread(stop.wait)
    server.should_exit = True
    await running
