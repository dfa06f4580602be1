"""Files of dead workers: folded into one for each kind, whatever happens in the middle of it."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import multiprocess
from prometheus_client.mmap_dict import MmapedDict, mmap_key

import asgi_middleware
from asgi_middleware.metrics import dead_workers
from asgi_middleware.metrics.dead_workers import FOLDING, fold, locked
from asgi_middleware.metrics.multiprocess import UNREADABLE_FILES, WorkerFiles
from asgi_middleware.metrics.worker_files import Entry, Sums, read, write

ME = os.getpid()
LONG_AGO = 1_000_000_000
HELP = "Help."


@pytest.fixture
def dead() -> int:
    """Give the number of a process that has ended."""
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
        return process.pid


def fill(file: Path, sample: str, values: Mapping[str, float], **more: str) -> None:
    """Write a file as prometheus_client does, old enough to be nobody's who is just beginning."""
    written = MmapedDict(str(file))
    for route, value in values.items():
        labels = {"route": route, **more}
        written.write_value(
            mmap_key(sample.removesuffix("_total"), sample, [*labels], [*labels.values()], HELP), value, 7
        )
    written.close()
    os.utime(file, (LONG_AGO, LONG_AGO))


def sums(directory: Path) -> dict[tuple[str, ...], float]:
    """Give what a scrape gives, by sample and label values."""
    return {
        (sample.name, *sample.labels.values()): sample.value
        for metric in WorkerFiles(str(directory)).collect()
        for sample in metric.samples
    }


@pytest.fixture
def living(tmp_path: Path) -> Iterator[MmapedDict]:
    """Be a worker: hold a file of this process."""
    file = MmapedDict(str(tmp_path / f"counter_{ME}.db"))
    file.write_value(mmap_key("things", "things_total", ["route"], ["/a"], HELP), 1, 0)
    yield file
    file.close()


def test_the_dead_are_folded(tmp_path: Path, living: MmapedDict, dead: int) -> None:
    """Counts of the dead stay in the sums, from one file for each kind; their live gauges go [T36]."""
    fill(tmp_path / f"counter_{dead}.db", "things_total", {"/a": 2, "/b": 3})
    fill(tmp_path / f"gauge_sum_{dead}.db", "level", {"/a": 4})
    fill(tmp_path / f"gauge_livesum_{dead}.db", "active", {"/a": 5})
    expected = {("things_total", "/a"): 3, ("things_total", "/b"): 3, ("level", "/a"): 4, (UNREADABLE_FILES,): 0}
    for _ in range(3):
        assert sums(tmp_path) == expected
        names = {file.name for file in tmp_path.iterdir()}
        assert names == {f"counter_{ME}.db", "counter_dead.db", "gauge_sum_dead.db", "fold.lock"}
    living.write_value(mmap_key("things", "things_total", ["route"], ["/a"], HELP), 10, 0)
    fill(tmp_path / f"counter_{dead}.db", "things_total", {"/b": 1, "/c": 1})
    assert sums(tmp_path) == {
        **expected,
        ("things_total", "/a"): 12,
        ("things_total", "/b"): 4,
        ("things_total", "/c"): 1,
    }


def test_others_read_the_same(tmp_path: Path, living: MmapedDict, dead: int) -> None:
    """prometheus_client's own collector finds the same sums in what was folded."""
    fill(tmp_path / f"counter_{dead}.db", "things_total", {"/a": 2, "/b": 3})
    ours = sums(tmp_path)
    theirs = {
        (sample.name, *sample.labels.values()): sample.value
        for metric in multiprocess.MultiProcessCollector(None, str(tmp_path)).collect()  # type: ignore[no-untyped-call]
        for sample in metric.samples
    }
    assert {**theirs, (UNREADABLE_FILES,): 0} == ours


