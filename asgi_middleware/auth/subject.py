"""What the app sees: ``scope["user"]`` and ``scope["auth"]`` in Starlette's terms.

Starlette, FastAPI and Litestar read ``request.user`` from ``scope["user"]``; Starlette's ``requires()`` reads
``scope["auth"].scopes``; Channels consumers read ``self.scope["user"]``. Duck typing serves them all: no framework is
imported here.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from asgi_middleware.auth.claims import VerifiedToken

_NO_CLAIMS: Final[Mapping[str, Any]] = MappingProxyType({})


class JWTUser:
    """The authenticated subject, at ``scope["user"]``.

    The identity is the ``sub`` claim and nothing else: names and addresses can change hands. ``str()`` gives it too::

        async def handler(request):
            return JSONResponse({"id": request.user.identity})

    Attributes:
        identity: The ``sub`` claim; empty where the token has none. Also as ``id``, ``pk`` and ``username``, which are
            the words of Django code.
        display_name: The ``name`` claim, else ``preferred_username``, else the identity. For showing, not for deciding.
        is_authenticated: True.
        is_anonymous: False.
    """

    __slots__ = ("display_name", "identity")

    is_authenticated: Final = True
    is_anonymous: Final = False
    is_active: Final = True

    def __init__(self, token: VerifiedToken) -> None:
        """Take the names from a verified token."""
        claims = token.claims
        self.identity: str = claims.get("sub", "")
        name = claims.get("name") or claims.get("preferred_username")
        self.display_name: str = name if type(name) is str else self.identity

    def __str__(self) -> str:
        """Give the identity."""
        return self.identity

    def __repr__(self) -> str:
        """Show the kind alone; claims are personal data."""
        return "<JWTUser>"

    @property
    def id(self) -> str:
        """The identity."""
        return self.identity

    @property
    def pk(self) -> str:
        """The identity."""
        return self.identity

    @property
    def username(self) -> str:
        """The identity."""
        return self.identity

    def get_username(self) -> str:
        """Give the identity."""
        return self.identity

    @property
    def _wrapped(self) -> None:
        """Take what Channels' ``AuthMiddleware`` assigns here, and stay this user: the token decides."""

    @_wrapped.setter
    def _wrapped(self, user: object) -> None:
        """Keep nothing."""


class AnonymousUser:
    """Nobody: ``scope["user"]`` on exempt paths, and on optional ones without a token.

    Attributes:
        identity: Empty, as are ``display_name`` and ``username``.
        is_authenticated: False.
        is_anonymous: True.
    """

    __slots__ = ()

    is_authenticated: Final = False
    is_anonymous: Final = True
    is_active: Final = False
    identity: Final = ""
    display_name: Final = ""
    username: Final = ""
    id: Final = None
    pk: Final = None

    def __str__(self) -> str:
        """Give the empty identity."""
        return ""

    def __repr__(self) -> str:
        """Show the kind."""
        return "<AnonymousUser>"

    def get_username(self) -> str:
        """Give the empty identity."""
        return ""

    @property
    def _wrapped(self) -> None:
        """Take what Channels' ``AuthMiddleware`` assigns here; see ``JWTUser``."""

    @_wrapped.setter
    def _wrapped(self, user: object) -> None:
        """Keep nothing."""


class JWTAuth:
    """What the token grants, at ``scope["auth"]``; the same class without a token, with nothing granted.

    Attributes:
        scopes: The granted scopes, a list as Starlette's ``requires()`` expects. Empty without a token.
        claims: All claims, read-only. Empty without a token.
        token: The verified token, or None. Its text is not kept.
    """

    __slots__ = ("claims", "scopes", "token")

    def __init__(self, token: VerifiedToken | None = None) -> None:
        """Take the grants from a verified token, or from none."""
        self.token = token
        self.scopes: list[str] = [] if token is None else list(token.scopes)
        self.claims: Mapping[str, Any] = _NO_CLAIMS if token is None else token.claims

    def __repr__(self) -> str:
        """Show whether there is a token; never its claims."""
        return f"JWTAuth({self.token!r})" if self.token is not None else "JWTAuth()"

    @property
    def expires_at(self) -> float | None:
        """The ``exp`` claim in seconds since 1970, or None without a token."""
        return None if self.token is None else self.token.expires_at

    @property
    def issuer(self) -> str | None:
        """The ``iss`` claim."""
        return None if self.token is None else self.token.issuer
