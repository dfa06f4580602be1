"""WebSocket: where the token comes from, what the app sees of it, and how a refusal looks."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jwt.utils import base64url_encode

from asgi_middleware._core.config import ConfigurationError
from asgi_middleware._core.exchange import Exchange
from asgi_middleware.auth import JWTAuthMiddleware, Rule, TicketStore, WebSocketAuth
from asgi_middleware.auth.subprotocols import KUBERNETES_PREFIX, read_offer
from asgi_middleware.testing import drive, websocket, websocket_scope
from asgi_middleware.testing.tokens import TokenIssuer

pytestmark = pytest.mark.anyio
ISSUER = TokenIssuer()
GOOD = ISSUER.token(sub="alice")
FORGED = ISSUER.forged()
HEADER = b"sec-websocket-protocol"


def wrapped(token):
    return KUBERNETES_PREFIX + base64url_encode(token.encode()).decode()


def guard(app, *, exempt=(), optional=(), rules=(), required_scopes=(), **options):
    return JWTAuthMiddleware(
        app,
        **ISSUER.options,
        exempt=exempt,
        optional=optional,
        rules=rules,
        required_scopes=required_scopes,
        websocket=WebSocketAuth(**options),
    )


def offer_header(*subprotocols):
    return [(b"host", b"x"), (HEADER, ", ".join(subprotocols).encode())]


@pytest.mark.parametrize(
    ("offered", "seen", "picked"),
    [
        (["bearer", GOOD], [], "bearer"),
        (["Bearer", GOOD], [], "Bearer"),
        (["bearer", GOOD, "chat"], ["chat"], "bearer"),
        (["chat", "bearer", GOOD, "chat2"], ["chat", "chat2"], "bearer"),
        ([wrapped(GOOD)], [], None),
        ([wrapped(GOOD), "chat"], ["chat"], None),
        (["chat", wrapped(GOOD)], ["chat"], None),
    ],
)
async def test_a_token_among_the_subprotocols(offered, seen, picked, app):
    """Both forms let the app run; it sees the rest only, and the pair's marker is picked where the app picks none."""
    result = await websocket(guard(app), headers=offer_header(*offered), subprotocols=offered)
    assert result.sent[0] == {"type": "websocket.accept", **({"subprotocol": picked} if picked else {})}
    scope = app.calls[0]
    assert scope["user"].identity == "alice"
    assert scope["subprotocols"] == seen
    assert [value for name, value in scope["headers"] if name == HEADER] == ([", ".join(seen).encode()] if seen else [])
    assert GOOD not in repr(scope["headers"]) + repr(scope["subprotocols"]) + repr(result.sent)
    assert result.scope["subprotocols"] == offered
    assert result.scope["headers"] == offer_header(*offered)


@pytest.mark.parametrize("chosen", ["chat", "bearer", "anything"])
async def test_the_apps_own_choice_stays(chosen, app):
    """What the app picks is sent as it is."""
    app.accept.update(subprotocol=chosen, headers=[(b"x-a", b"1")], extra=1)
    result = await websocket(guard(app), subprotocols=["bearer", GOOD, "chat"])
    assert result.sent[0] == {
        "type": "websocket.accept",
        "subprotocol": chosen,
        "headers": [(b"x-a", b"1")],
        "extra": 1,
    }


async def test_a_choice_by_header_stays(app):
    """An app that writes the header itself gets no second one."""
    app.accept.update(headers=[(b"Sec-WebSocket-Protocol", b"chat")])
    result = await websocket(guard(app), subprotocols=["bearer", GOOD, "chat"])
    assert "subprotocol" not in result.sent[0]


async def test_the_marker_is_added_to_a_copy(app):
    """The app's own message is not changed, and all other messages pass as the same objects."""
    sent = []
    accept = {"type": "websocket.accept", "subprotocol": None, "headers": []}
    other = {"type": "websocket.send", "text": ""}
    unknown = {"type": "websocket.from.the.future"}

    async def inner(scope, receive, send):
        for message in (accept, other, unknown):
            await send(message)

    async def send(message):
        sent.append(message)

    await guard(inner)(websocket_scope(subprotocols=["bearer", GOOD]), None, send)
    assert sent[0] == {"type": "websocket.accept", "subprotocol": "bearer", "headers": []}
    assert accept["subprotocol"] is None
    assert sent[1] is other
    assert sent[2] is unknown


