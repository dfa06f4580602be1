"""Refusal: the one way to say no.

On HTTP a refusal is a small problem document (RFC 9457) with an exact length and no caching; on a WebSocket that is not
yet accepted it is a denial response where the server announces that, else a close with code and reason. Every refusal
has a stable machine-readable reason, which the Exchange keeps for the access line and the metrics.

No text of a request or of an exception enters a refusal. Only constants do, and the request id that was checked before.

Both forms follow what servers take (ASGI specification, "WebSocket Denial Response"):

- ``headers``, ``body`` and ``more_body`` are always there, and there is one body message: servers index the keys.
- A denial response is sent only where ``websocket.http.response`` is among the scope's extensions. Sent unannounced it
  leaves the client of some servers without any answer.
"""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from asgi_middleware._core.exchange import exchange_of
from asgi_middleware._core.headers import is_field_value, is_token
from asgi_middleware._core.lingering import body_follows, drain, holding_back
from asgi_middleware._core.messages import HTTP_1

if TYPE_CHECKING:
    from collections.abc import Iterable

    from asgi_middleware._core.types import Receive, Scope, Send

# Names of RFC 9110 15.5 that http.HTTPStatus has only since Python 3.13.
_PHRASES: Final = {
    413: "Content Too Large",
    414: "URI Too Long",
    416: "Range Not Satisfiable",
    422: "Unprocessable Content",
}
_LONGEST_CLOSE_REASON: Final = 123  # bytes; a control frame carries 125, two of them the code (RFC 6455 5.5)


def problem_document(
    status: int,
    title: str,
    *,
    detail: str | None = None,
    reason: str | None = None,
    request_id: str | None = None,
    **extensions: Any,
) -> bytes:
    """Write a problem document (RFC 9457 3) as UTF-8 JSON bytes.

    ``type`` is left out, which means ``about:blank``: the title is then the status phrase (RFC 9457 4.2.1).

    Args:
        status: The HTTP status, repeated in the document (3.1.2).
        title: A short summary that is the same for every occurrence.
        detail: What this occurrence is about, for a person; never taken from an exception.
        reason: The stable machine-readable reason, an extension member.
        request_id: The correlation id of the request, an extension member.
        **extensions: Further members.
    """
    document: dict[str, Any] = {"title": title, "status": status}
    if detail is not None:
        document["detail"] = detail
    if reason is not None:
        document["reason"] = reason
    if request_id is not None:
        document["request_id"] = request_id
    document.update(extensions)
    return json.dumps(document, separators=(",", ":")).encode("ascii")


def status_phrase(status: int) -> str:
    """Give the phrase of a status as RFC 9110 has it, on every version of Python."""
    return _PHRASES.get(status) or HTTPStatus(status).phrase


