"""Optional libraries: which may be missing, for an interpreter without a wheel or a Python without libzstd."""

from __future__ import annotations

from collections.abc import Iterable
from importlib import import_module
from typing import Any


def import_first(names: Iterable[str]) -> Any:
    """Give the first module that can be imported; None where none can."""
    for name in names:
        try:
            return import_module(name)
        except ImportError:
            continue
    return None
