"""The metric families, and the one set of them that each registry has.

A family may be registered once in a registry, but a stack of middleware is built again and again: by frameworks that
rebuild it, by tests, by two apps in one process. So families are looked up by registry and name before they are made.
The series and the bound on their number belong to the family, not to the instance that records.

In a process of several, ``flushing.py`` writes the numbers to its files.
"""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Mapping
from contextlib import suppress
from itertools import count
from typing import Any, Final
from weakref import WeakKeyDictionary

from prometheus_client import CollectorRegistry

from asgi_middleware._core.config import Problems
from asgi_middleware.metrics import flushing
from asgi_middleware.metrics.definitions import ERRORS, LABEL_OVERFLOW, OVERFLOW, Definition
from asgi_middleware.metrics.family import Family
from asgi_middleware.metrics.flushing import flush
from asgi_middleware.metrics.labels import OwnLabel

__all__ = ["Failures", "Families", "Family", "families_of", "flush"]

_logger = logging.getLogger("asgi_middleware.metrics")


class Failures:
    """Counts every failure to record by its site, and logs the first of each."""

    __slots__ = ("_errors", "_reported")

    def __init__(self, errors: Family) -> None:
        self._errors = errors
        self._reported: set[str] = set()

    def note(self, site: str) -> None:
        """Note the exception being handled; this itself never raises."""
        with suppress(Exception):
            self._errors.series((site,)).add()
        with suppress(Exception):
            if site not in self._reported:
                self._reported.add(site)
                _logger.error("recording %s failed; further failures are counted only", site, exc_info=sys.exception())


_numbers: Final = count()


class Families:
    """The families of one registry under one namespace; made by :func:`families_of`.

    Attributes:
        claim: The concern under which a connection is measured once for these families.
        lock: The lock of all their series.
        failures: Where recorders note what failed.
        recorders: What instances with the same options share, by those options. Each has ``fold()`` and ``forget()``.
        samplers: The event loops whose lag is being recorded.
    """

    def __init__(self, registry: CollectorRegistry, namespace: str) -> None:
        self._namespace = namespace
        # Numbered, for an id() is given again once its object is gone.
        self.claim = f"metrics {next(_numbers)}"
        self.lock = threading.RLock()
        self._by_name: dict[str, Family] = {}
        self._own_labels: dict[str, OwnLabel] = {}
        self.recorders: dict[Any, Any] = {}
        self.samplers: set[Any] = set()
        self._overflow = self._open(registry, OVERFLOW, OVERFLOW.labels, ())
        self.failures = Failures(self._open(registry, ERRORS, ERRORS.labels, ()))
        flushing.keep(self)

    def open(
        self,
        registry: CollectorRegistry,
        definition: Definition,
        bounds: Mapping[str, tuple[float, ...]],
        problems: Problems,
        own_labels: tuple[str, ...] = (),
    ) -> Family:
        """Give the family, registered at its first use.

        Args:
            registry: The registry that these families belong to.
            definition: Which family.
            bounds: The upper bounds of histograms by what they count.
            problems: Where other bounds or labels than the family's are noted.
            own_labels: The names of own labels that it has besides.

        Raises:
            ConfigurationError: The registry holds other metrics of this name.
        """
        buckets = bounds.get(definition.buckets, ())
        labels = definition.labels + own_labels
        try:
            family = self._open(registry, definition, labels, buckets)
        except ValueError as error:
            _refuse_duplicate(definition.full_name, error, problems)
            raise
        if family.bounds != buckets:
            problems.add(
                "size_buckets" if definition.buckets == "bytes" else "buckets",
                buckets,
                f"differs from {family.bounds}, with which {family.full_name} already stands in this registry",
                fix="use the same buckets in every instance, or set namespace",
                code="conflicting_buckets",
            )
        if family.labels != labels:
            problems.add(
                "labels",
                labels,
                f"differ from {family.labels}, with which {family.full_name} already stands in this registry",
                fix="use the same labels in every instance, or set namespace",
                code="conflicting_labels",
            )
        return family

    def _open(
        self, registry: CollectorRegistry, definition: Definition, labels: tuple[str, ...], bounds: tuple[float, ...]
    ) -> Family:
        with self.lock:
            family = self._by_name.get(definition.name)
            if family is None:
                family = Family(definition, self._namespace, labels, bounds, self)
                registry.register(family)
                self._by_name[definition.name] = family
            else:
                with suppress(ValueError):  # the usual case: it is registered
                    registry.register(family)  # someone, a test suite perhaps, has emptied the registry
            return family

    def own_label(self, registry: CollectorRegistry, name: str, most: int) -> OwnLabel:
        """Give the values of an own label, which all instances share."""
        counter = self._open(registry, LABEL_OVERFLOW, LABEL_OVERFLOW.labels, ()).series((name,))
        with self.lock:
            return self._own_labels.setdefault(name, OwnLabel(name, most, counter.add))

    def fold(self) -> None:
        """Fold everything that is still held in lists; what fails is noted."""
        for recorder in tuple(self.recorders.values()):
            try:
                recorder.fold()
            except Exception:  # noqa: BLE001 -- metrics fail open
                self.failures.note("fold")

    def count_overflow(self, family: Family, number: int) -> None:
        """Count recordings in a family's overflow series."""
        self._overflow.series((family.full_name,)).add(number)

    def all_families(self) -> list[Family]:
        """Give every family."""
        with self.lock:
            return list(self._by_name.values())

    def after_fork(self, *, clear: bool) -> None:
        """Take new locks, for the parent's may be held by a thread that is not here; begin from zero if `clear`."""
        self.lock = threading.RLock()
        for family in self._by_name.values():
            family.take_lock(self.lock)
        self.samplers = set()
        if clear:
            for recorder in self.recorders.values():
                recorder.forget()
            for family in self._by_name.values():
                for series in family.all_series():
                    series.clear()


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
