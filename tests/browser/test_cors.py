"""CORS as Chromium enforces it: pages on one loopback origin, the API on another, a real uvicorn behind each.

Where Chromium is laxer than the standard (it lets ``*`` cover Authorization), the model holds the
line.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any, Protocol

import pytest
from browsing import empty_page, fetch
from playwright.sync_api import Page
from sites import Site, serving

from asgi_middleware import (
    CompressionMiddleware,
    CORSMiddleware,
    JWTAuthMiddleware,
    RequestBodyLimitMiddleware,
    WebSocketOriginMiddleware,
)

READABLE = {"status": 200, "body": "data"}
DENIED = {"error": "TypeError"}


class Serve(Protocol):
    """Serves an app behind CORS until the test ends."""

    def __call__(self, app: Any = ..., **options: Any) -> Site: ...


async def data(scope: Any, receive: Any, send: Any) -> None:
    """Answer with four bytes and two headers of its own."""
    headers = [(b"content-type", b"text/plain"), (b"x-total", b"42"), (b"x-page", b"1")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"data"})


@pytest.fixture
def api() -> Iterator[Serve]:
    """Give a function that serves an app behind CORS."""
    with ExitStack() as running:

        def serve(app: Any = data, **options: Any) -> Site:
            return running.enter_context(serving(lambda _: CORSMiddleware(app, **options)))

        yield serve


@pytest.fixture
def script(page: Page, pages: Site) -> Page:
    """Open a page of the allowed origin."""
    page.goto(pages.origin)
    return page


def at(site: Site, path: str = "/data") -> str:
    return f"{site.origin}{path}"


def same(found: dict[str, Any], wanted: dict[str, Any]) -> bool:
    return {name: found.get(name) for name in wanted} == wanted


class TestSimple:
    """Requests without a preflight."""

    def test_allowed(self, script: Page, pages: Site, api: Serve) -> None:
        """A page of an allowed origin reads the answer."""
        site = api(allow_origins=[pages.origin])
        assert same(fetch(script, at(site)), READABLE)
        assert site.methods("/data") == ["GET"]

    def test_denied(self, script: Page, api: Serve) -> None:
        """A page of another origin reads nothing, though the app has answered."""
        site = api(allow_origins=["https://app.example"])
        assert fetch(script, at(site)) == DENIED
        assert site.methods("/data") == ["GET"]

    def test_any_origin(self, script: Page, api: Serve) -> None:
        """The wildcard lets every page read."""
        assert same(fetch(script, at(api(allow_origins=["*"]))), READABLE)

    def test_any_port(self, script: Page, api: Serve) -> None:
        """A pattern with any port serves a developer's machine."""
        assert same(fetch(script, at(api(allow_origins=["http://127.0.0.1:*"]))), READABLE)

    @pytest.mark.parametrize("line", [b"*", b"https://app.example"])
    def test_the_app_sets_its_own(self, script: Page, pages: Site, api: Serve, line: bytes) -> None:
        """Exactly one line leaves, whatever the app has set: two would make the browser refuse [3.1 #16]."""

        async def app(scope: Any, receive: Any, send: Any) -> None:
            headers = [(b"Access-Control-Allow-Origin", line), (b"content-type", b"text/plain")]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            await send({"type": "http.response.body", "body": b"data"})

        assert same(fetch(script, at(api(app, allow_origins=[pages.origin]))), READABLE)


