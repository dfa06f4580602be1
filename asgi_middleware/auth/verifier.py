"""TokenVerifier: whether this is a token of ours, now (RFC 7515, RFC 7519, RFC 8725).

Facts this module rests on:

- Signing algorithms and keys come from PyJWT's public ``Algorithm`` objects. What surrounds them (splitting, base64url,
  JSON, claims) is done here: strictly, and once per key instead of once per token where it is constant.
- Nothing is believed before the signature holds. The header is read for one thing only, to find the key among those
  prepared at construction; ``jku``, ``x5u``, ``jwk`` and ``x5c`` are never followed (RFC 8725 3.10).
- A header is remembered only after a signature over it was good. So the memory cannot be filled or flushed by
  strangers.
- An expiry in exactly this second, leeway included, is over (RFC 7519 4.1.4).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from asgi_middleware._core.config import Problems
from asgi_middleware.auth.base64url import decode
from asgi_middleware.auth.claims import UNSET, ClaimRules, Unset, VerifiedToken
from asgi_middleware.auth.errors import Reason, TokenError
from asgi_middleware.auth.json_strict import parse_object
from asgi_middleware.auth.keys import VerificationKey, check_algorithms, prepare_keys

DEFAULT_LEEWAY: Final = 30
DEFAULT_MAX_TOKEN_SIZE: Final = 8192
_REMEMBERED_HEADERS: Final = 64
_LONGEST_KEY_ID: Final = 128
_JWS_PARTS: Final = 3
_JWE_PARTS: Final = 5


class _Header(NamedTuple):
    key: VerificationKey
    members: Mapping[str, Any]


class TokenVerifier:
    """Verifies JSON Web Tokens against one key, strictly and fast. Needs no ASGI.

    It is stricter than most: a token without ``exp`` is refused, and so are text where a date must be a number, equal
    member names, padding, an unknown ``typ`` and every ``crit``. See ``docs/auth.md`` for the list.

    Immutable and safe to share between threads::

        from asgi_middleware.auth import TokenError, TokenVerifier

        verifier = TokenVerifier(key=b"k" * 32, algorithms=["HS256"], audience="https://api.example")
        try:
            token = verifier.verify(b"not.a.token")
        except TokenError as error:
            assert error.reason == "token_malformed"

    Args:
        key: What tokens are verified with: an HMAC secret (bytes or str), a public key as PEM or OpenSSH text, a public
            key object of `cryptography`, a JWK as a dict, or a ``jwt.PyJWK``.
        algorithms: The names that the issuer signs with, one family, no default (RFC 8725 3.1): HS256, HS384, HS512,
            RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, ES512, EdDSA, Ed25519.
        audience: This service's name or names; the token must be meant for one of them. None says that this service has
            none: then a token that carries ``aud`` is refused, because it was made for someone else (RFC 7519 4.1.3).
        issuer: The expected ``iss``, or several; None (the default) accepts any, since the key already names the
            issuer.
        leeway: Seconds of clock difference allowed for ``exp``, ``nbf`` and ``iat``, 0 to 300. 30 covers clocks that
            are kept by NTP and gives an attacker half a minute.
        require: Claims that must be there beside ``exp``, which always must.
        types: Accepted ``typ`` header values, compared without regard to case and to a leading ``application/``. A
            token without ``typ`` is accepted. Keeps other kinds of JWT out, such as DPoP proofs (RFC 8725 3.11).
        max_age: Seconds after ``iat`` at which a token is too old, whatever its ``exp`` says; None for no such limit.
        max_token_size: Bytes, 256 to 1048576. Longer tokens are refused before anything is decoded. 8192 is what
            servers take for a whole header line.
        clock: Gives the current time in seconds since 1970; for tests.

    Raises:
        ConfigurationError: Options are wrong; all of them are listed.
    """

    __slots__ = ("_claims", "_clock", "_keys", "_max_token_size", "_remembered", "_types")

    def __init__(
        self,
        *,
        key: Any = None,
        algorithms: Iterable[str] | None = None,
        audience: str | Iterable[str] | Unset | None = UNSET,
        issuer: str | Iterable[str] | None = None,
        leeway: float = DEFAULT_LEEWAY,
        require: Iterable[str] = (),
        types: Iterable[str] = ("JWT", "at+jwt"),
        max_age: float | None = None,
        max_token_size: int = DEFAULT_MAX_TOKEN_SIZE,
        clock: Callable[[], float] = time.time,
    ) -> None:
        problems = Problems("TokenVerifier")
        self._keys = prepare_keys(key, check_algorithms(algorithms, problems), problems)
        self._claims = ClaimRules(
            audience=audience, issuer=issuer, leeway=leeway, require=require, max_age=max_age, problems=problems
        )
        self._types = frozenset(_media_type(name) for name in problems.strings("types", types))
        problems.integer("max_token_size", max_token_size, minimum=256, maximum=1024 * 1024)
        problems.callable("clock", clock)
        problems.raise_if_any()
        self._max_token_size = max_token_size
        self._clock = clock
        self._remembered: dict[bytes, _Header] = {}

    def __repr__(self) -> str:
        """Show the algorithms, never the key."""
        return f"TokenVerifier(algorithms={list(self._keys)!r})"

    @property
    def max_token_size(self) -> int:
        """The length in bytes above which tokens are refused unread."""
        return self._max_token_size

    def verify(self, token: bytes | str) -> VerifiedToken:
        """Give the verified token.

        Args:
            token: The compact serialization, as it came.

        Raises:
            TokenError: The token is refused, with one of the :class:`Reason` words. No other exception is raised for
            any
                input.
        """
        if not isinstance(token, bytes):
            token = _as_bytes(token)
        if len(token) > self._max_token_size:
            raise TokenError(Reason.TOO_LARGE)
        parts = token.split(b".", _JWE_PARTS)
        if len(parts) != _JWS_PARTS:
            raise TokenError(Reason.ENCRYPTED if len(parts) == _JWE_PARTS else Reason.MALFORMED)
        header_part, payload_part, signature_part = parts
        remembered = self._remembered.get(header_part)
        header = self._read_header(header_part) if remembered is None else remembered
        signature = decode(signature_part)
        if signature is None:
            raise TokenError(Reason.MALFORMED)
        if not _is_signed(header.key, token[: -len(signature_part) - 1], signature):
            raise TokenError(Reason.SIGNATURE)
        if remembered is None:
            self._remember(header_part, header)
        payload = decode(payload_part)
        claims = None if payload is None else parse_object(payload)
        if claims is None:
            raise TokenError(Reason.CLAIMS)
        reason = self._claims.check(claims, self._clock())
        if reason is not None:
            raise TokenError(reason)
        return VerifiedToken(MappingProxyType(claims), header.members)

    def _read_header(self, part: bytes) -> _Header:
        data = decode(part)
        header = None if data is None else parse_object(data)
        if header is None:
            raise TokenError(Reason.MALFORMED)
        # An extension that must be understood, and an unencoded payload, are not (RFC 7515 4.1.11, RFC 7797).
        if "crit" in header or "b64" in header:
            raise TokenError(Reason.HEADER)
        key_id = header.get("kid", "")
        if type(key_id) is not str or len(key_id) > _LONGEST_KEY_ID:
            raise TokenError(Reason.HEADER)
        algorithm = header.get("alg")
        key = self._keys.get(algorithm) if type(algorithm) is str else None
        if key is None:
            raise TokenError(Reason.ALGORITHM)
        if "typ" in header:
            kind = header["typ"]
            if type(kind) is not str or _media_type(kind) not in self._types:
                raise TokenError(Reason.TYPE)
        return _Header(key, MappingProxyType(header))

    def _remember(self, part: bytes, header: _Header) -> None:
        # An issuer that writes something new into every header empties this each time; that costs speed, not memory.
        if len(self._remembered) >= _REMEMBERED_HEADERS:
            self._remembered.clear()
        self._remembered[part] = header


def _is_signed(key: VerificationKey, signed: bytes, signature: bytes) -> bool:
    try:
        return key.algorithm.verify(signed, key.key, signature) is True
    # Whatever a cryptographic library raises for these bytes, they are no signature.
    except Exception:  # noqa: BLE001
        return False


def _as_bytes(token: object) -> bytes:
    """Give the bytes of a token that came as text; a token is ASCII, so anything else is refused here."""
    if isinstance(token, str) and token.isascii():
        return token.encode("ascii")
    raise TokenError(Reason.MALFORMED)


def _media_type(name: str) -> str:
    """Give a ``typ`` in its short lower-case form: ``application/`` may be left out (RFC 7515 4.1.9)."""
    return name.lower().removeprefix("application/")
