"""The service with a database of its own, as a process on a port of its own, and clients of both kinds."""

import json
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from asgi_middleware.testing.tokens import TokenIssuer

SECONDS = 30


class Service:
    """The running service, and what it has logged."""

    def __init__(self, settings: dict[str, str]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "uvicorn", "archive.asgi:application", "--port", "0"],
            env={**os.environ, **settings},
            stdout=subprocess.PIPE,
            text=True,
        )
        self._printed: list[str] = []
        self._reader = threading.Thread(target=self._read)
        self._reader.start()
        self.address = self._wait_for(lambda line: re.search(r"running on (http://[\d.]+:\d+)", line))[1]

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
            event: dict[str, Any] = json.loads(line)
            return event if wanted.items() <= event.items() else None

        event: dict[str, Any] = self._wait_for(found)
        return event

    def stop(self) -> None:
        """Ask it to end, and see that it does."""
        self._process.terminate()
        self._process.wait(SECONDS)
        self._reader.join(SECONDS)


@pytest.fixture(scope="session")
def issuer() -> TokenIssuer:
    """Who signs the tokens that programs bring."""
    return TokenIssuer("RS256", audience="archive")


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the service keeps what it has."""
    return tmp_path_factory.mktemp("data")


@pytest.fixture(scope="session")
def service(issuer: TokenIssuer, data: Path) -> Iterator[Service]:
    """The service, set up and started as in earnest, but for https; ada is its superuser."""
    (data / "issuer.pem").write_text(str(issuer.key))
    settings = {
        "ARCHIVE_DATA": str(data),
        "ARCHIVE_TOKEN_KEY": str(data / "issuer.pem"),
        "ARCHIVE_METRICS_TOKEN": "let-prometheus-in",
        "ARCHIVE_PLAIN_HTTP": "1",
        "DJANGO_ALLOWED_HOSTS": "127.0.0.1",
        "DJANGO_SECRET_KEY": "a key for tests, long enough for Django to be content with it",
        "DJANGO_SUPERUSER_PASSWORD": "correct horse",
    }
    for command in (["migrate"], ["createsuperuser", "--noinput", "--username=ada", "--email=ada@example.com"]):
        subprocess.run([sys.executable, "manage.py", *command], env={**os.environ, **settings}, check=True, timeout=60)
    running = Service(settings)
    yield running
    running.stop()


@pytest.fixture
def browser(service: Service) -> Iterator[httpx.Client]:
    """Somebody with a browser, logged in nowhere."""
    with httpx.Client(base_url=service.address, headers={"accept": "text/html"}, follow_redirects=True) as client:
        yield client


@pytest.fixture
def program(service: Service, issuer: TokenIssuer) -> Iterator[httpx.Client]:
    """A program with a token of ada's."""
    headers = {"authorization": f"Bearer {issuer.token(sub='ada', scope='archive:write')}"}
    with httpx.Client(base_url=service.address, headers=headers) as client:
        yield client
