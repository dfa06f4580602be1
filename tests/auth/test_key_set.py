"""KeySet: one fetch for all, kept fresh, bounded in every direction, on asyncio and trio."""

import json
import logging
import time

import anyio
import anyio.lowlevel
import pytest

from asgi_middleware import ConfigurationError
from asgi_middleware.auth import JWTAuthMiddleware, KeySet, TokenError, TokenVerifier, Unavailable
from asgi_middleware.auth.fetching import FetchError, Response
from asgi_middleware.testing import http
from asgi_middleware.testing.tokens import TokenIssuer

pytestmark = pytest.mark.anyio
URL = "https://issuer.example/jwks.json"


class Provider:
    """A provider whose answers and clock a test sets; `reads` counts what was asked of it."""

    def __init__(self, algorithm="ES256"):
        self.issuer = TokenIssuer(algorithm, kid="a")
        self.reads = 0
        self.fails = False
        self.answer = None
        self.seconds = 1000.0
        self.gate = None

    async def fetch(self, url):
        self.reads += 1
        published = self.issuer.jwks if self.answer is None else self.answer
        if self.gate is not None:
            await self.gate.wait()
        if self.fails:
            raise OSError("no route to the provider at 10.0.0.7")
        return published

    def clock(self):
        return self.seconds

    def keys(self, url=URL, **options):
        return KeySet(url, **{"fetch": self.fetch, "clock": self.clock, **options})

    def verifier(self, keys=None, **options):
        own = {key: value for key, value in self.issuer.options.items() if key != "key"}
        return TokenVerifier(**{**own, "keys": self.keys() if keys is None else keys, **options})


@pytest.fixture
def provider():
    return Provider()


async def outcome(verifier, token):
    try:
        return (await verifier.verify_async(token)).subject
    except (TokenError, Unavailable) as error:
        return error.reason


async def settle():
    for _ in range(10):
        await anyio.lowlevel.checkpoint()


async def test_a_thousand_callers_on_a_cold_set_make_one_fetch(provider):
    """1000 concurrent verifications before there are keys cause exactly one fetch [3.3]."""
    provider.gate = anyio.Event()
    verifier = provider.verifier()
    token = provider.issuer.token()
    subjects = []

    async def one():
        subjects.append(await outcome(verifier, token))

    async with anyio.create_task_group() as group:
        for _ in range(1000):
            group.start_soon(one)
        await settle()
        provider.gate.set()
    assert subjects == ["alice"] * 1000
    assert provider.reads == 1


async def test_a_thousand_requests_on_a_cold_set_make_one_fetch(provider):
    """1000 concurrent requests through the middleware cause one fetch; without any key the answer is 503 [3.3]."""

    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    guarded = JWTAuthMiddleware(app, verifier=provider.verifier())
    header = provider.issuer.authorization()
    statuses = []

    async def one():
        result = await http(guarded, headers=[header])
        statuses.append((result.status, result.header(b"retry-after")))

    async def thousand():
        provider.gate = anyio.Event()
        async with anyio.create_task_group() as group:
            for _ in range(1000):
                group.start_soon(one)
            await settle()
            provider.gate.set()

    provider.fails = True
    await thousand()
    assert statuses == [(503, b"2")] * 1000
    assert provider.reads == 1
    provider.fails = False
    provider.seconds += 2
    statuses.clear()
    await thousand()
    assert statuses == [(204, None)] * 1000
    assert provider.reads == 2


async def test_a_thousand_unknown_key_ids_make_one_fetch(provider):
    """1000 distinct unknown ids within the cooldown cause one fetch at most, and each is refused [3.3]."""
    verifier = provider.verifier()
    await verifier.warm_up()
    strangers = [provider.issuer.token(headers={"kid": str(number)}) for number in range(1000)]
    found = []

    async def one(token):
        found.append(await outcome(verifier, token))

    async with anyio.create_task_group() as group:
        for token in strangers:
            group.start_soon(one, token)
    assert found == ["key_unknown"] * 1000
    assert provider.reads == 2
    provider.seconds += 29
    assert await outcome(verifier, provider.issuer.token(headers={"kid": "1000"})) == "key_unknown"
    assert provider.reads == 2


async def test_a_rotated_key_is_found_at_its_first_token(provider):
    """A new id brings one refresh, also a moment after start-up; the old key stays good while published."""
    verifier = provider.verifier()
    old = provider.issuer.token()
    assert await outcome(verifier, old) == "alice"
    provider.issuer.rotate()
    assert verifier.verify_now(provider.issuer.token()) is None
    assert await outcome(verifier, provider.issuer.token()) == "alice"
    assert verifier.verify_now(old).subject == "alice"
    assert provider.reads == 2


