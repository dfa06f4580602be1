"""Several worker processes of real servers: killed and recycled, while a scraper looks on."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from processes import Server, running
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics

# httpx does not close a socket whose connection is reset in the middle of connecting.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

WORKERS = 4
RECYCLED = int(os.environ.get("ASGI_MIDDLEWARE_RECYCLED_WORKERS", "40"))
"""gunicorn starts some five workers a second; 200 of them take a minute. tests/metrics recycles as many in seconds."""
LAG_SECONDS = 1.2
"""After so long, every worker has written what it holds."""


class Scraper(threading.Thread):
    """Scrapes all the time, and notes every series that went backwards."""

    def __init__(self, server: Server) -> None:
        super().__init__(daemon=True)
        self.server = server
        self.ended = threading.Event()
        self.last: dict[str, float] = {}
        self.backwards: list[tuple[str, float, float]] = []
        self.failures: list[str] = []
        self.scrapes = 0

    def run(self) -> None:
        while not self.ended.wait(0.1):
            try:
                self.scrape()
            except httpx.TransportError:
                pass  # a worker that was killed while it answered
            except (AssertionError, ValueError) as error:
                self.failures.append(repr(error))

    def scrape(self) -> dict[str, float]:
        headers = {"accept": "application/openmetrics-text", "connection": "close"}
        response = httpx.get(f"{self.server.url}/metrics", headers=headers, timeout=20, trust_env=False)
        assert response.status_code == 200
        now = {}
        for family in parse_openmetrics(response.text):
            for sample in family.samples:
                series = f"{sample.name} {sorted(sample.labels.items())}"
                now[series] = sample.value
                if family.type != "gauge" and sample.value < self.last.get(series, 0):
                    self.backwards.append((series, self.last[series], sample.value))
        gone = [series for series in self.last.keys() - now.keys() if "_active_" not in series]
        self.backwards += [(series, self.last[series], 0) for series in gone]
        self.last = now
        self.scrapes += 1
        return now

    def requests(self) -> float:
        """Give how many requests all workers have counted."""
        counts = self.scrape().items()
        return sum(value for series, value in counts if series.startswith("http_server_request_duration_seconds_count"))

    def unreadable(self) -> float:
        return self.scrape()["asgi_middleware_metrics_unreadable_files []"]


@contextmanager
def serving(command: list[str], directory: Path) -> Iterator[tuple[Server, Scraper]]:
    """Run a server whose workers write to the directory, with a scraper beside it."""
    files = directory / "files"
    files.mkdir()
    (files / "counter_4000001.db").touch()
    (files / "histogram_4000002.db").write_bytes(b"\x40\x10\x00\x00" + b"\x00" * 100)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PROMETHEUS_MULTIPROC_DIR", str(files))
        with running(command, directory / "server.log", stop=signal.SIGTERM) as server:
            scraper = Scraper(server)
            scraper.start()
            try:
                yield server, scraper
            finally:
                scraper.ended.set()
                scraper.join(20)


def ask(server: Server) -> int:
    """Ask on a connection of its own; give the worker that answered."""
    deadline = time.monotonic() + 10
    while True:
        try:
            return int(httpx.get(f"{server.url}/pid", timeout=10, trust_env=False).text)
        except httpx.TransportError:  # a worker that ends refuses what it has not begun
            assert time.monotonic() < deadline


def ask_until(server: Server, enough: Callable[[set[int]], bool]) -> tuple[int, set[int]]:
    """Ask, several at a time, until the workers seen are enough; give how often, and the workers."""
    workers: set[int] = set()
    asked = 0
    deadline = time.monotonic() + max(40, RECYCLED)
    with ThreadPoolExecutor(WORKERS) as threads:
        while not enough(workers):
            assert time.monotonic() < deadline, workers
            workers.update(threads.map(ask, [server] * 8))
            asked += 8
    return asked, workers


def check(scraper: Scraper, directory: Path, asked: set[int]) -> None:
    """See that the sums are right, that nothing ever went backwards, and that few files are left."""
    deadline = time.monotonic() + 10
    while scraper.requests() not in asked and time.monotonic() < deadline:
        time.sleep(0.1)
    scraper.ended.set()
    scraper.join(20)
    assert scraper.requests() in asked
    assert scraper.unreadable() == 2
    assert (scraper.backwards, scraper.failures) == ([], [])
    assert scraper.scrapes > 10
    names = sorted(file.name for file in (directory / "files").iterdir())
    # Three kinds of files for each worker that lives or has just ended, three of the dead, two bad ones, the lock.
    assert len(names) <= 3 * (2 * WORKERS + 1) + 3, names


@pytest.mark.timeout(90)
def test_uvicorn(tmp_path: Path) -> None:
    """One of four workers is killed, then all are replaced: nothing is lost, nothing goes backwards [T35, T36]."""
    command = [sys.executable, "-m", "uvicorn", "workers.service:app", "--fd", "{fd}", "--workers", str(WORKERS)]
    with serving([*command, "--log-level", "warning"], tmp_path) as (server, scraper):
        asked, workers = ask_until(server, lambda seen: len(seen) == WORKERS)
        time.sleep(LAG_SECONDS)
        os.kill(min(workers), signal.SIGKILL)
        more, now = ask_until(server, lambda seen: len(seen - workers) == 1)
        assert min(workers) not in now
        asked += more
        check(scraper, tmp_path, {asked})
        assert (tmp_path / "files" / "histogram_dead.db").exists()


@pytest.mark.timeout(60 + max(40, RECYCLED))
def test_gunicorn(tmp_path: Path) -> None:
    """One of four workers is killed, and dozens are recycled: as above [T35, T36]."""
    command = [sys.executable, "-m", "gunicorn", "workers.service:app", "-k", "asgi", "--bind", "fd://{fd}"]
    command += ["--preload", "--workers", str(WORKERS), "--max-requests", "1", "--log-level", "error"]
    with serving(command, tmp_path) as (server, scraper):
        asked, _ = ask_until(server, lambda seen: len(seen) >= RECYCLED)
        time.sleep(LAG_SECONDS)
        os.kill(ask(server), signal.SIGKILL)  # it has answered, and is about to write that and to end
        more, _ = ask_until(server, lambda seen: len(seen) >= WORKERS)
        check(scraper, tmp_path, {asked + more, asked + more + 1})
