"""Over real sockets: one server process on one core, the load from another, every stack in turn, round after round.

The loads: 2 KB of JSON, the same encoded, and small WebSocket messages that come back. What repeats is the server's CPU
time a request (or message); requests a second and latencies are what a user would see on this machine at that moment.
Needs ``wrk`` (Debian's package).
"""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.scenarios import BROWSER_HEADERS, ORIGIN
from benchmarks.stacks import OVER_SOCKETS, full

SERVERS: Final = {
    "uvicorn": ["uvicorn", "--host", "127.0.0.1", "--no-access-log", "--log-level", "error", "--lifespan", "off"],
    "granian": ["granian", "--interface", "asginl", "--host", "127.0.0.1", "--no-access-log", "--log-level", "error"],
}
JSON, ENCODED, MESSAGES = "2 KB JSON", "2 KB JSON, zstd / gzip", "WebSocket messages"
LOADS: Final = (JSON, ENCODED, MESSAGES)
ROOT: Final = Path(__file__).parents[1]
CONNECTIONS: Final = 16
_UNITS: Final = {"us": 1.0, "ms": 1e3, "s": 1e6}
_TICKS_A_SECOND: Final = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Load:
    """What one server did under load.

    Attributes:
        requests_a_second: Requests or messages answered a second.
        cpu_us: Microseconds of CPU that the server spent on one.
        p50_us: Median latency in microseconds, for messages that of a window of them.
        p99_us: 99th percentile of the latency in microseconds.
        memory_mib: Resident memory of the server and its children after the load.
    """

    requests_a_second: float
    cpu_us: float
    p50_us: float
    p99_us: float
    memory_mib: float


def over_sockets(server: str, load: str, *, rounds: int, seconds: float) -> dict[str, Load]:
    """Put every stack under load on `server`; each figure is the best of all rounds.

    A neighbour can only make a figure worse; the best one is what it was when there was none.
    """
    found: dict[str, list[Load]] = {name: [] for name in OVER_SOCKETS}
    for _ in range(rounds):
        for name in OVER_SOCKETS:
            found[name].append(_one(server, name, load, seconds))
    return {name: _best(loads) for name, loads in found.items()}


def _best(loads: list[Load]) -> Load:
    return Load(
        max(load.requests_a_second for load in loads),
        min(load.cpu_us for load in loads),
        min(load.p50_us for load in loads),
        min(load.p99_us for load in loads),
        min(load.memory_mib for load in loads),
    )


def _one(server: str, stack: str, load: str, seconds: float) -> Load:
    ask = _echoes if load == MESSAGES else _wrk
    with (
        tempfile.TemporaryDirectory() as folder,
        _serving(server, stack, codec=load == ENCODED, folder=folder) as (pid, port),
    ):
        ask(port, 0.5)
        before = _cpu_seconds(pid)
        answered = ask(port, seconds)
        spent = _cpu_seconds(pid) - before
        return Load(
            answered.requests / answered.seconds,
            spent / answered.requests * 1e6,
            answered.p50_us,
            answered.p99_us,
            _memory_mib(pid),
        )


@contextmanager
def _serving(server: str, stack: str, *, codec: bool, folder: str) -> Iterator[tuple[int, int]]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {
        **os.environ,
        "BENCHMARK_STACK": stack,
        "BENCHMARK_CODEC": str(int(codec)),
        "BENCHMARK_LOG": str(Path(folder) / "access.log"),
    }
    command = [sys.executable, "-m", *SERVERS[server], "--port", str(port), "benchmarks.site:app"]
    process = subprocess.Popen(_pinned(0, command), cwd=ROOT, env=environment)
    try:
        _wait_until_open(port, process)
        yield process.pid, port
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_until_open(port: int, process: subprocess.Popen[bytes]) -> None:
    for _ in range(200):
        if process.poll() is not None:
            message = f"the server ended with status {process.returncode}"
            raise RuntimeError(message)
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    message = "the server did not open its port within ten seconds"
    raise RuntimeError(message)


@dataclass(frozen=True)
class _Answered:
    requests: int
    seconds: float
    p50_us: float
    p99_us: float


def _wrk(port: int, seconds: float) -> _Answered:
    headers = [*BROWSER_HEADERS[1:], ORIGIN, full(codec=True).headers[-1]]
    command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{max(1, round(seconds))}s", "--latency"]
    for name, value in headers:
        command += ["-H", f"{name.decode()}: {value.decode()}"]
    command.append(f"http://127.0.0.1:{port}/api/items/42")
    text = subprocess.run(_pinned(1, command), capture_output=True, text=True, timeout=60, check=True).stdout
    if found := re.search(r"Non-2xx or 3xx responses: \d+|Socket errors: .*", text):
        raise RuntimeError(found[0])
    answered = re.search(r"(\d+) requests in ([\d.]+)(m?s)", text)
    if answered is None:
        raise RuntimeError(text)
    return _Answered(
        int(answered[1]),
        float(answered[2]) * _UNITS[answered[3]] / 1e6,
        _latency(text, "50"),
        _latency(text, "99"),
    )


def _echoes(port: int, seconds: float) -> _Answered:
    command = [sys.executable, "-m", "benchmarks.echoes", str(port), str(seconds)]
    done = subprocess.run(_pinned(1, command), capture_output=True, text=True, timeout=60, check=True, cwd=ROOT)
    return _Answered(**json.loads(done.stdout))


def _latency(text: str, percentile: str) -> float:
    found = re.search(rf"^\s+{percentile}%\s+([\d.]+)(us|ms|s)$", text, re.MULTILINE)
    if found is None:
        raise RuntimeError(text)
    return float(found[1]) * _UNITS[found[2]]


def _pinned(core: int, command: list[str]) -> list[str]:
    return ["taskset", "-c", str(core), *command] if shutil.which("taskset") and (os.cpu_count() or 1) > 1 else command


def _cpu_seconds(pid: int) -> float:
    total = 0.0
    for one in _family(pid):
        fields = Path(f"/proc/{one}/stat").read_text(encoding="ascii").rpartition(") ")[2].split()
        total += (int(fields[11]) + int(fields[12])) / _TICKS_A_SECOND
    return total


def _memory_mib(pid: int) -> float:
    pages = sum(int(Path(f"/proc/{one}/statm").read_text(encoding="ascii").split()[1]) for one in _family(pid))
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def _family(pid: int) -> list[int]:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
    return [pid, *(one for child in children for one in _family(int(child)))]
