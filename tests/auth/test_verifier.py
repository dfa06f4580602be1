"""TokenVerifier: what it takes, what it refuses and why."""

import json
import pickle
import threading
import time

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jwt.utils import base64url_encode

from asgi_middleware import ConfigurationError
from asgi_middleware.auth import Reason, TokenError, TokenVerifier, VerifiedToken
from asgi_middleware.testing.tokens import TokenIssuer

NOW = 1_700_000_000
ISSUER = TokenIssuer()
VERIFIER = TokenVerifier(**ISSUER.options, clock=lambda: NOW)
CLAIMS = {"iss": ISSUER.issuer, "aud": ISSUER.audience, "sub": "alice", "iat": NOW, "exp": NOW + 60}
HEADER = {"alg": "HS256", "typ": "JWT"}


def verifier(**options):
    return TokenVerifier(**{**ISSUER.options, "clock": lambda: NOW, **options})


def token(header=None, **claims):
    """Sign CLAIMS with some replaced; ... leaves one out."""
    given = {name: value for name, value in {**CLAIMS, **claims}.items() if value is not ...}
    return ISSUER.signed(json.dumps(HEADER if header is None else header).encode(), json.dumps(given).encode())


def remembered(by):
    return by._only.source.ring.headers


def reason(given, by=VERIFIER):
    """Give the reason of the refusal, None where the token is good."""
    try:
        assert isinstance(by.verify(given), VerifiedToken)
    except TokenError as error:
        return error.reason
    return None


@pytest.mark.parametrize(
    "algorithm",
    [
        *("HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
        *("ES256", "ES384", "ES512", "EdDSA"),
    ],
)
def test_every_algorithm_verifies_its_own_and_no_other_key(algorithm):
    """A token of each supported algorithm is taken, a forged one and a changed one are not."""
    issuer = TokenIssuer(algorithm, kid="one")
    checked = TokenVerifier(**issuer.options)
    good = issuer.token(scope="read write")
    for _ in range(2):  # the second time with the header remembered
        found = checked.verify(good)
        assert found.subject == "alice"
        assert found.issuer == "https://issuer.example"
        assert found.scopes == ("read", "write")
        assert dict(found.header) == {"alg": algorithm, "typ": "JWT", "kid": "one"}
        assert reason(issuer.forged(), checked) == "signature_invalid"
        start, _, end = good.rpartition(".")
        assert reason(f"{start}.{end[5:]}{end[:5]}", checked) in {"signature_invalid", "token_malformed"}


def test_ed25519_goes_by_its_own_name():
    """A token that says Ed25519 is verified where that name is allowed, and only there (RFC 9864)."""
    issuer = TokenIssuer("EdDSA")
    given = issuer.signed(b'{"alg":"Ed25519"}', json.dumps(issuer.claims()).encode())
    assert reason(given, TokenVerifier(**{**issuer.options, "algorithms": ["Ed25519"]})) is None
    assert reason(given, TokenVerifier(**issuer.options)) == "algorithm_not_allowed"


# RFC 7515 appendix A.1, A.2 and A.3: the same payload under three keys.
RFC_PAYLOAD = "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ"
RFC_VECTORS = {
    "HS256": (
        {"kty": "oct", "k": "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow"},
        "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9",
        "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk",
    ),
    "RS256": (
        {
            "kty": "RSA",
            "n": "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yR"
            "T-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS"
            "-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2et"
            "hFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ",
            "e": "AQAB",
        },
        "eyJhbGciOiJSUzI1NiJ9",
        (
            "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9"
            "CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6"
            "_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0"
            "igcN_IoypGlUPQGe77Rw"
        ),
    ),
    "ES256": (
        {
            "kty": "EC",
            "crv": "P-256",
            "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
            "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
        },
        "eyJhbGciOiJFUzI1NiJ9",
        "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q",
    ),
}


@pytest.mark.parametrize("algorithm", RFC_VECTORS)
def test_rfc_7515_vectors(algorithm):
    """The standard's own examples verify, and expired where they say so."""
    key, header, signature = RFC_VECTORS[algorithm]
    given = f"{header}.{RFC_PAYLOAD}.{signature}"
    options = {"key": key, "algorithms": [algorithm], "audience": None, "leeway": 0}
    found = TokenVerifier(**options, clock=lambda: 1300819379).verify(given)
    assert dict(found.claims) == {"iss": "joe", "exp": 1300819380, "http://example.com/is_root": True}
    assert reason(given, TokenVerifier(**options, clock=lambda: 1300819380)) == "token_expired"


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (b"", "token_malformed"),
        (b".", "token_malformed"),
        (b"..", "token_malformed"),
        (b"a.b", "token_malformed"),
        (b"a.b.c.d", "token_malformed"),
        (b"a.b.c.d.e", "token_encrypted"),
        (b"....", "token_encrypted"),
        (b".....", "token_malformed"),
        (b"." * 5000, "token_malformed"),
        (b"x" * 8193, "token_too_large"),
        ("\ud800", "token_malformed"),
        ("\u00e9.a.b", "token_malformed"),
        (None, "token_malformed"),
        (5, "token_malformed"),
        (bytearray(b"a.b.c"), "token_malformed"),
        (b'{"payload":"","signatures":[]}', "token_malformed"),
        (token() + b"\n", "token_malformed"),
        (b" " + token(), "token_malformed"),
        (token().replace(b".", b"=.", 1), "token_malformed"),
        (token() + b"=", "token_malformed"),
        (token() + b".", "token_malformed"),
    ],
)
def test_what_is_no_token(given, expected):
    """Other shapes are refused before any key is used, whatever their type."""
    assert reason(given) == expected


