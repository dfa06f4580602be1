"""Refused WebSockets as real servers tell them: the close code of a limit, and a refusal before the accept."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from limits.conftest import CHOSEN
from matrix.variants import ALL, VARIANTS, Variant
from processes import Server
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

DAPHNE = [variant for variant in VARIANTS if variant.name == "daphne" and ALL]


@pytest.fixture(scope="module", params=[*CHOSEN, *DAPHNE], ids=lambda variant: variant.name)
def variant(request: pytest.FixtureRequest) -> Variant:
    """Each server, and daphne, which sends few close codes."""
    chosen: Variant = request.param
    return chosen


@pytest.fixture
def opened(server: Server) -> Iterator[ClientConnection]:
    with connect(f"{server.websocket_url}/raw/", proxy=None) as connection:
        connection.send("x")
        assert connection.recv(timeout=5) == "x"
        yield connection


@pytest.mark.parametrize("message", ["ä" * 501, b"x" * 1_001], ids=["text", "bytes"])
def test_a_message_that_is_too_large(opened: ClientConnection, variant: Variant, message: str | bytes) -> None:
    """The client is told 1009, or 4009 by a server that takes no such code [W1]."""
    opened.send(message)
    with pytest.raises(ConnectionClosed) as caught:
        opened.recv(timeout=5)
    assert caught.value.rcvd is not None
    told = (caught.value.rcvd.code, caught.value.rcvd.reason)
    assert told == ((4009, "") if variant in DAPHNE else (1009, "message_too_large"))


def test_silence(opened: ClientConnection, variant: Variant) -> None:
    """A silent client is told 1001, or 4001 [W3]."""
    with pytest.raises(ConnectionClosed) as caught:
        opened.recv(timeout=5)
    assert caught.value.rcvd is not None
    assert caught.value.rcvd.code == (4001 if variant in DAPHNE else 1001)


def test_too_many_connections(server: Server, variant: Variant) -> None:
    """The fifth connection of a client is refused before the accept, by a status [W1]."""
    url = f"{server.websocket_url}/raw/"
    with ExitStack() as stack:
        for _ in range(4):
            connection = stack.enter_context(connect(url, proxy=None))
            connection.send("x")
            assert connection.recv(timeout=5) == "x"
        with pytest.raises(InvalidStatus) as caught:
            connect(url, proxy=None)
    assert caught.value.response.status_code == (403 if variant in DAPHNE else 429)
