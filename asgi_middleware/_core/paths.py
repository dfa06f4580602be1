"""Path rules: which requests a rule is about. An ambiguous path is never exempt from anything.

A rule that frees some paths from a check must not be talked into freeing others. Facts this module rests on:

- Servers decode percent-escapes into ``path`` and normalise nothing: ``//``, ``/../`` and a decoded ``%2F`` arrive
  there as they are. ``raw_path`` keeps the bytes, where the server gives it.
- Routers differ. Some serve ``/admin`` for ``//admin``, ``/admin/`` or ``/ADMIN``, some answer 404, some decode once
  more, some merge slashes and leave dot segments alone.
- Routers that match by ``re.match`` and ``$`` (Starlette, FastAPI, many a Django pattern) serve ``/admin`` also for the
  path with a line break behind it: ``$`` holds before the last one, too. URL parsers drop such characters anywhere.
- Most servers pass on a target in absolute form as it came (RFC 9112 3.2.2). Then ``http://host/admin`` is the path,
  and some frameworks read ``/admin`` in it.
- ``root_path`` is part of ``path`` under some servers and not under others (ASGI HTTP specification, "HTTP connection
  scope"). Some frameworks strip it by segment, some as a bare prefix, some with all that stands in front of it.
- ``Host`` and forwarding headers say nothing about which handler will run. Only the path does.

So an exemption must hold for the literal path and for its canonical form alike, and a path on which two readers could
disagree is not exempt at all. A rule that tightens (an override, a scope that is needed) works the other way round: it
concerns a request as soon as any reading of the path matches.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import unquote, urlsplit

from asgi_middleware._core.config import Problems
from asgi_middleware._core.globs import compile_path
from asgi_middleware._core.headers import is_token

if TYPE_CHECKING:
    from collections.abc import Iterable

    from asgi_middleware._core.types import Scope

# On these two readers may disagree: an empty or dot segment, a backslash, path parameters, a delimiter or a percent
# sign that came through decoding, a control character.
_AMBIGUOUS: Final = re.compile(r"//|/\.{1,2}(?:/|\Z)|[\\;?#%\x00-\x1f\x7f]")
# The same, still encoded: slash, backslash, NUL, question mark, number sign, semicolon, percent sign. And letters,
# digits and -._~, which nobody needs to encode (RFC 3986 2.3): some routers see raw_path and take %61 for another path.
_AMBIGUOUS_RAW: Final = re.compile(rb"%(?:00|2[35d-f]|3[0-9bf]|4[1-9a-f]|5[0-9acf]|6[1-9a-f]|7[0-9ae])", re.IGNORECASE)
# Path parameters (RFC 3986 3.3), which some routers cut off.
_PARAMETERS: Final = re.compile(r";[^/]*")
_SLASHES: Final = re.compile(r"//+")
_CONTROLS: Final = re.compile(r"[\x00-\x1f\x7f]")
# Letters beyond ASCII that match one of it where letter case is ignored (as ``re.IGNORECASE`` does), which ``lower``
# leaves as they are: dotted and dotless i, long s.
_LOOKALIKES: Final = str.maketrans("\u0130\u0131\u017f", "iis")
# Characters of an ambiguous path of which every reading is tried, and how many readings; each costs a pass over it.
_LONGEST_AMBIGUOUS: Final = 1024
_MOST_READINGS: Final = 32


class _Rule(NamedTuple):
    methods: frozenset[str] | None
    pattern: re.Pattern[str]


class _Table(NamedTuple):
    """Compiled rules: paths with the methods that they hold for (None for all), and patterns."""

    exact: dict[str, set[str] | None]
    patterns: tuple[_Rule, ...]

    def match(self, path: str, method: str | None) -> bool:
        exact, patterns = self
        if path in exact:
            methods = exact[path]
            if methods is None or method in methods:
                return True
        for wanted, pattern in patterns:
            if (wanted is None or method in wanted) and pattern.fullmatch(path) is not None:
                return True
        return False

    def match_canonical(self, canonical: str, method: str | None) -> bool:
        # The rule itself, or a router, may put a slash at the end.
        return self.match(canonical, method) or self.match(f"{canonical}/", method)


class PathRules:
    """Which requests a rule is about; immutable.

    A rule is one of:

    - ``"/health"``: this path and no other (not ``/healthz``, not ``/health/x``);
    - ``"/files/*"``: ``*`` stands for any text within one segment;
    - ``"/static/**"``: ``/**`` stands for any number of further segments, none included;
    - ``"GET /health"``: the same for one method (methods are case-sensitive, RFC 9110 9.1); GET includes HEAD, which is
      GET without the content (RFC 9110 9.3.2);
    - a compiled pattern, which must match the whole path.

    Paths are relative to the application: ``root_path`` is taken off first. An exemption holds for a path as it is
    written; a rule that tightens holds for every reading of a path, in any letter case.

    Args:
        rules: The rules; empty for none.
        option: The option's name in messages.
        problems: Where wrong rules are noted; None to raise them here.

    Raises:
        ConfigurationError: A rule is wrong and no `problems` was given.
    """

    __slots__ = ("_folded", "_given", "_rules")

    def __init__(
        self,
        rules: Iterable[str | re.Pattern[str]],
        *,
        option: str = "exclude_paths",
        problems: Problems | None = None,
    ) -> None:
        noted = Problems("PathRules") if problems is None else problems
        exact: dict[str, set[str] | None] = {}
        folded: dict[str, set[str] | None] = {}
        patterns: list[_Rule] = []
        given: list[_Rule] = []
        for rule in _listed(rules, option, noted):
            if isinstance(rule, re.Pattern):
                given.append(_Rule(None, rule))
                continue
            method, path = _split(rule)
            if not _check(rule, method, path, option, noted):
                continue
            methods = _methods(method)
            if "*" in path:
                patterns.append(_Rule(methods, compile_path(path)))
            else:
                _add(exact, path, methods)
                _add(folded, lowered(path), methods)
        patterns += given
        self._rules = _Table(exact, tuple(patterns))
        self._folded = _Table(folded, tuple(_Rule(methods, _fold(pattern)) for methods, pattern in patterns))
        self._given = _Table({}, tuple(given))
        if problems is None:
            noted.raise_if_any()

    def __bool__(self) -> bool:
        """Tell whether there is any rule."""
        return any(self._rules)

    def __len__(self) -> int:
        """Count the rules."""
        return sum(map(len, self._rules))

    def exempts(self, scope: Scope) -> bool:
        """Tell whether the request is exempt: its path matches, and no two readers could disagree about it.

        A path that is not ambiguous is its own canonical form, up to a slash at the end.
        """
        path = app_path(scope)
        return (
            path is not None
            and self._rules.match(path, scope.get("method"))
            and not is_ambiguous(path, scope.get("raw_path"))
        )

    def concerns(self, scope: Scope) -> bool:
        """Tell whether any reading of the path matches: literal or canonical, in any letter case, and so on.

        An ambiguous path of more than 1,024 characters, or of more than 32 readings, is concerned without being read.
        """
        return self.concerns_any(path_forms(scope), scope.get("method"))

    def concerns_any(self, forms: Iterable[str] | None, method: str | None) -> bool:
        """Tell the same of forms that :func:`path_forms` gave: for several sets of rules about one request."""
        if forms is None:
            return True
        if method is not None:
            method = method.upper()  # some servers pass "get" on as the client sent it
        folded, given = self._folded, self._given
        for form in forms:
            # A pattern of the caller's may also say what must not stand there, and then it matches less without case.
            if folded.match_canonical(lowered(form), method) or (
                given.patterns and given.match_canonical(form, method)
            ):
                return True
        return False


def app_path(scope: Scope) -> str | None:
    """Give the path as the application sees it: without the root path, which is taken off by whole segments.

    None where two frameworks would disagree about it: a root path that ends within a segment of the path, or that
    stands further inside it.
    """
    path = scope.get("path")
    if not isinstance(path, str):
        return None
    root = (scope.get("root_path") or "").rstrip("/")
    if not root:
        return path
    if not path.startswith(root):
        return None if root in path else path
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


def path_forms(scope: Scope) -> Iterable[str] | None:
    """Give every form in which a router could read a request's path; None where there are too many to try them all.

    Each form costs a match with each rule, and a client chooses the path. So they are made once for all rules.
    """
    path = scope.get("path")
    if not isinstance(path, str):
        return None
    ambiguous = is_ambiguous(path, scope.get("raw_path"))
    if not ambiguous and not scope.get("root_path"):
        # Without empty and dot segments, a trailing slash is all that the canonical form lacks.
        return (path.rstrip("/") or "/",)
    if ambiguous and len(path) > _LONGEST_AMBIGUOUS:
        return None
    found = _readings(path, scope, ambiguous=ambiguous)
    if len(found) > _MOST_READINGS:
        return None
    forms = set()
    for reading in found:
        merged = _SLASHES.sub("/", f"/{reading}")
        forms |= {reading, merged.rstrip("/") or "/"}
        if "/." in merged:
            forms.add(canonical_path(merged))
    return forms


def readings(path: str, raw_path: bytes | None) -> set[str] | None:
    """Give every form in which a router could read an ambiguous path; None where there are too many to try them all."""
    if len(path) > _LONGEST_AMBIGUOUS:
        return None
    found = _readings(path, {"raw_path": raw_path}, ambiguous=True)
    if len(found) > _MOST_READINGS:
        return None
    return {form for reading in found for form in (reading, _SLASHES.sub("/", f"/{reading}"), canonical_path(reading))}


def _readings(path: str, scope: Scope, *, ambiguous: bool) -> set[str]:
    """Give every way in which a router could read the path."""
    readings = {path}
    raw_path = scope.get("raw_path")
    if ambiguous and raw_path is not None:
        readings.add(raw_path.split(b"?", 1)[0].decode("latin-1"))
    if not path.startswith("/") or path.startswith("//"):
        readings |= {_without_authority(reading) for reading in readings}
    root = scope.get("root_path") or ""
    for prefix in {root, root.rstrip("/")} - {""}:
        # By segment, as a bare prefix, or with all that stands in front of it: for a rule that tightens, all count.
        readings |= {f"/{reading.partition(prefix)[2].lstrip('/')}" for reading in readings if prefix in reading}
    if ambiguous:
        readings |= {unquote(reading) for reading in readings}
        readings |= {_CONTROLS.sub("", reading) for reading in readings}
        readings |= {reading.replace("\\", "/") for reading in readings}
        readings |= {_PARAMETERS.sub("", reading) for reading in readings}
        readings |= {re.split(r"[?#\x00]", reading, maxsplit=1)[0] for reading in readings}
    return readings


def _without_authority(target: str) -> str:
    """Give the path of a target in absolute form, or of one that begins like an authority (RFC 3986 4.2)."""
    try:
        return urlsplit(target).path
    except ValueError:
        return target


def _methods(method: str | None) -> frozenset[str] | None:
    """Give the methods that a rule's method stands for; None for all."""
    return None if method is None else frozenset((method, "HEAD") if method == "GET" else (method,))


def _add(exact: dict[str, set[str] | None], path: str, methods: frozenset[str] | None) -> None:
    """Note a path for some methods, or for all."""
    noted = exact.setdefault(path, set())
    if methods is None:
        exact[path] = None
    elif noted is not None:
        noted |= methods


def lowered(path: str) -> str:
    """Give a path in the one letter case in which rules that tighten compare."""
    return (path if path.isascii() else path.translate(_LOOKALIKES)).lower()


def _fold(pattern: re.Pattern[str]) -> re.Pattern[str]:
    return re.compile(pattern.pattern, pattern.flags | re.IGNORECASE)


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