async def test_a_fetch_that_was_under_way_is_not_the_answer(provider):
    """A token that names a new key while older ones are being fetched causes a further fetch, and is good."""
    keys = provider.keys()
    verifier = provider.verifier(keys)
    await verifier.warm_up()
    provider.seconds += 500
    provider.gate = anyio.Event()
    keys.start()
    await settle()
    provider.issuer.rotate()
    found = []

    async def one():
        found.append(await outcome(verifier, provider.issuer.token()))

    async with anyio.create_task_group() as group:
        group.start_soon(one)
        await settle()
        provider.gate.set()
    assert found == ["alice"]
    assert provider.reads == 3


async def test_a_withdrawn_key_verifies_nothing_and_its_remembered_tokens_are_dropped(provider):
    """A refresh replaces the set: also a token that was remembered under the key that is gone is refused [3.3]."""
    verifier = provider.verifier()
    old = provider.issuer.token()
    assert await outcome(verifier, old) == "alice"
    assert verifier.verify_now(old).subject == "alice"
    header = b"Bearer " + old.encode()
    assert verifier.recall(header).subject == "alice"
    provider.issuer.rotate(keep=False)
    provider.seconds += 31
    assert await outcome(verifier, provider.issuer.token()) == "alice"
    assert verifier.recall(header) is None
    assert await outcome(verifier, old) == "key_unknown"


async def test_the_same_set_again_drops_nothing(provider):
    """Remembered tokens and headers live through a refresh that brings the same keys."""
    keys = provider.keys()
    verifier = provider.verifier(keys)
    first = await verifier.verify_async(provider.issuer.token(jti="1"))
    token = provider.issuer.token(jti="1", iat=int(first.issued_at))
    first = await verifier.verify_async(token)
    provider.seconds += 500
    await keys.refresh()
    assert provider.reads == 2
    assert verifier.verify_now(token) is first


async def test_who_comes_late_starts_no_second_fetch(provider):
    """Who saw that keys were missing, and asks after they came, causes no fetch; ids within a cooldown cause one."""
    keys = provider.keys()
    for key_id in ("b", "b", "c"):
        await keys.refresh()
        keys.start()
        await keys.look_for(key_id)
        await settle()
        assert provider.reads == 2
    assert repr(keys) == "<KeySet: 1 keys>"


async def test_an_absent_key_id_is_not_looked_for_again_at_once(provider):
    """An id that a fetch did not bring causes no further fetch for five minutes, other ids one per cooldown."""
    verifier = provider.verifier()
    await verifier.warm_up()
    stranger = provider.issuer.token(headers={"kid": "x"})
    provider.seconds += 31
    assert await outcome(verifier, stranger) == "key_unknown"
    provider.seconds += 31
    assert await outcome(verifier, stranger) == "key_unknown"
    assert provider.reads == 2
    assert await outcome(verifier, provider.issuer.token(headers={"kid": "y"})) == "key_unknown"
    assert provider.reads == 3
    provider.seconds += 300
    assert await outcome(verifier, stranger) == "key_unknown"
    assert provider.reads == 4


async def test_absent_key_ids_cost_no_memory_without_end(provider):
    """However many ids are asked for, only some hundreds are remembered."""
    keys = provider.keys(cooldown=1)
    verifier = provider.verifier(keys)
    for number in range(400):
        provider.seconds += 1
        await outcome(verifier, provider.issuer.token(headers={"kid": str(number)}))
    assert len(keys._absent) <= 256


async def test_a_cold_set_without_provider_is_unavailable_and_tries_once_per_window(provider):
    """Without any key the answer is "unavailable", with one attempt in each back-off window, which grows [3.3]."""
    provider.fails = True
    verifier = provider.verifier()
    token = provider.issuer.token()
    for _ in range(100):
        assert await outcome(verifier, token) == "keys_unavailable"
    assert provider.reads == 1
    with pytest.raises(Unavailable) as caught:
        verifier.verify_now(token)
    assert caught.value.retry_after == 2
    waits = []
    for _ in range(7):
        provider.seconds += caught.value.retry_after
        with pytest.raises(Unavailable):
            await verifier.verify_async(token)
        with pytest.raises(Unavailable) as caught:
            verifier.verify_now(token)
        waits.append(caught.value.retry_after)
    assert waits == [4, 8, 16, 32, 60, 60, 60]
    assert provider.reads == 8
    provider.fails = False
    provider.seconds += 60
    assert await outcome(verifier, token) == "alice"


