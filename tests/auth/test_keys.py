"""Keys and algorithms are checked when the verifier is made."""

import json

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from asgi_middleware._core.config import ConfigurationError
from asgi_middleware.auth import JWTAuthMiddleware, TokenVerifier
from asgi_middleware.testing.tokens import TokenIssuer

RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)
RSA_WEAK = rsa.generate_private_key(public_exponent=65537, key_size=1024)
P256 = ec.generate_private_key(ec.SECP256R1())
P384 = ec.generate_private_key(ec.SECP384R1())
ED25519 = ed25519.Ed25519PrivateKey.generate()
ED448 = ed448.Ed448PrivateKey.generate()


def public_pem(key):
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def private_pem(key):
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def jwk(key, algorithm, **members):
    return {**jwt.get_algorithm_by_name(algorithm).to_jwk(key, as_dict=True), **members}


def codes(**options):
    with pytest.raises(ConfigurationError) as caught:
        TokenVerifier(**{"audience": None, **options})
    return [problem.code for problem in caught.value.problems]


@pytest.mark.parametrize("algorithms", [None, (), [], iter(())])
def test_algorithms_are_mandatory(algorithms):
    """A verifier without algorithms is refused: the token must not choose."""
    assert codes(key=b"k" * 32, algorithms=algorithms) == ["algorithms_missing"]


@pytest.mark.parametrize("name", ["none", "None", "NONE", "nOnE"])
def test_none_is_refused_in_every_letter_case(name):
    """The algorithm `none` cannot be allowed."""
    assert codes(key=b"k" * 32, algorithms=["HS256", name]) == ["algorithm_none"]


@pytest.mark.parametrize("name", ["HS1", "hs256", "RS1", "ES256K", "ES521", "", "HS256 "])
def test_unknown_algorithms_are_refused(name):
    """A name that is not exactly a supported one is refused."""
    assert codes(key=b"k" * 32, algorithms=[name]) == ["unknown_algorithm"]


@pytest.mark.parametrize(
    ("given", "code"), [("HS256", "string_for_list"), ([b"HS256"], "not_a_string"), ([1], "not_a_string")]
)
def test_algorithms_are_a_list_of_names(given, code):
    """One string, bytes or a number is named as what it is."""
    assert code in codes(key=b"k" * 32, algorithms=given)


def test_hmac_beside_an_asymmetric_algorithm_is_refused():
    """One key for both families would let the public key pass for the HMAC secret."""
    assert codes(key=public_pem(RSA), algorithms=["RS256", "HS256"]) == ["mixed_algorithms"]


@pytest.mark.parametrize(
    "key",
    [
        public_pem(RSA),
        public_pem(RSA).decode(),
        b"\n " + public_pem(RSA),
        public_pem(RSA).replace(b"\n", b"\r\n"),
        public_pem(P256),
        private_pem(RSA),
        RSA.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
        RSA.public_key().public_bytes(Encoding.PEM, PublicFormat.PKCS1),
        RSA.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH),
        json.dumps(jwk(RSA.public_key(), "RS256")).encode(),
        json.dumps({"keys": [jwk(RSA.public_key(), "RS256")]}),
        jwk(RSA.public_key(), "RS256"),
        {"kty": "oct", "k": jwt.utils.base64url_encode(public_pem(RSA)).decode()},
        RSA.public_key(),
    ],
)
def test_a_public_key_is_no_hmac_secret_in_any_encoding(key):
    """PEM, DER, OpenSSH, JWK and key objects are refused as secrets."""
    assert codes(key=key, algorithms=["HS256"]) == ["key_does_not_fit"]


@pytest.mark.parametrize(("algorithm", "size"), [("HS256", 32), ("HS384", 48), ("HS512", 64)])
def test_hmac_secrets_have_at_least_the_length_of_the_hash(algorithm, size):
    """A secret one byte short is refused, the exact length is not (RFC 7518 3.2)."""
    assert codes(key=b"k" * (size - 1), algorithms=[algorithm]) == ["weak_key"]
    TokenVerifier(key=b"k" * size, algorithms=[algorithm], audience=None)


