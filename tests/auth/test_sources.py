"""Further places of a token: the cookie with its origins, the query parameter of a request, one-time tickets."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asgi_middleware._core.config import ConfigurationError
from asgi_middleware.auth import (
    JWTAuthMiddleware,
    MemoryRevocationStore,
    Rule,
    TicketsExhaustedError,
    TicketStore,
    TokenVerifier,
    WebSocketAuth,
)
from asgi_middleware.testing import http, websocket
from asgi_middleware.testing.tokens import TokenIssuer

pytestmark = pytest.mark.anyio
ISSUER = TokenIssuer()
GOOD = ISSUER.token(sub="alice")
FORGED = ISSUER.forged()
ORIGIN = "https://app.example"
OURS = (b"origin", ORIGIN.encode())
COOKIE = (b"cookie", b"a=1; __Host-token=" + GOOD.encode() + b"; b=2")


def guard(app, **options):
    return JWTAuthMiddleware(app, **{**ISSUER.options, **options})


def with_cookie(app, **options):
    return guard(app, cookie="__Host-token", allowed_origins=[ORIGIN, "http://localhost:3000"], **options)


@pytest.mark.parametrize(
    ("method", "headers", "status", "reason"),
    [
        ("GET", [COOKIE], 200, None),
        ("HEAD", [COOKIE], 200, None),
        ("GET", [COOKIE, (b"origin", b"https://evil.example"), (b"sec-fetch-site", b"cross-site")], 200, None),
        ("POST", [COOKIE, OURS], 200, None),
        ("POST", [COOKIE, (b"Origin", b"http://localhost:3000")], 200, None),
        ("DELETE", [COOKIE, (b"sec-fetch-site", b"same-origin")], 200, None),
        ("POST", [COOKIE], 403, "origin_not_allowed"),
        ("post", [COOKIE], 403, "origin_not_allowed"),
        ("PATCH", [COOKIE, (b"origin", b"https://evil.example")], 403, "origin_not_allowed"),
        ("POST", [COOKIE, (b"origin", b"null")], 403, "origin_not_allowed"),
        ("POST", [COOKIE, (b"origin", b"https://app.example.evil.example")], 403, "origin_not_allowed"),
        ("POST", [COOKIE, (b"origin", b"HTTPS://APP.EXAMPLE")], 403, "origin_not_allowed"),
        ("POST", [COOKIE, OURS, OURS], 403, "origin_not_allowed"),
        ("POST", [COOKIE, (b"sec-fetch-site", b"same-site")], 403, "origin_not_allowed"),
        ("POST", [COOKIE, (b"sec-fetch-site", b"none")], 403, "origin_not_allowed"),
        ("POST", [COOKIE, (b"origin", b"https://evil.example"), (b"sec-fetch-site", b"same-origin")], 403, None),
        ("GET", [(b"cookie", b"__Host-token=" + FORGED.encode())], 401, "signature_invalid"),
        ("GET", [(b"cookie", b'__Host-token="' + GOOD.encode() + b'"')], 200, None),
        ("GET", [(b"cookie", b"a=1"), COOKIE], 200, None),
        ("GET", [(b"Cookie", COOKIE[1])], 200, None),
        ("GET", [COOKIE, COOKIE], 400, "credentials_repeated"),
        ("GET", [(b"cookie", b"__host-token=" + GOOD.encode())], 401, "credentials_missing"),
        ("GET", [(b"cookie", b"x__Host-token=" + GOOD.encode())], 401, "credentials_missing"),
        ("GET", [(b"cookie", b"__Host-token")], 401, "credentials_missing"),
        ("GET", [(b"cookie", b"__Host-token=")], 400, "credentials_malformed"),
        ("GET", [(b"cookie", b"__Host-token=a b")], 400, "credentials_malformed"),
        ("GET", [(b"cookie", b"__Host-token=" + b"a" * 9000)], 401, "token_too_large"),
        ("POST", [COOKIE, ISSUER.authorization()], 200, None),
        ("GET", [COOKIE, (b"authorization", b"Bearer " + FORGED.encode())], 401, "signature_invalid"),
        ("GET", [COOKIE, (b"authorization", b"Bearer")], 400, "credentials_malformed"),
        ("GET", [COOKIE, (b"authorization", b"Basic YTpi")], 200, None),
        ("GET", [], 401, "credentials_missing"),
    ],
)
async def test_the_cookie(method, headers, status, reason, app):
    """A page that is not ours cannot act with the cookie, and a bad header is not made good by one [3.5]."""
    result = await http(with_cookie(app), method, headers=headers)
    assert result.status == status
    assert len(app.calls) == (status == 200)
    if reason:
        assert result.json()["reason"] == reason
    if status == 403:
        assert result.header(b"www-authenticate") is None


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ([COOKIE, OURS], None),
        ([COOKIE], 403),
        ([COOKIE, (b"origin", b"null")], 403),
        ([COOKIE, (b"origin", b"https://evil.example")], 403),
        ([COOKIE, (b"sec-fetch-site", b"same-origin")], 403),
        ([COOKIE, OURS, OURS], 403),
        ([ISSUER.authorization(), (b"origin", b"https://evil.example")], None),
        ([ISSUER.authorization()], None),
        ([OURS], 401),
    ],
)
async def test_cross_site_websocket_hijacking(headers, status, app):
    """A WebSocket with the cookie needs one of our origins; one with a token of its own does not (RFC 6455 10.2)."""
    result = await websocket(with_cookie(app), headers=headers)
    assert (result.status, result.accepted) == (status, status is None)


async def test_a_subprotocol_comes_before_the_cookie(app):
    """What the client chose counts, also where it is bad."""
    assert (await websocket(with_cookie(app), headers=[COOKIE], subprotocols=["bearer", GOOD])).accepted
    assert (await websocket(with_cookie(app), headers=[COOKIE, OURS], subprotocols=["bearer", FORGED])).status == 401


async def test_the_cookie_on_an_optional_path(app):
    """There, too, another site's page does not act with it, unless bad tokens are to be no tokens."""
    assert (await http(with_cookie(app, optional=["/"]), "POST", headers=[COOKIE])).status == 403
    lenient = with_cookie(app, optional=["/"], on_invalid_optional="anonymous")
    assert (await http(lenient, "POST", headers=[COOKIE])).status == 200
    assert not app.calls[0]["user"].is_authenticated


