"""Which requests need a token, and what it must grant. Whatever no option names needs a token.

Facts this module rests on:

- What loosens (``exempt``, ``optional``) holds only for a path that every reader reads alike; what tightens (``rules``)
  holds as soon as one reading matches. ``_core/paths.py`` says how.
- A decision depends on the method, the path, its raw bytes and the root path, and on nothing else of the request. So it
  can be remembered by these four. The memory is bounded, and whoever fills it up makes nobody's decision different.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from enum import Enum
from typing import Any, Final, NamedTuple
from urllib.parse import quote, unquote

from asgi_middleware._core.config import Problems
from asgi_middleware._core.paths import PathRules, is_ambiguous, path_forms
from asgi_middleware._core.types import Scope
from asgi_middleware.auth.claims import VerifiedToken
from asgi_middleware.auth.rules import (
    Requirement,
    RolesClaim,
    Rule,
    check_scopes,
    listed_rules,
    requirements,
    roles_of,
)

_REMEMBERED: Final = 1024
_LONGEST_REMEMBERED: Final = 1024
SCOPE: Final = "insufficient_scope"
ROLE: Final = "insufficient_role"


class Need(Enum):
    """Whether a request needs a token."""

    NOTHING = "exempt"
    OPTIONAL = "optional"
    TOKEN = "required"  # noqa: S105 -- a word, not a token


class Demand:
    """What one kind of request needs; immutable, shared by all requests of that kind.

    Attributes:
        need: Whether a token is needed.
        scopes: All scopes that are asked for, in order: for the challenge and for people.
        roles: All roles that are asked for.
        rules: The rules that concern these requests.
        asks: Whether a token must grant anything.
    """

    __slots__ = ("_roles", "_roles_claim", "_scopes", "asks", "need", "roles", "rules", "scopes")

    def __init__(
        self,
        need: Need,
        *,
        required_scopes: tuple[str, ...] = (),
        rules: tuple[Rule, ...] = (),
        roles_claim: RolesClaim = None,
    ) -> None:
        """Add up what the rules ask for.

        Args:
            need: Whether a token is needed.
            required_scopes: What every token must grant.
            rules: The rules that concern these requests.
            roles_claim: Where a token's roles are.
        """
        self.need = need
        self.rules = rules
        self.scopes = tuple(dict.fromkeys([*required_scopes, *(one for rule in rules for one in rule.scopes)]))
        self.roles = tuple(dict.fromkeys(one for rule in rules for one in rule.roles))
        scopes = [Requirement(frozenset(required_scopes), any_of=False)] if required_scopes else []
        self._scopes = (*scopes, *requirements((rule.scopes, rule.any_of) for rule in rules))
        self._roles = requirements((rule.roles, rule.any_of) for rule in rules)
        self._roles_claim = roles_claim
        self.asks = bool(self._scopes or self._roles)

    def lacking(self, token: VerifiedToken) -> str | None:
        """Give the reason why a verified token does not grant enough, or None."""
        granted = token.scopes
        for requirement in self._scopes:
            if not requirement.is_met(granted):
                return SCOPE
        if self._roles:
            roles = roles_of(token, self._roles_claim)
            for requirement in self._roles:
                if not requirement.is_met(roles):
                    return ROLE
        return None


NOTHING: Final = Demand(Need.NOTHING)


class Explanation(NamedTuple):
    """What one request needs, and why.

    Its text is one line, such as "GET /admin/users: a token with the scopes admin, by /admin/**".

    Attributes:
        method: The method asked about.
        path: The path asked about.
        need: "exempt", "optional" or "required".
        scopes: The scopes that a token must grant.
        roles: The roles that it must hold.
        rules: The rules that concern the request.
        ambiguous: Whether two readers could disagree about the path; then it is never exempt and never optional.
    """

    method: str
    path: str
    need: str
    scopes: tuple[str, ...]
    roles: tuple[str, ...]
    rules: tuple[Rule, ...]
    ambiguous: bool

    def __str__(self) -> str:
        """Say it on one line."""
        if self.need == Need.NOTHING.value:
            return f"{self.method} {self.path}: no token is looked at"
        text = "a token" if self.need == Need.TOKEN.value else "no token, or a valid one"
        grants = [f"the {kind} {' '.join(names)}" for kind, names in self._grants() if names]
        if grants:
            text += f" with {' and '.join(grants)}"
        if self.rules:
            text += f", by {'; '.join(map(str, self.rules))}"
        if self.ambiguous:
            text += " (the path is ambiguous, so that nothing exempts it)"
        return f"{self.method} {self.path}: {text}"

    def _grants(self) -> tuple[tuple[str, tuple[str, ...]], ...]:
        return ("scopes", self.scopes), ("roles", self.roles)


class Policy:
    """The path options of ``JWTAuthMiddleware``, compiled."""

    __slots__ = ("_default", "_exempt", "_known", "_optional", "_optional_demand", "_paths", "_rules", "_together")

    def __init__(
        self,
        *,
        exempt: Iterable[str | re.Pattern[str]],
        optional: Iterable[str | re.Pattern[str]],
        rules: Iterable[Rule],
        required_scopes: Iterable[str],
        roles_claim: RolesClaim = None,
        problems: Problems,
    ) -> None:
        """Check the options, noting what is wrong in `problems`."""
        self._exempt = PathRules(exempt, option="exempt", problems=problems)
        self._optional = PathRules(optional, option="optional", problems=problems)
        given: dict[str, Any] = {
            "required_scopes": check_scopes("required_scopes", required_scopes, problems),
            "roles_claim": roles_claim,
        }
        self._together = given
        self._default = Demand(Need.TOKEN, **given)
        self._optional_demand = Demand(Need.OPTIONAL, **given)
        listed = listed_rules(rules, problems)
        self._paths = PathRules([rule.path for rule in listed], option="rules", problems=problems)
        self._rules = tuple((PathRules((rule.path,), option="rules"), rule) for rule in listed)
        if roles_claim is None and any(rule.roles for rule in listed):
            problems.add(
                "rules",
                "roles",
                "are asked for, but nothing says which claim holds them",
                fix='name it, for example roles_claim="roles" or ("realm_access", "roles")',
                code="roles_without_claim",
            )
        self._known: dict[Any, Demand] = {}

    @property
    def constant(self) -> Demand | None:
        """What every request needs, where that is the same for all; else None."""
        return None if self._exempt or self._optional or self._rules else self._default

    def demand(self, scope: Scope) -> Demand:
        """Give what this request needs."""
        path, method = scope.get("path"), scope.get("method")
        if method is not None and scope["type"] == "websocket":
            # A handshake is GET, or CONNECT over HTTP/2 (RFC 8441): a server may say which, and rules must not differ.
            scope, method = {**scope, "method": None}, None
        key = (path, method, scope.get("raw_path"), scope.get("root_path"))
        demand = self._known.get(key)
        if demand is None:
            demand = self._decide(scope)
            # A method, too, is as long as a client likes; a root path may come from a header that a proxy passes on.
            if type(path) is str and sum(len(part) for part in key if part) <= _LONGEST_REMEMBERED:
                if len(self._known) >= _REMEMBERED:
                    self._known.clear()
                self._known[key] = demand
        return demand

    def explain(self, method: str, path: str, root_path: str) -> Explanation:
        """Give what a request needs, and why; `path` as it stands in a URL."""
        target = path.partition("?")[0]
        scope = {
            "type": "http",
            "method": method,
            "path": unquote(target),
            "raw_path": quote(target, safe="/%:@!$&'()*+,;=~\\").encode("ascii"),
            "root_path": root_path,
        }
        demand = self._decide(scope)
        ambiguous = is_ambiguous(scope["path"], scope["raw_path"])  # type: ignore[arg-type]
        return Explanation(method, path, demand.need.value, demand.scopes, demand.roles, demand.rules, ambiguous)

    def _decide(self, scope: Scope) -> Demand:
        if self._exempt and self._exempt.exempts(scope):
            return NOTHING
        forms = path_forms(scope) if self._rules else ()
        if self._paths.concerns_any(forms, None):
            method = str(scope.get("method") or "GET").upper()
            concerned = [
                rule
                for paths, rule in self._rules
                if (rule.methods is None or method in rule.methods) and paths.concerns_any(forms, None)
            ]
            if concerned:
                return Demand(Need.TOKEN, rules=tuple(concerned), **self._together)
        if self._optional and self._optional.exempts(scope):
            return self._optional_demand
        return self._default
