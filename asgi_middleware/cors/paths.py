"""Which policy a path has: the one of the longest prefix, by whole segments.

A path can be read in more than one way (``//admin``, ``/public/../admin``, ``/ADMIN``), and which of them the app's
router takes is not known here. Whoever makes the request chooses the spelling. So a path whose readings have different
policies gets none of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Generic, TypeVar

from asgi_middleware._core.config import Problems
from asgi_middleware._core.paths import app_path, canonical_path, is_ambiguous, lowered, readings
from asgi_middleware._core.types import Scope

T = TypeVar("T")


class Conflict:
    """What a path has whose readings disagree."""

    __slots__ = ()


CONFLICT: Final = Conflict()


class PathTable(Generic[T]):
    """Values by path prefix, and one for all other paths. Immutable."""

    __slots__ = ("_deepest", "_folded", "_prefixes", "default")

    def __init__(self, default: T, prefixes: Mapping[str, T]) -> None:
        """Index the prefixes; each begins with a slash, ends without one, and has no empty or dot segment."""
        self.default = default
        self._prefixes = dict(prefixes)
        self._folded = {lowered(prefix): value for prefix, value in prefixes.items()}
        self._deepest = max(prefix.count("/") for prefix in prefixes)

    def select(self, scope: Scope) -> T | Conflict:
        """Give the value for a request's path, or CONFLICT where its readings have different ones."""
        path = app_path(scope)
        if path is None:
            return CONFLICT
        raw_path = scope.get("raw_path")
        if not is_ambiguous(path, raw_path):
            value = self._find(self._prefixes, path)
            return value if self._find(self._folded, lowered(path)) is value else CONFLICT
        forms = readings(path, None if scope.get("root_path") else raw_path)
        if forms is None:
            return CONFLICT
        found = [self._find(self._folded, lowered(form)) for form in forms]
        found += [self._find(self._prefixes, form) for form in forms]
        return found[0] if all(value is found[0] for value in found) else CONFLICT

    def _find(self, prefixes: Mapping[str, T], path: str) -> T:
        # No prefix is deeper than the deepest; the client decides how deep the path is.
        cut = "/".join(path.split("/", self._deepest + 1)[: self._deepest + 1])
        while cut:
            if cut in prefixes:
                return prefixes[cut]
            cut = cut.rpartition("/")[0]
        return self.default


def read_prefixes(problems: Problems, option: str, value: object) -> tuple[str, ...]:
    """Check the keys of a mapping from path prefixes; none where it cannot be used."""
    if not isinstance(value, Mapping):
        fix = "pass a dict such as {'/public': CORSPolicy(allow_origins='*')}"
        problems.add(option, value, "is not a mapping from path prefixes to policies", fix=fix, code="not_a_mapping")
        return ()
    good: list[str] = []
    folded: set[str] = set()
    for prefix in value:
        wrong = not isinstance(prefix, str) or canonical_path(prefix) != prefix or is_ambiguous(prefix, None)
        if wrong or prefix == "/" or "*" in prefix:
            plain = canonical_path(prefix.replace("*", "")) if isinstance(prefix, str) else "/admin"
            fix = f"write {plain!r}" if plain not in {"/", prefix} else "write whole segments, for example '/admin'"
            problems.add(option, prefix, "is not a path prefix", fix=fix, code="invalid_path_prefix")
        elif lowered(prefix) in folded:
            fix = "keep one of the two"
            problems.add(
                option, prefix, "differs from another one in letter case only", fix=fix, code="same_path_prefix"
            )
        else:
            folded.add(lowered(prefix))
            good.append(prefix)
    return tuple(good)
