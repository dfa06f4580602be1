"""BodyBudget: bytes of all requests together; fair, and nothing of it is ever lost."""

import asyncio
from typing import Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asgi_middleware._core.config import ConfigurationError
from asgi_middleware.limits import BodyBudget, RequestBodyLimitMiddleware
from asgi_middleware.limits.budget import Share
from asgi_middleware.testing.driver import http, http_scope

pytestmark = pytest.mark.anyio

CHUNKED = [(b"transfer-encoding", b"chunked")]


async def test_a_budget_that_is_freed_while_the_refusal_is_sent() -> None:
    """A request that was refused gets no more of its body, even if there is room again by then."""
    budget, coming, kinds = BodyBudget(10, max_wait=0), anyio.Event(), []
    assert budget.grow(8)

    async def receive() -> Any:
        await coming.wait()
        return {"type": "http.request", "body": b"xxxx", "more_body": True}

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            budget.release(8)
            await anyio.wait_all_tasks_blocked()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        async def read() -> None:
            kinds.append((await receive())["type"])

        async with anyio.create_task_group() as group:
            group.start_soon(read)
            group.start_soon(read)
            await anyio.wait_all_tasks_blocked()
            coming.set()

    limit = RequestBodyLimitMiddleware(app, max_body_size=10, budget=budget, drain_timeout=0)
    with anyio.fail_after(5):
        await limit(http_scope("POST", headers=CHUNKED), receive, send)
    assert kinds == ["http.disconnect"] * 2
    assert budget.in_flight == 0


@pytest.mark.parametrize(("taken", "held"), [(0, 80), (50, 10), (95, 0)], ids=["much", "just enough", "too little"])
def test_what_a_share_holds(taken: int, held: int) -> None:
    """A share grows ahead of what has come where there is room, up to its limit, else by what has come alone."""
    budget = BodyBudget(100)
    assert budget.grow(taken)
    share = Share(budget, 0)
    assert share.cover(10, 80) is (held > 0)
    assert (share.held, budget.in_flight) == (held, taken + held)


async def test_the_first_in_line_gives_up() -> None:
    """Those behind a request that gave up its wait get what it did not need, and nothing is lost."""
    budget, turn = BodyBudget(10, max_wait=60), anyio.Event()
    assert budget.grow(8)

    async def give_up(scope: anyio.CancelScope) -> None:
        with scope:
            await budget.reserve(5)

    async def stay() -> None:
        if await budget.reserve(2):
            turn.set()

    with anyio.fail_after(5):
        async with anyio.create_task_group() as group:
            scope = anyio.CancelScope()
            group.start_soon(give_up, scope)
            await anyio.wait_all_tasks_blocked()
            group.start_soon(stay)
            await anyio.wait_all_tasks_blocked()
            assert budget.waiting == 2
            scope.cancel()
            await turn.wait()
    assert (budget.in_flight, budget.waiting) == (10, 0)


async def test_a_task_that_reads_on() -> None:
    """What a task reads that the app left behind is nobody's share: the budget is whole when the app has ended."""
    budget, read_on, done = BodyBudget(1000, max_wait=0), anyio.Event(), anyio.Event()

    async with anyio.create_task_group() as group:

        async def app(scope: Any, receive: Any, send: Any) -> None:
            async def late() -> None:
                await read_on.wait()
                while (await receive()).get("more_body"):
                    pass
                done.set()

            group.start_soon(late)
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b""})

        async def receive() -> Any:
            return messages.pop(0)

        async def send(message: Any) -> None:
            return None

        messages = [{"type": "http.request", "body": b"x" * 300, "more_body": more} for more in (True, True, False)]
        wrapped = RequestBodyLimitMiddleware(app, max_body_size=900, budget=budget)
        await wrapped(http_scope("POST", headers=CHUNKED), receive, send)
        assert budget.in_flight == 0
        read_on.set()
        await done.wait()
    assert budget.in_flight == 0


