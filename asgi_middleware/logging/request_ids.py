"""Request ids: which one a request gets, and whether the client's own is taken.

Facts this module rests on:

- An id is echoed in a header and written into every log line. A client's id is therefore taken only when it is short,
  of safe characters and unambiguous: one line, at most 128 characters of ``A-Z a-z 0-9 . _ ~ + / = : @ ; , -``. That
  admits UUID, ULID, nginx, HAProxy, AWS and Google ids, and nothing that could forge a line or a header.
- Even so a client chooses it: it must never serve as a key, a secret or a proof.
- Ids differ between processes, before and after ``fork()``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import EllipsisType
from typing import Any, Final

from asgi_middleware._core.config import Problems
from asgi_middleware._core.exchange import Exchange
from asgi_middleware._core.header_finder import HeaderFinder
from asgi_middleware._core.headers import header_list, replace
from asgi_middleware._core.types import HeaderList, Message, Scope
from asgi_middleware.logging.entropy import random_word
from asgi_middleware.logging.failures import Failures
from asgi_middleware.logging.trust import Trusted, check_trusted, trust_of

LONGEST_ID: Final = 128
_SAFE: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._~+/=:@;,-"


def generate_request_id() -> str:
    """Make a new id: 32 hexadecimal digits, random, different in every process."""
    return random_word()


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
        trusted: The peers whose ids are taken: networks such as ``["10.0.0.0/8", "::1"]``, or a function of the scope;
            None trusts everybody. Others get a new id.
    """

    header_name: str | Sequence[str] = "X-Request-ID"
    update_request_header: bool = True
    generator: Callable[[], str] = generate_request_id
    validator: Callable[[str], bool] | None = None
    transformer: Callable[[str], str] | None = None
    response_header: str | EllipsisType | None = ...
    trusted: Trusted = None

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
        check_trusted(f"{prefix}trusted", self.trusted, problems)
        return names


