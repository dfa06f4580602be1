"""RedisRevocationStore against a real server: what it says, shares and forgets, and what happens when it goes away."""

import asyncio
import os
import signal
import threading
import time

import anyio
import pytest
import redis

from asgi_middleware.auth import RedisRevocationStore, Revocation, TokenError, TokenVerifier, Unavailable
from asgi_middleware.testing.tokens import TokenIssuer

pytestmark = pytest.mark.anyio
ISSUER = TokenIssuer()
OTHER = TokenIssuer(issuer="https://other.example")
VERIFIER = TokenVerifier(**ISSUER.options)
NOW = int(time.time())


def token(issuer=ISSUER, **claims):
    text = issuer.token(**{"jti": "1", "sid": "s", "iat": NOW, **claims})
    return TokenVerifier(**issuer.options).verify(text)


async def outcome(awaitable):
    try:
        return await awaitable
    except (TokenError, Unavailable) as error:
        return error.reason


@pytest.fixture
async def store(server):
    made = RedisRevocationStore(server.url)
    yield made
    await made.aclose()


@pytest.fixture
def raw(server):
    with redis.Redis.from_url(server.url) as client:
        yield client


@pytest.mark.parametrize(
    ("revoke", "revoked"),
    [
        (lambda store: store.revoke(token()), {"the token"}),
        (lambda store: store.revoke_id(ISSUER.issuer, "1"), {"the token"}),
        (lambda store: store.revoke_id(OTHER.issuer, "1"), {"another issuer's"}),
        (lambda store: store.revoke_id(None, "1"), set()),
        (lambda store: store.revoke_subject(ISSUER.issuer, "alice", before=NOW), {"the token", "another id", "no id"}),
        (lambda store: store.revoke_subject(ISSUER.issuer, "alice", before=NOW - 1), set()),
        (lambda store: store.revoke_session(ISSUER.issuer, "s"), {"the token", "another id", "no id", "another user"}),
    ],
)
async def test_what_is_revoked(store, revoke, revoked):
    """An id, a subject up to a time or a session is revoked for one issuer, as in memory."""
    tokens = {
        "the token": token(),
        "another id": token(jti="2"),
        "no id": token(jti=None),
        "another user": token(jti="2", sub="bob"),
        "another session": token(iat=NOW + 1, jti="2", sid="t"),
        "another issuer's": token(OTHER),
    }
    assert [name for name, each in tokens.items() if await store.is_revoked(each)] == []
    await revoke(store)
    assert {name for name, each in tokens.items() if await store.is_revoked(each)} == revoked


async def test_one_token_costs_one_command(store, raw):
    """Id, subject and session are looked up in one round trip [3.6]."""
    await store.is_revoked(token())
    before = raw.info("commandstats").get("cmdstat_mget", {}).get("calls", 0)
    total = raw.info("stats")["total_commands_processed"]
    await store.is_revoked(token())
    assert raw.info("commandstats")["cmdstat_mget"]["calls"] == before + 1
    assert raw.info("stats")["total_commands_processed"] <= total + 4  # the three of this test, and the one


async def test_a_token_without_names_costs_nothing(store, raw):
    """A token that has neither id nor subject nor session is not asked for."""
    assert not await store.is_revoked(token(jti=None, sub=None, sid=None))
    assert "cmdstat_mget" not in raw.info("commandstats")


async def test_nothing_in_clear_stands_in_the_store(store, raw):
    """Keys are digests under one hash tag, values are times, and each ends by itself."""
    await store.revoke(token(exp=NOW + 100))
    await store.revoke_subject(ISSUER.issuer, "alice")
    await store.revoke_session(ISSUER.issuer, "s")
    keys = raw.keys("*")
    assert len(keys) == 3
    for key in keys:
        assert key.startswith(b"{revoked}:")
        assert b"alice" not in key
        assert b"issuer.example" not in key
        assert raw.ttl(key) > 0
    assert sorted(raw.ttl(key) > 1000 for key in keys) == [False, True, True]


async def test_the_later_cut_off_wins(store):
    """Two cut-offs for one subject leave the later one, in whatever order they come."""
    await store.revoke_subject(ISSUER.issuer, "alice", before=NOW)
    await store.revoke_subject(ISSUER.issuer, "alice", before=NOW - 100)
    assert await store.is_revoked(token())
    assert not await store.is_revoked(token(iat=NOW + 1, jti="2", sid="t"))


async def test_names_cannot_be_made_to_look_alike(store):
    """Where issuer ends and name begins is unmistakable."""
    await store.revoke_id("https://issuer.example1", "")
    await store.revoke_id("https://issuer.exampl", "e1")
    assert not await store.is_revoked(token())


async def test_a_token_without_id_cannot_be_revoked_by_it(store):
    """The error says what to do instead."""
    with pytest.raises(ValueError, match="by its subject or session"):
        await store.revoke(token(jti=None))


