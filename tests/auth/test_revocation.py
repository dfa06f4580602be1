"""Revocation: by id, subject and session, asked briefly, and what happens while the store fails."""

import pickle

import anyio
import pytest

from asgi_middleware import ConfigurationError
from asgi_middleware.auth import (
    MemoryRevocationStore,
    RedisRevocationStore,
    Revocation,
    RevocationStore,
    TokenError,
    TokenVerifier,
    Unavailable,
)
from asgi_middleware.testing.tokens import TokenIssuer

pytestmark = pytest.mark.anyio
NOW = 1_700_000_000
ISSUER = TokenIssuer()
OTHER = TokenIssuer(issuer="https://other.example")
VERIFIER = TokenVerifier(**ISSUER.options)


class Clock:
    now = float(NOW)

    def __call__(self):
        return self.now


class Slow:
    """A store in which a test sets what happens."""

    def __init__(self):
        self.asked = 0
        self.answer = False
        self.closed = False

    async def is_revoked(self, token):
        self.asked += 1
        if self.answer == "hang":
            await anyio.sleep_forever()
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    async def aclose(self):
        self.closed = True
        raise OSError


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def slow():
    return Slow()


def token(**claims):
    return VERIFIER.verify(ISSUER.token(**{"jti": "1", "sid": "s", **claims}))


async def outcome(awaitable):
    try:
        return await awaitable
    except (TokenError, Unavailable) as error:
        return error.reason


@pytest.mark.parametrize(
    ("revoke", "revoked"),
    [
        (lambda store: store.revoke(token()), {"the token"}),
        (lambda store: store.revoke_id(ISSUER.issuer, "1"), {"the token"}),
        (lambda store: store.revoke_id("https://other.example", "1"), {"another issuer's"}),
        (lambda store: store.revoke_id(None, "1"), set()),
        (lambda store: store.revoke_subject(ISSUER.issuer, "alice", before=NOW), {"the token", "another id", "no id"}),
        (lambda store: store.revoke_subject(ISSUER.issuer, "alice", before=NOW - 1), set()),
        (lambda store: store.revoke_session(ISSUER.issuer, "s"), {"the token", "another id", "no id", "another user"}),
    ],
)
def test_what_is_revoked(clock, revoke, revoked):
    """An id, a subject up to a time or a session is revoked for one issuer, and nothing beside it."""
    store = MemoryRevocationStore(clock=clock)
    assert not store.known(token(iat=NOW))
    revoke(store)
    tokens = {
        "the token": token(iat=NOW),
        "another id": token(iat=NOW, jti="2"),
        "no id": token(iat=NOW, jti=None),
        "another user": token(iat=NOW, jti="2", sub="bob"),
        "another session": token(iat=NOW + 1, jti="2", sid="t"),
        "another issuer's": TokenVerifier(**OTHER.options).verify(OTHER.token(iat=NOW, jti="1", sid="s")),
    }
    assert {name for name, each in tokens.items() if store.known(each)} == revoked


def test_what_was_issued_afterwards_is_good(clock):
    """A cut-off holds for the second it fell into and before; a token that does not say when is revoked."""
    store = MemoryRevocationStore(clock=clock)
    clock.now = NOW + 0.7
    store.revoke_subject(ISSUER.issuer, "alice")
    assert store.known(token(iat=NOW))
    assert not store.known(token(iat=NOW + 1))
    assert store.known(token(iat=None))
    store.revoke_subject(ISSUER.issuer, "alice", before=NOW - 100)
    assert store.known(token(iat=NOW))


def test_a_revocation_ends_when_no_token_can_live(clock):
    """Entries are dropped after the retention, or after the token's own expiry, and cost no memory without end."""
    store = MemoryRevocationStore(retention=60, clock=clock)
    store.revoke_subject(ISSUER.issuer, "alice")
    store.revoke(token(exp=NOW + 4_000_000_000, sub="bob"))
    clock.now += 59
    assert store.known(token(iat=NOW, jti=None, sid=None))
    clock.now += 1
    assert not store.known(token(iat=NOW, jti=None, sid=None))
    assert store.known(token())
    for number in range(5000):
        clock.now += 1
        store.revoke_id(None, str(number))
        assert len(store._entries) <= 1100
    assert store.known(token())


