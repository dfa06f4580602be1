"""A compressed event stream in Chromium's EventSource: every event arrives when it is sent, in every coding."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest
from browsing import empty_page
from patience import least
from playwright.sync_api import Page
from sites import serving

from asgi_middleware import CompressionMiddleware

EVENTS = 10
PAUSE = 0.05
LATEST = 0.1

LISTEN = """([url, wanted]) => new Promise((done, failed) => {
    const found = [];
    const source = new EventSource(url);
    source.onerror = () => failed("the stream broke");
    source.onmessage = event => {
        found.push([(performance.timeOrigin + performance.now()) / 1000, Number(event.data)]);
        if (found.length === wanted) { source.close(); done(found); }
    };
})"""


async def events(scope: Any, receive: Any, send: Any) -> None:
    """Send the time, again and again; anything else is the page."""
    if scope["path"] != "/events":
        await empty_page(scope, receive, send)
        return
    headers = [(b"content-type", b"text/event-stream"), (b"cache-control", b"no-store")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    for _ in range(EVENTS):
        await asyncio.sleep(PAUSE)
        body = f"data: {time.time()}\n\n".encode()
        await send({"type": "http.response.body", "body": body, "more_body": True})
    await send({"type": "http.response.body"})


@pytest.mark.parametrize("coding", ["gzip", "br", "zstd"])
def test_each_event_arrives_at_once(page: Page, coding: str) -> None:
    """Each event is there within a tenth of a second of being sent."""
    with serving(lambda _: CompressionMiddleware(events, encodings=[coding])) as site:
        page.goto(site.origin)

        def latest() -> float:
            with page.expect_response("**/events") as streaming:
                found = page.evaluate(LISTEN, [f"{site.origin}/events", EVENTS])
            assert streaming.value.headers["content-encoding"] == coding
            assert len(found) == EVENTS
            return max(arrived - sent for arrived, sent in found)

        assert least(latest, LATEST) < LATEST
