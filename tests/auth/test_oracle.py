"""jwt.decode as the oracle: nothing that PyJWT refuses is accepted here, and every stricter difference is listed."""

import json
import time
import warnings

import jwt
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from jwt.utils import base64url_encode

from asgi_middleware.auth import TokenError, TokenVerifier
from asgi_middleware.testing.tokens import TokenIssuer

ALGORITHMS = (
    *("HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    *("ES256", "ES384", "ES512", "EdDSA"),
)
ISSUERS = {name: TokenIssuer(name) for name in ALGORITHMS}
VERIFIERS = {name: TokenVerifier(**issuer.options, cache_size=0) for name, issuer in ISSUERS.items()}
REMEMBERING = {name: TokenVerifier(**issuer.options) for name, issuer in ISSUERS.items()}
GOOD = {name: issuer.token(scope="read").encode() for name, issuer in ISSUERS.items()}


def by_us(name, given_token):
    """Give the claims or the reason; what is remembered changes neither, at the first look and at the second."""
    found = [verdict(verifiers[name], given_token) for verifiers in (VERIFIERS, REMEMBERING, REMEMBERING)]
    assert found[0] == found[1] == found[2]
    return found[0]


def verdict(verifier, given_token):
    try:
        return dict(verifier.verify(given_token).claims)
    except TokenError as error:
        return error.reason


def by_pyjwt(name, given_token):
    issuer = ISSUERS[name]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return jwt.decode(
                given_token,
                issuer.key,
                algorithms=[name],
                audience=issuer.audience,
                issuer=issuer.issuer,
                leeway=30,
            )
        except Exception as error:  # noqa: BLE001 -- whatever escapes PyJWT is a refusal
            return type(error).__name__


def agree(name, given_token):
    """Hold the property: what we accept, PyJWT accepts with the same claims."""
    ours = by_us(name, given_token)
    if isinstance(ours, dict):
        assert by_pyjwt(name, given_token) == ours
    return ours


@pytest.mark.parametrize("name", ISSUERS)
def test_both_accept_a_good_token(name):
    """The oracle is set up right: it accepts what is good."""
    assert isinstance(agree(name, GOOD[name]), dict)


@pytest.mark.parametrize("name", ISSUERS)
@settings(max_examples=20)
@given(data=st.data())
def test_changed_bytes(name, data):
    """A byte changed, added or taken out anywhere makes no token that only we accept, and none that is accepted."""
    good = GOOD[name]
    place = data.draw(st.integers(0, len(good) - 1))
    put = data.draw(st.sampled_from(b"ABab09-_=.+/ \n\x00\xff")).to_bytes(1, "big")
    for changed in (
        good[:place] + put + good[place + 1 :],
        good[:place] + put + good[place:],
        good[:place] + good[place + 1 :],
    ):
        if changed != good:
            assert isinstance(agree(name, changed), str)


@settings(max_examples=60)
@given(st.lists(st.sampled_from([part for good in GOOD.values() for part in good.split(b".")]), min_size=3, max_size=3))
def test_parts_of_several_tokens(parts):
    """Parts put together from tokens of several keys are accepted only where they are one token."""
    mixed = b".".join(parts)
    assume(mixed not in GOOD.values())
    for name in GOOD:
        assert isinstance(agree(name, mixed), str)


_VALUES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(max_size=4)
    | st.lists(st.text(max_size=2))
)


@settings(max_examples=150)
@given(
    header=st.dictionaries(st.sampled_from(["alg", "typ", "kid", "crit", "b64", "cty", "x"]), _VALUES),
    claims=st.dictionaries(st.sampled_from(["exp", "nbf", "iat", "aud", "iss", "sub", "jti"]), _VALUES),
    near=st.dictionaries(st.sampled_from(["exp", "nbf", "iat"]), st.floats(-100, 100)),
)
def test_signed_nonsense(header, claims, near):
    """Headers and claims of any type under a good signature: we accept no more than PyJWT."""
    issuer = ISSUERS["HS256"]
    now = time.time()
    # Not nearer than two seconds to an edge: the two clocks are read one after the other.
    dates = {key: now + value for key, value in near.items() if abs(abs(value) - 30) > 2}
    payload = {**issuer.claims(), **dates, **claims}
    agree("HS256", issuer.signed(json.dumps({"alg": "HS256", **header}).encode(), json.dumps(payload).encode()))


def signed(header=b'{"alg":"HS256","typ":"JWT"}', payload=None, **claims):
    issuer = ISSUERS["HS256"]
    return issuer.signed(header, json.dumps(issuer.claims(**claims)).encode() if payload is None else payload)


PLAIN = json.dumps(ISSUERS["HS256"].claims())

STRICTER = {
    "no exp": (signed(exp=None), "claim_missing"),
    "exp as text": (signed(exp=str(int(time.time()) + 9999)), "claim_invalid"),
    "exp in milliseconds": (signed(exp=int(time.time() + 9999) * 1000), "claim_invalid"),
    "nbf as bool": (signed(nbf=False), "claim_invalid"),
    "iat as text": (signed(iat="1"), "claim_invalid"),
    "equal claim names": (signed(payload=PLAIN.replace("{", '{"sub":"root",', 1).encode()), "claims_malformed"),
    "equal header names": (signed(b'{"alg":"none","alg":"HS256"}'), "token_malformed"),
    "payload in UTF-16": (signed(payload=PLAIN.encode("utf-16")), "claims_malformed"),
    "payload with a byte order mark": (signed(payload=PLAIN.encode("utf-8-sig")), "claims_malformed"),
    "half a surrogate pair": (signed(payload=PLAIN.replace("alice", "\\ud800").encode()), "claims_malformed"),
    "a number without end": (signed(payload=PLAIN.replace('"alice"', '"a","n":1e999').encode()), "claims_malformed"),
    "no number": (signed(payload=PLAIN.replace('"alice"', '"a","n":NaN').encode()), "claims_malformed"),
    "another kind of token": (signed(b'{"alg":"HS256","typ":"dpop+jwt"}'), "type_not_allowed"),
    "b64 true": (signed(b'{"alg":"HS256","b64":true}'), "header_not_allowed"),
    "a long kid": (signed(b'{"alg":"HS256","kid":"' + b"k" * 129 + b'"}'), "header_not_allowed"),
    "more than 8 KiB": (signed(name="x" * 8192), "token_too_large"),
}


@pytest.mark.parametrize("case", STRICTER)
def test_stricter_than_pyjwt(case):
    """Each difference to PyJWT, listed: it accepts, we refuse, for this reason."""
    given_token, reason = STRICTER[case]
    assert isinstance(by_pyjwt("HS256", given_token), dict)
    assert by_us("HS256", given_token) == reason


def test_stricter_about_padding():
    """PyJWT has taken padding at times (2.15.1), and with it a second spelling of the same token; we never do."""
    header, payload, signature = GOOD["HS256"].split(b".")
    padded = b".".join([header, payload, signature + b"=" * (-len(signature) % 4)])
    assert by_us("HS256", padded) == "token_malformed"


def test_the_algorithm_is_bound_to_the_key():
    """A header that names another algorithm is refused also where that algorithm would verify."""
    issuer = ISSUERS["HS256"]
    text = base64url_encode(b'{"alg":"HS512"}') + b"." + base64url_encode(PLAIN.encode())
    algorithm = jwt.get_algorithm_by_name("HS512")
    given_token = text + b"." + base64url_encode(algorithm.sign(text, issuer.key))
    assert by_us("HS256", given_token) == "algorithm_not_allowed"