@pytest.mark.parametrize("algorithm", ["RS256", "PS512"])
def test_rsa_keys_have_at_least_2048_bits(algorithm):
    """A 1024-bit RSA key is refused (RFC 7518 3.3)."""
    assert codes(key=public_pem(RSA_WEAK), algorithms=[algorithm]) == ["weak_key"]


@pytest.mark.parametrize(
    ("key", "algorithm"),
    [
        (public_pem(P256), "RS256"),
        (public_pem(RSA), "ES256"),
        (public_pem(P384), "ES256"),
        (public_pem(P256), "ES384"),
        (jwk(P384.public_key(), "ES384"), "ES256"),
        (public_pem(RSA), "EdDSA"),
        (public_pem(ED25519), "RS256"),
        (public_pem(ED448), "Ed25519"),
        (b"no key at all", "RS256"),
        (b"\xff\xfe", "EdDSA"),
        ("", "HS256"),
        (12, "HS256"),
        (object(), "RS256"),
        ({"kty": "RSA"}, "RS256"),
        ({}, "RS256"),
        ({"kty": "oct", "k": 5}, "HS256"),
    ],
)
def test_the_key_must_fit_each_algorithm(key, algorithm):
    """Another kind, curve or no key at all is found at construction, and the message does not show it."""
    assert codes(key=key, algorithms=[algorithm]) == ["key_does_not_fit"]


@pytest.mark.parametrize(
    ("key", "algorithm"),
    [
        (private_pem(RSA), "RS256"),
        (RSA, "RS256"),
        (private_pem(P256), "ES256"),
        (private_pem(ED25519), "EdDSA"),
        (jwk(RSA, "RS256", key_ops=["verify"]), "RS256"),
    ],
)
def test_private_keys_are_refused(key, algorithm):
    """A service that only verifies must not hold the signing key."""
    assert codes(key=key, algorithms=[algorithm]) == ["private_key"]


@pytest.mark.parametrize(
    ("members", "code"),
    [
        ({"use": "enc"}, "key_use"),
        ({"key_ops": ["encrypt"]}, "key_use"),
        ({"key_ops": "verify"}, "key_use"),
        ({"key_ops": []}, "key_use"),
        ({"alg": "RS512"}, "key_algorithm"),
        ({"alg": None}, "key_algorithm"),
    ],
)
def test_a_jwk_says_what_it_is_for(members, code):
    """A JWK for encryption, or bound to another algorithm, is refused (RFC 7517 4.2-4.4)."""
    assert codes(key=jwk(RSA.public_key(), "RS256", **members), algorithms=["RS256"]) == [code]


def test_a_pyjwk_is_bound_to_its_algorithm():
    """A PyJWK works for the algorithm it was made for and no other."""
    key = jwt.PyJWK(jwk(RSA.public_key(), "RS256"))
    TokenVerifier(key=key, algorithms=["RS256"], audience=None)
    assert codes(key=key, algorithms=["PS256"]) == ["key_algorithm"]
    assert codes(key=jwt.PyJWK(jwk(RSA.public_key(), "RS256", use="enc")), algorithms=["RS256"]) == ["key_algorithm"]


@pytest.mark.parametrize(
    ("key", "algorithms"),
    [
        (public_pem(RSA), ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"]),
        (public_pem(RSA).decode(), ("RS256",)),
        (RSA.public_key(), {"RS256"}),
        (jwk(RSA.public_key(), "RS256", use="sig", alg="RS256"), iter(["RS256"])),
        (RSA.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH), ["RS256"]),
        (public_pem(P256), ["ES256"]),
        (jwk(P384.public_key(), "ES384"), ["ES384"]),
        (public_pem(ED25519), ["EdDSA", "Ed25519"]),
        (public_pem(ED448), ["EdDSA"]),
        ({"kty": "oct", "k": "A" * 43}, ["HS256"]),
        ("a secret text of 64 characters or more, which is good for all three", ["HS256", "HS384", "HS512"]),
    ],
)
def test_every_form_of_a_fitting_key_is_taken(key, algorithms):
    """PEM as text or bytes, OpenSSH, key objects, JWKs and secrets as text or bytes."""
    TokenVerifier(key=key, algorithms=algorithms, audience=None)


