"""The answers: which refusal, with which challenge (RFC 6750 3, RFC 9110 11.6.1). All bytes are built once.

Facts this module rests on:

- Without credentials the challenge names no error; an error is for credentials that were given (RFC 6750 3).
- 400 ``invalid_request``: malformed, or more than one way at once. 401 ``invalid_token``: expired, forged, not for us.
  403 ``insufficient_scope``: good, but it does not grant enough; all that is needed is listed (RFC 6750 3.1).
- Failing to decide is not a decision about the token: 503, so that a client neither throws its token away nor gets in.
"""

from __future__ import annotations

from typing import Final

from asgi_middleware._core.config import Problems
from asgi_middleware._core.refusals import Refusal
from asgi_middleware.auth.errors import Reason
from asgi_middleware.auth.extraction import NoToken

_WANTED: Final = "This resource needs a bearer token."
_RETRY_AFTER: Final = b"5"
_INTERNAL_CLOSE_CODE: Final = 1011  # RFC 6455 7.4.1
_KEPT_SETS: Final = 256

_MALFORMED_DETAILS: Final = {
    NoToken.REPEATED: "A request carries its token once and in one place.",
    NoToken.MALFORMED: "The credentials are not well-formed.",
}
_TOKEN_DETAILS: Final = {
    Reason.EXPIRED: "The access token has expired.",
    Reason.NOT_YET_VALID: "The access token is not valid yet.",
    Reason.TOO_OLD: "The access token was issued too long ago.",
}
_INVALID: Final = "The access token is not valid."


def challenge(realm: str, *, error: str | None = None, scopes: tuple[str, ...] = ()) -> bytes:
    """Write the value of ``WWW-Authenticate``.

    ::

        assert challenge("api") == b'Bearer realm="api"'
        assert challenge("api", error="invalid_token") == b'Bearer realm="api", error="invalid_token"'

    Args:
        realm: Printable ASCII; quotes and backslashes are escaped (RFC 9110 5.6.4).
        error: The RFC 6750 error word; None without credentials.
        scopes: All scopes that the resource needs.
    """
    quoted = realm.replace("\\", "\\\\").replace('"', '\\"')
    text = f'Bearer realm="{quoted}"'
    if error is not None:
        text += f', error="{error}"'
    if scopes:
        text += f', scope="{" ".join(scopes)}"'
    return text.encode("ascii")


def check_realm(realm: object, problems: Problems) -> str:
    """Give the realm, checked: it becomes part of a header."""
    if isinstance(realm, str) and realm.isascii() and realm.isprintable():
        return realm
    problems.add(
        "realm", realm, "is not printable ASCII text", fix='write a short name, for example "api"', code="not_a_realm"
    )
    return ""


class Answers:
    """Every refusal of one middleware, built once: at construction, and for a set of scopes when it is first needed."""

    __slots__ = ("_by_reason", "_forbidden_code", "_insufficient", "_realm", "unavailable")

    def __init__(self, *, realm: str, close_code: int, forbidden_code: int) -> None:
        """Build the answers.

        Args:
            realm: A checked realm.
            close_code: The WebSocket close code for 400 and 401.
            forbidden_code: The WebSocket close code for 403.
        """
        self._realm = realm
        self._forbidden_code = forbidden_code
        self._insufficient: dict[tuple[str, ...], Refusal] = {}
        bare = challenge(realm)
        malformed = challenge(realm, error="invalid_request")
        invalid = challenge(realm, error="invalid_token")
        self._by_reason: dict[str, Refusal] = {}
        for absent in (NoToken.MISSING, NoToken.OTHER_SCHEME):
            self._by_reason[absent] = _refusal(401, absent, _WANTED, bare, close_code)
        for wrong, detail in _MALFORMED_DETAILS.items():
            self._by_reason[wrong] = _refusal(400, wrong, detail, malformed, close_code)
        for reason in Reason:
            detail = _TOKEN_DETAILS.get(reason, _INVALID)
            self._by_reason[reason] = _refusal(401, reason, detail, invalid, close_code)
        self.unavailable = Refusal(
            503,
            "authentication_unavailable",
            detail="The access token could not be checked at the moment.",
            headers=[(b"retry-after", _RETRY_AFTER)],
            close_code=_INTERNAL_CLOSE_CODE,
        )

    def for_reason(self, reason: NoToken | Reason) -> Refusal:
        """Give the refusal for a token that is missing, malformed or not valid."""
        return self._by_reason[reason]

    def insufficient(self, scopes: tuple[str, ...]) -> Refusal:
        """Give the refusal for a good token that does not grant all of `scopes`."""
        refusal = self._insufficient.get(scopes)
        if refusal is None:
            value = challenge(self._realm, error="insufficient_scope", scopes=scopes)
            detail = "The access token does not grant the scopes that this resource needs."
            refusal = _refusal(403, "insufficient_scope", detail, value, self._forbidden_code)
            if len(self._insufficient) < _KEPT_SETS:
                self._insufficient[scopes] = refusal
        return refusal


def _refusal(status: int, reason: str, detail: str, value: bytes, close_code: int) -> Refusal:
    return Refusal(status, str(reason), detail=detail, headers=[(b"www-authenticate", value)], close_code=close_code)