def test_text_and_bytes_are_the_same_token():
    """A token may come as str or bytes."""
    assert VERIFIER.verify(token()).claims == VERIFIER.verify(token().decode()).claims


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ({"alg": "HS256"}, None),
        ({**HEADER, "kid": "k" * 128}, None),
        ({**HEADER, "kid": "k" * 129}, "header_not_allowed"),
        ({**HEADER, "kid": None}, "header_not_allowed"),
        ({**HEADER, "kid": 7}, "header_not_allowed"),
        ({**HEADER, "kid": ["a"]}, "header_not_allowed"),
        ({**HEADER, "crit": []}, "header_not_allowed"),
        ({**HEADER, "crit": ["exp"]}, "header_not_allowed"),
        ({**HEADER, "crit": ["x\r\nset-cookie: a=b"]}, "header_not_allowed"),
        ({**HEADER, "b64": True}, "header_not_allowed"),
        ({**HEADER, "b64": False, "crit": ["b64"]}, "header_not_allowed"),
        ({"typ": "JWT"}, "algorithm_not_allowed"),
        ({"alg": None}, "algorithm_not_allowed"),
        ({"alg": ["HS256"]}, "algorithm_not_allowed"),
        ({"alg": {"HS256": 1}}, "algorithm_not_allowed"),
        ({"alg": "hs256"}, "algorithm_not_allowed"),
        ({"alg": "HS384"}, "algorithm_not_allowed"),
        ({"alg": "HS256", "typ": "jwt"}, None),
        ({"alg": "HS256", "typ": "at+jwt"}, None),
        ({"alg": "HS256", "typ": "application/AT+JWT"}, None),
        ({"alg": "HS256", "typ": "dpop+jwt"}, "type_not_allowed"),
        ({"alg": "HS256", "typ": "application/application/jwt"}, "type_not_allowed"),
        ({"alg": "HS256", "typ": ""}, "type_not_allowed"),
        ({"alg": "HS256", "typ": None}, "type_not_allowed"),
        ({"alg": "HS256", "typ": ["JWT"]}, "type_not_allowed"),
        ([HEADER], "token_malformed"),
        ("HS256", "token_malformed"),
    ],
)
def test_headers(header, expected):
    """What a header may hold: a string kid, an allowed alg and typ, nothing that must be understood."""
    for _ in range(2):
        assert reason(token(header)) == expected