class Refusal:
    """One way to refuse a request, built once and sent as often as needed.

    Attributes:
        status: The HTTP status.
        reason: A stable snake_case word, such as ``body_too_large``.
        title: The problem's title; the status phrase where none is given.
        detail: One sentence for a person, or None.
        headers: Further response headers, as lower-case byte pairs.
        close_code: The close code for a WebSocket without denial response.
        close_reason: The close reason, at most 123 bytes of UTF-8.
    """

    __slots__ = (
        "_document",
        "_headers",
        "close_code",
        "close_reason",
        "detail",
        "headers",
        "reason",
        "status",
        "title",
    )

    def __init__(
        self,
        status: int,
        reason: str,
        *,
        detail: str | None = None,
        title: str | None = None,
        headers: Iterable[tuple[bytes, bytes]] = (),
        close_code: int = 1008,
        close_reason: str = "",
    ) -> None:
        """Prepare every constant byte.

        Args:
            status: An HTTP error status, 400 to 599.
            reason: A stable snake_case word.
            detail: One sentence for a person; a constant.
            title: The problem's title; None for the status phrase.
            headers: Further response headers (a challenge, Retry-After), lower-case names.
            close_code: The close code for a WebSocket (RFC 6455 7.4); 1008 is "policy violation".
            close_reason: The close reason; empty for the `reason` word.

        Raises:
            ValueError: The status is none of an error, a header is not legal, or the close reason is longer than 123
                bytes.
        """
        if not 400 <= status <= 599:
            message = "a refusal's status is from 400 to 599"
            raise ValueError(message)
        self.status = int(status)
        self.reason = reason
        self.title = status_phrase(status) if title is None else title
        self.detail = detail
        self.headers = tuple(headers)
        self.close_code = close_code
        self.close_reason = close_reason or reason
        if not all(is_token(name) and name == name.lower() and is_field_value(value) for name, value in self.headers):
            message = "a refusal's headers are lower-case names with values free of control characters"
            raise ValueError(message)
        if len(self.close_reason.encode()) > _LONGEST_CLOSE_REASON:
            message = f"a close reason has at most {_LONGEST_CLOSE_REASON} bytes"
            raise ValueError(message)
        self._document = problem_document(self.status, self.title, detail=detail, reason=reason)
        self._headers = (
            (b"content-type", b"application/problem+json"),
            (b"cache-control", b"no-store"),
            *self.headers,
        )

    def __repr__(self) -> str:
        """Show status and reason."""
        return f"Refusal({self.status}, {self.reason!r})"

    def messages(
        self, scope: Scope, *, request_id: str | None = None, close_connection: bool = False
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Give the two messages of the HTTP answer, as fresh objects.

        Args:
            scope: The request's scope; on HEAD the answer has the length of its body but no body (RFC 9110 9.3.2).
            request_id: Put into the document when known.
            close_connection: Ask the server to close the connection afterwards, on HTTP/1 only: HTTP/2 and 3 forbid the
                field (RFC 9113 8.2.2).
        """
        return self._messages(scope, "http.response", request_id, close_connection=close_connection)

    async def send(
        self, scope: Scope, receive: Receive, send: Send, *, close_connection: bool = False, unread: bool = True
    ) -> None:
        """Refuse the connection and note it in the Exchange; the app must not be called afterwards.

        An HTTP request is answered without reading its body. Where the client is about to send one, the last byte of
        the answer waits until what comes was taken and dropped, within bounds, so that the client sees the answer
        (lingering close, RFC 9112 9.6). Of a WebSocket the ``websocket.connect`` is taken first.

        Args:
            scope: An ``http`` scope, or a ``websocket`` scope before its accept.
            receive: The server's receive.
            send: The server's send.
            close_connection: See :meth:`messages`.
            unread: Whether there may be more of the body to receive; False where all of it was.
        """
        exchange = exchange_of(scope)
        request_id = None
        if exchange is not None:
            exchange.refusal = self
            request_id = exchange.request_id
        if scope["type"] == "http":
            start, body = self._messages(scope, "http.response", request_id, close_connection=close_connection)
            await send(start)
            if unread and body_follows(scope):
                begun, body = holding_back(body)
                await send(begun)
                await drain(receive)
            await send(body)
            return
        connect = await receive()
        if connect["type"] != "websocket.connect":
            return  # the client is gone already
        if "websocket.http.response" in (scope.get("extensions") or ()):
            start, body = self._messages(scope, "websocket.http.response", request_id, close_connection=False)
            await send(start)
            await send(body)
        else:
            await send({"type": "websocket.close", "code": self.close_code, "reason": self.close_reason})

    def _messages(
        self, scope: Scope, kind: str, request_id: str | None, *, close_connection: bool
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        document = self._document
        if request_id is not None:
            document = b'%b,"request_id":%b}' % (document[:-1], json.dumps(request_id).encode("ascii"))
        headers = [*self._headers, (b"content-length", b"%d" % len(document))]
        if close_connection and scope.get("http_version", "1.1") in HTTP_1:
            headers.append((b"connection", b"close"))
        # A method may arrive in lower case, as the client sent it.
        body = b"" if scope.get("method", "GET").upper() == "HEAD" else document
        return (
            {"type": f"{kind}.start", "status": self.status, "headers": headers},
            {"type": f"{kind}.body", "body": body, "more_body": False},
        )


INTERNAL_ERROR: Final = Refusal(
    500, "internal_error", detail="The server could not complete the request.", close_code=1011
)
"""The answer to an exception that nobody handled. It says nothing of the exception."""
