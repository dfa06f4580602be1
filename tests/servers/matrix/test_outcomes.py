"""How a request ended, as the access line tells it, for each framework on every server."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from matrix.probing import SHORT, Probe, new_id
from matrix.test_propagation import PLAIN, probe, runs
from matrix.variants import Variant
from matrix.wire import Request

__all__ = ["probe"]  # the fixture

STARLETTE = ("/starlette", "/base_http", "/fastapi")
STREAMS = [*STARLETTE, "/litestar", "/quart", "/django"]
# The client waits for the rest; what is told to it differs from server to server.
ENDINGS = [
    ("/bare/nothing", "no_response", None),
    ("/bare/half", "incomplete", 200),
    ("/bare/fails", "error", 500),
]


def on_every_server(*rows: Any) -> list[Any]:
    """Give each row with each server that can run it."""
    return [
        pytest.param(variant, *row, id=f"{variant.name}-{row[0][1:].replace('/', '-')}")
        for variant in PLAIN
        for row in rows
        if runs(row[0], variant)
    ]


@pytest.mark.parametrize(("variant", "path"), on_every_server(*((path,) for path in STREAMS)))
def test_client_leaves_a_stream(probe: Callable[[Variant], Probe], variant: Variant, path: str) -> None:
    """A client that leaves in the middle of a framework's stream is one line, with what was sent by then [3.3]."""
    request_id = new_id("leaves")
    found = probe(variant)
    with found.connection() as connection:
        [key] = connection.send(Request(f"{path}/endless_streaming", headers=[("x-request-id", request_id)]))
        connection.read_first_bytes(key)
        connection.leave(key)
    line = found.server.access_line(request_id)
    # Starlette asks older servers whether the client is there; of newer ones it expects that `send` raises (ASGI HTTP
    # specification 2.4). gunicorn says that it is one, and cancels the app instead.
    cancelled = variant.server == "gunicorn" and path.startswith(STARLETTE)
    outcome = "cancelled" if cancelled else "client_disconnect"
    assert (line["outcome"], line["status"], line["level"]) == (outcome, 200, "info")
    assert 0 < line["response_bytes"] < 200_000
    assert "exception" not in line
    lines = [one for one in found.server.log_lines() if one.get("request_id") == request_id]
    assert [one for one in lines if one["event"] != "working"] == [line]


@pytest.mark.parametrize(("variant", "path", "outcome", "status"), on_every_server(*ENDINGS))
def test_app_does_not_finish(
    probe: Callable[[Variant], Probe], variant: Variant, path: str, outcome: str, status: int | None
) -> None:
    """An app that raises, or returns without an answer or in the middle of one, is an error with a word of its own."""
    request_id = new_id("ends")
    found = probe(variant)
    with found.connection(SHORT) as connection:
        [key] = connection.send(Request(path, headers=[("x-request-id", request_id)]))
        line = found.server.access_line(request_id)
        connection.leave(key)
    assert (line["outcome"], line["status"], line["level"]) == (outcome, status, "error")
    assert ("exception" in line) == (outcome == "error")
