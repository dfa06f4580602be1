"""The front, in Starlette: the console, the lines to try with curl, the tokens, the health check."""

# ruff: noqa: ARG001 - a handler takes the request, whether it uses it or not

from html import escape
from pathlib import Path
from string import Template

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from examples.showcase import tokens
from examples.showcase.console import app as console
from examples.showcase.steps import Step, steps

PAGE = Template(Path(__file__).with_name("curl.html").read_text(encoding="utf-8"))
ITEM = Template(
    '<li id="$name"><h3>$title</h3><pre><code>$command</code></pre>'
    '<p><b class="status">$status</b> <span class="expect">$expect</span></p></li>'
)
NOT_STORED = {"cache-control": "no-store"}


async def curl(request: Request) -> Response:
    """Show what to try, each line with a token that is good for an hour."""
    base = console.base_url(request)
    items = "\n".join(item(step) for step in steps(base, tokens.issue(), tokens.issue(scope="admin")))
    return console.page(request, PAGE.substitute(base=escape(base), warning=escape(tokens.WARNING), steps=items))


def item(step: Step) -> str:
    """Write one step as a list item."""
    return ITEM.substitute({name: escape(str(value)) for name, value in step._asdict().items()})


async def token(request: Request) -> JSONResponse:
    """Give a token to whoever asks: ``/token?user=ada&scope=admin&lifetime=60``."""
    query = request.query_params
    user, scope, lifetime = query.get("user", "ada"), query.get("scope", ""), query.get("lifetime", tokens.LIFETIME)
    try:
        signed = tokens.issue(user, scope, int(lifetime))
    except ValueError as error:
        return JSONResponse({"error": "invalid_request", "error_description": str(error)}, 400, NOT_STORED)
    answer = {
        "warning": tokens.WARNING,
        "access_token": signed,
        "token_type": "Bearer",
        "expires_in": int(lifetime),
        "scope": scope,
    }
    return JSONResponse(answer, headers=NOT_STORED)


async def health(request: Request) -> JSONResponse:
    """Say that the process answers."""
    return JSONResponse({"status": "ok"}, headers=NOT_STORED)


app = Starlette(
    routes=[
        *console.ROUTES,
        Route("/curl", curl),
        Route("/token", token, methods=["GET", "POST"]),
        Route("/health", health),
    ],
)
