"""explain(): what server and browser do, and that it is what they really do."""

from typing import Any

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asgi_middleware._core.exchange import enter
from asgi_middleware._core.fetch import FORBIDDEN_METHODS, normalize_method
from asgi_middleware.cors import CORSMiddleware, CORSPolicy, OriginLookup
from asgi_middleware.testing import cross_origin_fetch

APP = "https://app.example.com"
EVIL = "https://evil.test"
POLICY = CORSPolicy(
    allow_origins=[APP, "https://*.example.org"],
    allow_methods=["PUT", "PATCH"],
    allow_headers=["content-type", "x-token"],
    expose_headers=["etag"],
    allow_credentials=True,
)
PUBLIC = CORSPolicy(allow_origins="*", allow_methods="*", allow_headers="*", expose_headers="*")
NO_CREDENTIALS = CORSPolicy(allow_origins=[APP], allow_methods="*", allow_headers=["*", "authorization"])
LIVE = CORSPolicy(allow_origins=[APP], allow_credentials=True, allow_methods="*", allow_headers="*", expose_headers="*")

# policy, origin, method, headers, credentials -> reason, failure, preflighted, reaches the app
ROWS: list[tuple[CORSPolicy, str, str, list[str], bool, str, str | None, bool, bool]] = [
    (POLICY, APP, "GET", [], False, "origin_allowed", None, False, True),
    (POLICY, APP, "GET", [], True, "origin_allowed", None, False, True),
    (POLICY, APP, "post", ["content-type: text/plain"], False, "origin_allowed", None, False, True),
    (POLICY, APP, "POST", ["content-type: application/json"], False, "origin_allowed", None, True, True),
    (POLICY, APP, "POST", ["content-type"], False, "origin_allowed", None, True, True),
    (POLICY, APP, "put", [], True, "origin_allowed", None, True, True),
    (POLICY, APP, "PATCH", ["X-Token: 1"], True, "origin_allowed", None, True, True),
    (POLICY, APP, "patch", [], False, "method_not_allowed", "no_allow_origin", True, False),
    (POLICY, APP, "DELETE", [], False, "method_not_allowed", "no_allow_origin", True, False),
    (POLICY, APP, "GET", ["authorization"], False, "header_not_allowed", "no_allow_origin", True, False),
    (POLICY, APP, "GET", ["x-other: 1"], False, "header_not_allowed", "no_allow_origin", True, False),
    (POLICY, APP, "GET", ["cookie: a=b", "sec-x: 1"], False, "origin_allowed", None, False, True),
    (POLICY, APP, "GET", ["accept: " + "a" * 129], False, "origin_allowed", None, True, True),
    (POLICY, EVIL, "GET", [], False, "origin_not_allowed", "no_allow_origin", False, True),
    (POLICY, EVIL, "PUT", [], False, "origin_not_allowed", "no_allow_origin", True, False),
    (POLICY, "null", "GET", [], False, "origin_not_allowed", "no_allow_origin", False, True),
    (POLICY, APP + "/", "GET", [], False, "origin_not_allowed", "no_allow_origin", False, True),
    (POLICY, APP, "TRACE", [], False, "no_origin", "forbidden_method", False, False),
    (POLICY, APP, "G T", [], False, "no_origin", "not_a_method", False, False),
    (POLICY, f"{APP}, {APP}", "GET", [], False, "no_origin", "not_an_origin", False, False),
    (POLICY, f"{APP}\r\nx: y", "GET", [], False, "no_origin", "not_an_origin", False, False),
    (PUBLIC, "null", "GET", [], False, "origin_allowed", None, False, True),
    (PUBLIC, EVIL, "DELETE", ["x-any"], False, "origin_allowed", None, True, True),
    (PUBLIC, EVIL, "GET", [], True, "origin_allowed", "wildcard_with_credentials", False, True),
    (PUBLIC, EVIL, "DELETE", [], True, "preflight_allowed", "wildcard_with_credentials", True, False),
    (PUBLIC, EVIL, "GET", ["authorization"], False, "header_not_allowed", "no_allow_origin", True, False),
    (NO_CREDENTIALS, APP, "GET", ["authorization", "x-any"], False, "origin_allowed", None, True, True),
    (NO_CREDENTIALS, APP, "GET", [], True, "origin_allowed", "no_allow_credentials", False, True),
    (NO_CREDENTIALS, APP, "DELETE", [], True, "preflight_allowed", "no_allow_credentials", True, False),
    (LIVE, APP, "DELETE", ["authorization", "x-any"], True, "origin_allowed", None, True, True),
]


@pytest.mark.parametrize(
    ("policy", "origin", "method", "headers", "credentials", "reason", "failure", "preflighted", "reaches_app"),
    ROWS,
    ids=range(len(ROWS)),
)
def test_outcome(
    policy: CORSPolicy,
    origin: str,
    method: str,
    headers: list[str],
    credentials: bool,
    reason: str,
    failure: str | None,
    preflighted: bool,
    reaches_app: bool,
) -> None:
    """The outcome names the server's reason and the browser's step that fails."""
    told = policy.explain(origin, method, headers, credentials=credentials)
    assert (told.reason, told.failure, told.preflighted, told.reaches_app) == (
        reason,
        failure,
        preflighted,
        reaches_app,
    )
    assert told.allowed is (failure is None)
    assert (told.section is None) is told.allowed
    assert [step for step in told.steps if not step.passed] == [] or not told.allowed


