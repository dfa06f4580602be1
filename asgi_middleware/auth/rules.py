"""Rules: what a token must grant on some paths, and whether a token grants it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from asgi_middleware._core.config import Problems
from asgi_middleware._core.headers import is_token
from asgi_middleware._core.paths import PathRules
from asgi_middleware.auth.claims import VerifiedToken

# scope-token = 1*( %x21 / %x23-5B / %x5D-7E ) (RFC 6749 3.3)
_SCOPE_TOKEN: Final = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+")

RolesClaim: TypeAlias = "tuple[str, ...] | None"
"""Where the roles are: the names of the claim and of the members within it."""


@dataclass(frozen=True)
class Rule:
    """What a token must grant on some paths. Every rule that concerns a request adds to what is needed.

    A rule tightens: it holds as soon as any reading of the path matches (``//admin``, ``/x/../admin``, ``/ADMIN``), it
    makes a token needed where one was optional, and only ``exempt`` is stronger::

        from asgi_middleware.auth import Rule

        rules = (
            Rule("/admin/**", roles=("admin",)),
            Rule("/files/**", scopes=("files:write",), methods=("PUT", "DELETE")),
            Rule("/reports/**", scopes=("reports:read", "reports:all"), any_of=True),
        )

    Args:
        path: A path ("/reports"), with ``*`` for text within a segment and ``/**`` for any number of further segments,
            or a compiled pattern that must match the whole path.
        scopes: The scopes that the token must grant, all of them. Empty asks for a token and nothing more.
        roles: The roles that the token's subject must have, all of them. They are read from the claim that
            ``JWTAuthMiddleware(roles_claim=...)`` names.
        methods: The methods concerned; None (the default) for all. GET includes HEAD, and a WebSocket counts as GET.
        any_of: Of several scopes one is enough, and of several roles one.

    Raises:
        ConfigurationError: The path, a scope, a role or a method is not well-formed.
    """

    path: str | re.Pattern[str]
    scopes: Iterable[str] = field(default=(), kw_only=True)
    roles: Iterable[str] = field(default=(), kw_only=True)
    methods: Iterable[str] | None = field(default=None, kw_only=True)
    any_of: bool = field(default=False, kw_only=True)

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
        object.__setattr__(self, "roles", tuple(dict.fromkeys(problems.strings("roles", self.roles))))
        if self.methods is not None:
            object.__setattr__(self, "methods", _check_methods(self.methods, problems))
        problems.boolean("any_of", self.any_of)
        problems.raise_if_any()

    def __str__(self) -> str:
        """Give the path, with the methods where there are any."""
        path = self.path if isinstance(self.path, str) else self.path.pattern
        return path if self.methods is None else f"{','.join(self.methods)} {path}"


@dataclass(frozen=True, slots=True)
class Requirement:
    """Names of which a token must grant all, or one.

    Attributes:
        names: At least one scope or role.
        any_of: Whether one of them is enough.
    """

    names: frozenset[str]
    any_of: bool

    def is_met(self, granted: Iterable[str]) -> bool:
        """Tell whether `granted` is enough."""
        if self.any_of:
            return not self.names.isdisjoint(granted)
        return self.names.issubset(granted)


def requirements(asked: Iterable[tuple[Iterable[str], bool]]) -> tuple[Requirement, ...]:
    """Give what is asked for, as pairs of names and whether one is enough; what asks for nothing is left out."""
    frozen = [(frozenset(names), any_of) for names, any_of in asked]
    return tuple(Requirement(names, any_of) for names, any_of in frozen if names)


def roles_of(token: VerifiedToken, path: RolesClaim) -> tuple[str, ...]:
    """Give the roles that a token holds at `path`, each once.

    A role is text. Whatever else stands there gives no role; text is one role and never taken apart.

    Args:
        token: A verified token.
        path: The names that lead there, such as ``("realm_access", "roles")``; None for no roles at all.
    """
    if path is None:
        return ()
    value = token.claim(path[0])
    for name in path[1:]:
        value = value.get(name) if type(value) is dict else None
    if type(value) is str:
        return (value,)
    if type(value) is not list:
        return ()
    return tuple(dict.fromkeys(item for item in value if type(item) is str))


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


def check_roles_claim(value: object, problems: Problems) -> RolesClaim:
    """Give the names that lead to the roles."""
    if value is None:
        return None
    names = (value,) if isinstance(value, str) else problems.strings("roles_claim", value)
    if not all(names) or not names:
        problems.add(
            "roles_claim",
            value,
            "names no claim",
            fix='write "roles", or ("realm_access", "roles") for a member within a claim',
            code="roles_claim_empty",
        )
    return names


def listed_rules(rules: object, problems: Problems) -> list[Rule]:
    """Give the rules of an option, noting whatever is none."""
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
