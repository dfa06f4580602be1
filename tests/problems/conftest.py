"""What the tests of the room share."""

import logging

import pytest


@pytest.fixture
def errors(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    """Collect what goes to the room's logger."""
    caplog.set_level(logging.WARNING, logger="asgi_middleware.problems")
    return caplog