def test_text() -> None:
    """The text has every step and the outcome."""
    told = str(
        POLICY.explain(APP, "PUT", ["content-type: application/json", "host: x", "no name: 1"], credentials=True)
    )
    assert told.splitlines() == [
        " 1. browser  ignores host: only the browser sets it",
        " 2. browser  rejects 'no name', which is no header name; it is left out here",
        " 3. browser  asks first, because of the method: a preflight for PUT and content-type",
        (
            " 4. server   answers the preflight with 204 and Access-Control-Allow-Origin: https://app.example.com; "
            "Access-Control-Allow-Credentials: true; Access-Control-Allow-Methods: PUT; "
            "Access-Control-Allow-Headers: content-type; Access-Control-Max-Age: 600"
        ),
        " 5. browser  the preflight's answer allows the request",
        (
            " 6. server   passes the request on to the app; the response gets Vary: Origin; "
            "Access-Control-Allow-Origin: https://app.example.com; Access-Control-Allow-Credentials: true; "
            "Access-Control-Expose-Headers: etag"
        ),
        " 7. browser  the response passes the CORS check",
        " 8. browser  lets the script read the body and the safelisted headers, and etag",
        "=> The script can read the response.",
    ]


def test_text_of_a_failure() -> None:
    """A failure says where it stops, why, and that the request may reach the app all the same."""
    told = str(POLICY.explain(EVIL))
    assert "STOP: the response has no Access-Control-Allow-Origin" in told
    assert told.endswith(
        "Server: origin_not_allowed. Fetch standard 4.9: no_allow_origin. The request reaches the app all the same."
    )
    assert "\n" not in str(POLICY.explain("https://a\n.test")).splitlines()[0]


@pytest.mark.parametrize(
    ("says", "reason"), [(True, "origin_allowed"), (False, "origin_not_allowed"), (None, "origin_not_allowed")]
)
def test_function(says: bool | None, reason: str) -> None:
    """The function is not called: what it would say is given, and unknown is no."""

    def never(origin: str, scope: Any) -> bool:
        raise AssertionError

    policy = CORSPolicy(allow_origins=[], allow_origin_func=OriginLookup(func=never))
    assert policy.explain(EVIL, function_allows=says).reason == reason
    assert POLICY.explain(EVIL, function_allows=True).reason == "origin_not_allowed"


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Answer."""
    headers = [(b"content-type", b"application/json"), (b"x-example", b"1")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"hello"})


methods = st.sampled_from(["GET", "post", "put", "PUT", "PATCH", "patch", "DELETE", "BREW", "options", "HEAD"])
origins = st.sampled_from(
    [APP, EVIL, "null", "https://a.example.org", "https://example.org", APP + "/", "https://x@a.example.org"]
)
header_lines = st.sampled_from(
    [
        "x-token: 1",
        "X-Other: 2",
        "authorization: a",
        "content-type: text/plain",
        "content-type: application/json",
        "accept: */*",
        "accept: (",
        "range: bytes=0-",
        "range: bytes=-5",
        "cookie: a=b",
        "accept-language: " + "a" * 200,
    ]
)


@settings(max_examples=200)
@given(
    st.sampled_from([POLICY, PUBLIC, NO_CREDENTIALS, LIVE]),
    origins,
    methods,
    st.lists(header_lines, max_size=3, unique_by=lambda line: line.split(":")[0]),
    st.booleans(),
)
def test_it_is_what_happens(
    policy: CORSPolicy, origin: str, method: str, headers: list[str], credentials: bool
) -> None:
    """What is explained is what the class, driven by a browser's steps, really does, reason for reason."""
    assert normalize_method(method.encode()) not in FORBIDDEN_METHODS
    reasons: list[str | None] = []
    cors = CORSMiddleware(app, allow_origins=[APP])
    cors.replace_policy(policy)

    async def outside(scope: Any, receive: Any, send: Any) -> None:
        scope, exchange = enter(scope)
        await cors(scope, receive, send)
        reasons.append(exchange.cors)

    async def fetch() -> Any:
        pairs = [tuple(line.split(": ", 1)) for line in headers]
        return await cross_origin_fetch(outside, origin=origin, method=method, headers=pairs, credentials=credentials)  # type: ignore[arg-type]

    result = anyio.run(fetch)
    told = policy.explain(origin, method, headers, credentials=credentials)
    assert told.allowed is result.allowed
    assert told.failure == (result.failure.code if result.failure else None)
    assert told.preflighted is (result.preflight is not None)
    assert told.reaches_app is (result.response is not None)
    assert told.reason == reasons[-1]
