"""Run an application of `third_parties` as a process of its own, on a loopback port that the system picks."""

from __future__ import annotations

import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import jwt

import asgi_middleware

HERE = Path(__file__).parent / "third_parties"
AUDIENCE = "https://api.example"
ISSUER = "https://issuer.example"
ORIGIN = "https://app.example"


@dataclass(frozen=True)
class Application:
    """One running application.

    Attributes:
        url: Where it listens.
        token: A token that it accepts.
        log: The file that collects its standard output.
    """

    url: str
    token: str
    log: Path

    def client(self, **headers: str) -> httpx.Client:
        """Give a client in the manner of a browser on another origin."""
        return httpx.Client(base_url=self.url, headers={"origin": ORIGIN, **headers}, timeout=20, trust_env=False)

    @property
    def authorization(self) -> str:
        """The value of the Authorization header."""
        return f"Bearer {self.token}"

    def lines(self) -> list[dict[str, Any]]:
        """Give the JSON lines so far."""
        return [json.loads(line) for line in self.log.read_text().splitlines() if line.startswith("{")]

    def wait_for(self, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Give the first line that is wanted; it is written after its response."""
        deadline = time.monotonic() + 5
        while time.monotonic() < deadline:
            for line in self.lines():
                if wanted(line):
                    return line
            time.sleep(0.02)
        raise AssertionError(f"no such line in:\n{self.log.read_text()}")

    def access_line(self, response: httpx.Response) -> dict[str, Any]:
        """Give the access line of a response."""
        return self.wait_for(
            lambda line: line.get("event") == "http.request" and line["request_id"] == response.headers["x-request-id"]
        )


@contextmanager
def running(name: str, folder: Path) -> Iterator[Application]:
    """Run the application until the block ends.

    Args:
        name: The module in `third_parties`.
        folder: For its files.
    """
    key = secrets.token_bytes(32)
    log, errors = folder / "out.log", folder / "err.log"
    environment = {
        **os.environ,
        "TEST_TOKEN_KEY": key.hex(),
        "TEST_FOLDER": str(folder),
        "PYTHONPATH": str(Path(asgi_middleware.__file__).parents[1]),
    }
    with socket.create_server(("127.0.0.1", 0)) as listening, log.open("wb") as stdout, errors.open("wb") as stderr:
        # Connections wait in the socket's queue until the application is up.
        command = [sys.executable, "-W", "ignore", str(HERE / "serve.py"), str(listening.fileno()), name]
        process = subprocess.Popen(
            command,
            env=environment,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
            pass_fds=[listening.fileno()],
        )
        port = listening.getsockname()[1]
    try:
        now = int(time.time())
        claims = {"iss": ISSUER, "aud": AUDIENCE, "sub": "alice", "iat": now, "exp": now + 600}
        yield Application(f"http://127.0.0.1:{port}", jwt.encode(claims, key, "HS256"), log)
        assert process.poll() is None, errors.read_text()
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(10)
