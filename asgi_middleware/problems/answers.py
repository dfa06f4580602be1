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
from asgi_middleware._core.refusals import INTERNAL_ERROR, Refusal, problem_document
from asgi_middleware._core.types import Scope

Handler: TypeAlias = Refusal | Callable[[Any], Refusal]
"""What an exception of some type becomes: a prepared refusal, or a function of the exception that picks one."""

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


def debug_messages(
    error: Exception, answer: Refusal, scope: Scope, request_id: str | None
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Give the two messages of an HTTP answer that shows the traceback, for debug mode only."""
    document = problem_document(
        answer.status,
        answer.title,
        detail="This answer shows a traceback because ProblemDetailsMiddleware runs with debug=True.",
        reason=answer.reason,
        request_id=request_id,
        traceback="".join(format_exception(error)).splitlines(),
    )
    start, body = answer.messages(scope, request_id=request_id)
    kept = [(name, value) for name, value in start["headers"] if name != b"content-length"]
    start["headers"] = [*kept, (b"content-length", b"%d" % len(document))]
    if body["body"]:
        body["body"] = document
    return start, body
