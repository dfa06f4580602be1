"""One table: what each framework, with the whole stack around it or within it, answers in each case.

A cell is looked up as ``"framework way"``, then as ``"framework"``, then as ``""``, which holds for all the others. In
routes, ``NUMBER``, ``NAME`` and ``ROOM`` stand for a parameter as the framework writes it. A text in place of a cell is
the reason why the framework has no such case.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from services.common import LIMIT

WAYS: Final = {
    "starlette": ("inside", "outside"),
    "fastapi": ("inside", "outside"),
    "litestar": ("inside", "outside"),
    "quart": ("inside", "outside"),
    "django": ("around",),
    "channels": ("inside", "outside"),
    "falcon": ("around",),
    "blacksheep": ("around",),
}
"""How the stack is added: as the framework adds a class, around the whole app, or both where that is the same."""

_PARAMETERS: Final = {
    "starlette": ("{id}", "{id}", "{room}"),
    "fastapi": ("{id}", "{id}", "{room}"),
    "litestar": ("{number}", "{name}", "{room}"),
    "quart": ("<int:number>", "<name>", "<room>"),
    "django": ("<int:number>", "<name>", "<room>"),
    "channels": ("<int:number>", "<name>", "<room>"),
    "falcon": ("{number:int}", "{name}", "{room}"),
    "blacksheep": ("{number}", "{name}", "{room}"),
}


@dataclass(frozen=True)
class Case:
    """One request.

    Attributes:
        target: Method and path; ``WS`` for a WebSocket.
        token: Whether it brings a token.
        body: The chunks of its body.
        headers: Further raw headers.
    """

    target: str
    token: bool = True
    body: tuple[bytes, ...] = (b"",)
    headers: tuple[tuple[bytes, bytes], ...] = ()

    @property
    def method(self) -> str:
        """The method, or ``WS``."""
        return self.target.split()[0]

    @property
    def path(self) -> str:
        """The path."""
        return self.target.split()[1]


@dataclass(frozen=True)
class Cell:
    """What becomes of it.

    Attributes:
        status: The response's status; for a WebSocket the status of its refusal, or its close code.
        route: The route in the metrics and the access line; None where there is none.
        outcome: The outcome in the access line.
        error: The exception's class in the access line.
        works: Which handlers worked, in order.
        seen: Whether the stack sees the request at all.
        problem: The reason in the problem document, where one of our classes answers.
        subject: Who was authenticated.
    """

    status: int
    route: str | None = None
    outcome: str = "ok"
    error: str = ""
    works: tuple[str, ...] = ()
    seen: bool = True
    problem: str | None = None
    subject: str | None = "alice"

    @property
    def label(self) -> str:
        """The error label in the metrics: the exception's class where it is known, else a status from 500 on."""
        return self.error or (str(self.status) if self.status >= 500 else "")


_DECLARED: Final = ((b"content-type", b"application/json"), (b"content-length", b"%d" % (LIMIT + 1)))
_CHUNKED: Final = ((b"content-type", b"application/json"), (b"transfer-encoding", b"chunked"))
_JSON: Final = b'{"text": "%b"}'
_FITS: Final = _JSON % (b"x" * (LIMIT - 12))
_TOO_LONG: Final = _JSON % (b"x" * (LIMIT - 11))


def _chunks(body: bytes) -> tuple[bytes, ...]:
    return tuple(body[start : start + 300] for start in range(0, len(body), 300))


CASES: Final = {
    "async handler": Case("GET /items/7"),
    "sync handler": Case("GET /sync/7"),
    "dependency": Case("GET /depends"),
    "background task": Case("GET /background"),
    "mounted": Case("GET /sub/deep/7"),
    "stream": Case("GET /stream"),
    "page": Case("GET /page"),
    "head": Case("HEAD /page"),
    "encoded by the app": Case("GET /encoded"),
    "unknown path": Case("GET /nothing"),
    "unknown mounted path": Case("GET /sub/nothing"),
    "wrong method": Case("POST /sync/7"),
    "exception": Case("GET /raises/7"),
    "anonymous": Case("GET /public", token=False),
    "no token": Case("GET /items/7", token=False),
    "preflight": Case(
        "OPTIONS /items/7",
        token=False,
        headers=((b"access-control-request-method", b"GET"), (b"access-control-request-headers", b"authorization")),
    ),
    "body at the limit": Case("POST /upload", body=_chunks(_FITS), headers=_CHUNKED),
    "body over the limit, declared": Case("POST /upload", body=(_TOO_LONG,), headers=_DECLARED),
    "body over the limit, chunked": Case("POST /upload", body=_chunks(_TOO_LONG), headers=_CHUNKED),
    "body over the limit, swallowed": Case("POST /swallow", body=_chunks(_TOO_LONG), headers=_CHUNKED),
    "websocket": Case("WS /ws/7"),
    "websocket, no token": Case("WS /ws/7", token=False),
    "websocket, unknown path": Case("WS /nothing"),
}

