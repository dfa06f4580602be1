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

_WORDS: Final = 128  # 2 KB of entropy at a time
_stock: list[str] = []


def random_word() -> str:
    """Give 32 random hexadecimal digits, which nobody else gets."""
    try:
        return _stock.pop()
    except IndexError:
        word, *more = os.urandom(_WORDS * WORD // 2).hex("-", WORD // 2).split("-")
        _stock.extend(more)
        return word


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_stock.clear)
