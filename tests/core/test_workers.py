"""Work in threads, on asyncio and on trio."""

from __future__ import annotations

import os
import threading
import time
from contextvars import ContextVar

import anyio
import pytest

from asgi_middleware._core.workers import WorkerPool

pytestmark = pytest.mark.anyio
variable: ContextVar[str] = ContextVar("variable", default="unset")


async def test_runs_elsewhere_and_returns():
    """The function runs in another thread; its result comes back."""
    assert await WorkerPool(1, name="t").run(threading.get_ident) != threading.get_ident()
    assert await WorkerPool(1, name="t").run(pow, 2, 5) == 32


async def test_raises_what_the_function_raises():
    """An exception of the function comes out unchanged."""
    with pytest.raises(ZeroDivisionError):
        await WorkerPool(1, name="t").run(divmod, 1, 0)


async def test_carries_the_context():
    """Context variables of the caller are seen in the thread; the thread's changes stay there."""
    variable.set("outer")

    def work():
        seen = variable.get()
        variable.set("inner")
        return seen

    assert await WorkerPool(1, name="t").run(work) == "outer"
    assert variable.get() == "outer"


async def test_never_more_threads_than_allowed():
    """However many calls wait, no more than `max_threads` run."""
    pool = WorkerPool(2, name="t")
    running = 0
    most = 0
    lock = threading.Lock()

    def work():
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        time.sleep(0.02)
        with lock:
            running -= 1

    async with anyio.create_task_group() as group:
        for _ in range(8):
            group.start_soon(pool.run, work)
    assert most == 2


async def test_the_loop_stays_free():
    """Other tasks run while a thread works."""
    release = threading.Event()
    pool = WorkerPool(1, name="t")
    async with anyio.create_task_group() as group:
        group.start_soon(pool.run, release.wait, 5)
        await anyio.sleep(0.01)
        release.set()
    assert release.is_set()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this platform")
def test_a_forked_child_has_threads_of_its_own():
    """The parent's threads do not come along; the child's pool works all the same."""
    pool = WorkerPool(1, name="t")
    assert anyio.run(pool.run, pow, 2, 3) == 8
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            result = pool._threads().submit(pow, 2, 4).result(timeout=5)
            os.write(writer, b"%d" % result)
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    assert os.read(reader, 10) == b"16"
    os.close(reader)
    os.close(writer)
