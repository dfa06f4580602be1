"""Which requests need a token, and what it must grant. Whatever no option names needs a token.

Facts this module rests on:

- What loosens (``exempt``, ``optional``) holds only for a path that every reader reads alike; what tightens (``rules``)
  holds as soon as one reading matches. ``_core/paths.py`` says how.
- A browser sends a CORS preflight without credentials: ``OPTIONS`` with ``Origin`` and
  ``Access-Control-Request-Method`` (Fetch Standard, "CORS-preflight fetch"). An ``OPTIONS`` without both is a request
  like any other.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum
from typing import Final, NamedTuple

from asgi_middleware._core.config import Problems
from asgi_middleware._core.headers import is_token
from asgi_middleware._core.paths import PathRules
from asgi_middleware._core.types import Scope

# scope-token = 1*( %x21 / %x23-5B / %x5D-7E ) (RFC 6749 3.3)
_SCOPE_TOKEN: Final = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+")


@dataclass(frozen=True)
class Rule:
    """What a token must grant on some paths. Every rule that concerns a request adds to what is needed.

    A rule tightens: it holds as soon as any reading of the path matches (``//admin``, ``/x/../admin``, ``/ADMIN``), it
    makes a token needed where one was optional, and only ``exempt`` is stronger::

        from asgi_middleware.auth import Rule

        rules = (
            Rule("/admin/**", scopes=("admin",)),
            Rule("/files/**", scopes=("files:write",), methods=("PUT", "DELETE")),
        )

    Args:
        path: A path ("/reports"), with ``*`` for text within a segment and ``/**`` for any number of further segments,
            or a compiled pattern that must match the whole path.
        scopes: The scopes that the token must grant, all of them. Empty asks for a token and nothing more.
        methods: The methods concerned; None (the default) for all. GET includes HEAD, and a WebSocket counts as GET.

    Raises:
        ConfigurationError: The path, a scope or a method is not well-formed.
    """

    path: str | re.Pattern[str]
    scopes: Iterable[str] = field(default=(), kw_only=True)
    methods: Iterable[str] | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        """Check the fields and freeze the lists."""
        problems = Problems("Rule")
        if isinstance(self.path, str) and " " in self.path:
            problems.add(
                "path", self.path, "names a method", fix='write Rule("/path", methods=("GET",))', code="method_in_path"
            )
        else:
            PathRules((self.path,), option="path", problems=problems)
        object.__setattr__(self, "scopes", check_scopes("scopes", self.scopes, problems))
        if self.methods is not None:
            object.__setattr__(self, "methods", _check_methods(self.methods, problems))
        problems.raise_if_any()


class Need(Enum):
    """Whether a request needs a token."""

    NOTHING = "exempt"
    OPTIONAL = "optional"
    TOKEN = "required"  # noqa: S105 -- a word, not a token


class Demand(NamedTuple):
    """What one request needs.

    Attributes:
        need: Whether a token is needed.
        scopes: What a token must grant.
    """

    need: Need
    scopes: tuple[str, ...]


NOTHING: Final = Demand(Need.NOTHING, ())


class Policy:
    """The path options of ``JWTAuthMiddleware``, compiled; immutable."""

    __slots__ = ("_default", "_exempt", "_optional", "_optional_demand", "_rules")

    def __init__(
        self,
        *,
        exempt: Iterable[str | re.Pattern[str]],
        optional: Iterable[str | re.Pattern[str]],
        rules: Iterable[Rule],
        required_scopes: Iterable[str],
        problems: Problems,
    ) -> None:
        """Check the options, noting what is wrong in `problems`."""
        self._exempt = PathRules(exempt, option="exempt", problems=problems)
        self._optional = PathRules(optional, option="optional", problems=problems)
        scopes = check_scopes("required_scopes", required_scopes, problems)
        self._default = Demand(Need.TOKEN, scopes)
        self._optional_demand = Demand(Need.OPTIONAL, scopes)
        compiled = []
        for rule in _listed(rules, problems):
            methods = None if rule.methods is None else frozenset(rule.methods)
            compiled.append((PathRules((rule.path,), option="rules", problems=problems), methods, tuple(rule.scopes)))
        self._rules = tuple(compiled)

    def demand(self, scope: Scope) -> Demand:
        """Give what this request needs."""
        if self._exempt and self._exempt.exempts(scope):
            return NOTHING
        if self._rules:
            method = str(scope.get("method", "GET")).upper()
            concerned = [
                scopes
                for paths, methods, scopes in self._rules
                if (methods is None or method in methods) and paths.concerns(scope)
            ]
            if concerned:
                together = dict.fromkeys(self._default.scopes)
                for scopes in concerned:
                    together.update(dict.fromkeys(scopes))
                return Demand(Need.TOKEN, tuple(together))
        if self._optional and self._optional.exempts(scope):
            return self._optional_demand
        return self._default


def check_scopes(option: str, value: object, problems: Problems) -> tuple[str, ...]:
    """Give the scopes of an option, each checked (RFC 6749 3.3)."""
    scopes = problems.strings(option, value)
    for scope in scopes:
        if _SCOPE_TOKEN.fullmatch(scope) is None:
            problems.add(
                option,
                scope,
                "is not a scope",
                fix="write one scope per string: printable ASCII without space, quote and backslash (RFC 6749 3.3)",
                code="not_a_scope",
            )
    return tuple(dict.fromkeys(scopes))


def _check_methods(value: object, problems: Problems) -> tuple[str, ...]:
    methods = []
    for method in problems.strings("methods", value):
        if method.isascii() and is_token(method.encode("ascii")):
            methods.append(method.upper())
        else:
            problems.add("methods", method, "is not a method", fix='write names such as "POST"', code="not_a_method")
    if not methods:
        problems.add(
            "methods", value, "concerns no request", fix="name a method, or None for all", code="methods_empty"
        )
    if "GET" in methods:
        methods.append("HEAD")
    return tuple(dict.fromkeys(methods))


def _listed(rules: object, problems: Problems) -> list[Rule]:
    try:
        listed = list(rules)  # type: ignore[call-overload]
    except TypeError:
        listed = [rules]
    for rule in listed:
        if not isinstance(rule, Rule):
            problems.add(
                "rules", rule, "is not a Rule", fix='write [Rule("/admin/**", scopes=("admin",))]', code="not_a_rule"
            )
    return [rule for rule in listed if isinstance(rule, Rule)]
