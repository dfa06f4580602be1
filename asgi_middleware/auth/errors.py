"""Why a token is refused: a fixed list of words, so that nothing of the token can travel with the refusal."""

from __future__ import annotations

from enum import StrEnum


class Reason(StrEnum):
    """The stable machine-readable reasons of :class:`TokenError`."""

    MALFORMED = "token_malformed"
    TOO_LARGE = "token_too_large"
    ENCRYPTED = "token_encrypted"
    HEADER = "header_not_allowed"
    ALGORITHM = "algorithm_not_allowed"
    TYPE = "type_not_allowed"
    SIGNATURE = "signature_invalid"
    CLAIMS = "claims_malformed"
    MISSING = "claim_missing"
    INVALID = "claim_invalid"
    ISSUER = "issuer_not_allowed"
    AUDIENCE = "audience_not_allowed"
    NOT_YET_VALID = "token_not_yet_valid"
    TOO_OLD = "token_too_old"
    EXPIRED = "token_expired"


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
