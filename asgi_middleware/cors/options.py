"""The lists of a policy: which names may stand in them, which may not, and what to write instead.

Facts this module rests on:

- Methods are case-sensitive; header names are not (RFC 9110 9.1 and 5.1).
- A script cannot send CONNECT, TRACE or TRACK, nor set a forbidden request-header name, nor read Set-Cookie (Fetch
  standard 2.2.1 and 2.2.2). A policy that lists one of them can have no effect and hides a misunderstanding.
- Browsers cap ``Access-Control-Max-Age``: Firefox at a day, Chromium at two hours, WebKit at ten minutes.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from asgi_middleware._core.config import Problems
from asgi_middleware._core.fetch import FORBIDDEN_METHODS, FORBIDDEN_RESPONSE_HEADERS, is_forbidden_request_header
from asgi_middleware._core.headers import is_token

LONGEST_MAX_AGE: Final = 86_400

_USUAL_METHODS: Final = frozenset({b"DELETE", b"GET", b"HEAD", b"OPTIONS", b"PATCH", b"POST", b"PUT"})
_RESPONSE_PREFIX: Final = b"access-control-"


class Names(NamedTuple):
    """A list of names that may also be "all": `every` for ``*``, and the names that were given beside it, in order."""

    every: bool
    listed: tuple[bytes, ...]


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
        if header.startswith(_RESPONSE_PREFIX) and not is_forbidden_request_header(header):
            problems.add(
                option,
                name,
                "is a response header of this protocol",
                fix="remove it; list the headers that your scripts send",
                code="response_header",
            )
        elif is_forbidden_request_header(header):
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
        if header in FORBIDDEN_RESPONSE_HEADERS:
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


def _ascii(name: str) -> bytes:
    return name.encode() if name.isascii() else b""
