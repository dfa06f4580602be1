"""Which requests need a token: what loosens must be certain, what tightens holds on any reading."""

import re

import pytest

from asgi_middleware._core.config import ConfigurationError, Problems
from asgi_middleware._core.paths import path_forms
from asgi_middleware.auth import JWTAuthMiddleware, Rule
from asgi_middleware.auth.policy import Need, Policy
from asgi_middleware.testing import http, http_scope, websocket_scope

pytestmark = pytest.mark.anyio


def policy(*, exempt=(), optional=(), rules=(), required_scopes=()):
    problems = Problems("test")
    made = Policy(exempt=exempt, optional=optional, rules=rules, required_scopes=required_scopes, problems=problems)
    problems.raise_if_any()
    return made


FULL = policy(
    exempt=("/health", "/static/**", "GET /docs", re.compile(r"/v[0-9]+/open")),
    optional=("/feed", "/admin/feed"),
    rules=(
        Rule("/admin/**", scopes=("admin",)),
        Rule("/admin/keys", scopes=("keys", "read")),
        Rule("/reports", scopes=("write",), methods=("post", "PUT")),
        Rule("/export", methods=("GET",), scopes=("export",)),
    ),
    required_scopes=("read",),
)


@pytest.mark.parametrize(
    ("method", "path", "need", "scopes"),
    [
        ("GET", "/", "required", "read"),
        ("GET", "/anything/else", "required", "read"),
        ("GET", "/health", "exempt", ""),
        ("DELETE", "/health", "exempt", ""),
        ("GET", "/healthz", "required", "read"),
        ("GET", "/health/x", "required", "read"),
        ("GET", "/health/", "required", "read"),
        ("GET", "/static/a/b.css", "exempt", ""),
        ("GET", "/docs", "exempt", ""),
        ("POST", "/docs", "required", "read"),
        ("GET", "/v2/open", "exempt", ""),
        ("GET", "/v2/open/x", "required", "read"),
        ("GET", "/x/v2/open", "required", "read"),
        ("GET", "/feed", "optional", "read"),
        ("GET", "/feed/x", "required", "read"),
        ("GET", "/admin", "required", "read admin"),
        ("GET", "/admin/users", "required", "read admin"),
        ("GET", "/admin/feed", "required", "read admin"),
        ("GET", "/admin/keys", "required", "read admin keys"),
        ("GET", "/reports", "required", "read"),
        ("POST", "/reports", "required", "read write"),
        ("put", "/reports", "required", "read write"),
        ("GET", "/export", "required", "read export"),
        ("HEAD", "/export", "required", "read export"),
        ("POST", "/export", "required", "read"),
    ],
)
def test_what_a_request_needs(method, path, need, scopes):
    """Whatever no option names needs a token; every rule that concerns a request adds its scopes."""
    demand = FULL.demand(http_scope(method, path))
    assert (demand.need.value, " ".join(demand.scopes)) == (need, scopes)


def test_a_websocket_counts_as_get():
    """A handshake has no method in its scope and is a GET."""
    assert FULL.demand(websocket_scope("/export")).scopes == ("read", "export")
    assert FULL.demand(websocket_scope("/reports")).scopes == ("read",)
    assert FULL.demand(websocket_scope("/health")).need is Need.NOTHING


@pytest.mark.parametrize("method", ["GET", "CONNECT", None])
def test_a_websocket_whose_scope_has_a_method_is_no_different(method):
    """What a server says of the handshake's method neither takes a rule off nor frees a path for one method."""
    made = policy(exempt=("GET /health",), rules=(Rule("/export", scopes=("export",), methods=("GET",)),))
    assert made.demand(http_scope(path="/health")).need is Need.NOTHING
    assert made.demand({**websocket_scope("/export"), "method": method}).scopes == ("export",)
    assert made.demand({**websocket_scope("/health"), "method": method}).need is Need.TOKEN


AMBIGUOUS = [
    {"path": "//health"},
    {"path": "/health//"},
    {"path": "/health/"},
    {"path": "/./health"},
    {"path": "/health/."},
    {"path": "/x/../health"},
    {"path": "/static/../admin"},
    {"path": "/static/../../admin"},
    {"path": "/static//admin"},
    {"path": "/static/..;/admin"},
    {"path": "/static\\..\\admin"},
    {"path": "/health;x=1"},
    {"path": "/health?"},
    {"path": "/health#"},
    {"path": "/health\x00"},
    {"path": "/health\n"},
    {"path": "/health%"},
    {"path": "/health?/x", "raw_path": b"/health%3F/x"},
    {"path": "/static/a/admin", "raw_path": b"/static%2Fa%2fadmin"},
    {"path": "/static/a", "raw_path": b"/static/%2e%2e/a"},
    {"path": "/static/a", "raw_path": b"/static/a%00"},
    {"path": "/static/a", "raw_path": b"/static/a%5cb"},
    {"path": "health"},
    {"path": ""},
    {"path": "*"},
    {"path": "http://x/health"},
    {"path": "/v1x/health", "root_path": "/v1"},
]


