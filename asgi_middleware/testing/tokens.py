"""TokenIssuer: signed tokens for tests, good and bad, without an identity provider."""

from __future__ import annotations

import hmac
import json
import secrets
import time
from collections.abc import Callable
from typing import Any, Final

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.utils import base64url_encode

from asgi_middleware._core.types import ASGIApp

_HMAC_BYTES: Final = {"HS256": 32, "HS384": 48, "HS512": 64}
_CURVES: Final[dict[str, Callable[[], ec.EllipticCurve]]] = {
    "ES256": ec.SECP256R1,
    "ES384": ec.SECP384R1,
    "ES512": ec.SECP521R1,
}
_RSA: Final = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")
_ALGORITHMS: Final = (*_HMAC_BYTES, *_RSA, *_CURVES, "EdDSA")


class TokenIssuer:
    """Issues tokens that a verifier made from :attr:`options` accepts, and variants that it must refuse.

    Its keys live in memory only, and are made at random for each instance unless one is given, such as the one in the
    settings of the app under test. For tests: it signs whatever it is asked to.

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
        kid: The ``kid`` header; None for none. :meth:`rotate` counts on: ``"1"``, ``"2"``, ..., from a
            number that is given here.
        key: What to sign with, until :meth:`rotate`: the secret, or the private key as PEM text; None for a random one.

    Attributes:
        key: What its tokens are verified with now: the secret, or the public key as PEM text.
        published: How often its key set was read, by :meth:`endpoint` or :meth:`fetch`.

    Raises:
        ValueError: The algorithm is not one of those above, or the key is none to sign with by it.
    """

    def __init__(
        self,
        algorithm: str = "HS256",
        *,
        issuer: str | None = "https://issuer.example",
        audience: str | None = "https://api.example",
        lifetime: int = 3600,
        kid: str | None = None,
        key: str | bytes | None = None,
    ) -> None:
        self.algorithm = algorithm
        self.issuer = issuer
        self.audience = audience
        self._lifetime = lifetime
        self._kid = kid
        self._rotations = int(kid) if kid is not None and kid.isdecimal() else 0
        self._older: list[dict[str, Any]] = []
        if algorithm not in _ALGORITHMS:
            raise ValueError(f"it cannot sign by {algorithm!r}, only by {', '.join(_ALGORITHMS)}")
        self._signing_key = _new_key(algorithm) if key is None else _given_key(algorithm, key)
        self.key: bytes | str = _verification_key(self._signing_key)
        self.published = 0

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

    @property
    def jwks(self) -> dict[str, Any]:
        """The key set that it publishes: the key that it signs with, and the older ones that it kept.

        Raises:
            ValueError: It signs with a secret, which is not to be published.
        """
        if self.algorithm in _HMAC_BYTES:
            raise ValueError("a secret is not published")
        return {"keys": [self._jwk(), *self._older]}

    @property
    def metadata(self) -> dict[str, Any]:
        """What it says of itself, as OpenID Connect Discovery and RFC 8414 have it."""
        return {
            "issuer": self.issuer,
            "jwks_uri": f"{self.issuer}/jwks.json",
            "id_token_signing_alg_values_supported": [self.algorithm],
        }

    def rotate(self, *, keep: bool = True) -> None:
        """Sign with a new key from here on, under the next ``kid``.

        Where old tokens should stay good, the issuer needs a `kid` from the start: among several keys, a token without
        one means none.

        Args:
            keep: Go on publishing the old key, as providers do until its last token has expired. Without, the tokens
                that were signed with it are void.
        """
        self._older = [self._jwk(), *self._older] if keep and self.algorithm not in _HMAC_BYTES else []
        self._rotations += 1
        self._kid = str(self._rotations)
        self._signing_key = _new_key(self.algorithm)
        self.key = _verification_key(self._signing_key)

    @property
    def endpoint(self) -> ASGIApp:
        """An ASGI app that publishes metadata and keys, to be served on loopback or mounted in a test.

        It answers below any path: ``/jwks.json``, ``/.well-known/openid-configuration`` and
        ``/.well-known/oauth-authorization-server``. It is a plain function, since uvicorn takes a bound method for an
        app of ASGI 2.
        """

        async def publish(scope: Any, receive: Any, send: Any) -> None:  # noqa: ARG001 -- ASGI's signature
            if scope["type"] != "http":
                return
            document = self._document(scope["path"])
            status, body = (404, b"{}") if document is None else (200, json.dumps(document).encode())
            headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
            await send({"type": "http.response.start", "status": status, "headers": headers})
            await send({"type": "http.response.body", "body": body, "more_body": False})

        return publish

    async def fetch(self, url: str) -> dict[str, Any]:
        """Be the ``fetch`` function of a ``KeySet``: the same documents, without a network.

        ::

            from asgi_middleware.auth import KeySet
            from asgi_middleware.testing.tokens import TokenIssuer

            issuer = TokenIssuer("RS256")
            keys = KeySet(discover=issuer.issuer, fetch=issuer.fetch)

        Raises:
            LookupError: There is no such document.
        """
        document = self._document(url)
        if document is None:
            raise LookupError("no such document")
        return document

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
        header = {} if self._kid is None else {"kid": self._kid}
        return self._sign(header, self.claims(**claims), _new_key(self.algorithm))

    def confused(self, **claims: Any) -> str:
        """Give a token signed by HMAC with the public key as its secret, which a careless verifier takes for good.

        Raises:
            ValueError: It signs with a secret itself.
        """
        if isinstance(self.key, bytes):
            raise ValueError("a secret is not public")  # noqa: TRY004 -- it is the algorithm that is wrong
        header, payload = ({"alg": "HS256", "typ": "JWT"}, self.claims(**claims))
        text = b".".join(base64url_encode(json.dumps(part).encode()) for part in (header, payload))
        return b".".join((text, base64url_encode(hmac.digest(self.key.encode(), text, "sha256")))).decode("ascii")

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

    def _jwk(self) -> dict[str, Any]:
        jwk: dict[str, Any] = jwt.get_algorithm_by_name(self.algorithm).to_jwk(
            self._signing_key.public_key(), as_dict=True
        )
        # PyJWT writes key_ops, and only some of its algorithms do; what providers write is "use".
        jwk.pop("key_ops", None)
        named = {} if self._kid is None else {"kid": self._kid}
        return {**jwk, **named, "use": "sig", "alg": self.algorithm}

    def _document(self, location: str) -> dict[str, Any] | None:
        if location.endswith("/jwks.json"):
            self.published += 1
            return self.jwks
        if "/.well-known/openid-configuration" in location or "/.well-known/oauth-authorization-server" in location:
            return self.metadata
        return None

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
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def _given_key(algorithm: str, key: str | bytes) -> Any:
    if algorithm in _HMAC_BYTES:
        return key.encode() if isinstance(key, str) else key
    try:
        found = jwt.get_algorithm_by_name(algorithm).prepare_key(key)
    except (ValueError, TypeError, jwt.InvalidKeyError) as error:
        raise ValueError(f"the key is no private key for {algorithm!r}") from error
    if not hasattr(found, "private_bytes"):
        raise ValueError(f"the key is no private key for {algorithm!r}: it is the public one")
    return found


def _verification_key(key: Any) -> bytes | str:
    if isinstance(key, bytes):
        return key
    pem: bytes = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return pem.decode("ascii")
