"""Why a token is refused: a fixed list of words, so that nothing of the token can travel with the refusal."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal


class Reason(StrEnum):
    """The stable machine-readable reasons of :class:`TokenError`."""

    MALFORMED = "token_malformed"
    """Not three parts of canonical base64url with a JSON object as header, such as an opaque token."""
    TOO_LARGE = "token_too_large"
    """Longer than `max_token_size`."""
    ENCRYPTED = "token_encrypted"
    """Five parts: an encrypted token (RFC 7516)."""
    HEADER = "header_not_allowed"
    """The header has ``crit`` or ``b64``, or a ``kid`` that is no text or too long."""
    ALGORITHM = "algorithm_not_allowed"
    """The header's ``alg`` is not among the algorithms."""
    TYPE = "type_not_allowed"
    """The header's ``typ`` is another kind of token's."""
    KEY = "key_unknown"
    """No key that is known fits the header."""
    SIGNATURE = "signature_invalid"
    """The signature is not good."""
    CLAIMS = "claims_malformed"
    """The payload is no plain JSON object in UTF-8."""
    MISSING = "claim_missing"
    """A claim that is needed is not there; ``exp`` always is."""
    INVALID = "claim_invalid"
    """A claim is of the wrong kind: a date that is no number of seconds, a subject that is no text."""
    ISSUER = "issuer_not_allowed"
    """The ``iss`` is not an expected one."""
    AUDIENCE = "audience_not_allowed"
    """The ``aud`` does not name this service, or is there where `audience` is None."""
    NOT_YET_VALID = "token_not_yet_valid"
    """The ``nbf`` or the ``iat`` lies in the future, beyond the leeway."""
    TOO_OLD = "token_too_old"
    """The ``iat`` is longer ago than `max_age`."""
    LIFETIME = "lifetime_too_long"
    """More than `max_lifetime` lies between ``iat`` and ``exp``."""
    EXPIRED = "token_expired"
    """The ``exp`` has passed, leeway included."""
    REJECTED = "claims_rejected"
    """A validator did not say True."""
    REVOKED = "token_revoked"
    """The revocation store knows it."""
    SUBJECT = "subject_changed"
    """A newer token for a WebSocket is not of the same issuer and subject."""
    SCOPE = "insufficient_scope"
    """A newer token for a WebSocket grants less than the path asks for."""


class TokenError(Exception):
    """A token was refused.

    The text of this exception is its reason and nothing else. It can be logged: it never holds a part of the token, of
    a key or of another exception.

    Attributes:
        reason: One of the :class:`Reason` words, equal to the plain string.
    """

    def __init__(self, reason: Reason) -> None:
        """Refuse for `reason`."""
        super().__init__(str(reason))
        self.reason = reason

    def __reduce__(self) -> tuple[type[TokenError], tuple[Reason]]:
        """Rebuild from the reason, so that the error crosses process borders."""
        return (type(self), (self.reason,))


class Unavailable(Exception):  # noqa: N818 -- a state of the provider or the store, not a fault of the token
    """Nothing can be said of the token at the moment: no key can be had, or the revocation store does not answer.

    To be answered with 503, not 401: a client that is told that its token is bad throws it away. The text is the reason
    and nothing else.

    Attributes:
        reason: ``"keys_unavailable"`` or ``"revocation_unavailable"``.
        retry_after: Whole seconds after which asking again makes sense, at least 1.
    """

    def __init__(self, reason: Literal["keys_unavailable", "revocation_unavailable"], retry_after: float = 1) -> None:
        """Name what is missing and for how long."""
        super().__init__(reason)
        self.reason = reason
        self.retry_after = max(1, -int(-retry_after // 1))

    def __reduce__(self) -> tuple[type[Unavailable], tuple[str, int]]:
        """Rebuild from reason and time, so that the error crosses process borders."""
        return (type(self), (self.reason, self.retry_after))
