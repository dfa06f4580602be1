"""Request ids: which one a request gets, and whether the client's own is taken.

Facts this module rests on:

- An id is echoed in a header and written into every log line. A client's id is therefore taken only when it is short,
  of safe characters and unambiguous: one line, at most 128 characters of ``A-Z a-z 0-9 . _ ~ + / = : @ ; , -``. That
  admits UUID, ULID, nginx, HAProxy, AWS and Google ids, and nothing that could forge a line or a header.
- Even so a client chooses it: it must never serve as a key, a secret or a proof.
- ``os.urandom`` asks the kernel: ids differ between processes, before and after ``fork()``.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import EllipsisType
from typing import Any, Final

from asgi_middleware._core.config import Problems
from asgi_middleware._core.headers import HeaderIndex, header_list, replace
from asgi_middleware._core.types import HeaderList, Message, Scope
from asgi_middleware.logging.failures import Failures

LONGEST_ID: Final = 128
_SAFE: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._~+/=:@;,-"


def generate_request_id() -> str:
    """Make a new id: 32 hexadecimal digits, random, different in every process."""
    return os.urandom(16).hex()


def is_safe_request_id(value: str | bytes) -> bool:
    """Tell whether an id may be echoed and logged: 1 to 128 characters of the safe set."""
    if isinstance(value, str):
        if not value.isascii():
            return False
        value = value.encode("ascii")
    return 0 < len(value) <= LONGEST_ID and not value.translate(None, _SAFE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Correlation:
    """How a request gets its id. Names and meanings are those of asgi-correlation-id.

    A hook that raises, or gives something unsafe, is passed over: the id is then a generated one.

    Attributes:
        header_name: The header that carries the id; several in order of priority.
        update_request_header: Whether the app finds the chosen id in its request headers: in the first of the names,
            and in each other one that the client sent.
        generator: Makes a new id.
        validator: Tells whether a client's id is taken. It is asked only about ids that are safe anyhow (see
            :func:`is_safe_request_id`); None takes every safe one.
        transformer: Changes the id before it is used, wherever it came from.
        response_header: The response header that tells the id; the first of `header_name` unless given; None for no
            header.
    """

    header_name: str | Sequence[str] = "X-Request-ID"
    update_request_header: bool = True
    generator: Callable[[], str] = generate_request_id
    validator: Callable[[str], bool] | None = None
    transformer: Callable[[str], str] | None = None
    response_header: str | EllipsisType | None = ...

    def check(self, problems: Problems, prefix: str = "") -> tuple[bytes, ...]:
        """Note what is wrong with these options, and give the header names."""
        option = f"{prefix}header_name"
        given = self.header_name
        listed = (given,) if isinstance(given, str) else problems.strings(option, given)
        names = tuple(dict.fromkeys(problems.header_name(option, name) for name in listed))
        if isinstance(given, Sequence) and not isinstance(given, str | bytes) and not given:
            problems.add(option, given, "names no header", fix="use 'X-Request-ID'", code="empty")
        problems.boolean(f"{prefix}update_request_header", self.update_request_header)
        problems.callable(f"{prefix}generator", self.generator)
        problems.callable(f"{prefix}validator", self.validator, optional=True)
        problems.callable(f"{prefix}transformer", self.transformer, optional=True)
        if self.response_header is not None and self.response_header is not ...:
            problems.header_name(f"{prefix}response_header", self.response_header)
        return names


class RequestIds:
    """A :class:`Correlation` made ready for use.

    Attributes:
        response_header: The lower-case response header that tells the id, or None.
    """

    __slots__ = ("_failures", "_generator", "_names", "_transformer", "_update", "_validator", "response_header")

    def __init__(self, correlation: Correlation, names: tuple[bytes, ...], failures: Failures) -> None:
        """Keep what each request needs.

        Args:
            correlation: Checked options.
            names: The lower-case header names by priority.
            failures: Where a failing hook is counted.
        """
        self._names = names
        self._update = correlation.update_request_header
        self._generator = correlation.generator
        self._validator = correlation.validator
        self._transformer = correlation.transformer
        self._failures = failures
        header = correlation.response_header
        self.response_header = names[0] if header is ... else None
        if isinstance(header, str):
            self.response_header = header.lower().encode("ascii")

    def choose(self, index: HeaderIndex) -> str:
        """Give this request's id: the client's where it is safe and valid, else a new one."""
        chosen = self._from_client(index)
        if chosen is None:
            chosen = self._generate()
        if self._transformer is not None:
            chosen = self._transform(chosen)
        return chosen

    def rewrite(self, scope: Scope, index: HeaderIndex, request_id: str) -> None:
        """Write the id into a scope that is our own copy: into its headers, and into its ``state`` where there is one.

        Both are replaced by changed copies; the server's own stay as they are.
        """
        if self._update:
            value = request_id.encode("ascii")
            carriers = [name for name in self._names if name in index]
            if not carriers:
                scope["headers"] = [*(scope.get("headers") or ()), (self._names[0], value)]
            # Missing from the first, or other than the chosen one in any.
            elif carriers[0] != self._names[0] or any(index.get_all(name) != (value,) for name in carriers):
                scope["headers"] = self._with_id(scope.get("headers"), {self._names[0], *carriers}, value)
        state = scope.get("state")
        if state is not None:
            scope["state"] = {**state, "request_id": request_id}

    def _from_client(self, index: HeaderIndex) -> str | None:
        for name in self._names:
            value = index.get(name)
            if value is None:
                continue
            # Two different lines leave open which one a proxy saw: neither is taken, nor a header of lower priority.
            if name in index.repeated and len(set(index.repeated[name])) > 1:
                return None
            value = value.strip(b" \t")
            if not is_safe_request_id(value):
                return None
            text = value.decode("ascii")
            return text if self._is_valid(text) else None
        return None

    def _is_valid(self, text: str) -> bool:
        if self._validator is None:
            return True
        try:
            return bool(self._validator(text))
        except Exception as error:  # noqa: BLE001 -- a hook never breaks a request
            self._failures.note("validate a request id", error)
            return False

    def _generate(self) -> str:
        if self._generator is generate_request_id:
            return generate_request_id()
        try:
            made = self._generator()
            if type(made) is str and is_safe_request_id(made):
                return made
            self._failures.note("use a generated request id", ValueError(f"{made!r} is not a safe request id"))
        except Exception as error:  # noqa: BLE001 -- a hook never breaks a request
            self._failures.note("generate a request id", error)
        return generate_request_id()

    def _transform(self, chosen: str) -> str:
        try:
            changed: Any = self._transformer(chosen)  # type: ignore[misc]  # asked before the call
            if type(changed) is str and is_safe_request_id(changed):
                return changed
            self._failures.note("use a transformed request id", ValueError(f"{changed!r} is not a safe request id"))
        except Exception as error:  # noqa: BLE001 -- a hook never breaks a request
            self._failures.note("transform a request id", error)
        return chosen

    def _with_id(self, headers: Any, carriers: set[bytes], value: bytes) -> HeaderList:
        kept = [(key, held) for key, held in header_list(headers) if key.lower() not in carriers]
        kept.extend((name, value) for name in self._names if name in carriers)
        return kept


def carriers_of(scope: Scope) -> frozenset[str]:
    """Give the message types that may carry a response header on this connection.

    ``websocket.accept`` has headers since version 2.1 of the specification; a server that names no version speaks 2.0.
    """
    if scope["type"] == "http":
        return _HTTP_CARRIERS
    version = (scope.get("asgi") or {}).get("spec_version") or "2.0"
    try:
        takes_headers = tuple(int(part) for part in version.split(".")) >= _ACCEPT_WITH_HEADERS
    except (AttributeError, ValueError):
        takes_headers = False
    return _WEBSOCKET_CARRIERS if takes_headers else _DENIAL_CARRIERS


def with_header(message: Message, name: bytes, value: bytes) -> dict[str, Any]:
    """Give a copy of a message with exactly one line of `name` among its headers."""
    return {**message, "headers": replace(message.get("headers") or (), name, value)}


_HTTP_CARRIERS: Final = frozenset({"http.response.start"})
_DENIAL_CARRIERS: Final = frozenset({"websocket.http.response.start"})
_WEBSOCKET_CARRIERS: Final = _DENIAL_CARRIERS | {"websocket.accept"}
_ACCEPT_WITH_HEADERS: Final = (2, 1)