@pytest.mark.parametrize(
    "data", [b'{"alg":"HS256","alg":"HS256"}', b'\xef\xbb\xbf{"alg":"HS256"}', b'{"alg":"HS256","x":NaN}']
)
def test_headers_are_read_strictly(data):
    """A header that two readers could read differently is refused."""
    assert reason(ISSUER.signed(data, json.dumps(CLAIMS).encode())) == "token_malformed"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"7",
        b"\x00\xff",
        json.dumps(CLAIMS).encode("utf-16"),
        b"\xef\xbb\xbf" + json.dumps(CLAIMS).encode(),
        json.dumps(CLAIMS).replace('"sub"', '"exp": 99999999999, "sub"').encode(),
        json.dumps({**CLAIMS, "name": "\ud800"}).encode(),
        json.dumps({**CLAIMS, "score": float("inf")}).encode(),
        json.dumps(CLAIMS).replace('"sub"', '"a":' + "[" * 1500 + "]" * 1500 + ', "sub"').encode(),
    ],
)
def test_payloads_are_read_strictly(data):
    """Signed bytes that are no plain JSON object in UTF-8 are refused; deep nesting does not crash."""
    given = ISSUER.signed(json.dumps(HEADER).encode(), data)
    # Where the interpreter can read the nesting, it is a payload like any other.
    assert reason(given) in ({"claims_malformed", None} if b"[[[" in data else {"claims_malformed"})


@pytest.mark.parametrize(
    ("claims", "expected"),
    [
        ({}, None),
        ({"exp": ...}, "claim_missing"),
        ({"exp": None}, "claim_missing"),
        ({"exp": str(NOW + 60)}, "claim_invalid"),
        ({"exp": True}, "claim_invalid"),
        ({"exp": [NOW + 60]}, "claim_invalid"),
        ({"exp": {}}, "claim_invalid"),
        ({"exp": (NOW + 60) * 1000}, "claim_invalid"),
        ({"exp": 10**4000}, "claim_invalid"),
        ({"exp": -1}, "claim_invalid"),
        ({"exp": 253402300799}, None),
        ({"exp": NOW - 29}, None),
        ({"exp": NOW - 30}, "token_expired"),
        ({"exp": NOW - 29.001}, "token_expired"),
        ({"exp": NOW - 28.999}, None),
        ({"exp": 0}, "token_expired"),
        ({"nbf": NOW + 30}, None),
        ({"nbf": NOW + 31}, "token_not_yet_valid"),
        ({"nbf": NOW + 30.5}, "token_not_yet_valid"),
        ({"nbf": False}, "claim_invalid"),
        ({"nbf": None}, "claim_invalid"),
        ({"nbf": "0"}, "claim_invalid"),
        ({"iat": NOW + 30}, None),
        ({"iat": NOW + 31}, "token_not_yet_valid"),
        ({"iat": ...}, None),
        ({"iat": "now"}, "claim_invalid"),
        ({"aud": ...}, "audience_not_allowed"),
        ({"aud": "https://other.example"}, "audience_not_allowed"),
        ({"aud": ISSUER.audience + "/"}, "audience_not_allowed"),
        ({"aud": ""}, "audience_not_allowed"),
        ({"aud": []}, "audience_not_allowed"),
        ({"aud": ["https://other.example", ISSUER.audience]}, None),
        ({"aud": [ISSUER.audience, 7]}, "audience_not_allowed"),
        ({"aud": {ISSUER.audience: 1}}, "audience_not_allowed"),
        ({"aud": None}, "audience_not_allowed"),
        ({"iss": ...}, "issuer_not_allowed"),
        ({"iss": "https://issuer.example/"}, "issuer_not_allowed"),
        ({"iss": [ISSUER.issuer]}, "claim_invalid"),
        ({"iss": None}, "claim_invalid"),
        ({"sub": ...}, None),
        ({"sub": 42}, "claim_invalid"),
        ({"sub": None}, "claim_invalid"),
        ({"jti": 42}, "claim_invalid"),
        ({"jti": "one"}, None),
    ],
)
def test_claims(claims, expected):
    """Dates are numbers and in time, leeway included; audience and issuer are exactly ours; names are text."""
    assert reason(token(**claims)) == expected


