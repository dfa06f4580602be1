"""A token in a cookie, and the check that keeps other sites from using it.

Facts this module rests on:

- A browser sends a cookie along with whatever asks for it: a form of another site, a WebSocket of another site (RFC
  6455 10.2, "cross-site WebSocket hijacking"). So a cookie proves who the browser belongs to, not who asks.
- Browsers name who asks: ``Origin`` on every request whose method is not GET or HEAD and on every WebSocket handshake
  (Fetch standard, "append a request Origin header"), ``Sec-Fetch-Site`` beside it (Fetch Metadata).
- ``Origin: null`` is what sandboxed frames and redirects send: nobody in particular.
- Safe methods change nothing (RFC 9110 9.2.1), and another site cannot read their answer without CORS.
- HTTP/2 may split the cookies over several lines (RFC 9113 8.2.3). A name may come twice: a neighbouring host can set
  one, too. Which is ours cannot be told then.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from asgi_middleware._core.config import Problems
from asgi_middleware._core.header_finder import HeaderFinder
from asgi_middleware._core.headers import is_token
from asgi_middleware._core.types import RawHeaders, Scope
from asgi_middleware.auth.extraction import Found, NoToken, as_b64token

_WANTED: Final = HeaderFinder((b"cookie", b"origin", b"sec-fetch-site"))
_SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
# A serialized origin (RFC 6454 6.2), as browsers send it: lower case, no default port, no path.
_ORIGIN: Final = re.compile(r"[a-z][a-z0-9+.-]*://(?:\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::[1-9][0-9]{0,4})?")
_DEFAULT_PORTS: Final = (("http", ":80"), ("https", ":443"))


class CookieSource:
    """The cookie that may hold a token, and the origins that may send it; immutable."""

    __slots__ = ("_name", "_origins")

    def __init__(self, name: object, allowed_origins: Iterable[str], problems: Problems) -> None:
        """Check the options, noting what is wrong in `problems`."""
        self._name = b""
        if isinstance(name, str) and name.isascii() and is_token(name.encode("ascii")):
            self._name = name.encode("ascii")
        else:
            fix = 'write a name such as "__Host-token", or None (RFC 6265 4.1.1)'
            problems.add("cookie", name, "is not a cookie name", fix=fix, code="not_a_cookie_name")
        origins = problems.strings("allowed_origins", allowed_origins)
        if not origins and not isinstance(allowed_origins, str):
            problems.add(
                "allowed_origins",
                allowed_origins,
                "names nobody, so that any other site could act with the cookie of a visitor",
                fix='name the origins of your pages, for example ["https://app.example"]',
                code="cookie_without_origins",
            )
        self._origins = frozenset(_checked_origin(origin, problems) for origin in origins)

    def read(self, headers: RawHeaders) -> tuple[bytes | NoToken, list[tuple[bytes, bytes]]]:
        """Give the cookie's value, or why there is none, and the headers that :meth:`trusts` looks at."""
        relevant = _WANTED.find(headers)
        values = []
        for name, line in relevant:
            if name != b"cookie":
                continue
            for pair in line.split(b";"):
                key, separator, value = pair.strip(b" \t").partition(b"=")
                if separator and key == self._name:
                    values.append(value)
        if not values:
            return NoToken.MISSING, relevant
        return (values[0] if len(values) == 1 else NoToken.REPEATED), relevant

    def trusts(self, scope: Scope, relevant: Iterable[tuple[bytes, bytes]]) -> bool:
        """Tell whether one of our own pages asks, as far as that matters for this request.

        Args:
            scope: The connection's scope.
            relevant: Its headers, as :meth:`read` gives them.
        """
        origins = [value for name, value in relevant if name == b"origin"]
        if len(origins) == 1:
            return origins[0] in self._origins or _is_safe(scope)
        if origins:
            return False
        if _is_safe(scope):
            return True
        sites = [value for name, value in relevant if name == b"sec-fetch-site"]
        return scope["type"] == "http" and sites == [b"same-origin"]


def as_token(value: bytes, max_size: int) -> Found:
    """Give the token that a cookie's value is; quotes around it do not belong to it (RFC 6265 4.1.1)."""
    if len(value) > max_size + 2:
        return NoToken.TOO_LARGE
    if value[:1] == b'"' and value[-1:] == b'"':
        value = value[1:-1]
    return as_b64token(value)


def _is_safe(scope: Scope) -> bool:
    return scope["type"] == "http" and str(scope.get("method")).upper() in _SAFE


def _checked_origin(origin: str, problems: Problems) -> bytes:
    scheme, _, rest = origin.partition("://")
    plain = f"{scheme}://{rest.split('/')[0]}".lower()
    for name, port in _DEFAULT_PORTS:
        if scheme.lower() == name:
            plain = plain.removesuffix(port)
    if not rest or _ORIGIN.fullmatch(plain) is None:
        fix = 'write scheme and host, for example "https://app.example"'
        problems.add("allowed_origins", origin, "is not an origin", fix=fix, code="not_an_origin")
    elif plain != origin:
        problems.add(
            "allowed_origins", origin, "is not how browsers write it", fix=f'write "{plain}"', code="origin_form"
        )
    return plain.encode("latin-1", "replace")