@pytest.mark.parametrize(
    ("mode", "values", "expected"),
    [("min", (3, 2, 4), 2), ("max", (3, 2, 4), 4), ("mostrecent", (3, 2, 4), 4), ("sum", (3, 2, 4), 9)],
)
def test_gauges_by_mode(
    tmp_path: Path, living: MmapedDict, dead: int, mode: str, values: tuple[int, ...], expected: float
) -> None:
    """Gauges of the dead are folded as their mode says."""
    for time, value in enumerate(values):
        file = tmp_path / f"gauge_{mode}_{dead}.db"
        written = MmapedDict(str(file))
        written.write_value(mmap_key("level", "level", [], [], HELP), value, time)
        written.close()
        os.utime(file, (LONG_AGO, LONG_AGO))
        now = sums(tmp_path)
    assert now[("level",)] == expected
    assert [file.name for file in tmp_path.glob("gauge_*")] == [f"gauge_{mode}_dead.db"]


def test_series_that_name_their_process_stay(tmp_path: Path, living: MmapedDict, dead: int) -> None:
    """Gauges of the mode "all" have a series for each process that ever was, and keep their files."""
    fill(tmp_path / f"gauge_all_{dead}.db", "level", {"/a": 2})
    assert sums(tmp_path)["level", "/a", str(dead)] == 2
    assert (tmp_path / f"gauge_all_{dead}.db").exists()


def test_without_a_living_worker_nobody_is_judged(tmp_path: Path, dead: int) -> None:
    """Who sees no living worker may be in another container, where every worker seems dead."""
    fill(tmp_path / f"counter_{dead}.db", "things_total", {"/a": 2})
    fill(tmp_path / f"gauge_livesum_{dead}.db", "active", {"/a": 5})
    assert sums(tmp_path)["active", "/a"] == 5
    assert {file.suffix for file in tmp_path.iterdir()} == {".db", ".lock"}


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="only Linux shows who maps a file")
def test_a_number_that_is_given_again(tmp_path: Path, living: MmapedDict) -> None:
    """A living process that has a dead worker's number is not taken for it; a file that is just made is left alone."""
    parent = os.getppid()
    fill(tmp_path / f"counter_{parent}.db", "things_total", {"/a": 2})
    (tmp_path / f"histogram_{parent}.db").touch()
    assert sums(tmp_path)["things_total", "/a"] == 3
    assert {file.name for file in tmp_path.glob("*.db")} == {
        f"counter_{ME}.db",
        "counter_dead.db",
        f"histogram_{parent}.db",
    }


class Killed(BaseException):
    """The process ends here."""


