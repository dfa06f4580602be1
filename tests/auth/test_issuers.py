"""Several keys and several issuers: which key a token may mean, and that nobody signs for another."""

import json

import jwt
import pytest

from asgi_middleware import ConfigurationError
from asgi_middleware.auth import Issuer, KeySet, TokenError, TokenVerifier, VerifiedToken
from asgi_middleware.testing.tokens import TokenIssuer

pytestmark = pytest.mark.anyio
A = TokenIssuer("ES256", issuer="https://a.example", kid="1")
B = TokenIssuer("ES256", issuer="https://b.example", kid="1")
SECRET = TokenIssuer("HS256", issuer="https://c.example")
AUDIENCE = A.audience


def reason(verifier, token):
    try:
        assert isinstance(verifier.verify(token), VerifiedToken)
    except TokenError as error:
        return error.reason
    return None


def codes(**options):
    with pytest.raises(ConfigurationError) as caught:
        TokenVerifier(**{"audience": None, "algorithms": ["ES256"], **options})
    return [problem.code for problem in caught.value.problems]


def of_keys(keys, algorithms=("ES256",), **options):
    return TokenVerifier(keys=keys, algorithms=algorithms, audience=AUDIENCE, **options)


class TestIssuers:
    def verifier(self, **options):
        issuers = [
            Issuer("https://a.example", key=A.key),
            Issuer("https://b.example", keys=B.jwks),
            Issuer("https://c.example", key=SECRET.key, algorithms=["HS256"], audience="https://inner.example"),
        ]
        return TokenVerifier(**{"issuers": issuers, "algorithms": ["ES256"], "audience": AUDIENCE, **options})

    @pytest.mark.parametrize("cache_size", [0, 10])
    def test_each_issuers_tokens_are_taken_with_its_own_keys_only(self, cache_size):
        """A token of A signed by B is refused, also after good tokens of both [bis "Validate Issuer"]."""
        verifier = self.verifier(cache_size=cache_size)
        for _ in range(2):
            assert reason(verifier, A.token()) is None
            assert reason(verifier, B.token()) is None
            assert reason(verifier, A.token(iss=B.issuer)) == "signature_invalid"
            assert reason(verifier, B.token(iss=A.issuer)) == "signature_invalid"

    def test_algorithms_and_audiences_are_each_issuers_own(self):
        """An issuer that signs by HMAC beside others by ECDSA confuses no keys."""
        verifier = self.verifier()
        assert reason(verifier, SECRET.token(aud="https://inner.example")) is None
        assert reason(verifier, SECRET.token()) == "audience_not_allowed"
        assert reason(verifier, A.token(aud="https://inner.example")) == "audience_not_allowed"
        assert reason(verifier, A.token(iss=SECRET.issuer)) == "algorithm_not_allowed"
        assert reason(verifier, SECRET.token(iss=A.issuer)) == "algorithm_not_allowed"
        assert reason(verifier, A.confused()) == "algorithm_not_allowed"

    @pytest.mark.parametrize(
        ("issuer", "expected"),
        [
            ("https://d.example", "issuer_not_allowed"),
            ("https://a.example/", "issuer_not_allowed"),
            ("HTTPS://A.EXAMPLE", "issuer_not_allowed"),
            (None, "claim_missing"),
            (["https://a.example"], "claim_invalid"),
            (7, "claim_invalid"),
        ],
    )
    def test_other_issuers_are_refused(self, issuer, expected):
        """The name is compared exactly, and must be there."""
        assert reason(
            self.verifier(), A.signed(b'{"alg":"ES256"}', json.dumps(A.claims() | {"iss": issuer}).encode())
        ) == (expected)

    def test_tenants_are_told_by_a_function(self):
        """A function takes the issuers of one provider's tenants; one that fails or says something else takes none."""
        asked = []

        def ours(issuer):
            asked.append(issuer)
            if issuer.endswith("/broken"):
                raise RuntimeError
            return issuer.endswith("/one") or "yes"

        verifier = TokenVerifier(issuers=[Issuer(ours, key=A.key)], algorithms=["ES256"], audience=AUDIENCE)
        assert reason(verifier, A.token(iss="https://login.example/one")) is None
        assert reason(verifier, A.token(iss="https://login.example/two")) == "issuer_not_allowed"
        assert reason(verifier, A.token(iss="https://login.example/broken")) == "issuer_not_allowed"
        assert reason(verifier, B.token(iss="https://login.example/one")) == "signature_invalid"
        assert len(asked) == 4

    async def test_remote_keys_belong_to_their_issuer(self):
        """Each issuer's key set is fetched for its own tokens."""
        verifier = TokenVerifier(
            issuers=[Issuer(each.issuer, keys=KeySet(discover=each.issuer, fetch=each.fetch)) for each in (A, B)],
            algorithms=["ES256"],
            audience=AUDIENCE,
        )
        before = B.published
        assert (await verifier.verify_async(A.token())).subject == "alice"
        assert B.published == before
        await verifier.warm_up()
        assert B.published == before + 1
        assert reason(verifier, B.token()) is None
        assert reason(verifier, B.token(iss=A.issuer)) == "signature_invalid"

    @pytest.mark.parametrize(
        ("options", "expected"),
        [
            ({"issuers": [Issuer("a", key=A.key), Issuer("a", key=B.key)]}, ["issuer_twice"]),
            ({"issuers": ["https://a.example"]}, ["not_an_issuer", "key_missing"]),
            ({"issuers": Issuer("a", key=A.key)}, ["not_a_list", "key_missing"]),
            ({"issuers": [Issuer("a", key=A.key)], "key": A.key}, ["issuers_and_key"]),
            ({"issuers": [Issuer("a", key=A.key)], "issuer": "a"}, ["issuers_and_key"]),
            ({"issuers": [Issuer("a", key=A.key)], "algorithms": None}, ["algorithms_missing"]),
            ({"issuers": [Issuer("a", key=SECRET.key)]}, ["key_does_not_fit"]),
            ({"issuers": [Issuer("a")]}, ["key_missing"]),
        ],
    )
    def test_options_are_checked(self, options, expected):
        """Wrong lists of issuers are found at construction."""
        assert codes(**options) == expected

    @pytest.mark.parametrize(
        ("arguments", "code"),
        [
            ({"issuer": ""}, "issuer_empty"),
            ({"issuer": 5}, "issuer_empty"),
            ({"issuer": "a", "audience": []}, "audience_empty"),
            ({"issuer": "a", "algorithms": ["none"]}, "algorithm_none"),
            ({"issuer": "a", "algorithms": ["HS256"], "key": A.key}, "key_does_not_fit"),
        ],
    )
    def test_one_issuer_is_checked(self, arguments, code):
        """An issuer with options of its own says what is wrong with them."""
        with pytest.raises(ConfigurationError) as caught:
            Issuer(**arguments)
        assert code in [problem.code for problem in caught.value.problems]

    def test_all_issuers_with_algorithms_need_no_others(self):
        """The verifier's algorithms are for issuers that name none."""
        issuers = [Issuer(A.issuer, key=A.key, algorithms=["ES256"], audience=AUDIENCE)]
        assert reason(TokenVerifier(issuers=issuers), A.token()) is None
        assert repr(issuers[0]) == "Issuer('https://a.example')"


