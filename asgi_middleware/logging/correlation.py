"""CorrelationIdMiddleware: an id for every request, and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextvars import copy_context
from types import EllipsisType
from typing import Any, Final

from asgi_middleware._core.config import Problems
from asgi_middleware._core.exchange import enter
from asgi_middleware._core.types import ASGIApp, Message, Receive, Scope, Send
from asgi_middleware.logging.context import Bound, bind_id, id_variable, unbind_elsewhere, unbind_request
from asgi_middleware.logging.entropy import random_word
from asgi_middleware.logging.failures import Failures
from asgi_middleware.logging.request_ids import (
    HTTP_CARRIERS,
    Correlation,
    RequestIds,
    carriers_of,
    generate_request_id,
    with_line,
)
from asgi_middleware.logging.trust import Trusted

__all__ = ["CorrelationIdMiddleware"]

_CLAIMS: Final = ("correlation",)
# Looked up once: a method of a name that was imported is bound anew for every call.
_set_id: Final = id_variable.set
_reset_id: Final = id_variable.reset


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
        trusted: The peers whose ids are taken: networks such as ``["10.0.0.0/8", "::1"]``, or a function of the scope;
            None, the default, trusts everybody. Others get a new id.

    Raises:
        ConfigurationError: A header name is not one, or a hook is not callable.

    The option names and meanings are those of asgi-correlation-id, save that ids are checked by charset, not as UUIDs.
    """

    __slots__ = ("_clear", "_failures", "_finder", "_first", "_ids", "_others", "_plain", "_told", "app")

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
        trusted: Trusted = None,
    ) -> None:
        problems = Problems("CorrelationIdMiddleware")
        correlation = Correlation(
            header_name=header_name,
            update_request_header=update_request_header,
            generator=generator,
            validator=validator,
            transformer=transformer,
            response_header=response_header,
            trusted=trusted,
        )
        names = correlation.check(problems)
        problems.boolean("clear_contextvars", clear_contextvars)
        problems.raise_if_any()
        self.app = app
        self._clear = clear_contextvars
        self._failures = Failures("CorrelationIdMiddleware")
        self._ids = RequestIds(correlation, names, self._failures)
        self._finder = self._ids.finder
        self._others = self._finder.others
        self._first = names[0]
        self._plain = self._ids.plain
        self._told = self._first if self._ids.response_header == self._first else self._ids.response_header

    async def __call__(  # noqa: PLR0912, PLR0915 -- on the way of every request: what is split off costs a call
        self, scope: Scope, receive: Receive, send: Send
    ) -> None:
        """Serve one connection."""
        kind = scope["type"]
        if kind != "http" and kind != "websocket":  # noqa: PLR1714 -- the fast form
            await self.app(scope, receive, send)
            return
        inner, exchange = enter(scope)
        if inner is not scope:  # it is new, and ours to claim: without the call
            exchange._claims = _CLAIMS  # noqa: SLF001
        elif exchange.claim("correlation"):
            inner = dict(scope)
            if exchange.scope is not None:
                exchange.scope = inner
        else:
            await self.app(scope, receive, send)
            return
        bound: Bound = ()
        try:
            headers = inner.get("headers") or ()
            others = self._others
            found = [(name, value) for name, value in headers if name not in others]
            if found:
                found = self._finder.pick(found)
            if not found and self._plain and exchange.request_id is None:
                # What most requests need, without a call more than that.
                exchange.request_id = request_id = random_word()
                line = (self._first, request_id.encode())
                inner["headers"] = [*headers, line]
                state = inner.get("state")
                if state is not None:
                    inner["state"] = state = state.copy()
                    state["request_id"] = request_id
            else:
                line = (self._first, self._ids.give(inner, exchange, found))
                request_id = line[1].decode()
            full = self._clear and len(copy_context())
            bound = bind_id(request_id, clear=True) if full else (_set_id(request_id),)
            if self._told is not None:
                telling = _Telling()
                telling.carriers = HTTP_CARRIERS if kind == "http" else carriers_of(scope)
                telling.ids = self._ids
                telling.line = line if self._told is self._first else (self._told, line[1])
                telling.send = send
                send = telling.tell
        except Exception as error:  # noqa: BLE001 -- an id is no reason to fail a request
            self._failures.note("give the request an id", error)
        try:
            await self.app(inner, receive, send)
        finally:
            try:
                if len(bound) == 1:  # the id alone
                    _reset_id(bound[0])
                else:
                    unbind_request(bound)
            except Exception as error:  # noqa: BLE001 -- the same
                unbind_elsewhere(bound, error, self._failures)

    @property
    def failures(self) -> int:
        """How often a hook or an own step failed; no request was affected."""
        return self._failures.count


class _Telling:
    """One connection's `send`, which has exactly one line of the id in the head of the response.

    Made without a constructor, and slotted: a closure over as much costs twice as many instructions.
    """

    __slots__ = ("carriers", "ids", "line", "send")

    carriers: frozenset[str]
    ids: RequestIds
    line: tuple[bytes, bytes]
    send: Send

    def tell(self, message: Message) -> Any:
        """Hand a message on; without waiting, since handing back the server's own awaitable saves a frame."""
        if message["type"] in self.carriers:
            try:
                message = with_line(message, self.line, self.ids.response_finder)
            except Exception as error:  # noqa: BLE001 -- an id is no reason to fail a request
                self.ids.failures.note("add the response header", error)
        return self.send(message)
