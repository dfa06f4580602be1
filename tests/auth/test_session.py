"""A WebSocket ends with its token: closed at expiry, renewed in-band, looked at again for revocation [3.5]."""

import gc
import time
import tracemalloc
from collections import deque

import anyio
import pytest

from asgi_middleware._core import deadlines
from asgi_middleware.auth import (
    JWTAuthMiddleware,
    MemoryRevocationStore,
    Reason,
    Revocation,
    Rule,
    TokenError,
    TokenVerifier,
    Unavailable,
    WebSocketAuth,
    session,
)
from asgi_middleware.testing import http, websocket_scope
from asgi_middleware.testing.tokens import TokenIssuer

pytestmark = pytest.mark.anyio
ISSUER = TokenIssuer()
EXPIRED = {"type": "websocket.disconnect", "code": 4401, "reason": "token_expired"}
CLOSE = {"type": "websocket.close", "code": 4401, "reason": "token_expired"}
SOON = 0.03


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    """Let deadlines come within milliseconds."""
    monkeypatch.setattr(deadlines, "TICK", 0.004)
    monkeypatch.setattr(session, "_GRACE", 0.03)


class Clock:
    """The time of day, moved."""

    def __init__(self):
        self.ahead = 0.0
        self.broken = False

    def __call__(self):
        if self.broken:
            raise RuntimeError("no clock")
        return time.time() + self.ahead


class Server:
    """Both ends of a connection, as a server has them.

    `answers` puts the disconnect into receive after a close, as most servers do. `holds` holds the close back for as
    long as a receive is pending.
    """

    def __init__(self, *, answers=True, holds=False):
        self.sent = []
        self.cancelled = 0
        self.answers = answers
        self.holds = holds
        self.pending = None
        self.coming = deque([{"type": "websocket.connect"}])
        self.came = anyio.Event()

    def put(self, message):
        self.coming.append(message)
        self.came.set()

    def say(self, text):
        self.put({"type": "websocket.receive", "text": text})

    def leave(self):
        self.put({"type": "websocket.disconnect", "code": 1000})

    async def receive(self):
        self.pending = anyio.Event()
        try:
            await anyio.lowlevel.checkpoint()
            while not self.coming:
                self.came = anyio.Event()
                await self.came.wait()
            return self.coming.popleft()
        except anyio.get_cancelled_exc_class():
            self.cancelled += 1
            raise
        finally:
            self.pending.set()
            self.pending = None

    async def send(self, message):
        if message["type"] == "websocket.close":
            if self.holds and self.pending is not None:
                await self.pending.wait()
            if self.answers:
                self.put({"type": "websocket.disconnect", "code": 1000, "reason": "the server's own"})
        await anyio.lowlevel.checkpoint()
        self.sent.append(message)


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def server():
    return Server()


def guard(app, clock, *, rules=(), revocation=None, on_event=None, roles_claim=None, **options):
    return JWTAuthMiddleware(
        app,
        verifier=TokenVerifier(**ISSUER.options, clock=clock, revocation=revocation),
        rules=rules,
        roles_claim=roles_claim,
        on_event=on_event,
        websocket=WebSocketAuth(**options),
    )


def left(clock, seconds, **claims):
    """Give a token that is good for so many seconds more, leeway included."""
    expires = int(time.time()) + 60 + int(seconds)
    clock.ahead = expires + 30 - seconds - time.time()
    return ISSUER.token(exp=expires, **claims)


async def run(guarded, server, token, path="/"):
    scope = websocket_scope(path, headers=[(b"authorization", f"Bearer {token}".encode())])
    with anyio.fail_after(3):
        await guarded(scope, server.receive, server.send)


def listening(got):
    async def app(scope, receive, send):
        got.append(await receive())
        await send({"type": "websocket.accept"})
        while got[-1]["type"] != "websocket.disconnect":
            got.append(await receive())
        if got[-1]["code"] != 1000:
            got.append(await receive())

    return app