async def test_an_exempt_path_looks_at_no_cookie(app):
    """Exempt is exempt, whoever asks."""
    assert (await http(with_cookie(app, exempt=["/"]), "POST", headers=[COOKIE])).status == 200
    assert not app.calls[0]["user"].is_authenticated


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"cookie": "token"}, "cookie_without_origins"),
        ({"cookie": "token", "allowed_origins": []}, "cookie_without_origins"),
        ({"cookie": "a b", "allowed_origins": [ORIGIN]}, "not_a_cookie_name"),
        ({"cookie": "", "allowed_origins": [ORIGIN]}, "not_a_cookie_name"),
        ({"cookie": b"token", "allowed_origins": [ORIGIN]}, "not_a_cookie_name"),
        ({"cookie": "token", "allowed_origins": ORIGIN}, "string_for_list"),
        ({"cookie": "token", "allowed_origins": ["*"]}, "not_an_origin"),
        ({"cookie": "token", "allowed_origins": ["null"]}, "not_an_origin"),
        ({"cookie": "token", "allowed_origins": ["app.example"]}, "not_an_origin"),
        ({"cookie": "token", "allowed_origins": ["https://*.app.example"]}, "not_an_origin"),
        ({"cookie": "token", "allowed_origins": ["https://app.example/"]}, "origin_form"),
        ({"cookie": "token", "allowed_origins": ["https://app.example:443"]}, "origin_form"),
        ({"cookie": "token", "allowed_origins": ["HTTPS://App.example"]}, "origin_form"),
        ({"allowed_origins": [ORIGIN]}, "origins_without_cookie"),
        ({"query_parameter": ""}, "not_a_name"),
    ],
)
def test_wrong_options_are_refused(options, code, app):
    """A cookie without origins is no option, and an origin is written as browsers write it."""
    with pytest.raises(ConfigurationError) as caught:
        guard(app, **options)
    assert [problem.code for problem in caught.value.problems] == [code]