async def test_two_stores_share_what_is_revoked(server, store):
    """What one process revokes the others refuse; a prefix keeps services apart."""
    second, third = RedisRevocationStore(server.url), RedisRevocationStore(server.url, prefix="other")
    await store.revoke(token())
    assert await second.is_revoked(token())
    assert not await third.is_revoked(token())
    await second.aclose()
    await third.aclose()


async def test_many_requests_at_once(server, store):
    """300 requests at once get their answers over at most 20 connections."""
    await store.revoke_id(ISSUER.issuer, "7")
    answers = {}

    async def one(number):
        answers[number] = await store.is_revoked(token(jti=str(number)))

    async with anyio.create_task_group() as group:
        for number in range(300):
            group.start_soon(one, number)
    assert {number for number, answer in answers.items() if answer} == {7}
    with redis.Redis.from_url(server.url) as client:
        assert len(client.client_list()) <= 21


@pytest.mark.parametrize("policy", ["refuse", "last_answer", "accept"])
@pytest.mark.parametrize("trouble", ["kill", "freeze"])
async def test_a_server_that_is_killed_or_frozen_in_mid_run(server, store, trouble, policy):
    """Requests end within the time-out by the policy, most of them at once, and all is well after it comes back."""
    verifier = TokenVerifier(**ISSUER.options, revocation=Revocation(store, timeout=0.2, cache_ttl=0, on_error=policy))
    await store.revoke_id(ISSUER.issuer, "bad")
    known, fresh, bad = (ISSUER.token(jti=jti) for jti in ("known", "fresh", "bad"))
    assert (await verifier.verify_async(known)).subject == "alice"
    assert await outcome(verifier.verify_async(bad)) == "token_revoked"
    found = await verifier.verify_async(known)
    getattr(server, trouble)()
    refused, good = "revocation_unavailable", "alice"
    expected = {
        "refuse": (refused, refused),
        "last_answer": (good, refused),
        "accept": (good, good),
    }[policy]
    begun = time.monotonic()
    for _ in range(50):
        outcomes = []
        for text in (known, fresh):
            answer = await outcome(verifier.verify_async(text))
            outcomes.append(answer if isinstance(answer, str) else answer.subject)
        assert tuple(outcomes) == expected
        assert await outcome(verifier.verify_async(bad)) == "token_revoked"
    assert time.monotonic() - begun < 2
    assert await outcome(verifier.recheck(found)) == (None if policy != "refuse" else refused)
    if trouble == "kill":
        server.start()
    else:
        server.thaw()
    with anyio.fail_after(10):
        while await outcome(verifier.verify_async(ISSUER.token(jti="later"))) == refused:  # noqa: ASYNC110 -- no event
            await anyio.sleep(0.05)
    assert (await verifier.verify_async(known)).subject == "alice"


async def test_requests_that_wait_when_the_server_is_frozen_all_end(server, store):
    """100 requests in flight at the freeze end within the time-out; none hangs."""
    asking = Revocation(store, timeout=0.2, cache_ttl=0)
    await asking.ask(token())
    server.freeze()
    reasons = []

    async def one(number):
        reasons.append(await outcome(asking.ask(token(jti=str(number)))))

    begun = time.monotonic()
    async with anyio.create_task_group() as group:
        for number in range(100):
            group.start_soon(one, number)
    assert time.monotonic() - begun < 2
    assert reasons == ["revocation_unavailable"] * 100
    server.thaw()


def test_several_event_loops_use_one_store(server):
    """Threads with event loops of their own, asyncio and trio, each get their connections."""
    store = RedisRevocationStore(server.url)
    answers = []

    async def one():
        await store.revoke_id(ISSUER.issuer, "1")
        answers.append(await store.is_revoked(token()))
        await store.aclose()

    threads = [
        threading.Thread(target=anyio.run, args=(one,), kwargs={"backend": backend})
        for backend in ("asyncio", "trio") * 2
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [True] * 4


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_opens_connections_of_its_own(server):
    """After a fork parent and child both get right answers, also in turns."""
    store = RedisRevocationStore(server.url)

    async def work():
        await store.revoke_id(ISSUER.issuer, "1")
        assert await store.is_revoked(token())
        assert not await store.is_revoked(token(jti="2"))

    with asyncio.Runner() as runner:
        runner.run(work())
        anyio.run(work, backend="trio")
        child = os.fork()
        if child == 0:
            signal.alarm(10)
            code = 1
            try:
                anyio.run(work, backend="trio")
                asyncio.run(work())
                code = 0
            finally:
                os._exit(code)
        runner.run(work())
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        anyio.run(work, backend="trio")
        runner.run(store.aclose())


def test_the_repr_shows_no_address(server):
    """The address may hold a password."""
    assert repr(RedisRevocationStore("redis://:hunter2@127.0.0.1:1/0")) == "RedisRevocationStore(prefix='revoked')"
    assert RedisRevocationStore("valkey://127.0.0.1/0")._url == "redis://127.0.0.1/0"
    assert RedisRevocationStore("valkeys://127.0.0.1/0")._url == "rediss://127.0.0.1/0"
