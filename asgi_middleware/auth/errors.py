"""Why a token is refused: a fixed list of words, so that nothing of the token can travel with the refusal."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal


class Reason(StrEnum):
    """The stable machine-readable reasons of :class:`TokenError`."""

    MALFORMED = "token_malformed"
    TOO_LARGE = "token_too_large"
    ENCRYPTED = "token_encrypted"
    HEADER = "header_not_allowed"
    ALGORITHM = "algorithm_not_allowed"
    TYPE = "type_not_allowed"
    KEY = "key_unknown"
    SIGNATURE = "signature_invalid"
    CLAIMS = "claims_malformed"
    MISSING = "claim_missing"
    INVALID = "claim_invalid"
    ISSUER = "issuer_not_allowed"
    AUDIENCE = "audience_not_allowed"
    NOT_YET_VALID = "token_not_yet_valid"
    TOO_OLD = "token_too_old"
    LIFETIME = "lifetime_too_long"
    EXPIRED = "token_expired"
    REJECTED = "claims_rejected"
    REVOKED = "token_revoked"
    SUBJECT = "subject_changed"
    SCOPE = "insufficient_scope"


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