class Gate:
    """An app that reads its body, then waits until it may answer."""

    def __init__(self) -> None:
        """Start closed."""
        self.open = anyio.Event()
        self.inside = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Read, wait, answer."""
        while (message := await receive()).get("more_body"):
            pass
        if message["type"] == "http.disconnect":
            return
        self.inside += 1
        await self.open.wait()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})


async def until(condition: Any) -> None:
    """Let the others run until something holds."""
    with anyio.fail_after(5):
        while not condition():
            await anyio.lowlevel.checkpoint()


def sized(size: int, *, chunked: bool = False) -> dict[str, Any]:
    """Give the keywords of a request with a body of that size."""
    headers = CHUNKED if chunked else [(b"content-length", b"%d" % size)]
    return {"method": "POST", "headers": headers, "body": b"x" * size}


@pytest.mark.parametrize("chunked", [False, True], ids=["declared", "chunked"])
async def test_exhausted(chunked: bool) -> None:
    """What does not fit beside the others is a 503 with Retry-After; when they are done it passes."""
    budget, gate = BodyBudget(100, max_wait=0, retry_after=7), Gate()
    app = RequestBodyLimitMiddleware(gate, max_body_size=90, budget=budget)
    async with anyio.create_task_group() as group:
        for _ in range(2):
            group.start_soon(lambda: http(app, **sized(40)))
        await until(lambda: gate.inside == 2)
        assert budget.in_flight == 80
        result = await http(app, **sized(30, chunked=chunked))
        assert (result.status, result.json()["reason"]) == (503, "body_budget_exhausted")
        assert result.header(b"retry-after") == b"7"
        assert budget.in_flight == 80
        gate.open.set()
    assert budget.in_flight == 0
    assert (await http(app, **sized(30, chunked=chunked))).status == 200
    assert budget.in_flight == 0


async def test_turns() -> None:
    """Who comes first is served first: a small body does not overtake a large one that waits."""
    budget, gate = BodyBudget(100, max_wait=30), Gate()
    app = RequestBodyLimitMiddleware(gate, max_body_size=100, budget=budget)
    order: list[int] = []

    async def ask(size: int) -> None:
        assert (await http(app, **sized(size))).status == 200
        order.append(size)

    async with anyio.create_task_group() as group:
        group.start_soon(ask, 60)
        await until(lambda: gate.inside == 1)
        for waiting, size in enumerate((95, 10), start=1):
            group.start_soon(ask, size)
            await until(lambda waiting=waiting: budget.waiting == waiting)
        gate.open.set()
    assert order == [60, 95, 10]
    assert (budget.in_flight, budget.waiting) == (0, 0)


async def test_waits_no_longer() -> None:
    """After max_wait the wait ends in a 503, and who stood behind gets the turn."""
    budget, gate = BodyBudget(100, max_wait=0.02), Gate()
    app = RequestBodyLimitMiddleware(gate, max_body_size=100, budget=budget)
    async with anyio.create_task_group() as group:
        group.start_soon(lambda: http(app, **sized(60)))
        await until(lambda: gate.inside == 1)
        assert (await http(app, **sized(50))).status == 503
        gate.open.set()
    assert (budget.in_flight, budget.waiting) == (0, 0)


async def test_cancelled_while_waiting() -> None:
    """A request that is cancelled while it waits leaves no place behind, also in the moment of its turn."""
    for released in (False, True):
        budget = BodyBudget(100, max_wait=30)
        app = RequestBodyLimitMiddleware(Gate(), max_body_size=90, budget=budget)
        assert await budget.reserve(60)
        async with anyio.create_task_group() as group:
            group.start_soon(lambda app=app: http(app, **sized(50)))
            await until(lambda budget=budget: budget.waiting == 1)
            if released:
                budget.release(60)
            group.cancel_scope.cancel()
        assert (budget.in_flight, budget.waiting) == (0 if released else 60, 0)


async def test_cancelled_by_the_server_in_the_moment_of_its_turn(anyio_backend_name: str) -> None:
    """A request whose task is cancelled as it gets its turn gives back what it got."""
    if anyio_backend_name != "asyncio":
        return
    budget = BodyBudget(100, max_wait=30)
    assert budget.grow(60)
    task = asyncio.create_task(budget.reserve(50))
    await until(lambda: budget.waiting == 1)
    budget.release(60)
    assert budget.in_flight == 50
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (budget.in_flight, budget.waiting) == (0, 0)


@pytest.mark.parametrize("headers", [[(b"content-length", b"80")], CHUNKED], ids=["declared", "chunked"])
@pytest.mark.parametrize(("status", "reads", "held"), [(401, False, 0), (200, False, 80), (401, True, 80)])
async def test_a_refusal_inside_holds_nothing(headers: Any, status: int, reads: bool, held: int) -> None:
    """Who answers with an error before it has read anything drops what still comes, so that it holds no bytes."""
    budget, seen = BodyBudget(100), []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if reads:
            await receive()
        await send({"type": "http.response.start", "status": status, "headers": []})
        while (await receive()).get("more_body"):
            seen.append(budget.in_flight)
        await send({"type": "http.response.body", "body": b""})

    limit = RequestBodyLimitMiddleware(app, max_body_size=80, budget=budget)
    await http(limit, "POST", headers=headers, body=[b"x" * 20] * 4)
    assert seen
    assert set(seen) == {held}
    assert budget.in_flight == 0


async def test_a_turn_for_all_that_fit() -> None:
    """What a large request gives back lets in as many of those that wait as have room in it."""
    budget = BodyBudget(100, max_wait=30)
    assert budget.grow(100)
    async with anyio.create_task_group() as group:
        for _ in range(3):
            group.start_soon(budget.reserve, 40)
        await until(lambda: budget.waiting == 3)
        budget.release(100)
        assert (budget.in_flight, budget.waiting) == (80, 1)
        budget.release(80)


async def test_never_fits() -> None:
    """A body larger than the whole budget does not wait."""
    app = RequestBodyLimitMiddleware(Gate(), max_body_size=1000, budget=BodyBudget(100, max_wait=60))
    assert (await http(app, **sized(101))).status == 503


@pytest.mark.parametrize("size", [91, 1000])
async def test_the_limit_comes_first(size: int) -> None:
    """What is over the request's own limit is a 413, whatever the budget."""
    budget = BodyBudget(100)
    app = RequestBodyLimitMiddleware(Gate(), max_body_size=90, budget=budget)
    for chunked in (False, True):
        assert (await http(app, **sized(size, chunked=chunked))).status == 413
    assert budget.in_flight == 0


