"""The 413 as a real client sees it, which goes on sending while it is refused [B9, B10]."""

import http.client
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
import uvicorn

from asgi_middleware.limits import RequestBodyLimitMiddleware

LIMIT = 100_000
CHUNK = b"x" * 65_536
CHUNKS = 64  # 4 MiB: more than the sockets' buffers hold, so the client is still sending when the answer comes


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Read the whole body, then answer."""
    while (await receive()).get("more_body", False):
        pass
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


@pytest.fixture(scope="module", params=["h11", "httptools"])
def port(request: pytest.FixtureRequest) -> Iterator[int]:
    """Run uvicorn in a thread, with each of its HTTP parsers."""
    listener = socket.create_server(("127.0.0.1", 0))
    limited = RequestBodyLimitMiddleware(app, max_body_size=LIMIT)
    server = uvicorn.Server(uvicorn.Config(limited, http=request.param, lifespan="off", log_level="error"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    deadline = time.monotonic() + 10
    while not server.started and time.monotonic() < deadline:
        time.sleep(0.01)
    yield listener.getsockname()[1]
    server.should_exit = True
    thread.join(10)
    assert not thread.is_alive()


@pytest.fixture
def client(port: int) -> Iterator[http.client.HTTPConnection]:
    """Connect with a client that sends everything before it looks for an answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    yield connection
    connection.close()


@pytest.mark.parametrize("chunked", [False, True], ids=["declared", "chunked"])
def test_client_sees_the_refusal(client: http.client.HTTPConnection, chunked: bool) -> None:
    """A client that sends far more than the limit gets the whole 413, and then the connection closes [B9, B10]."""
    if chunked:
        client.request("POST", "/", body=(CHUNK for _ in range(CHUNKS)), encode_chunked=True)
    else:
        client.request("POST", "/", body=CHUNK * CHUNKS)
    response = client.getresponse()
    assert response.status == 413
    assert b'"reason":"body_too_large"' in response.read()
    assert response.getheader("connection") == "close"


def test_no_continue(port: int) -> None:
    """A client that asks first gets the 413 instead of 100 Continue [B8]."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        head = b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 200000\r\nexpect: 100-continue\r\n\r\n"
        connection.sendall(head)
        answer = b"".join(iter(lambda: connection.recv(65_536), b""))
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"100 Continue" not in answer


def test_within_the_limit(client: http.client.HTTPConnection) -> None:
    """A body within the limit is answered, and the connection goes on."""
    for _ in range(2):
        client.request("POST", "/", body=CHUNK)
        response = client.getresponse()
        assert (response.status, response.read()) == (200, b"ok")
