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
from asgi_middleware._core.config import Problems
from asgi_middleware.metrics import flushing
from asgi_middleware.metrics.families import families_of

BEGINNING = """
import os, sys, time
import anyio
import prometheus_client
from asgi_middleware.metrics import PrometheusMiddleware
from asgi_middleware.metrics import flushing
from asgi_middleware.metrics.flushing import flush
from asgi_middleware.testing.driver import http, lifespan, websocket


async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        for name in ("startup", "shutdown"):
            await receive()
            await send({"type": f"lifespan.{name}.complete"})
        return
    if scope["type"] == "websocket":
        await send({"type": "websocket.accept"})
        for _ in range(2):
            await receive()
        return
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"x"})


wrapped = PrometheusMiddleware(app, preset=sys.argv[1], body_sizes=True)


def ask(times):
    async def run():
        for _ in range(times):
            await http(wrapped)
    anyio.run(run)


def chat(times):
    async def run():
        for _ in range(times):
            await websocket(wrapped, messages=["x"])
    anyio.run(run)

"""
COUNTS = {"opentelemetry": "http_server_request_duration_seconds", "fastapi-instrumentator": "http_response_size_bytes"}


def run(directory: Path | None, script: str, *, preset: str = "opentelemetry") -> None:
    """Run a process to its end; one of several, where there is a directory."""
    environment = {**os.environ, "PYTHONPATH": str(Path(asgi_middleware.__file__).parents[1])}
    environment.pop("PROMETHEUS_MULTIPROC_DIR", None)
    if directory is not None:
        environment["PROMETHEUS_MULTIPROC_DIR"] = str(directory)
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


@pytest.mark.parametrize(
    ("serve", "flushed", "counted"),
    [
        ("ask", "", "http_server_request_duration_seconds_count"),
        ("ask", "flush()", "http_server_request_duration_seconds_count"),
        ("ask", "[*prometheus_client.REGISTRY.collect()]", "http_server_request_duration_seconds_count"),
        ("chat", "", "websocket_server_messages_total"),
    ],
    ids=["requests", "requests that were written", "requests that were read", "messages"],
)
def test_a_fork_begins_from_zero(tmp_path: Path, serve: str, flushed: str, counted: str) -> None:
    """A worker that was forked from a process that had served writes its own figures only, to files of its own."""
    script = f"""
{serve}(5)
{flushed}
import warnings
warnings.simplefilter("ignore")  # from here on there is a thread, which servers do not have before they fork
child = os.fork()
{serve}(2 if child else 3)
flush()
if child:
    os.waitpid(child, 0)
os._exit(0)
"""
    run(tmp_path, script)
    found = values(tmp_path)
    assert found[counted,] == 10
    assert found.get(("http_server_active_requests",), 0) == 0
    assert len(list(tmp_path.glob("histogram_*.db"))) == 2


def test_a_fork_of_a_single_process_goes_on() -> None:
    """Without a directory a fork has its parent's figures, as those of all other libraries, and counts on from them."""
    script = """
ask(5)
child = os.fork()
if child:
    sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) - 6)
ask(1)
samples = [sample for family in prometheus_client.REGISTRY.collect() for sample in family.samples]
os._exit(int(sum(each.value for each in samples if each.name == "http_server_request_duration_seconds_count")))
"""
    run(None, script)


def test_a_fork_takes_no_lock_along() -> None:
    """What another thread of the parent held, or had running, is not held or running in the fork."""
    families = families_of(CollectorRegistry(), "", Problems("test"))
    [family] = [each for each in families.all_families() if each.name.endswith("errors")]
    series = family.series(("x",))
    held = families.lock
    families.samplers.add("a loop of the parent")
    families.after_fork(clear=False)
    assert held is not families.lock
    assert series.lock is families.lock
    assert families.samplers == set()


@pytest.mark.parametrize("serve", ["ask", "chat"])
def test_no_thread_before_the_first_request(tmp_path: Path, serve: str) -> None:
    """A server's master process, which only builds the application, can fork without a warning."""
    script = "import threading; assert threading.active_count() == 1; {}(1); assert threading.active_count() == 2"
    run(tmp_path, script.format(serve))


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
