"""The key and its algorithms, checked and prepared once (RFC 7518, RFC 8725 3.1-3.5, RFC 8037, RFC 9864).

Facts this module rests on:

- The algorithm belongs to the key, not to the token (RFC 8725 3.1). So the allowed names come from the options and each
  is bound here to a key that was prepared for it; the header of a token only picks one of them.
- An HMAC secret is any bytes, also a public key's. One key must therefore never serve HS* and an asymmetric algorithm.
- HMAC secrets need at least the length of the hash (RFC 7518 3.2), RSA keys at least 2048 bits (RFC 7518 3.3).
- A service that only verifies has no use for a private key, and one that leaks from it forges every token.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from jwt import PyJWK, get_algorithm_by_name
from jwt.algorithms import Algorithm

from asgi_middleware._core.config import Problems
from asgi_middleware.auth.base64url import decode, encode

SYMMETRIC: Final = frozenset({"HS256", "HS384", "HS512"})
ASYMMETRIC: Final = frozenset(
    {"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519"}
)
SUPPORTED: Final = SYMMETRIC | ASYMMETRIC
# RFC 9864 gives EdDSA with Curve25519 a name of its own. PyJWT knows the older name for both curves.
_PYJWT_NAMES: Final = {"Ed25519": "EdDSA"}
_HIDDEN: Final = "<key>"


class VerificationKey:
    """A key prepared for one algorithm.

    Attributes:
        algorithm: The algorithm's name, as it stands in ``alg``.
        check: Tells whether a signature, as it stands in the token, is good for the signed bytes. Raises nothing.
    """

    __slots__ = ("algorithm", "check")

    def __init__(self, algorithm: str, check: Callable[[bytes, bytes], bool]) -> None:
        """Bind the name to its check."""
        self.algorithm = algorithm
        self.check = check

    def __repr__(self) -> str:
        """Show the algorithm, never the key."""
        return f"VerificationKey({self.algorithm!r})"


def check_algorithms(algorithms: object, problems: Problems) -> tuple[str, ...]:
    """Give the names of the allowed algorithms, empty where they are wrong.

    ``none`` is refused in every letter case (RFC 8725 3.2), unknown names, and HS* beside an asymmetric algorithm.
    """
    if isinstance(algorithms, Iterable) and not isinstance(algorithms, str | bytes):
        algorithms = tuple(algorithms)
    if algorithms is None or algorithms == ():
        problems.add(
            "algorithms",
            algorithms,
            "names no algorithm, and a token must not choose its own",
            fix='name what the issuer signs with, for example algorithms=["RS256"] (RFC 8725 3.1)',
            code="algorithms_missing",
        )
    names = tuple(dict.fromkeys(problems.strings("algorithms", () if algorithms is None else algorithms)))
    usable = True
    for name in names:
        if name.lower() == "none":
            problems.add(
                "algorithms",
                name,
                "accepts tokens that nobody signed",
                fix="name the algorithm that the issuer signs with (RFC 8725 3.2)",
                code="algorithm_none",
            )
            usable = False
        elif name not in SUPPORTED:
            problems.add(
                "algorithms",
                name,
                "is not a supported algorithm",
                fix=f"use one of {', '.join(sorted(SUPPORTED))}",
                code="unknown_algorithm",
            )
            usable = False
    if usable and not (SYMMETRIC.isdisjoint(names) or ASYMMETRIC.isdisjoint(names)):
        problems.add(
            "algorithms",
            list(names),
            "mixes HMAC with public-key algorithms, so that the public key could pass for the HMAC secret",
            fix="name algorithms of one family (RFC 8725 3.1)",
            code="mixed_algorithms",
        )
        usable = False
    return names if usable else ()


def prepare_keys(key: object, names: tuple[str, ...], problems: Problems) -> dict[str, VerificationKey]:
    """Bind each algorithm's name to `key`, prepared for it; problems name the algorithm and never show the key.

    Args:
        key: An HMAC secret (bytes or str), a public key as PEM or OpenSSH text, a public key object of `cryptography`,
            a JWK as a mapping, or a ``jwt.PyJWK``.
        names: Supported algorithm names, as :func:`check_algorithms` gives them.
        problems: Where wrong keys are noted.
    """
    if key is None:
        _refuse(
            problems, "is missing", "pass the secret or the public key that tokens are verified with", "key_missing"
        )
        return {}
    prepared: dict[str, VerificationKey] = {}
    for name in names:
        algorithm = get_algorithm_by_name(_PYJWT_NAMES.get(name, name))
        found = _prepare(key, name, algorithm, problems)
        if found is not None and _check_strength(name, algorithm, found, problems):
            check = _hmac_check(name, found) if name in SYMMETRIC else _signature_check(algorithm, found)
            prepared[name] = VerificationKey(name, check)
    return prepared


def _hmac_check(name: str, secret: bytes) -> Callable[[bytes, bytes], bool]:
    """Compare in base64url: that takes one spelling of the signature only, and needs no decoding of what came."""
    copy = hmac.new(secret, digestmod=f"sha{name.removeprefix('HS')}").copy

    def check(signed: bytes, signature: bytes) -> bool:
        state = copy()  # with the key's two blocks hashed already; a good third faster than hmac.digest
        state.update(signed)
        return hmac.compare_digest(encode(state.digest()), signature)

    return check


def _signature_check(algorithm: Algorithm, key: Any) -> Callable[[bytes, bytes], bool]:
    verify = algorithm.verify

    def check(signed: bytes, signature: bytes) -> bool:
        try:
            decoded = decode(signature)
            return decoded is not None and verify(signed, key, decoded) is True
        # Whatever a cryptographic library raises for these bytes, they are no signature.
        except Exception:  # noqa: BLE001
            return False

    return check


def _prepare(key: object, name: str, algorithm: Algorithm, problems: Problems) -> Any:
    fits = True
    if isinstance(key, Mapping):
        fits = _check_jwk(key, name, problems)
    elif isinstance(key, PyJWK):
        fits = _check_pyjwk(key, name, problems)
    if not fits:
        return None
    try:
        if isinstance(key, Mapping):
            material: Any = algorithm.from_jwk(dict(key))
        elif isinstance(key, PyJWK):
            material = key.key
        else:
            material = key
        found = algorithm.prepare_key(material)
    # Whatever a loader raises says that this is no key for the algorithm; its text may quote the key.
    except Exception:  # noqa: BLE001
        found = None
    if found is None or (
        name == "Ed25519" and hasattr(found, "public_bytes") and not isinstance(found, Ed25519PublicKey)
    ):
        _refuse(problems, f"is not a key for {name}", _fitting(name), "key_does_not_fit")
        return None
    if hasattr(found, "public_key"):
        _refuse(
            problems,
            "is a private key, which a service that only verifies must not hold",
            "pass the public key: private_key.public_key(), or its PEM",
            "private_key",
        )
        return None
    return found


def _check_jwk(key: Mapping[Any, Any], name: str, problems: Problems) -> bool:
    """Check what a JWK says of its own use (RFC 7517 4.2-4.4)."""
    operations = key.get("key_ops")
    if key.get("use", "sig") != "sig" or (
        operations is not None and not (isinstance(operations, list | tuple) and "verify" in operations)
    ):
        _refuse(
            problems,
            "is a JWK that is not meant for verifying signatures",
            'use the JWK with use "sig", or with "verify" among its key_ops (RFC 7517 4.2, 4.3)',
            "key_use",
        )
        return False
    if key.get("alg", name) != name:
        _refuse(
            problems,
            f"is a JWK that names another algorithm than {name}",
            "name the JWK's own alg in algorithms, and no other (RFC 7517 4.4)",
            "key_algorithm",
        )
        return False
    return True


def _check_pyjwk(key: PyJWK, name: str, problems: Problems) -> bool:
    if key.public_key_use not in {None, "sig"} or _PYJWT_NAMES.get(name, name) != key.algorithm_name:
        _refuse(
            problems,
            f"is a PyJWK that is not bound to {name}",
            "pass the JWK itself as a dict, or make the PyJWK with algorithm=...",
            "key_algorithm",
        )
        return False
    return True


def _check_strength(name: str, algorithm: Algorithm, key: Any, problems: Problems) -> bool:
    if algorithm.check_key_length(key) is None:
        return True
    if name in SYMMETRIC:
        size = int(name.removeprefix("HS")) // 8
        _refuse(
            problems,
            f"is too short for {name}",
            f"use {size} random bytes or more, for example secrets.token_bytes({size}) (RFC 7518 3.2)",
            "weak_key",
        )
    else:
        _refuse(problems, f"is too short for {name}", "use an RSA key of 2048 bits or more (RFC 7518 3.3)", "weak_key")
    return False


def _fitting(name: str) -> str:
    if name in SYMMETRIC:
        return "pass a random secret as bytes or str; a public key is not a secret"
    kind = {"RS": "an RSA", "PS": "an RSA", "ES": "an EC", "Ed": "an Ed25519"}[name[:2]]
    curve = {"ES256": " on curve P-256", "ES384": " on curve P-384", "ES512": " on curve P-521"}.get(name, "")
    return f"pass {kind} public key{curve} as PEM text, as a cryptography object or as a JWK dict"


def _refuse(problems: Problems, message: str, fix: str, code: str) -> None:
    problems.add("key", _HIDDEN, message, fix=fix, code=code)