async def test_a_waiting_app_is_woken_at_expiry(clock, server):
    """The close goes out once, beside the pending receive, and the app gets the disconnect with our code."""
    got = []
    begun = time.monotonic()
    await run(guard(listening(got), clock), server, left(clock, SOON))
    assert time.monotonic() - begun >= SOON
    assert server.sent == [{"type": "websocket.accept"}, CLOSE]
    assert got == [{"type": "websocket.connect"}, EXPIRED, EXPIRED]
    assert server.cancelled == 0


@pytest.mark.parametrize("holds", [False, True])
async def test_a_receive_that_does_not_end_is_broken(holds, clock):
    """A server that says nothing, or holds the close back for the pending receive, is not waited for."""
    server = Server(answers=False, holds=holds)
    got = []
    await run(guard(listening(got), clock), server, left(clock, SOON))
    assert server.sent == [{"type": "websocket.accept"}, CLOSE]
    assert got[1:] == [EXPIRED, EXPIRED]
    assert server.cancelled == 1


async def test_an_app_that_only_sends_is_closed_too(clock, server):
    """The close does not wait for the app; its next send raises OSError, which is no error of the app's."""
    reached = []

    async def app(scope, receive, send):
        await receive()
        await send({"type": "websocket.accept"})
        await anyio.sleep(SOON * 3)
        reached.append(list(server.sent))
        try:
            await send({"type": "websocket.send", "text": "late"})
        except OSError as error:
            reached.append(str(error))
        await send({"type": "websocket.close"})
        reached.append("never")

    await run(guard(app, clock), server, left(clock, SOON))
    assert reached == [[{"type": "websocket.accept"}, CLOSE], "token_expired"]
    assert server.sent[-1] == CLOSE


async def test_of_two_renewals_at_once_the_later_one_counts(clock, server):
    """A renewal whose look-up takes longer does not put its token in the place of one that was sent after it."""
    gate = anyio.Event()
    told, ends = [], []

    class Store:
        async def is_revoked(self, token):
            if token.token_id == "first":
                await gate.wait()
            return False

    async def app(scope, receive, send):
        await receive()
        first, second = (
            ISSUER.token(jti=name, exp=int(time.time()) + more) for name, more in (("first", 600), ("second", 900))
        )
        async with anyio.create_task_group() as group:
            group.start_soon(scope["auth"].renew, first)
            await anyio.wait_all_tasks_blocked()
            await scope["auth"].renew(second)
            gate.set()
        ends.append(scope["auth"].token.token_id)
        await send({"type": "websocket.close"})

    revocation = Revocation(Store(), timeout=5)
    await run(guard(app, clock, revocation=revocation, on_event=told.append), server, ISSUER.token())
    assert ends == ["second"]
    assert [event.kind for event in told] == ["admitted", "renewed"]


@pytest.mark.parametrize("own", [False, True])
async def test_an_end_that_a_task_group_wrapped_is_no_error_of_the_app(own, clock, server):
    """An exception group of nothing but the end is that end; with an error of the app's own in it, it comes out."""

    async def sends(send):
        while True:
            await send({"type": "websocket.send", "text": "tick"})
            await anyio.sleep(0.01)

    async def app(scope, receive, send):
        await receive()
        await send({"type": "websocket.accept"})
        try:
            async with anyio.create_task_group() as group:
                group.start_soon(sends, send)
        except* ConnectionAbortedError as wrapped:
            errors = [wrapped, *([LookupError()] if own else [])]
            raise ExceptionGroup("of the app", errors) from None

    if own:
        with pytest.raises(ExceptionGroup) as raised:
            await run(guard(app, clock), server, left(clock, SOON))
        assert raised.group_contains(LookupError)
    else:
        await run(guard(app, clock), server, left(clock, SOON))
    assert server.sent[-1] == CLOSE


async def test_before_the_accept_the_handshake_ends(clock, server):
    """A connection that expires before the app accepted it is closed all the same."""

    async def app(scope, receive, send):
        await receive()
        assert await receive() == EXPIRED

    await run(guard(app, clock), server, left(clock, SOON))
    assert server.sent == [CLOSE]