class TestPreflight:
    """Requests that the browser asks for first."""

    @pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH"])
    def test_method(self, script: Page, pages: Site, api: Serve, method: str) -> None:
        """An allowed method goes through after one preflight that the app never sees."""
        site = api(allow_origins=[pages.origin], allow_methods=["PUT", "DELETE", "PATCH"])
        assert same(fetch(script, at(site), method=method), READABLE)
        assert site.methods("/data") == ["OPTIONS", method]

    def test_method_denied(self, script: Page, pages: Site, api: Serve) -> None:
        """A method that is not allowed never reaches the app."""
        site = api(allow_origins=[pages.origin], allow_methods=["GET"])
        assert fetch(script, at(site), method="DELETE") == DENIED
        assert site.methods("/data") == ["OPTIONS"]

    def test_methods_are_case_sensitive(self, script: Page, pages: Site, api: Serve) -> None:
        """A script that asks for ``patch`` does not get ``PATCH`` [3.1 #3]."""
        site = api(allow_origins=[pages.origin], allow_methods=["PATCH"])
        assert fetch(script, at(site), method="patch") == DENIED

    def test_headers(self, script: Page, pages: Site, api: Serve) -> None:
        """Allowed headers go through; the browser asks for them in one sorted line [3.1 #4]."""
        site = api(allow_origins=[pages.origin], allow_headers=["X-B", "X-A", "Content-Type"])
        headers = {"x-b": "1", "X-A": "2", "Content-Type": "application/json"}
        assert same(fetch(script, at(site), method="POST", headers=headers, body="{}"), READABLE)
        asked = next(found for method, _, found in site.seen if method == "OPTIONS")
        assert asked["access-control-request-headers"] == "content-type,x-a,x-b"

    def test_header_denied(self, script: Page, pages: Site, api: Serve) -> None:
        """A header that is not allowed never reaches the app."""
        site = api(allow_origins=[pages.origin], allow_headers=["X-A"])
        assert fetch(script, at(site), headers={"X-Other": "1"}) == DENIED
        assert site.methods("/data") == ["OPTIONS"]

    @pytest.mark.parametrize(("max_age", "preflights"), [(600, 1), (0, 2)])
    def test_max_age(self, script: Page, pages: Site, api: Serve, max_age: int, preflights: int) -> None:
        """A permission is kept as long as it says; 0 means not at all, and is sent as 0 [3.1 #13]."""
        site = api(allow_origins=[pages.origin], allow_methods=["PUT"], max_age=max_age)
        for _ in range(2):
            assert same(fetch(script, at(site), method="PUT"), READABLE)
        assert site.methods("/data").count("OPTIONS") == preflights


class TestCredentials:
    """Cookies along with the request."""

    def test_allowed(self, script: Page, pages: Site, api: Serve) -> None:
        """A credentialed answer is readable where credentials are allowed."""
        site = api(allow_origins=[pages.origin], allow_credentials=True)
        script.context.add_cookies([{"name": "session", "value": "1", "url": site.origin}])
        assert same(fetch(script, at(site), credentials="include"), READABLE)
        assert site.seen[-1][2]["cookie"] == "session=1"

    def test_not_allowed(self, script: Page, pages: Site, api: Serve) -> None:
        """Without them the script reads nothing."""
        assert fetch(script, at(api(allow_origins=[pages.origin])), credentials="include") == DENIED

    def test_wildcard(self, script: Page, api: Serve) -> None:
        """A wildcard never goes with credentials [3.1 #8]."""
        assert fetch(script, at(api(allow_origins=["*"])), credentials="include") == DENIED

    def test_every_method_and_header(self, script: Page, pages: Site, api: Serve) -> None:
        """``*`` lists work with credentials too, where the bare ``*`` would be a name [3.1 #6]."""
        site = api(allow_origins=[pages.origin], allow_credentials=True, allow_methods=["*"], allow_headers=["*"])
        found = fetch(script, at(site), method="DELETE", headers={"x-any": "1"}, credentials="include")
        assert same(found, READABLE)


class TestExposed:
    """Response headers that a script can read."""

    @pytest.mark.parametrize(
        ("expose", "credentials", "readable"),
        [
            ([], False, set()),
            (["X-Total"], False, {"x-total"}),
            (["*"], False, {"x-total", "x-page"}),
            (["*"], True, {"x-total", "x-page"}),
        ],
    )
    def test_exposed(
        self, script: Page, pages: Site, api: Serve, expose: list[str], *, credentials: bool, readable: set[str]
    ) -> None:
        """A script reads what is exposed; everything also with credentials, where ``*`` alone exposes nothing."""
        site = api(allow_origins=[pages.origin], expose_headers=expose, allow_credentials=credentials)
        found = fetch(script, at(site), credentials="include" if credentials else "omit")
        assert {name for name in found["headers"] if name.startswith("x-")} == readable


