"""The decision about one connection: which token counts, whether it is enough, and what the app gets to see.

Facts this module rests on:

- Most requests bring a good token in the Authorization header, and most apps read it nowhere else. That road is one
  function without detours: it takes the token as it stands, and asks whether it is well-formed only when it is refused.
- Anything but a verified token is no token, whatever a verifier may give.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final, NamedTuple, TypeAlias

from asgi_middleware._core.exchange import SCOPE_KEY, Exchange, enter, exchange_of, listed_headers
from asgi_middleware._core.preflight import is_preflight
from asgi_middleware._core.refusals import Refusal
from asgi_middleware._core.types import RawHeaders, Scope
from asgi_middleware.auth.challenge import Answers
from asgi_middleware.auth.claims import VerifiedToken
from asgi_middleware.auth.errors import TokenError, Unavailable
from asgi_middleware.auth.events import AuthEvent, Kind
from asgi_middleware.auth.extraction import ABSENT, NoToken, read_credentials
from asgi_middleware.auth.policy import NOTHING, Demand, Need, Policy
from asgi_middleware.auth.sources import Carried, Sources
from asgi_middleware.auth.subject import AnonymousUser, JWTAuth, JWTUser, auth_with
from asgi_middleware.auth.verifier import TokenVerifier

_ANONYMOUS: Final = AnonymousUser()
_NAME_LENGTH: Final = len(b"authorization")
_PREFIX: Final = len(b"Bearer ")
_logger: Final = logging.getLogger("asgi_middleware.auth")

OnEvent: TypeAlias = Callable[[AuthEvent], object]


class Later(NamedTuple):
    """A token that cannot be judged without waiting for keys or for a store."""

    token: bytes
    demand: Demand


# A plain tuple: every request makes one.
Verdict: TypeAlias = tuple[Scope, "Refusal | Later | None", bool]
"""What becomes of a connection: the scope to pass on or to refuse with; None to let it pass, what to wait for, or the
refusal; and whether shared caches must not keep the response."""


class Guard:
    """What one middleware decides by; immutable."""

    __slots__ = (
        "_allow_preflight",
        "_auth_of",
        "_constant",
        "_is_lenient",
        "_longest",
        "_on_event",
        "_policy",
        "_recall",
        "answers",
        "sources",
        "verifier",
    )

    def __init__(
        self,
        *,
        verifier: TokenVerifier,
        policy: Policy,
        sources: Sources,
        answers: Answers,
        roles_claim: tuple[str, ...] | None,
        allow_preflight: bool,
        is_lenient: bool,
        on_event: OnEvent | None,
    ) -> None:
        """Take the options of the middleware, each checked before."""
        self.verifier = verifier
        self._recall = verifier.recall
        self.sources = sources
        self.answers = answers
        self._policy = policy
        self._constant = None if allow_preflight else policy.constant
        self._allow_preflight = allow_preflight
        self._is_lenient = is_lenient
        self._on_event = on_event
        self._longest = verifier.max_token_size + _PREFIX
        self._auth_of: Callable[[VerifiedToken], JWTAuth] = JWTAuth if roles_claim is None else auth_with(roles_claim)

    # Every call more is a twentieth of what a remembered token costs, so that this is one function.
    def admit_by_header(self, scope: Scope) -> Verdict:  # noqa: C901, PLR0912 -- see above
        """Judge a request that can bring its token in the Authorization header alone; nobody is told."""
        headers = scope.get("headers")
        if type(headers) is not list:
            scope, headers = listed_headers(scope)
        demand = self._constant
        if demand is None:
            demand = self.demand(scope, headers)
            if demand is NOTHING:
                return self.anonymous(scope)
        credentials = None
        for name, value in headers:
            if len(name) == _NAME_LENGTH and name.lower() == b"authorization":
                if credentials is not None:
                    return self.refused(scope, demand, NoToken.REPEATED)
                credentials = value
        if credentials is None:
            return self.refused(scope, demand, NoToken.MISSING)
        token = self._recall(credentials) if len(credentials) <= self._longest else None
        if token is None:
            if credentials[:_PREFIX] != b"Bearer " or len(credentials) > self._longest:
                return self._look_closer(scope, demand, credentials, None)
            try:
                token = self.verifier.verify_now(credentials[_PREFIX:])
            except TokenError as error:
                return self._look_closer(scope, demand, credentials, error)
            if token is None:
                return self._look_closer(scope, demand, credentials, None)
        if demand.asks or type(token) is not VerifiedToken:
            return self.admitted(scope, demand, token)
        # As in admitted(), which is two calls more.
        inner = scope.copy() if type(scope) is dict else dict(scope)
        exchange = inner.get(SCOPE_KEY)
        if type(exchange) is not Exchange:
            inner[SCOPE_KEY] = exchange = Exchange()
        elif exchange.scope is not None:
            exchange.scope = inner
        inner["user"] = JWTUser(token)
        inner["auth"] = self._auth_of(token)
        exchange.subject = token.subject
        return inner, None, False

    @property
    def admit(self) -> Callable[[Scope], Verdict]:
        """What judges requests with these options."""
        is_plain = self.sources.header_only and self._on_event is None
        return self.admit_by_header if is_plain else self.admit_from_anywhere

    def admit_from_anywhere(self, scope: Scope) -> Verdict:
        """Judge a request that can bring its token in further places."""
        carried = self.sources.read(scope)
        try:
            demand = self.demand(scope, carried.scope.get("headers") or ())
            if demand is NOTHING:
                return self.anonymous(carried.scope)
            verdict = self._judge(carried, demand)
        # Here and not further out: the hook must not be told of a scope with the token in its URL.
        except Exception as error:  # noqa: BLE001 -- see above
            verdict = carried.scope, self.for_failure(error), False
        return verdict if not carried.private else (verdict[0], verdict[1], True)

    def _judge(self, carried: Carried, demand: Demand) -> Verdict:
        found = carried.found
        if isinstance(found, NoToken):
            return self.refused(carried.scope, demand, found)
        if not carried.trusted:
            return self.invalid(carried.scope, demand, self.answers.origin)
        try:
            token = self.verifier.verify_now(found)
        except TokenError as error:
            return self.invalid(carried.scope, demand, self.answers.for_error(error))
        if token is None:
            return carried.scope, Later(found, demand), False
        return self.admitted(carried.scope, demand, token)

    async def admit_later(self, scope: Scope, later: Later) -> Verdict:
        """Judge a request whose token takes waiting."""
        try:
            token = await self.verifier.verify_async(later.token)
        except TokenError as error:
            return self.invalid(scope, later.demand, self.answers.for_error(error))
        return self.admitted(scope, later.demand, token)

    def demand(self, scope: Scope, headers: RawHeaders) -> Demand:
        """Give what a connection needs."""
        if self._allow_preflight and scope.get("method") == "OPTIONS" and is_preflight(scope, headers):
            return NOTHING
        return self._policy.demand(scope)

    def admitted(self, scope: Scope, demand: Demand, token: VerifiedToken) -> Verdict:
        """Let a verified token pass if it grants enough."""
        if type(token) is not VerifiedToken:
            message = "a verifier gives a VerifiedToken"
            raise TypeError(message)
        if demand.asks:
            reason = demand.lacking(token)
            if reason is not None:
                scope, exchange = enter(scope)
                exchange.subject = token.subject  # who asked for too much, for the log and the hook
                return scope, self.answers.lacking(reason, demand), False
        inner, exchange = enter(scope)
        if inner is scope:
            inner = dict(scope)
            if exchange.scope is not None:
                exchange.scope = inner
        inner["user"] = JWTUser(token)
        inner["auth"] = self._auth_of(token)
        exchange.subject = token.subject
        if self._on_event is not None:
            self.tell("admitted", scope, token=token)
        return inner, None, False

    def anonymous(self, scope: Scope) -> Verdict:
        """Let a connection pass for nobody."""
        inner, exchange = enter(scope)
        if inner is scope:
            inner = dict(scope)
            if exchange.scope is not None:
                exchange.scope = inner
        inner["user"] = _ANONYMOUS
        inner["auth"] = JWTAuth()
        if self._on_event is not None:
            self.tell("anonymous", scope)
        return inner, None, False

    def refused(self, scope: Scope, demand: Demand, found: NoToken) -> Verdict:
        """Give the verdict where no token was found."""
        if found in ABSENT:
            if demand.need is Need.OPTIONAL:
                return self.anonymous(scope)
            return scope, self.answers.missing(found, demand), False
        return self.invalid(scope, demand, self.answers.for_token(found))

    def invalid(self, scope: Scope, demand: Demand, refusal: Refusal) -> Verdict:
        """Give the verdict on credentials that are not good."""
        if self._is_lenient and demand.need is Need.OPTIONAL:
            return self.anonymous(scope)
        return scope, refusal, False

    def tell(
        self, kind: Kind, scope: Scope, *, token: VerifiedToken | None = None, refusal: Refusal | None = None
    ) -> None:
        """Tell the hook; an error of it changes nothing."""
        if self._on_event is None:
            return
        reason = status = None
        if refusal is not None:
            reason, status = refusal.reason, refusal.close_code if kind == "closed" else refusal.status
        subject = None if token is None else token.subject
        if kind == "refused" and (exchange := exchange_of(scope)) is not None:
            subject = exchange.subject
        try:
            self._on_event(AuthEvent(kind, scope, reason=reason, status=status, subject=subject))
        except Exception:
            _logger.exception("on_event failed")

    def for_failure(self, error: Exception) -> Refusal:
        """Give the refusal for an error that says nothing of the token; log it unless it is a known state."""
        if isinstance(error, Unavailable):
            return self.answers.for_error(error)
        report(error)
        return self.answers.unavailable

    def _look_closer(self, scope: Scope, demand: Demand, credentials: bytes, error: TokenError | None) -> Verdict:
        """Judge credentials that got nowhere as they stood: the spelling of the scheme, or blanks around the token."""
        found = read_credentials(credentials, self._longest - _PREFIX)
        if isinstance(found, NoToken):
            return self.refused(scope, demand, found)
        if error is not None and len(found) == len(credentials) - _PREFIX:
            return self.invalid(scope, demand, self.answers.for_error(error))
        try:
            token = self.verifier.verify_now(found)
        except TokenError as closer:
            return self.invalid(scope, demand, self.answers.for_error(closer))
        return (scope, Later(found, demand), False) if token is None else self.admitted(scope, demand, token)


def report(error: Exception) -> None:
    """Log where a step failed, without the error's text: that may quote a token or a key."""
    last = error.__traceback__
    while last is not None and last.tb_next is not None:
        last = last.tb_next
    where = "unknown" if last is None else f"{last.tb_frame.f_globals.get('__name__')}:{last.tb_lineno}"
    _logger.error("A token could not be checked: %s in %s", type(error).__name__, where)
