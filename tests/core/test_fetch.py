"""The browser's side of CORS, against the sentences of the Fetch standard."""

import pytest

from asgi_middleware._core.fetch import (
    cors_check,
    is_forbidden_request_header,
    is_safelisted,
    needs_preflight,
    normalize_method,
    preflight_check,
    preflight_headers,
    readable_headers,
    unsafe_names,
)

ORIGIN = b"https://app.example.com"
ALLOW = b"access-control-allow-origin"


@pytest.mark.parametrize(
    ("method", "sent"),
    [
        (b"get", b"GET"),
        (b"Put", b"PUT"),
        (b"patch", b"patch"),
        (b"PATCH", b"PATCH"),
        (b"brew", b"brew"),
        (b"options", b"OPTIONS"),
    ],
)
def test_method(method: bytes, sent: bytes) -> None:
    """Six methods are written in upper case, PATCH is not among them (2.2.1)."""
    assert normalize_method(method) == sent


@pytest.mark.parametrize(
    ("name", "value", "safe"),
    [
        (b"accept", b"*/*", True),
        (b"accept", b"a(b", False),
        (b"accept", b"a\tb", True),
        (b"accept", b"a" * 128, True),
        (b"accept", b"a" * 129, False),
        (b"accept-language", b"en-GB, de;q=0.5", True),
        (b"accept-language", b"en_GB", False),
        (b"content-language", b"en", True),
        (b"content-type", b"text/plain", True),
        (b"content-type", b"Text/Plain; charset=utf-8", True),
        (b"content-type", b"multipart/form-data; boundary=x", True),
        (b"content-type", b"application/x-www-form-urlencoded", True),
        (b"content-type", b"application/json", False),
        (b"content-type", b"text/plain; x=(", False),
        (b"range", b"bytes=0-", True),
        (b"range", b"bytes=0-99", True),
        (b"range", b"bytes=-99", False),
        (b"range", b"bytes=0-1,2-3", False),
        (b"authorization", b"", False),
        (b"x-a", b"1", False),
    ],
)
def test_safelisted(name: bytes, value: bytes, safe: bool) -> None:
    """A header needs no permission as long as its value is harmless and short (2.2.2) [5]."""
    assert is_safelisted(name, value) is safe


def test_unsafe_names() -> None:
    """Names are sorted, lower-case and each once; past 1024 bytes of safe values, the safe ones need permission too."""
    assert unsafe_names([(b"X-B", b"1"), (b"x-a", b"1"), (b"x-b", b"2"), (b"accept", b"a")]) == (b"x-a", b"x-b")
    long = [(b"accept", b"a" * 128)] * 8
    assert unsafe_names(long) == ()
    assert unsafe_names([*long, (b"range", b"bytes=0-")]) == (b"accept", b"range")


@pytest.mark.parametrize(
    ("name", "forbidden"),
    [
        (b"cookie", True),
        (b"host", True),
        (b"sec-fetch-mode", True),
        (b"proxy-x", True),
        (b"authorization", False),
        (b"x-a", False),
    ],
)
def test_forbidden(name: bytes, forbidden: bool) -> None:
    """Some headers only the browser sets (2.2.2)."""
    assert is_forbidden_request_header(name) is forbidden


def test_preflight_request() -> None:
    """A preflight names method and headers as browsers write them [4]."""
    assert needs_preflight(b"PUT", ())
    assert needs_preflight(b"GET", (b"x-a",))
    assert not needs_preflight(b"POST", ())
    assert dict(preflight_headers(ORIGIN, b"PUT", (b"x-a", b"x-b"))) == {
        b"accept": b"*/*",
        b"access-control-request-method": b"PUT",
        b"access-control-request-headers": b"x-a,x-b",
        b"origin": ORIGIN,
    }
    assert b"access-control-request-headers" not in dict(preflight_headers(ORIGIN, b"PUT", ()))


TRUE = (b"access-control-allow-credentials", b"true")
CHECKS: list[tuple[list[tuple[bytes, bytes]], bool, str | None]] = [
    ([(ALLOW, ORIGIN)], False, None),
    ([(b"Access-Control-Allow-Origin", ORIGIN)], False, None),
    ([(ALLOW, b" %b\t" % ORIGIN)], False, None),
    ([(ALLOW, b"*")], False, None),
    ([(ALLOW, b"*"), TRUE], True, "wildcard_with_credentials"),
    ([(ALLOW, ORIGIN), TRUE], True, None),
    ([(ALLOW, ORIGIN)], True, "no_allow_credentials"),
    ([(ALLOW, ORIGIN), (TRUE[0], b"True")], True, "no_allow_credentials"),
    ([(ALLOW, ORIGIN), TRUE, TRUE], True, "no_allow_credentials"),
    ([], False, "no_allow_origin"),
    ([(ALLOW, ORIGIN), (ALLOW, ORIGIN)], False, "several_allow_origin"),
    ([(ALLOW, b"*"), (ALLOW, b"*")], False, "several_allow_origin"),
    ([(ALLOW, b"https://other.test")], False, "other_allow_origin"),
    ([(ALLOW, ORIGIN + b"/")], False, "other_allow_origin"),
    ([(ALLOW, b"")], False, "other_allow_origin"),
    ([(ALLOW, b"null")], False, "other_allow_origin"),
]


