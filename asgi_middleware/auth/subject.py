"""What the app sees: ``scope["user"]`` and ``scope["auth"]`` in Starlette's terms.

Starlette, FastAPI and Litestar read ``request.user`` from ``scope["user"]``; Starlette's ``requires()`` reads
``scope["auth"].scopes``; Channels consumers read ``self.scope["user"]``. Duck typing serves them all: no framework is
imported here.

Both are made for every request, and most requests ask them for little. So they hold the verified token, which the
requests of one token share, and answer from it when asked.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final, Protocol

from asgi_middleware.auth.claims import VerifiedToken
from asgi_middleware.auth.rules import RolesClaim, roles_of

_NO_CLAIMS: Final[Mapping[str, Any]] = MappingProxyType({})


class JWTUser:
    """The authenticated subject, at ``scope["user"]``.

    The identity is the ``sub`` claim and nothing else: names and addresses can change hands. ``str()`` gives it too::

        async def handler(request):
            return JSONResponse({"id": request.user.identity})

    Attributes:
        token: The verified token. Its text is not kept.
        is_authenticated: True.
        is_anonymous: False.
    """

    is_authenticated: Final = True
    is_anonymous: Final = False
    is_active: Final = True

    def __init__(self, token: VerifiedToken) -> None:
        """Speak for a verified token."""
        self.token = token

    def __str__(self) -> str:
        """Give the identity."""
        return self.identity

    def __repr__(self) -> str:
        """Show the kind alone; claims are personal data."""
        return f"<{type(self).__name__}>"

    @property
    def identity(self) -> str:
        """The ``sub`` claim; empty where the token has none. Also as ``id``, ``pk`` and ``username``."""
        return self.token.subject or ""

    @property
    def display_name(self) -> str:
        """The ``name`` claim, else ``preferred_username``, else the identity. For showing, not for deciding."""
        name = self.token.claim("name") or self.token.claim("preferred_username")
        return name if type(name) is str else self.identity

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


class Renewable(Protocol):
    """A connection whose token can be replaced."""

    async def renew(self, token: bytes | str) -> VerifiedToken:
        """Verify a token, put it in the place of the old one and give it."""


class JWTAuth:
    """What the token grants, at ``scope["auth"]``; the same class without a token, with nothing granted.

    Attributes:
        token: The verified token, or None. Its text is not kept.
    """

    # Defaults on the class: making one for each request costs one assignment.
    _connection: Renewable | None = None
    _roles_claim: RolesClaim = None
    _scopes: list[str] | None = None

    def __init__(self, token: VerifiedToken | None = None) -> None:
        """Speak for a verified token, or for none."""
        self.token = token

    def __repr__(self) -> str:
        """Show whether there is a token; never its claims."""
        return f"JWTAuth({self.token!r})" if self.token is not None else "JWTAuth()"

    @property
    def scopes(self) -> list[str]:
        """The granted scopes, a list as Starlette's ``requires()`` expects. Empty without a token."""
        scopes = self._scopes
        if scopes is None:
            scopes = self._scopes = [] if self.token is None else list(self.token.scopes)
        return scopes

    @property
    def roles(self) -> tuple[str, ...]:
        """The roles that ``JWTAuthMiddleware(roles_claim=...)`` finds in the token. Empty without a token."""
        return () if self.token is None else roles_of(self.token, self._roles_claim)

    @property
    def claims(self) -> Mapping[str, Any]:
        """All claims, read-only. Empty without a token."""
        return _NO_CLAIMS if self.token is None else self.token.claims

    @property
    def expires_at(self) -> float | None:
        """The ``exp`` claim in seconds since 1970, or None without a token."""
        return None if self.token is None else self.token.expires_at

    @property
    def issuer(self) -> str | None:
        """The ``iss`` claim."""
        return None if self.token is None else self.token.issuer

    async def renew(self, token: bytes | str) -> None:
        """Let a WebSocket live on with a newer token of the same subject, which the client sent over it.

        The new token must be valid, of the same issuer and subject, and grant what the connection's path asks for. From
        then on it is what ``scope["auth"]`` speaks for. When it is refused the connection stays as it was: it ends
        with the old token::

            async def consumer(websocket):
                await websocket.accept()
                async for message in websocket.iter_json():
                    if message["type"] == "token":
                        try:
                            await websocket.auth.renew(message["token"])
                        except TokenError:
                            await websocket.close(4401)

        Args:
            token: The new token's text.

        Raises:
            TokenError: The token is refused; its reason says why.
            Unavailable: The token cannot be checked at the moment.
            RuntimeError: There is nothing to renew: not a WebSocket, or one without a token.
            ConnectionAbortedError: The WebSocket has ended.
        """
        if self._connection is None:
            message = "only a WebSocket that came with a token can be renewed"
            raise RuntimeError(message)
        self.token = await self._connection.renew(token)
        self._scopes = None


def auth_with(roles_claim: RolesClaim, connection: Renewable | None = None) -> Callable[[VerifiedToken], JWTAuth]:
    """Give what makes a :class:`JWTAuth` that knows where the roles are, and what can be renewed.

    Args:
        roles_claim: Where a token's roles are.
        connection: The WebSocket, or None.
    """

    def make(token: VerifiedToken) -> JWTAuth:
        auth = JWTAuth(token)
        auth._roles_claim = roles_claim  # noqa: SLF001 -- same module
        auth._connection = connection  # noqa: SLF001 -- same module
        return auth

    return make
