"""A registry of its own for every test, and a way to read it."""

from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from asgi_middleware.metrics import PrometheusMiddleware
from asgi_middleware.metrics.labels import METHODS_VARIABLE

DURATION = "http_server_request_duration_seconds_count"


class Metrics:
    """One registry, what records in it, and what it holds."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()

    def wrap(self, app: Any, **options: Any) -> PrometheusMiddleware:
        """Wrap an app so that it records here."""
        return PrometheusMiddleware(app, registry=self.registry, **options)

    def read(self, name: str, *labels: str) -> dict[Any, float]:
        """Give the values of a series by the labels named, summed over the others; one label is no tuple."""
        values: dict[Any, float] = {}
        for family in self.registry.collect():
            for sample in family.samples:
                if sample.name == name:
                    key = tuple(sample.labels[label] for label in labels)
                    shown = key[0] if len(key) == 1 else key
                    values[shown] = values.get(shown, 0) + sample.value
        return values

    def requests(self) -> dict[tuple[str, str, str, str], float]:
        """Count the requests by method, route, status and error."""
        return self.read(DURATION, "http_request_method", "http_route", "http_response_status_code", "error_type")

    def active(self) -> float:
        """Count the requests under way."""
        return sum(self.read("http_server_active_requests", "url_scheme").values())

    def seconds(self) -> float:
        """Sum the durations of all requests."""
        return sum(self.read("http_server_request_duration_seconds_sum", "url_scheme").values())

    def errors(self) -> dict[str, float]:
        """Count failures to record by site."""
        return self.read("asgi_middleware_metrics_errors_total", "site")

    def series(self) -> set[tuple[str, ...]]:
        """Give every series there is."""
        return {
            (sample.name, *(f"{name}={value}" for name, value in sorted(sample.labels.items())))
            for family in self.registry.collect()
            for sample in family.samples
        }


@pytest.fixture
def metrics(monkeypatch: pytest.MonkeyPatch) -> Metrics:
    """Give a fresh registry."""
    monkeypatch.delenv(METHODS_VARIABLE, raising=False)
    return Metrics()
