"""Verified tokens are remembered: what gets in, when it ends, and what a hit still checks."""

import json
import threading

import pytest

from asgi_middleware.auth import JWTAuthMiddleware, MemoryRevocationStore, Revocation, TokenError, TokenVerifier
from asgi_middleware.testing import http
from asgi_middleware.testing.tokens import TokenIssuer

NOW = 1_700_000_000
ISSUER = TokenIssuer()


class Clock:
    now = float(NOW)

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


def verifier(clock, **options):
    return TokenVerifier(**{**ISSUER.options, "clock": clock, **options})


def token(**claims):
    given = {"iss": ISSUER.issuer, "aud": ISSUER.audience, "sub": "alice", "iat": NOW, "exp": NOW + 40, **claims}
    return ISSUER.signed(b'{"alg":"HS256"}', json.dumps(given).encode())


def reason(by, given):
    """Give the reason of the refusal, the same from both ways of asking."""
    reasons = set()
    for verify in (by.verify, by.verify_now):
        with pytest.raises(TokenError) as caught:
            verify(given)
        reasons.add(caught.value.reason)
    (found,) = reasons
    return found


def test_a_second_look_costs_no_signature(clock):
    """The same token gives the same object; another spelling of it in another token does not."""
    checked = verifier(clock)
    first = checked.verify(token())
    assert checked.verify(token()) is first
    assert checked.verify(token().decode()) is first
    assert checked.verify_now(token()) is first
    assert checked.verify_now(token().decode()) is first
    assert checked.verify(token(jti="2")) is not first


@pytest.mark.parametrize("cache_size", [0, 1, 1024])
@pytest.mark.parametrize(
    ("claims", "options", "at", "expected"),
    [
        ({}, {"leeway": 0}, NOW + 39.9, None),
        ({}, {"leeway": 0}, NOW + 40, "token_expired"),
        ({}, {}, NOW + 69.9, None),
        ({}, {}, NOW + 70, "token_expired"),
        ({"exp": NOW + 40.9}, {"leeway": 0}, NOW + 40.5, "token_expired"),
        ({"exp": NOW + 5000}, {"max_age": 20}, NOW + 50, "token_too_old"),
        ({"exp": NOW + 5000}, {"max_age": 20}, NOW + 49, None),
        ({}, {}, NOW - 31, "token_not_yet_valid"),
        ({"nbf": NOW}, {"leeway": 0}, NOW - 1, "token_not_yet_valid"),
    ],
)
def test_dates_are_checked_at_each_look(clock, claims, options, at, expected, cache_size):
    """Remembered or not, a token ends and begins at the very same moment."""
    checked = verifier(clock, cache_size=cache_size, **options)
    given = token(**claims)
    first = checked.verify(given)
    clock.now = at
    if expected is None:
        assert checked.verify(given).claims == first.claims
    else:
        assert reason(checked, given) == expected
        assert checked.recall(b"Bearer " + given) is None


@pytest.mark.anyio
async def test_the_dates_of_a_remembered_token_are_checked_at_each_request(clock):
    """A client whose token has ended is refused, however often the same header was good before."""

    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body"})

    guarded = JWTAuthMiddleware(app, verifier=verifier(clock, leeway=0))
    headers = [(b"authorization", b"Bearer " + token())]
    seen = []
    for clock.now in (NOW, NOW + 39.9, NOW + 40, NOW - 1):
        seen.append((await http(guarded, headers=headers)).status)
    assert seen == [200, 200, 401, 401]


@pytest.mark.anyio
async def test_a_header_that_is_too_long_is_not_even_looked_at(clock):
    """Neither the memory nor the verifier is given more than a token may be long; the answer is the usual one."""
    sizes = []

    class Noting(TokenVerifier):
        def recall(self, credentials):
            sizes.append(len(credentials))
            return super().recall(credentials)

        def verify_now(self, given):
            sizes.append(len(given))
            return super().verify_now(given)

    async def app(scope, receive, send):
        pytest.fail("nothing gets through")

    guarded = JWTAuthMiddleware(app, verifier=Noting(**ISSUER.options, clock=clock))
    for size in (100, 1_000_000):
        headers = [(b"authorization", b"Bearer " + b"x" * size)]
        assert (await http(guarded, headers=headers)).status == 401
    assert max(sizes) == 107


@pytest.mark.anyio
async def test_what_is_no_verified_token_is_no_token(clock):
    """A verifier of one's own that gives something else, however like a token, lets nobody in."""

    class StandIn:
        subject = "mallory"

    class Careless(TokenVerifier):
        def verify_now(self, given):
            return StandIn()

    async def app(scope, receive, send):
        pytest.fail("nothing gets through")

    guarded = JWTAuthMiddleware(app, verifier=Careless(**ISSUER.options, clock=clock))
    headers = [(b"authorization", b"Bearer " + token())]
    assert (await http(guarded, headers=headers)).status == 503


