"""The metric families, and the one set of them that each registry has.

A family may be registered once in a registry, but a stack of middleware is built again and again: by frameworks that
rebuild it, by tests, by two apps in one process. So families are looked up by registry and name before they are made.
The cached children and the bound on their number belong to the family, not to the instance that records.
"""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final, Literal, NamedTuple
from weakref import WeakKeyDictionary

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from asgi_middleware._core.config import Problems
from asgi_middleware.metrics.labels import OTHER

_logger = logging.getLogger("asgi_middleware.metrics")


class Definition(NamedTuple):
    """What one family is called, means, and is labelled with."""

    kind: Literal["counter", "gauge", "histogram"]
    name: str
    labels: tuple[str, ...]
    help: str
    buckets: Literal["seconds", "bytes", "lifetime", ""] = ""

    @property
    def full_name(self) -> str:
        """The name of the family's series; a histogram adds ``_bucket``, ``_count`` and ``_sum``."""
        return f"{self.name}_total" if self.kind == "counter" else self.name


_REQUEST: Final = ("http_request_method", "http_route", "http_response_status_code", "error_type", "url_scheme")

REQUEST_DURATION: Final = Definition(
    "histogram",
    "http_server_request_duration_seconds",
    _REQUEST,
    "Time from the request's arrival to the last message of its response.",
    "seconds",
)
ACTIVE_REQUESTS: Final = Definition(
    "gauge",
    "http_server_active_requests",
    ("http_request_method", "url_scheme"),
    "Requests whose response is not complete yet.",
)
REQUEST_BODY_SIZE: Final = Definition(
    "histogram",
    "http_server_request_body_size_bytes",
    _REQUEST,
    "Request body bytes that the application read.",
    "bytes",
)
RESPONSE_BODY_SIZE: Final = Definition(
    "histogram", "http_server_response_body_size_bytes", _REQUEST, "Response body bytes that were sent.", "bytes"
)
CLIENT_DISCONNECTS: Final = Definition(
    "counter",
    "http_server_client_disconnects",
    ("http_route", "phase"),
    "Requests whose client left, or that were cancelled, before the response was complete.",
)
REFUSALS: Final = Definition(
    "counter",
    "asgi_middleware_refusals",
    ("reason", "protocol"),
    "Requests and WebSockets that a middleware of this library refused.",
)
WEBSOCKET_ACTIVE: Final = Definition(
    "gauge", "websocket_server_active_connections", ("http_route",), "WebSockets that are accepted and not closed."
)
WEBSOCKET_HANDSHAKES: Final = Definition(
    "counter",
    "websocket_server_handshakes",
    ("http_route", "outcome", "http_response_status_code"),
    "WebSocket handshakes by their outcome.",
)
WEBSOCKET_DURATION: Final = Definition(
    "histogram",
    "websocket_server_connection_duration_seconds",
    ("http_route", "code"),
    "Time from a WebSocket's accept to its close.",
    "lifetime",
)
OVERFLOW: Final = Definition(
    "counter",
    "asgi_middleware_metrics_overflow",
    ("metric",),
    "Recordings that went to the overflow series, since their label set was one too many.",
)
ERRORS: Final = Definition(
    "counter",
    "asgi_middleware_metrics_errors",
    ("site",),
    "Failures to record, by where; the request went on undisturbed.",
)

DEFINITIONS: Final = (
    REQUEST_DURATION,
    ACTIVE_REQUESTS,
    REQUEST_BODY_SIZE,
    RESPONSE_BODY_SIZE,
    CLIENT_DISCONNECTS,
    REFUSALS,
    WEBSOCKET_ACTIVE,
    WEBSOCKET_HANDSHAKES,
    WEBSOCKET_DURATION,
    OVERFLOW,
    ERRORS,
)


class Family:
    """One registered family, its children by label values, and its bound.

    ``labels()`` costs more than the observation itself, so a child is looked up here: ``known.get(key)`` on the hot
    path, :meth:`admit` for a key that is not there.
    """

    __slots__ = ("_lock", "_overflows", "buckets", "known", "metric", "name")

    def __init__(self, metric: Any, name: str, buckets: tuple[float, ...]) -> None:
        self.metric = metric
        self.name = name
        self.buckets = buckets
        self.known: dict[tuple[str, ...], Any] = {}
        self._lock = threading.Lock()
        self._overflows = False

    def admit(self, key: tuple[str, ...], max_series: int, overflow: Family) -> Any:
        """Give the child for new label values; the overflow's once there are `max_series`, of which none is dropped."""
        with self._lock:
            child = self.known.get(key)
            if child is not None:
                return child
            if len(self.known) < max_series:
                child = self.known[key] = self.metric.labels(*key)
                return child
            first, self._overflows = not self._overflows, True
        if first:
            _logger.warning(
                "%s has %d label sets, its max_series; further ones are recorded as %s. The last one was %r",
                self.name,
                max_series,
                OTHER,
                key,
            )
        overflow.metric.labels(self.name).inc()
        return self.metric.labels(*(OTHER for _ in key))


