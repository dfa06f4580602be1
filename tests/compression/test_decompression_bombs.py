"""Bombs: what a request of a few bytes may cost in memory and on the event loop, measured [D2, D3, D4]."""

import json
import subprocess
import sys
import zlib

import brotli
import pytest
from request_codings import FORMS, zeros

MIB = 1 << 20
CAP = 10 * MIB
BOMB = 200 * MIB
LARGE = 20 * MIB
EMPTY_BLOCK = b"\x00\x00\x00\xff\xff"  # a stored block without data (RFC 1951 3.2.4)

# Runs in a process of its own, and each bomb in a child of it, so that no memory of another is counted. What one turn
# of the event loop takes is measured as processor time of its thread, which no neighbour on the machine disturbs.
PROGRAM = """
import asyncio, json, os, resource, sys, threading, time
import anyio, brotli
from asgi_middleware import DecompressionMiddleware
from asgi_middleware.testing.driver import http_scope

MOST_A_CHUNK = 16384


def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize()


async def request(coding, chunks, buffer):
    seen = {"status": None, "read": 0}
    script = [{"type": "http.request", "body": data, "more_body": data is not chunks[-1]} for data in chunks]

    async def app(scope, receive, send):
        while (message := await receive()).get("more_body"):
            seen["read"] += len(message["body"])

    async def receive():
        return script.pop(0)

    async def send(message):
        seen["status"] = message.get("status", seen["status"])

    scope = http_scope("POST", headers=[(b"content-encoding", coding.encode())])
    await DecompressionMiddleware(app, buffer=buffer)(scope, receive, send)
    return seen


async def measure(name, coding, body, buffer):
    chunks = [body[at : at + MOST_A_CHUNK] for at in range(0, len(body), MOST_A_CHUNK)]
    await request("br", [brotli.compress(bytes(1 << 20))], False)  # starts the threads
    await request(coding, [body[:100]], buffer)  # loads what the coding needs
    start = highest = resident()
    longest = 0.0
    going = True

    def watch():
        nonlocal highest
        while going:
            highest = max(highest, resident())
            time.sleep(0.0005)

    async def tick():
        nonlocal longest
        while going:
            before = time.thread_time()
            await asyncio.sleep(0)
            longest = max(longest, time.thread_time() - before)

    watching = threading.Thread(target=watch)
    watching.start()
    ticking = asyncio.create_task(tick())
    seen = await request(coding, chunks, buffer)
    going = False
    watching.join()
    await ticking
    print(json.dumps({"name": name, **seen, "grown": highest - start, "longest": longest}), flush=True)


for name, coding, buffer, path in json.load(sys.stdin):
    with open(path, "rb") as file:
        body = file.read()
    child = os.fork()
    if child == 0:
        asyncio.run(measure(name, coding, body, buffer == "buffered"))
        os._exit(0)
    os.waitpid(child, 0)
"""


def many_members(size):
    """Encode zeros as many members of gzip, each of 64 KiB."""
    return FORMS["gzip"][1](bytes(65536)) * (size // 65536)


# Name: coding, body, buffered, and what more than the cap and 1 MB it may take.
BOMBS = {
    "br": ("br", lambda: zeros(BOMB, "br"), "streamed", 0),
    "zstd": ("zstd", lambda: zeros(BOMB, "zstd"), "streamed", 0),
    "gzip": ("gzip", lambda: zeros(LARGE, "gzip"), "streamed", 0),
    "gzip of many members": ("gzip", lambda: many_members(LARGE), "streamed", 0),
    "gzip of empty members": ("gzip", lambda: FORMS["gzip"][1](b"") * 100_000, "streamed", 0),
    "gzip in br": ("gzip, br", lambda: brotli.compress(zeros(LARGE, "gzip"), quality=5), "streamed", 0),
    "gzip in gzip": ("gzip, gzip", lambda: zlib.compress(zeros(LARGE, "gzip"), wbits=31), "streamed", 0),
    "br in zstd": ("br, zstd", lambda: FORMS["zstd"][1](zeros(BOMB, "br")), "streamed", 0),
    "empty blocks in br": ("deflate, br", lambda: brotli.compress(EMPTY_BLOCK * (4 * MIB), quality=1), "streamed", 0),
    "gzip, buffered": ("gzip", lambda: zeros(LARGE, "gzip"), "buffered", 0),
    # A decoder's window comes to the body that is kept: 4 MB for what brotli's encoders make, 2 MB for zstd's level 3.
    "br, buffered": ("br", lambda: zeros(BOMB, "br"), "buffered", 4 * MIB),
    "zstd, buffered": ("zstd", lambda: zeros(BOMB, "zstd"), "buffered", 2 * MIB),
}


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """Let every bomb off, and give what was measured by its name."""
    folder = tmp_path_factory.mktemp("bombs")
    given = []
    for number, (name, (coding, make, buffer, _)) in enumerate(BOMBS.items()):
        path = folder / str(number)
        path.write_bytes(make())
        given.append((name, coding, buffer, str(path)))
    command = [sys.executable, "-c", PROGRAM]
    text = json.dumps(given)
    result = subprocess.run(command, input=text, capture_output=True, text=True, timeout=100, check=True)
    return {found["name"]: found for found in map(json.loads, result.stdout.splitlines())}


@pytest.mark.may_skip("memory is read from /proc")
@pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")
@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb(name, measured):
    """A bomb is a 413 whose memory stays under the bound plus 1 MB and which never keeps the event loop for 50 ms."""
    found = measured[name]
    window = BOMBS[name][3]
    assert found["status"] == 413
    assert found["read"] <= CAP
    assert found["grown"] < CAP + window + MIB
    assert found["longest"] < 0.05
