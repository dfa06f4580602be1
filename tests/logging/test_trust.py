"""Trust: whose ids are taken."""

from collections.abc import MutableMapping
from ipaddress import ip_network
from typing import Any

import pytest
from small_apps import hello

from asgi_middleware._core.config import ConfigurationError, Problems
from asgi_middleware.logging import Correlation, CorrelationIdMiddleware, LoggingMiddleware
from asgi_middleware.logging.trust import check_trusted, trust_of
from asgi_middleware.testing import http

Lines = list[MutableMapping[str, Any]]

TRACE = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
HEADERS = [(b"x-request-id", b"theirs"), (b"traceparent", TRACE)]


@pytest.mark.parametrize(
    ("trusted", "client", "expected"),
    [
        (["10.0.0.0/8"], ("10.1.2.3", 1), True),
        (["10.0.0.0/8"], ("11.1.2.3", 1), False),
        (["10.0.0.0/8"], ("::ffff:10.1.2.3", 1), True),
        (["::1"], ["::1", "80"], True),
        (["::/0"], ("10.1.2.3", 1), False),
        ([ip_network("192.0.2.0/24"), "::1"], ("192.0.2.9", 1), True),
        (["10.0.0.0/8"], None, False),
        (["10.0.0.0/8"], (None, 0), False),
        (["10.0.0.0/8"], ("testclient", 1), False),
        ([], ("10.1.2.3", 1), False),
        (lambda scope: scope["client"] is not None, ("x", 1), True),
    ],
    ids=[
        "inside", "outside", "IPv4 in IPv6", "one address", "other family", "network object", "no client",
        "None inside", "no address", "nobody", "function",
    ],
)  # fmt: skip
def test_networks(trusted: Any, client: Any, expected: bool) -> None:
    """A peer is trusted when its address is in one of the networks, or when the function says so [3.1]."""
    trusts = trust_of(trusted)
    assert trusts is not None
    assert [bool(trusts({"client": client})) for _ in range(2)] == [expected] * 2


def test_everybody() -> None:
    """None trusts everybody."""
    assert trust_of(None) is None


def test_many_peers() -> None:
    """What is kept of peers has a bound."""
    trusts = trust_of(["10.0.0.0/8"])
    assert trusts is not None
    for number in range(3000):
        assert trusts({"client": (f"10.0.{number // 256}.{number % 256}", 1)})
    assert len(trusts.__self__._known) <= 1024  # type: ignore[attr-defined]


@pytest.mark.parametrize("wrong", ["10.0.0.0/8", 7, ["10.0.0.1/8"], ["nowhere"], [None]])
def test_wrong_policies(wrong: Any) -> None:
    """A policy that is none is told at construction."""
    problems = Problems("test")
    check_trusted("trusted", wrong, problems)
    assert [problem.option for problem in problems.found()] == ["trusted"]
    with pytest.raises(ConfigurationError):
        CorrelationIdMiddleware(hello, trusted=wrong)
    with pytest.raises(ConfigurationError):
        LoggingMiddleware(hello, correlation=Correlation(trusted=wrong))


@pytest.mark.anyio
@pytest.mark.parametrize("peer", ["10.0.0.1", "192.0.2.1"])
async def test_lines(peer: str, lines: Lines) -> None:
    """A stranger's id is replaced and kept beside, and its trace is not continued; a trusted peer's are taken [3.1]."""
    app = LoggingMiddleware(hello, correlation=Correlation(trusted=["10.0.0.0/8"]))
    result = await http(app, headers=HEADERS, client=(peer, 1))
    [line] = lines
    trusted = peer == "10.0.0.1"
    assert (line["request_id"] == "theirs") is trusted
    assert line.get("client_request_id") == (None if trusted else "theirs")
    assert (line["trace_id"] == TRACE[3:35].decode()) is trusted
    assert ("parent_span_id" in line) is trusted
    assert result.header_all(b"x-request-id") == [line["request_id"].encode()]


@pytest.mark.anyio
async def test_a_strangers_bad_id_is_not_kept(lines: Lines) -> None:
    """An unsafe id of a stranger is nowhere on the line."""
    app = LoggingMiddleware(hello, correlation=Correlation(trusted=[]))
    await http(app, headers=[(b"x-request-id", b"a\x1b[31m")])
    assert "client_request_id" not in lines[0]


@pytest.mark.anyio
async def test_correlation_alone() -> None:
    """CorrelationIdMiddleware has the same option, and the app never sees a stranger's id."""
    seen: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append([value for name, value in scope["headers"] if name == b"x-request-id"])
        await hello(scope, receive, send)

    result = await http(CorrelationIdMiddleware(app, trusted=lambda scope: False), headers=HEADERS)
    [told] = result.header_all(b"x-request-id")
    assert seen == [[told]]
    assert told != b"theirs"


@pytest.mark.anyio
async def test_a_policy_that_raises(lines: Lines, capsys: pytest.CaptureFixture[str]) -> None:
    """A function that raises trusts nobody, and is counted [3.1]."""

    def broken(scope: Any) -> bool:
        raise RuntimeError

    app = LoggingMiddleware(hello, correlation=Correlation(trusted=broken))
    assert (await http(app, headers=HEADERS)).status == 200
    assert lines[0]["request_id"] != "theirs"
    assert app.failures > 0
    assert "asgi_middleware:" in capsys.readouterr().err
