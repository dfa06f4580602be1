"""What the console is made of, and what it asks for: its three files, the log, an explanation, a slow client."""

import re
from collections.abc import Sequence
from html import escape
from pathlib import Path
from string import Template

from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import BaseRoute, Route

from examples.showcase import tokens
from examples.showcase.console.feed import feed
from examples.showcase.console.slow_client import play

HERE = Path(__file__).parent
PAGE = Template((HERE / "index.html").read_text(encoding="utf-8"))
CSS = (HERE / "console.css").read_text(encoding="utf-8")
MARK = re.compile(r"[\w-]{1,64}", re.ASCII)
SCRIPT = (HERE / "console.js").read_text(encoding="utf-8")

HEADERS = {
    "cache-control": "no-store",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}


async def start(request: Request) -> Response:
    """Serve the console."""
    path = "".join(
        f'<li data-name="{name}">{name.removesuffix("Middleware")}</li>' for name in request.app.state.classes
    )
    second, warning = escape(second_origin(request)), escape(tokens.WARNING)
    return page(request, PAGE.substitute(path=path, second=second, warning=warning))


async def style(_: Request) -> Response:
    """Serve the style sheet of all pages."""
    return Response(CSS, media_type="text/css", headers=HEADERS)


async def script(_: Request) -> Response:
    """Serve the console's script."""
    return Response(SCRIPT, media_type="text/javascript", headers=HEADERS)


async def log(request: Request) -> Response:
    """Send the log as server-sent events, as it is written."""
    events = feed.events(request.headers.get("last-event-id", ""))
    return StreamingResponse(events, media_type="text/event-stream", headers=HEADERS)


async def explain(request: Request) -> Response:
    """Say what comes of a request from another origin, and why, before or after it was made."""
    query = request.query_params
    policy = request.app.state.cors.policy_for(query.get("path", "/"))
    if policy is None:
        return JSONResponse({"error": "path: no policy holds for it"}, 400, HEADERS)
    found = policy.explain(query.get("origin", "null"), query.get("method", "GET"), query.getlist("header"))
    steps = [step._asdict() for step in found.steps]
    return JSONResponse({**found._asdict(), "steps": steps}, headers=HEADERS)


async def slow_upload(request: Request) -> Response:
    """Play a client that uploads too slowly, and tell what it sees."""
    host, port = request.scope["server"]
    query = request.query_params
    if not MARK.fullmatch(query.get("id", "")):
        return JSONResponse({"error": "id: 1 to 64 of the characters A-Z a-z 0-9 _ -"}, 400, HEADERS)
    story = play(host, port, query["id"], silent="silent" in query)
    return StreamingResponse(story, media_type="application/x-ndjson", headers=HEADERS)


def page(request: Request, text: str) -> Response:
    """Give a page that loads its own style and script, asks this server, and nobody else for anything."""
    second = second_origin(request)
    sockets = " ".join(origin.replace("http", "ws", 1) for origin in (base_url(request), second))
    policy = (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src data:; "
        f"connect-src 'self' {second} {sockets}; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    headers = {**HEADERS, "content-security-policy": policy}
    return Response(text, media_type="text/html", headers=headers)


def base_url(request: Request) -> str:
    """Give the address that the server listens on, which no Host header can change."""
    host, port = request.scope["server"]
    return url_of(host, port)


def second_origin(request: Request) -> str:
    """Give the origin of the second listener: the same apps, and another origin to a browser."""
    host, port = request.scope["server"]
    return url_of(host, getattr(request.app.state, "second_port", port))


def url_of(host: str, port: int) -> str:
    """Write an address as a URL."""
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


ROUTES: Sequence[BaseRoute] = [
    Route("/", start),
    Route("/console/console.css", style),
    Route("/console/console.js", script),
    Route("/console/log", log),
    Route("/console/explain", explain),
    Route("/console/slow-upload", slow_upload, methods=["POST"]),
]
