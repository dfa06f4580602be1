"""What is recorded of a WebSocket: the handshake's outcome, and the connection from accept to close."""

from typing import Any

import anyio
import pytest

from asgi_middleware._core.refusals import Refusal
from asgi_middleware.metrics import websockets
from asgi_middleware.testing.driver import drive, websocket, websocket_scope

pytestmark = pytest.mark.anyio

HANDSHAKES = ("websocket_server_handshakes_total", "outcome", "http_response_status_code")
CLOSED = ("websocket_server_connection_duration_seconds_count", "code")
ACTIVE = ("websocket_server_active_connections", "http_route")

ACCEPT = {"type": "websocket.accept"}
CLOSE = {"type": "websocket.close", "code": 1000, "reason": ""}
DENY = [
    {"type": "websocket.http.response.start", "status": 401, "headers": []},
    {"type": "websocket.http.response.body", "body": b"", "more_body": False},
]


class Failed(Exception):
    pass


def sending(*messages: dict[str, Any], then: BaseException | None = None) -> Any:
    """Give an app that takes the connect, sends these messages and then raises, if told to."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        assert (await receive())["type"] == "websocket.connect"
        for message in messages:
            await send(message)
        if then is not None:
            raise then

    return app


@pytest.mark.parametrize(
    ("messages", "then", "handshake", "code"),
    [
        ([ACCEPT, CLOSE], None, ("accepted", "101"), "1000"),
        ([ACCEPT, {"type": "websocket.close"}], None, ("accepted", "101"), "1000"),
        ([ACCEPT, {**CLOSE, "code": 4001}], None, ("accepted", "101"), "4xxx"),
        ([ACCEPT, {**CLOSE, "code": None}], None, ("accepted", "101"), "1005"),
        ([ACCEPT, {"type": "websocket.send", "text": ""}, CLOSE], None, ("accepted", "101"), "1000"),
        ([ACCEPT], None, ("accepted", "101"), "unclosed"),
        ([ACCEPT], Failed(), ("accepted", "101"), "1011"),
        ([ACCEPT, CLOSE], Failed(), ("accepted", "101"), "1000"),
        ([CLOSE], None, ("rejected", "403"), None),
        ([{"type": "websocket.close"}], None, ("rejected", "403"), None),
        (DENY, None, ("denied", "401"), None),
        ([{**DENY[0], "status": 777}], None, ("denied", "_OTHER"), None),
        ([], None, ("error", "500"), None),
        ([], Failed(), ("error", "500"), None),
        ([{"type": "of.the.future"}, ACCEPT, CLOSE], None, ("accepted", "101"), "1000"),
    ],
    ids=str,
)
async def test_how_it_ends(
    metrics: Any, messages: Any, then: Any, handshake: tuple[str, str], code: str | None
) -> None:
    """Every handshake has one outcome, every accepted connection one close; the gauge returns to 0 [T26]."""
    result = await websocket(metrics.wrap(sending(*messages, then=then)), raise_exceptions=False)
    assert result.exception is then
    assert result.sent == list(messages)
    assert metrics.read(*HANDSHAKES) == {handshake: 1}
    assert metrics.read(*CLOSED) == ({} if code is None else {code: 1})
    assert metrics.read(*ACTIVE) == ({} if code is None else {"": 0})
    assert metrics.requests() == {}, "a connection's life is in no HTTP histogram [T27]"
    assert metrics.errors() == {}


@pytest.mark.parametrize(
    ("leaving", "code"),
    [({"code": 1001, "reason": "away"}, "1001"), ({"code": 1005}, "1005"), ({}, "1005"), ({"code": 3001}, "3xxx")],
    ids=str,
)
async def test_a_client_that_closes(metrics: Any, leaving: dict[str, Any], code: str) -> None:
    """The client's code is recorded, a missing one as 1005; what the app sends afterwards changes nothing [T26]."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await sending(ACCEPT)(scope, receive, send)
        assert metrics.read(*ACTIVE) == {"": 1}
        assert (await receive())["type"] == "websocket.receive"
        assert (await receive())["type"] == "websocket.disconnect"
        assert metrics.read(*ACTIVE) == {"": 0}
        await send(CLOSE)
        raise Failed

    messages = [
        {"type": "websocket.connect"},
        {"type": "websocket.receive", "text": "hello", "bytes": None},
        {"type": "websocket.disconnect", **leaving},
    ]
    await drive(metrics.wrap(app), websocket_scope(), messages, raise_exceptions=False)
    assert metrics.read(*CLOSED) == {code: 1}
    assert metrics.read(*HANDSHAKES) == {("accepted", "101"): 1}


