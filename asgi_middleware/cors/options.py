"""The options of a policy: what is right, what is wrong, and what to write instead.

Facts this module rests on:

- Methods are case-sensitive; header names are not (RFC 9110 9.1 and 5.1).
- A script cannot send CONNECT, TRACE or TRACK, nor set a forbidden request-header name, nor read Set-Cookie (Fetch
  standard 2.2.1 and 2.2.2). A policy that lists one of them can have no effect and hides a misunderstanding.
- ``*`` with credentials means nothing to a browser, and reflecting any origin instead gives every site the user's
  session (Fetch standard 3.3.5).
- Browsers cap ``Access-Control-Max-Age``: Firefox at a day, Chromium at two hours, WebKit at ten minutes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final, NamedTuple, TypeGuard

from asgi_middleware._core.config import Problems
from asgi_middleware._core.headers import is_token
from asgi_middleware.cors.origins import OriginSet

SAFELISTED_METHODS: Final = frozenset({b"GET", b"HEAD", b"POST"})
"""Methods that a script may use without being allowed to (Fetch standard 2.2.1)."""
FORBIDDEN_METHODS: Final = frozenset({b"CONNECT", b"TRACE", b"TRACK"})
"""Methods that no script can use (Fetch standard 2.2.1)."""
LONGEST_MAX_AGE: Final = 86_400

_USUAL_METHODS: Final = frozenset({b"DELETE", b"GET", b"HEAD", b"OPTIONS", b"PATCH", b"POST", b"PUT"})
_FORBIDDEN_REQUEST_HEADERS: Final = frozenset(
    {
        b"accept-charset",
        b"accept-encoding",
        b"access-control-request-headers",
        b"access-control-request-method",
        b"connection",
        b"content-length",
        b"cookie",
        b"cookie2",
        b"date",
        b"dnt",
        b"expect",
        b"host",
        b"keep-alive",
        b"origin",
        b"referer",
        b"set-cookie",
        b"te",  # codespell:ignore te
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
        b"via",
    }
)
_FORBIDDEN_PREFIXES: Final = (b"proxy-", b"sec-")
_FORBIDDEN_RESPONSE_HEADERS: Final = frozenset({b"set-cookie", b"set-cookie2"})
_RESPONSE_PREFIX: Final = b"access-control-"
# Nobody's origins (RFC 2606 2): an expression that matches one of them has left out whose origins it means.
_STRANGERS: Final = ("https://stranger.invalid", "http://stranger.invalid")


class Names(NamedTuple):
    """A list of names that may also be "all": `every` for ``*``, and the names that were given beside it, in order."""

    every: bool
    listed: tuple[bytes, ...]


def read_origins(problems: Problems, allow_origins: object, *, regex: object, credentials: object) -> OriginSet:
    """Read `allow_origins`, and see whether it may go with credentials."""
    if isinstance(allow_origins, OriginSet):
        origins = allow_origins
    else:
        entries = tuple(allow_origins) if _is_collection(allow_origins) else allow_origins
        origins = OriginSet(entries, option="allow_origins", problems=problems)  # type: ignore[arg-type]
        if entries == () and regex is None:
            problems.add(
                "allow_origins",
                [],
                "allows nobody",
                fix="list at least one origin, or leave the class out",
                code="no_origins",
            )
    if origins.allows_any and regex is not None:
        problems.add(
            "allow_origin_regex",
            getattr(regex, "pattern", regex),
            "has no effect beside allow_origins='*'",
            fix="remove one of the two",
            code="wildcard_with_others",
        )
    if credentials is True and origins.allows_any:
        problems.add(
            "allow_origins",
            "*",
            "cannot go with allow_credentials=True: every website could act as your user",
            fix="list the origins that you trust, for example ['https://app.example.com', 'https://*.example.com']",
            code="wildcard_with_credentials",
        )
    if credentials is True and b"null" in origins.exact:
        problems.add(
            "allow_origins",
            "null",
            "cannot go with allow_credentials=True: any website can make a frame whose origin is 'null'",
            fix="remove 'null', or serve the page from an origin of its own",
            code="null_with_credentials",
        )
    return origins


def read_regex(problems: Problems, allow_origin_regex: object, *, credentials: object) -> re.Pattern[str] | None:
    """Read `allow_origin_regex`, and see whether it may go with credentials."""
    regex = _compiled(problems, allow_origin_regex)
    if regex is not None and credentials is True and any(map(regex.fullmatch, _STRANGERS)):
        problems.add(
            "allow_origin_regex",
            regex.pattern,
            "matches anybody's origin and cannot go with allow_credentials=True: every website could act as your user",
            fix="list the origins that you trust, for example ['https://app.example.com', 'https://*.example.com']",
            code="wildcard_with_credentials",
        )
    return regex


def _compiled(problems: Problems, allow_origin_regex: object) -> re.Pattern[str] | None:
    """Give the expression, which may be a str or a compiled pattern of str."""
    option = "allow_origin_regex"
    if allow_origin_regex is None:
        return None
    if _is_text_pattern(allow_origin_regex):
        return allow_origin_regex
    if not isinstance(allow_origin_regex, str) or not allow_origin_regex:
        problems.add(
            option,
            allow_origin_regex,
            "is not a regular expression",
            fix="pass a str or re.compile(...) of a str; patterns such as 'https://*.example.com' need no expression",
            code="not_a_regex",
        )
        return None
    try:
        return re.compile(allow_origin_regex)
    except re.error as error:
        problems.add(
            option,
            allow_origin_regex,
            f"is not a regular expression ({error})",
            fix="correct it, or list patterns such as 'https://*.example.com' in allow_origins",
            code="not_a_regex",
        )
        return None


def read_methods(problems: Problems, allow_methods: object) -> Names:
    """Read `allow_methods`: what is allowed beyond GET, HEAD and POST."""
    option = "allow_methods"
    names = _read_names(problems, option, allow_methods)
    methods: list[bytes] = []
    for name in names:
        method = _ascii(name)
        if not is_token(method):
            problems.add(
                option,
                name,
                "is not a method (RFC 9110 9.1)",
                fix="write one method an entry: ['PUT', 'DELETE']",
                code="not_a_method",
            )
        elif method.upper() in FORBIDDEN_METHODS:
            problems.add(option, name, "cannot be sent by any script", fix="remove it", code="forbidden_method")
        elif method not in _USUAL_METHODS and method.upper() in _USUAL_METHODS:
            problems.add(
                option,
                name,
                "is not in upper case, and methods are case-sensitive",
                fix=f"write {name.upper()!r}",
                code="method_case",
            )
        elif method != b"*":
            methods.append(method)
    return Names("*" in names, tuple(dict.fromkeys(methods)))


def read_request_headers(problems: Problems, allow_headers: object) -> Names:
    """Read `allow_headers`: the request headers that a script may set."""
    option = "allow_headers"
    names = _read_names(problems, option, allow_headers)
    headers: list[bytes] = []
    for name in names:
        header = name.encode() if name == "*" else problems.header_name(option, name)
        if header.startswith(_RESPONSE_PREFIX) and header not in _FORBIDDEN_REQUEST_HEADERS:
            problems.add(
                option,
                name,
                "is a response header of this protocol",
                fix="remove it; list the headers that your scripts send",
                code="response_header",
            )
        elif header in _FORBIDDEN_REQUEST_HEADERS or header.startswith(_FORBIDDEN_PREFIXES):
            problems.add(
                option,
                name,
                "is a header that only the browser sets, so it is never asked for",
                fix="remove it",
                code="forbidden_request_header",
            )
        elif header not in {b"", b"*"}:
            headers.append(header)
    return Names("*" in names, tuple(dict.fromkeys(headers)))


def read_exposed_headers(problems: Problems, expose_headers: object) -> Names:
    """Read `expose_headers`: the response headers that a script may read."""
    option = "expose_headers"
    names = _read_names(problems, option, expose_headers)
    headers: list[bytes] = []
    for name in names:
        header = name.encode() if name == "*" else problems.header_name(option, name)
        if header in _FORBIDDEN_RESPONSE_HEADERS:
            problems.add(option, name, "can be read by no script", fix="remove it", code="forbidden_response_header")
        elif header.startswith(_RESPONSE_PREFIX):
            problems.add(option, name, "speaks to the browser, not to scripts", fix="remove it", code="protocol_header")
        elif header not in {b"", b"*"}:
            headers.append(header)
    return Names("*" in names, tuple(dict.fromkeys(headers)))


def read_max_age(problems: Problems, max_age: object) -> bytes | None:
    """Read `max_age`; None leaves the header out."""
    usable = problems.integer("max_age", max_age, minimum=0, maximum=LONGEST_MAX_AGE, optional=True)
    return b"%d" % max_age if usable and isinstance(max_age, int) else None


def _read_names(problems: Problems, option: str, value: object) -> tuple[str, ...]:
    return ("*",) if value == "*" else problems.strings(option, value)


def _is_text_pattern(value: object) -> TypeGuard[re.Pattern[str]]:
    pattern: object = getattr(value, "pattern", None)
    return isinstance(pattern, str) and isinstance(value, re.Pattern)


def _is_collection(value: object) -> TypeGuard[Iterable[object]]:
    return isinstance(value, Iterable) and not isinstance(value, str | bytes)


def _ascii(name: str) -> bytes:
    return name.encode() if name.isascii() else b""
