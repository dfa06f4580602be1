"""CORSMiddleware: the ASGI shell around one policy, or one for each of some paths."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Iterable, Mapping
from contextlib import suppress
from itertools import product
from typing import Final, Literal

from asgi_middleware._core.config import ConfigurationError, Problems
from asgi_middleware._core.exchange import SCOPE_KEY as _EXCHANGE
from asgi_middleware._core.exchange import exchange_of, listed_headers
from asgi_middleware._core.refusals import INTERNAL_ERROR, Refusal
from asgi_middleware._core.types import ASGIApp, Message, Receive, Scope, Send
from asgi_middleware.cors import reasons
from asgi_middleware.cors.lookup import OriginFunction, OriginLookup
from asgi_middleware.cors.origins import LONGEST_ORIGIN, OriginSet
from asgi_middleware.cors.paths import Conflict, PathTable
from asgi_middleware.cors.policy import CORSPolicy, read_paths
from asgi_middleware.cors.preflight import read_preflight
from asgi_middleware.cors.responses import Decision, respond
from asgi_middleware.cors.rules import NO_RULES, Rules

_PREFLIGHT_VARY: Final = (b"vary", b"Origin, Access-Control-Request-Method, Access-Control-Request-Headers")
_NO_CONTENT: Final = 204
# Every spelling of the name: one look-up is right for all of them, and costs less than the lower case of each name.
_ORIGIN: Final = frozenset(bytes(letters) for letters in product(*zip(b"origin", b"ORIGIN", strict=True)))


class CORSMiddleware:
    """Tells browsers which other origins may call the app and read its answers.

    CORS loosens the browser's same-origin policy; it protects nothing by itself. A request from an origin that is not
    allowed still reaches the app, and clients that are no browsers do not ask. It covers no WebSockets: their
    handshakes are not subject to CORS (see :class:`WebSocketOriginMiddleware`). Put it outside every class that can
    answer by itself (authentication, limits), or a refusal of theirs looks like a network error in the browser, and
    preflights, which never carry credentials, are refused.

    A preflight is answered here and never reaches the app: 204 when it is allowed, 403 without any CORS header when
    not. Any other response gets the CORS headers that its origin is due, error responses included; when the app
    raises before it responds, the answer is a 500 with CORS headers, and the exception goes on outwards::

        from asgi_middleware.cors import CORSMiddleware


        async def app(scope, receive, send): ...


        app = CORSMiddleware(
            app,
            allow_origins=["https://app.example.com", "https://*.preview.example.com", "http://localhost:*"],
            allow_methods=["PUT", "DELETE"],
            allow_headers=["content-type", "authorization"],
        )

    Args:
        app: The ASGI app.
        allow_origins: Who may read responses: origins and patterns in the language of :class:`OriginSet`, an
            OriginSet, or ``"*"`` for everybody, which excludes credentials. Required: there is no good guess.
        allow_methods: Methods beyond GET, HEAD and POST, which need no permission; or ``"*"``. None by default.
        allow_headers: Request headers that scripts may set; or ``"*"``. By default ``content-type``, which every
            request with a JSON body needs. ``authorization`` must be named, except where ``"*"`` goes with
            credentials.
        expose_headers: Response headers that scripts may read beyond the safelisted ones; or ``"*"``. With credentials,
            ``"*"`` lists what each response really carries.
        allow_credentials: Whether cookies and other credentials may come along. Off by default.
        max_age: Seconds for which a browser may remember a preflight's answer, 0 to 86400; None leaves it to the
            browser (5 seconds). Browsers cap it: Firefox at 86400, Chromium at 7200, WebKit at 600. Hence 600.
        allow_origin_regex: A further way to allow origins: an expression that must match the whole origin. Only
            complete origins of at most 326 bytes are held against it. Prefer patterns: an expression with nested
            repetition can stall the process, and a dot that is not escaped matches any letter. Both are warned about.
        allow_origin_func: A further way: a function ``(origin, scope) -> bool``, async or not, asked on every request
            whose origin is not listed; or an :class:`OriginLookup`, which remembers its answers. When it raises, the
            answer is no.
        allow_private_network: Whether the private-network preflight of old Chromium versions gets its answer. It never
            makes a preflight fail. Off by default: the proposal was dropped for a permission prompt.
        paths: Other policies for some paths, by prefix of whole segments; the longest one counts. None as a policy
            leaves these paths to the app, preflights included. A path that can be read in several ways, to which
            different policies belong, is refused.
        existing: What becomes of ``Access-Control-Allow-Origin`` that the app sets itself: ``"replace"`` takes it out,
            ``"keep"`` leaves one such line as it is, with all that belongs to it.
        preflight_status: The status of an allowed preflight's answer: 204, or 200 for clients that insist on it.
        vary_preflight: Whether answers to preflights carry ``Vary`` too. OPTIONS responses are not cacheable (RFC 9110
            9.3.7); turn it on for an intermediary that caches them all the same. Off by default.
        dangerously_allow_insecure_origins: Whether http origins, other than of the own machine, may be allowed with
            credentials. Off by default: whoever stands on the network between can rewrite such a page.
        dangerously_allow_public_suffixes: Whether a wildcard may stand in front of a public suffix such as
            ``github.io``. Off by default: anybody can have a name there. Seen with the extra ``psl`` only.

    Raises:
        ConfigurationError: Some options are wrong or unsafe together; every one is listed with its fix.

    Warns:
        CarelessRegexWarning: The expression matches more than it seems to, or can be made slow.

    Source: Fetch standard (https://fetch.spec.whatwg.org/) 3.3, 4.8, 4.9; RFC 6454; RFC 9110 12.5.5.
    """

    __slots__ = ("_keep", "_policies", "_preflight_pairs", "_preflight_status", "_refusals", "_rules", "_table", "app")

    def __init__(
        self,
        app: ASGIApp,
        *,
        allow_origins: Iterable[str] | OriginSet,
        allow_methods: Iterable[str] = (),
        allow_headers: Iterable[str] = ("content-type",),
        expose_headers: Iterable[str] = (),
        allow_credentials: bool = False,
        max_age: int | None = 600,
        allow_origin_regex: str | re.Pattern[str] | None = None,
        allow_origin_func: OriginFunction | OriginLookup | None = None,
        allow_private_network: bool = False,
        paths: Mapping[str, CORSPolicy | None] | None = None,
        existing: Literal["replace", "keep"] = "replace",
        preflight_status: int = 204,
        vary_preflight: bool = False,
        dangerously_allow_insecure_origins: bool = False,
        dangerously_allow_public_suffixes: bool = False,
    ) -> None:
        """Check the options and prepare every answer; see the class."""
        problems = Problems("CORSMiddleware")
        policy = None
        try:
            policy = CORSPolicy(
                allow_origins=allow_origins,
                allow_methods=allow_methods,
                allow_headers=allow_headers,
                expose_headers=expose_headers,
                allow_credentials=allow_credentials,
                max_age=max_age,
                allow_origin_regex=allow_origin_regex,
                allow_origin_func=allow_origin_func,
                allow_private_network=allow_private_network,
                dangerously_allow_insecure_origins=dangerously_allow_insecure_origins,
                dangerously_allow_public_suffixes=dangerously_allow_public_suffixes,
            )
        except ConfigurationError as error:
            for option, value, message, fix, code in error.problems:
                problems.add(option, value, message, fix=fix, code=code)
        others = read_paths(problems, paths)
        problems.one_of("existing", existing, ("replace", "keep"))
        problems.one_of("preflight_status", preflight_status, (200, 204))
        problems.boolean("vary_preflight", vary_preflight)
        problems.raise_if_any()
        assert policy is not None  # noqa: S101 -- or its problems were raised
        self.app = app
        self._keep = existing == "keep"
        self._use({"": policy, **others})
        vary = (_PREFLIGHT_VARY,) if vary_preflight else ()
        self._preflight_status = preflight_status
        # A 204 has no Content-Length (RFC 9110 8.6).
        self._preflight_pairs = vary if preflight_status == _NO_CONTENT else ((b"content-length", b"0"), *vary)
        self._refusals = {
            reason: Refusal(403, reason, detail=detail, headers=vary) for reason, detail in reasons.DETAILS.items()
        }

    @property
    def policy(self) -> CORSPolicy:
        """The policy of all paths that have none of their own."""
        policy = self._policies[""]
        assert policy is not None  # noqa: S101 -- only paths can be left to the app
        return policy

    @property
    def paths(self) -> Mapping[str, CORSPolicy | None]:
        """The policies of paths, by prefix."""
        return {prefix: policy for prefix, policy in self._policies.items() if prefix}

    def policy_for(self, path: str) -> CORSPolicy | None:
        """Give the policy of a path; None where it is left to the app, or refused because it can be read in two ways.

        Args:
            path: The path without `root_path`.
        """
        others = self.paths
        found = PathTable(self.policy, others).select({"path": path}) if others else self.policy
        return None if isinstance(found, Conflict) else found

    def replace_policy(self, policy: CORSPolicy, *, path: str | None = None) -> None:
        """Use another policy from the next request on. Requests on their way keep the one they began with.

        One assignment, so that no request sees a half of each::

            from dataclasses import replace


            def allow(cors, origin):
                cors.replace_policy(replace(cors.policy, allow_origins=[*cors.policy.allow_origins, origin]))

        Args:
            policy: The new policy.
            path: The prefix whose policy it replaces, as it stands in `paths`; None for that of all other paths.

        Raises:
            TypeError: `policy` is not a CORSPolicy.
            KeyError: `path` is not among `paths`.
        """
        _check_policy(policy)
        prefix = path or ""
        if prefix not in self._policies:
            raise KeyError(prefix)
        self._use({**self._policies, prefix: policy})

    def _use(self, policies: dict[str, CORSPolicy | None]) -> None:
        """Take over policies by prefix. A request reads one attribute, so that it sees all of them or none."""
        rules = {prefix: self._rules_of(policy) for prefix, policy in policies.items()}
        default = rules.pop("")
        self._policies = policies
        self._table = PathTable(default, rules) if rules else None
        self._rules = None if rules else default

    def _rules_of(self, policy: CORSPolicy | None) -> Rules | None:
        if policy is None:
            return None
        return policy.rules.keeping() if self._keep else policy.rules

    async def __call__(  # noqa: C901, PLR0912 -- each call of a function costs as much as a look at two headers
        self, scope: Scope, receive: Receive, send: Send
    ) -> None:
        """Answer a preflight, or give the app's response the headers it is due."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = scope.get("headers")
        if type(headers) is not list:
            scope, headers = listed_headers(scope)
        rules = self._rules or self._select(scope)
        if rules is None:
            await self.app(scope, receive, send)
            return
        origin = None
        repeated = False
        for name, value in headers:
            if name in _ORIGIN:
                repeated = origin is not None
                origin = value
        if origin is None:
            decision: Decision | None = rules.unasked
        else:
            decision = rules.known.get(origin) if len(origin) <= LONGEST_ORIGIN and not repeated else None
            if decision is None:
                decision = await rules.judge(origin, scope, repeated=repeated)
            if scope["method"] == "OPTIONS":
                preflight = read_preflight(headers)
                if preflight is not None:
                    await self._answer(rules.decide_preflight(decision, origin, preflight), scope, receive, send)
                    return
            if _EXCHANGE in scope:
                _note(scope, decision.reason)

        # The decision is None once the response has started: every variable that a closure shares costs as much as a
        # look at two headers.
        def send_with_cors(message: Message) -> Awaitable[None]:
            nonlocal decision
            if message["type"] == "http.response.start" and decision is not None:
                headers = respond(message.get("headers"), decision)
                message = message.copy()
                message["headers"] = headers
                decision = None
            return send(message)

        try:
            await self.app(scope, receive, send_with_cors)
        except Exception as error:
            if decision is not None:
                await _answer_failure(error, scope, receive, send_with_cors)
            raise

    def _select(self, scope: Scope) -> Rules | None:
        """Give the rules for a request's path; None where it is left to the app."""
        found = None if self._table is None else self._table.select(scope)
        return NO_RULES if isinstance(found, Conflict) else found

    async def _answer(self, answer: Decision, scope: Scope, receive: Receive, send: Send) -> None:
        exchange = exchange_of(scope)
        if exchange is not None:
            exchange.cors = answer.reason
        if not answer.allowed:
            await self._refusals[answer.reason].send(scope, receive, send)
            return
        headers = [*answer.headers, *self._preflight_pairs]
        await send({"type": "http.response.start", "status": self._preflight_status, "headers": headers})
        await send({"type": "http.response.body", "body": b"", "more_body": False})


def _check_policy(policy: object) -> None:
    if not isinstance(policy, CORSPolicy):
        message = f"a CORSPolicy is needed, not {policy!r}"
        raise TypeError(message)


def _note(scope: Scope, reason: str) -> None:
    """Note why, where one of our classes further out keeps an Exchange; the outermost CORS class has the word."""
    exchange = exchange_of(scope)
    if exchange is not None and exchange.cors is None:
        exchange.cors = reason


async def _answer_failure(error: Exception, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer an exception that the app raised before it responded; whoever calls this raises it again."""
    exchange = exchange_of(scope)
    if exchange is not None:
        exchange.error = error
    # The app's exception is what counts; a client that is gone meanwhile must not replace it.
    with suppress(Exception):
        await INTERNAL_ERROR.send(scope, receive, send, unread=False)
    if exchange is not None and not exchange.claimed("logging"):
        exchange.error = None  # nobody further out reads it, and its traceback holds the Exchange: a circle