@settings(max_examples=50)
@given(st.binary(max_size=60))
async def test_any_cookie_is_answered(value):
    """No bytes in a cookie line give an exception or let anybody in."""

    async def inner(*_):
        raise AssertionError

    for line in (value, b"__Host-token=" + value):
        assert (await http(with_cookie(inner), "POST", headers=[(b"cookie", line)])).status in {400, 401, 403}


@pytest.mark.parametrize(
    ("query", "headers", "status"),
    [
        (f"access_token={GOOD}", [], 200),
        (f"a=1&access_token={GOOD}&b=%20", [], 200),
        (f"%61ccess_token={GOOD}", [], 200),
        (f"access_token={FORGED}", [], 401),
        (f"access_token={GOOD}&access_token={GOOD}", [], 400),
        (f"access_token={GOOD}", [ISSUER.authorization()], 400),
        ("access_token=", [], 400),
        ("", [], 401),
    ],
)
async def test_a_requests_query_parameter(query, headers, status, app):
    """Where enabled, a token in the URL is taken once, hidden from the app, and the response is private [3.1]."""
    result = await http(guard(app, query_parameter="access_token"), headers=headers, query_string=query.encode())
    assert result.status == status
    if status == 200:
        assert result.header(b"cache-control") == b"private"
        assert b"access" not in app.calls[0]["query_string"]
        assert app.calls[0]["query_string"] == (b"a=1&b=%20" if "a=1" in query else b"")
    else:
        assert result.header(b"cache-control") == b"no-store"
    assert result.scope["query_string"] == query.encode()


@pytest.mark.parametrize("path", ["/", "/admin"])
async def test_the_hook_does_not_see_a_token_that_was_taken_out(path, app):
    """No event carries a token of the URL or the subprotocols, of a request or a WebSocket, let in or refused [3.1]."""
    told = []
    guarded = guard(
        app,
        query_parameter="token",
        websocket=WebSocketAuth(query_parameter="token", tickets=TicketStore()),
        rules=[Rule("/admin", scopes=["admin"])],
        on_event=told.append,
    )
    query = f"token={GOOD}".encode()
    await http(guarded, path=path, query_string=query)
    await websocket(guarded, path=path, query_string=query)
    await websocket(guarded, path=path, subprotocols=["bearer", GOOD])
    await websocket(guarded, path=path, query_string=b"ticket=once")
    assert [event.kind for event in told] == [*(["refused" if path == "/admin" else "admitted"] * 3), "refused"]
    assert GOOD not in str([dict(event.scope) for event in told])
    assert "once" not in str([dict(event.scope) for event in told])


class _Failing:
    """A revocation store that is down, or a verifier's fault: nothing can be said of a token."""

    async def is_revoked(self, token):
        raise OSError


@pytest.mark.parametrize("attempt", ["asked", "left alone"])
async def test_the_hook_does_not_see_a_token_that_cannot_be_judged(attempt, app):
    """Where a token cannot be judged (503), at once or after waiting, the event does not carry it either [3.1]."""
    told = []
    guarded = guard(app, query_parameter="token", revocation=_Failing(), on_event=told.append)
    for _ in range(1 if attempt == "asked" else 2):
        result = await http(guarded, query_string=f"token={GOOD}&x=1".encode())
    assert result.status == 503
    assert {event.scope["query_string"] for event in told} == {b"x=1"}


async def test_the_hook_does_not_see_a_token_after_a_fault_of_ours(app, monkeypatch):
    """An error of this class itself answers 503, and the event does not carry the token of the URL."""
    told = []
    monkeypatch.setattr(TokenVerifier, "verify_now", lambda *_: 1 / 0)
    guarded = guard(app, query_parameter="token", on_event=told.append)
    assert (await http(guarded, query_string=f"token={GOOD}".encode())).status == 503
    assert [event.scope["query_string"] for event in told] == [b""]