@pytest.mark.parametrize(("headers", "credentials", "code"), CHECKS, ids=range(len(CHECKS)))
def test_cors_check(headers: list[tuple[bytes, bytes]], credentials: bool, code: str | None) -> None:
    """One line with the very origin, or a star without credentials (4.9) [8, 16]."""
    failure = cors_check(ORIGIN, headers, credentials=credentials)
    assert (failure and failure.code) == code


PREFLIGHTS: list[tuple[bytes, tuple[bytes, ...], int, list[tuple[bytes, bytes]], bool, str | None]] = [
    (b"GET", (), 204, [], False, None),
    (b"POST", (), 200, [(b"access-control-allow-methods", b"PUT")], False, None),
    (b"PUT", (), 204, [(b"access-control-allow-methods", b"GET, PUT")], False, None),
    (b"PUT", (), 299, [(b"access-control-allow-methods", b"*")], False, None),
    (b"PUT", (), 204, [(b"access-control-allow-methods", b"*")], True, "method_not_listed"),
    (b"PUT", (), 204, [(b"access-control-allow-methods", b"put")], False, "method_not_listed"),
    (b"PUT", (), 204, [], False, "method_not_listed"),
    (b"PUT", (), 400, [(b"access-control-allow-methods", b"PUT")], False, "preflight_status"),
    (b"PUT", (), 301, [(b"access-control-allow-methods", b"PUT")], False, "preflight_status"),
    (b"PUT", (), 204, [(b"access-control-allow-methods", b"PUT PATCH")], False, "malformed_list"),
    (b"GET", (b"x-a",), 204, [(b"access-control-allow-headers", b"X-A")], False, None),
    (
        b"GET",
        (b"x-a", b"x-b"),
        204,
        [(b"access-control-allow-headers", b"x-a"), (b"access-control-allow-headers", b"x-b")],
        True,
        None,
    ),
    (b"GET", (b"x-a",), 204, [(b"access-control-allow-headers", b"*")], False, None),
    (b"GET", (b"x-a",), 204, [(b"access-control-allow-headers", b"*")], True, "header_not_listed"),
    (b"GET", (b"x-a", b"x-b"), 204, [(b"access-control-allow-headers", b"x-a")], False, "header_not_listed"),
    (b"GET", (b"authorization",), 204, [(b"access-control-allow-headers", b"*")], False, "authorization_not_listed"),
    (b"GET", (b"authorization",), 204, [(b"access-control-allow-headers", b"*, Authorization")], False, None),
    (b"GET", (b"x-a",), 204, [], False, "header_not_listed"),
]


@pytest.mark.parametrize(
    ("method", "unsafe", "status", "headers", "credentials", "code"), PREFLIGHTS, ids=range(len(PREFLIGHTS))
)
def test_preflight_check(
    method: bytes,
    unsafe: tuple[bytes, ...],
    status: int,
    headers: list[tuple[bytes, bytes]],
    credentials: bool,
    code: str | None,
) -> None:
    """Status, method and every header must be allowed, a star only without credentials (4.8) [2, 3, 6, 7]."""
    answer = [(ALLOW, ORIGIN), TRUE, *headers]
    failure = preflight_check(ORIGIN, method, unsafe, status, answer, credentials=credentials)
    assert (failure and failure.code) == code


def test_readable_headers() -> None:
    """A script reads the safelisted headers and those exposed, and never cookies [6]."""
    response = [(b"Content-Type", b"a"), (b"ETag", b"b"), (b"x-a", b"c"), (b"set-cookie", b"d")]
    expose = b"access-control-expose-headers"

    def names(value: bytes, *, credentials: bool) -> list[bytes]:
        readable = readable_headers([*response, (expose, value)], credentials=credentials)
        return [name for name, _ in readable if name != expose]

    assert names(b"", credentials=False) == [b"content-type"]
    assert names(b"etag", credentials=True) == [b"content-type", b"etag"]
    assert names(b"*", credentials=False) == [b"content-type", b"etag", b"x-a"]
    assert names(b"*", credentials=True) == [b"content-type"]
    assert names(b"set-cookie", credentials=False) == [b"content-type"]
    assert names(b"not a name", credentials=False) == [b"content-type"]
