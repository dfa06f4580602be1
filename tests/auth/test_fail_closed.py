"""An error of our own never lets anybody in, never gives a 500, and says nothing."""

import logging

import anyio
import pytest
from jwt.algorithms import RSAAlgorithm

from asgi_middleware.auth import JWTAuthMiddleware, Rule, TokenVerifier, WebSocketAuth, compact, sockets, sources
from asgi_middleware.auth import guard as deciding
from asgi_middleware.auth import verifier as verifying
from asgi_middleware.auth.claim_rules import ClaimRules
from asgi_middleware.auth.policy import Policy
from asgi_middleware.auth.sources import Sources
from asgi_middleware.testing import http, websocket
from asgi_middleware.testing.tokens import TokenIssuer

pytestmark = pytest.mark.anyio
ISSUER = TokenIssuer()
SECRET = "what the exception says"


class BrokenError(Exception):
    pass


def broken(*_, **__):
    raise BrokenError(SECRET)


STEPS = [
    (deciding, "read_credentials"),
    (deciding, "is_preflight"),
    (deciding, "JWTUser"),
    (deciding, "enter"),
    (sources, "listed_headers"),
    (sources, "find_credentials"),
    (sources, "read_offer"),
    (sources, "for_closing"),
    (sources, "hide"),
    (sources, "from_query"),
    (sources, "only"),
    (Sources, "read"),
    (Policy, "demand"),
    (TokenVerifier, "verify_now"),
    (ClaimRules, "check"),
    (verifying, "sha256"),
    (verifying, "first_good"),
    (verifying, "read_claims"),
    (verifying, "VerifiedToken"),
    (compact, "decode"),
    (compact, "parse_object"),
]
ONLY_WEBSOCKET = {owner_and_step for owner_and_step in STEPS if owner_and_step[0] in {sources, Sources}}


def guard(app, reject="deny"):
    return JWTAuthMiddleware(
        app,
        **ISSUER.options,
        allow_preflight=True,
        rules=(Rule("/**"),),
        websocket=WebSocketAuth(query_parameter="t", reject=reject),
    )


@pytest.mark.parametrize(("owner", "step"), STEPS, ids=[step for _, step in STEPS])
async def test_a_broken_step_refuses(owner, step, app, monkeypatch, caplog):
    """Whichever step raises, the answer is 503 with Retry-After, the app does not run, the log has no text of it."""
    guarded = guard(app)
    monkeypatch.setattr(owner, step, broken)
    with caplog.at_level(logging.ERROR):
        if (owner, step) not in ONLY_WEBSOCKET:
            result = await http(guarded, "OPTIONS", headers=[(b"authorization", b"bearer " + ISSUER.token().encode())])
            assert (result.status, result.header(b"retry-after")) == (503, b"5")
            assert result.json()["reason"] == "authentication_unavailable"
            assert result.header(b"www-authenticate") is None
        result = await websocket(guarded, subprotocols=["bearer", ISSUER.token()], query_string=b"t=x")
        assert result.status in {400, 503}
    assert app.calls == []
    assert "BrokenError" in caplog.text
    assert SECRET not in caplog.text + repr(result.sent)


@pytest.mark.parametrize("step", ["Session", "auth_with", "enter"])
async def test_a_socket_that_cannot_be_followed_is_refused(step, app, monkeypatch, caplog):
    """A good token does not help where its expiry could not be watched."""
    guarded = guard(app)
    monkeypatch.setattr(sockets, step, broken)
    result = await websocket(guarded, subprotocols=["bearer", ISSUER.token()])
    assert (result.status, result.json()["reason"]) == (503, "authentication_unavailable")
    assert app.calls == []
    assert "BrokenError" in caplog.text
    assert SECRET not in caplog.text + repr(result.sent)


@pytest.mark.parametrize("mode", ["close", "accept_close"])
async def test_a_broken_step_closes_a_socket(mode, app, monkeypatch):
    """Refused by close, the code is the one of an internal error."""
    guarded = guard(app, mode)
    monkeypatch.setattr(sources, "read_offer", broken)
    result = await websocket(guarded, subprotocols=["bearer", ISSUER.token()])
    assert (result.close_code, result.close_reason) == (1011, "authentication_unavailable")
    assert app.calls == []


@pytest.mark.parametrize("found", [None, True, {"sub": "root"}, "alice"])
async def test_a_verifier_that_gives_no_token_lets_nobody_in(found, app, monkeypatch):
    """Only a VerifiedToken opens the door."""
    guarded = guard(app)

    async def gives(*_):
        return found

    monkeypatch.setattr(TokenVerifier, "verify_now", lambda *_: found)
    monkeypatch.setattr(TokenVerifier, "verify_async", gives)
    assert (await http(guarded, headers=[ISSUER.authorization()])).status == 503
    assert app.calls == []


async def test_a_broken_clock_refuses(app):
    """A clock that raises is an internal error."""
    guarded = JWTAuthMiddleware(app, verifier=TokenVerifier(**ISSUER.options, clock=broken))
    assert (await http(guarded, headers=[ISSUER.authorization()])).status == 503


async def test_cryptography_that_raises_is_a_bad_signature(app, monkeypatch, rsa_issuer):
    """Whatever an algorithm raises over a signature makes it a bad one."""
    monkeypatch.setattr(RSAAlgorithm, "verify", broken)
    guarded = JWTAuthMiddleware(app, **rsa_issuer.options)
    assert (await http(guarded, headers=[rsa_issuer.authorization()])).status == 401


@pytest.mark.parametrize("headers", [[(b"a",)], [("a", "b")], [5], 5, [(b"authorization", "Bearer x")], {b"a": b"b"}])
async def test_headers_of_a_broken_server_refuse(headers, app):
    """A scope that breaks the specification is refused, not served and not crashed on."""
    guarded = guard(app)
    scope_headers = {"headers": headers}

    async def given(scope, receive, send):
        await guarded({**scope, **scope_headers}, receive, send)

    result = await http(given, raise_exceptions=False)
    assert app.calls == []
    assert result.status in {401, 503}


async def test_the_apps_own_errors_are_not_ours(issuer):
    """An exception of the app passes as the same object, TokenError included."""
    failure = BrokenError()

    async def inner(*_):
        raise failure

    with pytest.raises(BrokenError) as caught:
        await http(guard(inner), headers=[ISSUER.authorization()])
    assert caught.value is failure


async def test_cancellation_is_not_swallowed(app, monkeypatch):
    """Only errors become a refusal; cancellation goes on its way."""

    async def inner(*_):
        scope.cancel()
        await anyio.sleep(10)

    with anyio.CancelScope() as scope:
        await http(guard(inner), headers=[ISSUER.authorization()])
    assert scope.cancelled_caught