async def test_keys_stay_in_use_while_the_provider_is_down_and_no_longer_than_allowed(provider):
    """Stale keys serve for `stale` seconds beyond their time; then nothing does, remembered tokens neither [3.3]."""
    verifier = provider.verifier(provider.keys(ttl=600, stale=900))
    token = provider.issuer.token()
    assert await outcome(verifier, token) == "alice"
    provider.fails = True
    for seconds in (599, 1, 898):
        provider.seconds += seconds
        assert verifier.verify_now(token).subject == "alice"
        await settle()
    assert provider.reads > 1
    provider.seconds += 3
    assert await outcome(verifier, token) == "keys_unavailable"


async def test_an_unknown_key_id_while_the_provider_is_down_is_unavailable(provider):
    """Whether a new id is good cannot be said while no fetch succeeds: 503, so that no good token is thrown away."""
    verifier = provider.verifier()
    await verifier.warm_up()
    provider.fails = True
    provider.issuer.rotate()
    provider.seconds += 31
    assert await outcome(verifier, provider.issuer.token()) == "keys_unavailable"
    assert await outcome(verifier, provider.issuer.token()) == "keys_unavailable"
    assert provider.reads == 2
    provider.fails = False
    provider.seconds += 2  # the back-off, not the cooldown: a fetch that failed answered nothing
    assert await outcome(verifier, provider.issuer.token()) == "alice"
    assert provider.reads == 3


async def test_a_refresh_runs_ahead_and_nobody_waits(provider):
    """At four fifths of the time to live a refresh begins in the background, once, while requests go on [3.3]."""
    verifier = provider.verifier(provider.keys(ttl=600))
    token = provider.issuer.token()
    assert await outcome(verifier, token) == "alice"
    provider.gate = anyio.Event()
    provider.seconds += 479
    verifier.verify_now(token)
    await settle()
    assert provider.reads == 1
    provider.seconds += 1
    for _ in range(20):
        assert verifier.verify_now(token).subject == "alice"
        await settle()
    assert provider.reads == 2
    provider.gate.set()
    await settle()
    provider.seconds += 400
    assert verifier.verify_now(token).subject == "alice"
    assert provider.reads == 2


async def test_cancelling_a_waiter_leaves_the_fetch_alone(provider):
    """A request that goes away does not take the shared fetch with it [3.3]."""
    provider.gate = anyio.Event()
    verifier = provider.verifier()
    token = provider.issuer.token()
    found = []

    async def one():
        found.append(await outcome(verifier, token))

    async with anyio.create_task_group() as group:
        async with anyio.create_task_group() as leaving:
            leaving.start_soon(one)
            await settle()
            leaving.cancel_scope.cancel()
        group.start_soon(one)
        await settle()
        provider.gate.set()
    assert found == ["alice"]
    assert provider.reads == 1


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"<html>maintenance</html>",
        b"[]",
        b"{}",
        b'{"keys": []}',
        b'{"keys": {}}',
        b'{"keys": [], "keys": [{"kty": "RSA"}]}',
        b'{"keys": [' + b'{"kty":"oct"},' * 80_000 + b"{}]}",
        "\u00e9".encode("utf-16"),
        None,
        7,
    ],
)
async def test_no_bad_answer_replaces_good_keys(provider, answer):
    """Empty, broken, oversized and foreign answers are failures; what was known stays in use [3.3]."""
    keys = provider.keys()
    verifier = provider.verifier(keys)
    assert await outcome(verifier, provider.issuer.token()) == "alice"
    provider.answer = answer if answer is not None else 0
    provider.seconds += 500
    await keys.refresh()
    assert provider.reads == 2
    assert await outcome(verifier, provider.issuer.token()) == "alice"


async def test_one_bad_key_does_not_lose_the_others(provider):
    """Members of a set that are no keys, or none for us, are left out [3.3]."""
    good = provider.issuer.jwks["keys"][0]
    provider.answer = {
        "keys": [
            None,
            7,
            {},
            {"kty": "EC", "kid": "a", "crv": "P-256", "x": "!", "y": "!"},
            {**good, "kid": ["a"]},
            {**good, "kid": "k" * 129},
            {**good, "use": "enc"},
            {**good, "alg": "ES512"},
            TokenIssuer("RS256").jwks["keys"][0],
            good,
        ]
    }
    assert await outcome(provider.verifier(), provider.issuer.token()) == "alice"


