"""Path rules: which requests a rule is about. An ambiguous path is never exempt from anything.

A rule that frees some paths from a check must not be talked into freeing others. Facts this module rests on:

- Servers decode percent-escapes into ``path`` and normalise nothing: ``//``, ``/../`` and a decoded ``%2F`` arrive
  there as they are. ``raw_path`` keeps the bytes, where the server gives it.
- Routers differ. Some serve ``/admin`` for ``//admin`` and ``/admin/``, some answer 404, some decode once more.
- ``root_path`` is part of ``path`` under some servers and not under others (ASGI HTTP specification, "HTTP connection
  scope"). Some frameworks strip it by segment, some as a bare prefix.
- ``Host`` and forwarding headers say nothing about which handler will run. Only the path does.

So an exemption must hold for the literal path and for its canonical form alike, and a path on which two readers could
disagree is not exempt at all. A rule that tightens (an override, a scope that is needed) works the other way round: it
concerns a request as soon as any reading of the path matches.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import unquote

from asgi_middleware._core.config import Problems
from asgi_middleware._core.headers import is_token

if TYPE_CHECKING:
    from collections.abc import Iterable

    from asgi_middleware._core.types import Scope

# On these two readers may disagree: an empty or dot segment, a backslash, path parameters, a delimiter or a percent
# sign that came through decoding, a control character.
_AMBIGUOUS: Final = re.compile(r"//|/\.{1,2}(?:/|\Z)|[\\;?#%\x00-\x1f\x7f]")
# The same, still encoded: slash, backslash, NUL, question mark, number sign, semicolon, percent sign, dot.
_AMBIGUOUS_RAW: Final = re.compile(rb"%(?:2[f35e]|5c|00|3[fb])", re.IGNORECASE)
# Path parameters (RFC 3986 3.3), which some routers cut off.
_PARAMETERS: Final = re.compile(r";[^/]*")


class _Rule(NamedTuple):
    method: str | None
    pattern: re.Pattern[str]


class PathRules:
    """Which requests a rule is about; immutable.

    A rule is one of:

    - ``"/health"``: this path and no other (not ``/healthz``, not ``/health/x``);
    - ``"/files/*"``: ``*`` stands for any text within one segment;
    - ``"/static/**"``: ``/**`` stands for any number of further segments, none included;
    - ``"GET /health"``: the same for one method (methods are case-sensitive, RFC 9110 9.1);
    - a compiled pattern, which must match the whole path.

    Paths are relative to the application: ``root_path`` is taken off first.

    Args:
        rules: The rules; empty for none.
        option: The option's name in messages.
        problems: Where wrong rules are noted; None to raise them here.

    Raises:
        ConfigurationError: A rule is wrong and no `problems` was given.
    """

    __slots__ = ("_exact", "_patterns")

    def __init__(
        self,
        rules: Iterable[str | re.Pattern[str]],
        *,
        option: str = "exclude_paths",
        problems: Problems | None = None,
    ) -> None:
        noted = Problems("PathRules") if problems is None else problems
        exact: dict[str, set[str] | None] = {}
        patterns: list[_Rule] = []
        for rule in _listed(rules, option, noted):
            if isinstance(rule, re.Pattern):
                patterns.append(_Rule(None, rule))
                continue
            method, path = _split(rule)
            if not _check(rule, method, path, option, noted):
                continue
            if "*" in path:
                patterns.append(_Rule(method, _compile(path)))
            elif method is None or exact.get(path, ()) is None:
                exact[path] = None
            else:
                methods = exact.setdefault(path, set())
                if methods is not None:
                    methods.add(method)
        self._exact = exact
        self._patterns = tuple(patterns)
        if problems is None:
            noted.raise_if_any()

    def __bool__(self) -> bool:
        """Tell whether there is any rule."""
        return bool(self._exact or self._patterns)

    def __len__(self) -> int:
        """Count the rules."""
        return len(self._exact) + len(self._patterns)

    def exempts(self, scope: Scope) -> bool:
        """Tell whether the request is exempt: every reading of its path matches, and no two readers could disagree."""
        path = app_path(scope)
        method = scope.get("method")
        if path is None or not self._match(path, method) or is_ambiguous(path, scope.get("raw_path")):
            return False
        canonical = canonical_path(path)
        return canonical == path or self._match_canonical(canonical, method)

    def concerns(self, scope: Scope) -> bool:
        """Tell whether any reading of the path matches: literal or canonical, with or without the root path."""
        path = scope.get("path")
        if not isinstance(path, str):
            return True
        method = scope.get("method")
        if method is not None:
            method = method.upper()  # some servers pass "get" on as the client sent it
        if not scope.get("root_path") and not is_ambiguous(path, scope.get("raw_path")):
            # Without empty and dot segments, a trailing slash is all that the canonical form lacks.
            return self._match_canonical(path.rstrip("/") or "/", method)
        return any(
            self._match(reading, method) or self._match_canonical(canonical_path(reading), method)
            for reading in _readings(path, scope)
        )

    def _match(self, path: str, method: str | None) -> bool:
        exact = self._exact
        if path in exact:
            methods = exact[path]
            if methods is None or method in methods:
                return True
        for wanted, pattern in self._patterns:  # a plain loop: any() over a generator costs twice as much
            if (wanted is None or wanted == method) and pattern.fullmatch(path) is not None:
                return True
        return False

    def _match_canonical(self, canonical: str, method: str | None) -> bool:
        # The rule itself, or a router, may put a slash at the end.
        return self._match(canonical, method) or self._match(f"{canonical}/", method)


def app_path(scope: Scope) -> str | None:
    """Give the path as the application sees it: without the root path, which is taken off by whole segments.

    None where two frameworks would disagree about it: a root path that ends within a segment of the path.
    """
    path = scope.get("path")
    if not isinstance(path, str):
        return None
    root = (scope.get("root_path") or "").rstrip("/")
    if not root or not path.startswith(root):
        return path
    rest = path[len(root) :]
    if not rest:
        return "/"
    return rest if rest.startswith("/") else None


def canonical_path(path: str) -> str:
    """Give the one form of a path: slashes merged, dot segments resolved (RFC 3986 5.2.4), no trailing slash."""
    segments: list[str] = []
    for segment in path.split("/"):
        if segment == "..":
            if segments:
                segments.pop()
        elif segment not in {"", "."}:
            segments.append(segment)
    return f"/{'/'.join(segments)}"


def is_ambiguous(path: str, raw_path: bytes | None) -> bool:
    """Tell whether two readers of this path could disagree about which resource it names.

    Args:
        path: The decoded path.
        raw_path: The bytes as sent, where the server gives them; None judges `path` alone.
    """
    if not path.startswith("/") or _AMBIGUOUS.search(path) is not None:
        return True
    # Some callers leave the query string in raw_path; a question mark that is not encoded can only begin it.
    return raw_path is not None and _AMBIGUOUS_RAW.search(raw_path.split(b"?", 1)[0]) is not None


def _readings(path: str, scope: Scope) -> set[str]:
    """Give every way in which a router could read the path."""
    readings = {path}
    root = (scope.get("root_path") or "").rstrip("/")
    if root and path.startswith(root):
        # By segment or as a bare prefix: for a rule that tightens, both count.
        readings.add(f"/{path[len(root) :].lstrip('/')}")
    raw_path = scope.get("raw_path")
    if is_ambiguous(path, raw_path):
        if raw_path is not None:
            readings.add(raw_path.split(b"?", 1)[0].decode("latin-1"))
        readings |= {unquote(reading) for reading in readings}
        readings |= {reading.replace("\\", "/") for reading in readings}
        readings |= {_PARAMETERS.sub("", reading) for reading in readings}
        readings |= {re.split(r"[?#]", reading, maxsplit=1)[0] for reading in readings}
    return readings


def _listed(rules: Any, option: str, problems: Problems) -> Iterable[str | re.Pattern[str]]:
    if isinstance(rules, str | bytes | re.Pattern):
        message = "is one rule where a list is needed"
        problems.add(option, rules, message, fix=f"write [{rules!r}]", code="string_for_list")
        return ()
    try:
        listed = tuple(rules)
    except TypeError:
        problems.add(option, rules, "is not a list of rules", fix="pass a list of paths", code="not_a_list")
        return ()
    good: list[str | re.Pattern[str]] = []
    for rule in listed:
        if isinstance(rule, re.Pattern) and isinstance(rule.pattern, bytes):
            problems.add(option, rule, "matches bytes", fix="compile the pattern from a str", code="invalid_path_rule")
        elif isinstance(rule, str | re.Pattern):
            good.append(rule)
        else:
            problems.add(option, rule, "is no path rule", fix="pass a path such as '/health'", code="invalid_path_rule")
    return good


def _split(rule: str) -> tuple[str | None, str]:
    if rule.startswith("/"):
        return None, rule
    method, _, path = rule.partition(" ")
    return (method, path.lstrip(" ")) if path else (None, rule)


def _check(rule: str, method: str | None, path: str, option: str, problems: Problems) -> bool:
    code = "invalid_path_rule"
    plain = canonical_path(re.split("[;?#%]", path, maxsplit=1)[0])
    if not path.startswith("/"):
        problems.add(option, rule, "does not begin with a slash", fix=f"write '/{path.lstrip('/')}'", code=code)
    elif method is not None and not (method.isascii() and is_token(method.encode("ascii"))):
        problems.add(option, rule, "does not begin with a method", fix="write for example 'GET /health'", code=code)
    elif _AMBIGUOUS.search(path) is not None:
        problems.add(
            option,
            rule,
            "can never match: a path with an empty or dot segment, a backslash or one of ; ? # % is never exempt",
            fix=f"write the decoded path alone, for example '{plain}'",
            code=code,
        )
    elif any("**" in segment and segment != "**" for segment in path.split("/")):
        fix = "let ** be a whole segment: '/static/**'"
        problems.add(option, rule, "has ** beside other text", fix=fix, code=code)
    else:
        return True
    return False


def _compile(path: str) -> re.Pattern[str]:
    segments = path[1:].split("/")
    last = len(segments) - 1
    parts = []
    for position, segment in enumerate(segments):
        if segment == "**":
            parts.append("(?:/.*)?" if position == last else "(?:/[^/]+)*")
        elif segment == "*":
            parts.append("/[^/]+")
        else:
            parts.append("/" + "[^/]*".join(re.escape(text) for text in segment.split("*")))
    return re.compile("".join(parts), re.DOTALL)