@pytest.mark.parametrize(
    ("headers", "options"),
    [([ISSUER.authorization()], {"close_on_expiry": False}), ([], {"optional": ("/",)}), ([], {"exempt": ("/",)})],
)
async def test_without_a_marker_and_an_end_send_is_the_servers_own(headers, options):
    """Where nothing is to be added and nothing to be ended, nothing stands between app and server."""
    seen = []

    async def inner(scope, receive, send):
        seen.extend([receive, send])

    given_ends = [object(), object()]
    await guard(inner, **options)(websocket_scope(headers=headers), *given_ends)
    assert seen == given_ends


@pytest.mark.parametrize(
    ("headers", "subprotocols", "status", "reason"),
    [
        ([], [], 401, "credentials_missing"),
        ([], ["chat"], 401, "credentials_missing"),
        ([], ["bearer", FORGED], 401, "signature_invalid"),
        ([], [wrapped(FORGED)], 401, "signature_invalid"),
        ([], ["bearer", "chat"], 401, "token_malformed"),
        ([], ["bearer"], 400, "credentials_malformed"),
        ([], ["chat", "bearer"], 400, "credentials_malformed"),
        ([], ["bearer", "a,b"], 400, "credentials_malformed"),
        ([], ["bearer", "caf\u00e9"], 400, "credentials_malformed"),
        ([], ["bearer", "a" * 8193], 401, "token_too_large"),
        ([], [KUBERNETES_PREFIX], 400, "credentials_malformed"),
        ([], [KUBERNETES_PREFIX + "YQ=="], 400, "credentials_malformed"),
        ([], [KUBERNETES_PREFIX + "\u00e9"], 400, "credentials_malformed"),
        ([], [KUBERNETES_PREFIX + "_w"], 400, "credentials_malformed"),
        ([], [KUBERNETES_PREFIX + "Y" * 20_000], 401, "token_too_large"),
        ([], ["bearer", GOOD, "bearer", GOOD], 400, "credentials_repeated"),
        ([], ["bearer", GOOD, wrapped(GOOD)], 400, "credentials_repeated"),
        ([], [wrapped(GOOD), wrapped(GOOD)], 400, "credentials_repeated"),
        ([ISSUER.authorization()], ["bearer", GOOD], 400, "credentials_repeated"),
        ([(b"authorization", b"Basic YTpi")], ["bearer", GOOD], 400, "credentials_repeated"),
        ([(b"authorization", b"Bearer")], [], 400, "credentials_malformed"),
    ],
)
async def test_refusals_before_the_accept(headers, subprotocols, status, reason, app):
    """Bad and conflicting credentials refuse the handshake; the app does not run and no token is sent back."""
    result = await websocket(guard(app), headers=headers, subprotocols=subprotocols)
    assert (result.status, result.json()["reason"]) == (status, reason)
    assert result.types == ["websocket.http.response.start", "websocket.http.response.body"]
    assert result.received == 1
    assert app.calls == []
    assert GOOD not in repr(result.sent)


REJECTIONS = [
    ("deny", True, ["websocket.http.response.start", "websocket.http.response.body"]),
    ("deny", False, ["websocket.close"]),
    ("close", True, ["websocket.close"]),
    ("close", False, ["websocket.close"]),
    ("accept_close", True, ["websocket.accept", "websocket.close"]),
    ("accept_close", False, ["websocket.accept", "websocket.close"]),
]


@pytest.mark.parametrize(("mode", "announced", "types"), REJECTIONS)
@pytest.mark.parametrize(
    ("token", "code", "reason"),
    [(None, 4401, "credentials_missing"), (FORGED, 4401, "signature_invalid"), (GOOD, 4403, "insufficient_scope")],
    ids=["none", "forged", "too little"],
)
async def test_the_ways_to_reject(mode, announced, types, token, code, reason, app):
    """Denial response where announced (daphne announces none), close before the accept, or accept and close."""
    headers = [] if token is None else [(b"authorization", f"Bearer {token}".encode())]
    scope = websocket_scope(headers=headers, denial_response=announced)
    scope["asgi_middleware"] = Exchange()
    guarded = guard(app, reject=mode, required_scopes=("read",))
    result = await drive(guarded, scope, [{"type": "websocket.connect"}])
    assert result.types == types
    assert app.calls == []
    assert scope["asgi_middleware"].refusal.reason == reason
    if types[-1] == "websocket.close":
        assert result.sent[-1] == {"type": "websocket.close", "code": code, "reason": reason}
    else:
        assert result.status == (403 if code == 4403 else 401)
        assert result.header(b"www-authenticate").startswith(b'Bearer realm="api"')


