"""Snapshots: what a scope or a message held at one moment, so that a later change is seen.

Containers are compared by content, all else by identity: nothing is copied that could have a life of its own (a lock, a
pool, a framework's app object), and an iterator is not used up by looking at it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final

_DEEPEST: Final = 8  # a scope is three levels deep; deeper lies the app's own world, or a circle


class _Thing:
    """An object known by identity. It is kept alive, so that no other can take its place."""

    __slots__ = ("value",)

    def __init__(self, value: object) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Thing) and self.value is other.value

    def __hash__(self) -> int:
        return id(self.value)

    def __repr__(self) -> str:
        return f"<{type(self.value).__name__}>"


class OneShot(Iterator[Any]):
    """Headers that can be read once, as a generator, while the observers still know them."""

    def __init__(self, pairs: Iterable[Any]) -> None:
        """Keep the pairs."""
        self.pairs = list(pairs)
        self._rest = iter(self.pairs)

    def __next__(self) -> Any:
        """Give the next pair."""
        return next(self._rest)


def freeze(value: Any, depth: int = 0) -> Any:
    """Give a value that stays as `value` is now, and compares equal to it as long as nothing in it changes."""
    if value is None or isinstance(value, bytes | str | int | float | _Thing):
        return value
    if depth < _DEEPEST:
        if isinstance(value, dict):
            return {key: freeze(part, depth + 1) for key, part in value.items()}
        if isinstance(value, list):
            return [freeze(part, depth + 1) for part in value]
        if isinstance(value, tuple):
            return tuple(freeze(part, depth + 1) for part in value)
    if isinstance(value, OneShot):
        return [freeze(part, depth + 1) for part in value.pairs]
    if isinstance(value, bytearray | memoryview):
        return bytes(value)
    return _Thing(value)


def changed_at(before: Any, after: Any, path: str = "") -> str | None:
    """Give the first place where two snapshots differ, as ``headers[2]`` or ``state.user``; None if they are equal."""
    if before == after and type(before) is type(after):
        return None
    if isinstance(before, dict) and isinstance(after, dict):
        for key in (*before, *(key for key in after if key not in before)):
            if key not in before or key not in after:
                return _join(path, key)
            place = changed_at(before[key], after[key], _join(path, key))
            if place is not None:
                return place
    if isinstance(before, list) and isinstance(after, list):
        for position, (old, new) in enumerate(zip(before, after, strict=False)):
            if old != new:
                return f"{path}[{position}]"
        if len(before) != len(after):
            return f"{path}[{min(len(before), len(after))}]"
    return path or "itself"


def _join(path: str, key: object) -> str:
    return f"{path}.{key}" if path else str(key)
