"""allow_origin_func: a function decides, its answers hold for a while, and whatever is not a plain yes is a no."""

import logging
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import pytest

from asgi_middleware._core.config import ConfigurationError
from asgi_middleware._core.exchange import enter
from asgi_middleware.cors import CORSMiddleware, OriginLookup
from asgi_middleware.cors import lookup as lookup_module
from asgi_middleware.testing.driver import drive, http, http_scope

pytestmark = pytest.mark.anyio

APP = b"https://app.example.com"
CUSTOMER = b"https://customer.test"
EVIL = b"https://evil.test"


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Answer."""
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"hello"})


class Asked:
    """A function that remembers what it was asked, and knows one customer."""

    def __init__(self) -> None:
        self.origins: list[str] = []
        self.scopes: list[Any] = []

    def sync(self, origin: str, scope: Any) -> bool:
        self.origins.append(origin)
        self.scopes.append(scope)
        return origin == CUSTOMER.decode()

    async def later(self, origin: str, scope: Any) -> bool:
        await anyio.lowlevel.checkpoint()
        return self.sync(origin, scope)


@pytest.fixture
def asked() -> Asked:
    """Give a fresh one."""
    return Asked()


def middleware(func: Any, **options: Any) -> CORSMiddleware:
    """Make a middleware that asks `func` beside one listed origin."""
    return CORSMiddleware(app, allow_origins=[APP.decode()], allow_origin_func=func, **options)


async def allowed(cors: CORSMiddleware, origin: bytes, *headers: tuple[bytes, bytes]) -> bool:
    """Tell whether an origin gets its header."""
    result = await http(cors, headers=[(b"origin", origin), *headers])
    assert result.status == 200
    return result.header_all(b"access-control-allow-origin") == [origin]


@pytest.mark.parametrize("kind", ["sync", "later"])
class TestAsking:
    async def test_decides(self, asked: Asked, kind: str) -> None:
        """An origin that is not listed is asked about, by function or coroutine function; a listed one is not."""
        cors = middleware(getattr(asked, kind))
        assert await allowed(cors, CUSTOMER)
        assert not await allowed(cors, EVIL)
        assert await allowed(cors, APP)
        assert asked.origins == [CUSTOMER.decode(), EVIL.decode()]
        assert asked.scopes[0]["path"] == "/"

    async def test_not_where_a_pattern_or_an_expression_allows(self, asked: Asked, kind: str) -> None:
        """What is allowed in another way is never asked about, at the first request as little as later."""
        cors = CORSMiddleware(
            app,
            allow_origins=["https://*.example.org"],
            allow_origin_regex=r"https://pr-\d+\.example\.com",
            allow_origin_func=getattr(asked, kind),
        )
        for origin in (b"https://a.example.org", b"https://pr-1.example.com") * 2:
            assert await allowed(cors, origin)
        assert asked.origins == []

    async def test_preflight(self, asked: Asked, kind: str) -> None:
        """A preflight is decided by it too, every time anew."""
        cors = middleware(getattr(asked, kind))
        asking = (b"access-control-request-method", b"GET")
        for origin, status in ((CUSTOMER, 204), (CUSTOMER, 204), (EVIL, 403)):
            result = await http(cors, "OPTIONS", headers=[(b"origin", origin), asking])
            assert result.status == status
        assert len(asked.origins) == 3

    async def test_no_trace_of_a_yes(self, asked: Asked, kind: str) -> None:
        """What was allowed once without a ttl is asked about again."""
        cors = middleware(getattr(asked, kind))
        for _ in range(3):
            await allowed(cors, CUSTOMER)
        assert len(asked.origins) == 3


@pytest.mark.parametrize(
    "origin",
    [
        b"null",
        b"",
        b"https://a.test/",
        b"https://A.test",
        b"https://a.test, https://b.test",
        b"\xff",
        b"https://" + b"a" * 400,
    ],
)
async def test_only_well_formed_origins(asked: Asked, origin: bytes) -> None:
    """The function is never asked about what is no complete serialization [9, 10]."""
    assert not await allowed(middleware(asked.sync), origin)
    assert asked.origins == []


async def test_repeated_origin(asked: Asked) -> None:
    """Two Origin lines are refused without asking [10]."""
    result = await http(middleware(asked.sync), headers=[(b"origin", CUSTOMER)] * 2)
    assert result.header(b"access-control-allow-origin") is None
    assert asked.origins == []


async def fails(origin: str, scope: Any) -> bool:
    """Raise."""
    raise LookupError("the database is away")


def fails_at_once(origin: str, scope: Any) -> bool:
    """Raise."""
    raise LookupError("the database is away")


class TestFailClosed:
    @pytest.mark.parametrize("failing", [fails, fails_at_once])
    async def test_exception(self, failing: Any, caplog: pytest.LogCaptureFixture) -> None:
        """When it raises, the origin is not allowed, the request goes on, and the error is logged."""
        cors = middleware(failing)
        scope, exchange = enter(http_scope(headers=[(b"origin", CUSTOMER)]))
        with caplog.at_level(logging.ERROR, "asgi_middleware.cors"):
            result = await drive(cors, scope)
        assert (result.status, result.header(b"access-control-allow-origin")) == (200, None)
        assert exchange.cors == "origin_function_failed"
        assert [record.exc_info is not None for record in caplog.records] == [True]
        assert CUSTOMER.decode() not in caplog.records[0].getMessage()

    async def test_exception_in_a_preflight(self, caplog: pytest.LogCaptureFixture) -> None:
        """A preflight is then refused, with that reason."""
        headers = [(b"origin", CUSTOMER), (b"access-control-request-method", b"GET")]
        result = await http(middleware(fails), "OPTIONS", headers=headers)
        assert (result.status, result.json()["reason"]) == (403, "origin_function_failed")

    @pytest.mark.parametrize("answer", [1, "true", object(), [1], None, b"yes"])
    async def test_not_a_bool(self, answer: Any) -> None:
        """Only True is a yes: a value that merely looks true is none."""
        assert not await allowed(middleware(lambda origin, scope: answer), CUSTOMER)

    async def test_cancellation(self) -> None:
        """A request that is cancelled while it asks stays cancelled."""

        async def slow(origin: str, scope: Any) -> bool:
            await anyio.sleep_forever()
            return True

        with anyio.move_on_after(0.01) as limit:
            await allowed(middleware(slow), CUSTOMER)
        assert limit.cancelled_caught


class Clock:
    """A clock that a test moves."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Put the clock in place of the real one."""
    clock = Clock()
    monkeypatch.setattr(lookup_module, "monotonic", clock)
    return clock


