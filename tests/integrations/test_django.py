"""RouteMiddleware: the metrics around a Django application get the URL pattern, in sync and in async views."""

import sys
from collections.abc import Iterator
from inspect import iscoroutinefunction
from types import ModuleType
from typing import Any

import django
import pytest
from django.conf import settings
from django.core.handlers.asgi import ASGIHandler
from django.http import HttpResponse, HttpResponseRedirect
from django.test import RequestFactory, override_settings
from django.urls import include, path, re_path
from django.views import View
from prometheus_client import CollectorRegistry
from starlette.applications import Starlette
from starlette.routing import Mount

from asgi_middleware.integrations.django import RouteMiddleware
from asgi_middleware.metrics import PrometheusMiddleware
from asgi_middleware.testing.driver import http

pytestmark = pytest.mark.anyio

ROUTES = "asgi_middleware.integrations.django.RouteMiddleware"
COMMON = "django.middleware.common.CommonMiddleware"
SYNC = f"{__name__}.sync_only"


class Broken(Exception):
    pass


class Item(View):
    def get(self, request: Any, **kwargs: Any) -> HttpResponse:
        """Answer a GET, and let the base class refuse the others."""
        return HttpResponse("item")


async def later(request: Any, **kwargs: Any) -> HttpResponse:
    """Answer from an async view."""
    return HttpResponse("later")


def raises(request: Any, **kwargs: Any) -> HttpResponse:
    """Fail."""
    raise Broken


def moved(request: Any) -> HttpResponse:
    """Redirect."""
    return HttpResponseRedirect("/elsewhere")


def sync_only(get_response: Any) -> Any:
    """Be a middleware that only works synchronously, so that Django adapts the rest."""

    def middleware(request: Any) -> Any:
        return get_response(request)

    return middleware


URLS = ModuleType(f"{__name__}_urls")
URLS.urlpatterns = [  # type: ignore[attr-defined]
    path("items/<int:pk>/", Item.as_view()),
    path("later/<slug:x>/", later),
    path("raises/<x>/", raises),
    path("moved/", moved),
    path("", later),
    path("api/<slug:tenant>/", include([path("deep/<int:y>/", Item.as_view())])),
    re_path(r"^old/(?P<year>[0-9]{4})/$", Item.as_view()),
]


@pytest.fixture
def anyio_backend() -> str:
    """Django runs on asyncio alone."""
    return "asyncio"


@pytest.fixture(params=[[ROUTES], [COMMON, ROUTES], [ROUTES, COMMON], [SYNC, ROUTES], [ROUTES, SYNC]], ids=str)
def handler(request: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[ASGIHandler]:
    """Give Django's ASGI handler with the middleware in various places."""
    if not settings.configured:
        settings.configure(SECRET_KEY="for tests")
    django.setup()
    # Under pytest's import mode this module is not importable by name.
    monkeypatch.setitem(sys.modules, __name__, sys.modules.get(__name__) or ModuleType(__name__))
    monkeypatch.setattr(sys.modules[__name__], "sync_only", sync_only, raising=False)
    with override_settings(
        ROOT_URLCONF=URLS, MIDDLEWARE=request.param, ALLOWED_HOSTS=["*"], DEBUG=False, LOGGING_CONFIG=None
    ):
        yield ASGIHandler()


def requests(registry: CollectorRegistry) -> dict[tuple[str, str], float]:
    """Count the requests by route and status."""
    return {
        (sample.labels["http_route"], sample.labels["http_response_status_code"]): sample.value
        for family in registry.collect()
        for sample in family.samples
        if sample.name == "http_server_request_duration_seconds_count"
    }


CASES = [
    ("GET", "/items/7/", "/items/<int:pk>/", "200"),
    ("POST", "/items/7/", "/items/<int:pk>/", "405"),
    ("GET", "/later/x/", "/later/<slug:x>/", "200"),
    ("GET", "/api/acme/deep/3/", "/api/<slug:tenant>/deep/<int:y>/", "200"),
    ("GET", "/old/1999/", "/old/(?P<year>[0-9]{4})/$", "200"),
    ("GET", "/raises/x/", "/raises/<x>/", "500"),
    ("GET", "/moved/", "/moved/", "302"),
    ("GET", "/", "/", "200"),
    ("GET", "/nothing/", "", "404"),
    ("GET", "/items/x/", "", "404"),
]


@pytest.mark.parametrize(("method", "asked", "route", "status"), CASES)
async def test_the_pattern_is_the_route(handler: Any, method: str, asked: str, route: str, status: str) -> None:
    """The pattern that matched, with a leading slash; nothing for a 404 [T3]."""
    registry = CollectorRegistry()
    result = await http(PrometheusMiddleware(handler, registry=registry), method, asked, headers=[(b"host", b"x")])
    assert str(result.status) == status
    assert requests(registry) == {(route, status): 1}


async def test_below_a_mount(handler: Any) -> None:
    """A Starlette Mount around Django adds its prefix [T4]."""
    registry = CollectorRegistry()
    app = Starlette(routes=[Mount("/d/{site}", app=handler)])
    await http(PrometheusMiddleware(app, registry=registry), "GET", "/d/1/items/7/", headers=[(b"host", b"x")])
    assert requests(registry) == {("/d/{site}/items/<int:pk>/", "200"): 1}


async def test_without_a_class_of_ours_around(handler: Any) -> None:
    """Alone it does nothing."""
    assert (await http(handler, "GET", "/items/7/", headers=[(b"host", b"x")])).status == 200


async def test_the_redirect_for_a_slash(handler: Any) -> None:
    """APPEND_SLASH's redirect has no route; with the slash there is one."""
    registry = CollectorRegistry()
    with_slash = COMMON in settings.MIDDLEWARE
    await http(PrometheusMiddleware(handler, registry=registry), "GET", "/items/7", headers=[(b"host", b"x")])
    assert requests(registry) == {("", "301" if with_slash else "404"): 1}


async def test_an_explicit_route_is_kept(handler: Any) -> None:
    """A route that was set before Django resolved the path stays."""

    async def sets(scope: Any, receive: Any, send: Any) -> None:
        scope["asgi_middleware"].route = "/explicit"
        await handler(scope, receive, send)

    registry = CollectorRegistry()
    await http(PrometheusMiddleware(sets, registry=registry), "GET", "/items/7/", headers=[(b"host", b"x")])
    assert requests(registry) == {("/explicit", "200"): 1}


async def test_no_thread_for_the_note() -> None:
    """Under an async handler the hook is a coroutine function, which Django awaits instead of starting a thread."""
    assert iscoroutinefunction(RouteMiddleware(later).process_view)
    assert not iscoroutinefunction(RouteMiddleware(raises).process_view)


def test_outside_asgi(handler: Any) -> None:
    """A WSGI request has no scope, and is passed on."""
    middleware = RouteMiddleware(lambda request: HttpResponse("wsgi"))
    request = RequestFactory().get("/")
    assert middleware.process_view(request, None, (), {}) is None
    assert middleware(request).content == b"wsgi"
