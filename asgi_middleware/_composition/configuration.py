"""Options of classes that are not made yet: frameworks keep a class with its options until the first connection."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from asgi_middleware._composition.order import ORDER
from asgi_middleware._composition.walk import Part
from asgi_middleware._core.config import ConfigurationError


def wrong_options(chain: Sequence[Part]) -> Iterator[str]:
    """Make every class of ours that is still to be made, around nothing, and give what its constructor says."""
    for part in chain:
        factory: Any = part.thing
        if part.options is not None and part.label in ORDER and isinstance(factory, type):
            try:
                factory(_nothing, **part.options)
            except ConfigurationError as error:
                yield str(error)
            except TypeError as error:  # an option that the class does not have
                yield f"{part.title}: {error}"
        for branch in part.branches:
            yield from wrong_options(branch.chain)


async def _nothing(scope: object, receive: object, send: object) -> None:
    """Stand for the app."""
