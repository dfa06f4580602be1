"""The service and its provider, each a process of its own on a port of its own."""

import json
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

SECONDS = 20
SETTINGS = {
    "CHAT_AUDIENCE": "chat",
    "CHAT_ORIGINS": "https://chat.example",
    "CHAT_ROOMS": "tea coffee",
    "CHAT_METRICS_TOKEN": "let-prometheus-in",
}


class Process:
    """A running program, and what it has printed."""

    def __init__(self, *command: str, **settings: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, *command], env={**os.environ, **settings}, stdout=subprocess.PIPE, text=True
        )
        self._printed: list[str] = []
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as lines:
            self._printed.extend(lines)  # grows line by line

    def wait_for(self, found: Callable[[str], Any]) -> Any:
        """Give the first true thing that ``found`` makes of a line."""
        until = time.monotonic() + SECONDS
        while time.monotonic() < until:
            for line in self._printed[:]:
                if result := found(line):
                    return result
            time.sleep(0.01)
        raise AssertionError("".join(self._printed))

    def log_line(self, **wanted: object) -> dict[str, Any]:
        """Give the log line that has these fields."""

        def found(line: str) -> dict[str, Any] | None:
            event: dict[str, Any] = json.loads(line)
            return event if wanted.items() <= event.items() else None

        event: dict[str, Any] = self.wait_for(found)
        return event

    def address(self) -> str:
        """Give where it listens, as it says itself."""
        return str(self.wait_for(lambda line: re.search(r"http://[\d.]+:\d+", line))[0])

    def stop(self) -> None:
        """Ask it to end, and see that it does."""
        self._process.terminate()
        self._process.wait(SECONDS)
        self._reader.join(SECONDS)


@pytest.fixture(scope="session")
def provider() -> Iterator[str]:
    """The address of the identity provider."""
    process = Process("provider.py", "--port", "0")
    yield process.address()
    process.stop()


@pytest.fixture(scope="session")
def service(provider: str) -> Iterator[Process]:
    """The service, as it is started in earnest."""
    process = Process("-m", "uvicorn", "chat.main:app", "--port", "0", CHAT_ISSUER=provider, **SETTINGS)
    yield process
    process.stop()


@pytest.fixture(scope="session")
def address(service: Process) -> str:
    """Where the service listens."""
    return service.wait_for(lambda line: re.search(r"running on (http://[\d.]+:\d+)", line))[1]


@pytest.fixture(scope="session")
def token(provider: str) -> Callable[..., str]:
    """Give a token with these claims."""

    def give(**claims: str | int) -> str:
        return httpx.get(f"{provider}/token", params=claims).text

    return give


@pytest.fixture(scope="session")
def client(address: str, token: Callable[..., str]) -> Iterator[Callable[..., httpx.Client]]:
    """Give an HTTP client with a token of these claims, or without any."""
    clients: list[httpx.Client] = []

    def give(**claims: str) -> httpx.Client:
        headers = {"authorization": f"Bearer {token(**claims)}"} if claims else {}
        clients.append(httpx.Client(base_url=address, headers=headers))
        return clients[-1]

    yield give
    for each in clients:
        each.close()
