"""Two clients that show the bytes: HTTP/1.1 on a plain socket, HTTP/2 with prior knowledge on top of h2.

Both can do what real clients do and client libraries hide: send two requests at once, leave at any point, look at
interim responses and trailers.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol

import h2.config
import h2.connection
import h2.events
import h2.settings

TIMEOUT = 10.0
_BODILESS = {204, 304}
_ALL_AT_ONCE = 2**24  # an HTTP/2 window that no test fills


class Closed(ConnectionError):
    """The server closed the connection, or reset the stream, before the response was complete."""


@dataclass(frozen=True)
class Request:
    """What to send; text is sent as UTF-8."""

    path: str | bytes
    method: str = "GET"
    headers: Sequence[tuple[str, str | bytes]] = ()
    body: bytes | None = None

    @property
    def target(self) -> bytes:
        return self.path if isinstance(self.path, bytes) else self.path.encode()

    def raw_headers(self) -> list[tuple[bytes, bytes]]:
        return [(name.encode(), value if isinstance(value, bytes) else value.encode()) for name, value in self.headers]


@dataclass
class Reply:
    """What came: names are lower-case, values are latin-1 text."""

    status: int = 0
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: bytes = b""
    interim: list[tuple[int, list[tuple[str, str]]]] = field(default_factory=list)
    trailers: list[tuple[str, str]] = field(default_factory=list)

    def __getitem__(self, name: str) -> str:
        return ", ".join(value for key, value in self.headers if key == name)


class Connection(Protocol):
    """One connection; a key stands for one exchange on it."""

    def send(self, *requests: Request) -> list[int]:
        """Send all requests in one piece."""

    def read(self, key: int) -> Reply:
        """Read a whole response, in the order of the requests."""

    def read_first_bytes(self, key: int) -> bytes:
        """Read until the first bytes of the body are there."""

    def leave(self, key: int) -> None:
        """Go away, as a closed tab does: close the connection, or reset the stream."""


def exchange(connection: Connection, request: Request) -> Reply:
    """Send one request and read its response."""
    [key] = connection.send(request)
    return connection.read(key)


class Plain:
    """HTTP/1.1."""

    def __init__(self, port: int, timeout: float) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=timeout)
        self._buffer = b""
        self._methods: list[str] = []

    def send(self, *requests: Request) -> list[int]:
        first = len(self._methods)
        self._methods.extend(request.method for request in requests)
        self._socket.sendall(b"".join(self._encode(request) for request in requests))
        return list(range(first, len(self._methods)))

    def send_raw(self, *pieces: bytes) -> None:
        """Send one request, or as much of it as there is, as it is."""
        self._methods.append("GET")
        for piece in pieces:
            self._socket.sendall(piece)

    @staticmethod
    def _encode(request: Request) -> bytes:
        headers = [(b"host", b"localhost"), *request.raw_headers()]
        if request.body is not None:
            headers.append((b"content-length", b"%d" % len(request.body)))
        lines = b"".join(b"%s: %s\r\n" % pair for pair in headers)
        return b"%s %s HTTP/1.1\r\n%s\r\n%s" % (request.method.encode(), request.target, lines, request.body or b"")

    def read(self, key: int) -> Reply:
        reply = self._head(key)
        if self._methods[key] == "HEAD" or reply.status in _BODILESS:
            return reply
        if reply["transfer-encoding"] == "chunked":
            while size := int(self._line().split(b";")[0], 16):
                reply.body += self._take(size)
                self._take(2)
            while line := self._line():
                name, _, value = line.decode("latin-1").partition(":")
                reply.trailers.append((name.lower(), value.strip()))
        elif length := reply["content-length"]:
            reply.body = self._take(int(length))
        else:
            while self._more():
                pass
            reply.body, self._buffer = self._buffer, b""
        return reply

    def read_first_bytes(self, key: int) -> bytes:
        reply = self._head(key)
        if reply["transfer-encoding"] == "chunked":
            return self._take(int(self._line(), 16))
        return self._take(1)

    def leave(self, key: int) -> None:
        self._socket.close()

    def close(self) -> None:
        self._socket.close()

    def _head(self, key: int) -> Reply:
        reply = Reply()
        while True:
            status = int(self._line().split(b" ")[1])
            headers = []
            while line := self._line():
                name, _, value = line.decode("latin-1").partition(":")
                headers.append((name.lower(), value.strip()))
            if status >= 200:
                reply.status, reply.headers = status, headers
                return reply
            reply.interim.append((status, headers))

    def _line(self) -> bytes:
        while b"\r\n" not in self._buffer:
            if not self._more():
                raise Closed
        line, _, self._buffer = self._buffer.partition(b"\r\n")
        return line

    def _take(self, size: int) -> bytes:
        while len(self._buffer) < size:
            if not self._more():
                raise Closed
        taken, self._buffer = self._buffer[:size], self._buffer[size:]
        return taken

    def _more(self) -> bool:
        try:
            data = self._socket.recv(65_536)
        except ConnectionResetError:
            data = b""
        self._buffer += data
        return bool(data)


class Multiplexed:
    """HTTP/2, in clear text, without asking."""

    def __init__(self, port: int, timeout: float) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=timeout)
        config = h2.config.H2Configuration(
            client_side=True, validate_outbound_headers=False, normalize_outbound_headers=False
        )
        self._h2 = h2.connection.H2Connection(config)
        self._h2.local_settings = h2.settings.Settings(
            client=True, initial_values={h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: _ALL_AT_ONCE}
        )
        self._h2.initiate_connection()
        self._h2.increment_flow_control_window(_ALL_AT_ONCE)
        self._replies: dict[int, Reply] = {}
        self._ended: set[int] = set()
        self._open = True
        self._flush()

    def send(self, *requests: Request) -> list[int]:
        keys = []
        for request in requests:
            key = self._h2.get_next_available_stream_id()
            headers = [
                (b":method", request.method.encode()),
                (b":scheme", b"http"),
                (b":authority", b"localhost"),
                (b":path", request.target),
                *request.raw_headers(),
            ]
            if request.body is not None:
                headers.append((b"content-length", b"%d" % len(request.body)))
            self._h2.send_headers(key, headers, end_stream=request.body is None)
            self._replies[key] = Reply()
            keys.append(key)
            if request.body is not None:
                self._send_body(key, request.body)
        self._flush()
        return keys

    def _send_body(self, key: int, body: bytes) -> None:
        while body:
            size = min(self._h2.local_flow_control_window(key), self._h2.max_outbound_frame_size, len(body))
            if size:
                self._h2.send_data(key, body[:size], end_stream=size == len(body))
                body = body[size:]
            else:
                self._flush()
                self._more()
        self._flush()

    def read(self, key: int) -> Reply:
        while key not in self._ended:
            self._more()
        return self._replies[key]

    def read_first_bytes(self, key: int) -> bytes:
        while not self._replies[key].body:
            self._more()
        return self._replies[key].body

    def leave(self, key: int) -> None:
        self._h2.reset_stream(key, error_code=8)  # CANCEL
        self._flush()

    def close(self) -> None:
        self._socket.close()

    def _flush(self) -> None:
        self._socket.sendall(self._h2.data_to_send())

    def _more(self) -> None:
        try:
            data = self._socket.recv(65_536)
        except ConnectionResetError:
            data = b""
        if not data:
            raise Closed
        for event in self._h2.receive_data(data):
            self._note(event)
        self._flush()

    def _note(self, event: h2.events.Event) -> None:
        key = getattr(event, "stream_id", None)
        reply = self._replies.get(key) if key else None
        if reply is None:
            return
        match event:
            case h2.events.InformationalResponseReceived():
                reply.interim.append(_split(event.headers))
            case h2.events.ResponseReceived():
                reply.status, reply.headers = _split(event.headers)
            case h2.events.DataReceived():
                reply.body += event.data
                self._h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            case h2.events.TrailersReceived():
                reply.trailers = _split(event.headers)[1]
            case h2.events.StreamEnded():
                self._ended.add(event.stream_id)
            case h2.events.StreamReset():
                raise Closed


def _split(headers: Sequence[tuple[bytes, bytes]]) -> tuple[int, list[tuple[str, str]]]:
    pairs = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in headers]
    status = next((int(value) for name, value in pairs if name == ":status"), 0)
    return status, [pair for pair in pairs if not pair[0].startswith(":")]


@contextmanager
def connected(port: int, *, multiplexed: bool, timeout: float = TIMEOUT) -> Iterator[Plain | Multiplexed]:
    """Hold one connection; `timeout` is for each wait, in seconds."""
    connection = Multiplexed(port, timeout) if multiplexed else Plain(port, timeout)
    try:
        yield connection
    finally:
        connection.close()