class TestOutcomes:
    """Every outcome is readable: an answer without CORS headers looks like a network error [3.1 #14]."""

    def test_unhandled_exception(self, script: Page, pages: Site, api: Serve) -> None:
        """The script reads the 500 of an app that failed [3.1 #15]."""

        async def failing(scope: Any, receive: Any, send: Any) -> None:
            raise RuntimeError

        found = fetch(script, at(api(failing, allow_origins=[pages.origin])))
        assert found["status"] == 500
        assert found["headers"]["content-type"] == "application/problem+json"

    def test_refused_by_a_class_inside(self, script: Page, pages: Site, api: Serve) -> None:
        """The script reads a 401 and a 413 of our own classes."""
        key = "a key of thirty-two bytes or more, for tests alone"
        inner = JWTAuthMiddleware(data, key=key, algorithms=["HS256"], audience="test", issuer="test")
        site = api(RequestBodyLimitMiddleware(inner, max_body_size=10), allow_origins=[pages.origin])
        assert fetch(script, at(site))["status"] == 401
        assert fetch(script, at(site), method="POST", body="x" * 100)["status"] == 413

    @pytest.mark.parametrize("status", [204, 304, 404, 503])
    def test_statuses(self, script: Page, pages: Site, api: Serve, status: int) -> None:
        """Every status of the app is readable."""

        async def app(scope: Any, receive: Any, send: Any) -> None:
            await send({"type": "http.response.start", "status": status, "headers": []})
            await send({"type": "http.response.body"})

        assert fetch(script, at(api(app, allow_origins=[pages.origin])))["status"] == status

    def test_head(self, script: Page, pages: Site, api: Serve) -> None:
        """So is the answer to HEAD."""
        found = fetch(script, at(api(allow_origins=[pages.origin], expose_headers=["X-Total"])), method="HEAD")
        assert (found["status"], found["body"], found["headers"]["x-total"]) == (200, "", "42")

    def test_compressed(self, script: Page, pages: Site, api: Serve) -> None:
        """A compressed answer is readable, and varies by both."""

        async def large(scope: Any, receive: Any, send: Any) -> None:
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
            await send({"type": "http.response.body", "body": b"data" * 1000})

        site = api(
            CompressionMiddleware(large), allow_origins=[pages.origin], expose_headers=["Vary", "Content-Encoding"]
        )
        found = fetch(script, at(site))
        assert found["body"] == "data" * 1000
        assert found["headers"]["content-encoding"] in {"gzip", "br", "zstd"}
        assert {member.strip().lower() for member in found["headers"]["vary"].split(",")} == {
            "accept-encoding",
            "origin",
        }


class TestRedirects:
    """A redirect is one more cross-origin request."""

    @pytest.fixture
    def moved(self) -> Callable[[str], Any]:
        """Give an app that redirects ``/moved`` to an address."""

        def make(location: str) -> Any:
            async def app(scope: Any, receive: Any, send: Any) -> None:
                if scope["path"] != "/moved":
                    await data(scope, receive, send)
                    return
                headers = [(b"location", location.encode())]
                await send({"type": "http.response.start", "status": 307, "headers": headers})
                await send({"type": "http.response.body"})

            return app

        return make

    def test_within_the_api(self, script: Page, pages: Site, api: Serve, moved: Callable[[str], Any]) -> None:
        """Within one allowed API the script follows and reads."""
        site = api(moved("/data"), allow_origins=[pages.origin])
        assert same(fetch(script, at(site, "/moved")), READABLE)

    def test_to_another_origin(self, script: Page, pages: Site, api: Serve, moved: Callable[[str], Any]) -> None:
        """On the way to a third origin the page's becomes ``null``, which an origin list does not allow [3.1 #9]."""
        third = api(allow_origins=[pages.origin])
        first = api(moved(at(third)), allow_origins=[pages.origin])
        assert fetch(script, at(first, "/moved")) == DENIED
        assert third.seen[-1][2]["origin"] == "null"