class RequestIds:
    """A :class:`Correlation` made ready for use.

    Attributes:
        names: The header names that may carry an id, lower case, by priority.
        failures: Where a failing hook is counted.
        finder: Finds those of a request's headers that carry an id.
        plain: Whether a request without an id gets one made here, unchanged by any hook, in its headers, too.
        response_header: The lower-case response header that tells the id, or None.
        response_finder: Finds it among those of the app.
        trusted: Tells of a scope whether its peer's ids are taken; None where everybody's are.
    """

    __slots__ = (
        "_generator", "_own", "_takes_all", "_transformer", "_update", "_validator", "failures", "finder", "names",
        "plain", "response_finder", "response_header", "trusted",
    )  # fmt: skip

    def __init__(self, correlation: Correlation, names: tuple[bytes, ...], failures: Failures) -> None:
        """Keep what each request needs.

        Args:
            correlation: Checked options.
            names: The lower-case header names by priority.
            failures: Where a failing hook is counted.
        """
        self.names = names
        self.finder = HeaderFinder(names)
        self.trusted = trust_of(correlation.trusted)
        self._update = correlation.update_request_header
        self._generator = correlation.generator
        self._own = correlation.generator is generate_request_id and correlation.transformer is None
        self._takes_all = self.trusted is None and correlation.validator is None and correlation.transformer is None
        self.plain = self._own and correlation.update_request_header
        self._validator = correlation.validator
        self._transformer = correlation.transformer
        self.failures = failures
        header = correlation.response_header
        self.response_header = names[0] if header is ... else None
        if isinstance(header, str):
            self.response_header = header.lower().encode("ascii")
        self.response_finder = HeaderFinder([self.response_header or b""])

    def trusts(self, scope: Scope) -> bool:
        """Tell whether the ids of this scope's peer are taken; a function that raises trusts nobody."""
        if self.trusted is None:
            return True
        try:
            return bool(self.trusted(scope))
        except Exception as error:  # noqa: BLE001 -- a hook never breaks a request
            self.failures.note("ask whether the peer is trusted", error)
            return False

    def choose(self, found: HeaderList, scope: Scope) -> str:
        """Give this request's id: a trusted client's where it is safe and valid, else a new one.

        Args:
            found: The request headers that carry an id, their names in lower case.
            scope: The request.
        """
        chosen = self.offered(found) if found and self.trusts(scope) else None
        if chosen is None or not self._is_valid(chosen):
            if self._own:
                return random_word()
            chosen = self._generate()
        if self._transformer is not None:
            chosen = self._transform(chosen)
        return chosen

    def offered(self, found: HeaderList) -> str | None:
        """Give the id that the client sent, where it is safe and there is but one by that name."""
        for name in self.names:
            values = {value.strip(b" \t") for key, value in found if key == name}
            if values:
                # Two different lines leave open which a proxy saw: neither is taken, nor a header of lower priority.
                value = values.pop()
                return None if values or not is_safe_request_id(value) else value.decode("ascii")
        return None

    def give(self, scope: Scope, exchange: Exchange, found: HeaderList) -> bytes:
        """Give the request its id, and the id as bytes.

        It goes into the Exchange, and into a scope that is our own copy: into its headers, and into its ``state`` where
        there is one. Those are replaced by changed copies; the server's own stay as they are.

        Args:
            scope: Our copy.
            exchange: The connection's record; an id that stands there already is kept.
            found: The request headers that carry an id, their names in lower case.
        """
        request_id = exchange.request_id
        as_it_came = False
        if request_id is None:
            if not found and self._own:
                request_id = random_word()
            elif self._takes_all and len(found) == 1 and is_safe_request_id(found[0][1]):
                request_id = found[0][1].decode()
                as_it_came = found[0][0] == self.names[0]
            else:
                request_id = self.choose(found, scope)
            exchange.request_id = request_id
        value = request_id.encode()
        if self._update and not as_it_came:
            if found:
                self._rewrite(scope, found, value)
            else:
                scope["headers"] = [*(scope.get("headers") or ()), (self.names[0], value)]
        state = scope.get("state")
        if state is not None:
            state = state.copy()
            state["request_id"] = request_id
            scope["state"] = state
        return value

    def _rewrite(self, scope: Scope, found: HeaderList, value: bytes) -> None:
        """Have exactly one line of the first name, and of each other one that the client sent."""
        first = self.names[0]
        carriers = {key for key, _ in found}
        if len(carriers) < len(found) or first not in carriers or any(held != value for _, held in found):
            carriers.add(first)
            kept = [(key, held) for key, held in header_list(scope["headers"]) if key.lower() not in carriers]
            scope["headers"] = kept + [(name, value) for name in self.names if name in carriers]

    def _is_valid(self, text: str) -> bool:
        if self._validator is None:
            return True
        try:
            return bool(self._validator(text))
        except Exception as error:  # noqa: BLE001 -- a hook never breaks a request
            self.failures.note("validate a request id", error)
            return False

    def _generate(self) -> str:
        if self._generator is generate_request_id:
            return random_word()
        try:
            made = self._generator()
            if type(made) is str and is_safe_request_id(made):
                return made
            self.failures.note("use a generated request id", ValueError(f"{made!r} is not a safe request id"))
        except Exception as error:  # noqa: BLE001 -- a hook never breaks a request
            self.failures.note("generate a request id", error)
        return random_word()

    def _transform(self, chosen: str) -> str:
        try:
            changed: Any = self._transformer(chosen)  # type: ignore[misc]  # asked before the call
            if type(changed) is str and is_safe_request_id(changed):
                return changed
            self.failures.note("use a transformed request id", ValueError(f"{changed!r} is not a safe request id"))
        except Exception as error:  # noqa: BLE001 -- a hook never breaks a request
            self.failures.note("transform a request id", error)
        return chosen


def carriers_of(scope: Scope) -> frozenset[str]:
    """Give the message types that may carry a response header on this connection.

    ``websocket.accept`` has headers since version 2.1 of the specification; a server that names no version speaks 2.0.
    """
    if scope["type"] == "http":
        return HTTP_CARRIERS
    version = (scope.get("asgi") or {}).get("spec_version") or "2.0"
    try:
        takes_headers = tuple(int(part) for part in version.split(".")) >= _ACCEPT_WITH_HEADERS
    except (AttributeError, ValueError):
        takes_headers = False
    return _WEBSOCKET_CARRIERS if takes_headers else _DENIAL_CARRIERS


def with_line(message: Message, line: tuple[bytes, bytes], finder: HeaderFinder) -> dict[str, Any]:
    """Give a copy of a message with exactly one line of this name among its headers.

    Args:
        message: What opens the response.
        line: The header.
        finder: Finds that name.
    """
    headers = message.get("headers") or ()
    if type(headers) is not list:
        headers = list(headers)  # perhaps it can be read but once
    changed: dict[str, Any] = message.copy() if type(message) is dict else dict(message)
    others = finder.others
    for name, _ in headers:
        if name not in others and finder.find(headers):
            changed["headers"] = replace(headers, *line)
            return changed
    changed["headers"] = [*headers, line]
    return changed


HTTP_CARRIERS: Final = frozenset({"http.response.start"})
_DENIAL_CARRIERS: Final = frozenset({"websocket.http.response.start"})
_WEBSOCKET_CARRIERS: Final = _DENIAL_CARRIERS | {"websocket.accept"}
_ACCEPT_WITH_HEADERS: Final = (2, 1)