async def test_own_close_codes(app):
    """close_code and forbidden_code are the ones sent."""
    guarded = guard(app, reject="close", close_code=3000, forbidden_code=1008, required_scopes=("read",))
    assert (await websocket(guarded)).close_code == 3000
    assert (await websocket(guarded, headers=[ISSUER.authorization()])).close_code == 1008


@pytest.mark.parametrize(
    ("offered", "picked"),
    [
        ([], None),
        (["bearer", FORGED], "bearer"),
        (["chat", "bearer", FORGED], "bearer"),
        ([wrapped(FORGED), "chat"], "chat"),
        ([wrapped(FORGED)], None),
        (["chat", "chat2"], "chat"),
        (["b\u00e4d", "a b", "chat"], "chat"),
    ],
)
@pytest.mark.parametrize("subprotocol", [True, False])
async def test_accept_close_picks_a_subprotocol(offered, picked, subprotocol, app):
    """A browser learns the close code only if a subprotocol is picked; the token never is."""
    result = await websocket(guard(app, reject="accept_close", subprotocol=subprotocol), subprotocols=offered)
    assert result.sent[0] == {"type": "websocket.accept", "subprotocol": picked, "headers": []}


@pytest.mark.parametrize("mode", ["deny", "close", "accept_close"])
async def test_a_client_that_is_gone_is_sent_nothing(mode, app):
    """A disconnect in place of the connect ends it."""
    result = await drive(guard(app, reject=mode), websocket_scope(), [{"type": "websocket.disconnect", "code": 1006}])
    assert (result.sent, app.calls) == ([], [])


async def test_subprotocols_are_left_alone_when_switched_off(app):
    """With subprotocol=False a token there is no credential, and the app sees what was offered."""
    offered = ["bearer", GOOD]
    guarded = guard(app, subprotocol=False)
    assert (await websocket(guarded, subprotocols=offered)).status == 401
    result = await websocket(guarded, subprotocols=offered, headers=[ISSUER.authorization(), *offer_header(*offered)])
    assert result.sent[0] == {"type": "websocket.accept"}
    assert app.calls[0]["subprotocols"] == offered
    assert app.calls[0]["headers"][-1] == offer_header(*offered)[-1]


async def test_the_header_counts_where_the_scope_has_no_list(app):
    """A server may give the header alone."""
    result = await websocket(guard(app), headers=offer_header("bearer", GOOD, "chat"), subprotocols=())
    assert result.accepted
    assert app.calls[0]["subprotocols"] == ["chat"]
    scope = websocket_scope(headers=[(HEADER, b"bearer"), (b"Sec-WebSocket-Protocol", f" {GOOD} ,,".encode())])
    del scope["subprotocols"]
    assert (await drive(guard(app), scope, [{"type": "websocket.connect"}])).accepted


async def test_the_list_counts_where_the_headers_lack_it(app):
    """A server may give the list alone."""
    assert (await websocket(guard(app), subprotocols=["bearer", GOOD])).accepted


async def test_exempt_and_optional_sockets(app):
    """On an exempt path a token is not read but still hidden; on an optional one it must be good."""
    guarded = guard(app, exempt=("/open",), optional=("/feed",), query_parameter="token")
    result = await websocket(guarded, "/open", subprotocols=["bearer", FORGED, "chat"], query_string=b"token=x&a=1")
    assert result.sent[0]["subprotocol"] == "bearer"
    assert not app.calls[0]["user"].is_authenticated
    assert (app.calls[0]["subprotocols"], app.calls[0]["query_string"]) == (["chat"], b"a=1")
    assert (await websocket(guarded, "/feed")).accepted
    assert (await websocket(guarded, "/feed", subprotocols=["bearer", GOOD])).accepted
    assert (await websocket(guarded, "/feed", subprotocols=["bearer", FORGED])).status == 401
    assert [scope["user"].is_authenticated for scope in app.calls] == [False, False, True]


