"""Refusal: exact answers on HTTP and on WebSocket."""

from __future__ import annotations

import json

import pytest

from asgi_middleware._core.exchange import enter
from asgi_middleware._core.refusals import INTERNAL_ERROR, Refusal, problem_document
from asgi_middleware.testing import drive, http, http_scope, websocket, websocket_scope

pytestmark = pytest.mark.anyio

TOO_LARGE = Refusal(413, "body_too_large", detail="The body is too large.", close_code=1009)


def refusing(refusal: Refusal, *, request_id: str | None = None, close_connection: bool = False):
    async def app(scope, receive, send):
        scope, exchange = enter(scope)
        exchange.request_id = request_id
        await refusal.send(scope, receive, send, close_connection=close_connection)
        assert exchange.refusal is refusal

    return app


class TestProblemDocument:
    """The body (RFC 9457)."""

    def test_holds_what_is_known(self):
        """Only members that have a value are written."""
        assert json.loads(problem_document(404, "Not Found")) == {"title": "Not Found", "status": 404}
        full = problem_document(400, "Bad", detail="d", reason="r", request_id="i", errors=[1])
        assert json.loads(full) == {
            "title": "Bad",
            "status": 400,
            "detail": "d",
            "reason": "r",
            "request_id": "i",
            "errors": [1],
        }

    def test_is_ascii(self):
        """Any text is escaped, so that no client guesses an encoding wrong."""
        assert problem_document(400, "Grüße \u2028").isascii()


class TestHttp:
    """The HTTP form."""

    async def test_is_a_problem_document(self):
        """Type, exact length, no caching, title from the status, stable reason."""
        result = await http(refusing(TOO_LARGE), "POST")
        assert result.status == 413
        assert result.json() == {
            "title": "Content Too Large",
            "status": 413,
            "detail": "The body is too large.",
            "reason": "body_too_large",
        }
        assert result.header(b"content-type") == b"application/problem+json"
        assert result.header(b"cache-control") == b"no-store"
        assert result.header(b"content-length") == b"%d" % len(result.body)
        assert result.received == 0

    async def test_carries_the_request_id(self):
        """A known request id stands in the document, and the length is that of the whole."""
        result = await http(refusing(TOO_LARGE, request_id='a"b'))
        assert result.json()["request_id"] == 'a"b'
        assert result.header(b"content-length") == b"%d" % len(result.body)

    @pytest.mark.parametrize("method", ["HEAD", "head"])
    async def test_head_has_no_body(self, method):
        """HEAD gets the length that GET would have, and no bytes."""
        head = await http(refusing(TOO_LARGE), method)
        get = await http(refusing(TOO_LARGE))
        assert head.body == b""
        assert head.header(b"content-length") == get.header(b"content-length")

    @pytest.mark.parametrize(
        ("version", "closes"), [("1.1", True), ("1.0", True), ("1", True), ("2", False), ("3", False)]
    )
    async def test_close_connection_on_http_1_only(self, version, closes):
        """HTTP/2 and later forbid the Connection field (RFC 9113 8.2.2)."""
        result = await http(refusing(TOO_LARGE, close_connection=True), http_version=version)
        assert (result.header(b"connection") == b"close") is closes
        assert (await http(refusing(TOO_LARGE))).header(b"connection") is None

    async def test_own_headers_are_sent(self):
        """A challenge or Retry-After goes along."""
        result = await http(refusing(Refusal(503, "keys_unavailable", headers=[(b"retry-after", b"5")])))
        assert result.header(b"retry-after") == b"5"

    async def test_messages_are_fresh(self):
        """Changing what was sent changes no later answer [law 21]."""
        first = TOO_LARGE.messages(http_scope())
        first[0]["headers"].clear()
        first[0]["status"] = 200
        assert TOO_LARGE.messages(http_scope())[0]["status"] == 413
        assert TOO_LARGE.messages(http_scope())[0]["headers"]

    @pytest.mark.parametrize("method", ["POST", "HEAD"])
    async def test_waits_for_an_upload(self, method):
        """The answer goes out before anything is read, and its last byte when the body is over (RFC 9112 9.6)."""
        happened = []
        messages = [{"type": "http.request", "body": b"x", "more_body": more} for more in (True, True, False)]

        async def receive():
            happened.append("receive")
            return messages.pop(0)

        async def send(message):
            happened.append(message.get("body", b"start"))

        await TOO_LARGE.send(http_scope(method, headers=[(b"content-length", b"3")]), receive, send)
        document = TOO_LARGE.messages(http_scope(method))[1]["body"]
        assert happened == [b"start", document[:-1], *["receive"] * 3, document[-1:]]

    async def test_waits_for_an_unannounced_upload(self):
        """Since HTTP/2 a body need not be announced; a request without one ends at once."""
        for body in ([b"x"] * 3, []):
            result = await http(refusing(TOO_LARGE), "POST", body=body, http_version="2", headers=[])
            assert [message.get("more_body") for message in result.sent] == [None, True, False]
            assert result.received == max(len(body), 1)

    async def test_is_complete_whatever_receive_raises(self):
        """An exception of a class outside, which allows no more of the body, does not break the answer off."""

        async def receive():
            raise RuntimeError("no more")

        sent = []

        async def send(message):
            sent.append(message)

        await TOO_LARGE.send(http_scope("POST", headers=[(b"content-length", b"3")]), receive, send)
        assert [message.get("more_body") for message in sent] == [None, True, False]

    @pytest.mark.parametrize(
        ("headers", "unread"),
        [
            ([], True),
            ([(b"content-length", b"3"), (b"expect", b"100-continue")], True),
            ([(b"content-length", b"3")], False),
        ],
        ids=["no body", "held back", "read"],
    )
    async def test_waits_for_nothing_else(self, headers, unread):
        """Who sends nothing more is not waited for, and no 100 Continue asks for what nobody wants."""
        result = await drive(
            lambda scope, receive, send: TOO_LARGE.send(scope, receive, send, unread=unread),
            http_scope("POST", headers=headers),
        )
        assert [message["type"] for message in result.sent] == ["http.response.start", "http.response.body"]
        assert result.received == 0

    @pytest.mark.parametrize("scope", [http_scope(), {"type": "http"}], ids=["whole", "bare"])
    async def test_works_without_an_exchange(self, scope):
        """A scope that none of our classes has entered is refused all the same, whatever it lacks."""
        result = await drive(TOO_LARGE.send, scope)
        assert result.status == 413


