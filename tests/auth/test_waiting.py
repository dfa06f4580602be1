"""Keys and stores that take waiting: 503 where they fail, warmed up at start-up, told to the hook [3.1, 3.3]."""

import logging

import pytest

from asgi_middleware._core.exchange import enter
from asgi_middleware.auth import (
    AuthEvent,
    JWTAuthMiddleware,
    Reason,
    Rule,
    TokenError,
    TokenVerifier,
    Unavailable,
    WebSocketAuth,
)
from asgi_middleware.testing import drive, http, http_scope, lifespan, websocket
from asgi_middleware.testing.tokens import TokenIssuer

pytestmark = pytest.mark.anyio
ISSUER = TokenIssuer()
GOOD = TokenVerifier(**ISSUER.options)


@pytest.fixture
def waiting(monkeypatch):
    """Let every token take waiting; what comes of it is in `outcome`."""
    outcome = [None]

    async def verify_async(self, token):
        if outcome[0] is not None:
            raise outcome[0]
        return GOOD._look(token)

    monkeypatch.setattr(TokenVerifier, "verify_now", lambda *_: None)
    monkeypatch.setattr(TokenVerifier, "verify_async", verify_async)
    return outcome


def guard(app, **options):
    return JWTAuthMiddleware(app, **ISSUER.options, **options)


async def test_what_takes_waiting_is_awaited(waiting, app):
    """A token whose keys are still to come gets in when they have come; over HTTP, from a cookie, over a WebSocket."""
    assert (await http(guard(app), headers=[ISSUER.authorization()])).status == 200
    spaced = (b"authorization", b"Bearer  " + ISSUER.token().encode())
    assert (await http(guard(app), headers=[spaced])).status == 200
    cookie = [(b"cookie", b"t=" + ISSUER.token().encode())]
    assert (await http(guard(app, cookie="t", allowed_origins=["https://a.example"]), headers=cookie)).status == 200
    assert (await websocket(guard(app), headers=[ISSUER.authorization()])).accepted
    assert [scope["user"].identity for scope in app.calls] == ["alice"] * 4


@pytest.mark.parametrize(
    ("outcome", "status", "retry", "reason", "code"),
    [
        (Unavailable("keys_unavailable", 7), 503, b"7", "keys_unavailable", 1013),
        (Unavailable("revocation_unavailable"), 503, b"1", "revocation_unavailable", 1013),
        (TokenError(Reason.REVOKED), 401, None, "token_revoked", 4401),
        (TokenError(Reason.KEY), 401, None, "key_unknown", 4401),
        (OSError("secret"), 503, b"5", "authentication_unavailable", 1011),
    ],
)
async def test_what_comes_of_waiting(outcome, status, retry, reason, code, waiting, app, caplog):
    """Key trouble is 503 with Retry-After, never 401 and never 500; a token that is refused then is 401 [3.1]."""
    waiting[0] = outcome
    result = await http(guard(app), headers=[ISSUER.authorization()])
    assert (result.status, result.header(b"retry-after"), result.json()["reason"]) == (status, retry, reason)
    assert result.header(b"cache-control") == b"no-store"
    assert (result.header(b"www-authenticate") is None) is (status == 503)
    refused = await websocket(guard(app, websocket=WebSocketAuth(reject="close")), headers=[ISSUER.authorization()])
    assert (refused.close_code, refused.close_reason) == (code, reason)
    assert app.calls == []
    assert "secret" not in caplog.text
    assert ("OSError" in caplog.text) is isinstance(outcome, OSError)


async def test_key_trouble_on_an_optional_path_is_not_anonymous(waiting, app):
    """A token that cannot be judged is neither good nor bad, also where bad ones are to be none."""
    waiting[0] = Unavailable("keys_unavailable")
    guarded = guard(app, optional=["/"], on_invalid_optional="anonymous")
    assert (await http(guarded, headers=[ISSUER.authorization()])).status == 503
    waiting[0] = TokenError(Reason.EXPIRED)
    assert (await http(guarded, headers=[ISSUER.authorization()])).status == 200


async def test_known_trouble_is_answered_at_once(app, monkeypatch):
    """Where it is known that no key can be had nothing is waited for."""

    def trouble(*_):
        raise Unavailable("keys_unavailable", 30)

    monkeypatch.setattr(TokenVerifier, "verify_now", trouble)
    result = await http(guard(app), headers=[ISSUER.authorization()])
    assert (result.status, result.header(b"retry-after")) == (503, b"30")


async def test_a_refusal_does_not_read_the_body(app):
    """The answer goes out before anything is received, so that a client that waits with its body may keep it [3.1]."""
    headers = [(b"expect", b"100-continue"), (b"content-length", b"1000000")]
    scope = http_scope("POST", headers=headers)
    result = await drive(guard(app), scope, [{"type": "http.request", "body": b"x", "more_body": True}])
    assert (result.status, result.received) == (401, 0)