async def test_text_bytes_and_mappings_are_taken_from_a_fetcher(provider):
    """A fetcher of the user's own may give the document in any of three forms."""
    for form in (dict, json.dumps, lambda document: json.dumps(document).encode()):
        provider.answer = form(provider.issuer.jwks)
        assert await outcome(provider.verifier(), provider.issuer.token()) == "alice"


async def test_a_plain_function_is_called_in_a_thread(provider):
    """A fetcher that blocks does not block the event loop."""
    import threading

    threads = []

    def fetch(url):
        threads.append(threading.current_thread())
        return provider.issuer.jwks

    assert await outcome(provider.verifier(provider.keys(fetch=fetch)), provider.issuer.token()) == "alice"
    assert threads[0] is not threading.current_thread()
    assert threads[0].daemon


async def test_a_fetch_that_hangs_ends(provider):
    """A fetcher that does not come back is given up after the time-out."""
    provider.gate = anyio.Event()
    with anyio.fail_after(3):
        assert await outcome(provider.verifier(provider.keys(timeout=0.1)), provider.issuer.token()) == (
            "keys_unavailable"
        )


def test_the_time_out_is_for_all_steps_together():
    """Metadata that are slow leave less time for the keys, and none when they took it all: one time-out for all."""
    issuer = TokenIssuer("RS256")
    given = []

    def get(url, headers, timeout):
        given.append(timeout)
        time.sleep(0.06)
        if "openid" in url:
            raise FetchError("not here")
        return Response(200, {}, json.dumps(issuer.metadata if "oauth" in url else issuer.jwks).encode())

    for timeout, reads in ((10, 3), (0.1, 2)):
        given.clear()
        keys = KeySet(discover=issuer.issuer, timeout=timeout)
        keys._get = get
        keys.load()
        assert len(given) == reads
        assert given == sorted(given, reverse=True)
        assert given[0] <= timeout
        assert given[1] <= timeout - 0.06
        assert repr(keys) == f"<KeySet: {'1' if reads == 3 else 'no'} keys>"


async def test_a_fetch_whose_event_loop_died_keeps_no_key_in_use(monkeypatch):
    """A background refresh that never ends is given up, so that keys are not used for longer than they are fresh."""
    issuer = TokenIssuer("RS256", kid="old")
    now, fetched, gates = [0.0], [], [anyio.Event(), anyio.Event(), anyio.Event()]
    gates[0].set()
    gates[2].set()

    async def fetch(url):
        fetched.append(url)
        document = issuer.jwks
        await gates[len(fetched) - 1].wait()
        return document

    keys = KeySet("https://idp.example/jwks.json", fetch=fetch, clock=lambda: now[0], ttl=60)
    await keys.refresh()
    first = keys.current()
    now[0] = 50
    keys.current()
    await anyio.wait_all_tasks_blocked()
    monkeypatch.setattr("asgi_middleware.auth.flight.Flight.is_lost", lambda _: len(fetched) == 2)
    issuer.rotate(keep=False)
    assert keys.current() is first
    await anyio.wait_all_tasks_blocked()
    assert keys.current() is not first
    assert len(fetched) == 3
    gates[1].set()
    await anyio.wait_all_tasks_blocked()
    assert keys.current() is not first


async def test_discovery_finds_the_address(provider):
    """Keys are found by OpenID Connect Discovery, and the issuer is what tokens must name."""
    keys = KeySet(discover=provider.issuer.issuer, fetch=provider.issuer.fetch)
    options = {**provider.issuer.options, "issuer": None, "keys": keys}
    del options["key"]
    verifier = TokenVerifier(**options)
    assert await outcome(verifier, provider.issuer.token()) == "alice"
    assert await outcome(verifier, provider.issuer.token(iss="https://other.example")) == "issuer_not_allowed"


@pytest.mark.parametrize(
    ("metadata", "expected"),
    [
        ({}, "alice"),
        ({"issuer": "https://issuer.example/"}, "keys_unavailable"),
        ({"issuer": None}, "keys_unavailable"),
        ({"jwks_uri": "http://issuer.example/jwks.json"}, "keys_unavailable"),
        ({"jwks_uri": "file:///etc/passwd"}, "keys_unavailable"),
        ({"jwks_uri": ["https://issuer.example/jwks.json"]}, "keys_unavailable"),
        ({"jwks_uri": "https://elsewhere.example/jwks.json"}, "alice"),
    ],
)
@pytest.mark.parametrize("location", ["openid-configuration", "oauth-authorization-server"])
async def test_metadata_must_be_the_issuers(provider, metadata, expected, location):
    """Metadata of another issuer, or that name an unsafe address, are a failure (RFC 8414 3.3)."""

    async def fetch(url):
        if url.endswith("jwks.json"):
            return provider.issuer.jwks
        if location not in url:
            raise OSError
        return {**provider.issuer.metadata, **metadata}

    keys = KeySet(discover=provider.issuer.issuer, fetch=fetch)
    assert await outcome(provider.verifier(keys), provider.issuer.token()) == expected