async def test_a_client_that_leaves_before_the_accept(metrics: Any) -> None:
    """A client that does not wait for the answer is one outcome, without status."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        assert (await receive())["type"] == "websocket.disconnect"

    await websocket(metrics.wrap(app))
    assert metrics.read(*HANDSHAKES) == {("disconnected", ""): 1}
    assert metrics.read(*CLOSED) == {}


@pytest.mark.parametrize(
    ("messages", "handshake", "code"),
    [
        ([CLOSE], ("rejected", "403"), None),
        (DENY, ("denied", "401"), None),
        ([ACCEPT, {**CLOSE, "code": 4001}], ("accepted", "101"), "4xxx"),
    ],
)
async def test_told_while_the_close_is_sent(metrics: Any, messages: Any, handshake: Any, code: str | None) -> None:
    """A server may tell a waiting receive of the end before the app's own close has been sent: nobody has left."""
    closing, told = anyio.Event(), anyio.Event()

    async def receive() -> Any:
        await closing.wait()
        return {"type": "websocket.disconnect", "code": 1006}

    async def send(message: Any) -> None:
        if message["type"] in {"websocket.close", "websocket.http.response.start"}:
            closing.set()
            await told.wait()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        async def listen() -> None:
            await receive()
            told.set()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(listen)
            for message in messages:
                await send(message)

    await metrics.wrap(app)(websocket_scope(), receive, send)
    assert metrics.read(*HANDSHAKES) == {handshake: 1}
    assert metrics.read(*CLOSED) == ({} if code is None else {code: 1})


@pytest.mark.parametrize(
    ("failing", "handshake", "code"), [(0, ("disconnected", ""), None), (1, ("accepted", "101"), "1006")]
)
async def test_an_oserror_from_send(metrics: Any, failing: int, handshake: tuple[str, str], code: str | None) -> None:
    """An OSError of the server's send is an abnormal end by the client, and comes through unchanged [T14]."""
    gone = OSError("gone")
    count = 0

    async def receive() -> Any:
        return {"type": "websocket.connect"}

    async def send(message: Any) -> None:
        nonlocal count
        if count == failing:
            raise gone
        count += 1

    app = sending(ACCEPT, {"type": "websocket.send", "text": "x"})
    with pytest.raises(OSError, match="gone") as raised:
        await metrics.wrap(app)(websocket_scope(), receive, send)
    assert raised.value is gone
    assert metrics.read(*HANDSHAKES) == {handshake: 1}
    assert metrics.read(*CLOSED) == ({} if code is None else {code: 1})


@pytest.mark.parametrize(("messages", "code"), [([ACCEPT], "1006"), ([ACCEPT, CLOSE], "1000")], ids=["lost", "closed"])
async def test_it_ends_once(metrics: Any, messages: Any, code: str) -> None:
    """What an app hears after the end, and what it tries to send, ends nothing again."""
    script = iter([{"type": "websocket.connect"}, *[{"type": "websocket.disconnect", "code": 1001}] * 2])
    left = len(messages)

    async def receive() -> Any:
        return next(script)

    async def send(message: Any) -> None:
        nonlocal left
        if not left:
            raise OSError("gone")
        left -= 1

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await sending(*messages)(scope, receive, send)
        for _ in range(2):
            with pytest.raises(OSError, match="gone"):
                await send({"type": "websocket.send", "text": "x"})
            assert (await receive())["type"] == "websocket.disconnect"

    await metrics.wrap(app)(websocket_scope(), receive, send)
    assert metrics.read(*CLOSED) == {code: 1}
    assert metrics.read(*ACTIVE) == {"": 0}


@pytest.mark.parametrize(
    ("messages", "options"),
    [([ACCEPT], {"websocket_messages": False}), ([ACCEPT, CLOSE], {})],
    ids=["switched off", "after the close"],
)
async def test_sizes_that_nobody_counts_are_not_kept(
    metrics: Any, monkeypatch: pytest.MonkeyPatch, messages: Any, options: Any
) -> None:
    """However many messages pass that are not counted, their sizes take no more memory than a batch."""
    made: list[Any] = []
    held: list[int] = []

    class Seen(websockets.MeasuredWebSocket):
        def __init__(self, *given: Any) -> None:
            super().__init__(*given)
            made.append(self)

    monkeypatch.setattr(websockets, "MeasuredWebSocket", Seen)
    many = 2 * websockets.BATCH

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await sending(*messages)(scope, receive, send)
        for _ in range(many):
            await send({"type": "websocket.send", "text": "x"})
        held.append(len(made[0].left))
        for _ in range(many):
            await receive()
        held.append(len(made[0].arrived))

    script = [{"type": "websocket.connect"}, *[{"type": "websocket.receive", "text": "x"}] * many]
    await drive(metrics.wrap(app, **options), websocket_scope(), script)
    assert max(held) <= websockets.BATCH + websockets.LOOK_EVERY


