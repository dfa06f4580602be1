"""What the browser tests share: a page to run scripts in, and a fetch by such a script."""

from __future__ import annotations

from typing import Any

from playwright.sync_api import Page


async def empty_page(scope: Any, receive: Any, send: Any) -> None:
    """Answer every request with an empty page."""
    headers = [(b"content-type", b"text/html"), (b"cache-control", b"no-store")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"<!doctype html><title>page</title>"})


FETCH = """async ([url, options]) => {
    try {
        const response = await fetch(url, options);
        const headers = Object.fromEntries(response.headers.entries());
        return {status: response.status, headers, body: await response.text(), type: response.type};
    } catch (error) {
        return {error: error.name};
    }
}"""


def fetch(page: Page, url: str, **options: Any) -> dict[str, Any]:
    """Fetch `url` by a script of `page`: what the script can read, or the name of its error."""
    found: dict[str, Any] = page.evaluate(FETCH, [url, options])
    return found
