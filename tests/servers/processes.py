"""Servers as processes of their own: on ports that the system picks, bounded in time, stopped by process id."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

START_TIMEOUT = 30.0
STOP_TIMEOUT = 10.0
HOST = "127.0.0.1"
HERE = Path(__file__).parent


@dataclass(frozen=True)
class Server:
    """One running server.

    Attributes:
        port: Where it listens on 127.0.0.1.
        log: The file that collects its standard output.
    """

    port: int
    log: Path

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"

    @property
    def websocket_url(self) -> str:
        return f"ws://{HOST}:{self.port}"

    def client(self, **options: Any) -> httpx.Client:
        return httpx.Client(base_url=self.url, timeout=10, trust_env=False, **options)

    def log_lines(self) -> list[dict[str, Any]]:
        """Give the JSON lines logged so far."""
        lines = self.log.read_text(encoding="utf-8", errors="replace").split("\n")
        return [json.loads(line) for line in lines[:-1] if line.startswith("{")]

    def wait_for_line(self, wanted: Callable[[dict[str, Any]], bool], timeout: float = 15.0) -> dict[str, Any]:
        """Give the first JSON line that is wanted, waiting for it: a line is written after its response."""
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            for line in self.log_lines():
                if wanted(line):
                    return line
            time.sleep(0.02)
        raise AssertionError(f"no such line in:\n{self.log.read_text()}")

    def access_line(self, request_id: str, timeout: float = 15.0) -> dict[str, Any]:
        """Give the access line of the request with this id."""
        return self.wait_for_line(lambda line: line.get("request_id") == request_id and "outcome" in line, timeout)


@contextmanager
def running(
    command: Sequence[str], log: Path, *, by_port: bool = False, stop: signal.Signals = signal.SIGINT
) -> Iterator[Server]:
    """Run a server until the block ends, then stop it.

    The socket listens before the server starts, so that nobody else can have its port and no client comes too early.

    Args:
        command: The command line; ``{fd}`` stands for the number of the listening socket, ``{port}`` for its port.
        log: Where its standard output goes; standard error goes beside it.
        by_port: For a server that takes no listening socket: its port is only kept, for whoever binds with
            SO_REUSEPORT.
        stop: The signal that stops it. After SIGINT, unlike SIGTERM, all servers end by the interpreter's own exit,
            which writes the coverage data.
    """
    errors = log.with_suffix(".err")
    with socket.socket() as listener, log.open("wb") as stdout, errors.open("wb") as stderr:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT if by_port else socket.SO_REUSEADDR, 1)
        listener.bind((HOST, 0))
        port = listener.getsockname()[1]
        if not by_port:
            listener.listen(128)
        filled = [part.replace("{fd}", str(listener.fileno())).replace("{port}", str(port)) for part in command]
        process = subprocess.Popen(
            filled,
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
            pass_fds=() if by_port else (listener.fileno(),),
            start_new_session=True,
            cwd=HERE,  # where the apps are; the package itself comes from the environment
        )
        if by_port:
            kept = listener.dup()  # until the server has bound the same port
    try:
        _wait_until_it_answers(process, port, errors)
        if by_port:
            kept.close()
        yield Server(port, log)
    finally:
        _stop(process, stop)


def _wait_until_it_answers(process: subprocess.Popen[bytes], port: int, errors: Path) -> None:
    """Wait for any answer at all: what this says is HTTP/1.1, which a server of HTTP/2 alone refuses."""
    deadline = time.monotonic() + START_TIMEOUT
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with socket.create_connection((HOST, port), timeout=START_TIMEOUT / 10) as probe:
                probe.sendall(b"GET /open/ready HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
                probe.recv(1)
                return
        except ConnectionRefusedError:
            time.sleep(0.05)
        except ConnectionResetError:
            # An answer, too, unless the process is about to end.
            time.sleep(0.2)
            if process.poll() is None:
                return
        except TimeoutError:
            continue
    raise AssertionError(f"the server did not start:\n{errors.read_text()}")


def _stop(process: subprocess.Popen[bytes], stop: signal.Signals) -> None:
    """End a server, politely first. It leads a session of its own, so that its workers cannot outlive it."""
    process.send_signal(stop)
    try:
        process.wait(STOP_TIMEOUT)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(STOP_TIMEOUT)
