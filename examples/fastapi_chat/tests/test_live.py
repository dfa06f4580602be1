"""The WebSocket: tokens on the way in, while it is open, and at the end."""

import json
import time

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

READER = {"sub": "ada", "scope": "chat:read"}
WRITER = {"sub": "bob", "scope": "chat:read chat:write"}
PAGE = "https://chat.example"
LEEWAY = 30  # of the service for clocks that differ: a token that ended 28 seconds ago is good for two more


@pytest.fixture
def join(address, token):
    """Open a WebSocket as a page does: with its origin, and its token as a subprotocol."""

    def open_(room="tea", origin=PAGE, **claims):
        subprotocols = ["bearer", token(**claims)] if claims else None
        url = f"{address.replace('http', 'ws', 1)}/rooms/{room}/live"
        return connect(url, origin=origin, subprotocols=subprotocols, open_timeout=10, close_timeout=10)

    return open_


def hear(socket):
    """Give the next message."""
    return json.loads(socket.recv(timeout=10))


def say(socket, **message):
    """Send a message."""
    socket.send(json.dumps(message))


def test_what_one_says_all_hear(join):
    """A message goes to everybody in the room, under the name in the token."""
    with join(**WRITER) as bob, join(**READER) as ada:
        assert bob.subprotocol == "bearer"
        say(bob, type="say", text="hello")
        assert hear(ada) == hear(bob) == {"type": "said", "author": "bob", "text": "hello"}


def test_rest_and_websocket_are_one_room(join, client):
    """What comes by POST is heard at once."""
    with join(room="coffee", **READER) as ada:
        client(**WRITER).post("/rooms/coffee/messages", json={"text": "ready"})
        assert hear(ada)["text"] == "ready"


def test_who_may_only_listen_is_told_so(join):
    """The connection's rule asks for `chat:read`; speaking needs more, and is refused in words."""
    with join(**READER) as ada:
        say(ada, type="say", text="hello?")
        assert hear(ada) == {"type": "refused", "reason": "insufficient_scope"}


@pytest.mark.parametrize("text", ["no JSON", "[]", '{"type": "dance"}', '{"type": "say", "text": ""}'])
def test_what_nobody_understands_ends_nothing(join, text):
    """The connection stays open."""
    with join(**READER) as ada:
        ada.send(text)
        assert hear(ada) == {"type": "refused", "reason": "not_understood"}


@pytest.mark.parametrize(
    ("claims", "code", "reason"),
    [
        ({}, 4401, "credentials_missing"),
        ({**READER, "expires_in": -60}, 4401, "token_expired"),
        ({"sub": "eve"}, 4403, "insufficient_scope"),
    ],
)
def test_a_page_learns_why_it_may_not_join(join, claims, code, reason):
    """The handshake succeeds and a close code follows, since that is all that scripts get to see."""
    with join(**claims) as socket, pytest.raises(ConnectionClosed) as closed:
        hear(socket)
    assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (code, reason)


@pytest.mark.parametrize(("origin", "room", "status"), [("https://evil.example", "tea", 403), (PAGE, "attic", 404)])
def test_other_pages_and_rooms_that_are_not_there_are_refused_in_the_handshake(join, origin, room, status):
    """A foreign page never gets a connection, whatever token it has; a room that nobody set up is a 404."""
    with pytest.raises(InvalidStatus) as refused, join(origin=origin, room=room, **READER):
        pass
    assert refused.value.response.status_code == status


def test_the_connection_ends_with_its_token(join):
    """Nobody has to send anything for that."""
    with join(**READER, expires_in=2 - LEEWAY) as ada, pytest.raises(ConnectionClosed) as closed:
        hear(ada)
    assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (4401, "token_expired")


def test_a_newer_token_keeps_it_open(join, token):
    """Renewed in time, the connection outlives the token that it began with, and may do what the new one grants."""
    with join(**READER, expires_in=3 - LEEWAY) as ada:
        ends = time.time() + 3
        say(ada, type="token", token=token(sub="ada", scope="chat:read chat:write", expires_in=600))
        answer = hear(ada)
        assert (answer["type"], answer["until"] > time.time() + 500) == ("renewed", True)
        time.sleep(max(0, ends - time.time()) + 0.5)
        say(ada, type="say", text="still here")
        assert hear(ada)["text"] == "still here"


def test_somebody_elses_token_does_not(join, token):
    """A token of another subject is refused, and the connection goes on with the old one."""
    with join(**WRITER) as bob:
        say(bob, type="token", token=token(**READER))
        assert hear(bob) == {"type": "refused", "reason": "subject_changed"}
        say(bob, type="say", text="still bob")
        assert hear(bob)["author"] == "bob"


def talk(socket, messages):
    """Send some messages, and listen until the other side ends it."""
    for message in messages:
        socket.send(message)
    while True:
        hear(socket)


def test_a_message_over_the_limit_is_the_last(join):
    """1009: no page of ours sends so much."""
    with join(**WRITER) as bob, pytest.raises(ConnectionClosed) as closed:
        talk(bob, ["x" * 20_000])
    assert closed.value.rcvd.code == 1009


def test_a_flood_ends_the_connection(join):
    """1008: ten messages a second are enough for a person."""
    with join(**READER) as ada, pytest.raises(ConnectionClosed) as closed:
        talk(ada, ["?"] * 100)
    assert closed.value.rcvd.code == 1008


def test_a_session_is_one_log_line(join, service):
    """Written at its end, with who it was, how much was said, and how it closed."""
    with join(room="coffee", sub="zoe", scope="chat:read chat:write") as zoe:
        say(zoe, type="say", text="bye")
        hear(zoe)
    line = service.log_line(event="websocket.session", subject="zoe")
    assert line["route"] == "/rooms/{name}/live"
    assert (line["received_messages"], line["sent_messages"], line["closed_by"]) == (1, 1, "client")