def steps(monkeypatch: pytest.MonkeyPatch, allowed: int) -> list[str]:
    """Let so many changes to the directory happen, then die."""
    done: list[str] = []

    def counted(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def change(*arguments: Any, **options: Any) -> Any:
            if len(done) == allowed:
                raise Killed
            done.append(name)
            return real(*arguments, **options)

        return change

    for name in ("rename", "unlink", "write_bytes", "write_text"):
        monkeypatch.setattr(Path, name, counted(name, getattr(Path, name)))
    return done


def test_killed_at_any_step(tmp_path: Path, living: MmapedDict, dead: int) -> None:
    """Wherever whoever folds is killed, the next scrape is right: nothing is lost or counted twice [T36]."""
    allowed = 0
    total = 1.0
    finished = False
    while not finished:
        fill(tmp_path / f"counter_{dead}.db", "things_total", {"/a": 2})
        fill(tmp_path / f"summary_{dead}.db", "sizes_sum", {"/a": 3})
        total += 2
        with pytest.MonkeyPatch.context() as patch:
            done = steps(patch, allowed)
            try:
                fold(tmp_path, lambda *_: None)
                finished = True
            except Killed:
                assert len(done) == allowed
        assert sums(tmp_path)["things_total", "/a"] == total, done
        assert sums(tmp_path)["things_total", "/a"] == total, done
        assert not (tmp_path / "fold.journal").exists()
        allowed += 1
    assert allowed > 10


def test_a_number_that_comes_back_in_the_middle(
    tmp_path: Path, living: MmapedDict, dead: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that opens the file while it is renamed keeps it."""
    fill(tmp_path / f"counter_{dead}.db", "things_total", {"/a": 2})
    states = iter(["gone", "runs"])
    real = dead_workers._state
    monkeypatch.setattr(dead_workers, "_state", lambda file: next(states) if str(dead) in file.name else real(file))
    fold(tmp_path, lambda *_: None)
    assert (tmp_path / f"counter_{dead}.db").exists()
    assert not list(tmp_path.glob(f"*{FOLDING}"))


def test_two_dead_processes_of_one_number(tmp_path: Path, living: MmapedDict, dead: int) -> None:
    """A file that waits from an interrupted folding is not replaced by that of a later process of the same number."""
    fill(tmp_path / f"counter_{dead}.db", "things_total", {"/a": 2})
    (tmp_path / f"counter_{dead}.db").rename(tmp_path / f"counter_{dead}.db{FOLDING}")
    fill(tmp_path / f"counter_{dead}.db", "things_total", {"/a": 5})
    for _ in range(3):
        assert sums(tmp_path)["things_total", "/a"] == 8
    assert not (tmp_path / f"counter_{dead}.db").exists()


def test_bad_files_of_the_dead(tmp_path: Path, living: MmapedDict, dead: int) -> None:
    """A bad file is left out and counted at every scrape, and spoils neither the others nor what is folded [T37]."""
    fill(tmp_path / f"counter_{dead}.db", "things_total", {"/a": 2})
    (tmp_path / "counter_99999991.db").touch()
    (tmp_path / "counter_99999992.db").write_bytes((tmp_path / f"counter_{dead}.db").read_bytes()[:60])
    write(tmp_path / "counter_99999993.db", {b'["a", "b"]': (1.0, 0.0)})
    bucket = mmap_key("sizes", "sizes_bucket", ["le"], ["1.0"], HELP).encode()
    write(tmp_path / "histogram_99999994.db", {bucket: (float("nan"), 0.0)})
    for _ in range(3):
        assert sums(tmp_path) == {("things_total", "/a"): 3, (UNREADABLE_FILES,): 4}


def test_what_can_be_neither_written_nor_locked(
    tmp_path: Path, living: MmapedDict, dead: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """On a full disk or a directory for reading only nothing is folded, and the scrape is right."""

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    fill(tmp_path / f"counter_{dead}.db", "things_total", {"/a": 2})
    monkeypatch.setattr(Path, "write_bytes", full)
    assert sums(tmp_path)["things_total", "/a"] == 3
    assert "could not be folded" in caplog.text
    monkeypatch.setattr(os, "open", full)
    assert sums(tmp_path)["things_total", "/a"] == 3


def test_a_journal_that_is_no_journal(tmp_path: Path, living: MmapedDict, dead: int) -> None:
    """A journal that a crash of the machine has emptied is thrown away."""
    fill(tmp_path / f"counter_{dead}.db", "things_total", {"/a": 2})
    (tmp_path / "fold.journal").touch()
    assert sums(tmp_path)["things_total", "/a"] == 3
    assert not (tmp_path / "fold.journal").exists()


def test_a_lock_that_is_held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever holds the lock for too long, because it is frozen, fails a scrape and hangs none."""
    monkeypatch.setattr(dead_workers, "LOCK_SECONDS", 0.02)
    with locked(tmp_path) as may_fold:
        assert may_fold
        with pytest.raises(TimeoutError), locked(tmp_path):
            pass
    with locked(tmp_path):
        pass


def test_releases_with_other_labels_and_buckets(tmp_path: Path) -> None:
    """Processes of two releases, with other labels and buckets, are in one metric."""
    for process, labels, bounds in ((1, ["a"], ["1.0", "+Inf"]), (2, ["a", "b"], ["0.5", "1.0", "+Inf"])):
        entries: dict[bytes, Entry] = {}
        for bound in bounds:
            key = mmap_key("sizes", "sizes_bucket", [*labels, "le"], [*("x" for _ in labels), bound], HELP)
            entries[key.encode()] = (1.0, 0.0)
        write(tmp_path / f"histogram_{process}.db", entries)
    found = sums(tmp_path)
    assert found["sizes_bucket", "x", "", "+Inf"] == 2
    assert found["sizes_bucket", "x", "x", "0.5"] == 1
    assert found["sizes_count", "x", "x"] == 3


def test_what_is_written_can_be_read(tmp_path: Path) -> None:
    """Keys of every length come back, here and in prometheus_client."""
    entries = {b"k" * length: (float(length), 2.0) for length in range(1, 40)}
    write(tmp_path / "counter_dead.db", entries)
    assert read(tmp_path / "counter_dead.db") == entries
    theirs = MmapedDict.read_all_values_from_file(str(tmp_path / "counter_dead.db"))  # type: ignore[no-untyped-call]
    assert {key.encode(): (value, time) for key, value, time, _ in theirs} == entries


def test_reading_stands_aside(tmp_path: Path) -> None:
    """Long files are read in small pieces, so that the event loop gets its turn."""
    pauses: list[None] = []
    keys = [mmap_key("things", "things_total", ["route"], [f"/{number}"], HELP) for number in range(2000)]
    write(tmp_path / "counter_1.db", {key.encode(): (1.0, 0.0) for key in keys})
    entries = read(tmp_path / "counter_1.db", lambda: pauses.append(None))
    assert len(pauses) >= 7
    Sums(lambda: pauses.append(None)).add("counter", entries)
    assert len(pauses) >= 14


# A master that forks workers, four at a time; each serves a request and ends, every tenth without a word.
MASTER = """
import os, signal, sys
import anyio
from asgi_middleware.metrics import MetricsEndpoint, PrometheusMiddleware
from asgi_middleware.metrics.flushing import flush
from asgi_middleware.testing.driver import http


async def app(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"x"})

wrapped = PrometheusMiddleware(app)
counts, most = [], 0


def work(number):
    anyio.run(http, wrapped)
    flush()
    if number % 10 == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    os._exit(0)


def scrape():
    global most
    body = anyio.run(http, MetricsEndpoint()).body.decode()
    most = max(most, len(os.listdir(os.environ["PROMETHEUS_MULTIPROC_DIR"])))
    lines = [line for line in body.splitlines() if line.startswith("http_server_request_duration_seconds_count")]
    counts.append(sum(float(line.rsplit(" ", 1)[1]) for line in lines))


anyio.run(http, wrapped)
for batch in range(50):
    children = []
    for number in range(4):
        child = os.fork()
        if child == 0:
            work(4 * batch + number)
        children.append(child)
    if batch % 5 == 2:
        scrape()
    for child in children:
        os.waitpid(child, 0)
scrape()
assert counts == sorted(counts), counts
print(counts[-1], len(os.listdir(os.environ["PROMETHEUS_MULTIPROC_DIR"])), most)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="workers are forked")
def test_two_hundred_workers(tmp_path: Path) -> None:
    """200 workers come and go, some killed, while somebody scrapes: nothing is lost, and few files are left [T36]."""
    environment = {
        **os.environ,
        "PROMETHEUS_MULTIPROC_DIR": str(tmp_path),
        "PYTHONPATH": str(Path(asgi_middleware.__file__).parents[1]),
    }
    command = [sys.executable, "-W", "ignore", "-c", MASTER]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=50, check=False)
    assert done.returncode == 0, done.stderr
    requests, files, most = map(float, done.stdout.split())
    assert requests == 201
    assert files <= 8
    assert most <= 3 * 20 + 10
