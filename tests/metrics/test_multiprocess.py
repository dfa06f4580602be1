"""Several worker processes, one scrape: sums over all of them, and bad files that spoil nothing."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics

import asgi_middleware
from asgi_middleware.metrics import MetricsEndpoint
from asgi_middleware.testing.driver import http

pytestmark = pytest.mark.anyio

REQUESTS = 'http_server_request_duration_seconds_count{error_type="",http_request_method="GET"'
ACTIVE = 'http_server_active_requests{http_request_method="GET",url_scheme="http"}'

# Serves as many requests as it is told, then stands still in the last one, as a worker does at the moment of a scrape.
WORKER = """
import sys
import anyio
from asgi_middleware.metrics import PrometheusMiddleware
from asgi_middleware.metrics.flushing import flush
from asgi_middleware.testing.driver import http, websocket


async def app(scope, receive, send):
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.close", "code": 1000})
        return
    await send({"type": "http.response.start", "status": 200, "headers": []})
    if scope["path"] == "/last":
        flush()  # what a second of waiting would do
        print("ready", flush=True)
        sys.stdin.read()
    await send({"type": "http.response.body", "body": b"x", "more_body": False})


async def main():
    wrapped = PrometheusMiddleware(app, body_sizes=True)
    for _ in range(int(sys.argv[1])):
        await http(wrapped)
    await websocket(wrapped)
    await http(wrapped, "GET", "/last")


anyio.run(main)
"""


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give an empty directory for the processes' files; its name has characters that mean something to a glob."""
    made = tmp_path / "files [1]"
    made.mkdir()
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(made))
    return made


@pytest.fixture
def work(directory: Path) -> Callable[[int], subprocess.Popen[str]]:
    """Start a worker that serves some requests and then stands still."""

    def start(requests: int) -> subprocess.Popen[str]:
        environment = {**os.environ, "PYTHONPATH": str(Path(asgi_middleware.__file__).parents[1])}
        process = subprocess.Popen(
            [sys.executable, "-c", WORKER, str(requests)],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        return process

    return start


async def scrape(query: bytes = b"") -> dict[str, float]:
    """Give what an endpoint without any registry of its own says, by the line's beginning."""
    result = await http(MetricsEndpoint(), query_string=query)
    assert result.status == 200
    strict = await http(MetricsEndpoint(), headers=[(b"accept", b"application/openmetrics-text")])
    assert list(parse_openmetrics(strict.body.decode()))
    lines = [line for line in result.body.decode().splitlines() if not line.startswith("#")]
    return {line.rsplit(" ", 1)[0]: float(line.rsplit(" ", 1)[1]) for line in lines}


def requests_of(lines: dict[str, float]) -> float:
    """Count the requests of a scrape."""
    return sum(value for line, value in lines.items() if line.startswith(REQUESTS))


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_workers_are_summed(work: Any) -> None:
    """Counts of all workers are summed, of those that were killed too; no series names a process [T35]."""
    first, second = work(3), work(4)
    try:
        lines = await scrape()
        assert requests_of(lines) == 7
        assert lines[ACTIVE] == 2
        assert not [line for line in lines if "pid=" in line]
        assert (
            lines['websocket_server_handshakes_total{http_response_status_code="101",http_route="",outcome="accepted"}']
            == 2
        )
        first.kill()
        first.wait()
        assert requests_of(await scrape()) == 7
    finally:
        for process in (first, second):
            process.communicate("go on\n", timeout=30)
    assert requests_of(await scrape()) == 8


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_some_series_only(work: Any) -> None:
    """``name[]`` filters what the files hold [T33]."""
    work(2).communicate("go on\n", timeout=30)
    lines = await scrape(b"name[]=http_server_request_duration_seconds_count")
    assert {line.split("{")[0] for line in lines} == {"http_server_request_duration_seconds_count"}
    assert requests_of(lines) == 3


def spoil(directory: Path) -> None:
    """Add files as dying workers and full disks leave them."""
    histogram = next(directory.glob("histogram_*.db")).read_bytes()
    (directory / "counter_1.db").touch()
    (directory / "histogram_2.db").write_bytes(histogram[:300])
    (directory / "gauge_livesum_3.db").write_bytes(b"\x7f" * 1000)
    (directory / "counter_4.db").write_bytes(
        b"\x40\x00\x00\x00\x00\x00\x00\x00\x08\x00\x00\x00not json" + b"\x00" * 100
    )
    (directory / "unrelated.txt").write_text("not a file of theirs")


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_bad_files(work: Any, directory: Path) -> None:
    """Empty, cut and nonsensical files are left out and counted; the others are given [T37]."""
    work(2).communicate("go on\n", timeout=30)
    good = await scrape()
    assert good["asgi_middleware_metrics_unreadable_files"] == 0
    spoil(directory)
    assert await scrape() == {**good, "asgi_middleware_metrics_unreadable_files": 4}


async def test_an_empty_directory(directory: Path) -> None:
    """Before the first worker there is nothing to see, and no error."""
    assert await scrape() == {"asgi_middleware_metrics_unreadable_files": 0}
