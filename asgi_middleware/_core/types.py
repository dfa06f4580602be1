"""The shapes of ASGI 3, wide enough for every framework's own declarations.

Each framework types the scope and the messages in its own way: Starlette as mappings, Litestar as unions of typed
dicts, asgiref as its own. A parameter declared with any one of them rejects the others, so the mappings are ``Any``
here; the *calling convention* is what the types hold fast. Checked for every framework in ``tests/typing``.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import Any, TypeAlias

Scope: TypeAlias = Any
"""The connection's mapping. Never mutated by this library: a class that adds a key writes into a shallow copy."""

Message: TypeAlias = Any
"""One ASGI event: a mapping with a ``type``."""

Receive: TypeAlias = Callable[[], Awaitable[Any]]
Send: TypeAlias = Callable[[Any], Awaitable[None]]
ASGIApp: TypeAlias = Callable[[Any, Any, Any], Awaitable[None]]

HeaderList: TypeAlias = list[tuple[bytes, bytes]]
"""Raw headers: list of (name, value) byte pairs, names in lower case where we make them."""

RawHeaders: TypeAlias = Iterable[Any]
"""Raw headers as they arrive: any iterable of two-item iterables of bytes, names in any letter case."""
