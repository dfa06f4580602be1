"""The compact serialization: its three parts, the header's own rules, and the claims (RFC 7515 7.1, RFC 7519 7.2)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, Final

from asgi_middleware._core.config import Problems
from asgi_middleware.auth.base64url import decode
from asgi_middleware.auth.errors import Reason, TokenError
from asgi_middleware.auth.json_strict import parse_object
from asgi_middleware.auth.key_ring import LONGEST_KEY_ID, SignedHeader
from asgi_middleware.auth.keys import VerificationKey

_SIGNED_DOTS: Final = 2
_ENCRYPTED_DOTS: Final = 4
_NO_TYPE: Final = object()
_ACCESS_TYPE: Final = "at+jwt"  # RFC 9068 2.1


def as_bytes(token: object) -> bytes:
    """Give the bytes of a token that came as text; a token is ASCII, so anything else is refused here."""
    if isinstance(token, bytes):
        return bytes(token)
    if isinstance(token, str) and token.isascii():
        return token.encode("ascii")
    raise TokenError(Reason.MALFORMED)


def check_parts(token: bytes) -> None:
    """Refuse what has not three parts; five are an encrypted token."""
    dots = token.count(b".")
    if dots != _SIGNED_DOTS:
        raise TokenError(Reason.ENCRYPTED if dots == _ENCRYPTED_DOTS else Reason.MALFORMED)


def first_good(
    keys: list[VerificationKey], members: Mapping[str, Any], signed: bytes, signature: bytes
) -> SignedHeader:
    """Give the header with the first of the keys that the signature is good for."""
    for key in keys:
        if key.check(signed, signature):
            return SignedHeader(key, members)
    raise TokenError(why(signature))


def why(signature: bytes) -> Reason:
    """Give the reason for which a signature is not good."""
    return Reason.MALFORMED if decode(signature) is None else Reason.SIGNATURE


def read_claims(part: bytes) -> dict[str, Any]:
    """Give the claims that a payload holds."""
    data = decode(part)
    claims = None if data is None else parse_object(data)
    if claims is None:
        raise TokenError(Reason.CLAIMS)
    return claims


class HeaderRules:
    """What a header must say, whatever its key; immutable. The options are those of ``TokenVerifier``."""

    __slots__ = ("_type_needed", "_types")

    def __init__(self, types: Iterable[str], *, access_token: bool, problems: Problems) -> None:
        """Check the options, noting what is wrong in `problems`."""
        accepted = {media_type(name) for name in problems.strings("types", types)}
        self._types = frozenset({_ACCESS_TYPE} if access_token else accepted)
        self._type_needed = access_token

    def read(self, part: bytes) -> Mapping[str, Any]:
        """Give the members of a header that no signature was found over yet.

        Raises:
            TokenError: It is none, or not an allowed one.
        """
        data = decode(part)
        header = None if data is None else parse_object(data)
        if header is None:
            raise TokenError(Reason.MALFORMED)
        # An extension that must be understood, and an unencoded payload, are not (RFC 7515 4.1.11, RFC 7797).
        if "crit" in header or "b64" in header:
            raise TokenError(Reason.HEADER)
        key_id = header.get("kid", "")
        if type(key_id) is not str or len(key_id) > LONGEST_KEY_ID:
            raise TokenError(Reason.HEADER)
        if type(header.get("alg")) is not str:
            raise TokenError(Reason.ALGORITHM)
        kind = header.get("typ", "" if self._type_needed else _NO_TYPE)
        if kind is not _NO_TYPE and (type(kind) is not str or media_type(kind) not in self._types):
            raise TokenError(Reason.TYPE)
        return MappingProxyType(header)


def media_type(name: str) -> str:
    """Give a ``typ`` in its short lower-case form: ``application/`` may be left out (RFC 7515 4.1.9)."""
    return name.lower().removeprefix("application/")
