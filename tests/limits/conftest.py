"""Deadlines that are looked at often, so that no test waits for long."""

import pytest

from asgi_middleware._core import deadlines


@pytest.fixture(autouse=True)
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tick every two milliseconds."""
    monkeypatch.setattr(deadlines, "TICK", 0.002)