@pytest.mark.parametrize(
    ("query", "headers", "subprotocols", "status"),
    [
        (f"token={GOOD}", [], [], None),
        (f"room=1&token={GOOD}&x=%20", [], [], None),
        (f"%74oken={GOOD}", [], [], None),
        (f"token={FORGED}", [], [], 401),
        ("token=", [], [], 400),
        (f"token={GOOD}&token={GOOD}", [], [], 400),
        (f"token={GOOD}", [ISSUER.authorization()], [], 400),
        (f"token={GOOD}", [], ["bearer", GOOD], 400),
        (f"access_token={GOOD}", [], [], 401),
        ("", [], [], 401),
    ],
)
async def test_the_query_parameter(query, headers, subprotocols, status, app):
    """When enabled a token in the URL is taken once, and the app's query string is without it."""
    guarded = guard(app, query_parameter="token")
    result = await websocket(guarded, headers=headers, subprotocols=subprotocols, query_string=query.encode())
    assert result.status == status
    assert result.accepted is (status is None)
    for scope in app.calls:
        assert b"oken" not in scope["query_string"]
        assert (b"room=1" in scope["query_string"]) is ("room=1" in query)
    assert result.scope["query_string"] == query.encode()


async def test_the_query_is_not_read_by_default(app):
    """Without query_parameter a token in the URL is no credential."""
    assert (await websocket(guard(app), query_string=f"token={GOOD}".encode())).status == 401


async def test_a_query_string_may_be_missing(app):
    """A server may leave query_string out or give None."""
    guarded = guard(app, query_parameter="token")
    for missing in (None, ...):
        assert (await websocket(guarded, headers=[ISSUER.authorization()], query_string=missing)).accepted


async def test_rules_hold_for_sockets(app):
    """A rule's scopes are needed on a WebSocket too."""
    guarded = guard(app, rules=(Rule("/admin/**", scopes=("admin",)),))
    assert (await websocket(guarded, "/admin/log", subprotocols=["bearer", GOOD])).status == 403
    assert (await websocket(guarded, "/admin/log", subprotocols=["bearer", ISSUER.token(scope="admin")])).accepted


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"reject": "no"}, "unknown_choice"),
        ({"reject": True}, "unknown_choice"),
        ({"subprotocol": 1}, "not_a_bool"),
        ({"first_message": "yes"}, "not_a_bool"),
        ({"close_on_expiry": None}, "not_a_bool"),
        ({"first_message_timeout": 0}, "out_of_range"),
        ({"first_message_timeout": 61}, "out_of_range"),
        ({"max_unauthenticated": 0}, "out_of_range"),
        ({"timeout_code": 1006}, "out_of_range"),
        ({"recheck_interval": 0.5}, "out_of_range"),
        ({"recheck_interval": True}, "not_a_number"),
        ({"tickets": {}}, "not_tickets"),
        ({"ticket_parameter": ""}, "not_a_name"),
        ({"tickets": TicketStore(), "query_parameter": "ticket"}, "parameter_twice"),
        ({"query_parameter": ""}, "not_a_name"),
        ({"query_parameter": b"token"}, "not_a_name"),
        ({"close_code": 1000}, "out_of_range"),
        ({"close_code": 401}, "out_of_range"),
        ({"forbidden_code": 5000}, "out_of_range"),
        ({"close_code": "4401"}, "not_an_integer"),
    ],
)
def test_wrong_options_are_refused(options, code):
    """WebSocketAuth says what is wrong when it is made."""
    with pytest.raises(ConfigurationError) as caught:
        WebSocketAuth(**options)
    assert [problem.code for problem in caught.value.problems] == [code]


_PROTOCOL = st.sampled_from(["bearer", "BEARER", "chat", GOOD, wrapped(GOOD), KUBERNETES_PREFIX, ""]) | st.text(
    max_size=10
)


@settings(max_examples=50)
@given(offered=st.lists(_PROTOCOL, max_size=6), listed=st.booleans())
async def test_any_offer_is_answered(offered, listed):
    """No offer raises; what follows a marker, and what carries the prefix, never reaches the app or the client."""
    scope = websocket_scope(subprotocols=offered if listed else ())
    scope["headers"] = [(HEADER, ", ".join(offered).encode("utf-8", "surrogatepass"))]
    before = repr(scope)
    seen = []

    async def inner(given_scope, receive, send):
        seen.append(given_scope)
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.close"})

    for mode in ("deny", "accept_close"):
        result = await drive(guard(inner, reject=mode), {**scope}, [{"type": "websocket.connect"}])
        assert result.status in {None, 400, 401}
        accepts = [message.get("subprotocol") for message in result.sent if message["type"] == "websocket.accept"]
        assert not any(
            one and (GOOD in one or one.startswith(KUBERNETES_PREFIX))
            for one in accepts
            if one not in read_offer(scope, 0).kept
        )
    for given_scope in seen:
        assert not any(
            one.startswith(KUBERNETES_PREFIX) or one.lower() == "bearer" for one in given_scope["subprotocols"]
        )
    assert repr(scope) == before
