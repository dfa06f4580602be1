"""CorrelationIdMiddleware: an id for every request, and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import EllipsisType
from typing import Any, Final

from asgi_middleware._core.config import Problems
from asgi_middleware._core.exchange import enter
from asgi_middleware._core.types import ASGIApp, Message, Receive, Scope, Send
from asgi_middleware.logging.context import Bound, bind_request, unbind_request
from asgi_middleware.logging.failures import Failures
from asgi_middleware.logging.request_ids import Correlation, RequestIds, carriers_of, generate_request_id, with_header

__all__ = ["CorrelationIdMiddleware"]

_NO_MESSAGES: Final = frozenset[str]()


class CorrelationIdMiddleware:
    """Gives every HTTP request and WebSocket an id, and tells it to the app, the client and the log calls.

    A client's own id is taken when it is safe: never use it as a key or as a proof of anything. ``LoggingMiddleware``
    does all this itself and needs no second class for it; where both stand, the outer one decides.

    The id is found in the request headers, in ``scope["state"]["request_id"]`` (where the server gives a state), in the
    Exchange, in the context variable ``correlation_id`` and in structlog's context variables as ``request_id``::

        import anyio
        from asgi_middleware.logging import CorrelationIdMiddleware, correlation_id
        from asgi_middleware.testing import http


        async def app(scope, receive, send):
            body = correlation_id.get().encode()
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": body})


        async def main():
            result = await http(CorrelationIdMiddleware(app), headers=[(b"x-request-id", b"abc-123")])
            assert result.header(b"x-request-id") == result.body == b"abc-123"


        anyio.run(main)

    Args:
        app: The ASGI app to wrap.
        header_name: The header that carries the id; several in order of priority. Case does not matter.
        update_request_header: Whether the app finds the chosen id in its request headers.
        generator: Makes a new id; 32 random hexadecimal digits by default.
        validator: Tells whether a client's id is taken; asked only about ids of at most 128 safe characters. None, the
            default, takes all of those: ids need not be UUIDs.
        transformer: Changes the id before it is used, wherever it came from.
        response_header: The response header that tells the id; as the first of `header_name` unless given; None for
            none. To let browsers read it, name it in ``CORSMiddleware(expose_headers=...)``.
        clear_contextvars: Whether what an earlier request on the same connection bound through structlog is cleared.
            Turn it off when a class further out binds context variables of its own.

    Raises:
        ConfigurationError: A header name is not one, or a hook is not callable.

    The option names and meanings are those of asgi-correlation-id, save that ids are checked by charset, not as UUIDs.
    """

    __slots__ = ("_clear", "_failures", "_ids", "app")

    def __init__(
        self,
        app: ASGIApp,
        *,
        header_name: str | Sequence[str] = "X-Request-ID",
        update_request_header: bool = True,
        generator: Callable[[], str] = generate_request_id,
        validator: Callable[[str], bool] | None = None,
        transformer: Callable[[str], str] | None = None,
        response_header: str | EllipsisType | None = ...,
        clear_contextvars: bool = True,
    ) -> None:
        problems = Problems("CorrelationIdMiddleware")
        correlation = Correlation(
            header_name=header_name,
            update_request_header=update_request_header,
            generator=generator,
            validator=validator,
            transformer=transformer,
            response_header=response_header,
        )
        names = correlation.check(problems)
        problems.boolean("clear_contextvars", clear_contextvars)
        problems.raise_if_any()
        self.app = app
        self._clear = clear_contextvars
        self._failures = Failures("CorrelationIdMiddleware")
        self._ids = RequestIds(correlation, names, self._failures)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] not in {"http", "websocket"}:
            await self.app(scope, receive, send)
            return
        inner, exchange = enter(scope)
        if not exchange.claim("correlation"):
            await self.app(scope, receive, send)
            return
        if inner is scope:
            inner = dict(scope)
        bound: Bound = []
        failures, ids = self._failures, self._ids
        name, value, carriers = None, b"", _NO_MESSAGES
        try:
            index = exchange.headers(inner)
            if exchange.request_id is None:
                exchange.request_id = ids.choose(index)
            ids.rewrite(inner, index, exchange.request_id)
            bind_request(bound, exchange, clear=self._clear)
            carriers = carriers_of(scope)
            value = exchange.request_id.encode("ascii")
            name = ids.response_header
        except Exception as error:  # noqa: BLE001 -- an id is no reason to fail a request
            failures.note("give the request an id", error)

        # Without waiting: the server's own awaitable is handed back, which saves a frame per message.
        def send_with_id(message: Message) -> Any:
            if name is not None and message["type"] in carriers:
                try:
                    message = with_header(message, name, value)
                except Exception as error:  # noqa: BLE001 -- the same
                    failures.note("add the response header", error)
            return send(message)

        if exchange.scope is not None:
            exchange.scope = inner
        try:
            await self.app(inner, receive, send_with_id)
        finally:
            try:
                unbind_request(bound)
            except Exception as error:  # noqa: BLE001 -- the same
                failures.note("set the context variables back", error)

    @property
    def failures(self) -> int:
        """How often a hook or an own step failed; no request was affected."""
        return self._failures.count