@pytest.mark.parametrize("keys", AMBIGUOUS, ids=lambda keys: repr(tuple(keys.values())))
def test_an_ambiguous_path_is_never_exempt(keys):
    """A path on which two readers could disagree needs a token."""
    demand = FULL.demand(http_scope(**keys))
    assert demand.need is Need.TOKEN


@pytest.mark.parametrize("keys", AMBIGUOUS, ids=lambda keys: repr(tuple(keys.values())))
async def test_an_ambiguous_path_never_reaches_the_app(keys, issuer, app):
    """The same through the middleware: 401, and the app does not run."""
    guarded = JWTAuthMiddleware(app, **issuer.options, exempt=("/health", "/static/**"), optional=("/v1/**",))
    assert (await http(guarded, **keys)).status == 401
    assert app.calls == []


@pytest.mark.parametrize(
    "path",
    [
        "/admin",
        "/admin/",
        "//admin",
        "/admin//x",
        "/./admin",
        "/x/../admin",
        "/admin;x=1",
        "/admin/..;/admin/x",
        "\\admin\\x",
    ],
)
def test_a_rule_concerns_every_reading(path):
    """What a router might take for /admin needs the scope of /admin."""
    assert "admin" in FULL.demand(http_scope(path=path)).scopes


@pytest.mark.parametrize(("root", "path"), [("/v1", "/v1/admin"), ("/v1", "/admin"), ("", "/admin")])
def test_rules_hold_with_and_without_the_root_path(root, path):
    """Some servers put root_path before path and some do not."""
    assert "admin" in FULL.demand(http_scope(path=path, root_path=root)).scopes


async def test_only_the_path_decides(issuer, app):
    """Host, forwarding headers and the query say nothing about what is exempt."""
    guarded = JWTAuthMiddleware(app, **issuer.options, exempt=("/health",))
    lies = [
        (b"host", b"x/health?"),
        (b"x-forwarded-uri", b"/health"),
        (b"x-original-url", b"/health"),
        (b"x-rewrite-url", b"/health"),
    ]
    assert (await http(guarded, path="/secret", headers=lies, query_string=b"/health")).status == 401
    assert (await http(guarded, path="/health", headers=lies)).status == 200


PREFLIGHT = [(b"origin", b"https://a.example"), (b"access-control-request-method", b"PUT")]


@pytest.mark.parametrize(
    ("method", "headers", "expected"),
    [
        ("OPTIONS", PREFLIGHT, True),
        ("OPTIONS", PREFLIGHT[:1], False),
        ("OPTIONS", PREFLIGHT[1:], False),
        ("OPTIONS", [*PREFLIGHT[:1], (b"access-control-request-headers", b"authorization")], False),
        ("OPTIONS", [], False),
        ("options", PREFLIGHT, False),
        ("GET", PREFLIGHT, False),
        ("POST", [*PREFLIGHT, (b"x-http-method-override", b"OPTIONS")], False),
    ],
)
async def test_only_a_genuine_preflight_passes(method, headers, expected, issuer, app):
    """With allow_preflight an OPTIONS with both headers passes as anonymous; nothing else does."""
    guarded = JWTAuthMiddleware(app, **issuer.options, allow_preflight=True, rules=[Rule("/**", scopes=["x"])])
    assert (await http(guarded, method, headers=headers)).status == (200 if expected else 401)
    assert [scope["user"].is_authenticated for scope in app.calls] == ([False] if expected else [])


async def test_a_preflight_needs_a_token_by_default(issuer, app):
    """Without allow_preflight a preflight is a request like any other."""
    assert (await http(JWTAuthMiddleware(app, **issuer.options), "OPTIONS", headers=PREFLIGHT)).status == 401