class TestRemembering:
    async def test_ttl(self, asked: Asked, clock: Clock) -> None:
        """An answer holds for its time, a no like a yes, and is asked for again after it."""
        cors = middleware(OriginLookup(func=asked.later, ttl=30))
        for _ in range(3):
            assert await allowed(cors, CUSTOMER)
            assert not await allowed(cors, EVIL)
        assert len(asked.origins) == 2
        clock.now += 29.9
        assert await allowed(cors, CUSTOMER)
        assert len(asked.origins) == 2
        clock.now += 0.1
        assert await allowed(cors, CUSTOMER)
        assert len(asked.origins) == 3

    async def test_revoked(self, clock: Clock) -> None:
        """An origin that is no longer allowed is refused once its time is over."""
        customers = {CUSTOMER.decode()}
        cors = middleware(OriginLookup(func=lambda origin, scope: origin in customers, ttl=5))
        assert await allowed(cors, CUSTOMER)
        customers.clear()
        clock.now += 5
        assert not await allowed(cors, CUSTOMER)

    async def test_failures_are_not_remembered(self, clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
        """After an exception the next request asks again."""
        answers = iter([LookupError(), True])

        def func(origin: str, scope: Any) -> bool:
            answer = next(answers)
            if isinstance(answer, Exception):
                raise answer
            return answer

        cors = middleware(OriginLookup(func=func, ttl=30))
        assert not await allowed(cors, CUSTOMER)
        assert await allowed(cors, CUSTOMER)

    async def test_bounded(self, asked: Asked, clock: Clock) -> None:
        """However many origins a client invents, no more than max_entries answers are kept."""
        cors = middleware(OriginLookup(func=asked.sync, ttl=30, max_entries=10))
        asker = cors.policy.rules.asker
        assert asker is not None
        for number in range(35):
            await allowed(cors, b"https://s%d.test" % number)
            assert len(asker._answers) <= 10

    async def test_vary(self, asked: Asked, clock: Clock) -> None:
        """Answers are kept apart by the headers that they depend on, which go into Vary [24]."""
        cors = middleware(OriginLookup(func=asked.sync, ttl=30, vary=["X-Tenant", "x-zone"]))
        for headers in (
            [(b"x-tenant", b"a")],
            [(b"x-tenant", b"b"), (b"cookie", b"c")],
            [(b"x-zone", b"a")],
            [(b"X-Tenant", b"a"), (b"x-other", b"1")],
        ):
            result = await http(cors, headers=[(b"origin", CUSTOMER), *headers])
            assert result.header_all(b"vary") == [b"Origin, X-Tenant, x-zone"]
        assert len(asked.origins) == 3
        assert [scope["headers"] for scope in asked.scopes] == [
            [(b"x-tenant", b"a")],
            [(b"x-tenant", b"b")],
            [(b"x-zone", b"a")],
        ]
        assert all(set(scope) == {"type", "headers"} for scope in asked.scopes)

    async def test_huge_headers(self, asked: Asked, clock: Clock) -> None:
        """A header too long to be kept means no, without asking."""
        cors = middleware(OriginLookup(func=asked.sync, ttl=30, vary=["x-tenant"]))
        assert not await allowed(cors, CUSTOMER, (b"x-tenant", b"x" * 1000))
        assert asked.origins == []

    async def test_vary_without_origin(self, asked: Asked) -> None:
        """A response to a request without an origin says what it would depend on, too [20, 24]."""
        cors = middleware(OriginLookup(func=asked.sync, vary=["x-tenant"]))
        assert (await http(cors)).header_all(b"vary") == [b"Origin, x-tenant"]


async def test_function_alone(asked: Asked) -> None:
    """A function alone is enough: an empty list is then no mistake."""
    cors = CORSMiddleware(app, allow_origins=[], allow_origin_func=asked.later)
    assert await allowed(cors, CUSTOMER)


WRONG: list[tuple[Any, str, str]] = [
    ("https://a.test", "allow_origin_func", "not_callable"),
    (OriginLookup(func="x"), "allow_origin_func.func", "not_callable"),  # type: ignore[arg-type]
    (OriginLookup(func=fails, ttl=-1), "allow_origin_func.ttl", "out_of_range"),
    (OriginLookup(func=fails, ttl=float("nan")), "allow_origin_func.ttl", "not_a_number"),
    (OriginLookup(func=fails, max_entries=0), "allow_origin_func.max_entries", "out_of_range"),
    (OriginLookup(func=fails, vary="x-tenant"), "allow_origin_func.vary", "string_for_list"),
    (OriginLookup(func=fails, vary=["x tenant"]), "allow_origin_func.vary", "not_a_header_name"),
]


@pytest.mark.parametrize(("func", "option", "code"), WRONG, ids=range(len(WRONG)))
def test_wrong(func: Any, option: str, code: str) -> None:
    """A wrong function or lookup is one problem with its option and code."""
    with pytest.raises(ConfigurationError) as caught:
        middleware(func)
    assert [(problem.option, problem.code) for problem in caught.value.problems] == [(option, code)]


def test_beside_a_star() -> None:
    """Beside a star the function would never be asked."""
    func: Callable[[str, Any], Awaitable[bool]] = fails
    with pytest.raises(ConfigurationError) as caught:
        CORSMiddleware(app, allow_origins="*", allow_origin_func=func)
    assert [problem.code for problem in caught.value.problems] == ["wildcard_with_others"]
