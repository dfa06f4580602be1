"""The FastAPI app: who am I, an upload, and a log call from a thread."""

import asyncio
import threading

import structlog
from fastapi import APIRouter, FastAPI, Request

from asgi_middleware import ProblemDetailsMiddleware, add_fields, timing

log = structlog.get_logger("showcase.fastapi")
router = APIRouter(prefix="/fastapi")


@router.get("/me")
async def me(request: Request) -> dict[str, object]:
    """Say who the token is for; JWTAuthMiddleware has verified it before this runs."""
    return {"framework": "FastAPI", "user": request.user.identity, "scopes": request.auth.scopes}


@router.get("/admin")
async def admin() -> dict[str, str]:
    """Answer only a token that grants the scope "admin"; the rule stands in stack.py."""
    return {"secret": "the coffee machine's password is 1234"}


@router.post("/upload")
async def upload(request: Request) -> dict[str, int]:
    """Count what arrives; more than the limit never does."""
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
    add_fields(uploaded=size)  # one more field in the access line
    return {"bytes": size}


@router.get("/thread")
async def thread() -> dict[str, str]:
    """Log from a thread, with the request's correlation id."""
    await asyncio.to_thread(_work)
    return {"logged": "from a thread"}


def _work() -> None:
    with timing("work"):
        log.info("working in a thread", framework="FastAPI")
        add_fields(worked_in=threading.current_thread().name)  # in the access line, from a thread, too


@router.get("/fail")
async def fail() -> None:
    """Raise what nobody catches."""
    raise RuntimeError("this text stays in the log")


# The interactive documentation loads scripts from another host, and the showcase asks no other host for anything.
app = FastAPI(title="FastAPI app of the showcase", docs_url=None, redoc_url=None, openapi_url=None)
app.include_router(router)
# FastAPI answers an unhandled exception itself, in plain text. Inside of it, this class is asked first.
app.add_middleware(ProblemDetailsMiddleware)
