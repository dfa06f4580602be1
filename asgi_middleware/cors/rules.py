"""One policy, compiled: decides about origins, methods and headers without any I/O.

Facts this module rests on, by the sections of the Fetch standard (https://fetch.spec.whatwg.org/):

- 3.3.3: ``*`` in Allow-Methods, Allow-Headers and Expose-Headers is a wildcard without credentials only; with them it
  is a name. Then what is asked for is named back, and what is there is listed.
- 3.3.5, 4.9: ``Access-Control-Allow-Origin`` is one line, the very origin or ``*``; with credentials never ``*``, and
  ``Access-Control-Allow-Credentials`` is exactly ``true``.
- 4.8: ``*`` never covers ``Authorization``. Some browsers let it pass; the standard does not. GET, HEAD and POST need
  no permission.
- 3.3.6 "CORS protocol and HTTP caches": an answer that depends on the origin carries ``Vary: Origin`` always, also
  without an ``Origin`` and also when refused; an answer that is ``*`` for everybody needs none.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from copy import copy
from typing import Final

from asgi_middleware._core.fetch import FORBIDDEN_METHODS, SAFELISTED_METHODS
from asgi_middleware._core.types import Scope
from asgi_middleware.cors import reasons
from asgi_middleware.cors.lookup import OriginAsker
from asgi_middleware.cors.options import Names
from asgi_middleware.cors.origins import LONGEST_ORIGIN, OriginSet, split_origin
from asgi_middleware.cors.preflight import (
    LONGEST_HEADERS,
    LONGEST_METHOD,
    Preflight,
    requested_headers,
    requested_method,
)
from asgi_middleware.cors.responses import ALLOW_CREDENTIALS, ALLOW_ORIGIN, EXPOSE_HEADERS, Decision, Pairs

_ALLOW_METHODS: Final = b"access-control-allow-methods"
_ALLOW_HEADERS: Final = b"access-control-allow-headers"
_ALLOW_PRIVATE_NETWORK: Final = (b"access-control-allow-private-network", b"true")
_MAX_AGE: Final = b"access-control-max-age"
# May need permission because of their value; harmless in any (Fetch standard 2.2.2).
_ALWAYS_ALLOWED_HEADERS: Final = (b"accept", b"accept-language", b"content-language")
# How many decisions about what clients send are remembered; then all are forgotten. At most 1.5 KB each.
_REMEMBERED: Final = 512


class Rules:
    """The constants of one policy, and the decisions made from them. Immutable but for what it remembers.

    Attributes:
        origins: The origins that are allowed.
        regex: A further way to allow origins.
        is_static: Whether every response gets the same headers, whoever asks: ``*`` without credentials.
        keep: Whether an app's own Access-Control-Allow-Origin stands.
        known: What origins are due: those in the set by name, and some that were let in another way.
        vary: The members of ``Vary`` on responses.
        private_network: Whether the old private-network preflight is answered.
        unasked: The decision about a request without an origin.
        asker: Asks the function that decides where nothing else allows an origin; None without one.
    """

    __slots__ = (
        "_credentials",
        "_exact",
        "_exposed",
        "_headers",
        "_headers_wildcard",
        "_live",
        "_max_age",
        "_methods",
        "_methods_wildcard",
        "_most_known",
        "_no",
        "_otherwise",
        "_preflights",
        "_refused",
        "asker",
        "is_static",
        "keep",
        "known",
        "origins",
        "private_network",
        "regex",
        "unasked",
        "vary",
    )

    def __init__(
        self,
        *,
        origins: OriginSet,
        regex: re.Pattern[str] | None,
        methods: Names,
        headers: Names,
        exposed: Names,
        credentials: bool,
        max_age: bytes | None,
        private_network: bool,
        vary: tuple[bytes, ...] = (),
        asker: OriginAsker | None = None,
        otherwise: str = reasons.ORIGIN_NOT_ALLOWED,
    ) -> None:
        self.origins = origins
        self.regex = regex
        self.asker = asker
        self.private_network = private_network
        self._credentials: Pairs = ((ALLOW_CREDENTIALS, b"true"),) if credentials else ()
        self._max_age: Pairs = () if max_age is None else ((_MAX_AGE, max_age),)
        self._methods = None if methods.every else SAFELISTED_METHODS.union(methods.listed)
        self._methods_wildcard = b"*" if methods.every and not credentials else None
        self._headers = (
            None if headers.every and credentials else frozenset((*headers.listed, *_ALWAYS_ALLOWED_HEADERS))
        )
        self._headers_wildcard = None
        if headers.every and not credentials:
            self._headers_wildcard = b"*,authorization" if b"authorization" in headers.listed else b"*"
        self._live = exposed.every and credentials
        self._exposed: Pairs = ()
        if not self._live and (exposed.every or exposed.listed):
            self._exposed = ((EXPOSE_HEADERS, b"*" if exposed.every else b",".join(exposed.listed)),)
        self.is_static = origins.allows_any
        self.vary = () if self.is_static else (b"Origin", *vary)
        self._refused: Pairs = () if self.is_static else ((b"vary", b", ".join(self.vary)),)
        self._otherwise = otherwise
        self.keep = False
        self.prepare()

    def prepare(self) -> None:
        """Build the decisions that are always the same, and forget the others."""
        self.unasked = self._yes(b"*") if self.is_static else self.refuse(reasons.NO_ORIGIN)
        self._no = self.refuse(self._otherwise)
        self._exact = {} if self.is_static else {origin: self._yes(origin) for origin in self.origins.exact}
        self._most_known = len(self._exact) + _REMEMBERED
        self.known = dict(self._exact)
        self._preflights: dict[tuple[bytes, bytes, bytes | None, bool], Decision] = {}

    def keeping(self) -> Rules:
        """Give the same rules, but where the app has decided by itself that stands."""
        other = copy(self)
        other.keep = True
        other.prepare()
        return other

    def refuse(self, reason: str) -> Decision:
        """Give the decision to say nothing to the browser, for `reason`."""
        return Decision(allowed=False, reason=reason, headers=self._refused, vary=self.vary, keep=self.keep)

    def decide(self, origin: bytes) -> Decision:
        """Decide about the value of the only ``Origin`` line, by the set and the expression."""
        if self.is_static:
            return self.unasked
        if len(origin) > LONGEST_ORIGIN:  # before its bytes are looked at: a client may send any number
            return self._no
        decision = self.known.get(origin)
        if decision is not None:
            return decision
        if self.origins.covers(origin) or (self.regex is not None and self._matches(self.regex, origin)):
            return self._remember(origin)
        return self._no

    async def judge(self, origin: bytes, scope: Scope, *, repeated: bool) -> Decision:
        """Decide about an origin that is not known, and let the function decide where nothing else allows it.

        Several ``Origin`` lines are none that a browser sent (RFC 6454 7.3).
        """
        if repeated:
            return self.unasked if self.is_static else self.refuse(reasons.MALFORMED_ORIGIN)
        decision = self.decide(origin)
        if self.asker is None or decision.allowed or len(origin) > LONGEST_ORIGIN:
            return decision
        answer = await self.asker.ask(origin, scope)
        if answer is None:
            return self.refuse(reasons.FUNCTION_FAILED)
        return self.allow(origin) if answer else self._no

    def _remember(self, origin: bytes) -> Decision:
        known = self.known
        if len(known) >= self._most_known:
            known = dict(self._exact)
        decision = known[origin] = self._yes(origin)
        self.known = known
        return decision

    def allow(self, origin: bytes) -> Decision:
        """Give what an origin is due that was allowed for this one request."""
        return self.known.get(origin) or self._yes(origin)

    def decide_preflight(self, decision: Decision, origin: bytes, preflight: Preflight) -> Decision:
        """Decide about a preflight (Fetch standard 4.8), in the order origin, method, headers.

        Args:
            decision: The decision about its origin.
            origin: The origin.
            preflight: What it asks for.
        """
        if not decision.allowed:
            return decision
        if self.is_static:
            origin = b"*"
        methods, asked, private_network = preflight
        if len(methods) != 1 or len(asked) > 1 or len(methods[0]) > LONGEST_METHOD:
            return self._decide_preflight(origin, preflight)
        names = asked[0] if asked else None
        if names is not None and len(names) > LONGEST_HEADERS:
            return self._decide_preflight(origin, preflight)
        # What a browser asks, it asks again; and what it asks is short by now.
        key = (origin, methods[0], names, private_network)
        known = self._preflights.get(key)
        if known is None:
            known = self._decide_preflight(origin, preflight)
            if known.allowed:
                if len(self._preflights) >= _REMEMBERED:
                    self._preflights.clear()
                self._preflights[key] = known
        return known

    def _decide_preflight(self, origin: bytes, preflight: Preflight) -> Decision:
        methods, asked, private_network = preflight
        method = requested_method(methods)
        if method is None:
            return self.refuse(reasons.MALFORMED_METHOD)
        if method in FORBIDDEN_METHODS or (self._methods is not None and method not in self._methods):
            return self.refuse(reasons.METHOD_NOT_ALLOWED)
        names = requested_headers(asked)
        if names is None:
            return self.refuse(reasons.MALFORMED_HEADERS)
        if not self._covers(names):
            return self.refuse(reasons.HEADER_NOT_ALLOWED)
        headers: Pairs = ((_ALLOW_HEADERS, self._headers_wildcard or b",".join(names)),) if names else ()
        return Decision(
            allowed=True,
            reason=reasons.PREFLIGHT_ALLOWED,
            headers=(
                (ALLOW_ORIGIN, origin),
                *self._credentials,
                (_ALLOW_METHODS, self._methods_wildcard or method),
                *headers,
                *((_ALLOW_PRIVATE_NETWORK,) if private_network and self.private_network else ()),
                *self._max_age,
            ),
        )

    def _yes(self, origin: bytes) -> Decision:
        headers = (*self._refused, (ALLOW_ORIGIN, origin), *self._credentials, *self._exposed)
        return Decision(
            allowed=True,
            reason=reasons.ORIGIN_ALLOWED,
            headers=headers,
            vary=self.vary,
            keep=self.keep,
            live=self._live,
        )

    def _covers(self, names: Sequence[bytes]) -> bool:
        if self._headers is None:
            return True
        if self._headers_wildcard is not None:
            return b"authorization" not in names or b"authorization" in self._headers
        return self._headers.issuperset(names)

    @staticmethod
    def _matches(regex: re.Pattern[str], origin: bytes) -> bool:
        # Bounded in length by now. Whatever the expression says, only a complete serialization passes, never `null`.
        if not origin.isascii() or regex.fullmatch(origin.decode("ascii")) is None:
            return False
        return split_origin(origin) is not None


_NONE: Final = Names(every=False, listed=())

NO_RULES: Final = Rules(
    origins=OriginSet([]),
    regex=None,
    methods=_NONE,
    headers=_NONE,
    exposed=_NONE,
    credentials=False,
    max_age=None,
    private_network=False,
    otherwise=reasons.AMBIGUOUS_PATH,
)
"""Allows nobody: for a path that can be read in several ways, to which different policies belong."""
