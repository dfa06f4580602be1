"""The browser's side of CORS, step by step after the Fetch standard, without any I/O.

What a server answers is one half; whether a script may read it is decided by the browser. Facts this module rests on,
by the sections of the Fetch standard (https://fetch.spec.whatwg.org/):

- 2.2.1: ``delete``, ``get``, ``head``, ``options``, ``post`` and ``put`` are sent in upper case; every other method as
  the script wrote it. CONNECT, TRACE and TRACK cannot be sent.
- 2.2.2: a few request headers need no permission, as long as their values are harmless and short; a few can never be
  set; ``Authorization`` is covered by no wildcard; ``Set-Cookie`` can never be read.
- 4.8 "CORS-preflight fetch": the answer needs a status of 200 to 299, must pass the CORS check, and must allow the
  method and every header.
- 4.9 "CORS check": one ``Access-Control-Allow-Origin``, the very origin; ``*`` only without credentials; with them
  ``Access-Control-Allow-Credentials: true`` as well.
- ``*`` in a list is a wildcard without credentials only. With them it is a name.

Browsers are laxer here and there (some let ``*`` cover ``Authorization``); this is the standard.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from asgi_middleware._core.headers import is_token

Header = tuple[bytes, bytes]

SAFELISTED_METHODS: Final = frozenset({b"GET", b"HEAD", b"POST"})
"""Methods that a script may use without being allowed to (2.2.1)."""
FORBIDDEN_METHODS: Final = frozenset({b"CONNECT", b"TRACE", b"TRACK"})
"""Methods that no script can use (2.2.1)."""
SAFELISTED_RESPONSE_HEADERS: Final = frozenset(
    {
        b"cache-control",
        b"content-language",
        b"content-length",
        b"content-type",
        b"expires",
        b"last-modified",
        b"pragma",
    }
)
"""Response headers that a script may always read (2.2.2)."""
FORBIDDEN_RESPONSE_HEADERS: Final = frozenset({b"set-cookie", b"set-cookie2"})
"""Response headers that no script can read (2.2.2)."""

_FORBIDDEN_REQUEST_HEADERS: Final = frozenset(
    {
        b"accept-charset",
        b"accept-encoding",
        b"access-control-request-headers",
        b"access-control-request-method",
        b"access-control-request-private-network",
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
_NORMALIZED_METHODS: Final = frozenset({b"DELETE", b"GET", b"HEAD", b"OPTIONS", b"POST", b"PUT"})
_NO_WILDCARD: Final = b"authorization"
_LANGUAGES: Final = frozenset({b"accept-language", b"content-language"})
_SIMPLE_TYPES: Final = frozenset({b"application/x-www-form-urlencoded", b"multipart/form-data", b"text/plain"})
# CORS-unsafe request-header bytes (2.2.2).
_UNSAFE: Final = re.compile(rb'[\x00-\x08\x0a-\x1f"():<>?@\[\\\]{}\x7f]')
_NOT_LANGUAGE: Final = re.compile(rb"[^0-9A-Za-z *,\-.;=]")
_SIMPLE_RANGE: Final = re.compile(rb"bytes=[0-9]+-[0-9]*", re.IGNORECASE)
_LONGEST_VALUE: Final = 128
_LONGEST_VALUES: Final = 1024


class Failure(NamedTuple):
    """The step at which a browser stops.

    Attributes:
        code: A stable snake_case word.
        section: The section of the Fetch standard.
        text: What is wrong, a sentence.
    """

    code: str
    section: str
    text: str


def normalize_method(method: bytes) -> bytes:
    """Write a method as the browser sends it (2.2.1)."""
    upper = method.upper()
    return upper if upper in _NORMALIZED_METHODS else method


def is_forbidden_request_header(name: bytes) -> bool:
    """Tell whether only the browser sets this header; `name` in lower case (2.2.2)."""
    return name in _FORBIDDEN_REQUEST_HEADERS or name.startswith(_FORBIDDEN_PREFIXES)


def is_safelisted(name: bytes, value: bytes) -> bool:
    """Tell whether a script may send this header without permission; `name` in lower case (2.2.2)."""
    if len(value) > _LONGEST_VALUE:
        return False
    if name == b"accept":
        return _UNSAFE.search(value) is None
    if name in _LANGUAGES:
        return _NOT_LANGUAGE.search(value) is None
    if name == b"content-type":
        return _UNSAFE.search(value) is None and value.split(b";", 1)[0].strip(b" \t").lower() in _SIMPLE_TYPES
    return name == b"range" and _SIMPLE_RANGE.fullmatch(value) is not None


def unsafe_names(headers: Iterable[Header]) -> tuple[bytes, ...]:
    """Give the names that need permission: lower-case, sorted, each once (2.2.2, "CORS-unsafe request-header names").

    Args:
        headers: What the script sets, without what only the browser can set.
    """
    unsafe: set[bytes] = set()
    safe: set[bytes] = set()
    size = 0
    for name, value in headers:
        lower = name.lower()
        if is_safelisted(lower, value):
            safe.add(lower)
            size += len(value)
        else:
            unsafe.add(lower)
    return tuple(sorted(unsafe | safe if size > _LONGEST_VALUES else unsafe))


def needs_preflight(method: bytes, unsafe: Sequence[bytes]) -> bool:
    """Tell whether a browser asks first (4.1)."""
    return method not in SAFELISTED_METHODS or bool(unsafe)


def preflight_headers(origin: bytes, method: bytes, unsafe: Sequence[bytes]) -> list[Header]:
    """Give what a preflight carries (4.8)."""
    headers = [(b"accept", b"*/*"), (b"access-control-request-method", method)]
    if unsafe:
        headers.append((b"access-control-request-headers", b",".join(unsafe)))
    return [*headers, (b"origin", origin)]


def cors_check(origin: bytes, response: Iterable[Header], *, credentials: bool) -> Failure | None:
    """Run the CORS check (4.9) on a response's headers; None where it passes."""
    lines = list(response)
    allowed = _get(lines, b"access-control-allow-origin")
    if allowed is None:
        return Failure("no_allow_origin", "4.9", "the response has no Access-Control-Allow-Origin")
    if allowed == b"*" and not credentials:
        return None
    if allowed == b"*":
        return Failure("wildcard_with_credentials", "4.9", "Access-Control-Allow-Origin is * and credentials go along")
    if allowed != origin:
        several = b"," in allowed
        text = "names several origins" if several else "is not this origin"
        code = "several_allow_origin" if several else "other_allow_origin"
        return Failure(code, "4.9", f"Access-Control-Allow-Origin {text}")
    if credentials and _get(lines, b"access-control-allow-credentials") != b"true":
        text = "Access-Control-Allow-Credentials is not exactly 'true', and credentials go along"
        return Failure("no_allow_credentials", "4.9", text)
    return None


