"""What a verified token says: its claims, read-only, and the names by which they are asked for most."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from types import MappingProxyType
from typing import Any, Final


class Unset(Enum):
    """The type of the one value that says an option was not given, where None means something of its own."""

    UNSET = "unset"

    def __repr__(self) -> str:
        """Show what it stands for in messages and signatures."""
        return "<not given>"


UNSET: Final = Unset.UNSET


class VerifiedToken:
    """A token whose signature, dates, audience and issuer were checked. Made by ``TokenVerifier``.

    The same object may serve many requests, since verified tokens are remembered. So nothing on it can be set, and
    lists and objects among the claims are handed out as copies: what a handler does to them stays with the handler.
    """

    __slots__ = ("__weakref__", "_claims", "_header", "_scopes")

    def __init__(self, claims: dict[str, Any], header: Mapping[str, Any]) -> None:
        """Take over checked claims and a checked header; the caller keeps no hold on `claims`."""
        self._claims = claims
        self._header = header
        self._scopes: tuple[str, ...] | None = None

    def __repr__(self) -> str:
        """Show the expiry alone: claims are personal data, and the token is a password."""
        return f"VerifiedToken(expires_at={self.expires_at!r})"

    @property
    def claims(self) -> Mapping[str, Any]:
        """All claims, read-only, made anew at each access; :meth:`claim` is cheaper for one of them."""
        return MappingProxyType(
            {name: _copy(value) if type(value) in _NESTED else value for name, value in self._claims.items()}
        )

    @property
    def header(self) -> Mapping[str, Any]:
        """The header, read-only at the top. Only its ``alg``, ``kid`` and ``typ`` were looked at."""
        return self._header

    def claim(self, name: str, default: Any = None) -> Any:
        """Give one claim, or `default` where the token has none of that name."""
        value = self._claims.get(name, default)
        return _copy(value) if type(value) in _NESTED else value

    @property
    def subject(self) -> str | None:
        """The ``sub`` claim."""
        return self._claims.get("sub")

    @property
    def issuer(self) -> str | None:
        """The ``iss`` claim."""
        return self._claims.get("iss")

    @property
    def token_id(self) -> str | None:
        """The ``jti`` claim: what the token is revoked by."""
        return self._claims.get("jti")

    @property
    def session_id(self) -> str | None:
        """The ``sid`` claim: the session at the identity provider (OpenID Connect Back-Channel Logout 2.1)."""
        value = self._claims.get("sid")
        return value if type(value) is str else None

    @property
    def issued_at(self) -> float | None:
        """The ``iat`` claim, in seconds since 1970."""
        return self._claims.get("iat")

    @property
    def expires_at(self) -> float:
        """The ``exp`` claim, in seconds since 1970."""
        expires_at: float = self._claims["exp"]
        return expires_at

    @property
    def scopes(self) -> tuple[str, ...]:
        """The granted scopes, in order, each once."""
        scopes = self._scopes
        if scopes is None:
            scopes = self._scopes = granted_scopes(self._claims)
        return scopes


_NESTED: Final = frozenset({dict, list})


def _copy(value: Any) -> Any:
    """Copy lists and objects all the way down. Nesting is bounded where the claims were read."""
    if type(value) is list:
        return [_copy(item) if type(item) in _NESTED else item for item in value]
    return {name: _copy(item) if type(item) in _NESTED else item for name, item in value.items()}


def granted_scopes(claims: Mapping[str, Any]) -> tuple[str, ...]:
    """Give the scopes that ``scope`` and ``scp`` grant.

    Both come as text with spaces between (RFC 8693 4.2) or as an array, depending on the issuer. Whatever is not text
    grants nothing; text is never taken apart into characters.

    ::

        assert granted_scopes({"scope": "read write"}) == ("read", "write")
        assert granted_scopes({"scp": ["read", 7]}) == ("read",)
    """
    scope, scp = claims.get("scope"), claims.get("scp")
    if scope is None and scp is None:
        return ()
    scopes: dict[str, None] = {}
    for value in (scope, scp):
        if type(value) is str:
            scopes.update(dict.fromkeys(value.split(" ")))
        elif type(value) is list:
            scopes.update(dict.fromkeys(item for item in value if type(item) is str))
    scopes.pop("", None)
    return tuple(scopes)
