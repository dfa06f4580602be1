"""The service behind two servers: uvicorn, and granian, which sends files by itself."""

import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest

SECONDS = 20
KEY = "a key for tests, of 32 bytes or more"
COMMANDS = {
    "uvicorn": ["-m", "uvicorn", "files.main:app", "--port"],
    "granian": ["-m", "granian", "--interface", "asgi", "files.main:app", "--port"],
}


class Service:
    """The running service, the folder that it serves, and what it has logged."""

    def __init__(self, server: str, root: Path, settings: dict[str, str]) -> None:
        self.server = server
        self.root = root
        with socket.create_server(("127.0.0.1", 0)) as free:  # granian does not tell which port it took
            self.port = free.getsockname()[1]
        command = [sys.executable, *COMMANDS[server], str(self.port)]
        self._process = subprocess.Popen(command, env={**os.environ, **settings}, stdout=subprocess.PIPE, text=True)
        self._printed: list[str] = []
        self._reader = threading.Thread(target=self._read)
        self._reader.start()
        self.address = f"http://127.0.0.1:{self.port}"
        self._wait_for(lambda line: "Uvicorn running" in line or "Started worker" in line)

    def _read(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as lines:
            self._printed.extend(lines)  # grows line by line

    def _wait_for(self, found: Callable[[str], Any]) -> Any:
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
            event: dict[str, Any] = json.loads(line) if line.startswith("{") else {}
            return event if wanted.items() <= event.items() else None

        event: dict[str, Any] = self._wait_for(found)
        return event

    def stop(self) -> None:
        """Ask it to end, and see that it does."""
        self._process.terminate()
        self._process.wait(SECONDS)
        self._reader.join(SECONDS)


@pytest.fixture(scope="session", params=COMMANDS)
def service(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """The service, as it is started in earnest, but with limits that a test can reach."""
    root = tmp_path_factory.mktemp("root")
    settings = {
        "FILES_ROOT": str(root),
        "FILES_KEY": KEY,
        "FILES_MAX_UPLOAD": "1_000_000",
        "FILES_UPLOAD_IDLE": "1",
    }
    running = Service(request.param, root, settings)
    yield running
    running.stop()


@pytest.fixture
def reader(service: Service) -> Iterator[httpx.Client]:
    """Anybody, who asks for no coding."""
    with httpx.Client(base_url=service.address, headers={"accept-encoding": "identity"}) as client:
        yield client


@pytest.fixture
def writer(service: Service) -> Iterator[httpx.Client]:
    """Somebody with a token that allows uploads."""
    claims = {"sub": "ada", "aud": "files", "scope": "files:write", "exp": int(time.time()) + 600}
    headers = {"authorization": f"Bearer {jwt.encode(claims, KEY, 'HS256')}"}
    with httpx.Client(base_url=service.address, headers=headers) as client:
        yield client
