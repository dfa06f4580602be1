"""An app whose figures many processes record, and one of them shows. It needs PROMETHEUS_MULTIPROC_DIR."""

import os

from asgi_middleware import MetricsEndpoint, PrometheusMiddleware


async def answer(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})
        return
    await send({"type": "http.response.start", "status": 200, "headers": [(b"connection", b"close")]})
    await send({"type": "http.response.body", "body": b"%d" % os.getpid()})


app = MetricsEndpoint(PrometheusMiddleware(answer, exclude_paths=["/metrics", "/open/**"]))