class Failures:
    """Counts every failure to record by its site, and logs the first of each."""

    __slots__ = ("_errors", "_reported")

    def __init__(self, errors: Family) -> None:
        self._errors = errors
        self._reported: set[str] = set()

    def note(self, site: str) -> None:
        """Note the exception being handled; this itself never raises."""
        with suppress(Exception):
            self._errors.metric.labels(site).inc()
        with suppress(Exception):
            if site not in self._reported:
                self._reported.add(site)
                _logger.error("recording %s failed; further failures are counted only", site, exc_info=sys.exception())


class Families:
    """The families of one registry under one namespace; made by :func:`families_of`.

    Attributes:
        failures: Where recorders note what failed.
        overflow: The family that counts recordings beyond a bound.
    """

    __slots__ = ("_by_name", "_lock", "_namespace", "failures", "overflow")

    def __init__(self, registry: CollectorRegistry, namespace: str) -> None:
        self._namespace = namespace
        self._lock = threading.Lock()
        self._by_name: dict[str, Family] = {}
        self.overflow = self._open(registry, OVERFLOW, ())
        self.failures = Failures(self._open(registry, ERRORS, ()))

    def open(
        self,
        registry: CollectorRegistry,
        definition: Definition,
        bounds: Mapping[str, tuple[float, ...]],
        problems: Problems,
    ) -> Family:
        """Give the family, registered at its first use.

        Args:
            registry: The registry that these families belong to.
            definition: Which family.
            bounds: The upper bounds of histograms by what they count.
            problems: Where other bounds than the family's are noted.

        Raises:
            ConfigurationError: The registry holds other metrics of this name.
        """
        buckets = bounds.get(definition.buckets, ())
        try:
            family = self._open(registry, definition, buckets)
        except ValueError as error:
            _refuse_duplicate(definition.full_name, error, problems)
            raise
        if family.buckets != buckets:
            problems.add(
                "size_buckets" if definition.buckets == "bytes" else "buckets",
                buckets,
                f"differs from {family.buckets}, with which {family.name} already stands in this registry",
                fix="use the same buckets in every instance, or set namespace",
                code="conflicting_buckets",
            )
        return family

    def _open(self, registry: CollectorRegistry, definition: Definition, buckets: tuple[float, ...]) -> Family:
        with self._lock:
            family = self._by_name.get(definition.name)
            if family is None:
                metric = _register(registry, definition, self._namespace, buckets)
                name = f"{self._namespace}_{definition.full_name}" if self._namespace else definition.full_name
                family = self._by_name[definition.name] = Family(metric, name, buckets)
            else:
                with suppress(ValueError):  # the usual case: it is registered
                    registry.register(family.metric)  # someone, a test suite perhaps, has emptied the registry
            return family


_lock = threading.Lock()
_stores: WeakKeyDictionary[CollectorRegistry, dict[str, Families]] = WeakKeyDictionary()


def families_of(registry: CollectorRegistry, namespace: str, problems: Problems) -> Families:
    """Give the families of a registry and namespace, the same ones each time.

    Raises:
        ConfigurationError: The registry holds other metrics of these names.
    """
    with _lock:
        by_namespace = _stores.setdefault(registry, {})
        families = by_namespace.get(namespace)
        if families is None:
            try:
                families = by_namespace[namespace] = Families(registry, namespace)
            except ValueError as error:
                _refuse_duplicate(OVERFLOW.full_name, error, problems)
                raise
        return families


def _refuse_duplicate(name: str, error: ValueError, problems: Problems) -> None:
    problems.add(
        "registry",
        name,
        f"is the name of other metrics in it ({error})",
        fix="set namespace, or pass another registry",
        code="duplicate_metric",
    )
    problems.raise_if_any()


def _register(registry: CollectorRegistry, definition: Definition, namespace: str, buckets: tuple[float, ...]) -> Any:
    kind, name, labels, text, _ = definition
    if kind == "histogram":
        unit = "bytes" if name.endswith("_bytes") else "seconds"
        return Histogram(name, text, labels, namespace=namespace, unit=unit, registry=registry, buckets=buckets)
    if kind == "gauge":
        # The other modes would either keep a series for each process that ever ran or forget to add them up.
        return Gauge(name, text, labels, namespace=namespace, registry=registry, multiprocess_mode="livesum")
    return Counter(name, text, labels, namespace=namespace, registry=registry)
