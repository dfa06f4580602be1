"""Label values: each a member of a small set, whatever a client or an app sends.

Every distinct label value is a time series for the life of the process. Facts this module rests on:

- The method is any token of the client's choosing (RFC 9110 9.1): unknown ones share one value. Without that, any
  client can exhaust the memory (CVE-2022-21698). OpenTelemetry's HTTP conventions name the value ``_OTHER``.
- Methods are case-sensitive (RFC 9110 9.1).
- A status is an integer from 100 to 599 (RFC 9110 15); apps send others, and subclasses such as HTTPStatus.
- A close code is any number up to 4999, and servers differ about the same event (RFC 6455 7.4).
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping
from typing import Any, Final

OTHER: Final = "_OTHER"
"""The value for whatever is outside the set."""

UNMATCHED: Final = ""
"""The route of a request that matched none. To Prometheus an empty label is an absent one, as OpenTelemetry asks."""

CANCELLED: Final = "cancelled"
CLIENT_LEFT: Final = "client_disconnected"
NO_RESPONSE: Final = "no_response"
INCOMPLETE: Final = "incomplete_response"

METHODS: Final = frozenset({"CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "QUERY", "TRACE"})
"""RFC 9110 9.3, RFC 5789 (PATCH) and the QUERY method."""

METHODS_VARIABLE: Final = "OTEL_INSTRUMENTATION_HTTP_KNOWN_METHODS"

LONGEST_LABEL: Final = 500
"""Characters that any label's value is cut to; hardly a route template is as long."""

LONGEST_VALUE: Final = 120
"""Characters that an own label's value is cut to."""

_SCHEMES: Final = frozenset({"http", "https", "ws", "wss"})
_STATUSES: Final = {status: str(status) for status in range(100, 600)}
_CLOSE_CODES: Final = {code: str(code) for code in (*range(1000, 1004), *range(1005, 1016))}


def known_methods(environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Give the methods that have a label of their own, each mapped to itself.

    OpenTelemetry's variable ``OTEL_INSTRUMENTATION_HTTP_KNOWN_METHODS``, a comma-separated list, replaces all of them.
    """
    listed = [method.strip() for method in environ.get(METHODS_VARIABLE, "").split(",")]
    return {method: method for method in listed if method} or {method: method for method in METHODS}


def scheme_label(scheme: object) -> str:
    """Give a URL scheme that ASGI knows, else ``_OTHER``; a server may leave it out, which means ``http``."""
    if scheme is None:
        return "http"
    return scheme if isinstance(scheme, str) and scheme in _SCHEMES else OTHER


def status_label(status: object) -> str:
    """Give a status from 100 to 599 as text, anything else as ``_OTHER``."""
    return _STATUSES.get(status, OTHER) if isinstance(status, int) else OTHER


def error_label(error: BaseException) -> str:
    """Give the fully qualified name of an exception's class, without ``builtins``."""
    kind = type(error)
    if kind.__module__ == "builtins":
        return kind.__qualname__
    return f"{kind.__module__}.{kind.__qualname__}"


def close_code_label(code: object) -> str:
    """Give a registered close code as text, ``3xxx`` and ``4xxx`` for libraries' and apps' own, else ``_OTHER``.

    None is 1005, "no status received" (RFC 6455 7.1.5).
    """
    if code is None:
        code = 1005
    if not isinstance(code, int):
        return OTHER
    known = _CLOSE_CODES.get(code)
    if known is not None:
        return known
    if 3000 <= code <= 4999:
        return "3xxx" if code < 4000 else "4xxx"
    return OTHER


def status_class(shown: str) -> str:
    """Give ``2xx`` for ``200`` and so on; what is no status stays as it is."""
    return f"{shown[0]}xx" if shown and shown != OTHER else shown


def clean_labels(given: tuple[object, ...]) -> tuple[str, ...]:
    """Give label values as texts of a bounded length: a handler may name its route by anything."""
    return tuple(
        value if type(value) is str and len(value) <= LONGEST_LABEL else str(value)[:LONGEST_LABEL] for value in given
    )


def clean_value(given: object) -> str:
    """Give a text that fits into a label; a lone surrogate would fail only at the scrape, and then for everybody."""
    return str(given)[:LONGEST_VALUE].encode("utf-8", "replace").decode()


class OwnLabel:
    """The values of one label that the application chooses: so many, and ``_OTHER`` for all further ones.

    Args:
        name: The label.
        most: How many values it may have in this process.
        overflowed: Called for each value that was one too many.
    """

    __slots__ = ("_known", "_lock", "_most", "_overflowed", "name")

    def __init__(self, name: str, most: int, overflowed: Callable[[], None]) -> None:
        self.name = name
        self._most = most
        self._overflowed = overflowed
        self._known: dict[str, str] = {}
        self._lock = threading.Lock()

    def value(self, given: Any) -> str:
        """Give the label's value for what a handler or a function gave; None is no value."""
        if given is None:
            return ""
        if type(given) is not str:
            hash(given)  # a list or a dict is no value, and fails here
        # Short texts alone are remembered: anything else would be kept alive.
        if type(given) is not str or len(given) > LONGEST_VALUE:
            given = clean_value(given)
        known = self._known.get(given)
        return self._admit(given) if known is None else known

    def _admit(self, given: str) -> str:
        text = clean_value(given)
        with self._lock:
            if len(self._known) < self._most:
                return self._known.setdefault(given, text)
        self._overflowed()
        return OTHER
