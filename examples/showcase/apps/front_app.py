"""The front, in Starlette: the start page, the tokens, the health check."""

# ruff: noqa: ARG001 - a handler takes the request, whether it uses it or not

from html import escape
from pathlib import Path
from string import Template

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse
from starlette.routing import Route

from examples.showcase import tokens
from examples.showcase.steps import Step, steps

PAGE = Template(Path(__file__).with_name("start.html").read_text(encoding="utf-8"))
ITEM = Template(
    '<li id="$name"><h3>$title</h3><pre><code>$command</code></pre>'
    '<p><b class="status">$status</b> <span class="expect">$expect</span></p></li>'
)
NOT_STORED = {"cache-control": "no-store"}


async def start(request: Request) -> HTMLResponse:
    """Show what to try, each line with a token that is good for an hour."""
    base = base_url(request)
    items = "\n".join(item(step) for step in steps(base, tokens.issue(), tokens.issue(scope="admin")))
    page = PAGE.substitute(base=escape(base), warning=escape(tokens.WARNING), steps=items)
    return HTMLResponse(page, headers=NOT_STORED)


def item(step: Step) -> str:
    """Write one step as a list item."""
    return ITEM.substitute({name: escape(str(value)) for name, value in step._asdict().items()})


def base_url(request: Request) -> str:
    """Give the address that the server listens on, which no Host header can change."""
    host, port = request.scope["server"]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


async def token(request: Request) -> JSONResponse:
    """Give a token to whoever asks: ``/token?user=ada&scope=admin``."""
    user, scope = request.query_params.get("user", "ada"), request.query_params.get("scope", "")
    try:
        signed = tokens.issue(user, scope)
    except ValueError as error:
        return JSONResponse({"error": "invalid_request", "error_description": str(error)}, 400, NOT_STORED)
    answer = {
        "warning": tokens.WARNING,
        "access_token": signed,
        "token_type": "Bearer",
        "expires_in": tokens.LIFETIME,
        "scope": scope,
    }
    return JSONResponse(answer, headers=NOT_STORED)


async def health(request: Request) -> JSONResponse:
    """Say that the process answers."""
    return JSONResponse({"status": "ok"}, headers=NOT_STORED)


app = Starlette(
    routes=[Route("/", start), Route("/token", token, methods=["GET", "POST"]), Route("/health", health)],
)