def test_an_entry_ends_with_its_time_to_live(clock):
    """After cache_ttl the signature is checked again."""
    checked = verifier(clock, cache_ttl=10)
    first = checked.verify(token())
    clock.now += 9
    assert checked.recall(b"Bearer " + token()) is first
    assert checked.verify(token()) is first
    clock.now += 1
    assert checked.recall(b"Bearer " + token()) is None
    assert checked.verify(token()) is not first


def test_strangers_neither_fill_nor_flush_it(clock):
    """Only what verified gets in: any number of refused tokens leaves the memory as it was."""
    checked = verifier(clock, cache_size=2)
    first = checked.verify(token())
    for number in range(50):
        reason(checked, token()[:-4] + b"%04d" % number)
        reason(checked, ISSUER.forged(jti=str(number)))
        reason(checked, token(exp=NOW - 100, jti=str(number)))
    assert checked.verify(token()) is first
    assert len(checked._cache) == 1


@pytest.mark.parametrize("size", [1, 5, 40])
def test_it_is_bounded(clock, size):
    """However many good tokens come, it holds no more than its size, and the latest among them."""
    checked = verifier(clock, cache_size=size)
    for number in range(200):
        latest = checked.verify(token(jti=str(number)))
        assert len(checked._cache) <= size
    assert checked.verify(token(jti="199")) is latest


def test_no_token_is_kept(clock):
    """What is kept is a digest: neither the token nor a part of its signature."""
    checked = verifier(clock)
    given = token()
    checked.verify(given)
    signature = given.rpartition(b".")[2]
    assert all(signature not in key and len(key) == 32 for key in checked._cache)
    held = [getattr(entry[0], name) for entry in checked._cache.values() for name in ("_claims", "_header", "_scopes")]
    assert signature.decode() not in repr(held)


def test_revocation_is_asked_at_each_look(clock):
    """A token that is remembered and revoked is refused [3.6]."""
    store = MemoryRevocationStore(clock=clock)
    checked = verifier(clock, revocation=store)
    found = checked.verify(token(jti="1"))
    assert checked.verify(token(jti="1")) is found
    assert checked.recall(b"Bearer " + token(jti="1")) is found
    store.revoke(found)
    assert reason(checked, token(jti="1")) == "token_revoked"
    assert checked.recall(b"Bearer " + token(jti="1")) is None
    checked.verify(token(jti="2"))


@pytest.mark.anyio
async def test_a_revoked_token_is_refused_at_the_next_request(clock):
    """Also where the same header was good a moment ago, and where the store has to be asked and waited for [3.6]."""

    class Store:
        revoked = False

        async def is_revoked(self, found):
            return self.revoked

    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body"})

    for store in (MemoryRevocationStore(clock=clock), Store()):
        policy = Revocation(store, cache_ttl=0)
        checked = verifier(clock, revocation=policy)
        guarded = JWTAuthMiddleware(app, verifier=checked)
        headers = [(b"authorization", b"Bearer " + token(jti="1"))]
        assert [(await http(guarded, headers=headers)).status for _ in range(2)] == [200, 200]
        if isinstance(store, Store):
            store.revoked = True
        else:
            store.revoke(checked.verify(token(jti="1")))
        assert (await http(guarded, headers=headers)).status == 401


def test_one_request_cannot_change_what_the_next_one_sees(clock):
    """Lists and objects among the claims are copies, at the first look and at a hit."""
    checked = verifier(clock)
    given = token(roles=["user"], realm={"roles": ["user", {"deep": ["x"]}]}, scope="read")
    for _ in range(3):
        found = checked.verify(given)
        found.claims["roles"].append("admin")
        found.claim("roles").append("admin")
        found.claim("realm")["roles"][1]["deep"].append("y")
        found.claims["realm"]["roles"].clear()
        with pytest.raises(TypeError):
            found.claims["sub"] = "root"
        for name in ("claims", "scopes", "subject", "anything"):
            with pytest.raises(AttributeError):
                setattr(found, name, "root")
        with pytest.raises(TypeError):
            found.header["alg"] = "none"
    assert found.claim("roles") == ["user"]
    assert found.claim("realm") == {"roles": ["user", {"deep": ["x"]}]}
    assert found.scopes is found.scopes
    assert (found.claim("nothing"), found.claim("nothing", 5)) == (None, 5)


def test_validators_are_asked_once_per_remembered_token(clock):
    """A validator's answer is remembered with the token; a refusal is not remembered at all."""
    asked = []

    def wants_tenant(claims):
        asked.append(claims["sub"])
        return claims["tid"] == "t1"

    checked = verifier(clock, validators=[wants_tenant])
    for _ in range(3):
        checked.verify(token(tid="t1"))
        assert reason(checked, token(tid="t2")) == "claims_rejected"
        assert reason(checked, token()) == "claims_rejected"
    assert len(asked) == 1 + 6 + 6


def test_threads_share_it(clock):
    """Threads that fill it beyond its size at once all get their own claims."""
    checked = verifier(clock, cache_size=8)
    tokens = [(str(number), token(sub=str(number))) for number in range(60)]
    wrong = []

    def work():
        for _ in range(5):
            wrong.extend(name for name, given in tokens if checked.verify(given).subject != name)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert len(checked._cache) <= 8 + 8
