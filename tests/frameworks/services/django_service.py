"""The service in Django: views of both kinds, Django's own middleware, no database.

Django's settings are the process's. They are made once, if no other test has made them, and overridden by whoever
builds the service; see the fixture `settings` of the tests.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import suppress
from types import ModuleType
from typing import Any

import django
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.http import HttpRequest, HttpResponse, JsonResponse, StreamingHttpResponse
from django.urls import include, path
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.gzip import gzip_page
from django.views.decorators.http import require_GET, require_POST
from services.common import PAGE, PARTS, SECRET, Broken, Calls, Layer, endless, work_in

from asgi_middleware import stack

TRIO = False


async def item(request: Any, **captured: Any) -> JsonResponse:
    return JsonResponse(work_in("item", request.scope))


@csrf_exempt
@require_GET
def sync(request: Any, number: int) -> JsonResponse:
    return JsonResponse(work_in("sync", request.scope))


async def stream(request: Any) -> StreamingHttpResponse:
    async def parts() -> AsyncIterator[str]:
        for part in PARTS:
            yield part
        work_in("stream", request.scope)

    return StreamingHttpResponse(parts())


async def forever(request: Any) -> StreamingHttpResponse:
    return StreamingHttpResponse(endless())


def page(request: HttpRequest) -> HttpResponse:
    response = HttpResponse(PAGE, headers={"Vary": "Cookie"})
    response.set_cookie("visited", "yes")
    return response


@gzip_page
def encoded(request: HttpRequest) -> HttpResponse:
    return HttpResponse(PAGE)


def raises(request: HttpRequest, name: str) -> HttpResponse:
    raise Broken(SECRET)


@csrf_exempt
@require_POST
def upload(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"length": len(request.body)})


@csrf_exempt
async def swallow(request: HttpRequest) -> HttpResponse:
    with suppress(Exception):
        _ = request.body
    return HttpResponse()


URLS = ModuleType("services.django_urls")
URLS.urlpatterns = [  # type: ignore[attr-defined]
    path("items/<int:number>", item),
    path("sync/<int:number>", sync),
    path("public", item),
    path("stream", stream),
    path("endless", forever),
    path("page", page),
    path("encoded", encoded),
    path("raises/<name>", raises),
    path("upload", upload),
    path("swallow", swallow),
    path("sub/", include([path("deep/<int:number>", item)])),
]

SETTINGS: dict[str, Any] = {
    "ALLOWED_HOSTS": ["*"],
    "DEBUG": False,
    "LOGGING_CONFIG": None,
    "ROOT_URLCONF": URLS,
    "MIDDLEWARE": [
        "django.middleware.security.SecurityMiddleware",
        "django.middleware.common.CommonMiddleware",
        "django.middleware.csrf.CsrfViewMiddleware",
        "asgi_middleware.integrations.django.RouteMiddleware",
    ],
}


def build(layers: list[Layer], calls: Calls) -> Any:
    """Build the service with the layers around it, as in a project's ``asgi.py``."""
    if not settings.configured:
        settings.configure(SECRET_KEY="for tests")
    django.setup()
    return stack(get_asgi_application(), *layers)