async def test_an_app_that_fails() -> None:
    """Whatever way the app ends, its share comes back."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        raise ValueError("from the app")

    budget = BodyBudget(100)
    limited = RequestBodyLimitMiddleware(app, max_body_size=90, budget=budget)
    for chunked in (False, True):
        with pytest.raises(ValueError, match="from the app"):
            await http(limited, **sized(50, chunked=chunked))
    assert budget.in_flight == 0


@given(st.lists(st.tuples(st.integers(0, 120), st.booleans(), st.booleans()), max_size=12))
def test_nothing_is_lost(bodies: list[tuple[int, bool, bool]]) -> None:
    """Whatever comes at once and however it ends, no more than the budget is held, and in the end nothing is."""

    async def run() -> None:
        budget = BodyBudget(100, max_wait=0)
        most = 0

        async def app(scope: Any, receive: Any, send: Any) -> None:
            nonlocal most
            while (await receive()).get("more_body"):
                most = max(most, budget.in_flight)
                await anyio.lowlevel.checkpoint()
            if scope["path"] == "/raise":
                raise ValueError

        limited = RequestBodyLimitMiddleware(app, max_body_size=110, budget=budget)

        async def ask(size: int, chunked: bool, fails: bool) -> None:
            request = sized(size, chunked=chunked)
            request["body"] = [b"x"] * size
            await http(limited, path="/raise" if fails else "/", raise_exceptions=False, **request)

        async with anyio.create_task_group() as group:
            for body in bodies:
                group.start_soon(ask, *body)
        assert most <= 100
        assert budget.in_flight == 0

    anyio.run(run)


@pytest.mark.parametrize(
    "options", [{"max_bytes": 0}, {"max_bytes": 1, "max_wait": -1}, {"max_bytes": 1, "retry_after": 1.5}]
)
def test_wrong(options: dict[str, Any]) -> None:
    """Wrong options are errors at construction."""
    with pytest.raises(ConfigurationError):
        BodyBudget(**options)


def test_not_a_budget() -> None:
    """A number is no budget: it could not be shared."""
    with pytest.raises(ConfigurationError, match="BodyBudget"):
        RequestBodyLimitMiddleware(Gate(), max_body_size=1, budget=100)  # type: ignore[arg-type]