class TestKeys:
    def test_a_kid_means_its_key(self):
        """With ids, a token is verified with the key that it names, and an unknown id with none."""
        verifier = of_keys({"1": A.key, "2": B.key})
        assert reason(verifier, A.token()) is None
        assert reason(verifier, A.token(headers={"kid": "2"})) == "signature_invalid"
        assert reason(verifier, A.token(headers={"kid": "3"})) == "key_unknown"
        assert reason(verifier, A.token(headers={"kid": None})) == "key_unknown"

    def test_without_kid_a_token_means_the_only_key(self):
        """A set of one key serves tokens without an id; with two there is a choice, and so none."""
        assert reason(of_keys({"1": A.key}), A.token(headers={"kid": None})) is None
        assert reason(of_keys(A.jwks), A.token(headers={"kid": None})) is None
        both = {"keys": [*A.jwks["keys"], {**B.jwks["keys"][0], "kid": "2"}]}
        assert reason(of_keys(both), A.token(headers={"kid": None})) == "key_unknown"

    def test_equal_ids_are_tried_in_turn(self):
        """Two keys under one id both verify, the first three of them at most."""
        others = [TokenIssuer("ES256", kid="1").jwks["keys"][0] for _ in range(3)]
        assert reason(of_keys({"keys": [*others[:2], *A.jwks["keys"]]}), A.token()) is None
        assert reason(of_keys({"keys": [*others, *A.jwks["keys"]]}), A.token()) == "signature_invalid"

    def test_secrets_without_ids_are_tried_in_turn(self):
        """A list of secrets serves a rotation without ids: the new one signs, the old ones are still good."""
        old, new = TokenIssuer(), TokenIssuer(kid="x")
        verifier = of_keys([new.key, old.key], ["HS256"])
        assert reason(verifier, new.token()) is None
        assert reason(verifier, old.token()) is None
        assert reason(verifier, new.forged()) == "signature_invalid"

    def test_a_jwk_without_alg_is_good_for_one_algorithm(self):
        """A JWK that does not name its algorithm is used where one of the allowed fits, and left out where two do."""
        rsa = TokenIssuer("RS256", kid="r")
        jwk = {name: value for name, value in rsa.jwks["keys"][0].items() if name != "alg"}
        assert reason(of_keys({"keys": [jwk]}, ["RS256", "ES256"]), rsa.token()) is None
        assert codes(keys={"keys": [jwk]}, algorithms=["RS256", "PS256"]) == ["keys_not_usable"]
        assert codes(keys=[jwk], algorithms=["RS256", "PS256"]) == ["key_algorithm"]
        edwards = TokenIssuer("EdDSA", kid="e")
        jwk = {name: value for name, value in edwards.jwks["keys"][0].items() if name != "alg"}
        assert reason(of_keys({"keys": [jwk]}, ["EdDSA", "Ed25519"]), edwards.token()) is None

    def test_a_jwk_is_good_for_the_algorithm_that_it_names(self):
        """A key that names RS256 verifies no PS256 [GHSA-jq35-7prp-9v3f]."""
        rsa = TokenIssuer("RS256", kid="r")
        verifier = of_keys(rsa.jwks, ["RS256", "PS256"])
        text = rsa.token(headers={"alg": "PS256"})
        assert jwt.get_unverified_header(text)["alg"] == "PS256"
        assert reason(verifier, rsa.token()) is None
        assert reason(verifier, text) == "key_unknown"

    @pytest.mark.parametrize(
        ("keys", "expected"),
        [
            ([], ["keys_not_usable"]),
            ({}, ["keys_not_usable"]),
            ("secret", ["keys_not_usable"]),
            (5, ["keys_not_usable"]),
            ({"keys": []}, ["keys_not_usable"]),
            ({"keys": [{"kty": "oct", "k": "A" * 43}]}, ["keys_not_usable"]),
            ({"k" * 129: A.key}, ["keys_not_usable"]),
            ({7: A.key}, ["keys_not_usable"]),
            ([A.key] * 4, ["keys_not_usable"]),
            ([A.key, b"no key"], ["key_does_not_fit"]),
            ([{"kty": "EC"}], ["key_does_not_fit"]),
        ],
    )
    def test_sets_are_checked(self, keys, expected):
        """A set in which nothing can be used, or a listed key that cannot, is found at construction."""
        assert codes(keys=keys) == expected

    def test_key_and_keys_exclude_each_other(self):
        """Both at once would leave open which counts."""
        assert codes(key=A.key, keys=[A.key]) == ["key_and_keys"]

    def test_a_key_set_publishes_no_secret(self):
        """HMAC with remote keys is refused: whoever reads them could sign."""
        keys = KeySet("https://a.example/jwks.json")
        assert codes(keys=keys, algorithms=["HS256"]) == ["public_secret"]

    def test_no_key_is_in_any_message(self):
        """What is wrong with a set is said without showing it."""
        with pytest.raises(ConfigurationError) as caught:
            TokenVerifier(keys=["hunter2", "hunter2-hunter2"], algorithms=["HS256"], audience=None)
        assert "hunter2" not in str(caught.value) + repr(caught.value.problems)
