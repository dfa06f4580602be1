"""What the cases share: a running server with its variant, clients, tokens and request ids."""

from __future__ import annotations

import itertools
import signal
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import jwt
from matrix.variants import Variant
from matrix.wire import TIMEOUT, Multiplexed, Plain, Reply, Request, connected, exchange
from processes import Server
from service_constants import KEY
from websockets.sync.client import ClientConnection, connect

SHORT = 3.0  # seconds, for waits that some servers let run out

_numbers = itertools.count(1)


def token(**claims: object) -> str:
    return jwt.encode({"sub": "ada", "aud": "tests", "exp": time.time() + 60, **claims}, KEY, algorithm="HS256")


def bearer(**claims: object) -> tuple[str, str]:
    return "authorization", f"Bearer {token(**claims)}"


def new_id(case: str) -> str:
    """Give an id that no other request of this run has."""
    return f"{case}-{next(_numbers)}-{time.monotonic_ns()}"


@dataclass(frozen=True)
class Probe:
    """A server under test."""

    variant: Variant
    server: Server
    folder: Path

    def connection(self, timeout: float = TIMEOUT) -> AbstractContextManager[Plain | Multiplexed]:
        return connected(self.server.port, multiplexed=self.variant.http2, timeout=timeout)

    def exchange(self, request: Request, timeout: float = TIMEOUT) -> Reply:
        with self.connection(timeout) as connection:
            return exchange(connection, request)

    @contextmanager
    def fresh(self, stop: signal.Signals = signal.SIGINT) -> Iterator[Probe]:
        """Run one more server of this variant, for a case that needs its end or leaves damage behind."""
        log = self.folder / f"{new_id('fresh')}.log"
        with self.variant.running(log, stop) as server:
            yield Probe(self.variant, server, self.folder)

    def client(self) -> httpx.Client:
        """Give a real client that speaks the variant's protocol."""
        return self.server.client(http1=not self.variant.http2, http2=self.variant.http2)

    def websocket(self, path: str, **options: Any) -> ClientConnection:
        return connect(f"{self.server.websocket_url}{path}", proxy=None, open_timeout=10, close_timeout=5, **options)

    def outcome(self, request_id: str) -> str:
        """Give the one word of the access line."""
        return str(self.server.access_line(request_id)["outcome"])

    def outcome_if_any(self, request_id: str) -> str | None:
        """Give the same, or None where no line comes because the app was never called."""
        try:
            return str(self.server.access_line(request_id, 2 * SHORT)["outcome"])
        except AssertionError:
            return None