_413: Final = Cell(413, outcome="refused", problem="body_too_large")
_401: Final = Cell(401, outcome="refused", problem="credentials_missing", subject=None)
_BROKEN: Final = "services.common.Broken"

TABLE: Final[dict[str, dict[str, Cell | str]]] = {
    "async handler": {"": Cell(200, "/items/NUMBER", works=("item",))},
    "sync handler": {"": Cell(200, "/sync/NUMBER", works=("sync",))},
    "dependency": {
        "": "the framework has no dependencies",
        "fastapi": Cell(200, "/depends", works=("dependency", "depends", "after")),
        "litestar": Cell(200, "/depends", works=("dependency", "depends")),
        "blacksheep": Cell(200, "/depends", works=("dependency", "depends")),
    },
    "background task": {
        "": Cell(200, "/background", works=("background", "task")),
        "django": "Django 5.2 has no background tasks",
        "channels": "Django 5.2 has no background tasks",
    },
    "mounted": {"": Cell(200, "/sub/deep/NUMBER", works=("item",))},
    "stream": {"": Cell(200, "/stream", works=("stream",))},
    "page": {"": Cell(200, "/page")},
    "head": {
        "": Cell(200, "/page"),
        # No HEAD for a GET handler.
        "fastapi": Cell(405, "/page"),
        "litestar inside": Cell(405, seen=False),
        "litestar outside": Cell(405),
    },
    "encoded by the app": {"": Cell(200, "/encoded")},
    # Litestar routes before it calls the middleware that it was given.
    "unknown path": {"": Cell(404), "litestar inside": Cell(404, seen=False)},
    "unknown mounted path": {
        "": Cell(404),
        "starlette": Cell(404, "/sub/{path}"),
        "fastapi": Cell(404, "/sub/{path}"),
        "litestar inside": Cell(404, seen=False),
    },
    "wrong method": {
        "": Cell(405, "/sync/NUMBER"),
        "litestar inside": Cell(405, seen=False),
        "litestar outside": Cell(405),
        "quart": Cell(405),
        "blacksheep": Cell(404),
    },
    "exception": {
        # These answer every exception themselves and let none out.
        "": Cell(500, "/raises/NAME", outcome="error"),
        # Within Starlette and FastAPI it meets ProblemDetailsMiddleware before their own answer; outside they have
        # answered, and it is noted.
        "litestar": Cell(500, "/raises/NAME", outcome="error", error=_BROKEN),
        "starlette inside": Cell(500, "/raises/NAME", outcome="error", error=_BROKEN, problem="internal_error"),
        "fastapi inside": Cell(500, "/raises/NAME", outcome="error", error=_BROKEN, problem="internal_error"),
        "starlette outside": Cell(500, "/raises/NAME", outcome="error", error=_BROKEN),
        "fastapi outside": Cell(500, "/raises/NAME", outcome="error", error=_BROKEN),
    },
    "anonymous": {"": Cell(200, "/public", works=("item",), subject=None)},
    "no token": {"": _401, "litestar inside": replace(_401, route="/items/NUMBER")},
    "preflight": {"": Cell(204, subject=None), "litestar inside": Cell(204, "/items/NUMBER", subject=None)},
    "body at the limit": {"": Cell(200, "/upload"), "litestar": Cell(201, "/upload")},
    # Refused before the token is looked at.
    "body over the limit, declared": {
        "": replace(_413, subject=None),
        "litestar inside": replace(_413, route="/upload", subject=None),
    },
    "body over the limit, chunked": {
        "": replace(_413, route="/upload"),
        # Django reads the body before it resolves the path.
        "django": _413,
        "channels": _413,
    },
    "body over the limit, swallowed": {"": replace(_413, route="/swallow"), "django": _413, "channels": _413},
    "websocket": {
        "": Cell(1000, "/ws/ROOM", works=("socket",)),
        # It has none, and raises; Channels has.
        "django": Cell(500, outcome="error", error="ValueError", problem="internal_error"),
    },
    "websocket, no token": {"": _401, "litestar inside": replace(_401, route="/ws/ROOM")},
    "websocket, unknown path": {
        "": Cell(1000, outcome="refused"),
        "litestar inside": Cell(4500, seen=False),
        "litestar outside": Cell(4500, outcome="refused"),
        "quart": Cell(404, outcome="refused"),
        "django": Cell(500, outcome="error", error="ValueError", problem="internal_error"),
        "channels": Cell(500, outcome="error", error="ValueError", problem="internal_error"),
        "falcon": Cell(3404, outcome="refused"),
    },
}


def expected(case: str, framework: str, way: str) -> Cell | str:
    """Give the table's cell, its route as the framework writes it."""
    row = TABLE[case]
    cell = row.get(f"{framework} {way}", row.get(framework, row[""]))
    if isinstance(cell, str) or cell.route is None:
        return cell
    route = cell.route
    for word, parameter in zip(("NUMBER", "NAME", "ROOM"), _PARAMETERS[framework], strict=True):
        route = route.replace(word, parameter)
    return replace(cell, route=route)
