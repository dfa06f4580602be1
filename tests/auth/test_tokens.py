"""TokenIssuer, the test tool: its good tokens pass, its bad ones do not, its keys stay inside."""

import inspect

import jwt
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from asgi_middleware.auth import TokenError, TokenVerifier
from asgi_middleware.testing import http, lifespan
from asgi_middleware.testing.tokens import TokenIssuer


def reason(issuer, token):
    with pytest.raises(TokenError) as caught:
        TokenVerifier(**issuer.options).verify(token)
    return caught.value.reason


@pytest.mark.parametrize("algorithm", ["HS256", "RS256", "ES512", "EdDSA"])
def test_good_and_bad_tokens(algorithm):
    """Options accepts token() and refuses every bad variant for its own reason."""
    issuer = TokenIssuer(algorithm, kid="one")
    assert TokenVerifier(**issuer.options).verify(issuer.token(sub="bob")).subject == "bob"
    assert reason(issuer, issuer.expired()) == "token_expired"
    assert reason(issuer, issuer.not_yet_valid()) == "token_not_yet_valid"
    assert reason(issuer, issuer.forged()) == "signature_invalid"
    assert reason(issuer, issuer.unsigned()) == "algorithm_not_allowed"


def test_claims_and_headers_can_be_replaced_and_left_out():
    """None leaves a member out, in the claims and in the header."""
    issuer = TokenIssuer(issuer=None, audience=None, lifetime=60, kid="one")
    claims = jwt.decode(issuer.token(sub=None, role="x"), issuer.key, algorithms=["HS256"])
    assert set(claims) == {"iat", "exp", "role"}
    assert claims["exp"] - claims["iat"] == 60
    assert jwt.get_unverified_header(issuer.token()) == {"alg": "HS256", "typ": "JWT", "kid": "one"}
    assert jwt.get_unverified_header(issuer.token(headers={"typ": None, "kid": None, "x": 1})) == {
        "alg": "HS256",
        "x": 1,
    }
    assert issuer.options["audience"] is None


def test_the_header_pair():
    """authorization() gives the raw header."""
    name, value = TokenIssuer().authorization(sub="x")
    assert name == b"authorization"
    assert value.startswith(b"Bearer ey")


def test_every_issuer_has_its_own_key():
    """Two issuers never share a key."""
    assert TokenIssuer().key != TokenIssuer().key


@pytest.mark.parametrize("algorithm", ["HS256", "RS256", "PS256", "ES256", "EdDSA"])
@pytest.mark.parametrize("form", [bytes, bytes.decode])
def test_a_given_key_signs(algorithm, form):
    """What is signed with a given secret or private key is good for whoever has that one's other half."""
    other = TokenIssuer(algorithm)
    if algorithm == "HS256":
        key = b"k" * 32
    else:
        key = other._signing_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    issuer = TokenIssuer(algorithm, key=form(key))
    expected = key if algorithm == "HS256" else other.key
    assert issuer.key == expected
    assert TokenVerifier(**issuer.options).verify(issuer.token(sub="bob")).subject == "bob"
    if algorithm != "HS256":
        issuer.rotate()
        assert issuer.key != expected


@pytest.mark.parametrize("algorithm", ["RS256", "ES256", "EdDSA"])
def test_a_key_that_signs_nothing(algorithm):
    """A public key, the key of another algorithm and what is none are refused, without showing them."""
    foreign = TokenIssuer("ES256" if algorithm != "ES256" else "RS256")._signing_key
    private = foreign.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    for key in (TokenIssuer(algorithm).key, private, "secret-text", b""):
        with pytest.raises(ValueError, match="no private key") as caught:
            TokenIssuer(algorithm, key=key)
        assert "secret-text" not in str(caught.value)


def test_an_unknown_algorithm_is_refused():
    """A key can be made only for a supported algorithm."""
    with pytest.raises(ValueError, match="'none'"):
        TokenIssuer("none", key="x")
    with pytest.raises(ValueError, match="'none'"):
        TokenIssuer("none")


def test_the_repr_shows_no_key():
    """The repr names the algorithm alone."""
    assert repr(TokenIssuer()) == "TokenIssuer('HS256')"


@pytest.mark.parametrize("algorithm", ["RS256", "PS384", "ES384", "EdDSA"])
def test_what_it_publishes_verifies_its_tokens(algorithm):
    """The key set holds the current key with its id, and after a rotation the older ones as long as they are kept."""
    issuer = TokenIssuer(algorithm, kid="one")
    options = {name: value for name, value in issuer.options.items() if name != "key"}
    old = issuer.token()
    issuer.rotate()
    new = issuer.token()
    both = TokenVerifier(keys=issuer.jwks, **options)
    assert [both.verify(token).header["kid"] for token in (old, new)] == ["one", "1"]
    issuer.rotate(keep=False)
    only = TokenVerifier(keys=issuer.jwks, **options)
    assert only.verify(issuer.token()).header["kid"] == "2"
    for token in (old, new):
        with pytest.raises(TokenError):
            only.verify(token)
    numbered = TokenIssuer("ES256", kid="2")
    numbered.rotate()
    assert [jwk["kid"] for jwk in numbered.jwks["keys"]] == ["3", "2"]
    for jwk in issuer.jwks["keys"]:
        assert "d" not in jwk
    with pytest.raises(TokenError) as caught:
        only.verify(issuer.confused())
    assert caught.value.reason == "algorithm_not_allowed"


def test_a_secret_is_not_published():
    """An HMAC issuer has no key set and no public key to be confused by; its rotation is a new secret."""
    issuer = TokenIssuer()
    for ask in (lambda: issuer.jwks, issuer.confused):
        with pytest.raises(ValueError, match="a secret"):
            ask()
    old = issuer.token()
    issuer.rotate()
    assert reason(issuer, old) == "signature_invalid"


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/jwks.json", 200),
        ("/idp/.well-known/openid-configuration", 200),
        ("/.well-known/oauth-authorization-server/idp", 200),
        ("/", 404),
    ],
)
async def test_the_endpoint_publishes_metadata_and_keys(path, status):
    """It is an ASGI app and a fetch function, which give the same documents."""
    issuer = TokenIssuer("ES256", kid="one")
    result = await http(issuer.endpoint, path=path)
    assert result.status == status
    if status == 404:
        with pytest.raises(LookupError):
            await issuer.fetch(issuer.issuer + path)
    else:
        assert result.json() == await issuer.fetch(issuer.issuer + path)
        assert issuer.published == (2 if "jwks" in path else 0)
    assert (await lifespan(issuer.endpoint)).sent == []
    assert inspect.isfunction(issuer.endpoint)  # uvicorn takes a bound method for an app of ASGI 2
