"""ProblemDetailsMiddleware: an answer for the exception that nobody handled."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Final

from asgi_middleware._core.config import Problems
from asgi_middleware._core.exchange import exchange_of
from asgi_middleware._core.types import ASGIApp, Receive, Scope, Send
from asgi_middleware.problems.answers import LOGGER, Answers, Handler, Page, answer_for, check_handlers, check_html
from asgi_middleware.problems.progress import HTTPProgress, WebSocketProgress

__all__ = ["ProblemDetailsMiddleware"]

_CLOSE: Final = 1011  # "unexpected condition" (RFC 6455 7.4.1)


class ProblemDetailsMiddleware:
    """Answers an unhandled exception with a problem document (RFC 9457), from which nothing of the exception leaks.

    Put it innermost, next to the app, so that its answers pass through every other class: a 500 without CORS headers
    looks like a network error in a browser. The exception does not leave it, so that the server prints no second
    traceback: it is noted for ``LoggingMiddleware``, which logs it once, with its traceback. Without a
    ``LoggingMiddleware`` outside it goes to the logger ``asgi_middleware.problems``. An error tracker that wraps the
    app from *outside* sees no exception then: move it inside, or pass ``reraise=True``.

    Who prefers HTML to JSON by its ``Accept`` header, as browsers do, gets a small page that says the same.

    Some cases are not answered, and the exception goes on as it came: the response has begun and is incomplete, so
    that the server must break it off; the client is gone; it is a cancellation. A framework that answers first and
    raises then (Starlette does) is not answered twice::

        import anyio
        from asgi_middleware.problems import ProblemDetailsMiddleware, Refusal
        from asgi_middleware.testing import http


        class SoldOut(Exception):
            pass


        async def app(scope, receive, send):
            raise SoldOut if scope["path"] == "/buy" else RuntimeError("db://user:secret@host")


        async def main():
            wrapped = ProblemDetailsMiddleware(app, handlers={SoldOut: Refusal(409, "sold_out")})
            sold_out = await http(wrapped, "POST", "/buy")
            assert sold_out.json() == {"title": "Conflict", "status": 409, "reason": "sold_out"}
            broken = await http(wrapped, "GET", "/")
            assert broken.status == 500
            assert b"secret" not in broken.body


        anyio.run(main)

    Args:
        app: The ASGI app to wrap.
        debug: Whether the answer to an HTTP request shows the traceback. Never in production: it shows source lines and
            whatever the exception quotes. A warning is logged when it is on.
        handlers: What exceptions become, by class; the nearest class of an exception counts. A value is a
            ``Refusal``, or a function that takes the exception and gives one. Answers below status 500 are expected
            ones: they are not logged as errors.
        html: Whether those who prefer HTML get a page; False for documents alone. A function of the ``Refusal`` and the
            request id (or None) gives pages of your own: escape what you put in. Debug mode has its own page.
        reraise: Whether an exception goes on after it was answered and noted; False by default. With True the server
            logs it a second time.

    Raises:
        ConfigurationError: An option is wrong.

    Source: RFC 9457; RFC 9110 12.5.1 (Accept); for WebSockets RFC 6455 7.4.1 (close code 1011).
    """

    __slots__ = ("_answers", "_handlers", "_reraise", "app")

    def __init__(
        self,
        app: ASGIApp,
        *,
        debug: bool = False,
        handlers: Mapping[type[Exception], Handler] | None = None,
        html: bool | Page = True,
        reraise: bool = False,
    ) -> None:
        problems = Problems("ProblemDetailsMiddleware")
        problems.boolean("debug", debug)
        known = check_handlers(handlers, problems)
        check_html(html, problems)
        problems.boolean("reraise", reraise)
        problems.raise_if_any()
        self.app = app
        self._answers = Answers(debug=debug, html=html)
        self._handlers = known
        self._reraise = reraise
        if debug:
            LOGGER.warning(
                "ProblemDetailsMiddleware(debug=True) shows tracebacks to every client: never use it in production"
            )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        kind = scope["type"]
        progress: HTTPProgress | WebSocketProgress
        if kind == "http":
            progress = HTTPProgress(receive, send)
        elif kind == "websocket":
            progress = WebSocketProgress(receive, send)
        else:
            await self.app(scope, receive, send)
            return
        try:
            await self.app(scope, progress.receive, progress.send)
        except Exception as error:
            if progress.is_beyond_answer:
                raise
            if await self._answer(error, scope, progress, send):
                if self._reraise:
                    raise
                _log_unless_claimed(scope, error)

    async def _answer(
        self, error: Exception, scope: Scope, progress: HTTPProgress | WebSocketProgress, send: Send
    ) -> bool:
        """Answer unless the app has, and tell whether the exception is a fault, to be logged as one."""
        exchange = exchange_of(scope)
        answer = answer_for(error, self._handlers)
        fault = progress.ended or answer.status >= 500
        if exchange is not None:
            # Nobody else would read the error there, and its traceback holds the Exchange: a circle.
            if fault and exchange.claimed("logging"):
                exchange.error = error
            if not progress.ended:
                exchange.refusal = answer
        if progress.ended:
            return fault
        with suppress(OSError):  # the client left; the exception matters more
            if progress.accepted:
                code, reason = (_CLOSE, "internal error") if fault else (answer.close_code, answer.close_reason)
                await send({"type": "websocket.close", "code": code, "reason": reason})
            elif scope["type"] == "http":
                request_id = None if exchange is None else exchange.request_id
                for message in self._answers.messages(scope, answer, request_id, error if fault else None):
                    await send(message)
            else:
                await answer.send(scope, progress.replay(), send)
        return fault


def _log_unless_claimed(scope: Scope, error: Exception) -> None:
    exchange = exchange_of(scope)
    if exchange is None or not exchange.claimed("logging"):
        request_id = None if exchange is None else exchange.request_id
        # No text of the request: it could forge a line.
        LOGGER.error("unhandled exception, request id %s", request_id or "-", exc_info=error)