async def test_messages_before_the_expiry_arrive_and_later_ones_do_not(clock, server):
    """No message is lost, none is delivered after the end, and all pass as the same objects."""
    got = []
    for number in range(20):
        server.say(str(number))

    async def app(scope, receive, send):
        await receive()
        await send({"type": "websocket.accept"})
        got.extend([(await receive())["text"] for _ in range(20)])
        await anyio.sleep(SOON * 2)
        server.say("late")
        got.append(await receive())

    await run(guard(app, clock), server, left(clock, SOON))
    assert got == [*map(str, range(20)), EXPIRED]


async def test_an_app_that_closes_is_not_closed_again(clock, server):
    """After the app's own close, or the client's disconnect, nothing is sent."""

    async def closes(scope, receive, send):
        await receive()
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.close", "code": 1000})
        await anyio.sleep(SOON * 2)

    async def leaves(scope, receive, send):
        await receive()
        assert (await receive())["code"] == 1000
        await anyio.sleep(SOON * 2)

    await run(guard(closes, clock), server, left(clock, SOON))
    assert server.sent == [{"type": "websocket.accept"}, {"type": "websocket.close", "code": 1000}]
    gone = Server()
    gone.leave()
    await run(guard(leaves, clock), gone, left(clock, SOON))
    assert gone.sent == []


async def test_nothing_is_left_behind(clock, server):
    """After the app nothing waits any more: no deadline, no task."""

    async def app(scope, receive, send):
        await receive()

    await run(guard(app, clock), server, left(clock, 1000))
    assert not any(wheel and any(wheel.values()) for wheel in deadlines._wheels.values())
    await run(guard(listening([]), clock), Server(), left(clock, SOON))
    await anyio.sleep(0.02)
    assert len([task for task in anyio.get_running_tasks() if "session" in repr(task.coro)]) == 0


async def test_an_apps_own_error_passes(clock, server):
    """What the app raises comes out as it is."""
    failure = ValueError()

    async def app(scope, receive, send):
        raise failure

    with pytest.raises(ValueError) as caught:  # noqa: PT011 -- the very object
        await run(guard(app, clock), server, left(clock, 1000))
    assert caught.value is failure


async def test_cancellation_from_outside_gets_through(clock, server):
    """A server that cancels the app is not taken for our own alarm."""
    with anyio.move_on_after(0.03) as scope:
        await run(guard(listening([]), clock), server, left(clock, 1000))
    assert scope.cancelled_caught
    assert server.cancelled == 1


async def test_far_away_expiry(clock, server):
    """An exp in the year 9999 is no error, and the clock is looked at in between."""
    got = []
    server.leave()
    await run(guard(listening(got), clock), server, ISSUER.token(exp=253_402_300_799))
    assert got[1]["code"] == 1000


async def test_a_clock_that_is_set_counts(clock, server, monkeypatch):
    """What is left is measured again by the time of day: a suspended machine counted no seconds."""
    monkeypatch.setattr(session, "_LONGEST_SLEEP", 0.01)
    got = []
    async with anyio.create_task_group() as group:
        group.start_soon(run, guard(listening(got), clock), server, left(clock, 1000))
        await anyio.sleep(0.02)
        assert len(got) == 1
        clock.ahead += 2000
    assert got[1] == EXPIRED


async def test_a_clock_that_fails_ends_the_connection(clock, server, monkeypatch, caplog):
    """Not being able to tell the time lets nobody live for ever."""
    monkeypatch.setattr(session, "_LONGEST_SLEEP", 0.01)
    got = []
    async with anyio.create_task_group() as group:
        group.start_soon(run, guard(listening(got), clock), server, left(clock, 1000))
        await anyio.sleep(0.02)
        clock.broken = True
    assert (got[1]["code"], got[1]["reason"]) == (1011, "authentication_unavailable")
    assert "no clock" not in caplog.text


async def test_expiry_can_be_switched_off(clock, server):
    """With close_on_expiry=False a connection lives on."""
    got = []
    guarded = guard(listening(got), clock, close_on_expiry=False)
    async with anyio.create_task_group() as group:
        group.start_soon(run, guarded, server, left(clock, SOON))
        await anyio.sleep(SOON * 2)
        assert len(got) == 1
        server.leave()


