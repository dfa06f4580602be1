"""Who uploads 32 MB where it is refused sees the answer: every client, every server, declared and in chunks [B10].

A cell is as many uploads as ``ASGI_MIDDLEWARE_CLIENTS`` says; of 60 one may go wrong.
"""

from __future__ import annotations

import asyncio
import http.client
import io
import json
import os
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import httpx
import pytest
import requests
from matrix.variants import VARIANTS
from processes import HOST, Server

HERE = Path(__file__).parent
PAGE = HERE.parents[1] / "docs" / "limits.md"
SIZE = 32_000_000
TRIES = int(os.environ["ASGI_MIDDLEWARE_CLIENTS"])
PIECE = b"x" * 65_536
BODY = b"x" * SIZE

SERVERS = {
    "uvicorn, h11": "uvicorn-h11-asyncio-websockets",
    "uvicorn, httptools": "uvicorn-httptools-asyncio-wsproto",
    "hypercorn": "hypercorn-asyncio",
    "granian": "granian-asyncio",
    "gunicorn": "gunicorn-asyncio",
    "daphne": "daphne",
}

Answer = int | str


def pieces() -> Iterator[bytes]:
    for _ in range(SIZE // len(PIECE)):
        yield PIECE


async def pieces_in_turn() -> AsyncIterator[bytes]:
    for piece in pieces():
        yield piece


def with_http_client(server: Server, path: str, *, chunked: bool) -> Iterator[Answer]:
    while True:
        connection = http.client.HTTPConnection(HOST, server.port, timeout=20)
        try:
            connection.request("POST", path, body=pieces() if chunked else BODY, encode_chunked=chunked)
            response = connection.getresponse()
            response.read()
            yield response.status
        except OSError as error:
            yield repr(error)
        finally:
            connection.close()


def with_requests(server: Server, path: str, *, chunked: bool) -> Iterator[Answer]:
    with requests.Session() as session:
        session.trust_env = False
        while True:
            try:
                yield session.post(server.url + path, data=pieces() if chunked else BODY, timeout=20).status_code
            except requests.RequestException as error:
                yield repr(error)


def with_httpx(server: Server, path: str, *, chunked: bool) -> Iterator[Answer]:
    with httpx.Client(timeout=20, trust_env=False) as client:
        while True:
            try:
                yield client.post(server.url + path, content=pieces() if chunked else BODY).status_code
            except httpx.HTTPError as error:
                yield repr(error)


def with_aiohttp(server: Server, path: str, *, chunked: bool) -> Iterator[Answer]:
    async def upload() -> Answer:
        timeout = aiohttp.ClientTimeout(total=20)
        try:
            async with aiohttp.ClientSession(timeout=timeout) as session:
                body = pieces_in_turn() if chunked else io.BytesIO(BODY)  # which declares its length
                async with session.post(server.url + path, data=body) as response:
                    await response.read()
                    return response.status
        except (aiohttp.ClientError, TimeoutError) as error:
            return repr(error)

    while True:
        yield asyncio.run(upload())


def with_curl(server: Server, path: str, *, chunked: bool) -> Iterator[Answer]:
    headers = ("-H", "Transfer-Encoding: chunked") if chunked else ()
    command = ["curl", "-sS", "-o", os.devnull, "-w", "%{http_code}", "--max-time", "20", *headers]
    while True:
        told = subprocess.run(
            [*command, "--noproxy", "*", "--data-binary", "@-", server.url + path],
            input=BODY,
            capture_output=True,
            timeout=30,
            check=False,
        )
        status = told.stdout.decode()
        yield int(status) if not told.returncode else f"{status} {told.stderr.decode()}"


def with_fetch(server: Server, path: str, *, chunked: bool) -> Iterator[Answer]:
    framing = "chunked" if chunked else "declared"
    command = ["node", str(HERE / "upload.mjs"), server.url + path, str(SIZE), str(TRIES), framing]
    while True:
        told = subprocess.run(command, capture_output=True, timeout=25 * TRIES, check=True)
        yield from json.loads(told.stdout)


CLIENTS: dict[str, Callable[..., Iterator[Answer]]] = {
    "http.client": with_http_client,
    "requests": with_requests,
    "httpx": with_httpx,
    "aiohttp": with_aiohttp,
    "curl": with_curl,
    "node fetch": with_fetch,
}


@pytest.fixture(scope="module", params=SERVERS, ids=lambda name: name.replace(", ", "-"))
def server_name(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture(scope="module")
def server(server_name: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    (variant,) = (variant for variant in VARIANTS if variant.name == SERVERS[server_name])
    folder = tmp_path_factory.mktemp(variant.name)
    with variant.running(folder / "server.log", target="limits.uploads:app") as running:
        yield running


@pytest.mark.timeout(60 + 20 * TRIES)
@pytest.mark.parametrize("chunked", [False, True], ids=["declared", "chunked"])
@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("status", [413, 401])
def test_cell(server: Server, status: int, client: str, chunked: bool) -> None:
    """The client sees the 413 of the body limit, and the 401 of a class that looks at no body at all."""
    path, tries = ("/", TRIES) if status == 413 else ("/private", TRIES // 2)
    uploads = CLIENTS[client](server, path, chunked=chunked)
    answers: list[Any] = [next(uploads) for _ in range(tries)]
    if answers.count(status) == tries - 1:
        answers += [next(uploads) for _ in range(60 - tries)]  # one of them may go wrong, so there are to be as many
    uploads.close()  # type: ignore[attr-defined]
    assert answers.count(status) >= len(answers) - len(answers) // 60, answers


def test_the_page() -> None:
    """The documentation's table has exactly the servers and clients that are tried, and promises all of them."""
    page = PAGE.read_text(encoding="utf-8")
    head = f"| client | {' | '.join(SERVERS)} |"
    rows = [f"| {client} |{' yes |' * len(SERVERS)}" for client in CLIENTS]
    assert "\n".join([head, "|---" * (len(SERVERS) + 1) + "|", *rows, ""]) in page
