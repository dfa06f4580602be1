"""What the tests of the showcase share: one that runs, and its page's lines done by Python clients."""

import argparse
import contextlib
import json
import re
import shlex
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
from showcases import Showcase
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

PIPE = re.compile(r"head -c (?P<size>\d+) /dev/zero \| (?P<curl>curl .*)")

# What the page's lines use of curl; -i, -s, -N, -o and -D only concern what curl shows.
CURL = argparse.ArgumentParser(prog="curl", allow_abbrev=False)
for flag in ("-i", "-s", "-N", "--http1.1", "--compressed"):
    CURL.add_argument(flag, action="store_true")
for option in ("-o", "-D", "-X", "--data-binary"):
    CURL.add_argument(option)
CURL.add_argument("-H", action="append", default=[])
CURL.add_argument("--max-time", type=float, default=20)
CURL.add_argument("url")


@dataclass
class Answer:
    """What came back."""

    status: int
    headers: httpx.Headers
    body: bytes = b""
    frames: list[str] = field(default_factory=list)

    def json(self) -> Any:
        """Read the body as JSON."""
        return json.loads(self.body)


def run_line(line: str) -> Answer:
    """Do what one ``curl`` line of the page does, with Python clients; an option that is not known here fails."""
    size = 0
    if pipe := PIPE.fullmatch(line):
        size, line = int(pipe["size"]), pipe["curl"]
    options, unknown = CURL.parse_known_args(shlex.split(line)[1:])
    assert not unknown, line
    headers = dict(header.split(": ", 1) for header in options.H)
    if "Upgrade" in headers:
        return handshake(options.url, headers)
    body: Any = options.data_binary and (bytes(size) if options.data_binary == "@-" else options.data_binary.encode())
    if headers.pop("Transfer-Encoding", None) == "chunked":
        body = iter([body[at : at + 65536] for at in range(0, len(body), 65536)])
    headers["Accept-Encoding"] = "gzip, br" if options.compressed else "identity"
    method = options.X or ("GET" if body is None else "POST")
    with httpx.stream(method, options.url, headers=headers, content=body, timeout=20) as response:
        answer = Answer(response.status_code, response.headers)
        end = time.monotonic() + options.max_time
        for chunk in response.iter_bytes():
            answer.body += chunk
            if time.monotonic() > end:
                break
    return answer


def handshake(url: str, headers: dict[str, str]) -> Answer:
    """Open a WebSocket with the line's own headers, and take the first message."""
    own = {name: value for name, value in headers.items() if name == "Authorization"}
    try:
        with connect(url.replace("http", "ws", 1), additional_headers=own, open_timeout=20) as socket:
            assert socket.response is not None
            head = httpx.Headers([*socket.response.headers.raw_items()])
            return Answer(socket.response.status_code, head, frames=[str(socket.recv(10))])
    except InvalidStatus as refused:
        response = refused.response
        return Answer(response.status_code, httpx.Headers([*response.headers.raw_items()]), bytes(response.body or b""))


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reach the loopback address directly, whatever proxy the machine has."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")


@pytest.fixture(name="run_line")
def run_line_fixture() -> Callable[[str], Answer]:
    """Give the function that does a line."""
    return run_line


@pytest.fixture
def start(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Showcase]]:
    """Give a function that starts a showcase; what a test leaves running is ended."""
    started: list[Showcase] = []

    def start_one(*arguments: str) -> Showcase:
        started.append(Showcase(tmp_path_factory.mktemp("showcase"), *arguments))
        return started[-1]

    yield start_one
    for one in started:
        with contextlib.suppress(ProcessLookupError):
            one.process.kill()
        one.process.wait()


@pytest.fixture(scope="session")
def showcase(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Showcase]:
    """Give one showcase for all tests; in the end Ctrl-C stops it cleanly."""
    running = Showcase(tmp_path_factory.mktemp("showcase"), "--port", "0")
    try:
        yield running
        assert running.stop() == 0, running.words()
        assert "Traceback" not in running.words()
    finally:
        running.process.kill()
        running.process.wait()
