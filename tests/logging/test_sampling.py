"""Sampling: which lines are written when not all are."""

from collections.abc import MutableMapping
from typing import Any

import pytest
from small_apps import hello

from asgi_middleware._core.config import ConfigurationError
from asgi_middleware._core.exchange import Exchange
from asgi_middleware.logging import Ending, LoggingMiddleware, Sampling, TraceContext
from asgi_middleware.logging.sampling import Sampler
from asgi_middleware.testing import http

Lines = list[MutableMapping[str, Any]]


def exchange(trace_id: str = "", request_id: str | None = None) -> Exchange:
    """Make an Exchange with these ids."""
    made = Exchange()
    made.trace = TraceContext(trace_id, "1" * 16) if trace_id else None
    made.request_id = request_id
    return made


def ending(outcome: Any = "ok", status: int | None = 200, duration: float = 0.0) -> Ending:
    """Make an ending."""
    return Ending(outcome, status, None, duration)


@pytest.mark.parametrize(
    ("rate", "digits", "kept"),
    [
        (0.5, "80000000000000", True),
        (0.5, "7fffffffffffff", False),
        (0.25, "c0000000000000", True),
        (0.25, "bfffffffffffff", False),
        (1, "00000000000000", True),
        (0, "ffffffffffffff", False),
    ],
)
def test_threshold(rate: float, digits: str, kept: bool) -> None:
    """The right-most 56 bits of the trace id decide, against one threshold for all services [4]."""
    assert Sampler(Sampling(rate=rate)).rate_of(ending(), exchange("f" * 18 + digits)) == (rate if kept else None)


def test_lower_rates_keep_a_part_of_the_same() -> None:
    """A service of a lower rate keeps no trace that one of a higher rate drops."""
    low, high = Sampler(Sampling(rate=0.1)), Sampler(Sampling(rate=0.6))
    for number in range(200):
        one = exchange(f"{number * 0x9E3779B97F4A7C15F39CC0605CEDC835 % 2**128:032x}")
        assert low.rate_of(ending(), one) is None or high.rate_of(ending(), one) is not None


@pytest.mark.parametrize(
    "loud",
    [ending("error", 500), ending("ok", 404), ending("cancelled"), ending("client_disconnect"), ending(duration=2.0)],
    ids=["error", "not found", "cancelled", "disconnect", "slow"],
)
def test_failures_and_slow_ones_are_kept(loud: Ending) -> None:
    """What failed or was slow is written whatever the rate, and stands for itself alone [4]."""
    assert Sampler(Sampling(rate=0, slow_after=2.0)).rate_of(loud, exchange("0" * 32)) == 1.0


def test_without_a_trace() -> None:
    """The request id decides where there is no trace, the same way each time; without either it is chance."""
    sampler = Sampler(Sampling(rate=0.5))
    found = [sampler.rate_of(ending(), exchange(request_id=f"id-{number}")) for number in range(400)]
    assert found == [sampler.rate_of(ending(), exchange(request_id=f"id-{number}")) for number in range(400)]
    assert 100 < found.count(0.5) < 300
    assert {sampler.rate_of(ending(), exchange()) for _ in range(100)} == {None, 0.5}


@pytest.mark.anyio
async def test_lines(lines: Lines) -> None:
    """A line tells its rate; one that is left out is not built; the id is given all the same."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        status = 500 if scope["path"] == "/broken" else 200
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body"})

    wrapped = LoggingMiddleware(app, sampling=Sampling(rate=0))
    assert (await http(wrapped)).header(b"x-request-id")
    await http(wrapped, path="/broken")
    assert [(line["path"], line["sampling_rate"]) for line in lines] == [("/broken", 1.0)]
    await http(LoggingMiddleware(hello))
    assert "sampling_rate" not in lines[1]


@pytest.mark.anyio
@pytest.mark.parametrize(("answered", "told"), [(1.0, False), (3.0, True)], ids=["quick", "slow"])
async def test_slow_is_who_answers_late(
    lines: Lines, monkeypatch: pytest.MonkeyPatch, answered: float, told: bool
) -> None:
    """What the app does after its response makes a request no slower."""
    for name, now in (("middleware", 0.0), ("observation", answered), ("access_log", 100.0)):
        monkeypatch.setattr(f"asgi_middleware.logging.{name}.perf_counter", lambda now=now: now)
    await http(LoggingMiddleware(hello, sampling=Sampling(rate=0, slow_after=2.0)))
    assert bool(lines) is told


@pytest.mark.parametrize("wrong", [Sampling(rate=2), Sampling(rate=0.5, slow_after=-1), 0.5])
def test_wrong_options(wrong: Any) -> None:
    """A rate outside 0 to 1, a negative time and a bare number are told."""
    with pytest.raises(ConfigurationError):
        LoggingMiddleware(hello, sampling=wrong)
