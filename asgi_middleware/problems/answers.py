"""Answers: which problem document an exception becomes.

Nothing of an exception enters an answer: neither its text, nor its class, nor where it was raised (RFC 9457 5). A
handler picks a prepared refusal; what it says was written beforehand. Only debug mode shows more, and says so.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from traceback import format_exception
from typing import Any, Final, TypeAlias

from asgi_middleware._core.config import Problems
from asgi_middleware._core.headers import find_all
from asgi_middleware._core.refusals import INTERNAL_ERROR, Refusal, problem_document
from asgi_middleware._core.types import Scope
from asgi_middleware.problems.negotiation import prefers_page
from asgi_middleware.problems.pages import CONTENT_TYPE, DEBUG_NOTICE, render_page
from asgi_middleware.problems.pages import HEADERS as PAGE_HEADERS

Handler: TypeAlias = Refusal | Callable[[Any], Refusal]
"""What an exception of some type becomes: a prepared refusal, or a function of the exception that picks one."""

Page: TypeAlias = Callable[[Refusal, str | None], str]
"""Makes a page of HTML from an answer and the request id."""

LOGGER: Final = logging.getLogger("asgi_middleware.problems")


def check_handlers(handlers: object, problems: Problems) -> dict[type, Handler]:
    """Note what is wrong with a map of handlers, and give it as a dict of its own."""
    if handlers is None:
        return {}
    if not isinstance(handlers, Mapping):
        problems.add("handlers", handlers, "is not a mapping", fix="pass {SomeError: Refusal(409, 'some_reason')}")
        return {}
    for kind, handler in handlers.items():
        if not isinstance(kind, type) or not issubclass(kind, Exception):
            problems.add("handlers", kind, "is not a class of exceptions", fix="use a subclass of Exception as the key")
        if not isinstance(handler, Refusal) and (isinstance(handler, type) or not callable(handler)):
            problems.add(
                "handlers", handler, "is neither a Refusal nor a function", fix="pass Refusal(409, 'some_reason')"
            )
    return dict(handlers)


def check_html(html: object, problems: Problems) -> None:
    """Note what is wrong with the option for pages."""
    if not isinstance(html, bool) and not callable(html):
        problems.add("html", html, "is neither a bool nor a function", fix="pass True or False", code="wrong_type")


def answer_for(error: Exception, handlers: Mapping[type, Handler]) -> Refusal:
    """Give the refusal that an exception becomes: that of its nearest class in the map, else INTERNAL_ERROR.

    A group with a single exception in it stands for that one: task groups wrap what their tasks raise.
    """
    while isinstance(error, ExceptionGroup) and len(error.exceptions) == 1 and type(error) not in handlers:
        error = error.exceptions[0]
    for kind in type(error).__mro__:
        handler = handlers.get(kind)
        if handler is None:
            continue
        if isinstance(handler, Refusal):
            return handler
        try:
            answer: object = handler(error)
        except Exception:
            LOGGER.exception("the handler for %s raised", kind.__qualname__)
            return INTERNAL_ERROR
        if isinstance(answer, Refusal):
            return answer
        LOGGER.error("the handler for %s gave %s, not a Refusal", kind.__qualname__, type(answer).__qualname__)
        return INTERNAL_ERROR
    return INTERNAL_ERROR


class Answers:
    """Writes the HTTP answers: a document, or a page for those who prefer one.

    Attributes:
        debug: Whether faults show their traceback.
    """

    __slots__ = ("_page", "debug")

    def __init__(self, *, debug: bool, html: bool | Page) -> None:
        """Choose how answers look.

        Args:
            debug: Whether faults show their traceback.
            html: Whether there are pages; a function for pages of one's own.
        """
        self.debug = debug
        self._page: Page | None = render_page if html is True else html or None

    def messages(
        self, scope: Scope, answer: Refusal, request_id: str | None, error: Exception | None
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Give the two messages of an HTTP answer.

        Args:
            scope: The request's scope.
            answer: What is answered.
            request_id: Put into the answer when known.
            error: The exception, where it is a fault.
        """
        traceback = _lines(error) if self.debug and error is not None else []
        start, body = answer.messages(scope, request_id=request_id)
        if self._page is not None:
            start["headers"].append((b"vary", b"accept"))
            if prefers_page(find_all(scope.get("headers") or (), b"accept")):
                page = self._render(self._page, answer, request_id, traceback)
                if page is not None:
                    start["headers"] += PAGE_HEADERS
                    return _filled(start, body, page, CONTENT_TYPE)
        if traceback:
            return _filled(start, body, _debug_document(answer, request_id, traceback), None)
        return start, body

    @staticmethod
    def _render(page: Page, answer: Refusal, request_id: str | None, traceback: list[str]) -> bytes | None:
        try:
            if traceback or page is render_page:
                return render_page(answer, request_id, traceback).encode("utf-8", "replace")
            return page(answer, request_id).encode()
        except Exception:
            LOGGER.exception("the page could not be made")
            return None


def _lines(error: Exception) -> list[str]:
    try:
        return "".join(format_exception(error)).splitlines()
    except Exception:  # noqa: BLE001 -- the exception's own __str__ may raise
        return ["the traceback cannot be shown"]


def _debug_document(answer: Refusal, request_id: str | None, traceback: list[str]) -> bytes:
    return problem_document(
        answer.status,
        answer.title,
        detail=DEBUG_NOTICE,
        reason=answer.reason,
        request_id=request_id,
        debug=True,
        traceback=traceback,
    )


def _filled(
    start: dict[str, Any], body: dict[str, Any], payload: bytes, content_type: bytes | None
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Put another payload into the messages of an answer; on HEAD there is no body to fill."""
    changed = {b"content-length": b"%d" % len(payload)}
    if content_type is not None:
        changed[b"content-type"] = content_type
    start["headers"] = [(name, changed.get(name, value)) for name, value in start["headers"]]
    if body["body"]:
        body["body"] = payload
    return start, body