async def test_own_codes(clock, server):
    """The close code is the one of the options."""
    got = []
    await run(guard(listening(got), clock, close_code=3000), server, left(clock, SOON))
    assert (got[1]["code"], server.sent[-1]["code"]) == (3000, 3000)


async def test_the_marker_is_still_picked(clock, server):
    """A followed connection picks the marker where the app picks none."""

    async def app(scope, receive, send):
        await receive()
        await send({"type": "websocket.accept"})

    scope = websocket_scope(subprotocols=["bearer", left(clock, 1000)])
    await guard(app, clock)(scope, server.receive, server.send)
    assert server.sent == [{"type": "websocket.accept", "subprotocol": "bearer"}]


def renewing(outcomes, *tokens, then=None):
    async def app(scope, receive, send):
        await receive()
        await send({"type": "websocket.accept"})
        for token in tokens:
            try:
                await scope["auth"].renew(token)
            except (TokenError, Unavailable) as error:
                outcomes.append(error.reason)
            else:
                outcomes.append((scope["auth"].scopes, scope["auth"].token.subject))
        if then is not None:
            await then(scope, receive, send)

    return app


async def test_renewal_extends_the_life(clock, server):
    """A newer token of the same subject takes the old one's place, with scopes and expiry, and expires in turn."""
    outcomes = []
    old = left(clock, SOON, scope="read")
    newer = ISSUER.token(exp=int(time.time()) + 5000, scope="read write", sub="alice")

    async def then(scope, receive, send):
        await anyio.sleep(SOON * 3)
        assert len(server.sent) == 1
        await scope["auth"].renew(left(clock, SOON, scope="read"))
        outcomes.append(await receive())

    await run(guard(renewing(outcomes, newer, then=then), clock), server, old)
    assert outcomes == [(["read", "write"], "alice"), EXPIRED]
    assert server.sent[1:] == [CLOSE]


async def test_what_cannot_renew(clock, server):
    """Another subject, another issuer's, an expired, a forged and a weaker token are refused; nothing changes."""
    outcomes = []
    good = ISSUER.token(scope="admin", roles=["x"])
    tokens = {
        "subject_changed": ISSUER.token(sub="mallory", scope="admin", roles=["x"]),
        "token_expired": ISSUER.token(scope="admin", roles=["x"], exp=int(time.time()) - 1000),
        "signature_invalid": ISSUER.forged(scope="admin", roles=["x"]),
        "insufficient_scope": ISSUER.token(scope="read", roles=["x"]),
        "token_malformed": "caf\u00e9 \ud800",
        "issuer_not_allowed": ISSUER.token(iss="https://other.example", scope="admin", roles=["x"]),
    }
    guarded = guard(
        renewing(outcomes, *tokens.values(), ISSUER.token(scope="admin"), good),
        clock,
        rules=(Rule("/**", scopes=("admin",), roles=("x",)),),
        roles_claim="roles",
    )
    await run(guarded, server, good)
    assert outcomes == [*tokens, "insufficient_scope", (["admin"], "alice")]


async def test_a_token_without_subject_cannot_be_renewed(clock, server):
    """Two tokens that name nobody are not about the same subject."""
    outcomes = []
    await run(guard(renewing(outcomes, ISSUER.token(sub=None)), clock), server, ISSUER.token(sub=None))
    assert outcomes == [Reason.SUBJECT]


async def test_where_there_is_nothing_to_renew(clock, server):
    """On HTTP, and on a WebSocket without a token, renew says so; after the end it is a connection error."""
    raised = []

    async def app(scope, receive, send):
        try:
            await scope["auth"].renew(ISSUER.token())
        except (RuntimeError, OSError) as error:
            raised.append(type(error))
        if scope["type"] == "http":
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b""})

    async def after_the_end(scope, receive, send):
        await receive()
        while (await receive())["type"] != "websocket.disconnect":
            pass
        await app(scope, receive, send)

    await http(guard(app, clock), headers=[ISSUER.authorization()])
    optional = JWTAuthMiddleware(app, **ISSUER.options, optional=("/",))
    await optional(websocket_scope(), server.receive, server.send)
    await run(guard(after_the_end, clock), Server(), left(clock, SOON))
    assert raised == [RuntimeError, RuntimeError, session.SessionEndedError]