class TestCache:
    """What the browser's cache makes of an answer."""

    def test_vary(self, script: Page, pages: Site, api: Serve) -> None:
        """An answer cached for an image does not shadow the one for a script [3.2 #20].

        Without ``Vary: Origin`` the cache would give the script the image's answer, which has no CORS headers.
        """

        async def cacheable(scope: Any, receive: Any, send: Any) -> None:
            headers = [(b"content-type", b"image/svg+xml"), (b"cache-control", b"max-age=600")]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            await send({"type": "http.response.body", "body": b'<svg xmlns="http://www.w3.org/2000/svg"/>'})

        site = api(cacheable, allow_origins=[pages.origin])
        loaded = """url => new Promise(done => {
            const image = new Image(); image.onload = () => done("loaded"); image.onerror = () => done("failed");
            image.src = url;
        })"""
        assert script.evaluate(loaded, at(site)) == "loaded"
        assert fetch(script, at(site))["status"] == 200
        assert "origin" not in site.seen[0][2]


class TestNull:
    """A sandboxed frame has the origin ``null`` [3.1 #9]."""

    FRAME = """url => new Promise(done => {
        window.onmessage = event => done(event.data);
        const frame = document.createElement("iframe");
        frame.sandbox = "allow-scripts";
        frame.srcdoc = `<script>
            fetch("${url}").then(r => r.text(), error => error.name).then(t => parent.postMessage(t, "*"))
        </script>`;
        document.body.append(frame);
    })"""

    @pytest.mark.parametrize(("extra", "read"), [([], "TypeError"), (["null"], "data")])
    def test_named_or_not(self, script: Page, pages: Site, api: Serve, extra: list[str], read: str) -> None:
        """It reads only where ``null`` is named."""
        site = api(allow_origins=[pages.origin, *extra])
        assert script.evaluate(self.FRAME, at(site)) == read
        assert site.seen[-1][2]["origin"] == "null"


class TestWebSocket:
    """A browser asks for no permission to open a WebSocket: the server has to look at the origin [3.4]."""

    OPEN = """url => new Promise(done => {
        const socket = new WebSocket(url);
        socket.onopen = () => { done("open"); socket.close(); };
        socket.onclose = event => done(event.code);
    })"""

    @staticmethod
    async def accepting(scope: Any, receive: Any, send: Any) -> None:
        """Accept every WebSocket; serve a page to everybody else."""
        if scope["type"] == "http":
            await empty_page(scope, receive, send)
            return
        await receive()
        await send({"type": "websocket.accept"})
        await receive()

    @pytest.mark.parametrize(("other", "outcome"), [(True, "open"), (False, 1006)])
    def test_cross_origin(self, script: Page, pages: Site, *, other: bool, outcome: object) -> None:
        """A page of another origin gets in only where it is allowed."""
        allowed = [pages.origin] if other else ["https://app.example"]
        with serving(lambda _: WebSocketOriginMiddleware(self.accepting, allow_origins=allowed)) as site:
            assert script.evaluate(self.OPEN, f"{site.websocket_origin}/ws") == outcome
            assert site.seen[-1][2]["origin"] == pages.origin

    def test_same_origin(self, page: Page) -> None:
        """A page of the same origin needs no permission."""
        with serving(
            lambda _: WebSocketOriginMiddleware(self.accepting, allow_origins=["https://app.example"])
        ) as site:
            page.goto(site.origin)
            assert page.evaluate(self.OPEN, f"{site.websocket_origin}/ws") == "open"