@pytest.mark.parametrize(
    ("path", "options", "code"),
    [
        ("GET /x", {}, "method_in_path"),
        ("/x", {"scopes": "admin"}, "string_for_list"),
        ("/x", {"scopes": ("a b",)}, "not_a_scope"),
        ("/x", {"scopes": ('a"b',)}, "not_a_scope"),
        ("/x", {"scopes": ("",)}, "not_a_scope"),
        ("/x", {"scopes": ("caf\u00e9",)}, "not_a_scope"),
        ("/x", {"methods": "GET"}, "string_for_list"),
        ("/x", {"methods": ("GE T",)}, "not_a_method"),
        ("/x", {"methods": ()}, "methods_empty"),
        ("/x", {"roles": "admin"}, "string_for_list"),
        ("/x", {"roles": (5,)}, "not_a_string"),
        ("/x", {"any_of": "yes"}, "not_a_bool"),
    ],
)
def test_a_wrong_rule_is_refused(path, options, code):
    """A rule says what is wrong with it when it is made."""
    with pytest.raises(ConfigurationError) as caught:
        Rule(path, **options)
    assert code in [problem.code for problem in caught.value.problems]


@pytest.mark.parametrize("path", ["x", "", 5, None, "/a/**b"])
def test_a_wrong_path_is_refused(path):
    """A rule's path is a path pattern."""
    with pytest.raises(ConfigurationError):
        Rule(path)


def test_a_rule_is_frozen():
    """Lists given to a rule are copied, and the rule does not change."""
    scopes = ["a", "a", "b"]
    rule = Rule("/x", scopes=scopes, methods=["get"])
    scopes.append("c")
    assert (rule.scopes, rule.methods) == (("a", "b"), ("GET", "HEAD"))
    with pytest.raises(AttributeError):
        rule.path = "/y"


def test_one_rule_instead_of_a_list_is_named():
    """rules=Rule(...) and rules=5 are mistakes with a fix."""
    for rules in (5, "x", None):
        problems = Problems("test")
        Policy(exempt=(), optional=(), rules=rules, required_scopes=(), problems=problems)
        assert problems


@pytest.mark.parametrize(
    ("claims", "path", "status", "reason"),
    [
        ({"scope": "a b"}, "/all", 200, None),
        ({"scope": "a"}, "/all", 403, "insufficient_scope"),
        ({"scope": "b"}, "/any", 200, None),
        ({"scope": "c"}, "/any", 403, "insufficient_scope"),
        ({}, "/any", 403, "insufficient_scope"),
        ({"scope": "c"}, "/both", 403, "insufficient_scope"),
        ({"scope": "a c"}, "/both", 200, None),
        ({"realm_access": {"roles": ["r1", "r2"]}}, "/roles", 200, None),
        ({"realm_access": {"roles": ["r1"]}}, "/roles", 403, "insufficient_role"),
        ({"realm_access": {"roles": ["r2"]}}, "/some-role", 200, None),
        ({"realm_access": {"roles": ["r3"]}}, "/some-role", 403, "insufficient_role"),
        ({"realm_access": {"roles": "r1"}}, "/some-role", 200, None),
        ({"realm_access": {"roles": "r1 r2"}}, "/some-role", 403, "insufficient_role"),
        ({"realm_access": {"roles": [["r1"], 5, None]}}, "/some-role", 403, "insufficient_role"),
        ({"realm_access": ["roles"]}, "/some-role", 403, "insufficient_role"),
        ({"realm_access": {"roles": {"r1": 1}}}, "/some-role", 403, "insufficient_role"),
        ({"roles": ["r1", "r2"]}, "/roles", 403, "insufficient_role"),
    ],
)
async def test_scopes_and_roles(claims, path, status, reason, issuer, app):
    """All of a rule's scopes and roles are needed, or one of each with any_of; several rules add up [2.7]."""
    guarded = JWTAuthMiddleware(
        app,
        **issuer.options,
        roles_claim=("realm_access", "roles"),
        rules=[
            Rule("/all", scopes=["a", "b"]),
            Rule("/any", scopes=["a", "b"], any_of=True),
            Rule("/both", scopes=["a", "b"], any_of=True),
            Rule("/both", scopes=["c"]),
            Rule("/roles", roles=["r1", "r2"]),
            Rule("/some-role", roles=["r1", "r2"], any_of=True),
        ],
    )
    result = await http(guarded, path=path, headers=[issuer.authorization(**claims)])
    assert result.status == status
    if reason:
        assert result.json()["reason"] == reason
        assert b'error="insufficient_scope"' in result.header(b"www-authenticate")
        assert (b"scope=" in result.header(b"www-authenticate")) is (reason == "insufficient_scope")


