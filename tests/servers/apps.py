"""The same small service in four frameworks, each within the whole stack of this library.

Routes: ``/json`` (2 KB), ``/stream`` (server-sent events), ``/boom`` (raises), ``/upload`` (gives the body's length),
``/protected`` (needs a token, gives its subject), ``/items/{id}``, and a WebSocket echo at ``/ws``.
"""

from __future__ import annotations

import asyncio
import json

import structlog
from service_constants import EVENT_PAUSE, EVENTS, KEY, LIMIT, ORIGIN, PAYLOAD

from asgi_middleware import (
    CompressionMiddleware,
    CORSMiddleware,
    JWTAuthMiddleware,
    LoggingMiddleware,
    MetricsEndpoint,
    ProblemDetailsMiddleware,
    PrometheusMiddleware,
    RequestBodyLimitMiddleware,
    layer,
    stack,
)

structlog.configure(
    processors=[structlog.contextvars.merge_contextvars, structlog.processors.JSONRenderer()],
    logger_factory=structlog.PrintLoggerFactory(),
)
log = structlog.get_logger("app")


def stacked(app):
    return stack(
        app,
        LoggingMiddleware,
        PrometheusMiddleware,
        MetricsEndpoint,
        layer(CORSMiddleware, allow_origins=[ORIGIN], allow_headers=["authorization", "content-type"]),
        layer(RequestBodyLimitMiddleware, max_body_size=LIMIT),
        layer(
            JWTAuthMiddleware,
            key=KEY,
            algorithms=["HS256"],
            audience="tests",
            exempt=["/json", "/stream", "/boom", "/upload", "/items/*"],
        ),
        CompressionMiddleware,
        ProblemDetailsMiddleware,
    )


async def _bare(scope, receive, send):
    if scope["type"] == "lifespan":
        while (await receive())["type"] == "lifespan.startup":
            await send({"type": "lifespan.startup.complete"})
        await send({"type": "lifespan.shutdown.complete"})
        return
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        while (message := await receive())["type"] == "websocket.receive":
            await send({"type": "websocket.send", "text": f"{scope['user'].identity}: {message['text']}"})
        return

    async def answer(status, body, content_type=b"application/json"):
        await send({"type": "http.response.start", "status": status, "headers": [(b"content-type", content_type)]})
        await send({"type": "http.response.body", "body": body})

    match scope["path"]:
        case "/json":
            log.info("working")
            await answer(200, json.dumps(PAYLOAD).encode())
        case "/stream":
            headers = [(b"content-type", b"text/event-stream")]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            for number in range(EVENTS):
                if number:
                    await asyncio.sleep(EVENT_PAUSE)
                await send({"type": "http.response.body", "body": b"data: %d\n\n" % number, "more_body": True})
            await send({"type": "http.response.body", "body": b""})
        case "/boom":
            raise RuntimeError("a secret of the handler")
        case "/upload":
            size, more = 0, True
            while more:
                message = await receive()
                if message["type"] == "http.disconnect":
                    return
                size += len(message.get("body", b""))
                more = message.get("more_body", False)
            await answer(200, b'{"size":%d}' % size)
        case "/protected":
            await answer(200, json.dumps({"user": scope["user"].identity}).encode())
        case path if path.startswith("/items/"):
            await answer(200, b'{"id":1}')
        case _:
            await answer(404, b"{}")


bare = stacked(_bare)


async def _events():
    for number in range(EVENTS):
        if number:
            await asyncio.sleep(EVENT_PAUSE)
        yield f"data: {number}\n\n"


def _starlette():
    from starlette.applications import Starlette
    from starlette.responses import JSONResponse, StreamingResponse
    from starlette.routing import Route, WebSocketRoute

    async def json_route(request):
        log.info("working")
        return JSONResponse(PAYLOAD)

    async def stream(request):
        return StreamingResponse(_events(), media_type="text/event-stream")

    def boom(request):
        raise RuntimeError("a secret of the handler")

    async def upload(request):
        return JSONResponse({"size": len(await request.body())})

    async def protected(request):
        return JSONResponse({"user": request.user.identity})

    async def item(request):
        return JSONResponse({"id": request.path_params["id"]})

    async def echo(websocket):
        await websocket.accept()
        async for text in websocket.iter_text():
            await websocket.send_text(f"{websocket.user.identity}: {text}")

    return Starlette(
        routes=[
            Route("/json", json_route),
            Route("/stream", stream),
            Route("/boom", boom),
            Route("/upload", upload, methods=["POST"]),
            Route("/protected", protected),
            Route("/items/{id}", item),
            WebSocketRoute("/ws", echo),
        ]
    )


starlette = stacked(_starlette())


def _fastapi():
    from fastapi import FastAPI
    from fastapi.responses import StreamingResponse

    app = FastAPI()

    @app.get("/json")
    def json_route():
        log.info("working")
        return PAYLOAD

    @app.get("/stream")
    async def stream():
        return StreamingResponse(_events(), media_type="text/event-stream")

    @app.get("/boom")
    def boom():
        raise RuntimeError("a secret of the handler")

    @app.post("/upload")
    async def upload(request: Request):
        return {"size": len(await request.body())}

    @app.get("/protected")
    def protected(request: Request):
        return {"user": request.user.identity}

    @app.get("/items/{id}")
    async def item(id: int):  # noqa: A002 -- the path parameter
        return {"id": id}

    @app.websocket("/ws")
    async def echo(websocket: WebSocket):
        await websocket.accept()
        async for text in websocket.iter_text():
            await websocket.send_text(f"{websocket.user.identity}: {text}")

    return app


# Postponed annotations of handlers within a function are resolved against the module.
from fastapi import Request, WebSocket  # noqa: E402 -- see above

fastapi = stacked(_fastapi())


def _django():
    import django
    from django.conf import settings
    from django.core.asgi import get_asgi_application
    from django.http import JsonResponse, StreamingHttpResponse
    from django.urls import path

    settings.configure(
        SECRET_KEY=KEY,
        ALLOWED_HOSTS=["*"],
        ROOT_URLCONF=__name__,
        MIDDLEWARE=["asgi_middleware.integrations.django.RouteMiddleware"],
        LOGGING_CONFIG=None,
    )
    django.setup()

    def json_view(request):
        log.info("working")
        return JsonResponse(PAYLOAD)

    async def stream(request):
        return StreamingHttpResponse(_events(), content_type="text/event-stream")

    def boom(request):
        raise RuntimeError("a secret of the handler")

    def upload(request):
        return JsonResponse({"size": len(request.body)})

    async def protected(request):
        return JsonResponse({"user": request.scope["user"].identity})

    def item(request, id):  # noqa: A002 -- the path parameter
        return JsonResponse({"id": id})

    patterns = [
        path("json", json_view),
        path("stream", stream),
        path("boom", boom),
        path("upload", upload),
        path("protected", protected),
        path("items/<int:id>", item),
    ]
    return get_asgi_application(), patterns


_django_app, urlpatterns = _django()
django = stacked(_django_app)
