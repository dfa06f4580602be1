"""How much body a request may have, by its head and its path, and what it hears that has more.

Facts this module rests on:

- ``Content-Length`` is a promise. With ``Transfer-Encoding`` beside it, it is not even that, and some servers pass
  both on (RFC 9112 6.1 and 6.3). So bytes are counted whatever was declared.
- A body that is longer than its declared length means that somebody on the way framed it differently (RFC 9112 11.2).
- An HTTP/1 request with neither field has no body (RFC 9112 6.3). An HTTP/2 request with neither may have one.
- ``http.request`` may lack ``body`` and ``more_body``; a body may be any bytes-like object.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from asgi_middleware._core.header_finder import HeaderFinder
from asgi_middleware._core.headers import parse_content_length
from asgi_middleware._core.paths import PathRules
from asgi_middleware._core.refusals import Refusal

if TYPE_CHECKING:
    from asgi_middleware._core.config import Problems
    from asgi_middleware._core.types import HeaderList, Scope

FRAMING: Final = HeaderFinder((b"content-length", b"transfer-encoding"))
"""What tells where a body ends, in any letter case: not every server gives names in lower case."""

UNLIMITED: Final = 1 << 62

TOO_LARGE: Final = Refusal(
    413, "body_too_large", detail="The request body is larger than this server accepts.", close_code=1009
)
MALFORMED_LENGTH: Final = Refusal(
    400, "malformed_content_length", detail="The Content-Length header is malformed or contradicts itself."
)
LENGTH_REQUIRED: Final = Refusal(
    411, "length_required", detail="A request with a body must declare its length in Content-Length."
)
_LONGEST_PLAIN: Final = 18  # digits of a length that needs no second look
_MOST_LENGTHS: Final = 1024


def declared_length(framing: HeaderList) -> int | None:
    """Give the declared length of the body, or None where none is declared that counts.

    Args:
        framing: The lines of Content-Length and Transfer-Encoding, in any order, their names in lower case.

    Raises:
        ValueError: Content-Length is malformed or contradicts itself (RFC 9110 8.6).
    """
    lengths = [value for name, value in framing if name == b"content-length"]
    if not lengths:
        return None
    length = parse_content_length(lengths)
    return None if len(lengths) < len(framing) else length


class KnownLengths(dict[bytes, int]):
    """What a value of Content-Length says: the length where it is plainly within the limit, else -1.

    Most bodies of an app are of few lengths, and a look-up costs a fifth of reading a number. It learns lengths as they
    come, up to a bound.

    Args:
        limit: The largest length to give; -1 for none at all.
    """

    __slots__ = ("_limit",)

    def __init__(self, limit: int) -> None:
        super().__init__()
        self._limit = limit

    def __missing__(self, value: bytes) -> int:
        """Read a value that is not known yet."""
        if not value.isdigit() or len(value) > _LONGEST_PLAIN:
            return -1
        length = int(value)
        if length > self._limit:
            return -1
        if len(self) < _MOST_LENGTHS:
            self[value] = length
        return length


class SizesByPath:
    """The largest body by path: a size for all, and others for some.

    A smaller size concerns a request as soon as any reading of its path matches. A larger one holds for a path as it is
    written, and never for one that two readers could take for different things.

    Args:
        size: The size for all other paths.
        overrides: Sizes by path rule, None for no limit; of several that match the first larger one holds, and then the
            smallest of the smaller ones.
        problems: Where wrong overrides are noted.
    """

    __slots__ = ("_larger", "_size", "_smaller")

    def __init__(self, size: int, overrides: Any, problems: Problems) -> None:
        self._size = size
        self._larger: list[tuple[PathRules, int]] = []
        self._smaller: list[tuple[PathRules, int]] = []
        option = "overrides"
        if not isinstance(overrides, Mapping):
            fix = "map path rules to sizes: {'/upload': 100_000_000}"
            problems.add(option, overrides, "is not a mapping", fix=fix, code="not_a_mapping")
            return
        for rule, given in overrides.items():
            if not problems.integer(f"{option}[{rule!r}]", given, minimum=0, optional=True):
                continue
            rules = PathRules([rule], option=option, problems=problems)
            own = UNLIMITED if given is None else given
            (self._smaller if own < size else self._larger).append((rules, own))

    def __bool__(self) -> bool:
        """Tell whether there is any override."""
        return bool(self._larger or self._smaller)

    def size_for(self, scope: Scope) -> int:
        """Give the largest body that this request may have."""
        size = self._size
        for rules, own in self._larger:
            if rules.exempts(scope):
                size = own
                break
        for rules, own in self._smaller:
            if own < size and rules.concerns(scope):
                size = own
        return size
