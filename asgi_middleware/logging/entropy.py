"""Entropy: random hexadecimal digits for ids, asked of the kernel in stock.

Facts this module rests on:

- One call of ``os.urandom`` costs more than all else that makes an id; for a hundred ids it costs little more than for
  one.
- A forked child inherits the stock, and would give out the ids of its parent: it must throw its copy away.
- ``list.pop`` and ``list.extend`` are single steps for every thread: no two get the same item.
"""

from __future__ import annotations

import os
from typing import Final

WORD: Final = 32
"""The hexadecimal digits of one word: 128 random bits."""

_WORDS: Final = 128  # 2 KB of entropy at a time, and 1 KB of halves
_words: Final[list[str]] = []
_halves: Final[list[str]] = []


def random_word() -> str:
    """Give 32 random hexadecimal digits, which nobody else gets."""
    try:
        return _words.pop()
    except IndexError:
        return _fill(_words, WORD)


def random_half() -> str:
    """Give 16 of them: at less than what cutting a word in two costs."""
    try:
        return _halves.pop()
    except IndexError:
        return _fill(_halves, WORD // 2)


def random_ids() -> tuple[str, str, str]:
    """Give a word, another one and a half, in one call."""
    try:
        return _words.pop(), _words.pop(), _halves.pop()
    except IndexError:  # what was taken is lost, which harms nobody
        return random_word(), random_word(), random_half()


def _fill(stock: list[str], digits: int) -> str:
    one, *more = os.urandom(_WORDS * digits // 2).hex("-", digits // 2).split("-")
    stock.extend(more)
    return one


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_words.clear)
    os.register_at_fork(after_in_child=_halves.clear)
