"""The other end: sends requests byte by byte, and notes the headers of the calls that come back."""

from __future__ import annotations

import itertools
import json
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Headers = list[tuple[str, str]]

_numbers = itertools.count(1)


@dataclass
class Harness:
    """A server that notes what calls it, and a client of the service.

    Attributes:
        url: Where calls come back to.
        service: The service's port.
        calls: The headers of the calls by path, names in lower case.
    """

    url: str
    service: int
    calls: dict[str, list[Headers]] = field(default_factory=dict)

    def send(self, headers: Sequence[tuple[str, str]], times: int = 1) -> list[Headers]:
        """Ask the service, by a request with these headers, for as many calls; give the headers of each."""
        paths = [f"/{next(_numbers)}" for _ in range(times)]
        self.order(headers, [{"url": f"{self.url}{path}", "arguments": []} for path in paths])
        return [self.only_call(path) for path in paths]

    def only_call(self, path: str) -> Headers:
        """Give the headers of the one call that came to a path."""
        [headers] = self.calls[path]
        return headers

    def order(self, headers: Sequence[tuple[str, str]], calls: list[dict[str, Any]]) -> None:
        """Post a list of calls, with headers as they are written, and wait for the answer."""
        status = self.post(headers, json.dumps(calls).encode())
        assert status == 200, status

    def post(self, headers: Sequence[tuple[str, str]], body: bytes) -> int:
        """Post a body, and give the status of the answer."""
        head = [
            "POST /test HTTP/1.1",
            "Host: localhost",
            "Connection: close",
            f"Content-Length: {len(body)}",
            *(f"{name}: {value}" for name, value in headers),
        ]
        with socket.create_connection(("127.0.0.1", self.service), timeout=10) as connection:
            connection.sendall("\r\n".join([*head, "", ""]).encode("latin-1") + body)
            answer = b""
            while received := connection.recv(65_536):
                answer += received
        return int(answer.split(b" ", 2)[1])


@contextmanager
def harness(service: int) -> Iterator[Harness]:
    """Run the server that calls come back to, on a port that the system picks."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            found.calls.setdefault(self.path, []).append(
                [(name.lower(), value) for name, value in self.headers.items()]
            )
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    found = Harness(f"http://127.0.0.1:{server.server_address[1]}", service)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield found
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)
