"""Options of this room's classes, checked."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from prometheus_client import CollectorRegistry

from asgi_middleware._core.config import Problems
from asgi_middleware.metrics.definitions import TIME_TO_FIRST_BYTE
from asgi_middleware.metrics.presets import Preset

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


def check_labels(labels: object, preset: Preset, problems: Problems) -> dict[str, Callable[[Any], object] | None]:
    """Check own labels: names that a label may have and that no family has by itself, and functions."""
    if not isinstance(labels, Mapping):
        problems.add(
            "labels", labels, "is no mapping", fix='pass for example {"tenant": None} or {"tenant": tenant_of}'
        )
        return {}
    taken = {"le"}.union(*(each.labels for each in (*preset.requests, *preset.sizes, TIME_TO_FIRST_BYTE)))
    for name, function in labels.items():
        if not isinstance(name, str) or _NAMESPACE.fullmatch(name) is None or name.startswith("__") or name in taken:
            problems.add(
                "labels",
                name,
                "cannot name a label of its own",
                fix="use letters, digits and underscores, and a name that the metrics do not have yet",
                code="invalid_label",
            )
        elif function is not None and not callable(function):
            problems.add(
                "labels", function, "is not callable", fix="pass a function that takes the scope", code="not_callable"
            )
    return dict(labels)


def list_rules(rules: Any) -> Any:
    """Give path rules that can be read twice; what is no list of them is left for the rules' own check."""
    return rules if isinstance(rules, str | bytes) or not isinstance(rules, Iterable) else list(rules)


def literal_paths(rules: Iterable[str | re.Pattern[str]]) -> frozenset[str] | None:
    """Give the paths of rules that are all literal; None if one is a pattern."""
    paths = set()
    for rule in rules:
        if not isinstance(rule, str) or "*" in rule:
            return None
        paths.add(rule.rpartition(" ")[2])
    return frozenset(paths)
