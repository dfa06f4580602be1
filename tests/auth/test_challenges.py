"""HTTP: every answer with its exact challenge, and nothing of the token in it (RFC 6750 3)."""

import gc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asgi_middleware._core.exchange import Exchange
from asgi_middleware.auth import JWTAuthMiddleware, Rule
from asgi_middleware.auth.challenge import Answers, challenge
from asgi_middleware.auth.extraction import NoToken
from asgi_middleware.auth.policy import Demand, Need
from asgi_middleware.testing import drive, http, http_scope, lifespan
from asgi_middleware.testing.tokens import TokenIssuer

pytestmark = pytest.mark.anyio
ISSUER = TokenIssuer()
BARE = b'Bearer realm="api"'
INVALID = b'Bearer realm="api", error="invalid_token"'
MALFORMED = b'Bearer realm="api", error="invalid_request"'


def guard(app, **options):
    return JWTAuthMiddleware(app, **{**ISSUER.options, **options})


def bearer(token):
    return (b"authorization", f"Bearer {token}".encode())


CASES = [
    ("nothing", [], 401, BARE, "credentials_missing"),
    ("another scheme", [(b"authorization", b"Basic YTpi")], 401, BARE, "scheme_not_supported"),
    (
        "a token as another scheme",
        [(b"authorization", b"Basic " + ISSUER.token().encode())],
        401,
        BARE,
        "scheme_not_supported",
    ),
    ("a cookie", [(b"cookie", b"token=" + ISSUER.token().encode())], 401, BARE, "credentials_missing"),
    ("no token", [(b"authorization", b"Bearer")], 400, MALFORMED, "credentials_malformed"),
    ("an empty header", [(b"authorization", b"")], 400, MALFORMED, "credentials_malformed"),
    ("two tokens", [bearer(ISSUER.token()), bearer(ISSUER.token())], 400, MALFORMED, "credentials_repeated"),
    (
        "two schemes",
        [bearer(ISSUER.token()), (b"authorization", b"Basic YTpi")],
        400,
        MALFORMED,
        "credentials_repeated",
    ),
    ("control bytes", [(b"authorization", b"Bearer a\x00b")], 400, MALFORMED, "credentials_malformed"),
    ("no JWT", [bearer("opaque")], 401, INVALID, "token_malformed"),
    ("expired", [bearer(ISSUER.expired())], 401, INVALID, "token_expired"),
    ("not yet valid", [bearer(ISSUER.not_yet_valid())], 401, INVALID, "token_not_yet_valid"),
    ("forged", [bearer(ISSUER.forged())], 401, INVALID, "signature_invalid"),
    ("unsigned", [bearer(ISSUER.unsigned())], 401, INVALID, "algorithm_not_allowed"),
    ("for another audience", [bearer(ISSUER.token(aud="x"))], 401, INVALID, "audience_not_allowed"),
    ("too large", [bearer("a" * 9000)], 401, INVALID, "token_too_large"),
]


@pytest.mark.parametrize(
    ("headers", "status", "value", "reason"), [case[1:] for case in CASES], ids=[case[0] for case in CASES]
)
async def test_each_refusal_has_its_challenge(headers, status, value, reason, app):
    """Status, challenge and reason are the ones of RFC 6750 3.1; the app does not run and the body is not read."""
    scope = {**http_scope("POST", headers=headers), "asgi_middleware": Exchange()}
    result = await drive(guard(app), scope, [{"type": "http.request", "body": b"x", "more_body": False}])
    assert (result.status, result.header_all(b"www-authenticate")) == (status, [value])
    assert result.header(b"content-type") == b"application/problem+json"
    assert result.header(b"cache-control") == b"no-store"
    assert result.header(b"content-length") == str(len(result.body)).encode()
    assert (result.json()["status"], result.json()["reason"]) == (status, reason)
    assert scope["asgi_middleware"].refusal.reason == reason
    assert scope["asgi_middleware"].subject is None
    assert (result.received, app.calls) == (0, [])


@pytest.mark.parametrize("headers", [case[1] for case in CASES], ids=[case[0] for case in CASES])
async def test_a_refusal_repeats_nothing(headers, app, caplog):
    """No part of the credentials is in the answer or in a log."""
    result = await http(guard(app), headers=headers)
    said = repr(result.sent) + caplog.text
    for _, value in headers:
        for part in value.decode("latin-1").replace(" ", ".").replace("=", ".").split("."):
            assert len(part) < 5 or part in {"Bearer", "Basic", "token"} or part not in said


