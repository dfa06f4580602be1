"""TokenIssuer, the test tool: its good tokens pass, its bad ones do not, its keys stay inside."""

import jwt
import pytest

from asgi_middleware.auth import TokenError, TokenVerifier
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


def test_an_unknown_algorithm_is_refused():
    """A key can be made only for a supported algorithm."""
    with pytest.raises(ValueError, match="'none'"):
        TokenIssuer("none")


def test_the_repr_shows_no_key():
    """The repr names the algorithm alone."""
    assert repr(TokenIssuer()) == "TokenIssuer('HS256')"
