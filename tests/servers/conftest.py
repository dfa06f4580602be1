"""Real uvicorn around the apps of this folder."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from processes import Server, running

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def serve(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Server]]:
    """Start servers that run until the module's tests are done; the same target is started once."""
    running_servers: dict[tuple[str, ...], Server] = {}
    folder = tmp_path_factory.mktemp("servers")
    with ExitStack() as exits:

        def start(target: str, **options: str) -> Server:
            key = (target, *(f"{name}={value}" for name, value in sorted(options.items())))
            if key not in running_servers:
                command = [sys.executable, "-W", "ignore", str(HERE / "serve.py"), "{fd}", *key]
                log = folder / f"{len(running_servers)}.log"
                running_servers[key] = exits.enter_context(running(command, log))
            return running_servers[key]

        yield start


@pytest.fixture
def anyio_backend() -> str:
    """Clients of a real server run on asyncio alone."""
    return "asyncio"
