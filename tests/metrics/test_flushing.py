"""Several processes: what each writes to its files, when, and what a fork makes of it."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.multiprocess import MultiProcessCollector

import asgi_middleware
from asgi_middleware.metrics import flushing

BEGINNING = """
import os, sys, time
import anyio
from asgi_middleware.metrics import PrometheusMiddleware
from asgi_middleware.metrics import flushing
from asgi_middleware.metrics.flushing import flush
from asgi_middleware.testing.driver import http, lifespan


async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        for name in ("startup", "shutdown"):
            await receive()
            await send({"type": f"lifespan.{name}.complete"})
        return
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"x"})


wrapped = PrometheusMiddleware(app, preset=sys.argv[1], body_sizes=True)


def ask(times):
    async def run():
        for _ in range(times):
            await http(wrapped)
    anyio.run(run)

"""
COUNTS = {"opentelemetry": "http_server_request_duration_seconds", "fastapi-instrumentator": "http_response_size_bytes"}


def run(directory: Path, script: str, *, preset: str = "opentelemetry") -> None:
    """Run a process to its end."""
    environment = {
        **os.environ,
        "PROMETHEUS_MULTIPROC_DIR": str(directory),
        "PYTHONPATH": str(Path(asgi_middleware.__file__).parents[1]),
    }
    command = [sys.executable, "-W", "error", "-c", BEGINNING + script, preset]
    subprocess.run(command, env=environment, check=True, timeout=50)


def values(directory: Path) -> dict[tuple[str, ...], float]:
    """Give what all files hold together, as prometheus_client reads them."""
    registry = CollectorRegistry()
    MultiProcessCollector(registry, path=str(directory))  # type: ignore[no-untyped-call]
    return {
        (
            sample.name,
            *(f"{name}={value}" for name, value in sorted(sample.labels.items()) if name == "le"),
        ): sample.value
        for family in registry.collect()
        for sample in family.samples
    }


@pytest.mark.parametrize("preset", COUNTS)
def test_at_exit(tmp_path: Path, preset: str) -> None:
    """A process that ends has written everything; several add up, in each kind of family."""
    for requests in (3, 4):
        run(tmp_path, f"ask({requests})", preset=preset)
    found = values(tmp_path)
    assert found[f"{COUNTS[preset]}_count",] == 7
    if preset == "fastapi-instrumentator":
        assert found["http_requests_total",] == 7
        assert found["http_response_size_bytes_sum",] == 7
    else:
        assert found["http_server_request_duration_seconds_bucket", "le=+Inf"] == 7
        assert found["http_server_response_body_size_bytes_bucket", "le=256.0"] == 7
    assert not [key for key in found if "pid" in str(key)]


@pytest.mark.parametrize(
    "script",
    [
        "ask(3); flush(); flush(); os._exit(0)",
        "ask(3); anyio.run(lifespan, wrapped); os._exit(0)",
        "flushing.FLUSH_SECONDS = 0.01; ask(3); time.sleep(0.5); os._exit(0)",
        "ask(2); flush(); ask(1); flush(); os._exit(0)",
    ],
    ids=["asked for", "at shut-down", "by the thread", "in two parts"],
)
def test_before_the_end(tmp_path: Path, script: str) -> None:
    """What was written is there also when the process is killed, and nothing is written twice."""
    run(tmp_path, script)
    assert values(tmp_path)["http_server_request_duration_seconds_count",] == 3


def test_a_fork_begins_from_zero(tmp_path: Path) -> None:
    """A worker that was forked from a process that had served writes its own requests only, to files of its own."""
    script = """
ask(5)
import warnings
warnings.simplefilter("ignore")  # from here on there is a thread, which servers do not have before they fork
child = os.fork()
ask(2 if child else 3)
flush()
if child:
    os.waitpid(child, 0)
os._exit(0)
"""
    run(tmp_path, script)
    found = values(tmp_path)
    assert found["http_server_request_duration_seconds_count",] == 10
    assert found["http_server_active_requests",] == 0
    assert len(list(tmp_path.glob("histogram_*.db"))) == 2


def test_no_thread_before_the_first_request(tmp_path: Path) -> None:
    """A server's master process, which only builds the application, can fork without a warning."""
    run(
        tmp_path, "import threading; assert threading.active_count() == 1; ask(1); assert threading.active_count() == 2"
    )


def test_a_full_disk(tmp_path: Path) -> None:
    """A write that fails disturbs no request, is counted, and is made up for by the next."""
    script = """
from prometheus_client import values
whole = values.ValueClass.inc
def full(self, amount):
    raise OSError(28, "No space left on device")
values.ValueClass.inc = full
ask(2)
flush()
values.ValueClass.inc = whole
flush()
os._exit(0)
"""
    run(tmp_path, script)
    found = values(tmp_path)
    assert found["http_server_request_duration_seconds_count",] == 2
    assert found["asgi_middleware_metrics_errors_total",] > 0


def test_nothing_is_written_in_a_single_process(metrics: Any) -> None:
    """Without a directory there are no files, no thread, and nothing to do."""
    flushing.start()
    flushing.flush()
    assert flushing._flusher.thread is None