@pytest.mark.parametrize(
    ("before", "handshake", "code"), [([], ("cancelled", ""), None), ([ACCEPT], ("accepted", "101"), "cancelled")]
)
async def test_cancellation(metrics: Any, before: Any, handshake: tuple[str, str], code: str | None) -> None:
    """A cancelled connection is no longer active and is recorded once [T13, T26]."""
    waiting = anyio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await sending(*before)(scope, receive, send)
        waiting.set()
        await anyio.sleep_forever()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(websocket, metrics.wrap(app))
        await waiting.wait()
        tasks.cancel_scope.cancel()
    assert metrics.read(*HANDSHAKES) == {handshake: 1}
    assert metrics.read(*CLOSED) == ({} if code is None else {code: 1})
    assert sum(metrics.read(*ACTIVE).values()) == 0


@pytest.mark.parametrize("denial", [True, False])
async def test_refusals(metrics: Any, denial: bool) -> None:
    """A refusal before the accept is counted by its reason, as denial response or as close."""
    refusal = Refusal(401, "token_expired")
    await websocket(metrics.wrap(refusal.send), denial_response=denial)
    assert metrics.read("asgi_middleware_refusals_total", "reason", "protocol") == {("token_expired", "websocket"): 1}
    assert metrics.read(*HANDSHAKES) == {("denied", "401") if denial else ("rejected", "403"): 1}


async def test_the_route_is_a_label(metrics: Any) -> None:
    """Route and duration belong to the connection's template."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        scope["path_template"] = "/chat/{room}"
        await sending(ACCEPT)(scope, receive, send)
        await anyio.sleep(0.02)
        await send(CLOSE)
        await anyio.sleep(0.02)

    await websocket(metrics.wrap(app), "/chat/7")
    assert metrics.read(*ACTIVE) == {"/chat/{room}": 0}
    assert metrics.read("websocket_server_handshakes_total", "http_route") == {"/chat/{room}": 1}
    sums = metrics.read("websocket_server_connection_duration_seconds_sum", "http_route", "code")
    assert list(sums) == [("/chat/{room}", "1000")]
    assert 0.02 <= sums["/chat/{room}", "1000"] < 5


async def test_a_copy_further_in_steps_aside(metrics: Any) -> None:
    """Two instances around one WebSocket record it once [T21]."""
    await websocket(metrics.wrap(metrics.wrap(sending(ACCEPT, CLOSE))))
    assert metrics.read(*HANDSHAKES) == {("accepted", "101"): 1}
    assert metrics.read(*CLOSED) == {"1000": 1}


async def test_excluded(metrics: Any) -> None:
    """An excluded WebSocket leaves no trace."""
    await websocket(metrics.wrap(sending(ACCEPT, CLOSE), exclude_paths=["/ws"]), "/ws")
    assert metrics.read(*HANDSHAKES) == {}


async def test_the_exchange_does_not_keep_the_scope(metrics: Any) -> None:
    """After the connection the Exchange holds no scope."""
    kept: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        kept.append(scope["asgi_middleware"])
        assert kept[-1].scope is scope

    await websocket(metrics.wrap(app))
    assert kept[0].scope is None


async def test_random_codes_paths_and_headers_add_no_series(metrics: Any) -> None:
    """Two hundred made-up paths, codes and subprotocols stay within the sets."""
    for number in range(200):
        app = sending(ACCEPT, {**CLOSE, "code": number * 30})
        await websocket(
            metrics.wrap(app), f"/{number}", subprotocols=[f"s{number}"], headers=[(b"host", b"%d" % number)]
        )
    assert metrics.read(*HANDSHAKES) == {("accepted", "101"): 200}
    assert set(metrics.read(*CLOSED)) <= {"_OTHER", "3xxx", "4xxx", *(str(code) for code in range(1000, 1016))}


@pytest.mark.parametrize("missing", ["scheme", "http_version", "asgi", "state", "extensions", "raw_path"])
async def test_scopes_of_lesser_servers(metrics: Any, missing: str) -> None:
    """Keys that a server leaves out of a WebSocket's scope are no failure."""
    await websocket(metrics.wrap(sending(ACCEPT, CLOSE)), **{missing: ...})
    assert metrics.read(*CLOSED) == {"1000": 1}
    assert metrics.errors() == {}


async def test_nonsense(metrics: Any) -> None:
    """Messages that cannot be understood pass both ways, and are counted as failures; after the end nothing is."""
    sent: list[Any] = []
    script = iter([{}, {"type": "websocket.connect"}])

    async def receive() -> Any:
        return next(script)

    async def send(message: Any) -> None:
        sent.append(message)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        assert await receive() == {}
        await receive()
        for message in ({}, {"type": "websocket.http.response.start"}, CLOSE, CLOSE, {}):
            await send(message)

    await metrics.wrap(app)(websocket_scope(), receive, send)
    assert sent == [{}, {"type": "websocket.http.response.start"}, CLOSE, CLOSE, {}]
    assert metrics.errors() == {"message": 3}
    assert metrics.read(*HANDSHAKES) == {("rejected", "403"): 1}