def often(options):
    """Look at revocations every few milliseconds, which nobody can ask for."""
    object.__setattr__(options, "recheck_interval", 0.005)
    return options


def rechecking(monkeypatch, app, *outcomes):
    """Guard an app whose token is looked at again, with these outcomes in turn, then with the last of them."""
    asked = []

    async def recheck(self, token):
        asked.append(token)
        outcome = outcomes[min(len(asked), len(outcomes)) - 1]
        if outcome is not None:
            raise outcome

    verifier = TokenVerifier(**ISSUER.options, revocation=MemoryRevocationStore())
    guarded = JWTAuthMiddleware(app, verifier=verifier, websocket=often(WebSocketAuth(recheck_interval=1)))
    monkeypatch.setattr(TokenVerifier, "verify_now", lambda self, token: self._look(token))
    monkeypatch.setattr(TokenVerifier, "recheck", recheck)
    return guarded, asked


async def test_a_revoked_token_ends_the_connection(server, monkeypatch):
    """The revocation store is asked again while the connection lives; nothing happens while it is content."""
    got = []
    guarded, asked = rechecking(monkeypatch, listening(got), None, None, None, TokenError(Reason.REVOKED))
    await run(guarded, server, ISSUER.token(jti="t1"))
    assert got[1:] == [{"type": "websocket.disconnect", "code": 4401, "reason": "token_revoked"}] * 2
    assert len(asked) == 4
    assert server.sent[1:] == [{"type": "websocket.close", "code": 4401, "reason": "token_revoked"}]


@pytest.mark.parametrize("failure", [Unavailable("revocation_unavailable", 7), RuntimeError("secret")])
async def test_an_outage_of_the_store_is_forgiven_once(failure, server, monkeypatch, caplog):
    """One failing look is forgiven, two in a row end the connection."""
    got = []
    guarded, asked = rechecking(monkeypatch, listening(got), failure, None, failure, failure)
    await run(guarded, server, ISSUER.token(jti="t1"))
    known = isinstance(failure, Unavailable)
    code, reason = (1013, "revocation_unavailable") if known else (1011, "authentication_unavailable")
    assert got[1] == {"type": "websocket.disconnect", "code": code, "reason": reason}
    assert len(asked) == 4
    assert "secret" not in caplog.text


async def test_a_look_that_hangs_outlives_nothing(server, monkeypatch):
    """When the app ends while a look is under way, the look is ended, too."""
    begun, ended = anyio.Event(), []

    async def recheck(self, token):
        begun.set()
        try:
            await anyio.sleep(60)
        finally:
            ended.append(True)

    async def app(scope, receive, send):
        await receive()
        await begun.wait()

    guarded, _ = rechecking(monkeypatch, app, None)
    monkeypatch.setattr(TokenVerifier, "recheck", recheck)
    await run(guarded, server, ISSUER.token(jti="t1"))
    await anyio.sleep(0.01)
    assert ended == [True]


@pytest.mark.parametrize("answer", [TokenError(Reason.REVOKED), RuntimeError("slow")])
async def test_an_expiry_during_a_look_closes_once(answer, clock, server, monkeypatch):
    """Where the token expires while the store is asked, the connection is closed for that, once, and the look ends."""
    asked, ended, told, got = anyio.Event(), [], [], []

    async def recheck(self, token):
        asked.set()
        try:
            await anyio.sleep(0.02)
        finally:
            ended.append(True)
        raise answer

    async def app(scope, receive, send):
        got.append(await receive())
        await asked.wait()
        clock.ahead += 10_000
        got.append(await receive())
        await anyio.sleep(0.03)  # until after the answer

    monkeypatch.setattr(TokenVerifier, "recheck", recheck)
    monkeypatch.setattr(TokenVerifier, "verify_now", lambda self, token: self._look(token))
    guarded = JWTAuthMiddleware(
        app,
        verifier=TokenVerifier(**ISSUER.options, clock=clock, revocation=MemoryRevocationStore()),
        websocket=often(WebSocketAuth(recheck_interval=1)),
        on_event=told.append,
    )
    await run(guarded, server, left(clock, 1000))
    assert server.sent == [CLOSE]
    assert got[1:] == [EXPIRED]
    assert [event.reason for event in told] == [None, "token_expired"]
    assert ended == [True]


