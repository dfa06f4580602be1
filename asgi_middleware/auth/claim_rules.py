"""What the claims of a token with a good signature must say (RFC 7519 4.1, RFC 8725 3.8-3.9, RFC 9068 4).

Facts this module rests on:

- ``exp``, ``nbf`` and ``iat`` are numbers (RFC 7519 2). Text, bools and what lies beyond year 9999 are no dates.
- "on or after" the time in ``exp`` a token is no longer valid (RFC 7519 4.1.4): the exact second is over.
- A fraction of a second in ``exp`` is cut off, never rounded up: a token is not valid for longer than it says.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from copy import copy
from types import MappingProxyType
from typing import Any, Final

from asgi_middleware._core.config import Problems
from asgi_middleware.auth.claims import UNSET, Unset
from asgi_middleware.auth.errors import Reason

_LONGEST_LEEWAY: Final = 300
# The last second of the year 9999: what comes later is no date that a program can hold. A clock in milliseconds gives
# such.
_LAST_DATE: Final = 253_402_300_799
# RFC 9068 2.2: what an access token of this profile always carries.
_ACCESS_TOKEN_CLAIMS: Final = ("iss", "aud", "sub", "client_id", "iat", "jti")


class ClaimRules:
    """What the claims must say; immutable. The options are those of ``TokenVerifier``."""

    __slots__ = ("_audiences", "_issuers", "_leeway", "_max_age", "_max_lifetime", "_required", "_validators")

    def __init__(
        self,
        *,
        audience: str | Iterable[str] | Unset | None,
        issuer: str | Iterable[str] | None,
        leeway: float,
        require: Iterable[str],
        access_token: bool,
        max_age: float | None,
        max_lifetime: float | None,
        validators: Iterable[Callable[[Mapping[str, Any]], object]],
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
        elif access_token and audience is None:
            problems.add(
                "audience",
                None,
                'is None, but an access token of the profile "rfc9068" names its audience',
                fix='name this service, for example audience="https://api.example" (RFC 9068 4)',
                code="audience_missing",
            )
        self._audiences = names("audience", audience, problems)
        self._issuers = names("issuer", issuer, problems)
        required = ("exp", *(_ACCESS_TOKEN_CLAIMS if access_token else ()), *problems.strings("require", require))
        problems.number("leeway", leeway, minimum=0, maximum=_LONGEST_LEEWAY)
        problems.number("max_age", max_age, minimum=1, optional=True)
        problems.number("max_lifetime", max_lifetime, minimum=1, optional=True)
        self._leeway = leeway
        self._max_age = max_age
        self._max_lifetime = max_lifetime
        self._validators = _functions(validators, problems)
        if max_age is not None or max_lifetime is not None:
            required = (*required, "iat")
        self._required = tuple(dict.fromkeys(required))

    def of(self, issuer: str | None, audience: str | Iterable[str] | Unset | None) -> ClaimRules:
        """Give the same rules for one issuer, with its checked audience where it has one of its own."""
        rules = copy(self)
        none = Problems("ClaimRules")
        rules._issuers = names("issuer", issuer, none)  # noqa: SLF001 -- a copy of this very class
        if not isinstance(audience, Unset):
            rules._audiences = names("audience", audience, none)  # noqa: SLF001 -- the same
        return rules

    def check(self, claims: dict[str, Any], now: float) -> Reason | None:
        """Give the reason to refuse these claims at the time `now`, or None."""
        get = claims.get
        for name in self._required:
            if get(name) is None:
                return Reason.MISSING
        issuer = get("iss", "")
        if type(issuer) is not str or type(get("sub", "")) is not str or type(get("jti", "")) is not str:
            return Reason.INVALID
        if self._issuers is not None and issuer not in self._issuers:
            return Reason.ISSUER
        if not self._is_for_us(get("aud", UNSET)):
            return Reason.AUDIENCE
        return self._check_dates(get("exp"), get("nbf", 0), get("iat", 0), now) or (
            self._ask_validators(claims) if self._validators else None
        )

    def window(self, claims: Mapping[str, Any]) -> tuple[float, float]:
        """Give since when and until when :meth:`check` finds nothing wrong with the dates of these good claims."""
        issued = claims.get("iat", 0)
        since = max(claims.get("nbf", 0), issued) - self._leeway
        until = int(claims["exp"]) + self._leeway
        return since, until if self._max_age is None else min(until, issued + self._max_age + self._leeway)

    def _is_for_us(self, meant: object) -> bool:
        audiences = self._audiences
        if audiences is None:
            return meant is UNSET
        if type(meant) is str:
            return meant in audiences
        if type(meant) is not list or not all(type(name) is str for name in meant):
            return False
        return not audiences.isdisjoint(meant)

    def _check_dates(self, expires: Any, not_before: Any, issued: Any, now: float) -> Reason | None:
        for date in (expires, not_before, issued):
            if (type(date) is not int and type(date) is not float) or not 0 <= date <= _LAST_DATE:
                return Reason.INVALID
        leeway = self._leeway
        latest = now + leeway
        if not_before > latest or issued > latest:
            return Reason.NOT_YET_VALID
        if int(expires) <= now - leeway:
            return Reason.EXPIRED
        if self._max_age is not None and issued + self._max_age <= now - leeway:
            return Reason.TOO_OLD
        if self._max_lifetime is not None and expires - issued > self._max_lifetime:
            return Reason.LIFETIME
        return None

    def _ask_validators(self, claims: dict[str, Any]) -> Reason | None:
        shown = MappingProxyType(claims)
        for validator in self._validators:
            try:
                if validator(shown) is not True:
                    return Reason.REJECTED
            # What the text of this exception quotes is unknown, and a check that cannot be made is not passed.
            except Exception:  # noqa: BLE001
                return Reason.REJECTED
        return None


def _functions(given: object, problems: Problems) -> tuple[Callable[[Mapping[str, Any]], object], ...]:
    if not isinstance(given, Iterable):
        problems.add(
            "validators", given, "is not a list of functions", fix="write validators=[function]", code="not_a_list"
        )
        return ()
    functions = tuple(given)
    for function in functions:
        problems.callable("validators", function)
    return functions


def names(option: str, value: str | Iterable[str] | None, problems: Problems) -> frozenset[str] | None:
    """Give the accepted names, None for no restriction."""
    if value is None:
        return None
    listed: object = (value,) if isinstance(value, str) else value
    if isinstance(listed, Iterable) and not isinstance(listed, bytes):
        listed = tuple(listed)
    found = problems.strings(option, listed)
    if listed == () or "" in found:
        problems.add(
            option,
            value,
            "names nothing",
            fix=f"give the expected {option}, a list of them, or None",
            code=f"{option}_empty",
        )
    return frozenset(found)