def preflight_check(
    origin: bytes,
    method: bytes,
    unsafe: Sequence[bytes],
    status: int,
    response: Iterable[Header],
    *,
    credentials: bool,
) -> Failure | None:
    """Run the checks on a preflight's answer (4.8, step 7); None where all pass.

    Args:
        origin: The page's origin.
        method: The method as it will be sent.
        unsafe: The names that need permission, in lower case.
        status: The answer's status.
        response: The answer's headers.
        credentials: Whether the request itself will carry credentials.
    """
    lines = list(response)
    failure = cors_check(origin, lines, credentials=credentials)
    if failure is not None:
        return failure
    if not 200 <= status <= 299:
        return Failure("preflight_status", "4.8", f"the preflight's status is {status}, not 200 to 299")
    methods = _list(lines, b"access-control-allow-methods")
    names = _list(lines, b"access-control-allow-headers")
    if methods is None or names is None:
        return Failure("malformed_list", "4.8", "Access-Control-Allow-Methods or -Headers is no list of names")
    every_method = not credentials and b"*" in methods
    if method not in methods and method not in SAFELISTED_METHODS and not every_method:
        shown = method.decode("latin-1")
        return Failure("method_not_listed", "4.8", f"Access-Control-Allow-Methods does not allow {shown}")
    listed = {name.lower() for name in names}
    if _NO_WILDCARD in unsafe and _NO_WILDCARD not in listed:
        text = "Access-Control-Allow-Headers does not name authorization, which * does not cover"
        return Failure("authorization_not_listed", "4.8", text)
    every_header = not credentials and b"*" in listed
    missing = [name for name in unsafe if name not in listed]
    if missing and not every_header:
        shown = ", ".join(name.decode("latin-1") for name in missing)
        return Failure("header_not_listed", "4.8", f"Access-Control-Allow-Headers does not allow {shown}")
    return None


def readable_headers(response: Iterable[Header], *, credentials: bool) -> list[Header]:
    """Give the response headers that the script may read, names in lower case (4.1, "CORS filtered response")."""
    lines = [(name.lower(), value) for name, value in response]
    exposed = {name.lower() for name in _list(lines, b"access-control-expose-headers") or ()}
    every = not credentials and b"*" in exposed
    return [
        (name, value)
        for name, value in lines
        if name not in FORBIDDEN_RESPONSE_HEADERS and (every or name in exposed or name in SAFELISTED_RESPONSE_HEADERS)
    ]


def _get(lines: Iterable[Header], name: bytes) -> bytes | None:
    """Give the values of all lines of a name as one, as browsers do (2.2.2, "get")."""
    values = [value.strip(b" \t\r\n") for key, value in lines if key.lower() == name]
    return b", ".join(values) if values else None


def _list(lines: Iterable[Header], name: bytes) -> list[bytes] | None:
    """Give the elements of a list of names, or None where it is none (2.2.2, "extract header list values")."""
    value = _get(lines, name)
    elements = [element.strip(b" \t") for element in (value or b"").split(b",")]
    elements = [element for element in elements if element]
    return elements if all(map(is_token, elements)) else None
