"""Compressed streams on every server, read by two clients: each event is there when it was sent."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack

import aiohttp
import anyio
import httpx
import pytest
from compressed_streams import EVENTS
from matrix.variants import ALL, VARIANTS, Variant
from patience import TRIES
from processes import Server

pytestmark = pytest.mark.anyio

Client = Callable[[str, str], AsyncIterator[bytes]]
# The parts of a server change nothing about when bytes leave; its event loop could.
LIKE = ("uvicorn-httptools", "hypercorn", "granian", "daphne", "gunicorn")
SERVERS = [
    variant
    for variant in VARIANTS
    if not variant.http2 and variant.name.startswith(LIKE) and (ALL or variant.everywhere)
]
LATE = 0.1


@pytest.fixture(scope="module")
def serve(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[Variant], Server]]:
    """Give the server of a variant, which runs until the module's tests are done."""
    running: dict[str, Server] = {}
    with ExitStack() as exits:

        def start(variant: Variant) -> Server:
            if variant.name not in running:
                log = tmp_path_factory.mktemp(variant.name) / "server.log"
                running[variant.name] = exits.enter_context(variant.running(log, target="compressed_streams:app"))
            return running[variant.name]

        yield start


@pytest.fixture
def anyio_backend() -> str:
    """The clients run on asyncio alone."""
    return "asyncio"


async def by_httpx(url: str, coding: str) -> AsyncIterator[bytes]:
    async with (
        httpx.AsyncClient(trust_env=False, timeout=10) as client,
        client.stream("GET", url, headers={"accept-encoding": coding}) as response,
    ):
        assert response.headers["content-encoding"] == coding
        async for chunk in response.aiter_bytes():
            yield chunk


async def by_aiohttp(url: str, coding: str) -> AsyncIterator[bytes]:
    async with (
        aiohttp.ClientSession() as session,
        session.get(url, headers={"accept-encoding": coding}) as response,
    ):
        assert response.headers["content-encoding"] == coding
        async for chunk in response.content.iter_any():
            yield chunk


@pytest.mark.parametrize("path", ["/events", "/lines", "/page"])
@pytest.mark.parametrize("variant", SERVERS, ids=lambda variant: variant.name)
async def test_each_event_arrives_when_it_is_sent(
    variant: Variant, path: str, serve: Callable[[Variant], Server]
) -> None:
    """Within 100 ms each event of a stream can be read at the other end, in every coding [M4, M5]."""
    url = serve(variant).url + path
    latest: dict[tuple[str, str], float] = {}

    async def read(client: Client, coding: str) -> None:
        found, rest = [], b""
        async for chunk in client(url, coding):
            arrived = time.monotonic_ns()
            *events, rest = (rest + chunk).split(b"\n\n")
            found += [(arrived - int(event.removeprefix(b"data: "))) / 1e9 for event in events]
        assert rest == b""
        assert len(found) == EVENTS
        reader = (client.__name__, coding)
        latest[reader] = min(max(found), latest.get(reader, 60))

    for _ in range(TRIES):  # the first one warms the server up
        async with anyio.create_task_group() as tasks:
            for client in (by_httpx, by_aiohttp):
                for coding in ("gzip", "br", "zstd"):
                    tasks.start_soon(read, client, coding)
        late = {reader: seconds for reader, seconds in latest.items() if seconds >= LATE}
        if not late:
            break
    assert late == {}
