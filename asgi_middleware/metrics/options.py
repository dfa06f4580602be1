"""Options that both classes of this room check in the same way."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from prometheus_client import CollectorRegistry

from asgi_middleware._core.config import Problems

_NAMESPACE: Final = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")


def check_registry(registry: object, problems: Problems) -> None:
    """Check for a prometheus_client registry."""
    if not isinstance(registry, CollectorRegistry):
        problems.add(
            "registry", registry, "is no registry", fix="pass a prometheus_client.CollectorRegistry", code="no_registry"
        )


def check_namespace(namespace: object, problems: Problems) -> None:
    """Check for the beginning of a metric name, or nothing (Prometheus data model, "Metric names")."""
    if not isinstance(namespace, str) or (namespace and _NAMESPACE.fullmatch(namespace) is None):
        problems.add(
            "namespace",
            namespace,
            "cannot begin a metric name",
            fix="use letters, digits and underscores, such as 'shop'",
            code="invalid_namespace",
        )


def histogram_bounds(option: str, value: object, problems: Problems) -> tuple[float, ...]:
    """Check a histogram's upper bounds and give them as floats; the histogram itself adds infinity."""
    if isinstance(value, str | bytes) or not isinstance(value, Sequence) or not value:
        problems.add(option, value, "is no list of numbers", fix="pass for example (0.1, 0.5, 1.0)", code="not_a_list")
        return ()
    bounds = tuple(float(bound) for bound in value if problems.number(option, bound))
    if len(bounds) < len(value):
        return ()
    ascending = tuple(sorted({bound for bound in bounds if bound > 0}))
    if bounds != ascending:
        problems.add(
            option, value, "does not ascend from above 0", fix=f"pass {ascending or (0.1, 1.0)}", code="not_ascending"
        )
        return ()
    return bounds
