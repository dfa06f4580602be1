"""Django and Django REST framework: request.user is the token's."""

import sys
import types

import django
import pytest
from django.conf import settings
from django.core.handlers.asgi import ASGIHandler
from django.http import JsonResponse
from django.test import RequestFactory, override_settings
from django.urls import path

from asgi_middleware.auth import JWTAuth, JWTAuthMiddleware
from asgi_middleware.integrations import django as integration
from asgi_middleware.testing import http
from asgi_middleware.testing.tokens import TokenIssuer

pytestmark = pytest.mark.anyio
ISSUER = TokenIssuer()
NAME = "asgi_middleware.integrations.django"
URLS = types.ModuleType("django_auth_urls")


class Row:
    """A user of a database."""

    is_authenticated = True
    is_active = True

    def __init__(self, sub):
        self.sub = sub

    def get_username(self):
        return f"row {self.sub}"


def from_token(auth):
    """Find a user by the token, or not."""
    return None if auth.token.subject == "unknown" else Row(auth.token.subject)


def sync_only(get_response):
    """Be a middleware that only works synchronously, so that Django adapts the rest."""

    def middleware(request):
        return get_response(request)

    return middleware


def says(request):
    user = getattr(request, "user", None)
    return JsonResponse({"user": user.get_username() if user else None, "auth": bool(getattr(request, "auth", None))})


async def says_later(request):
    user = await request.auser()
    return JsonResponse({"user": user.get_username()})


@pytest.fixture
def anyio_backend():
    """Django runs on asyncio alone."""
    return "asyncio"


@pytest.fixture(autouse=True)
def _settings():
    if not settings.configured:
        settings.configure(SECRET_KEY="for tests", LOGGING_CONFIG=None, USE_TZ=True)
    django.setup()
    names = {
        "ALLOWED_HOSTS": ["*"],
        "ROOT_URLCONF": URLS.__name__,
        "INSTALLED_APPS": ["django.contrib.auth", "django.contrib.contenttypes", "rest_framework"],
        "MIDDLEWARE": [f"{NAME}.TokenUserMiddleware"],
        "DEBUG": False,
        "REST_FRAMEWORK": {
            "DEFAULT_AUTHENTICATION_CLASSES": [f"{NAME}.TokenAuthentication"],
            "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
            "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
        },
    }
    with override_settings(**names):
        from rest_framework.permissions import IsAdminUser, IsAuthenticated
        from rest_framework.response import Response
        from rest_framework.views import APIView

        class Rest(APIView):
            def get(self, request):
                return Response({"user": str(request.user), "scopes": request.auth.scopes})

        class Members(Rest):
            permission_classes = (IsAuthenticated,)

        class Admin(Rest):
            permission_classes = (IsAdminUser,)

        URLS.urlpatterns = [
            path("says/", says),
            path("later/", says_later),
            path("rest/", Rest.as_view()),
            path("members/", Members.as_view()),
            path("admin/", Admin.as_view()),
        ]
        sys.modules[URLS.__name__] = URLS
        yield
        del sys.modules[URLS.__name__]


def guarded(**options):
    return JWTAuthMiddleware(ASGIHandler(), **ISSUER.options, **options)


@pytest.mark.parametrize("middleware", [[], [f"{__name__}.sync_only"]])
async def test_views_get_the_tokens_user(middleware, monkeypatch):
    """request.user and request.auth are the token's in sync and async views, whatever stands around."""
    monkeypatch.setitem(sys.modules, __name__, sys.modules.get(__name__) or types.ModuleType(__name__))
    monkeypatch.setattr(sys.modules[__name__], "sync_only", sync_only, raising=False)
    with override_settings(MIDDLEWARE=[*middleware, f"{NAME}.TokenUserMiddleware"]):
        app = guarded()
        headers = [(b"host", b"x"), ISSUER.authorization(sub="u1")]
        assert (await http(app, path="/says/", headers=headers)).json() == {"user": "u1", "auth": True}
        assert (await http(app, path="/later/", headers=headers)).json() == {"user": "u1"}


async def test_without_a_token_the_user_stays(monkeypatch):
    """On an optional path, and outside ASGI, the request keeps whatever user it had."""
    answer = await http(guarded(optional=["/says/"]), path="/says/", headers=[(b"host", b"x")])
    assert answer.json() == {"user": None, "auth": False}
    middleware = integration.TokenUserMiddleware(lambda request: request)
    request = RequestFactory().get("/")
    request.user = "of the session"
    assert middleware(request).user == "of the session"
    assert integration.TokenAuthentication().authenticate(request) is None


async def test_users_of_the_database():
    """The function that the settings name gives the user; where it knows none the request is nobody's."""
    with override_settings(JWT_USER=from_token):
        app = guarded()
        for route in ("/says/", "/later/"):
            for sub, name in [("u1", "row u1"), ("unknown", "")]:
                headers = [(b"host", b"x"), ISSUER.authorization(sub=sub)]
                assert (await http(app, path=route, headers=headers)).json()["user"] == name
        headers = [(b"host", b"x"), ISSUER.authorization(sub="unknown")]
        assert (await http(app, path="/members/", headers=headers)).status == 403
        assert (await http(app, path="/members/", headers=[(b"host", b"x"), ISSUER.authorization()])).status == 200
    with (
        override_settings(JWT_USER="django.contrib.auth.hashers.make_password_is_no_such_name"),
        pytest.raises(ImportError),
    ):
        integration.TokenAuthentication().authenticate(types.SimpleNamespace(scope={"auth": grants()}))
    with override_settings(JWT_USER=from_token):
        user, _ = integration.TokenAuthentication().authenticate(types.SimpleNamespace(scope={"auth": grants()}))
        assert isinstance(user, Row)


def grants():
    from asgi_middleware.auth import TokenVerifier

    return JWTAuth(TokenVerifier(**ISSUER.options).verify(ISSUER.token()))


async def test_rest_framework():
    """DRF takes user and grants from the token, and answers 401 with the challenge without one."""
    app = guarded(optional=["/rest/", "/admin/"])
    host = (b"host", b"x")
    answer = await http(app, path="/rest/", headers=[host, ISSUER.authorization(sub="u1", scope="read")])
    assert answer.json() == {"user": "u1", "scopes": ["read"]}
    refused = await http(app, path="/rest/", headers=[host])
    assert (refused.status, refused.header(b"www-authenticate")) == (401, b'Bearer realm="api"')
    assert (await http(app, path="/admin/", headers=[host, ISSUER.authorization()])).status == 403


def test_a_tokens_user_has_no_permissions():
    """What Django asks a user for is there, and grants nothing."""
    user = integration.TokenUser(grants().token)
    assert (user.is_authenticated, user.is_active, user.is_staff, user.is_superuser) == (True, True, False, False)
    assert not user.has_perm("shop.add_item")
    assert not user.has_perms(["shop.add_item"])
    assert user.has_perms([])
    assert not user.has_module_perms("shop")
    assert user.get_all_permissions() == user.get_group_permissions() == user.get_user_permissions() == set()
    assert repr(user) == "<TokenUser>"


def test_only_known_names_are_in_the_module():
    """What is imported on first use is named, and nothing else is found."""
    with pytest.raises(AttributeError, match="nothing"):
        _ = integration.nothing