@pytest.mark.parametrize(
    ("options", "claims", "expected"),
    [
        ({"audience": None}, {}, "audience_not_allowed"),
        ({"audience": None}, {"aud": ...}, None),
        ({"audience": None}, {"aud": []}, "audience_not_allowed"),
        ({"audience": ("a", "b")}, {"aud": "b"}, None),
        ({"audience": ["a", "b"]}, {"aud": ["c", "b"]}, None),
        ({"audience": {"a", "b"}}, {"aud": "ab"}, "audience_not_allowed"),
        ({"issuer": None}, {"iss": ...}, None),
        ({"issuer": None}, {"iss": "anyone"}, None),
        ({"issuer": ("a", "b")}, {"iss": "b"}, None),
        ({"issuer": ("a", "b")}, {"iss": "ab"}, "issuer_not_allowed"),
        ({"leeway": 0}, {"exp": NOW}, "token_expired"),
        ({"leeway": 0}, {"exp": NOW + 1}, None),
        ({"leeway": 0.5}, {"nbf": NOW + 1}, "token_not_yet_valid"),
        ({"leeway": 300}, {"exp": NOW - 299}, None),
        ({"require": ("sub", "scope")}, {}, "claim_missing"),
        ({"require": ("sub", "scope")}, {"scope": ""}, None),
        ({"require": ()}, {"exp": ...}, "claim_missing"),
        ({"types": ("at+jwt",)}, {}, "type_not_allowed"),
        ({"max_age": 60}, {"iat": NOW - 89}, None),
        ({"max_age": 60}, {"iat": NOW - 90}, "token_too_old"),
        ({"max_age": 60}, {"iat": ...}, "claim_missing"),
        ({"max_token_size": 256}, {"sub": "x" * 256}, "token_too_large"),
        ({"max_token_size": 20_000}, {"sub": "x" * 9000}, None),
    ],
)
def test_options(options, claims, expected):
    """Each option changes what it says and nothing else."""
    assert reason(token(**claims), verifier(**options)) == expected


@pytest.mark.parametrize(
    ("claims", "expected"),
    [
        ({}, ()),
        ({"scope": ""}, ()),
        ({"scope": "read"}, ("read",)),
        ({"scope": "read  write read"}, ("read", "write")),
        ({"scope": ["read", "write all", 7, None, ""]}, ("read", "write all")),
        ({"scp": "read write"}, ("read", "write")),
        ({"scp": ["read"], "scope": "write"}, ("write", "read")),
        ({"scope": {"admin": True}}, ()),
        ({"scope": True, "scp": 1}, ()),
        ({"scope": "read\u00a0admin read\tadmin"}, ("read\u00a0admin", "read\tadmin")),
    ],
)
def test_scopes(claims, expected):
    """Scopes come as text or array under `scope` and `scp`; nothing else grants, and only spaces separate."""
    assert VERIFIER.verify(token(**claims)).scopes == expected


def test_a_verified_token_is_read_only_and_says_nothing_in_its_repr():
    """Claims cannot be changed, and the repr holds the expiry alone."""
    found = VERIFIER.verify(token(email="alice@example.org"))
    with pytest.raises(TypeError):
        found.claims["sub"] = "root"
    with pytest.raises(TypeError):
        found.header["alg"] = "none"
    with pytest.raises(AttributeError):
        found.claims = {}
    assert repr(found) == f"VerifiedToken(expires_at={NOW + 60})"