def test_a_refusal_keeps_nothing_alive(app):
    """No circle of traceback and frame holds credentials until the garbage collector comes."""
    guarded = guard(app)
    scopes = [http_scope(headers=case[1]) for case in CASES]
    scopes += [
        http_scope(headers=[(b"authorization", f"bearer {token}".encode())]) for token in ("a.b", ISSUER.forged())
    ]
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        for scope in scopes:
            guarded._admit(scope)
        assert gc.collect() == 0
    finally:
        gc.enable()
        gc.unfreeze()


async def test_insufficient_scope(app):
    """A good token that grants too little: 403 with all scopes that are needed, in order."""
    guarded = guard(app, required_scopes=("read",), rules=(Rule("/admin/**", scopes=("admin", "read")),))
    for path, scopes, status in [
        ("/", "read", 200),
        ("/", "", 403),
        ("/", "reader read", 200),
        ("/admin", "read", 403),
        ("/admin", "admin", 403),
        ("/admin", "admin read", 200),
    ]:
        result = await http(guarded, path=path, headers=[ISSUER.authorization(scope=scopes)])
        assert result.status == status
        if status == 403:
            needed = b"read admin" if path == "/admin" else b"read"
            assert (
                result.header(b"www-authenticate")
                == b'Bearer realm="api", error="insufficient_scope", scope="' + needed + b'"'
            )
            assert result.json()["reason"] == "insufficient_scope"
    assert len(app.calls) == 3


async def test_a_bad_token_is_401_also_where_scopes_are_needed(app):
    """What the token grants is asked only after it is good."""
    guarded = guard(app, required_scopes=("read",))
    assert (await http(guarded, headers=[bearer(ISSUER.forged(scope="read"))])).status == 401
    assert (await http(guarded)).header(b"www-authenticate") == BARE + b', scope="read"'


async def test_head_is_refused_without_a_body(app):
    """The answer to HEAD has the length of the body and no body."""
    result = await http(guard(app), "HEAD")
    assert (result.status, result.body) == (401, b"")
    assert int(result.header(b"content-length")) > 0


@pytest.mark.parametrize(
    ("realm", "expected"),
    [("api", b'"api"'), ("", b'""'), ('a "b" \\c', b'"a \\"b\\" \\\\c"')],
)
async def test_the_realm_is_quoted(realm, expected, app):
    """Quotes and backslashes are escaped (RFC 9110 5.6.4)."""
    assert (await http(guard(app, realm=realm))).header(b"www-authenticate") == b"Bearer realm=" + expected


@pytest.mark.parametrize("realm", ["a\r\nb", "a\nb", "\x00", "\u00e9", "\u2028", 5, None, b"api"])
def test_a_realm_that_could_break_the_header_is_refused(realm, app):
    """Control characters and foreign letters never come near a header."""
    with pytest.raises(ValueError, match="realm"):
        guard(app, realm=realm)


def test_the_order_inside_a_challenge():
    """Realm, then error, then scope."""
    assert (
        challenge("x", error="insufficient_scope", scopes=("a", "b"))
        == b'Bearer realm="x", error="insufficient_scope", scope="a b"'
    )


def test_sets_of_scopes_are_kept_but_not_without_end():
    """The refusal for one set of scopes is built once; more sets than are kept cost time, not memory."""
    answers = Answers(realm="api", close_code=4401, forbidden_code=4403)
    asked = [Demand(Need.TOKEN, required_scopes=(str(number),)) for number in range(300)]
    assert answers.lacking("insufficient_scope", asked[0]) is answers.lacking("insufficient_scope", asked[0])
    assert answers.missing(NoToken.MISSING, asked[0]) is answers.missing(NoToken.MISSING, asked[0])
    for demand in asked:
        assert answers.lacking("insufficient_scope", demand).status == 403
        assert answers.missing(NoToken.MISSING, demand).status == 401
    assert len(answers._kept) == 256


async def test_the_challenge_says_what_a_token_needs(app):
    """Without credentials the challenge lists the scopes, and the metadata's address where that is given [3.1]."""
    url = "https://api.example/.well-known/oauth-protected-resource"
    guarded = guard(app, rules=(Rule("/admin", scopes=("admin",)),), resource_metadata=url)
    metadata = b', resource_metadata="' + url.encode() + b'"'
    assert (await http(guarded)).header(b"www-authenticate") == BARE + metadata
    assert (await http(guarded, path="/admin")).header(b"www-authenticate") == BARE + b', scope="admin"' + metadata
    for headers, error in [
        ([bearer(ISSUER.token())], b'error="insufficient_scope", scope="admin"'),
        ([bearer(ISSUER.expired())], b'error="invalid_token"'),
        ([bearer("a b")], b'error="invalid_request"'),
    ]:
        result = await http(guarded, path="/admin", headers=headers)
        assert result.header(b"www-authenticate") == BARE + b", " + error + metadata


