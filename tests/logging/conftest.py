"""What the tests of the logging room share: the lines that were written, and clean global state."""

import logging
import sys
from collections.abc import Iterator, MutableMapping
from typing import Any

import pytest
import structlog
from structlog.testing import capture_logs


@pytest.fixture(autouse=True)
def _without_opentelemetry(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have OpenTelemetry's API be loaded in its own tests only: where it is, requests take another road."""
    if not request.node.path.name.startswith("test_otel"):
        monkeypatch.delitem(sys.modules, "opentelemetry.trace", raising=False)


@pytest.fixture
def lines() -> Iterator[list[MutableMapping[str, Any]]]:
    """Collect every structlog event of the test."""
    with capture_logs() as collected:
        yield collected


@pytest.fixture
def logging_state() -> Iterator[None]:
    """Set structlog and the standard library's logging back to what they were before the test.

    A server that another test ran in this process may have left its loggers on a level of its own: they begin anew.
    """
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    servers = {
        name: (logger.handlers[:], logger.filters[:], logger.propagate, logger.level, logger.disabled)
        for name, logger in logging.Logger.manager.loggerDict.items()
        if isinstance(logger, logging.Logger)
    }
    for name in servers:
        logging.getLogger(name).setLevel(logging.NOTSET)
    yield
    structlog.reset_defaults()
    root.handlers[:] = handlers
    root.setLevel(level)
    for name, logger in logging.Logger.manager.loggerDict.items():
        if isinstance(logger, logging.Logger):
            unknown = ([], [], True, logging.NOTSET, False)
            logger.handlers[:], logger.filters[:], logger.propagate, own, logger.disabled = servers.get(name, unknown)
            logger.setLevel(own)
