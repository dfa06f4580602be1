"""Who may scrape, how many at a time, and for how long they wait."""

import gzip
import threading
from collections.abc import Iterator
from typing import Any

import anyio
import pytest
from prometheus_client import CollectorRegistry, Counter, Metric

from asgi_middleware import CompressionMiddleware, ConfigurationError
from asgi_middleware.metrics import MetricsEndpoint
from asgi_middleware.metrics.exposition import TEXT
from asgi_middleware.metrics.pauses import pause
from asgi_middleware.metrics.scraping import Scraping, Wanted, stand_aside
from asgi_middleware.testing.driver import http

pytestmark = pytest.mark.anyio


class Gate:
    """A collector that waits until it is opened, or for a second."""

    def __init__(self) -> None:
        self.opened = threading.Event()
        self.begun = 0

    def collect(self) -> Iterator[Metric]:
        self.begun += 1
        self.opened.wait(1)
        return iter(())


@pytest.fixture
def gate() -> Gate:
    return Gate()


@pytest.fixture
def registry(gate: Gate) -> CollectorRegistry:
    """Give a registry whose collector waits."""
    made = CollectorRegistry()
    made.register(gate)
    return made


@pytest.mark.parametrize(
    ("client", "status"),
    [
        (["10.1.2.3", 5], 200),
        (["10.2.2.3", 5], 403),
        (["::ffff:10.1.2.3", 5], 200),
        (["::1", 5], 200),
        (["fe80::1%eth0", 5], 403),
        (None, 403),
        (["", 0], 403),
        (["a.host.name", 5], 403),
        ([], 403),
    ],
)
async def test_networks(client: Any, status: int) -> None:
    """Only peers in these networks may scrape; a peer without an address is in none [T34]."""
    endpoint = MetricsEndpoint(registry=CollectorRegistry(), networks=["10.1.0.0/16", "::1"])
    assert (await http(endpoint, client=client)).status == status


@pytest.mark.parametrize(
    ("options", "client", "status"),
    [
        ({"networks": ["10.0.0.0/8"], "authorize": "t"}, "10.0.0.1", 401),
        ({"networks": ["10.0.0.0/8"], "authorize": "t"}, "11.0.0.1", 403),
        ({"networks": ["10.0.0.0/8"], "authorize": lambda scope: True}, "10.0.0.1", 200),
        ({"networks": ["10.0.0.0/8"], "authorize": lambda scope: False}, "10.0.0.1", 403),
        ({"networks": ["10.0.0.0/8"], "hide": True}, "11.0.0.1", 404),
        ({"authorize": "t", "hide": True}, "10.0.0.1", 404),
        ({"authorize": lambda scope: False, "hide": True}, "10.0.0.1", 404),
        ({"networks": []}, "10.0.0.1", 403),
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_both_and_hidden(options: Any, client: str, status: int, method: str) -> None:
    """Network and authorize must both let a scraper in; with `hide` a refusal is a plain 404 [T34]."""
    result = await http(MetricsEndpoint(registry=CollectorRegistry(), **options), method, client=[client, 5])
    assert result.status == (405 if status == 200 and method == "POST" else status)
    if status == 404:
        assert result.header(b"www-authenticate") is None


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"networks": ["10.0.0.1/8"]}, "invalid_network"),
        ({"networks": "10.0.0.0/8"}, "string_for_list"),
        ({"hide": 1}, "not_a_bool"),
        ({"max_scrapes": 0}, "out_of_range"),
        ({"timeout": 0}, "invalid_option"),
        ({"timeout": -1}, "out_of_range"),
    ],
)
def test_wrong_options(options: Any, code: str) -> None:
    """A wrong option is named, with its fix."""
    with pytest.raises(ConfigurationError) as raised:
        MetricsEndpoint(registry=CollectorRegistry(), **options)
    assert [(problem.option, problem.code) for problem in raised.value.problems] == [(*options, code)]


async def test_too_slow(gate: Gate, registry: CollectorRegistry) -> None:
    """A scrape that takes too long is told so, and what comes after it is served [T34]."""
    endpoint = MetricsEndpoint(registry=registry, timeout=0.05)
    result = await http(endpoint)
    assert (result.status, result.header(b"retry-after")) == (503, b"5")
    assert result.json()["reason"] == "scrape_timeout"
    gate.opened.set()
    with anyio.fail_after(5):
        while (await http(endpoint)).status != 200:  # on a busy machine one of them may take too long as well
            pass


async def test_too_many(gate: Gate, registry: CollectorRegistry) -> None:
    """Beyond the cap scrapers are sent away at once; those who wait share a rendering."""
    endpoint = MetricsEndpoint(registry=registry, max_scrapes=3)
    statuses: list[int | None] = []

    async def scrape() -> None:
        statuses.append((await http(endpoint)).status)

    async with anyio.create_task_group() as tasks:
        for _ in range(3):
            tasks.start_soon(scrape)
        with anyio.fail_after(5):
            while gate.begun == 0:  # noqa: ASYNC110 -- it begins in a thread
                await anyio.sleep(0.001)
        result = await http(endpoint)
        assert (result.status, result.json()["reason"]) == (503, "too_many_scrapes")
        gate.opened.set()
    assert statuses == [200] * 3
    assert gate.begun <= 2
    assert (await http(endpoint)).status == 200


async def test_whoever_left_is_not_counted(gate: Gate, registry: CollectorRegistry) -> None:
    """A scraper that was cancelled leaves its place to others."""
    endpoint = MetricsEndpoint(registry=registry, max_scrapes=1)
    with anyio.move_on_after(0.02):
        await http(endpoint)
    gate.opened.set()
    assert (await http(endpoint)).status == 200


async def test_what_is_kept_is_bounded() -> None:
    """Scrapes of a few families each, by names of the client's choosing, leave no more than a few results behind."""
    registry = CollectorRegistry()
    Counter("things", "Things.", registry=registry)
    scraping = Scraping(registry, 5, 10.0)
    for number in range(20):
        assert await scraping.scrape(Wanted(TEXT, frozenset({f"n{number}"}), compress=False)) == b""
    assert len(scraping._kept) <= 4


async def test_what_was_asked_for_last_is_kept() -> None:
    """Of the results, those go that nobody has asked for since."""
    scraping = Scraping(CollectorRegistry(), 5, 10.0)
    wanted = [Wanted(TEXT, frozenset({f"n{number}"}), compress=False) for number in range(5)]
    for each in (*wanted[:4], wanted[0], wanted[4]):
        await scraping.scrape(each)
    assert list(scraping._kept) == [wanted[2], wanted[3], wanted[0], wanted[4]]


async def test_collecting_stands_aside() -> None:
    """While a scrape is collected the event loop gets its turn again and again; other collecting is not held up."""
    pauses: list[object] = []

    class Collector:
        def collect(self) -> Iterator[Metric]:
            pauses.append(pause.get())
            return iter(())

    registry = CollectorRegistry()
    registry.register(Collector())
    pauses.clear()
    await http(MetricsEndpoint(registry=registry))
    list(registry.collect())
    assert pauses == [stand_aside, int]


async def test_compressed_once() -> None:
    """A compression class around it finds the work done [T34]."""
    registry = CollectorRegistry()
    Counter("things", "Things. " * 1000, registry=registry)
    app = CompressionMiddleware(MetricsEndpoint(registry=registry))
    result = await http(app, headers=[(b"accept-encoding", b"gzip")])
    assert result.header_all(b"content-encoding") == [b"gzip"]
    assert b"things_total 0.0" in gzip.decompress(result.body)
    assert (result.header(b"vary") or b"").lower().count(b"accept-encoding") == 1