def test_a_token_error_holds_its_reason_alone():
    """Nothing of the token, of a key or of another exception travels with the error."""
    for bad in ("a.b.secret", token(sub="secret") + b"x", ISSUER.signed(b'{"alg":"HS256"}', b'{"secret":\xff}')):
        with pytest.raises(TokenError) as caught:
            VERIFIER.verify(bad)
        assert caught.value.args == (str(caught.value.reason),)
        assert caught.value.__cause__ is None
        assert caught.value.__context__ is None
    copy = pickle.loads(pickle.dumps(TokenError(Reason.EXPIRED)))
    assert (copy.reason, str(copy)) == ("token_expired", "token_expired")


def test_headers_are_remembered_only_behind_a_good_signature():
    """A stranger can neither fill nor flush the memory of headers."""
    checked = verifier()
    forged = jwt.encode(CLAIMS, "x" * 32, headers={"kid": "stranger"})
    assert reason(forged, checked) == "signature_invalid"
    assert remembered(checked) == {}
    assert reason(token(), checked) is None
    assert len(remembered(checked)) == 1


def test_the_memory_of_headers_is_bounded():
    """An issuer that varies its headers costs no memory without end."""
    checked = verifier()
    for number in range(200):
        assert reason(token({**HEADER, "kid": str(number)}), checked) is None
        assert len(remembered(checked)) <= 64


def test_one_verifier_serves_many_threads():
    """Threads that verify at once, with more headers than are remembered, all get their own claims."""
    checked = verifier()
    tokens = [(str(number), token({**HEADER, "kid": str(number)}, sub=str(number))) for number in range(100)]
    wrong = []

    def work():
        wrong.extend(name for name, given in tokens if checked.verify(given).subject != name)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_a_large_forgery_costs_no_more_than_its_length():
    """A megabyte is refused by its length: not one byte of it is decoded."""

    class Counted(bytes):
        __slots__ = ()

        def split(self, *_):
            raise AssertionError

    assert reason(Counted(b"a.b." + b"x" * 1_000_000)) == "token_too_large"


@given(st.binary(max_size=300))
def test_any_bytes_are_refused_with_a_token_error(data):
    """No bytes raise anything else."""
    assert reason(data) is not None


@given(st.text(max_size=100))
def test_any_text_is_refused_with_a_token_error(data):
    """No text raises anything else, half surrogates included."""
    assert reason(data) is not None


@given(st.binary(max_size=120), st.binary(max_size=120))
def test_any_signed_bytes_give_claims_or_a_token_error(header, payload):
    """Not even our own issuer's nonsense raises anything else."""
    for given_header in (header, b'{"alg":"HS256"}'):
        reason(ISSUER.signed(given_header, payload))


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)


@given(
    st.dictionaries(st.sampled_from(["alg", "typ", "kid", "crit", "b64", "jwk", "cty"]), _JSON),
    st.dictionaries(st.sampled_from(["exp", "nbf", "iat", "aud", "iss", "sub", "jti", "scope"]), _JSON),
)
def test_any_json_in_any_place_gives_claims_or_a_token_error(header, claims):
    """Members of any type, in header and claims, raise nothing else."""
    reason(token({**HEADER, **header}, **claims))
    reason(token(None, **claims))


def test_time_is_the_system_clock():
    """Without a clock of its own the verifier uses the current time."""
    checked = TokenVerifier(**ISSUER.options)
    assert reason(ISSUER.token(), checked) is None
    assert reason(ISSUER.expired(), checked) == "token_expired"
    assert reason(ISSUER.not_yet_valid(), checked) == "token_not_yet_valid"
    assert checked.verify(ISSUER.token()).expires_at > time.time()


