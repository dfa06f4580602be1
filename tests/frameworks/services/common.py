"""What the service is, whatever framework it is written in, and the whole stack that goes around it.

Routes, each in the framework's own words:

- ``GET /items/{id}`` and ``GET /sync/{id}``: an async and a sync handler; they answer what they see (`work`)
- ``GET /depends``: a handler with a dependency; ``GET /background``: one with a background task
- ``GET /stream``: parts of a text, one at a time; ``GET /page``: the same text at once, as HTML
- ``GET /endless``: the first of these parts, for ever
- ``GET /encoded``: the page, encoded by the application itself
- ``GET /raises/{id}``: an exception that nobody handles
- ``POST /upload``: reads the body and answers its length
- ``POST /swallow``: the same, and answers 200 also when reading fails
- ``GET /public``: needs no token
- ``GET /sub/deep/{id}``: in an application or router mounted at ``/sub``
- WebSocket ``/ws/{room}``: answers the first text with the user's name before it, and closes
"""

from __future__ import annotations

import gzip
import logging
from collections.abc import AsyncIterator
from typing import Any

import anyio
import structlog
from prometheus_client import CollectorRegistry

from asgi_middleware import (
    CompressionMiddleware,
    CORSMiddleware,
    JWTAuthMiddleware,
    LoggingMiddleware,
    ProblemDetailsMiddleware,
    PrometheusMiddleware,
    RequestBodyLimitMiddleware,
    add_fields,
    layer,
)
from asgi_middleware._composition.stack import Layer
from asgi_middleware.testing.tokens import TokenIssuer

ORIGIN = "https://app.example"
LIMIT = 1000
ISSUER = TokenIssuer(audience="https://api.example")
SECRET = "db://user:secret@host"
PARTS = [f"<p>part {number} of a page that is worth compressing</p>\n" * 20 for number in range(3)]
PAGE = "".join(PARTS)
ENCODED = gzip.compress(PAGE.encode())


async def endless() -> AsyncIterator[bytes]:
    """Give the same part for ever, as long as somebody reads."""
    while True:
        yield PARTS[0].encode()
        await anyio.sleep(0.001)


class Broken(Exception):
    """What the service raises."""


class Calls:
    """What happened in the service, in order."""

    def __init__(self) -> None:
        self.noted: list[str] = []

    def note(self, what: str) -> None:
        """Note a step."""
        self.noted.append(what)


def layers(registry: CollectorRegistry) -> list[Layer]:
    """Give the whole stack in the recommended order, outermost first."""
    return [
        layer(LoggingMiddleware),
        layer(PrometheusMiddleware, registry=registry),
        layer(CORSMiddleware, allow_origins=[ORIGIN], allow_headers=["authorization"], expose_headers=["x-request-id"]),
        layer(RequestBodyLimitMiddleware, max_body_size=LIMIT),
        layer(JWTAuthMiddleware, **ISSUER.options, exempt=["/public", "/mounted/*/public"]),
        layer(CompressionMiddleware, minimum_size=500),
        layer(ProblemDetailsMiddleware),
    ]


def work(where: str, user: Any, auth: Any, request_id: str | None) -> dict[str, Any]:
    """Do what handlers do: log through structlog and the standard library, add a field; give what there is to see.

    Args:
        where: Which handler this is.
        user: The user, as the framework gives it.
        auth: The grants.
        request_id: The id, as the framework gives it.
    """
    structlog.get_logger("shop").info("working", where=where)
    logging.getLogger("shop").info("working")
    add_fields(**{where: 1})
    return {"where": where, "user": user.identity, "scopes": auth.scopes, "request_id": request_id}


def work_in(where: str, scope: Any) -> dict[str, Any]:
    """Do the same in a framework whose requests give the scope and have no words of their own for it."""
    return work(where, scope["user"], scope["auth"], scope["state"]["request_id"])
