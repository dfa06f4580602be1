"""Claims: what a token with a good signature must say (RFC 7519 4.1, RFC 8725 3.8-3.9, RFC 8693 4.2)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

from asgi_middleware._core.config import Problems
from asgi_middleware.auth.errors import Reason

_LONGEST_LEEWAY: Final = 300
# The last second of the year 9999: what comes later is no date that a program can hold. A clock in milliseconds gives
# such.
_LAST_DATE: Final = 253_402_300_799


class Unset(Enum):
    """The type of the one value that says an option was not given, where None means something of its own."""

    UNSET = "unset"

    def __repr__(self) -> str:
        """Show what it stands for in messages and signatures."""
        return "<not given>"


UNSET: Final = Unset.UNSET


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class VerifiedToken:
    """A token whose signature, dates, audience and issuer were checked.

    Attributes:
        claims: The claims, read-only at the top.
        header: The header, read-only at the top. Only its ``alg``, ``kid`` and ``typ`` were looked at.
    """

    claims: Mapping[str, Any]
    header: Mapping[str, Any]

    def __repr__(self) -> str:
        """Show the expiry alone: claims are personal data, and the token is a password."""
        return f"VerifiedToken(expires_at={self.expires_at!r})"

    @property
    def subject(self) -> str | None:
        """The ``sub`` claim."""
        return self.claims.get("sub")

    @property
    def issuer(self) -> str | None:
        """The ``iss`` claim."""
        return self.claims.get("iss")

    @property
    def expires_at(self) -> float:
        """The ``exp`` claim, in seconds since 1970."""
        expires_at: float = self.claims["exp"]
        return expires_at

    @property
    def scopes(self) -> tuple[str, ...]:
        """The granted scopes, in order, each once."""
        return granted_scopes(self.claims)


def granted_scopes(claims: Mapping[str, Any]) -> tuple[str, ...]:
    """Give the scopes that ``scope`` and ``scp`` grant.

    Both come as text with spaces between (RFC 8693 4.2) or as an array, depending on the issuer. Whatever is not text
    grants nothing; text is never taken apart into characters.

    ::

        assert granted_scopes({"scope": "read write"}) == ("read", "write")
        assert granted_scopes({"scp": ["read", 7]}) == ("read",)
    """
    scopes: dict[str, None] = {}
    for name in ("scope", "scp"):
        value = claims.get(name)
        if type(value) is str:
            scopes.update(dict.fromkeys(value.split(" ")))
        elif type(value) is list:
            scopes.update(dict.fromkeys(item for item in value if type(item) is str))
    scopes.pop("", None)
    return tuple(scopes)


class ClaimRules:
    """What the claims must say; immutable. The options are those of ``TokenVerifier``."""

    __slots__ = ("_audiences", "_issuers", "_leeway", "_max_age", "_required")

    def __init__(
        self,
        *,
        audience: str | Iterable[str] | Unset | None,
        issuer: str | Iterable[str] | None,
        leeway: float,
        require: Iterable[str],
        max_age: float | None,
        problems: Problems,
    ) -> None:
        """Check the options, noting what is wrong in `problems`."""
        if audience is UNSET:
            problems.add(
                "audience",
                UNSET,
                "is not given, so that a token made for another service would pass",
                fix='name this service, for example audience="https://api.example", or None if tokens carry no aud',
                code="audience_missing",
            )
            audience = None
        self._audiences = _names("audience", audience, problems)
        self._issuers = _names("issuer", issuer, problems)
        self._required = ("exp", *problems.strings("require", require))
        problems.number("leeway", leeway, minimum=0, maximum=_LONGEST_LEEWAY)
        problems.number("max_age", max_age, minimum=1, optional=True)
        self._leeway = leeway
        self._max_age = max_age

    def check(self, claims: dict[str, Any], now: float) -> Reason | None:
        """Give the reason to refuse these claims at the time `now`, or None."""
        for name in self._required:
            if claims.get(name) is None:
                return Reason.MISSING
        for name in ("iss", "sub", "jti"):
            if name in claims and type(claims[name]) is not str:
                return Reason.INVALID
        if self._issuers is not None and claims.get("iss") not in self._issuers:
            return Reason.ISSUER
        if not self._is_for_us(claims):
            return Reason.AUDIENCE
        return self._check_dates(claims, now)

    def _is_for_us(self, claims: dict[str, Any]) -> bool:
        if self._audiences is None:
            return "aud" not in claims
        meant = claims.get("aud")
        if type(meant) is str:
            return meant in self._audiences
        if type(meant) is not list or not all(type(name) is str for name in meant):
            return False
        return not self._audiences.isdisjoint(meant)

    def _check_dates(self, claims: dict[str, Any], now: float) -> Reason | None:
        for name in ("exp", "nbf", "iat"):
            if name in claims and not _is_date(claims[name]):
                return Reason.INVALID
        latest = now + self._leeway
        if claims.get("nbf", 0) > latest or claims.get("iat", 0) > latest:
            return Reason.NOT_YET_VALID
        # A fraction of a second is cut off, never rounded up: the token is not valid for longer than it says.
        if int(claims["exp"]) <= now - self._leeway:
            return Reason.EXPIRED
        if self._max_age is not None:
            if "iat" not in claims:
                return Reason.MISSING
            if claims["iat"] + self._max_age <= now - self._leeway:
                return Reason.TOO_OLD
        return None


def _is_date(value: object) -> bool:
    """Tell whether `value` is a NumericDate (RFC 7519 2): a number, neither text nor bool, and not beyond year 9999."""
    return (type(value) is int or type(value) is float) and 0 <= value <= _LAST_DATE


def _names(option: str, value: str | Iterable[str] | None, problems: Problems) -> frozenset[str] | None:
    """Give the accepted names, None for no restriction."""
    if value is None:
        return None
    listed: object = (value,) if isinstance(value, str) else value
    if isinstance(listed, Iterable) and not isinstance(listed, bytes):
        listed = tuple(listed)
    names = problems.strings(option, listed)
    if listed == () or "" in names:
        problems.add(
            option,
            value,
            "names nothing",
            fix=f"give the expected {option}, a list of them, or None",
            code=f"{option}_empty",
        )
    return frozenset(names)
