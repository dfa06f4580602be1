"""Which requests need a token: what loosens must be certain, what tightens holds on any reading."""

import re

import pytest

from asgi_middleware._core.config import ConfigurationError, Problems
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
