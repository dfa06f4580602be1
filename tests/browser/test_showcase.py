"""The showcase's console in Chromium: every button does what it says, and nobody else is asked for anything.

With ``ASGI_MIDDLEWARE_SCREENSHOTS`` set to a folder, the documentation's pictures are written there.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page, expect
from showcases import Showcase

WIDE, NARROW = {"width": 1360, "height": 1000}, {"width": 360, "height": 760}
LARGEST_PICTURE = 300_000
PATIENCE = 15_000
"""Milliseconds; the slowest button takes some four seconds."""

LOAD = r"^Failed to load resource: the server responded with a status of {}"
CROSS_ORIGIN = (
    r"^Access to fetch at '.*' has been blocked by CORS policy",
    r"^Failed to load resource: net::ERR_FAILED",
)
SAYS_THE_BROWSER = "TypeError: Failed to fetch is what the browser says; explain() says"


RAN = ("inflated_body_too_large",)
"""Refusals of an app that had begun to read."""

FOCUSED = """() => {
    const { dataset, id, className } = document.activeElement;
    return [dataset.do ?? (id || className), getComputedStyle(document.activeElement).outlineStyle];
}"""


class Button(NamedTuple):
    """One button: what stands on the page after it was pressed, and what Chromium itself says in its console."""

    verdict: str
    logged: str = ""
    before: str = ""
    """The button to press first."""
    way: str = "app"
    """The class that answered in the place of the app."""
    ran: bool = False
    """Whether the app ran all the same."""
    console: tuple[str, ...] = ()


def refused(status: int, reason: str, way: str, before: str = "") -> Button:
    return Button(f"{status} {reason}", reason, before, way, reason in RAN, (LOAD.format(status),))


BUTTONS = {
    "token": Button("200 after", "/token"),
    "admin-token": Button("200 after", "/token"),
    "forget": Button("Forgotten."),
    **{
        f"me {app}": Button("200 after", f"/{app}/me", before="token")
        for app in ("fastapi", "starlette", "django", "bare")
    },
    "admin": refused(403, "insufficient_scope", "JWTAuth", before="token"),
    "ws-none": Button(
        "closed 1006", "credentials_missing", "", "JWTAuth", console=(r"^WebSocket connection to .* failed",)
    ),
    "ws-token": Button("closed 1000", "received_messages: 1"),
    "ws-expires": Button("closed 4401 token_expired", "close_code: 4401", way="JWTAuth", ran=True),
    "ws-renew": Button("closed 1000", "received_messages: 2"),
    "ws-large": Button("closed 1009 message_too_large", "message_too_large", way="WebSocketMessageLimit", ran=True),
    "ws-origin": Button(
        "closed 1006", "origin_not_allowed", "", "WebSocketOrigin", console=(r"^WebSocket connection to .* failed",)
    ),
    "cors-allowed": Button("200 OK, readable", "cors: origin_allowed"),
    "cors-preflight": Button("200 OK, readable", "cors: preflight_allowed"),
    "cors-denied": Button(
        f"{SAYS_THE_BROWSER} origin_not_allowed. The app ran all the same.",
        "cors: origin_not_allowed",
        way="CORS",
        ran=True,
        console=CROSS_ORIGIN,
    ),
    "cors-preflight-denied": Button(
        f"{SAYS_THE_BROWSER} method_not_allowed. The app never ran.",
        "cors: method_not_allowed",
        way="CORS",
        console=CROSS_ORIGIN,
    ),
    "codings": Button("times smaller as your browser measured it", "-zstd"),
    "upload-coded": Button("200 after", "uploaded: 100000"),
    "upload-bomb": refused(413, "inflated_body_too_large", "Decompression"),
    "stream": Button("5 events in gzip", "client_disconnect"),
    "upload": Button("200 after", "uploaded: 100000"),
    "upload-large": refused(413, "body_too_large", "RequestBodyLimit"),
    "upload-slow": Button("408 Request Timeout after", "refusal: body_too_slow", way="BodyTimeout", ran=True),
    "upload-silent": Button("408 Request Timeout after", "refusal: body_idle_timeout", way="BodyTimeout", ran=True),
    "header-large": refused(431, "header_field_too_large", "HeaderLimit"),
    "fail": Button(
        "500 internal_error", "this text stays in the log", "", "ProblemDetails", ran=True, console=(LOAD.format(500),)
    ),
    "thread": Button("200 after", "worked_in: "),
    "sync": Button("200 after", "working in a sync view"),
}


class Console:
    """The console in a page of the browser, and all that it said and asked for."""

    def __init__(self, browser: Browser, showcase: Showcase, **options: Any) -> None:
        self.showcase = showcase
        self.context = browser.new_context(**{"viewport": WIDE, "color_scheme": "light", **options})
        self.context.set_default_timeout(PATIENCE)
        self.page: Page = self.context.new_page()
        self.said: list[str] = []
        self.asked: list[str] = []
        self.page.on("console", lambda message: self.said.append(message.text) if message.type == "error" else None)
        self.page.on("pageerror", lambda error: self.said.append(f"{error.name}: {error.message}"))
        self.context.on("request", lambda request: self.asked.append(request.url))
        self.page.on("websocket", lambda socket: self.asked.append(socket.url))
        self.page.goto(showcase.base)
        expect(self.page.locator("#live")).to_have_text("live")

    def press(self, name: str) -> None:
        """Press a button of the actions, and wait until it is done."""
        action, _, app = name.partition(" ")
        button = self.page.locator(f'[data-do="{action}"]' + (f'[data-app="{app}"]' if app else ""))
        button.click()
        expect(button).to_have_attribute("aria-busy", "false")

    def check(self, *expected: str) -> None:
        """Nothing was said but what was expected, and nobody was asked but the two listeners."""
        surprises = [text for text in self.said if not any(re.search(pattern, text) for pattern in expected)]
        assert surprises == []
        ours = {urlsplit(origin).netloc for origin in (self.showcase.base, self.showcase.second)}
        assert {urlsplit(url).netloc for url in self.asked if not url.startswith("data:")} <= ours


@pytest.fixture(scope="module")
def showcase(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Showcase]:
    """Run one showcase for all tests."""
    running = Showcase(tmp_path_factory.mktemp("showcase"), "--port", "0")
    try:
        yield running
        assert running.stop() == 0, running.words()
    finally:
        running.process.kill()
        running.process.wait()


@pytest.fixture(scope="module")
def shared(browser: Browser, showcase: Showcase) -> Iterator[Console]:
    """Open one console for the buttons, which may be pressed in any order."""
    console = Console(browser, showcase)
    yield console
    console.context.close()


@pytest.fixture
def console(browser: Browser, showcase: Showcase) -> Iterator[Console]:
    """Open a console; in the end nothing must have gone wrong."""
    opened = Console(browser, showcase)
    yield opened
    opened.check()
    opened.context.close()


@pytest.mark.parametrize("name", BUTTONS)
def test_a_button_does_what_it_says(name: str, shared: Console) -> None:
    """A button shows what came of it, what the server logged of that, and the class that answered."""
    button, page = BUTTONS[name], shared.page
    if button.before:
        shared.press(button.before)
    shared.said.clear()
    shared.press(name)
    expect(page.locator("#verdict")).to_contain_text(button.verdict)
    if button.logged:
        expect(page.locator("#details .server")).to_contain_text(button.logged)
        stopped = page.locator("#path .stopped")
        if button.way == "app":
            expect(stopped).to_have_count(0)
            expect(page.locator("#path .reached")).to_have_text("app")
        else:
            expect(stopped).to_have_text(button.way)
            ran = "the app ran" if button.ran else "the app never ran"
            expect(page.locator("#path")).to_have_attribute("aria-label", re.compile(f"{ran}$"))
    shared.check(*button.console)


def test_every_button_is_tested(shared: Console) -> None:
    """A button that is added to the page needs its line above, and has words on it."""
    found = shared.page.eval_on_selector_all(
        "[data-do]", "all => all.map(each => [each.dataset.do, each.dataset.app ?? '', each.innerText])"
    )
    assert {f"{action} {app}".strip() for action, app, _ in found} == set(BUTTONS)
    assert all(words for *_, words in found)


def test_heads_are_shown(console: Console) -> None:
    """Request and response stand side by side with their heads; a token is shortened."""
    console.press("token")
    console.press("me django")
    seen = console.page.locator("#details .seen")
    for text in (
        "GET /django/me",
        "Authorization: Bearer eyJ",
        "characters)",
        "HTTP 200 OK",
        "x-request-id: ui-",
        '"ada"',
    ):
        expect(seen).to_contain_text(text)
    expect(console.page.locator("#holder")).to_contain_text("You are ada: 59 min")


def test_four_codings_are_compared(console: Console) -> None:
    """The table has the bytes of each coding, fewer for each than for the plain body, and the times."""
    console.press("codings")
    rows = console.page.locator("#details tbody tr").all_inner_texts()
    assert [row.split()[0] for row in rows] == ["identity", "gzip", "br", "zstd"]
    plain, *coded = (int(row.split()[1].replace(",", "")) for row in rows)
    assert all(size < plain / 2 for size in coded)
    assert all(row.count("ms") == 2 for row in rows)


def test_the_log_is_live(console: Console) -> None:
    """Each request is a row at once; a row opens to the whole line; it can be paused, cleared and filtered."""
    page, rows = console.page, console.page.locator("#rows tr")
    console.press("thread")
    first = rows.first
    expect(first).to_contain_text("GET /fastapi/thread")
    first.get_by_role("button").click()
    expect(rows.nth(1)).to_contain_text('"trace_id"')
    page.locator("#pause").click()
    before = rows.count()
    console.press("sync")
    assert rows.count() == before
    page.locator("#pause").click()
    expect(first).to_contain_text("GET /django/sync")
    page.locator("#refusals-only").check()
    expect(first).to_be_hidden()
    page.locator("#refusals-only").uncheck()
    page.locator("#clear").click()
    expect(rows).to_have_count(0)
    expect(page.locator("#empty")).to_be_visible()


def test_figures_are_drawn_from_the_metrics(console: Console) -> None:
    """Some traffic moves both pictures and the totals, until it is turned off."""
    page, drive = console.page, console.page.locator("#drive")
    drive.click()
    expect(page.locator("#traffic .ok")).to_have_attribute("d", re.compile(r"M.*v-\d"))
    expect(page.locator("#durations .median")).to_have_attribute("d", re.compile(r"L"))
    expect(page.locator("#rate")).to_have_text(re.compile(r"[1-9][\d.]* requests/s"))
    expect(page.locator("#requests")).to_have_text(re.compile(r"[1-9]"))
    drive.click()
    expect(page.locator("#rate")).to_have_text("0.0 requests/s")
    console.said.clear()  # some of that traffic is refused, and some fails, on purpose


def test_the_keyboard_is_enough(console: Console) -> None:
    """Tab reaches every control in the order of the page, the focus is visible, Enter and Space press."""
    page = console.page
    reached: list[str] = []
    for _ in range(80):
        page.keyboard.press("Tab")
        name, outline = page.evaluate(FOCUSED)
        assert outline != "none", name
        reached.append(name)
        if name == "token":
            page.keyboard.press("Enter")
            expect(page.locator("#verdict")).to_contain_text("200 after")
        if name == "theme":
            page.keyboard.press("Space")
            expect(page.locator("html")).to_have_attribute("data-theme", "dark")
        if name == "clear":
            break
    assert reached[0] == "skip"
    actions = page.eval_on_selector_all("[data-do]", "all => all.map(each => each.dataset.do)")
    assert [name for name in reached if name in actions] == actions
    assert {"drive", "refusals-only", "pause", "clear"} <= set(reached)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_light_and_dark(scheme: str, browser: Browser, showcase: Showcase) -> None:
    """The page follows the system, the toggle wins, and is remembered."""
    console = Console(browser, showcase, color_scheme=scheme)
    page, toggle, is_dark = console.page, console.page.locator("#theme"), scheme == "dark"
    brightness = "Number(getComputedStyle(document.body).backgroundColor.match(/\\d+/)[0])"
    assert (page.evaluate(brightness) < 128) == is_dark
    expect(toggle).to_have_attribute("aria-pressed", str(is_dark).lower())
    toggle.click()
    assert (page.evaluate(brightness) < 128) != is_dark
    page.reload()
    assert (page.evaluate(brightness) < 128) != is_dark
    console.check()
    console.context.close()


@pytest.mark.parametrize("path", ["/", "/curl"])
def test_narrow(path: str, browser: Browser, showcase: Showcase) -> None:
    """At 360 pixels nothing is cut off, and what a button did comes into view."""
    console = Console(browser, showcase, viewport=NARROW)
    page = console.page
    console.press("stream")
    expect(page.locator("#exchange")).to_be_in_viewport()
    page.goto(f"{showcase.base}{path}")
    assert page.evaluate("document.documentElement.scrollWidth") == NARROW["width"]
    console.check()
    console.context.close()


@pytest.mark.parametrize(
    ("name", "options", "action"),
    [
        ("showcase-light", {}, "ws-expires"),
        ("showcase-dark", {"color_scheme": "dark"}, "cors-denied"),
        ("showcase-narrow", {"viewport": NARROW}, "codings"),
    ],
)
def test_pictures(name: str, options: dict[str, Any], action: str, browser: Browser, showcase: Showcase) -> None:
    """Pictures for the documentation can be made, and are small; they are kept only where somebody asks for them."""
    console = Console(browser, showcase, **options)
    folder = os.environ.get("ASGI_MIDDLEWARE_SCREENSHOTS")
    if folder:
        console.page.locator("#drive").click()
        console.page.wait_for_timeout(20_000)  # so that there is something to see in the pictures
    console.press("token")
    console.press(action)
    expect(console.page.locator("#details .server")).to_be_visible()
    picture = console.page.screenshot(path=Path(folder) / f"{name}.png" if folder else None)
    assert len(picture) < LARGEST_PICTURE
    console.context.close()