async def test_revocation_reaches_a_living_connection(server, monkeypatch):
    """The same with a real store: what is revoked there ends what it let in."""
    got = []
    store = MemoryRevocationStore()
    verifier = TokenVerifier(**ISSUER.options, revocation=store)
    guarded = JWTAuthMiddleware(listening(got), verifier=verifier, websocket=often(WebSocketAuth(recheck_interval=1)))
    token = ISSUER.token(jti="t1")
    async with anyio.create_task_group() as group:
        group.start_soon(run, guarded, server, token)
        await anyio.sleep(0.03)
        assert len(got) == 1
        store.revoke_id(ISSUER.issuer, "t1")
    assert got[1]["reason"] == "token_revoked"


async def test_an_idle_connection_costs_little(clock, anyio_backend):
    """At most 2 KB beyond the wrapper's frames, and no task, for a connection that waits."""
    count = 256
    waiting = anyio.Event()

    async def receive():
        await waiting.wait()
        return {"type": "websocket.disconnect", "code": 1000}

    async def send(message):
        pass

    async def app(scope, receive, send):
        await receive()

    async def cost(target):
        scopes = [websocket_scope(headers=[(b"authorization", f"Bearer {token}".encode())]) for _ in range(count)]
        async with anyio.create_task_group() as group:
            gc.collect()
            tracemalloc.start()
            before = tracemalloc.get_traced_memory()[0]
            tasks = len(anyio.get_running_tasks())
            for scope in scopes:
                group.start_soon(target, scope, receive, send)
            await anyio.sleep(0.05)
            gc.collect()
            memory = tracemalloc.get_traced_memory()[0] - before
            tracemalloc.stop()
            made = len(anyio.get_running_tasks()) - tasks
            group.cancel_scope.cancel()
        return memory / count, made

    async def wrapper(scope, receive, send):
        """Have the frames alone: two on the way in, and those of a receive that can be woken."""

        async def wait():
            return await receive()

        async def wait_in_scope():
            return await wait()

        async def receive_wrapper():
            return await (wait_in_scope() if anyio_backend == "trio" else wait())

        async def inner(inner_scope):
            await app(inner_scope, receive_wrapper, send)

        await inner(dict(scope))

    token = left(clock, 1000)
    guarded = guard(app, clock)
    gc.freeze()  # what was there before is not looked at again and again
    try:
        await cost(guarded)
        bare, tasks = await cost(wrapper)
        ours, our_tasks = await cost(guarded)
    finally:
        gc.unfreeze()
    # On trio the one timer of the loop is a task, and comes and goes.
    assert abs(our_tasks - count) <= 1
    assert abs(tasks - count) <= 1
    assert ours - bare < 2048


async def test_on_event_is_told(clock, server, monkeypatch):
    """A renewal and a close are told, without the token."""
    told = []

    async def then(scope, receive, send):
        clock.ahead += 10_000
        await receive()

    newer = ISSUER.token(exp=int(time.time()) + 5000)
    guarded = guard(renewing([], newer, then=then), clock, on_event=told.append)
    monkeypatch.setattr(session, "_LONGEST_SLEEP", 0.01)
    token = left(clock, 1000)
    await run(guarded, server, token)
    assert [(event.kind, event.reason, event.status, event.subject) for event in told] == [
        ("admitted", None, None, "alice"),
        ("renewed", None, None, "alice"),
        ("closed", "token_expired", 4401, "alice"),
    ]
    assert token not in repr(told)