async def test_the_app_sees_the_roles(issuer, app):
    """scope["auth"].roles are those of the claim that is named; a token without them has none."""
    for roles_claim, claims, roles in [
        ("roles", {"roles": ["r1", "r1", "r2"]}, ("r1", "r2")),
        ("https://api.example/roles", {"https://api.example/roles": ["r1"]}, ("r1",)),
        (("a", "b", "c"), {"a": {"b": {"c": "r"}}}, ("r",)),
        (("a", "b", "c"), {"a": {"b": "c"}}, ()),
        (None, {"roles": ["r1"]}, ()),
    ]:
        guarded = JWTAuthMiddleware(app, **issuer.options, roles_claim=roles_claim, exempt=["/open"])
        await http(guarded, headers=[issuer.authorization(**claims)])
        assert app.calls[-1]["auth"].roles == roles
        await http(guarded, path="/open")
        assert app.calls[-1]["auth"].roles == ()


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"rules": [Rule("/x", roles=["r"])]}, "roles_without_claim"),
        ({"roles_claim": ""}, "roles_claim_empty"),
        ({"roles_claim": ()}, "roles_claim_empty"),
        ({"roles_claim": ("a", "")}, "roles_claim_empty"),
        ({"roles_claim": 5}, "not_a_list"),
    ],
)
def test_roles_need_a_claim(options, code, issuer, app):
    """Asking for roles without saying where they are is a mistake with a fix."""
    with pytest.raises(ConfigurationError) as caught:
        JWTAuthMiddleware(app, **issuer.options, **options)
    assert code in [problem.code for problem in caught.value.problems]


@pytest.mark.parametrize(
    ("method", "path", "root", "need", "said"),
    [
        ("GET", "/health", "", "exempt", "GET /health: no token is looked at"),
        ("GET", "/v1/health", "/v1", "exempt", "GET /v1/health: no token is looked at"),
        ("GET", "/nowhere", "", "required", "GET /nowhere: a token with the scopes read"),
        ("GET", "/feed", "", "optional", "GET /feed: no token, or a valid one with the scopes read"),
        (
            "DELETE",
            "/admin/x?y=1",
            "",
            "required",
            "DELETE /admin/x?y=1: a token with the scopes read admin and the roles boss, by DELETE /admin/**; /admin.*",
        ),
        (
            "GET",
            "/health%2F",
            "",
            "required",
            "GET /health%2F: a token with the scopes read (the path is ambiguous, so that nothing exempts it)",
        ),
    ],
)
def test_explain(method, path, root, need, said, issuer, app):
    """Explain says what a request needs, by which rules, and why a path that looks exempt is not."""
    guarded = JWTAuthMiddleware(
        app,
        **issuer.options,
        exempt=["/health"],
        optional=["/feed"],
        required_scopes=["read"],
        roles_claim="roles",
        rules=[
            Rule("/admin/**", scopes=["admin"], methods=["DELETE"]),
            Rule(re.compile("/admin.*"), roles=["boss"]),
        ],
    )
    explained = guarded.explain(method, path, root_path=root)
    assert (explained.need, str(explained)) == (need, said)


def test_decisions_are_remembered_but_not_without_end():
    """The same request is decided once; the memory is bounded in number and in length, and changes no decision."""
    made = policy(exempt=("/health",), rules=(Rule("/admin/**", scopes=("admin",)),))
    assert made.demand(http_scope(path="/admin/x")) is made.demand(http_scope(path="/admin/x"))
    for number in range(3000):
        made.demand(http_scope(path=f"/{number}"))
    assert len(made._known) <= 1024
    made._known.clear()
    for long in (
        {"path": "/" + "a" * 5000},
        {"path": "/a", "raw_path": b"/" + b"a" * 5000},
        {"path": "/a", "method": "A" * 5000},
    ):
        made.demand(http_scope(**long))
    assert not made._known
    assert made.demand(http_scope(path="/health")).need is Need.NOTHING
    assert made.demand(http_scope(path="/health", raw_path=b"/health%2f")).need is Need.TOKEN
    assert made.demand(http_scope(path="/v1/health", root_path="/v1")).need is Need.NOTHING
    assert made.demand(http_scope(path="/v1/health")).need is Need.TOKEN


def test_many_rules_read_a_path_once(monkeypatch):
    """The readings of a path are made once for all rules: making them is what a hostile path costs."""
    made = []

    def counted(scope):
        made.append(scope["path"])
        return path_forms(scope)

    monkeypatch.setattr("asgi_middleware.auth.policy.path_forms", counted)
    many = policy(rules=[Rule(f"/{number}/**", scopes=("x",)) for number in range(50)])
    assert len(many.demand(http_scope(path="//7;a/x")).rules) == 1
    assert made == ["//7;a/x"]


def test_a_constant_demand_asks_no_path():
    """Where every request needs the same no path is looked at."""
    assert policy(required_scopes=("read",)).constant.scopes == ("read",)
    assert policy(exempt=("/x",)).constant is None
    assert policy(optional=("/x",)).constant is None
    assert policy(rules=(Rule("/x"),)).constant is None
