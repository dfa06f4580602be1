"""Public suffixes: domains under which anybody can have a name, such as ``co.uk`` and ``github.io``.

The list of them is data that changes weekly, so it is not kept here. It comes with the optional package
``publicsuffixlist``, which carries it along and never fetches anything. Without the package nothing is known, and only
a wildcard over a whole top-level domain is seen.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import Any


def is_public_suffix(host: str) -> bool:
    """Tell whether names directly under `host` belong to different owners; False where that cannot be known."""
    suffixes = _suffixes()
    if suffixes is None:
        return False
    # The second question finds what stands in front of a wildcard of the list, as in *.compute.amazonaws.com.
    return any(suffixes.publicsuffix(name) == name for name in (host, f"any.{host}"))


@cache
def _suffixes() -> Any:
    try:
        module = import_module("publicsuffixlist")
    except ImportError:
        return None
    # A name that no rule knows is a network's own, such as `corp`, and says nothing.
    return module.PublicSuffixList(accept_unknown=False)
