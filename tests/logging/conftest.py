"""What the tests of the logging room share: the lines that were written, and clean global state."""

import logging
from collections.abc import Iterator, MutableMapping
from typing import Any

import pytest
import structlog
from structlog.testing import capture_logs


@pytest.fixture
def lines() -> Iterator[list[MutableMapping[str, Any]]]:
    """Collect every structlog event of the test."""
    with capture_logs() as collected:
        yield collected


@pytest.fixture
def logging_state() -> Iterator[None]:
    """Set structlog and the standard library's logging back to what they were before the test."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    servers = {
        name: (logger.handlers[:], logger.filters[:], logger.propagate)
        for name, logger in logging.Logger.manager.loggerDict.items()
        if isinstance(logger, logging.Logger)
    }
    yield
    structlog.reset_defaults()
    root.handlers[:] = handlers
    root.setLevel(level)
    for name, logger in logging.Logger.manager.loggerDict.items():
        if isinstance(logger, logging.Logger):
            before, filters, propagate = servers.get(name, ([], [], True))
            logger.handlers[:] = before
            logger.filters[:] = filters
            logger.propagate = propagate
