"""Tests in Chromium, which ``.ci/install-tools chromium`` installs."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest
from browsing import empty_page
from playwright.sync_api import Browser, Page, expect, sync_playwright
from sites import Site, serving

# The browser talks to loopback and to nobody else: no updates, no field trials, no look-ups.
FLAGS = [
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-domain-reliability",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost",
    "--no-first-run",
    "--no-sandbox",
]
expect.set_options(timeout=15_000)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Start Debian's Chromium, headless."""
    path = shutil.which("chromium") or shutil.which("google-chrome")
    assert path is not None, "chromium is missing: bash .ci/install-tools chromium"
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield chromium
        chromium.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """Open an empty page with a cache and cookies of its own."""
    context = browser.new_context()
    context.set_default_timeout(10_000)
    yield context.new_page()
    context.close()


@pytest.fixture(scope="session")
def pages() -> Iterator[Site]:
    """Serve the page that the scripts run in: any path, no CORS."""
    with serving(lambda _: empty_page) as site:
        yield site