def test_a_token_without_id_cannot_be_revoked_by_it():
    """The error says what to do instead, and names nothing of the token."""
    with pytest.raises(ValueError, match="by its subject or session"):
        MemoryRevocationStore().revoke(token(jti=None))


async def test_a_store_is_asked_once_in_a_while(slow, clock):
    """An answer is believed for cache_ttl, "revoked" for a minute [3.6]."""
    asking = Revocation(slow, cache_ttl=2, clock=clock)
    for _ in range(5):
        assert await asking.ask(token(iat=NOW)) is False
    assert slow.asked == 1
    clock.now += 2
    slow.answer = True
    assert asking.known(token(iat=NOW)) is None
    assert await asking.ask(token(iat=NOW)) is True
    slow.answer = False
    clock.now += 59
    assert asking.known(token(iat=NOW)) is True
    assert slow.asked == 2
    clock.now += 1
    assert await asking.ask(token(iat=NOW)) is False


async def test_every_token_has_its_own_answer(slow, clock):
    """An answer for one token is never taken for another."""
    asking = Revocation(slow, cache_ttl=60, clock=clock)
    tokens = [
        token(**{"iat": NOW, **claims}) for claims in ({}, {"jti": "2"}, {"sub": "bob"}, {"sid": "t"}, {"iat": NOW + 1})
    ]
    tokens.append(TokenVerifier(**OTHER.options).verify(OTHER.token(iat=NOW, jti="1", sid="s")))
    for each in tokens:
        await asking.ask(each)
    assert slow.asked == len(tokens)


@pytest.mark.parametrize("failure", [OSError("10.0.0.7"), RuntimeError("alice"), "hang", None, 1, "yes"])
@pytest.mark.parametrize(
    ("policy", "never_asked", "was_good", "was_revoked"),
    [
        ("refuse", "revocation_unavailable", "revocation_unavailable", True),
        ("last_answer", "revocation_unavailable", False, True),
        ("accept", False, False, True),
    ],
)
async def test_while_the_store_fails(slow, clock, caplog, failure, policy, never_asked, was_good, was_revoked):
    """A store that fails, hangs or says nonsense is a failure: what follows is up to the policy, and fails closed."""
    asking = Revocation(slow, timeout=0.02, cache_ttl=1, on_error=policy, clock=clock)
    await asking.ask(token(iat=NOW, jti="good"))
    slow.answer = True
    await asking.ask(token(iat=NOW, jti="revoked"))
    slow.answer = failure
    clock.now += 70
    for jti, expected in (("never", never_asked), ("good", was_good), ("revoked", was_revoked)):
        assert await outcome(asking.ask(token(iat=NOW, jti=jti))) == expected
        clock.now += 2
    assert caplog.text == ""


async def test_what_a_store_raises_does_not_travel(slow, clock):
    """The text of a store's error may quote a claim: it is not the context of ours, nor does `known` let it out."""

    def known(_token):
        raise OSError("alice")

    slow.known = known
    slow.answer = OSError("alice")
    with pytest.raises(Unavailable) as caught:
        await Revocation(slow, clock=clock).ask(token(iat=NOW))
    assert (caught.value.__context__, caught.value.__cause__) == (None, None)
    slow.answer = True
    assert await Revocation(slow, clock=clock).ask(token(iat=NOW)) is True


async def test_a_store_that_failed_is_left_alone_for_a_second(slow, clock):
    """Of 100 requests while it is down one asks it in a second; then it is asked again."""
    asking = Revocation(slow, clock=clock)
    slow.answer = OSError()
    for number in range(100):
        assert await outcome(asking.ask(token(iat=NOW, jti=str(number)))) == "revocation_unavailable"
    assert slow.asked == 1
    clock.now += 1
    slow.answer = False
    assert await asking.ask(token(iat=NOW)) is False
    assert slow.asked == 2


async def test_answers_cost_no_memory_without_end(slow, clock, monkeypatch):
    """However many tokens are asked for, a bounded number of answers is kept."""
    monkeypatch.setattr("asgi_middleware.auth.revocation._MOST_ANSWERS", 10)
    asking = Revocation(slow, clock=clock)
    for number in range(50):
        await asking.ask(token(iat=NOW, jti=str(number)))
        assert len(asking._answers) <= 10


