"""RequestBodyLimitMiddleware's options: sizes by path, 411, and an answer of one's own."""

import logging
import re
from typing import Any

import pytest
from starlette.responses import JSONResponse, StreamingResponse

from asgi_middleware._core.config import ConfigurationError
from asgi_middleware._core.exchange import enter
from asgi_middleware.limits import RequestBodyLimitMiddleware
from asgi_middleware.testing.driver import drive, http, http_scope

pytestmark = pytest.mark.anyio

CHUNKED = [(b"transfer-encoding", b"chunked")]


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Read the body, and answer with its length."""
    size, more = 0, True
    while more:
        message = await receive()
        size += len(message.get("body", b""))
        more = message.get("more_body", False)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"%d" % size})


def declared(size: int) -> list[tuple[bytes, bytes]]:
    """Give the header of a declared length."""
    return [(b"content-length", b"%d" % size)]


class TestOverrides:
    RULES: dict[Any, int | None] = {  # noqa: RUF012 -- never changed
        "/upload": 100,
        "PUT /blobs/*": None,
        "/upload/**": 50,
        "/small/**": 5,
        "/small/*": 7,
        re.compile(r"/api/v\d+"): 20,
    }

    @pytest.mark.parametrize(
        ("method", "path", "limit"),
        [
            ("POST", "/", 10),
            ("POST", "/upload", 100),
            ("POST", "//upload", 10),  # for no looser limit may a path be read in two ways
            ("POST", "/UPLOAD", 10),
            ("POST", "/upload/x", 50),
            ("PUT", "/blobs/x", 100_000),
            ("POST", "/blobs/x", 10),
            ("POST", "/small/x", 5),
            ("POST", "//SMALL/x", 5),  # for a stricter one any reading counts
            ("POST", "/api/v2", 20),
            ("GET", "/upload", 100),
        ],
    )
    @pytest.mark.parametrize("headers", [CHUNKED, None], ids=["chunked", "declared"])
    async def test_by_path(self, method: str, path: str, limit: int, headers: list[tuple[bytes, bytes]] | None) -> None:
        """Each path has its own limit, by the declared length and by counting alike [B13]."""
        limited = RequestBodyLimitMiddleware(app, max_body_size=10, overrides=self.RULES)
        for size, status in ((limit, 200), (limit + 1, 413 if limit < 100_000 else 200)):
            own = declared(size) if headers is None else headers
            assert (await http(limited, method, path, headers=own, body=b"x" * size)).status == status

    async def test_the_stricter_of_two(self) -> None:
        """Of an outer and an inner limit the stricter one answers [B13]."""
        for outer, inner in ((10, 100), (100, 10)):
            both = RequestBodyLimitMiddleware(RequestBodyLimitMiddleware(app, max_body_size=inner), max_body_size=outer)
            assert (await http(both, "POST", headers=CHUNKED, body=[b"x"] * 11)).status == 413
            assert (await http(both, "POST", headers=CHUNKED, body=[b"x"] * 10)).status == 200

    async def test_the_drain_of_an_inner_one(self) -> None:
        """What an inner limit throws away may pass an outer limit, and the answer is whole all the same [B10]."""
        both = RequestBodyLimitMiddleware(RequestBodyLimitMiddleware(app, max_body_size=10), max_body_size=100)
        result = await http(both, "POST", headers=CHUNKED, body=[b"x" * 11] * 100)
        assert (result.status, result.complete) == (413, True)
        assert result.header(b"content-length") == b"%d" % len(result.body)

    @pytest.mark.parametrize("overrides", [["/x"], {"x": 1}, {"/x": -1}, {"/x": True}, {"/x": "1"}])
    def test_wrong(self, overrides: Any) -> None:
        """A wrong override is an error at construction, which names the rule."""
        with pytest.raises(ConfigurationError, match="overrides"):
            RequestBodyLimitMiddleware(app, max_body_size=10, overrides=overrides)


class TestContentLengthRequired:
    @pytest.mark.parametrize(
        ("headers", "body", "version", "status"),
        [
            (CHUNKED, b"x", "1.1", 411),
            (CHUNKED, b"", "1.1", 411),
            ([*CHUNKED, *declared(1)], b"x", "1.1", 411),
            (declared(1), b"x", "1.1", 200),
            (declared(11), b"x" * 11, "1.1", 413),
            ([], b"", "1.1", 200),
            ([], b"x", "1.1", 411),
            ([], b"x", "2", 411),
            ([], b"", "2", 200),
            (declared(1), b"x", "2", 200),
            ([(b"transfer-encoding", b"5")], b"x", "1.1", 411),
        ],
        ids=range(11),
    )
    @pytest.mark.parametrize("method", ["POST", "GET"])
    async def test_status(
        self, headers: list[tuple[bytes, bytes]], body: bytes, version: str, status: int, method: str
    ) -> None:
        """A body whose length was not declared is a 411; one without a body needs none (RFC 9110 15.5.12)."""
        limited = RequestBodyLimitMiddleware(app, max_body_size=10, require_content_length=True)
        result = await http(limited, method, headers=headers, body=body, http_version=version)
        assert result.status == status
        if status == 411:
            assert result.json()["reason"] == "length_required"


class TestOnExceeded:
    @pytest.mark.parametrize("headers", [CHUNKED, declared(11)], ids=["chunked", "declared"])
    @pytest.mark.parametrize("version", ["1.1", "2"])
    async def test_answer(self, headers: list[tuple[bytes, bytes]], version: str) -> None:
        """A response of any framework goes out in place of the 413, closes the connection, and lingers [B10]."""
        limited = RequestBodyLimitMiddleware(
            app, max_body_size=10, on_exceeded=lambda scope: JSONResponse({"path": scope["path"]}, status_code=422)
        )
        scope, exchange = enter(http_scope("POST", "/x", headers=headers, http_version=version))
        body = [{"type": "http.request", "body": b"x" * 11, "more_body": True}, {"type": "http.request"}]
        result = await drive(limited, scope, body)
        assert (result.status, result.json()) == (422, {"path": "/x"})
        assert result.header(b"connection") == (b"close" if version == "1.1" else None)
        assert [len(message["body"]) for message in result.sent[1:]] == [len(result.body) - 1, 1]
        assert result.received == 2
        assert exchange.refusal is not None
        assert exchange.refusal.reason == "body_too_large"

    @pytest.mark.parametrize(
        ("headers", "reason"),
        [(declared(-1), "malformed_content_length"), (CHUNKED, "length_required")],
        ids=["400", "411"],
    )
    async def test_only_for_large_bodies(self, headers: list[tuple[bytes, bytes]], reason: str) -> None:
        """Any other refusal is answered as ever."""
        limited = RequestBodyLimitMiddleware(
            app, max_body_size=10, require_content_length=True, on_exceeded=lambda scope: JSONResponse({})
        )
        assert (await http(limited, "POST", headers=headers, body=b"x")).json()["reason"] == reason

    @pytest.mark.parametrize("last", [b"", None, memoryview(b"h"), bytearray(b"h of it")], ids=range(4))
    async def test_its_last_byte_waits(self, last: Any) -> None:
        """Whatever its messages are, the last byte of all waits while the upload is read (RFC 9112 9.6)."""

        async def pieces(scope: Any, receive: Any, send: Any) -> None:
            await send({"type": "http.response.start", "status": 413})
            await send({"type": "http.response.body", "body": b"too muc", "more_body": True})
            await send({"type": "http.response.body", "body": last})

        limited = RequestBodyLimitMiddleware(app, max_body_size=10, on_exceeded=lambda scope: pieces)
        result = await http(limited, "POST", headers=declared(11), body=b"x" * 11)
        whole = b"too muc" + bytes(last or b"")
        assert [message["body"] for message in result.sent[1:]] == [whole[:-1], whole[-1:]]
        assert result.received == 1

    async def test_the_answer_of_a_constant(self) -> None:
        """An answer that is made of constants stays as it is, and says once that the connection closes."""
        start = {"type": "http.response.start", "status": 413, "headers": [(b"Connection", b"keep-alive")]}

        async def constant(scope: Any, receive: Any, send: Any) -> None:
            await send(start)
            await send({"type": "http.response.body", "body": b"x"})

        limited = RequestBodyLimitMiddleware(app, max_body_size=10, on_exceeded=lambda scope: constant)
        for _ in range(2):
            result = await http(limited, "POST", headers=declared(11), body=b"x" * 11)
            assert result.sent[0]["headers"] == [(b"connection", b"close")]
        assert start["headers"] == [(b"Connection", b"keep-alive")]

    @pytest.mark.parametrize("broken", ["raises", "no app", "says nothing", "unfinished", "a file"])
    async def test_fails(self, broken: str, caplog: pytest.LogCaptureFixture) -> None:
        """Where the function fails, the answer is the usual 413, and the log has the failure."""

        async def unfinished(scope: Any, receive: Any, send: Any) -> None:
            if broken == "unfinished":
                await send({"type": "http.response.start", "status": 200, "headers": []})
                await send({"type": "http.response.body", "body": b"x", "more_body": True})
            if broken == "a file":
                await send({"type": "http.response.start", "status": 200, "headers": []})
                await send({"type": "http.response.pathsend", "path": "/x"})

        def make(scope: Any) -> Any:
            if broken == "raises":
                raise ValueError
            return None if broken == "no app" else unfinished

        limited = RequestBodyLimitMiddleware(app, max_body_size=10, on_exceeded=make)
        with caplog.at_level(logging.ERROR, "asgi_middleware.limits"):
            result = await http(limited, "POST", headers=CHUNKED, body=b"x" * 11)
        assert result.json()["reason"] == "body_too_large"
        assert len(caplog.records) == 1

    async def test_collected(self) -> None:
        """A response in pieces is collected and goes out whole."""

        async def pieces() -> Any:
            yield b"too "
            yield b"large"

        limited = RequestBodyLimitMiddleware(
            app, max_body_size=10, on_exceeded=lambda scope: StreamingResponse(pieces(), status_code=413)
        )
        result = await http(limited, "POST", headers=CHUNKED, body=b"x" * 11)
        assert (result.status, result.body, result.complete) == (413, b"too large", True)
