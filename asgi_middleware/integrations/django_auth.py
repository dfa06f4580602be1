"""Django: the token's user as ``request.user``, in Django's views and in those of Django REST framework.

``JWTAuthMiddleware`` around the ASGI application has decided before Django runs. Django takes ``request.user`` from its
session; the classes here take it from the token instead. Neither imports Django REST framework.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import Any, ClassVar, Final

from asgiref.sync import iscoroutinefunction, markcoroutinefunction, sync_to_async
from django.conf import settings
from django.utils.functional import SimpleLazyObject
from django.utils.module_loading import import_string

from asgi_middleware.auth import AnonymousUser, JWTAuth, JWTUser
from asgi_middleware.auth.challenge import challenge

SETTING: Final = "JWT_USER"


class _Powerless:
    """What Django asks a user for, where there is no row, no group and no permission."""

    __slots__ = ()

    is_staff: Final = False
    is_superuser: Final = False

    def has_perm(self, perm: str, obj: object = None) -> bool:  # noqa: ARG002 -- Django calls it so
        """Grant nothing: scopes are not Django's permissions."""
        return False

    def has_perms(self, perm_list: Iterable[str], obj: object = None) -> bool:  # noqa: ARG002 -- as above
        """Grant nothing, unless nothing is asked for."""
        return not list(perm_list)

    def has_module_perms(self, app_label: str) -> bool:  # noqa: ARG002 -- as above
        """Grant nothing."""
        return False

    def get_user_permissions(self, obj: object = None) -> set[str]:  # noqa: ARG002 -- as above
        """Give no permission."""
        return set()

    def get_group_permissions(self, obj: object = None) -> set[str]:  # noqa: ARG002 -- as above
        """Give no permission."""
        return set()

    def get_all_permissions(self, obj: object = None) -> set[str]:  # noqa: ARG002 -- as above
        """Give no permission."""
        return set()


class TokenUser(_Powerless, JWTUser):
    """A :class:`JWTUser` with what Django asks a user for: it has no row, no groups and no permissions.

    Attributes:
        is_staff: False; the admin site needs a user of the database.
        is_superuser: False.
    """

    __slots__ = ()


class _UnknownUser(_Powerless, AnonymousUser):
    """Nobody: the token is good, but the function that the settings name does not know its subject."""

    __slots__ = ()


class TokenUserMiddleware:
    """A Django middleware that makes the token's subject ``request.user``, and its grants ``request.auth``.

    Put it after ``AuthenticationMiddleware``, where that is in use. A request without a token keeps the user that it
    had: of the session, or none::

        MIDDLEWARE = [
            "django.contrib.sessions.middleware.SessionMiddleware",
            "django.contrib.auth.middleware.AuthenticationMiddleware",
            "asgi_middleware.integrations.django.TokenUserMiddleware",
        ]

    By default the user is a :class:`TokenUser`, and no database is asked. For users of your own database, name a
    function in the settings. It is called with the :class:`JWTAuth` when ``request.user`` is first used. Where it gives
    None, for a user who was deleted or locked, the request is nobody's: ``request.user.is_authenticated`` is False::

        JWT_USER = "mysite.users.from_token"


        def from_token(auth):
            return User.objects.filter(sub=auth.token.subject, is_active=True).first()

    Args:
        get_response: The next middleware or the view, as Django passes it.
    """

    sync_capable: ClassVar[bool] = True
    async_capable: ClassVar[bool] = True

    def __init__(self, get_response: Callable[[Any], Any]) -> None:
        self.get_response = get_response
        if iscoroutinefunction(get_response):
            markcoroutinefunction(self)

    def __call__(self, request: Any) -> Any | Awaitable[Any]:
        """Give the request its user and pass it on."""
        auth = token_of(request)
        if auth is not None:
            request.auth = auth
            find = user_function()
            if find is None:
                user = request.user = TokenUser(auth.token)  # type: ignore[arg-type]  # token_of gives those with one
                request.auser = _giving(user)
            else:
                request.user = SimpleLazyObject(lambda: find(auth))
                request.auser = _finding(find, auth)
        return self.get_response(request)


class TokenAuthentication:
    """An authentication class for Django REST framework: the user and the grants of the token.

    DRF decides about ``request.user`` by itself, so name it in the settings; ``TokenUserMiddleware`` is not needed
    for DRF's views::

        REST_FRAMEWORK = {
            "DEFAULT_AUTHENTICATION_CLASSES": ["asgi_middleware.integrations.django.TokenAuthentication"],
            "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
        }

    A request without a token is anonymous for DRF, which then answers 401 with the challenge. ``request.auth`` is the
    :class:`JWTAuth`.
    """

    def authenticate(self, request: Any) -> tuple[Any, JWTAuth] | None:
        """Give user and grants, or None without a token; as DRF calls it."""
        auth = token_of(request)
        if auth is None:
            return None
        find = user_function()
        user = TokenUser(auth.token) if find is None else find(auth)  # type: ignore[arg-type]  # as above
        return user, auth

    def authenticate_header(self, request: Any) -> str:  # noqa: ARG002 -- DRF calls it so
        """Give the challenge: with one, DRF answers 401 instead of 403."""
        return challenge("api").decode("ascii")


def token_of(request: Any) -> JWTAuth | None:
    """Give the grants that came with a request of Django or DRF; None without a token, or outside ASGI."""
    scope = getattr(request, "scope", None)
    auth = None if scope is None else scope.get("auth")
    return auth if isinstance(auth, JWTAuth) and auth.token is not None else None


def user_function() -> Callable[[JWTAuth], Any] | None:
    """Give the function that the settings name, made to give nobody in place of None; None where they name none."""
    named = getattr(settings, SETTING, None)
    if named is None:
        return None
    find = import_string(named) if isinstance(named, str) else named

    def user_of(auth: JWTAuth) -> Any:
        user = find(auth)
        return _UnknownUser() if user is None else user

    return user_of


def _giving(user: Any) -> Callable[[], Awaitable[Any]]:
    async def auser() -> Any:
        return user

    return auser


def _finding(find: Callable[[JWTAuth], Any], auth: JWTAuth) -> Callable[[], Awaitable[Any]]:
    async def auser() -> Any:
        return await sync_to_async(find)(auth)

    return auser