async def test_keys_of_another_origin_can_be_refused(provider):
    """With same_origin the keys must be where the issuer is."""

    async def fetch(url):
        document = await provider.issuer.fetch(url)
        return {**document, "jwks_uri": "https://cdn.example/jwks.json"} if "issuer" in document else document

    for same_origin, expected in ((False, "alice"), (True, "keys_unavailable")):
        keys = KeySet(discover=provider.issuer.issuer, fetch=fetch, same_origin=same_origin)
        assert await outcome(provider.verifier(keys), provider.issuer.token()) == expected


async def test_nothing_of_a_failure_is_logged_but_its_kind(provider, caplog):
    """The log says that a key set could not be read, not what the network or the fetcher said."""
    provider.fails = True
    with caplog.at_level(logging.DEBUG):
        await provider.verifier().warm_up()
    assert [record.getMessage() for record in caplog.records] == [
        "a key set could not be read: reading failed with OSError"
    ]
    assert "10.0.0.7" not in caplog.text


def test_without_an_event_loop_nothing_waits():
    """verify() says that keys are missing; load() brings them, in a program that has no event loop."""
    provider = Provider()
    keys = provider.keys(fetch=lambda url: provider.issuer.jwks)
    verifier = provider.verifier(keys)
    with pytest.raises(Unavailable) as caught:
        verifier.verify(provider.issuer.token())
    assert caught.value.reason == "keys_unavailable"
    keys.load()
    assert verifier.verify(provider.issuer.token()).subject == "alice"


def test_an_async_fetcher_without_an_event_loop_is_a_failure():
    """load() with a fetcher that needs an event loop leaves the set empty and raises nothing."""
    provider = Provider()
    keys = provider.keys()
    keys.load()
    with pytest.raises(Unavailable):
        provider.verifier(keys).verify(provider.issuer.token())


@pytest.mark.parametrize(
    ("arguments", "codes"),
    [
        ({}, ["one_address"]),
        ({"url": URL, "discover": "https://issuer.example"}, ["one_address"]),
        ({"url": "http://issuer.example/jwks.json"}, ["not_https"]),
        ({"url": "http://127.0.0.1/jwks.json"}, ["not_https"]),
        ({"url": "http://issuer.example/", "loopback_http": True}, ["not_https"]),
        ({"url": "http://127.0.0.1.example/", "loopback_http": True}, ["not_https"]),
        ({"url": "file:///etc/passwd"}, ["not_https"]),
        ({"url": "https://user:secret@issuer.example/"}, ["not_https"]),
        ({"url": "https://issuer.example/ a"}, ["not_https"]),
        ({"url": "https://issuer.example:port/"}, ["not_https"]),
        ({"url": "https:///jwks"}, ["not_https"]),
        ({"url": 5}, ["not_https"]),
        ({"discover": "https://issuer.example?tenant=1"}, ["not_an_issuer"]),
        ({"url": URL, "ttl": 59}, ["out_of_range"]),
        ({"url": URL, "stale": -1}, ["out_of_range"]),
        ({"url": URL, "cooldown": 0}, ["out_of_range"]),
        ({"url": URL, "timeout": 61}, ["out_of_range"]),
        ({"url": URL, "fetch": 5, "clock": 5, "loopback_http": 1}, ["not_a_bool", "not_callable", "not_callable"]),
    ],
)
def test_options_are_checked(arguments, codes):
    """Wrong options are found at construction."""
    with pytest.raises(ConfigurationError) as caught:
        KeySet(**arguments)
    assert [problem.code for problem in caught.value.problems] == codes


@pytest.mark.parametrize("url", ["http://127.0.0.1:8000/jwks", "http://[::1]/jwks", "http://localhost/jwks"])
def test_plain_http_to_this_machine_can_be_allowed(url):
    """loopback_http allows addresses of this machine."""
    assert repr(KeySet(url, loopback_http=True)) == "<KeySet: no keys>"