async def test_a_token_without_its_marker_is_not_sent_back(app):
    """A page that offers the bare token gets no subprotocol, or its other one, when it is accepted to be closed."""
    guarded = guard(app, websocket=WebSocketAuth(reject="accept_close"))
    for offer, picked in (([GOOD], None), ([GOOD, "chat"], "chat"), (["ch\u00e4t", "\ud800", "chat"], "chat")):
        result = await websocket(guarded, subprotocols=offer)
        assert result.types == ["websocket.accept", "websocket.close"]
        assert result.sent[0]["subprotocol"] == picked


async def test_a_marker_said_twice_does_not_show_the_token(app):
    """``bearer, bearer, <token>``: refused, and where a bad token may pass, the app does not see it to pick it."""
    offer = ["chat", "bearer", "Bearer", GOOD]
    assert (await websocket(guard(app), subprotocols=offer)).status == 400
    lenient = guard(app, optional=["/"], on_invalid_optional="anonymous")
    await websocket(lenient, subprotocols=offer)
    assert [scope["subprotocols"] for scope in app.calls] == [["chat"]]


async def test_a_raw_path_with_the_query_loses_the_token(app):
    """Some callers leave the query in raw_path; the token is taken out there, too."""
    query = f"x=1&t={GOOD}".encode()
    for rest in (b"x=1", b""):
        asked = query if rest else query.removeprefix(b"x=1&")
        await http(guard(app, query_parameter="t"), query_string=asked, raw_path=b"/?" + asked)
        assert app.calls[-1]["raw_path"] == (b"/?x=1" if rest else b"/")


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ([], b"private"),
        ([(b"Cache-Control", b"max-age=60")], b"max-age=60, private"),
        ([(b"cache-control", b"public, max-age=60")], b"max-age=60, private"),
        ([(b"cache-control", b"private")], b"private"),
        ([(b"cache-control", b"No-Store")], b"No-Store"),
        ([(b"cache-control", b'private="set-cookie"')], b'private="set-cookie", private'),
    ],
)
async def test_responses_to_a_token_in_the_url_are_private(said, expected):
    """What the app says about caching stays, save that shared caches must not store it (RFC 6750 2.3)."""

    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": said})
        await send({"type": "http.response.body", "body": b""})

    guarded = guard(app, query_parameter="t")
    assert (await http(guarded, query_string=f"t={GOOD}".encode())).header_all(b"cache-control") == [expected]
    headed = await http(guarded, headers=[ISSUER.authorization()])
    assert headed.headers == said


async def test_headers_missing_from_the_start_are_added():
    """A start without headers gets its own."""

    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body"})

    result = await http(guard(app, query_parameter="t"), query_string=f"t={GOOD}".encode())
    assert result.headers == [(b"cache-control", b"private")]


class Ticking:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


def ticketed(app, tickets, **options):
    return guard(app, websocket=WebSocketAuth(tickets=tickets, **options))


VERIFIER = TokenVerifier(**ISSUER.options)


async def test_a_ticket_opens_one_websocket(app):
    """A ticket is good once, brings the token it was issued for, and the app does not see it."""
    tickets = TicketStore()
    ticket = await tickets.issue(VERIFIER.verify(GOOD))
    guarded = ticketed(app, tickets)
    assert ticket.isascii()
    assert ticket not in repr(tickets)
    result = await websocket(guarded, query_string=f"room=1&ticket={ticket}".encode())
    assert result.accepted
    assert app.calls[0]["user"].identity == "alice"
    assert app.calls[0]["query_string"] == b"room=1"
    again = await websocket(guarded, query_string=f"ticket={ticket}".encode())
    assert (again.status, again.json()["reason"]) == (401, "ticket_invalid")
    assert again.header(b"www-authenticate") == b'Bearer realm="api"'
    assert len(tickets) == 0


