"""The grammar of ASGI messages: which keys each type has, and which values they take.

Facts this module rests on (ASGI HTTP and WebSocket specification 2.5, Lifespan 2.0, Extensions):

- A key that may be missing may, for ``text``, ``bytes``, ``reason`` and ``subprotocol``, also be None.
- Headers are an iterable of two-item iterables of bytes. Upper case is discouraged, not forbidden.
- Types that are not listed here may exist: extensions are open. Of those only the ``type`` is checked.
- Frameworks send ``bytearray`` and ``memoryview`` as well as ``bytes``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from asgi_middleware._core.headers import is_token


class Fault(NamedTuple):
    """One breach of the grammar or of the order.

    Attributes:
        rule: The rule's name.
        subject: The message type, key or header.
        message: What is wrong.
    """

    rule: str
    subject: str
    message: str


class _Key(NamedTuple):
    types: tuple[type, ...]
    required: bool = False


_BYTES: Final = (bytes, bytearray, memoryview)
_NONE: Final = type(None)
_BODY: Final = {"body": _Key(_BYTES), "more_body": _Key((bool,))}
_DATA: Final = {"bytes": _Key((*_BYTES, _NONE)), "text": _Key((str, _NONE))}
_CLOSE: Final = {"code": _Key((int, _NONE)), "reason": _Key((str, _NONE))}

_FROM_APP: Final[Mapping[str, Mapping[str, _Key]]] = MappingProxyType(
    {
        "http.response.start": {"status": _Key((int,), required=True), "trailers": _Key((bool,))},
        "http.response.body": _BODY,
        "http.response.trailers": {"more_trailers": _Key((bool,))},
        "http.response.push": {"path": _Key((str,), required=True)},
        "http.response.pathsend": {"path": _Key((str,), required=True)},
        "http.response.zerocopysend": {"file": _Key((object,), required=True), "more_body": _Key((bool,))},
        "http.response.early_hint": {"links": _Key((object,), required=True)},
        "http.response.debug": {"info": _Key((dict,), required=True)},
        "websocket.accept": {"subprotocol": _Key((str, _NONE))},
        "websocket.send": _DATA,
        "websocket.close": _CLOSE,
        "websocket.http.response.start": {"status": _Key((int,), required=True)},
        "websocket.http.response.body": _BODY,
        "lifespan.startup.complete": {},
        "lifespan.startup.failed": {"message": _Key((str,))},
        "lifespan.shutdown.complete": {},
        "lifespan.shutdown.failed": {"message": _Key((str,))},
    }
)
_TO_APP: Final[Mapping[str, Mapping[str, _Key]]] = MappingProxyType(
    {
        "http.request": _BODY,
        "http.disconnect": {},
        "websocket.connect": {},
        "websocket.receive": _DATA,
        "websocket.disconnect": _CLOSE,
        "lifespan.startup": {},
        "lifespan.shutdown": {},
    }
)
_WITH_DATA: Final = ("websocket.send", "websocket.receive")

EXTENSIONS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "http.response.trailers": "http.response.trailers",
        "http.response.push": "http.response.push",
        "http.response.pathsend": "http.response.pathsend",
        "http.response.zerocopysend": "http.response.zerocopysend",
        "http.response.early_hint": "http.response.early_hint",
        "http.response.debug": "http.response.debug",
        "websocket.http.response.start": "websocket.http.response",
        "websocket.http.response.body": "websocket.http.response",
    }
)
"""Message type -> the extension under which it may be sent."""


def message_faults(message: Any, protocol: str, *, from_app: bool) -> list[Fault]:
    """Check one message by itself, apart from its place in the sequence.

    Args:
        message: What was sent or received.
        protocol: The ``type`` of the scope.
        from_app: Whether it comes from the app, or goes to it.
    """
    if not isinstance(message, dict) or not isinstance(message.get("type"), str):
        return [Fault("message-shape", type(message).__name__, "the message is no dict with a type")]
    kind: str = message["type"]
    if not kind.startswith(f"{protocol}.") and protocol in {"http", "websocket", "lifespan"}:
        return [Fault("wrong-protocol", kind, f"{kind} on a connection of type {protocol}")]
    keys = (_FROM_APP if from_app else _TO_APP).get(kind, {})
    faults = [*_key_faults(kind, keys, message)]
    if kind in _WITH_DATA and message.get("text") is None and message.get("bytes") is None:
        faults.append(Fault("message-key", kind, f"{kind} has neither text nor bytes"))
    headers = message.get("headers")
    if headers is not None and not isinstance(headers, Iterator):
        faults += header_faults(headers)
    return faults


def _key_faults(kind: str, keys: Mapping[str, _Key], message: Mapping[str, Any]) -> Iterator[Fault]:
    for name, key in keys.items():
        if name not in message:
            if key.required:
                yield Fault("message-key", f"{kind}.{name}", f"{kind} lacks {name}")
        elif not isinstance(message[name], key.types):
            given = type(message[name]).__name__
            yield Fault("message-key", f"{kind}.{name}", f"{name} of {kind} is of type {given}")


def header_faults(headers: Any) -> list[Fault]:
    """Check raw headers: pairs of bytes, names that are tokens, values without CR, LF and NUL."""
    if not isinstance(headers, Iterable) or isinstance(headers, bytes | str | dict):
        return [Fault("header-shape", type(headers).__name__, "the headers are no iterable of pairs")]
    faults = []
    for pair in headers:
        if not _is_pair(pair):
            faults.append(Fault("header-shape", "", f"{pair!r} is no pair of bytes"))
            continue
        name, value = (bytes(part) for part in pair)
        subject = name.decode("latin-1").lower()
        if not is_token(name):
            faults.append(Fault("header-name", subject, f"{name!r} is no header name"))
        if any(byte in value for byte in b"\r\n\0"):
            faults.append(Fault("header-value", subject, f"{value!r} holds a control character"))
    return faults


def _is_pair(pair: Any) -> bool:
    return isinstance(pair, list | tuple) and len(pair) == 2 and all(isinstance(part, _BYTES) for part in pair)