def test_all_problems_are_listed_at_once_and_no_key_is_shown():
    """One error names every wrong option of verifier and middleware with its fix, and hides the key."""
    secret = "hunter2-hunter2"
    with pytest.raises(ConfigurationError) as caught:
        JWTAuthMiddleware(
            lambda: None,
            key=secret,
            algorithms=["HS256"],
            leeway=301,
            issuer="",
            exempt="/health",
            optional=["nope"],
            rules=["/admin"],
            required_scopes=["a b"],
            allow_preflight="yes",
            websocket=True,
            realm="caf\u00e9",
        )
    found = {problem.option: problem.code for problem in caught.value.problems}
    assert found.pop("exempt")
    assert found.pop("optional")
    assert found == {
        "key": "weak_key",
        "audience": "audience_missing",
        "issuer": "issuer_empty",
        "leeway": "out_of_range",
        "rules": "not_a_rule",
        "required_scopes": "not_a_scope",
        "allow_preflight": "not_a_bool",
        "websocket": "not_websocket_auth",
        "realm": "not_a_realm",
    }
    assert secret not in str(caught.value) + repr(caught.value) + repr(caught.value.problems)
    assert all(problem.fix for problem in caught.value.problems)


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({}, "audience_missing"),
        ({"audience": ""}, "audience_empty"),
        ({"audience": []}, "audience_empty"),
        ({"audience": ["a", ""]}, "audience_empty"),
        ({"audience": 5}, "not_a_list"),
        ({"audience": b"a"}, "string_for_list"),
        ({"audience": None, "issuer": ()}, "issuer_empty"),
        ({"audience": None, "leeway": -1}, "out_of_range"),
        ({"audience": None, "leeway": True}, "not_a_number"),
        ({"audience": None, "leeway": float("nan")}, "not_a_number"),
        ({"audience": None, "require": "sub"}, "string_for_list"),
        ({"audience": None, "types": "JWT"}, "string_for_list"),
        ({"audience": None, "max_age": 0}, "out_of_range"),
        ({"audience": None, "max_token_size": 255}, "out_of_range"),
        ({"audience": None, "clock": 5}, "not_callable"),
    ],
)
def test_other_options_are_checked(options, code):
    """A wrong audience, issuer, leeway or limit is found at construction."""
    with pytest.raises(ConfigurationError) as caught:
        TokenVerifier(key=b"k" * 32, algorithms=["HS256"], **options)
    assert [problem.code for problem in caught.value.problems] == [code]


@pytest.mark.parametrize(
    "options",
    [
        {"key": b"k" * 32},
        {"algorithms": ["HS256"]},
        {"audience": None},
        {"issuer": "https://issuer.example"},
        {"leeway": 5},
    ],
)
def test_a_verifier_stands_alone(options):
    """A ready verifier beside options that it would ignore is refused."""
    verifier = TokenVerifier(**TokenIssuer().options)
    JWTAuthMiddleware(lambda: None, verifier=verifier)
    with pytest.raises(ConfigurationError) as caught:
        JWTAuthMiddleware(lambda: None, verifier=verifier, **options)
    assert [problem.code for problem in caught.value.problems] == ["verifier_and_key"]


def test_a_verifier_is_a_verifier():
    """Anything else in its place is refused."""
    with pytest.raises(ConfigurationError) as caught:
        JWTAuthMiddleware(lambda: None, verifier=lambda token: token)
    assert [problem.code for problem in caught.value.problems] == ["not_a_verifier"]


def test_a_missing_key_is_named():
    """No key is a problem of its own."""
    assert codes(algorithms=["HS256"]) == ["key_missing"]


def test_nothing_of_a_key_is_in_any_repr():
    """The verifier, its keys and the middleware show no key."""
    verifier = TokenVerifier(key="correct horse battery staple, twice over", algorithms=["HS256"], audience=None)
    trusted = verifier._only
    parts = [verifier, trusted, trusted.source.ring.find("HS256", None), JWTAuthMiddleware(print, verifier=verifier)]
    shown = "".join(map(repr, parts))
    assert "horse" not in shown
    assert repr(verifier) == "<TokenVerifier for 1 issuer(s)>"