class TestWebSocket:
    """The WebSocket form, before accept."""

    async def test_denial_response_where_announced(self):
        """One start and one body message with every key, and no close [law 30]."""
        result = await websocket(refusing(TOO_LARGE, close_connection=True))
        assert result.types == ["websocket.http.response.start", "websocket.http.response.body"]
        assert result.status == 413
        assert result.sent[1]["more_body"] is False
        assert result.header(b"content-length") == b"%d" % len(result.body)
        assert result.header(b"connection") is None

    @pytest.mark.parametrize("extensions", [{}, None, ...])
    async def test_close_elsewhere(self, extensions):
        """Without the extension the refusal is a close with code and reason."""
        scope = websocket_scope(extensions=extensions)
        result = await drive(refusing(TOO_LARGE), scope, [{"type": "websocket.connect"}])
        assert result.sent == [{"type": "websocket.close", "code": 1009, "reason": "body_too_large"}]

    async def test_a_client_that_left_gets_nothing(self):
        """When the connect is a disconnect already, nothing is sent."""
        scope = websocket_scope()
        result = await drive(refusing(TOO_LARGE), scope, [{"type": "websocket.disconnect", "code": 1006}])
        assert result.sent == []


class TestConstruction:
    """Wrong constants are found when the refusal is made."""

    @pytest.mark.parametrize("header", [(b"X-Upper", b"a"), (b"a b", b"c"), (b"a", b"b\r\nc: d"), (b"", b"")])
    def test_illegal_headers(self, header):
        """Nothing that could split a response can be built in."""
        with pytest.raises(ValueError, match="headers"):
            Refusal(400, "x", headers=[header])

    @pytest.mark.parametrize("status", [99, 200, 204, 304, 399, 600])
    def test_a_status_that_refuses_nothing(self, status):
        """A refusal is an error: any other status would tell the client that it got what it asked for."""
        with pytest.raises(ValueError, match="400 to 599"):
            Refusal(status, "x", title="x")

    def test_a_long_close_reason(self):
        """A close reason fits in a control frame."""
        with pytest.raises(ValueError, match="123"):
            Refusal(400, "x", close_reason="é" * 62)

    def test_shows_itself(self):
        """The repr names status and reason."""
        assert repr(INTERNAL_ERROR) == "Refusal(500, 'internal_error')"