@pytest.mark.parametrize("url", ["/x", "ftp://x/", "https://x y", 'https://x"', "https://x\r\ny", 5])
def test_metadata_addresses_are_checked(url, app):
    """What becomes part of a header is an absolute URL."""
    with pytest.raises(ValueError, match="resource_metadata"):
        guard(app, resource_metadata=url)


async def test_what_a_bad_token_does_on_an_optional_path_can_be_chosen(app):
    """With on_invalid_optional="anonymous" a bad token is no token there, and still 401 elsewhere [2.18]."""
    guarded = guard(app, optional=("/feed",), rules=(Rule("/feed/x", scopes=("x",)),), on_invalid_optional="anonymous")
    for headers in ([bearer(ISSUER.expired())], [bearer("x")], [(b"authorization", b"Bearer")], [bearer("a")] * 2):
        assert (await http(guarded, path="/feed", headers=headers)).status == 200
        assert (await http(guarded, path="/other", headers=headers)).status in {400, 401}
    assert not any(scope["user"].is_authenticated for scope in app.calls)
    assert (await http(guarded, path="/feed", headers=[bearer(ISSUER.token())])).status == 200
    assert app.calls[-1]["user"].is_authenticated
    with pytest.raises(ValueError, match="on_invalid_optional"):
        guard(app, on_invalid_optional="ignore")


async def test_optional_paths(app):
    """Without credentials, or with another scheme, the app runs for nobody; a token that is given must be good."""
    guarded = guard(app, optional=("/feed",), required_scopes=("read",))
    for headers, status in [
        ([], 200),
        ([(b"authorization", b"Basic YTpi")], 200),
        ([ISSUER.authorization(scope="read")], 200),
        ([ISSUER.authorization()], 403),
        ([bearer(ISSUER.expired())], 401),
        ([bearer(ISSUER.forged())], 401),
        ([(b"authorization", b"Bearer")], 400),
    ]:
        assert (await http(guarded, path="/feed", headers=headers)).status == status
    assert [scope["user"].is_authenticated for scope in app.calls] == [False, False, True]


async def test_exempt_paths_do_not_look_at_the_token(app):
    """On an exempt path a bad token does no harm and a good one gives no user."""
    guarded = guard(app, exempt=("/health",), required_scopes=("read",))
    for headers in ([], [bearer(ISSUER.token())], [bearer(ISSUER.forged())], [(b"authorization", b"Bearer")]):
        assert (await http(guarded, path="/health", headers=headers)).status == 200
    assert not any(scope["user"].is_authenticated for scope in app.calls)


async def test_a_token_in_the_query_is_not_read_on_http(app):
    """access_token in the URL is no credential, and stays for the app to see."""
    result = await http(guard(app), query_string=b"access_token=" + ISSUER.token().encode())
    assert (result.status, result.header(b"www-authenticate")) == (401, BARE)


@pytest.mark.parametrize("kind", ["lifespan", "telnet", "http.push"])
async def test_other_scopes_pass_untouched(kind):
    """The very same scope, receive and send reach the app, and its exceptions come out as they are."""
    seen = []
    failure = RuntimeError()

    async def inner(*args):
        seen.append(args)
        raise failure

    given = ({"type": kind}, object(), object())
    with pytest.raises(RuntimeError) as caught:
        await guard(inner)(*given)
    assert caught.value is failure
    assert all(one is other for one, other in zip(seen[0], given, strict=True))
    assert given[0] == {"type": kind}


async def test_lifespan_runs_through():
    """Start-up and shut-down reach the app."""

    async def inner(scope, receive, send):
        for _ in range(2):
            await send({"type": (await receive())["type"] + ".complete"})

    assert (await lifespan(guard(inner))).types == ["lifespan.startup.complete", "lifespan.shutdown.complete"]


@settings(max_examples=50)
@given(value=st.binary(max_size=60))
async def test_any_authorization_is_answered(value):
    """No bytes in the header give an exception or anything but 400 or 401."""

    async def inner(*_):
        raise AssertionError

    for given_value in (value, b"Bearer " + value):
        assert (await http(guard(inner), headers=[(b"authorization", given_value)])).status in {400, 401}


@settings(max_examples=50)
@given(path=st.text(max_size=30), raw=st.none() | st.binary(max_size=30), root=st.text(max_size=5))
async def test_any_path_is_answered(path, raw, root):
    """No path gives an exception; without a token only the exempt path itself gets through."""
    reached = []

    async def inner(scope, receive, send):
        reached.append(scope["path"])
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body"})

    guarded = guard(inner, exempt=("/health",), rules=[Rule("/admin/**", scopes=("admin",))])
    result = await http(guarded, path=path, raw_path=raw, root_path=root)
    assert result.status == 401 or reached in (["/health"], [f"{root}/health"])
