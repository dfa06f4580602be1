"""The Django app: a sync view and an async view that log with the standard library, as most Django code does."""

# ruff: noqa: ARG001 - a view takes the request, whether it uses it or not

import logging

from django.conf import settings
from django.core.asgi import get_asgi_application
from django.core.handlers.asgi import ASGIRequest
from django.http import JsonResponse
from django.urls import path

settings.configure(
    ALLOWED_HOSTS=["*"],
    DEBUG_PROPAGATE_EXCEPTIONS=True,  # out to ProblemDetailsMiddleware, instead of Django's own page for a 500
    LOGGING_CONFIG=None,  # logging is set up once for all apps, in logs.py
    MIDDLEWARE=["asgi_middleware.integrations.django.RouteMiddleware"],  # names the URL pattern in log and metrics
    ROOT_URLCONF=__name__,
    SECRET_KEY="signs nothing here",
)

log = logging.getLogger("showcase.django")


def sync_view(request: ASGIRequest) -> JsonResponse:
    """Log from the thread in which Django runs sync views."""
    log.info("working in a sync view", extra={"framework": "Django"})
    return JsonResponse({"logged": "from a sync view"})


async def async_view(request: ASGIRequest) -> JsonResponse:
    """Log from the event loop."""
    log.info("working in an async view", extra={"framework": "Django"})
    return JsonResponse({"logged": "from an async view"})


async def me(request: ASGIRequest) -> JsonResponse:
    """Say who the token is for: the request carries the scope."""
    user, auth = request.scope["user"], request.scope["auth"]
    return JsonResponse({"framework": "Django", "user": user.identity, "scopes": list(auth.scopes)})


def fail(request: ASGIRequest) -> JsonResponse:
    """Raise what nobody catches."""
    raise RuntimeError("this text stays in the log")


urlpatterns = [
    path("django/sync", sync_view),
    path("django/async", async_view),
    path("django/me", me),
    path("django/fail", fail),
]

app = get_asgi_application()