@pytest.mark.parametrize(
    ("query", "headers", "status", "reason"),
    [
        ("ticket=", [], 400, "credentials_malformed"),
        ("ticket=unknown", [], 401, "ticket_invalid"),
        ("ticket=" + "a" * 600, [], 400, "credentials_malformed"),
        ("ticket=caf\u00e9", [], 400, "credentials_malformed"),
        ("ticket=a&ticket=b", [], 400, "credentials_repeated"),
        ("ticket=a", [ISSUER.authorization()], 400, "credentials_repeated"),
        ("", [], 401, "credentials_missing"),
    ],
)
async def test_tickets_that_are_none(query, headers, status, reason, app):
    """What is no ticket is refused, also beside a good token."""
    result = await websocket(ticketed(app, TicketStore()), query_string=query.encode(), headers=headers)
    assert (result.status, result.json()["reason"]) == (status, reason)
    assert app.calls == []


async def test_a_ticket_does_not_outlive_its_token(app):
    """A ticket for a token that has expired or was revoked meanwhile opens nothing."""
    tickets, store = TicketStore(), MemoryRevocationStore()
    verifier = TokenVerifier(**ISSUER.options, revocation=store)
    guarded = JWTAuthMiddleware(app, verifier=verifier, websocket=WebSocketAuth(tickets=tickets))
    token = verifier.verify(ISSUER.token(jti="t1"))
    ticket = await tickets.issue(token)
    store.revoke(token)
    result = await websocket(guarded, query_string=f"ticket={ticket}".encode())
    assert (result.status, result.json()["reason"]) == (401, "token_revoked")
    late = TokenVerifier(**ISSUER.options, clock=lambda: 9e9)
    ticket = await tickets.issue(token)
    expired = JWTAuthMiddleware(app, verifier=late, websocket=WebSocketAuth(tickets=tickets))
    assert (await websocket(expired, query_string=f"ticket={ticket}".encode())).json()["reason"] == "token_expired"
    assert app.calls == []


async def test_a_ticket_grants_no_more_than_its_token(app):
    """Rules hold for a ticket's token."""
    tickets = TicketStore()
    ticket = await tickets.issue(VERIFIER.verify(GOOD))
    guarded = guard(app, required_scopes=["admin"], websocket=WebSocketAuth(tickets=tickets))
    assert (await websocket(guarded, query_string=f"ticket={ticket}".encode())).status == 403


async def test_a_ticket_is_for_websockets(app):
    """On HTTP the parameter is the app's own."""
    tickets = TicketStore()
    ticket = await tickets.issue(VERIFIER.verify(GOOD))
    assert (await http(ticketed(app, tickets), query_string=f"ticket={ticket}".encode())).status == 401
    assert len(tickets) == 1


async def test_a_store_of_tickets_is_bounded():
    """Tickets grow old, one subject keeps a few, and beyond the bound nothing is issued."""
    clock = Ticking()
    store = TicketStore(lifetime=10, max_tickets=3, max_per_subject=2, clock=clock)
    alice, bob = VERIFIER.verify(GOOD), VERIFIER.verify(ISSUER.token(sub="bob"))
    first = await store.issue(alice)
    second = await store.issue(alice)
    third = await store.issue(alice)
    assert await store.redeem(first) is None  # her oldest went
    assert await store.redeem(second) is alice
    await store.issue(bob)
    await store.issue(bob)
    with pytest.raises(TicketsExhaustedError):
        await store.issue(VERIFIER.verify(ISSUER.token(sub="carol")))
    clock.now = 10
    assert await store.redeem(third) is None
    await store.issue(alice)
    assert len(store) == 1


async def test_a_store_that_fails_lets_nobody_in(app):
    """An error of a store of the user's own is 503."""

    class Broken:
        async def issue(self, token):
            return "x"

        async def redeem(self, ticket):
            raise OSError("secret")

    result = await websocket(ticketed(app, Broken()), query_string=b"ticket=x")
    assert (result.status, app.calls) == (503, [])


@pytest.mark.parametrize(
    "options", [{"lifetime": 0}, {"lifetime": 301}, {"max_tickets": 0}, {"max_per_subject": 0}, {"clock": 1}]
)
def test_wrong_stores_are_refused(options):
    """A store says what is wrong with its bounds."""
    with pytest.raises(ConfigurationError):
        TicketStore(**options)