class Remote(TokenVerifier):
    """A verifier with something to warm up."""

    __slots__ = ("calls",)

    def __init__(self, **options):
        super().__init__(**options)
        self.calls = []

    @property
    def remote(self):
        return True

    async def warm_up(self):
        self.calls.append("warm_up")

    async def aclose(self):
        self.calls.append("aclose")


async def test_keys_are_warmed_up_before_the_app_starts():
    """Keys are fetched at start-up before the app's own start-up, and closed after its shut-down [3.3]."""
    verifier = Remote(**ISSUER.options)

    async def app(scope, receive, send):
        for _ in range(2):
            message = await receive()
            verifier.calls.append(message["type"])
            await send({"type": message["type"] + ".complete"})

    result = await lifespan(JWTAuthMiddleware(app, verifier=verifier))
    assert result.types == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
    assert verifier.calls == ["warm_up", "lifespan.startup", "lifespan.shutdown", "aclose"]


async def test_an_app_that_fails_to_start_leaves_nothing_open():
    """After a failed start-up what was opened is closed."""
    verifier = Remote(**ISSUER.options)

    async def app(scope, receive, send):
        await receive()
        await send({"type": "lifespan.startup.failed", "message": "x"})

    await lifespan(JWTAuthMiddleware(app, verifier=verifier))
    assert verifier.calls == ["warm_up", "aclose"]


async def test_an_app_without_lifespan_is_served():
    """What the app raises about lifespan comes out as it is; keys are fetched when first needed."""

    async def app(scope, receive, send):
        raise ValueError(scope["type"])

    with pytest.raises(ValueError, match="lifespan"):
        await lifespan(JWTAuthMiddleware(app, verifier=Remote(**ISSUER.options)))


async def test_the_hook_is_told_of_every_decision(app):
    """on_event gets who was let in, who was not and why; nothing of the token is in its repr."""
    told = []
    guarded = guard(
        app,
        on_event=told.append,
        exempt=["/health"],
        rules=[Rule("/admin", scopes=["admin"])],
        websocket=WebSocketAuth(reject="close", first_message=True),
    )
    good, forged = ISSUER.authorization(sub="u1"), (b"authorization", b"Bearer " + ISSUER.forged().encode())
    for path, headers in [("/", [good]), ("/health", []), ("/", []), ("/", [forged]), ("/admin", [good])]:
        await http(guarded, path=path, headers=headers)
    await websocket(guarded, headers=[good])
    await websocket(guarded, headers=[(b"authorization", b"Basic x")])
    await websocket(guarded, "/admin", headers=[good])
    await websocket(guarded, "/admin", messages=[ISSUER.token(sub="u1")])
    assert [(event.kind, event.reason, event.status, event.subject) for event in told] == [
        ("admitted", None, None, "u1"),
        ("anonymous", None, None, None),
        ("refused", "credentials_missing", 401, None),
        ("refused", "signature_invalid", 401, None),
        ("refused", "insufficient_scope", 403, "u1"),
        ("admitted", None, None, "u1"),
        ("refused", "scheme_not_supported", 401, None),
        ("refused", "insufficient_scope", 403, "u1"),
        ("refused", "insufficient_scope", 403, "u1"),
    ]
    assert all(isinstance(event, AuthEvent) and event.scope["type"] in {"http", "websocket"} for event in told)
    assert repr(told[3]) == "AuthEvent('refused', reason='signature_invalid', status=401)"


async def test_who_may_not_is_known_to_the_log(app):
    """A good token that grants too little is refused, and its subject is on the access line; a bad one has none."""
    seen = []

    async def observed(scope, receive, send):
        scope, exchange = enter(scope)
        await guarded(scope, receive, send)
        seen.append((exchange.refusal.reason, exchange.subject))

    guarded = guard(app, rules=[Rule("/", scopes=["admin"])])
    for token in (ISSUER.token(sub="u1"), ISSUER.expired(sub="u1")):
        header = (b"authorization", f"Bearer {token}".encode())
        await http(observed, headers=[header])
        await websocket(observed, headers=[header])
    refused = [("insufficient_scope", "u1"), ("token_expired", None)]
    assert seen == [refused[0], refused[0], refused[1], refused[1]]


async def test_a_hook_that_fails_changes_nothing(app, caplog):
    """What on_event raises is logged, and the decision stands."""

    def fails(event):
        raise LookupError("audit log is full")

    with caplog.at_level(logging.ERROR):
        assert (await http(guard(app, on_event=fails), headers=[ISSUER.authorization()])).status == 200
        assert (await http(guard(app, on_event=fails))).status == 401
    assert "audit log is full" in caplog.text
    with pytest.raises(ValueError, match="on_event"):
        guard(app, on_event="x")
