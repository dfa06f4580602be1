"""A Celery task goes on with the request that sent it, by the recipe of docs/logging-recipes.md."""

import logging
from collections.abc import Iterator
from typing import Any

import pytest
from celery import Celery, Task, signals
from celery.worker.request import Request

from asgi_middleware._core.exchange import Exchange, current_exchange
from asgi_middleware.logging import RequestContextFilter, TraceContext, continue_request, correlation_id, inject_headers

TRACE = "0af7651916cd43dd8448eb211c80319c"


class RequestTask(Task):  # type: ignore[misc]  # Celery is not typed
    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        with continue_request(vars(self.request)):
            return super().__call__(*args, **kwargs)


def hand_over(headers: dict[str, Any], **_: Any) -> None:
    inject_headers(headers)


@pytest.fixture
def celery() -> Iterator[Celery]:
    """Give an app with one task, and a broker in memory."""
    app = Celery("jobs", broker="memory://", task_cls=RequestTask)

    @app.task(name="tell", shared=False)
    def tell() -> dict[str, Any]:
        record = logging.makeLogRecord({})
        RequestContextFilter().filter(record)
        exchange = current_exchange.get()
        assert exchange is not None
        return {
            "ids": (correlation_id.get(), vars(record)["request_id"]),
            "trace": (vars(record)["trace_id"], exchange.trace.parent_id),
        }

    signals.before_task_publish.connect(hand_over)
    yield app
    signals.before_task_publish.disconnect(hand_over)


def run(app: Celery) -> dict[str, Any]:
    """Send the task, take its message from the broker as a worker does, and run it."""
    app.tasks["tell"].delay()
    with app.connection_for_read() as connection:
        queue = connection.SimpleQueue("celery")
        told: dict[str, Any] = Request(queue.get(timeout=5), app=app, task=app.tasks["tell"]).execute()
        queue.close()
    return told


def test_a_task_goes_on_with_the_request(celery: Celery) -> None:
    """The task's log calls carry the request's id and trace, and its parent is one of the request's children."""
    exchange = Exchange()
    exchange.request_id, exchange.trace = "abc", TraceContext(TRACE, "1" * 16)
    token = current_exchange.set(exchange)
    try:
        told = run(celery)
    finally:
        current_exchange.reset(token)
    assert told["ids"] == ("abc", "abc")
    assert told["trace"] == (TRACE, exchange.fields["child_span_ids"][0])


def test_a_task_of_nobody(celery: Celery) -> None:
    """A task that no request sent, as a timer's, has an id and a trace of its own."""
    first, second = run(celery), run(celery)
    assert len({first["ids"][0], second["ids"][0], "abc", None}) == 4
    assert first["trace"][1] is None
