"""TokenIssuer: signed tokens for tests, good and bad, without an identity provider."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from typing import Any, Final

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.utils import base64url_encode

_HMAC_BYTES: Final = {"HS256": 32, "HS384": 48, "HS512": 64}
_CURVES: Final[dict[str, Callable[[], ec.EllipticCurve]]] = {
    "ES256": ec.SECP256R1,
    "ES384": ec.SECP384R1,
    "ES512": ec.SECP521R1,
}


class TokenIssuer:
    """Issues tokens that a verifier made from :attr:`options` accepts, and variants that it must refuse.

    Its keys are made at random for each instance and live in memory only. For tests: it signs whatever it is asked to.

    ::

        from asgi_middleware.auth import JWTAuthMiddleware
        from asgi_middleware.testing.tokens import TokenIssuer


        async def app(scope, receive, send): ...


        issuer = TokenIssuer(audience="https://api.example")
        guarded = JWTAuthMiddleware(app, **issuer.options)
        headers = {"authorization": f"Bearer {issuer.token(sub='alice', scope='read')}"}

    Args:
        algorithm: What to sign with: HS256 (the default, and by far the fastest), HS384, HS512, RS256 to RS512, PS256
            to PS512, ES256, ES384, ES512, EdDSA.
        issuer: The ``iss`` of its tokens; None for none.
        audience: The ``aud`` of its tokens; None for none.
        lifetime: Seconds between ``iat`` and ``exp``. An hour outlasts a test run that made its tokens at the start.
        kid: The ``kid`` header; None for none.

    Attributes:
        key: What its tokens are verified with: the secret, or the public key as PEM text.

    Raises:
        ValueError: The algorithm is not one of those above.
    """

    def __init__(
        self,
        algorithm: str = "HS256",
        *,
        issuer: str | None = "https://issuer.example",
        audience: str | None = "https://api.example",
        lifetime: int = 3600,
        kid: str | None = None,
    ) -> None:
        self.algorithm = algorithm
        self.issuer = issuer
        self.audience = audience
        self._lifetime = lifetime
        self._kid = kid
        self._signing_key = _new_key(algorithm)
        self.key: bytes | str = _verification_key(self._signing_key)

    def __repr__(self) -> str:
        """Show what it signs with, never the key."""
        return f"TokenIssuer({self.algorithm!r})"

    @property
    def options(self) -> dict[str, Any]:
        """The options of ``JWTAuthMiddleware`` and ``TokenVerifier`` that accept its tokens."""
        return {
            "key": self.key,
            "algorithms": [self.algorithm],
            "audience": self.audience,
            "issuer": self.issuer,
        }

    def token(self, *, headers: dict[str, Any] | None = None, **claims: Any) -> str:
        """Give a signed token.

        Args:
            headers: Header members to add or replace; the value None leaves one out.
            **claims: Claims to add or replace (``iss``, ``aud``, ``sub``, ``iat`` and ``exp`` have values already); the
                value None leaves one out.
        """
        header = {} if self._kid is None else {"kid": self._kid}
        return self._sign({**header, **(headers or {})}, self.claims(**claims), self._signing_key)

    def authorization(self, **claims: Any) -> tuple[bytes, bytes]:
        """Give a raw Authorization header: a (lower-case name, value) byte pair."""
        return (b"authorization", f"Bearer {self.token(**claims)}".encode("ascii"))

    def expired(self, **claims: Any) -> str:
        """Give a token that was good until ten minutes ago, further back than any leeway reaches."""
        now = int(time.time())
        return self.token(**{"iat": now - 1200, "exp": now - 600, **claims})

    def not_yet_valid(self, **claims: Any) -> str:
        """Give a token that will be good tomorrow, later than any leeway reaches."""
        now = int(time.time())
        return self.token(**{"nbf": now + 86_400, "exp": now + 90_000, **claims})

    def forged(self, **claims: Any) -> str:
        """Give a token that says all the right things, signed with somebody else's key."""
        return self._sign({}, self.claims(**claims), _new_key(self.algorithm))

    def unsigned(self, **claims: Any) -> str:
        """Give a token with ``alg: none`` and an empty signature."""
        return jwt.encode(self.claims(**claims), "", algorithm="none")

    def claims(self, **claims: Any) -> dict[str, Any]:
        """Give the claims that :meth:`token` signs."""
        now = int(time.time())
        own = {"iss": self.issuer, "aud": self.audience, "sub": "alice", "iat": now, "exp": now + self._lifetime}
        return {name: value for name, value in {**own, **claims}.items() if value is not None}

    def signed(self, header: bytes, payload: bytes) -> bytes:
        """Give a correctly signed token around any bytes, also such as are no header and no claims.

        Args:
            header: The header's bytes, before base64url.
            payload: The payload's bytes, before base64url.
        """
        text = base64url_encode(header) + b"." + base64url_encode(payload)
        algorithm = jwt.get_algorithm_by_name(self.algorithm)
        return text + b"." + base64url_encode(algorithm.sign(text, algorithm.prepare_key(self._signing_key)))

    def _sign(self, headers: dict[str, Any], claims: dict[str, Any], key: Any) -> str:
        header = {name: value for name, value in headers.items() if value is not None}
        if "typ" in headers and headers["typ"] is None:
            header["typ"] = ""  # PyJWT's way to leave it out
        return jwt.encode(claims, key, algorithm=self.algorithm, headers=header)


def _new_key(algorithm: str) -> Any:
    if algorithm in _HMAC_BYTES:
        return secrets.token_bytes(_HMAC_BYTES[algorithm])
    if algorithm in _CURVES:
        return ec.generate_private_key(_CURVES[algorithm]())
    if algorithm == "EdDSA":
        return ed25519.Ed25519PrivateKey.generate()
    if algorithm in {"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"}:
        return rsa.generate_private_key(public_exponent=65537, key_size=2048)
    raise ValueError(f"no key can be made for the algorithm {algorithm!r}")


def _verification_key(key: Any) -> bytes | str:
    if isinstance(key, bytes):
        return key
    pem: bytes = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return pem.decode("ascii")