class TestVerifier:
    async def test_a_store_over_the_network_is_awaited(self, slow):
        """verify_now says that waiting is needed, verify_async waits, and then both know."""
        checked = TokenVerifier(**ISSUER.options, revocation=Revocation(slow, cache_ttl=60))
        given = ISSUER.token(jti="1")
        assert checked.verify_now(given) is None
        with pytest.raises(Unavailable) as caught:
            checked.verify(given)
        assert caught.value.reason == "revocation_unavailable"
        found = await checked.verify_async(given)
        assert checked.verify_now(given) is found
        assert checked.verify(given) is found
        assert slow.asked == 1

    async def test_a_revoked_token_is_refused_everywhere(self, slow):
        """By verify_async, then from memory by verify, verify_now and recheck."""
        checked = TokenVerifier(**ISSUER.options, revocation=slow)
        given = ISSUER.token(jti="1")
        slow.answer = True
        assert await outcome(checked.verify_async(given)) == "token_revoked"
        for verify in (checked.verify, checked.verify_now):
            with pytest.raises(TokenError) as caught:
                verify(given)
            assert caught.value.reason == "token_revoked"
        assert await outcome(checked.recheck(VERIFIER.verify(given))) == "token_revoked"

    async def test_a_bad_token_is_not_asked_for(self, slow):
        """Only a token that is good otherwise costs a question."""
        checked = TokenVerifier(**ISSUER.options, revocation=slow)
        for given in (ISSUER.forged(), ISSUER.expired(), "x"):
            with pytest.raises(TokenError):
                await checked.verify_async(given)
        assert slow.asked == 0

    async def test_rechecks_says_whether_there_is_a_store(self, slow):
        """Without a store recheck refuses nothing."""
        assert TokenVerifier(**ISSUER.options, revocation=slow).rechecks
        assert not VERIFIER.rechecks
        assert await VERIFIER.recheck(token()) is None

    async def test_aclose_closes_the_store_and_raises_nothing(self, slow):
        """A store that fails to close does not keep an app from stopping."""
        await TokenVerifier(**ISSUER.options, revocation=slow).aclose()
        assert slow.closed
        await TokenVerifier(**ISSUER.options, revocation=MemoryRevocationStore()).aclose()
        await VERIFIER.aclose()


@pytest.mark.parametrize(
    ("make", "codes"),
    [
        (lambda: Revocation(5), ["not_a_store"]),
        (lambda: Revocation(Slow(), timeout=0, cache_ttl=61), ["out_of_range", "out_of_range"]),
        (lambda: Revocation(Slow(), on_error="ignore", clock=5), ["unknown_choice", "not_callable"]),
        (lambda: MemoryRevocationStore(retention=1, clock=5), ["out_of_range", "not_callable"]),
        (lambda: TokenVerifier(**ISSUER.options, revocation=5), ["not_a_store"]),
        (lambda: RedisRevocationStore("http://secret@host"), ["not_an_address"]),
        (
            lambda: RedisRevocationStore("redis://h", prefix="{", retention=1, max_connections=0, timeout=0, clock=5),
            ["not_a_prefix", "out_of_range", "out_of_range", "out_of_range", "not_callable"],
        ),
    ],
)
def test_options_are_checked(make, codes):
    """Wrong options are found at construction, and no address is shown."""
    with pytest.raises(ConfigurationError) as caught:
        make()
    assert [problem.code for problem in caught.value.problems] == codes
    assert "secret" not in str(caught.value)


def test_stores_are_told_by_their_method():
    """Any object with the one method is a store."""
    assert isinstance(Slow(), RevocationStore)
    assert isinstance(MemoryRevocationStore(), RevocationStore)
    assert repr(Revocation(Slow())) == "Revocation(Slow, on_error='refuse')"
    assert repr(MemoryRevocationStore()) == "<MemoryRevocationStore of 0>"


def test_unavailable_crosses_processes():
    """It is rebuilt from reason and time, which is whole seconds, rounded up."""
    for seconds, expected in ((0.0, 1), (0.2, 1), (1.0, 1), (1.1, 2), (60, 60), (-5, 1)):
        copy = pickle.loads(pickle.dumps(Unavailable("keys_unavailable", seconds)))
        assert (copy.reason, copy.retry_after, str(copy)) == ("keys_unavailable", expected, "keys_unavailable")
