"""The answers: which refusal, with which challenge (RFC 6750 3, RFC 9110 11.6.1). All bytes are built once.

Facts this module rests on:

- Without credentials the challenge names no error; an error is for credentials that were given (RFC 6750 3).
- 400 ``invalid_request``: malformed, or more than one way at once. 401 ``invalid_token``: expired, forged, not for us.
  403 ``insufficient_scope``: good, but it does not grant enough; all that is needed is listed (RFC 6750 3.1).
- Failing to decide is not a decision about the token: 503, so that a client neither throws its token away nor gets in.
"""

from __future__ import annotations

import re
from typing import Final

from asgi_middleware._core.config import Problems
from asgi_middleware._core.refusals import Refusal
from asgi_middleware.auth.errors import Reason, TokenError, Unavailable
from asgi_middleware.auth.extraction import NoToken
from asgi_middleware.auth.policy import ROLE, SCOPE, Demand

_WANTED: Final = "This resource needs a bearer token."
_URL: Final = re.compile(r"https?://[!#-\[\]-~]+")
_RETRY_AFTER: Final = 5
_INTERNAL_CLOSE_CODE: Final = 1011  # RFC 6455 7.4.1
_TRY_AGAIN_CLOSE_CODE: Final = 1013  # "Try Again Later" in the registry of RFC 6455 11.7
_ABSENT: Final = (NoToken.MISSING, NoToken.OTHER_SCHEME)
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
_LACKING: Final = {
    SCOPE: "The access token does not grant the scopes that this resource needs.",
    ROLE: "The access token does not grant the roles that this resource needs.",
}
ORIGIN: Final = "origin_not_allowed"
TIMEOUT: Final = "authentication_timeout"


def challenge(
    realm: str, *, error: str | None = None, scopes: tuple[str, ...] = (), resource_metadata: str | None = None
) -> bytes:
    """Write the value of ``WWW-Authenticate``.

    ::

        assert challenge("api") == b'Bearer realm="api"'
        assert challenge("api", error="invalid_token") == b'Bearer realm="api", error="invalid_token"'

    Args:
        realm: Printable ASCII; quotes and backslashes are escaped (RFC 9110 5.6.4).
        error: The RFC 6750 error word; None without credentials.
        scopes: All scopes that the resource needs.
        resource_metadata: Where this service describes itself; a checked URL (RFC 9728 5.1).
    """
    quoted = realm.replace("\\", "\\\\").replace('"', '\\"')
    text = f'Bearer realm="{quoted}"'
    if error is not None:
        text += f', error="{error}"'
    if scopes:
        text += f', scope="{" ".join(scopes)}"'
    if resource_metadata is not None:
        text += f', resource_metadata="{resource_metadata}"'
    return text.encode("ascii")


def check_resource_metadata(url: object, problems: Problems) -> str | None:
    """Give the URL, checked: it becomes part of a header."""
    if url is None or (isinstance(url, str) and _URL.fullmatch(url) is not None):
        return url
    fix = 'write "https://api.example/.well-known/oauth-protected-resource", or None'
    problems.add("resource_metadata", url, "is not an absolute URL", fix=fix, code="not_a_url")
    return None


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

    __slots__ = (
        "_by_reason",
        "_close_code",
        "_forbidden_code",
        "_kept",
        "_realm",
        "_resource_metadata",
        "crowded",
        "origin",
        "timeout",
        "unavailable",
    )

    def __init__(
        self,
        *,
        realm: str,
        close_code: int,
        forbidden_code: int,
        timeout_code: int = 4408,
        resource_metadata: str | None = None,
    ) -> None:
        """Build the answers.

        Args:
            realm: A checked realm.
            close_code: The WebSocket close code for 400 and 401.
            forbidden_code: The WebSocket close code for 403.
            timeout_code: The WebSocket close code for a first message that did not come.
            resource_metadata: A checked URL for the challenges, or None.
        """
        self._realm = realm
        self._close_code = close_code
        self._forbidden_code = forbidden_code
        self._resource_metadata = resource_metadata
        self._kept: dict[tuple[str, tuple[str, ...]], Refusal] = {}
        malformed = self._challenge("invalid_request")
        invalid = self._challenge("invalid_token")
        self._by_reason: dict[str, Refusal] = {}
        for wrong, detail in _MALFORMED_DETAILS.items():
            self._by_reason[wrong] = _refusal(400, wrong, detail, malformed, close_code)
        self._by_reason[NoToken.TICKET] = _refusal(
            401, NoToken.TICKET, "The ticket is not valid.", self._challenge(), close_code
        )
        for reason in Reason:
            detail = _TOKEN_DETAILS.get(reason, _INVALID)
            self._by_reason[reason] = _refusal(401, reason, detail, invalid, close_code)
        self.origin = Refusal(
            403, ORIGIN, detail="A page of this origin cannot act with the cookie.", close_code=forbidden_code
        )
        self.timeout = _refusal(401, TIMEOUT, "No token came in time.", self._challenge(), timeout_code)
        self.unavailable = _unavailable("authentication_unavailable", _RETRY_AFTER, close_code=_INTERNAL_CLOSE_CODE)
        self.crowded = _unavailable("too_many_unauthenticated", _RETRY_AFTER)

    def for_token(self, reason: Reason | NoToken) -> Refusal:
        """Give the refusal for a token that is malformed or not valid."""
        return self._by_reason[reason]

    def for_error(self, error: TokenError | Unavailable) -> Refusal:
        """Give the refusal for what the verifier raised."""
        if isinstance(error, TokenError):
            return self._by_reason[error.reason]
        return self._keep((error.reason, (str(error.retry_after),)), None)

    def missing(self, reason: NoToken, demand: Demand) -> Refusal:
        """Give the refusal where no token came, with all scopes that one would need."""
        return self._keep((reason, demand.scopes), None)

    def lacking(self, reason: str, demand: Demand) -> Refusal:
        """Give the refusal for a good token that does not grant what is demanded."""
        return self._keep((reason, demand.scopes if reason == SCOPE else ()), "insufficient_scope")

    def _keep(self, key: tuple[str, tuple[str, ...]], error: str | None) -> Refusal:
        refusal = self._kept.get(key)
        if refusal is None:
            refusal = self._make(*key, error)
            if len(self._kept) < _KEPT_SETS:
                self._kept[key] = refusal
        return refusal

    def _make(self, reason: str, words: tuple[str, ...], error: str | None) -> Refusal:
        if reason in _LACKING:
            return _refusal(403, reason, _LACKING[reason], self._challenge(error, words), self._forbidden_code)
        if reason in _ABSENT:
            return _refusal(401, reason, _WANTED, self._challenge(None, words), self._close_code)
        return _unavailable(reason, int(words[0]))

    def _challenge(self, error: str | None = None, scopes: tuple[str, ...] = ()) -> bytes:
        return challenge(self._realm, error=error, scopes=scopes, resource_metadata=self._resource_metadata)


def _unavailable(reason: str, retry_after: int, *, close_code: int = _TRY_AGAIN_CLOSE_CODE) -> Refusal:
    return Refusal(
        503,
        reason,
        detail="The access token could not be checked at the moment.",
        headers=[(b"retry-after", b"%d" % retry_after)],
        close_code=close_code,
    )


def _refusal(status: int, reason: str, detail: str, value: bytes, close_code: int) -> Refusal:
    return Refusal(status, str(reason), detail=detail, headers=[(b"www-authenticate", value)], close_code=close_code)