def test_the_signature_covers_the_segments_as_sent():
    """Claims of one token under the signature of another are refused."""
    header, _, signature = token().split(b".")
    payload = base64url_encode(json.dumps({**CLAIMS, "sub": "root"}).encode())
    assert reason(b".".join([header, payload, signature])) == "signature_invalid"


ACCESS = {"client_id": "app", "jti": "1"}


@pytest.mark.parametrize(
    ("header", "claims", "expected"),
    [
        ({"typ": "at+jwt"}, {}, None),
        ({"typ": "application/AT+JWT"}, {}, None),
        ({"typ": "JWT"}, {}, "type_not_allowed"),
        ({}, {}, "type_not_allowed"),
        *(
            ({"typ": "at+jwt"}, {name: ...}, "claim_missing")
            for name in ("iss", "aud", "sub", "client_id", "iat", "jti")
        ),
        ({"typ": "at+jwt"}, {"aud": "https://other.example"}, "audience_not_allowed"),
    ],
)
def test_the_access_token_profile(header, claims, expected):
    """With the profile only a complete access token is taken, never an ID token (RFC 9068 4) [3.2]."""
    checked = verifier(profile="rfc9068", types=["JWT"])
    for _ in range(2):
        assert reason(token({"alg": "HS256", **header}, **{**ACCESS, **claims}), checked) == expected


def test_the_profile_needs_an_audience():
    """An access token names its audience, so the verifier must, too."""
    with pytest.raises(ConfigurationError) as caught:
        verifier(profile="rfc9068", audience=None)
    assert [problem.code for problem in caught.value.problems] == ["audience_missing"]
    with pytest.raises(ConfigurationError):
        verifier(profile="RFC 9068")


@pytest.mark.parametrize(
    ("claims", "expected"),
    [
        ({"exp": NOW + 100}, None),
        ({"exp": NOW + 101}, "lifetime_too_long"),
        ({"iat": NOW - 50, "exp": NOW + 51}, "lifetime_too_long"),
        ({"iat": ...}, "claim_missing"),
    ],
)
def test_a_lifetime_can_be_bounded(claims, expected):
    """A token made to live longer than max_lifetime is refused from its first second."""
    assert reason(token(**claims), verifier(max_lifetime=100)) == expected


@pytest.mark.parametrize("answer", [False, None, 1, "yes", ZeroDivisionError])
def test_a_validator_must_say_true(answer):
    """Any other answer, and an exception, refuses; nothing of the exception is in the error."""

    def check(claims):
        if isinstance(answer, type):
            raise answer("alice@example.org")
        return answer

    assert reason(token(), verifier(validators=[lambda claims: True, check])) == "claims_rejected"
    assert reason(token(), verifier(validators=[lambda claims: claims["sub"] == "alice"])) is None


@pytest.mark.parametrize(
    ("options", "codes"),
    [
        ({"validators": 5}, ["not_a_list"]),
        ({"validators": [5]}, ["not_callable"]),
        ({"max_lifetime": 0, "cache_size": -1, "cache_ttl": 0}, ["out_of_range"] * 3),
    ],
)
def test_further_options_are_checked(options, codes):
    """Wrong validators and limits are found at construction."""
    with pytest.raises(ConfigurationError) as caught:
        verifier(**options)
    assert [problem.code for problem in caught.value.problems] == codes


def test_claims_nested_deeper_than_anyone_nests_are_refused():
    """64 levels are read, 65 are not: whoever walks the claims need not fear for the stack."""

    def nested(levels):
        return ISSUER.signed(
            json.dumps(HEADER).encode(),
            json.dumps(CLAIMS).replace("{", '{"x":' + "[" * levels + "]" * levels + ",", 1).encode(),
        )

    assert reason(nested(63)) is None
    assert reason(nested(64)) == "claims_malformed"
    flat = ISSUER.signed(json.dumps(HEADER).encode(), json.dumps({**CLAIMS, "x": [[] for _ in range(200)]}).encode())
    assert VERIFIER.verify(flat).claim("x") == [[]] * 200
