"""The decisions of one CORS policy, as values: what is allowed, why, and which headers say so.

Facts this module rests on, by the numbers of the Fetch standard (https://fetch.spec.whatwg.org/):

- 3.3.5 "CORS check": ``Access-Control-Allow-Origin`` is one line, the very origin or ``*``; with credentials never
  ``*``, and ``Access-Control-Allow-Credentials`` is exactly ``true``.
- 3.3.4: ``*`` in Allow-Methods, Allow-Headers and Expose-Headers is a wildcard without credentials only; with them it
  is a name. Then what is asked for is named back, and what is there is listed.
- 4.8: ``*`` never covers ``Authorization``. Some browsers let it pass; the standard does not.
- 4.8: GET, HEAD and POST need no permission.
- 3.3.7 "CORS protocol and HTTP caches": an answer that depends on the origin carries ``Vary: Origin`` always, also
  without an ``Origin`` and also when refused; an answer that is ``*`` for everybody is the same for everybody and
  needs none.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from asgi_middleware._core.config import Problems
from asgi_middleware._core.headers import add_vary, is_token
from asgi_middleware._core.types import HeaderList, RawHeaders
from asgi_middleware.cors.options import (
    FORBIDDEN_METHODS,
    SAFELISTED_METHODS,
    read_exposed_headers,
    read_max_age,
    read_methods,
    read_origins,
    read_regex,
    read_request_headers,
)
from asgi_middleware.cors.origins import LONGEST_ORIGIN, OriginSet, split_origin
from asgi_middleware.cors.preflight import requested_headers, requested_method

_ALLOW_ORIGIN: Final = b"access-control-allow-origin"
_ALLOW_CREDENTIALS: Final = b"access-control-allow-credentials"
_ALLOW_METHODS: Final = b"access-control-allow-methods"
_ALLOW_HEADERS: Final = b"access-control-allow-headers"
_EXPOSE_HEADERS: Final = b"access-control-expose-headers"
_MAX_AGE: Final = b"access-control-max-age"
_OWNED: Final = frozenset({_ALLOW_ORIGIN, _ALLOW_CREDENTIALS, _EXPOSE_HEADERS})
_OWNED_OR_VARY: Final = _OWNED | {b"vary"}
_VARY_LENGTHS: Final = frozenset(map(len, _OWNED_OR_VARY))
# Readable without being exposed, or never readable (Fetch standard 2.2.2).
_NEVER_LISTED: Final = frozenset(
    {
        b"cache-control",
        b"content-language",
        b"content-length",
        b"content-type",
        b"expires",
        b"last-modified",
        b"pragma",
        b"set-cookie",
        b"set-cookie2",
    }
)
# May need permission because of their value; harmless in any (Fetch standard 2.2.2).
_ALWAYS_ALLOWED_HEADERS: Final = (b"accept", b"accept-language", b"content-language")


class Decision(NamedTuple):
    """What a policy says to one request.

    Attributes:
        allowed: Whether the browser is told yes.
        reason: A stable snake_case word that says why.
        headers: The headers that tell it: raw pairs, empty where it is told nothing.
    """

    allowed: bool
    reason: str
    headers: tuple[tuple[bytes, bytes], ...] = ()


NO_ORIGIN: Final = Decision(allowed=False, reason="no_origin")
ORIGIN_NOT_ALLOWED: Final = Decision(allowed=False, reason="origin_not_allowed")
METHOD_NOT_ALLOWED: Final = Decision(allowed=False, reason="method_not_allowed")
HEADER_NOT_ALLOWED: Final = Decision(allowed=False, reason="header_not_allowed")
MALFORMED_ORIGIN: Final = Decision(allowed=False, reason="malformed_origin")
MALFORMED_METHOD: Final = Decision(allowed=False, reason="malformed_request_method")
MALFORMED_HEADERS: Final = Decision(allowed=False, reason="malformed_request_headers")


class CORSPolicy:
    """One static policy: decides about origins, methods and headers without any I/O.

    The options are those of :class:`asgi_middleware.cors.CORSMiddleware`. Instances are immutable.

    Attributes:
        origins: The origins that are allowed.
        is_static: Whether every response gets the same headers, whoever asks: ``*`` without credentials.
    """

    __slots__ = (
        "_credentials",
        "_exact",
        "_expose_live",
        "_exposed",
        "_headers",
        "_headers_wildcard",
        "_max_age",
        "_methods",
        "_methods_wildcard",
        "_regex",
        "_static",
        "is_static",
        "origins",
    )

    def __init__(
        self,
        *,
        allow_origins: Iterable[str] | OriginSet,
        allow_methods: Iterable[str],
        allow_headers: Iterable[str],
        expose_headers: Iterable[str],
        allow_credentials: bool,
        max_age: int | None,
        allow_origin_regex: str | re.Pattern[str] | None,
        problems: Problems,
    ) -> None:
        """Check every option and build every constant; the caller raises what `problems` then holds."""
        credentials = problems.boolean("allow_credentials", allow_credentials) and allow_credentials
        self.origins = read_origins(problems, allow_origins, regex=allow_origin_regex, credentials=allow_credentials)
        self._regex = read_regex(problems, allow_origin_regex, credentials=allow_credentials)
        methods = read_methods(problems, allow_methods)
        headers = read_request_headers(problems, allow_headers)
        exposed = read_exposed_headers(problems, expose_headers)
        age = read_max_age(problems, max_age)

        self._credentials: tuple[tuple[bytes, bytes], ...] = ((_ALLOW_CREDENTIALS, b"true"),) if credentials else ()
        self._max_age: tuple[tuple[bytes, bytes], ...] = () if age is None else ((_MAX_AGE, age),)
        self._methods = None if methods.every else SAFELISTED_METHODS.union(methods.listed)
        self._methods_wildcard = b"*" if methods.every and not credentials else None
        self._headers = (
            None if headers.every and credentials else frozenset((*headers.listed, *_ALWAYS_ALLOWED_HEADERS))
        )
        self._headers_wildcard = None
        if headers.every and not credentials:
            self._headers_wildcard = b"*,authorization" if b"authorization" in headers.listed else b"*"
        self._expose_live = exposed.every and credentials
        self._exposed: tuple[tuple[bytes, bytes], ...] = ()
        if not self._expose_live and (exposed.every or exposed.listed):
            self._exposed = ((_EXPOSE_HEADERS, b"*" if exposed.every else b",".join(exposed.listed)),)

        self.is_static = self.origins.allows_any
        self._static = self._yes(b"*")
        self._exact = {origin: self._yes(origin) for origin in self.origins.exact}

    def decide(self, origin: bytes | None) -> Decision:
        """Decide about the response to a request that is no preflight.

        Args:
            origin: The value of the only ``Origin`` line, or None where there is none.
        """
        if self.is_static:
            return self._static
        if origin is None:
            return NO_ORIGIN
        if len(origin) > LONGEST_ORIGIN:
            return ORIGIN_NOT_ALLOWED
        decision = self._exact.get(origin)
        if decision is not None:
            return decision
        if self.origins.allows(origin) or (self._regex is not None and self._matches(self._regex, origin)):
            return self._yes(origin)
        return ORIGIN_NOT_ALLOWED

    def decide_repeated(self) -> Decision:
        """Decide about a request with several ``Origin`` lines, which is none that a browser sent (RFC 6454 7.3)."""
        return self._static if self.is_static else MALFORMED_ORIGIN

    def decide_preflight(
        self, origins: Sequence[bytes], methods: Sequence[bytes], headers: Sequence[bytes]
    ) -> Decision:
        """Decide about a preflight (Fetch standard 4.8), in the order origin, method, headers.

        Args:
            origins: The values of all ``Origin`` lines.
            methods: The values of all ``Access-Control-Request-Method`` lines.
            headers: The values of all ``Access-Control-Request-Headers`` lines.
        """
        decision = self.decide(origins[0]) if len(origins) == 1 else self.decide_repeated()
        if not decision.allowed:
            return decision
        method = requested_method(methods)
        if method is None:
            return MALFORMED_METHOD
        if method in FORBIDDEN_METHODS or (self._methods is not None and method not in self._methods):
            return METHOD_NOT_ALLOWED
        names = requested_headers(headers)
        if names is None:
            return MALFORMED_HEADERS
        if not self._covers(names):
            return HEADER_NOT_ALLOWED
        allowed_headers: tuple[tuple[bytes, bytes], ...] = ()
        if names:
            allowed_headers = ((_ALLOW_HEADERS, self._headers_wildcard or b",".join(names)),)
        return Decision(
            allowed=True,
            reason="preflight_allowed",
            headers=(
                decision.headers[0],
                *self._credentials,
                (_ALLOW_METHODS, self._methods_wildcard or method),
                *allowed_headers,
                *self._max_age,
            ),
        )

    def respond(self, headers: RawHeaders | None, decision: Decision) -> HeaderList:
        """Give a response's header list with the decision in it.

        Of what the app set itself, the three headers that a response may carry once are replaced; ``Vary`` is merged.
        """
        kept: HeaderList = []
        varies: HeaderList = []
        for name, value in headers or ():
            if len(name) in _VARY_LENGTHS:
                lower = name.lower()
                if lower in _OWNED:
                    continue
                if lower == b"vary" and not self.is_static:
                    varies.append((lower, value))
                    continue
            kept.append((name, value))
        live = self._list_live(kept) if self._expose_live and decision.allowed else ()
        if not self.is_static:
            kept += add_vary(varies, b"Origin") if varies else [(b"vary", b"Origin")]
        kept += decision.headers
        kept += live
        return kept

    def _yes(self, origin: bytes) -> Decision:
        headers = ((_ALLOW_ORIGIN, origin), *self._credentials, *self._exposed)
        return Decision(allowed=True, reason="origin_allowed", headers=headers)

    def _covers(self, names: Sequence[bytes]) -> bool:
        if self._headers is None:
            return True
        if self._headers_wildcard is not None:
            return b"authorization" not in names or b"authorization" in self._headers
        return self._headers.issuperset(names)

    @staticmethod
    def _matches(regex: re.Pattern[str], origin: bytes) -> bool:
        # Only a complete serialization reaches the expression: bounded in length, ASCII, and never `null`.
        return split_origin(origin) is not None and regex.fullmatch(origin.decode("ascii")) is not None

    @staticmethod
    def _list_live(headers: HeaderList) -> tuple[tuple[bytes, bytes], ...]:
        names = dict.fromkeys(name.lower() for name, _ in headers)
        listed = [name for name in names if name not in _NEVER_LISTED and is_token(name)]
        return ((_EXPOSE_HEADERS, b",".join(listed)),) if listed else ()
