"""The Starlette app: a large JSON answer, worth compressing."""

# ruff: noqa: ARG001 - a handler takes the request, whether it uses it or not

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Mount, Route

from asgi_middleware import ProblemDetailsMiddleware

CATALOG = [
    {"id": number, "name": f"Article {number}", "price": f"{number % 97}.{number % 89:02}", "tags": ["new", "blue"]}
    for number in range(2000)
]


async def me(request: Request) -> JSONResponse:
    """Say who the token is for."""
    return JSONResponse({"framework": "Starlette", "user": request.user.identity, "scopes": request.auth.scopes})


async def catalog(request: Request) -> JSONResponse:
    """Answer with some 150 kB of JSON."""
    return JSONResponse(CATALOG)


async def partners(request: Request) -> JSONResponse:
    """Answer whoever asks; which pages may read it is another question, see stack.py."""
    return JSONResponse({"prices": "for partners"})


async def fail(request: Request) -> JSONResponse:
    """Raise what nobody catches."""
    raise RuntimeError("this text stays in the log")


app = Starlette(
    routes=[
        Mount(
            "/starlette",
            routes=[
                Route("/me", me),
                Route("/catalog", catalog),
                Route("/fail", fail),
                Route("/partners", partners, methods=["GET", "PUT"]),
            ],
        )
    ],
    # Starlette answers an unhandled exception itself, in plain text. Inside of it, this class is asked first.
    middleware=[Middleware(ProblemDetailsMiddleware)],
)
