"""Fixtures for pytest: ``asgi_client`` and ``check_middleware``.

To have them, put ``pytest_plugins = ["asgi_middleware.testing.plugin"]`` into the ``conftest.py`` of your test folder.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol

import anyio
import pytest

from asgi_middleware.testing import conformance
from asgi_middleware.testing.client import Client
from asgi_middleware.testing.report import Report
from asgi_middleware.testing.scenario import Scenario


class CheckMiddleware(Protocol):
    """What the fixture ``check_middleware`` gives."""

    def __call__(
        self, cls: Callable[..., Any], /, *, scenario: Scenario | None = None, backend: str = "asyncio", **options: Any
    ) -> Report:
        """Run the battery on an event loop of its own, and fail the test if the class breaks a rule.

        Args:
            cls: The middleware class; anything that makes an ASGI app from an app.
            scenario: What the requests look like, and what is expected of the class there.
            backend: ``"asyncio"`` or ``"trio"``.
            **options: The class's own options.

        Raises:
            ConformanceError: The class breaks a rule; the text says which.
        """


@pytest.fixture
def asgi_client() -> type[Client]:
    """Give the class of the test client, to be called with an ASGI app."""
    return Client


@pytest.fixture
def check_middleware() -> CheckMiddleware:
    """Hold a middleware class to the rules; to be called, also in a test function that is no coroutine."""

    def check(
        cls: Callable[..., Any], /, *, scenario: Scenario | None = None, backend: str = "asyncio", **options: Any
    ) -> Report:
        async def run() -> Report:
            return await conformance.check_middleware(cls, scenario=scenario, **options)

        # In a thread, so that it serves a test function that itself runs in an event loop.
        with ThreadPoolExecutor(1) as threads:
            report = threads.submit(lambda: anyio.run(run, backend=backend)).result()
        report.raise_if_any()
        return report

    return check
