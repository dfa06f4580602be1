"""Encoded answers in the hands of curl, node and the codings' own tools: whole, and event by event."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from patience import least

SERVERS = Path(__file__).parents[1] / "servers"
CURL = ["curl", "-s", "--noproxy", "*"]
EVENTS = 4
LATE = 0.1
WHOLE = json.dumps([{"id": number, "name": f"item {number}"} for number in range(10_000)]).encode()
# What node 20 can decode; its fetch gives each chunk as it comes.
READ_BY_NODE = """
const [url, coding] = process.argv.slice(1);
const answer = await fetch(url, {headers: {"accept-encoding": coding}});
if (answer.headers.get("content-encoding") !== coding) throw new Error("not encoded");
for await (const chunk of answer.body) process.stdout.write(chunk);
"""


@pytest.fixture(scope="module", params=["app", "heavy"])
def url(request: pytest.FixtureRequest) -> Iterator[str]:
    """The address of a server of streams, with the default options and with the widest windows and padding."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(32)
        command = [
            sys.executable,
            str(SERVERS / "serve.py"),
            str(listener.fileno()),
            f"compressed_streams:{request.param}",
        ]
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, pass_fds=(listener.fileno(),), cwd=SERVERS)
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            process.terminate()
            process.wait(20)


def node() -> str:
    found = shutil.which("node")
    assert found, "node is missing: bash .ci/install-tools nodejs"
    return found


# The highest level of zstd takes half a second for the first bytes of a stream.
@pytest.mark.parametrize("url", ["app"], indirect=True)
@pytest.mark.parametrize("coding", ["gzip", "br", "zstd"])
@pytest.mark.parametrize("path", ["/events", "/page"])
def test_curl_reads_each_event_when_it_is_sent(path: str, coding: str, url: str) -> None:
    """``curl --compressed`` prints each event within 100 ms, in every coding [M4, M5]."""
    command = [*CURL, "-N", "--compressed", "-H", f"Accept-Encoding: {coding}", url + path]
    assert least(lambda: latest(command), LATE) < LATE


@pytest.mark.parametrize("coding", ["gzip", "br"])
@pytest.mark.parametrize("path", ["/events", "/page"])
def test_node_reads_each_event_when_it_is_sent(path: str, coding: str, url: str) -> None:
    """The fetch of node gives each event within 100 ms, in the codings it knows [M4, M5]."""
    command = [node(), "--input-type=module", "-e", READ_BY_NODE, "--", url + path, coding]
    assert least(lambda: latest(command), LATE) < LATE


@pytest.mark.parametrize("coding", ["gzip", "br", "zstd"])
def test_curl_decodes_a_whole_body(coding: str, url: str) -> None:
    """What curl decodes is what the app sent [B1]."""
    command = [*CURL, "--compressed", "-H", f"Accept-Encoding: {coding}", f"{url}/whole"]
    assert subprocess.run(command, capture_output=True, timeout=30, check=True).stdout == WHOLE


@pytest.mark.parametrize("coding", ["gzip", "br"])
def test_node_decodes_a_whole_body(coding: str, url: str) -> None:
    """What node decodes is what the app sent [B1]."""
    command = [node(), "--input-type=module", "-e", READ_BY_NODE, "--", f"{url}/whole", coding]
    assert subprocess.run(command, capture_output=True, timeout=30, check=True).stdout == WHOLE


@pytest.mark.parametrize("path", ["/whole", "/events", "/page"])
@pytest.mark.parametrize(
    ("coding", "decoder"),
    [("gzip", ["gzip", "-dc"]), ("br", ["brotli", "-dc"]), ("zstd", ["zstd", "-dcq", "--memory=8MB"])],
    ids=["gzip", "br", "zstd"],
)
def test_the_codings_own_tools_decode(path: str, coding: str, decoder: list[str], url: str) -> None:
    """gzip, brotli and zstd, the last with 8 MB of window, decode what comes over the wire [C1, C3]."""
    command = [*CURL, "-H", f"Accept-Encoding: {coding}", url + path]
    coded = subprocess.run(command, capture_output=True, timeout=30, check=True).stdout
    plain = subprocess.run(decoder, input=coded, capture_output=True, timeout=30, check=True).stdout
    assert plain == WHOLE if path == "/whole" else plain.count(b"data: ") == EVENTS


def latest(command: list[str]) -> float:
    """Give the seconds by which the latest event came after it was sent."""
    with subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, bufsize=0) as process:
        assert process.stdout is not None
        delays = [(time.monotonic_ns() - int(line[6:])) / 1e9 for line in process.stdout if line.startswith(b"data: ")]
    assert process.returncode == 0
    assert len(delays) == EVENTS
    return max(delays)
