"""Configuration x request: what leaves, header for header."""

from typing import Any, NamedTuple

import pytest

from asgi_middleware._core.exchange import enter
from asgi_middleware.cors import CORSMiddleware
from asgi_middleware.testing.driver import drive, http, http_scope

pytestmark = pytest.mark.anyio

APP = "https://app.example.com"
EVIL = "https://evil.test"
LISTED: dict[str, Any] = {
    "allow_origins": [APP, "https://*.example.org", "http://localhost:*"],
    "allow_methods": ["PUT", "DELETE", "CUSTOM"],
    "allow_headers": ["content-type", "X-Token", "authorization"],
    "expose_headers": ["X-Total", "ETag"],
}
WITH_CREDENTIALS = {**LISTED, "allow_credentials": True}
STATIC: dict[str, Any] = {"allow_origins": "*"}
STATIC_ALL: dict[str, Any] = {
    "allow_origins": ["*"],
    "allow_methods": ["*"],
    "allow_headers": ["*"],
    "expose_headers": ["*"],
}
ALL: dict[str, Any] = {**STATIC_ALL, "allow_origins": [APP]}
ALL_WITH_CREDENTIALS = {**ALL, "allow_credentials": True}
NULL: dict[str, Any] = {"allow_origins": ["null"]}
REGEX: dict[str, Any] = {"allow_origins": [], "allow_origin_regex": r"https://pr-\d+\.example\.com"}
DEFAULTS: dict[str, Any] = {"allow_origins": [APP]}


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Answer 200 with a header of its own."""
    headers = [(b"content-type", b"text/plain"), (b"content-length", b"5"), (b"x-total", b"7"), (b"set-cookie", b"a=b")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"hello"})


class Answer(NamedTuple):
    """The CORS side of an answer; None and "" for what must not be there."""

    origin: str | None = None
    credentials: bool = False
    expose: str | None = None
    vary: str | None = "Origin"


def cors_headers(headers: list[tuple[bytes, bytes]]) -> dict[str, str]:
    """Give what the protocol put into a response; a repeated line fails."""
    found = [
        (name.decode(), value.decode()) for name, value in headers if name.startswith((b"access-control", b"vary"))
    ]
    assert len(dict(found)) == len(found)
    return dict(found)


STAR = Answer("*", vary=None)
STAR_ALL = Answer("*", expose="*", vary=None)
YES = Answer(APP, expose="x-total,etag")
NO = Answer()

ACTUAL: list[tuple[str, dict[str, Any], list[str], Answer, str | None]] = [
    ("no origin", LISTED, [], NO, None),
    ("allowed", LISTED, [APP], YES, "origin_allowed"),
    (
        "subdomain",
        LISTED,
        ["https://a.b.example.org"],
        Answer("https://a.b.example.org", expose="x-total,etag"),
        "origin_allowed",
    ),
    (
        "any port",
        LISTED,
        ["http://localhost:3000"],
        Answer("http://localhost:3000", expose="x-total,etag"),
        "origin_allowed",
    ),
    ("denied", LISTED, [EVIL], NO, "origin_not_allowed"),
    ("null", LISTED, ["null"], NO, "origin_not_allowed"),
    ("empty", LISTED, [""], NO, "origin_not_allowed"),
    ("two lines", LISTED, [APP, APP], NO, "malformed_origin"),
    ("two lines, one evil", LISTED, [APP, EVIL], NO, "malformed_origin"),
    ("list", LISTED, [f"{APP}, {APP}"], NO, "origin_not_allowed"),
    ("list by space", LISTED, [f"{APP} {EVIL}"], NO, "origin_not_allowed"),
    ("upper case", LISTED, ["https://APP.example.com"], NO, "origin_not_allowed"),
    ("slash", LISTED, [f"{APP}/"], NO, "origin_not_allowed"),
    ("default port", LISTED, [f"{APP}:443"], NO, "origin_not_allowed"),
    ("other port", LISTED, [f"{APP}:8443"], NO, "origin_not_allowed"),
    ("other scheme", LISTED, ["http://app.example.com"], NO, "origin_not_allowed"),
    ("suffix", LISTED, [f"{APP}.evil.test"], NO, "origin_not_allowed"),
    ("prefix", LISTED, ["https://evilapp.example.com"], NO, "origin_not_allowed"),
    ("apex of a pattern", LISTED, ["https://example.org"], NO, "origin_not_allowed"),
    ("userinfo", LISTED, ["https://x@a.example.org"], NO, "origin_not_allowed"),
    ("line break", LISTED, [f"{APP}\r\nx-evil: 1"], NO, "origin_not_allowed"),
    ("nul", LISTED, [f"{APP}\x00"], NO, "origin_not_allowed"),
    ("too long", LISTED, ["https://" + "a" * 400 + ".example.org"], NO, "origin_not_allowed"),
    ("huge", LISTED, ["https://" + "a." * 30_000 + "example.org"], NO, "origin_not_allowed"),
    ("credentials, no origin", WITH_CREDENTIALS, [], NO, None),
    (
        "credentials, allowed",
        WITH_CREDENTIALS,
        [APP],
        Answer(APP, credentials=True, expose="x-total,etag"),
        "origin_allowed",
    ),
    ("credentials, denied", WITH_CREDENTIALS, [EVIL], NO, "origin_not_allowed"),
    ("credentials, null", WITH_CREDENTIALS, ["null"], NO, "origin_not_allowed"),
    ("credentials, two lines", WITH_CREDENTIALS, [APP, APP], NO, "malformed_origin"),
    ("static, no origin", STATIC, [], STAR, None),
    ("static, origin", STATIC, [EVIL], STAR, "origin_allowed"),
    ("static, null", STATIC, ["null"], STAR, "origin_allowed"),
    ("static, nonsense", STATIC, ["\xff\xfe"], STAR, "origin_allowed"),
    ("static, two lines", STATIC, [APP, EVIL], STAR, "origin_allowed"),
    ("static all, no origin", STATIC_ALL, [], STAR_ALL, None),
    ("static all, origin", STATIC_ALL, [APP], STAR_ALL, "origin_allowed"),
    ("all, allowed", ALL, [APP], Answer(APP, expose="*"), "origin_allowed"),
    ("all, denied", ALL, [EVIL], NO, "origin_not_allowed"),
    (
        "all with credentials",
        ALL_WITH_CREDENTIALS,
        [APP],
        Answer(APP, credentials=True, expose="x-total"),
        "origin_allowed",
    ),
    ("all with credentials, denied", ALL_WITH_CREDENTIALS, [EVIL], NO, "origin_not_allowed"),
    ("all with credentials, no origin", ALL_WITH_CREDENTIALS, [], NO, None),
    ("null named", NULL, ["null"], Answer("null"), "origin_allowed"),
    ("null named, other", NULL, [APP], NO, "origin_not_allowed"),
    ("regex", REGEX, ["https://pr-17.example.com"], Answer("https://pr-17.example.com"), "origin_allowed"),
    ("regex, longer", REGEX, ["https://pr-17.example.com.evil.test"], NO, "origin_not_allowed"),
    ("regex, inside", REGEX, ["https://x@pr-17.example.com"], NO, "origin_not_allowed"),
    ("regex, line break", REGEX, ["https://pr-17.example.com\n"], NO, "origin_not_allowed"),
    ("regex, other digits", REGEX, ["https://pr-\xb2.example.com"], NO, "origin_not_allowed"),
    ("defaults", DEFAULTS, [APP], Answer(APP), "origin_allowed"),
]


def raw(*pairs: tuple[str, str]) -> list[tuple[bytes, bytes]]:
    """Encode header pairs."""
    return [(name.encode("latin-1"), value.encode("latin-1")) for name, value in pairs]


class TestActual:
    @pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
    @pytest.mark.parametrize(("name", "options", "origins", "answer", "reason"), ACTUAL, ids=[row[0] for row in ACTUAL])
    async def test_headers(
        self, name: str, options: dict[str, Any], origins: list[str], answer: Answer, reason: str | None, method: str
    ) -> None:
        """An ordinary response carries exactly what its origin is due, and Vary unless it is static [8, 20, 21]."""
        scope, exchange = enter(http_scope(method, headers=raw(*(("origin", origin) for origin in origins))))
        result = await drive(CORSMiddleware(app, **options), scope)
        expected = {
            "access-control-allow-origin": answer.origin,
            "access-control-allow-credentials": "true" if answer.credentials else None,
            "access-control-expose-headers": answer.expose,
            "vary": answer.vary,
        }
        assert cors_headers(result.headers) == {key: value for key, value in expected.items() if value is not None}
        assert result.status == 200
        assert result.body == b"hello"
        assert exchange.cors == reason


class Preflight(NamedTuple):
    """One preflight: what is asked for, and what is allowed."""

    name: str
    options: dict[str, Any]
    origin: str = APP
    method: str = "PUT"
    headers: tuple[str, ...] = ()
    reason: str = "preflight_allowed"
    allow_methods: str | None = "PUT"
    allow_headers: str | None = None
    max_age: str | None = "600"
    credentials: bool = False
    allow_origin: str = APP


def refused(name: str, options: dict[str, Any], reason: str, **asked: Any) -> Preflight:
    """Describe a preflight that is refused."""
    return Preflight(name, options, reason=reason, **asked)


NAMES = tuple(f"x-{number:04}" for number in range(200))

PREFLIGHTS = [
    Preflight("listed method", LISTED),
    Preflight("other listed method", LISTED, method="DELETE", allow_methods="DELETE"),
    Preflight("own method", LISTED, method="CUSTOM", allow_methods="CUSTOM"),
    Preflight("method with white space", LISTED, method=" PUT\t"),
    Preflight("safelisted GET", DEFAULTS, method="GET", allow_methods="GET"),
    Preflight("safelisted HEAD", DEFAULTS, method="HEAD", allow_methods="HEAD"),
    Preflight("safelisted POST", DEFAULTS, method="POST", allow_methods="POST"),
    Preflight(
        "content-type",
        DEFAULTS,
        method="POST",
        headers=("content-type",),
        allow_methods="POST",
        allow_headers="content-type",
    ),
    Preflight("one header", LISTED, headers=("x-token",), allow_headers="x-token"),
    Preflight("upper case", LISTED, headers=("X-TOKEN",), allow_headers="x-token"),
    Preflight(
        "several",
        LISTED,
        headers=("authorization,content-type,x-token",),
        allow_headers="authorization,content-type,x-token",
    ),
    Preflight("white space", LISTED, headers=("authorization, \tx-token ",), allow_headers="authorization,x-token"),
    Preflight("several lines", LISTED, headers=("authorization", "x-token"), allow_headers="authorization,x-token"),
    Preflight("empty elements", LISTED, headers=(",,x-token,,authorization,",), allow_headers="x-token,authorization"),
    Preflight("sixteen empty elements", LISTED, headers=("x-token" + "," * 16,), allow_headers="x-token"),
    Preflight("repeated name", LISTED, headers=("x-token,x-token",), allow_headers="x-token"),
    Preflight("empty value", LISTED, headers=("",)),
    Preflight(
        "safelisted headers",
        LISTED,
        headers=("accept,accept-language,content-language",),
        allow_headers="accept,accept-language,content-language",
    ),
    Preflight("pattern", LISTED, origin="https://a.example.org", allow_origin="https://a.example.org"),
    Preflight("any port", LISTED, origin="http://localhost:5173", allow_origin="http://localhost:5173"),
    Preflight("credentials", WITH_CREDENTIALS, credentials=True),
    Preflight(
        "credentials and headers", WITH_CREDENTIALS, headers=("x-token",), allow_headers="x-token", credentials=True
    ),
    Preflight("static", STATIC, method="POST", allow_methods="POST", allow_origin="*"),
    Preflight("static, null", STATIC, origin="null", method="GET", allow_methods="GET", allow_origin="*"),
    Preflight(
        "static, content-type",
        STATIC,
        method="POST",
        headers=("content-type",),
        allow_methods="POST",
        allow_headers="content-type",
        allow_origin="*",
    ),
    Preflight("static all", STATIC_ALL, headers=("x-any",), allow_methods="*", allow_headers="*", allow_origin="*"),
    Preflight("static all, no headers", STATIC_ALL, allow_methods="*", allow_origin="*"),
    Preflight("all", ALL, method="BREW", headers=("x-any,x-other",), allow_methods="*", allow_headers="*"),
    Preflight(
        "all and authorization",
        {**ALL, "allow_headers": ["*", "Authorization"]},
        headers=("authorization,x-any",),
        allow_methods="*",
        allow_headers="*,authorization",
    ),
    Preflight(
        "all with credentials",
        ALL_WITH_CREDENTIALS,
        method="BREW",
        headers=("x-any,authorization",),
        allow_methods="BREW",
        allow_headers="x-any,authorization",
        credentials=True,
    ),
    Preflight(
        "all with credentials, star asked", ALL_WITH_CREDENTIALS, headers=("*",), allow_headers="*", credentials=True
    ),
    Preflight("null named", NULL, origin="null", method="GET", allow_methods="GET", allow_origin="null"),
    Preflight(
        "regex",
        REGEX,
        origin="https://pr-1.example.com",
        method="GET",
        allow_methods="GET",
        allow_origin="https://pr-1.example.com",
    ),
    Preflight("max age 0", {**LISTED, "max_age": 0}, max_age="0"),
    Preflight("max age a day", {**LISTED, "max_age": 86_400}, max_age="86400"),
    Preflight("max age left out", {**LISTED, "max_age": None}, max_age=None),
    refused("denied origin", LISTED, "origin_not_allowed", origin=EVIL),
    refused("null origin", LISTED, "origin_not_allowed", origin="null"),
    refused("empty origin", LISTED, "origin_not_allowed", origin=""),
    refused("long origin", LISTED, "origin_not_allowed", origin="https://" + "a." * 30_000 + "example.org"),
    refused("unlisted method", LISTED, "method_not_allowed", method="PATCH"),
    refused("lower case method", LISTED, "method_not_allowed", method="put"),
    refused("lower case safelisted method", LISTED, "method_not_allowed", method="get"),
    refused("patch is not PATCH", {**DEFAULTS, "allow_methods": ["PATCH"]}, "method_not_allowed", method="patch"),
    refused("nothing but the safelist", DEFAULTS, "method_not_allowed"),
    refused("forbidden method under all", ALL, "method_not_allowed", method="TRACE"),
    refused("forbidden method with credentials", ALL_WITH_CREDENTIALS, "method_not_allowed", method="CONNECT"),
    refused("two methods", LISTED, "malformed_request_method", method="GET, DELETE"),
    refused("two methods by space", LISTED, "malformed_request_method", method="GET DELETE"),
    refused("two methods under all", ALL_WITH_CREDENTIALS, "malformed_request_method", method="GET,DELETE"),
    refused("empty method", LISTED, "malformed_request_method", method=""),
    refused("method with a line break", ALL_WITH_CREDENTIALS, "malformed_request_method", method="PUT\r\nx: y"),
    refused("method outside ASCII", ALL_WITH_CREDENTIALS, "malformed_request_method", method="P\xdcT"),
    refused("long method", ALL_WITH_CREDENTIALS, "malformed_request_method", method="A" * 65),
    refused("unlisted header", LISTED, "header_not_allowed", headers=("x-other",)),
    refused("one of two unlisted", LISTED, "header_not_allowed", headers=("x-token,x-other",)),
    refused("second line unlisted", LISTED, "header_not_allowed", headers=("x-token", "x-other")),
    refused("prefix of a listed header", LISTED, "header_not_allowed", headers=("x-tok",)),
    refused("star is a name", LISTED, "header_not_allowed", headers=("*",)),
    refused(
        "content-type not listed",
        {**DEFAULTS, "allow_headers": []},
        "header_not_allowed",
        method="POST",
        headers=("content-type",),
    ),
    refused("range not listed", DEFAULTS, "header_not_allowed", method="POST", headers=("range",)),
    refused("authorization not listed", DEFAULTS, "header_not_allowed", method="POST", headers=("authorization",)),
    refused("authorization under star", ALL, "header_not_allowed", headers=("authorization",)),
    refused("authorization under star, among others", STATIC_ALL, "header_not_allowed", headers=("a,Authorization",)),
    refused("header with a space", ALL_WITH_CREDENTIALS, "malformed_request_headers", headers=("x a",)),
    refused(
        "header with a line break", ALL_WITH_CREDENTIALS, "malformed_request_headers", headers=("x-a\r\nset-cookie: a",)
    ),
    refused("header with a nul", ALL_WITH_CREDENTIALS, "malformed_request_headers", headers=("x-a\x00",)),
    refused("header outside ASCII", ALL_WITH_CREDENTIALS, "malformed_request_headers", headers=("x-\xe4",)),
    refused("header with a colon", STATIC_ALL, "malformed_request_headers", headers=("x:",)),
    refused("too many bytes", ALL_WITH_CREDENTIALS, "malformed_request_headers", headers=(",".join(NAMES),)),
    refused("too many bytes in lines", ALL_WITH_CREDENTIALS, "malformed_request_headers", headers=NAMES),
    refused("a flood", LISTED, "malformed_request_headers", headers=("x" * 65_536,)),
    refused("seventeen empty elements", LISTED, "malformed_request_headers", headers=("x-token" + "," * 17,)),
    refused("origin before method", LISTED, "origin_not_allowed", origin=EVIL, method="PATCH"),
    refused("method before headers", LISTED, "method_not_allowed", method="PATCH", headers=("x-other",)),
]


async def never(scope: Any, receive: Any, send: Any) -> None:
    """Fail when called."""
    raise AssertionError("the app was called for a preflight")


def preflight_headers(asked: Preflight) -> list[tuple[bytes, bytes]]:
    """Give the request headers of a preflight."""
    return raw(
        ("origin", asked.origin),
        ("access-control-request-method", asked.method),
        *(("access-control-request-headers", value) for value in asked.headers),
    )


class TestPreflight:
    @pytest.mark.parametrize("asked", PREFLIGHTS, ids=[row.name for row in PREFLIGHTS])
    async def test_answer(self, asked: Preflight) -> None:
        """A preflight gets 204 with what was asked for, or 403 without a CORS header [1, 2, 3, 4, 5, 6, 7, 13]."""
        result = await http(CORSMiddleware(never, **asked.options), "OPTIONS", headers=preflight_headers(asked))
        assert result.received == 0
        if asked.reason != "preflight_allowed":
            assert result.status == 403
            assert result.json()["reason"] == asked.reason
            assert cors_headers(result.headers) == {}
            return
        expected = {
            "access-control-allow-origin": asked.allow_origin,
            "access-control-allow-credentials": "true" if asked.credentials else None,
            "access-control-allow-methods": asked.allow_methods,
            "access-control-allow-headers": asked.allow_headers,
            "access-control-max-age": asked.max_age,
        }
        assert result.status == 204
        assert {name.decode(): value.decode() for name, value in result.headers} == {
            key: value for key, value in expected.items() if value is not None
        }
        assert result.body == b""
        assert result.complete

    async def test_status_200(self) -> None:
        """With status 200 the empty answer has a length; with 204 it must have none (RFC 9110 8.6) [2]."""
        result = await http(
            CORSMiddleware(never, **LISTED, preflight_status=200), "OPTIONS", headers=preflight_headers(PREFLIGHTS[0])
        )
        assert result.status == 200
        assert result.header(b"content-length") == b"0"

    @pytest.mark.parametrize("asked", [PREFLIGHTS[0], PREFLIGHTS[36]], ids=["allowed", "refused"])
    async def test_vary(self, asked: Preflight) -> None:
        """With vary_preflight both answers name the three request headers that they depend on [23]."""
        result = await http(
            CORSMiddleware(never, **LISTED, vary_preflight=True), "OPTIONS", headers=preflight_headers(asked)
        )
        vary = b"Origin, Access-Control-Request-Method, Access-Control-Request-Headers"
        assert result.header_all(b"vary") == [vary]
        assert result.status == (204 if asked.reason == "preflight_allowed" else 403)

    @pytest.mark.parametrize(
        ("method", "headers"),
        [
            ("OPTIONS", raw(("origin", APP))),
            ("OPTIONS", raw(("access-control-request-method", "PUT"))),
            ("OPTIONS", raw()),
            ("options", raw(("origin", APP), ("access-control-request-method", "PUT"))),
            ("GET", raw(("origin", APP), ("access-control-request-method", "PUT"))),
            ("POST", raw(("origin", APP), ("access-control-request-method", "PUT"))),
        ],
        ids=["no method asked", "no origin", "bare", "lower case", "GET", "POST"],
    )
    async def test_no_preflight(self, method: str, headers: list[tuple[bytes, bytes]]) -> None:
        """What lacks a part of a preflight reaches the app [1]."""
        result = await http(CORSMiddleware(app, **LISTED), method, headers=headers)
        assert result.body == b"hello"
        assert result.header_all(b"vary") == [b"Origin"]

    @pytest.mark.parametrize(
        "headers",
        [
            raw(("origin", APP), ("origin", APP), ("access-control-request-method", "PUT")),
            raw(("origin", APP), ("origin", EVIL), ("access-control-request-method", "PUT")),
        ],
        ids=["same", "different"],
    )
    async def test_repeated_origin(self, headers: list[tuple[bytes, bytes]]) -> None:
        """A preflight with two origins is refused (RFC 6454 7.3) [10]."""
        result = await http(CORSMiddleware(never, **LISTED), "OPTIONS", headers=headers)
        assert (result.status, result.json()["reason"]) == (403, "malformed_origin")

    async def test_repeated_method(self) -> None:
        """A preflight that asks for two methods is refused [3]."""
        headers = raw(("origin", APP), *[("access-control-request-method", "PUT")] * 2)
        result = await http(CORSMiddleware(never, **LISTED), "OPTIONS", headers=headers)
        assert (result.status, result.json()["reason"]) == (403, "malformed_request_method")

    async def test_mixed_case_names(self) -> None:
        """Request header names in any case make a preflight [19]."""
        headers = raw(
            ("Origin", APP), ("Access-Control-Request-Method", "PUT"), ("Access-Control-Request-Headers", "x-token")
        )
        result = await http(CORSMiddleware(never, **LISTED), "OPTIONS", headers=headers)
        assert result.status == 204
        assert result.header(b"access-control-allow-headers") == b"x-token"

    async def test_remembered_for_each_origin(self) -> None:
        """What one origin was answered is never given to another one, nor what was asked to another question."""
        cors = CORSMiddleware(never, **LISTED)
        for origin in (APP, "https://a.example.org", "https://b.example.org", APP):
            for method, names in (("PUT", ()), ("DELETE", ()), ("PUT", ("x-token",)), ("PUT", ("authorization",))):
                asked = Preflight("", LISTED, origin=origin, method=method, headers=names)
                result = await http(cors, "OPTIONS", headers=preflight_headers(asked))
                assert result.header(b"access-control-allow-origin") == origin.encode()
                assert result.header(b"access-control-allow-methods") == method.encode()
                assert result.header(b"access-control-allow-headers") == (",".join(names).encode() or None)

    @pytest.mark.parametrize(
        ("further", "reason"),
        [
            ((b"access-control-request-method", b"PUT"), "malformed_request_method"),
            ((b"access-control-request-headers", b"x-other"), "header_not_allowed"),
        ],
        ids=["method", "headers"],
    )
    async def test_a_further_line_is_another_question(self, further: tuple[bytes, bytes], reason: str) -> None:
        """What begins like a preflight that was answered is decided for itself."""
        cors = CORSMiddleware(never, **LISTED)
        headers = preflight_headers(Preflight("", LISTED, origin=APP, method="PUT", headers=("x-token",)))
        assert (await http(cors, "OPTIONS", headers=headers)).status == 204
        refused = await http(cors, "OPTIONS", headers=[*headers, further])
        assert (refused.status, refused.json()["reason"]) == (403, reason)

    async def test_refusals_take_no_room(self) -> None:
        """What is refused is worked out anew: nobody pushes out what browsers ask again by asking for nonsense."""
        cors = CORSMiddleware(never, **LISTED)
        for method, name in (("GONE", "x-token"), ("PUT", "x-other")):
            headers = preflight_headers(Preflight("", LISTED, origin=APP, method=method, headers=(name,)))
            assert (await http(cors, "OPTIONS", headers=headers)).status == 403
        assert not cors.policy.rules._preflights

    @pytest.mark.parametrize("suffix", [b"", b":443", b"/path", b"."])
    async def test_no_expression_lets_in_what_is_no_origin(self, suffix: bytes) -> None:
        """Whatever an expression matches, only a complete serialization is let in, and never `null`."""
        cors = CORSMiddleware(app, allow_origins=[], allow_origin_regex=r"null|https://a\.test(:443|/path|\.)?")
        assert cors.policy.rules.regex.fullmatch("https://a.test" + suffix.decode())
        result = await http(cors, headers=[(b"origin", b"https://a.test" + suffix)])
        assert (result.header(b"access-control-allow-origin") is not None) == (not suffix)
        result = await http(cors, headers=[(b"origin", b"null")])
        assert result.header(b"access-control-allow-origin") is None

    async def test_many_listed_origins_leave_room(self) -> None:
        """However many origins are listed, those that a pattern lets in are remembered beside them."""
        listed = [f"https://s{number}.example.com" for number in range(600)]
        cors = CORSMiddleware(app, allow_origins=[*listed, "https://*.example.org"])
        for origin in (b"https://a.example.org", b"https://b.example.org"):
            await http(cors, headers=[(b"origin", origin)])
        assert len(cors.policy.rules.known) == 602

    async def test_memory_is_bounded(self) -> None:
        """However many origins a client invents, what is remembered of them stays small, and listed ones stay known."""
        cors = CORSMiddleware(never, **LISTED)
        rules = cors.policy.rules
        for number in range(1100):
            asked = Preflight("", LISTED, origin=f"https://s{number}.example.org")
            assert (await http(cors, "OPTIONS", headers=preflight_headers(asked))).status == 204
            assert len(rules.known) <= 513
            assert len(rules._preflights) <= 512
        assert APP.encode() in rules.known

    async def test_private_network(self) -> None:
        """The request header of the dead private-network preflight changes nothing [26]."""
        headers = [*preflight_headers(PREFLIGHTS[0]), (b"access-control-request-private-network", b"true")]
        result = await http(CORSMiddleware(never, **LISTED), "OPTIONS", headers=headers)
        assert result.status == 204
        assert result.header(b"access-control-allow-private-network") is None

    @pytest.mark.parametrize("value", [b"true", b"false"])
    async def test_private_network_allowed(self, value: bytes) -> None:
        """With the option the header is there where it is asked for, and nothing else changes [26]."""
        cors = CORSMiddleware(never, **LISTED, allow_private_network=True)
        plain = preflight_headers(PREFLIGHTS[0])
        for headers, expected in (
            ([*plain, (b"access-control-request-private-network", value)], b"true" if value == b"true" else None),
            ([*plain, (b"Access-Control-Request-Private-Network", value)], b"true" if value == b"true" else None),
            (plain, None),
        ):
            result = await http(cors, "OPTIONS", headers=headers)
            assert result.status == 204
            assert result.header(b"access-control-allow-private-network") == expected
