"""The showcase as a newcomer meets it: the page, the four apps, the terminal, starting and stopping."""

import re
import socket
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.sync.client import connect

ROOT = Path(__file__).parents[2]
APPS = {"bare": "none", "django": "Django", "fastapi": "FastAPI", "starlette": "Starlette"}
PAGES = ["/", "/curl", "/bare/room"]


class Links(HTMLParser):
    """Collects what a page loads and links."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.loaded: list[str] = []
        self.linked: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Sort by tag."""
        for name, value in attrs:
            if name in {"href", "src"}:
                (self.linked if tag == "a" else self.loaded).append(value or "")


@pytest.mark.parametrize("path", PAGES)
def test_a_page_asks_no_other_host_for_anything(path: str, showcase: Any) -> None:
    """The pages are self-contained, in light and dark."""
    page = httpx.get(f"{showcase.base}{path}").raise_for_status().text
    links = Links(page)
    assert all(re.match(r"(/(?!/)|#|data:,)", link) for link in [*links.loaded, *links.linked])
    files = [httpx.get(f"{showcase.base}{link}").raise_for_status() for link in links.loaded if link != "data:,"]
    text = "\n".join([page, *(file.text for file in files)])
    assert not re.search(r"@import|url\(", text)
    assert "color-scheme: light dark" in text


@pytest.mark.parametrize("path", ["/", "/curl"])
def test_a_page_may_ask_no_other_host_for_anything(path: str, showcase: Any) -> None:
    """The browser is told the same: no scripts or styles but our own, no connections but to the two listeners."""
    policy = httpx.get(f"{showcase.base}{path}").headers["content-security-policy"]
    directives = dict(part.split(" ", 1) for part in policy.split("; "))
    sockets = [origin.replace("http", "ws", 1) for origin in (showcase.base, showcase.second)]
    assert directives.pop("connect-src").split() == ["'self'", showcase.second, *sockets]
    assert directives.pop("img-src") == "data:"
    assert {name: value for name, value in directives.items() if value != "'none'"} == {
        "script-src": "'self'",
        "style-src": "'self'",
    }
    assert "default-src" in directives


def test_every_link_of_the_pages_leads_somewhere(showcase: Any) -> None:
    """Each link answers what it is for: 200, 401 for a protected route, 500 for one that raises."""
    links = [
        link for path in PAGES for link in Links(httpx.get(f"{showcase.base}{path}").text).linked if link[0] == "/"
    ]
    assert len(links) > 12
    for link in links:
        expected = 401 if link.endswith("/me") else 500 if link.endswith("/fail") else 200
        with httpx.stream("GET", f"{showcase.base}{link}") as answer:
            assert answer.status_code == expected, link


def test_the_key_is_called_a_development_key_everywhere(showcase: Any) -> None:
    """The terminal, the page and the token's answer say loudly that the key is a development key."""
    assert "!!! DEVELOPMENT KEY" in showcase.words()
    assert "DEVELOPMENT KEY" in httpx.get(showcase.base).text
    assert "DEVELOPMENT KEY" in httpx.post(f"{showcase.base}/token").text


@pytest.mark.parametrize("app", APPS)
def test_one_class_guards_all_four_apps(app: str, showcase: Any) -> None:
    """Each app's protected route is closed without a token, and knows the user with one."""
    url = f"{showcase.base}/{app}/me"
    assert httpx.get(url).status_code == 401
    bearer = {"authorization": f"Bearer {showcase.token(user='grace', scope='admin')}"}
    answer = httpx.get(url, headers=bearer).raise_for_status().json()
    assert answer == {"framework": APPS[app], "user": "grace", "scopes": ["admin"]}


def test_a_path_that_nobody_named_is_closed(showcase: Any) -> None:
    """A path that is not on the public list needs a token, whether it exists or not."""
    assert httpx.get(f"{showcase.base}/bare/nothing").status_code == 401
    bearer = {"authorization": f"Bearer {showcase.token()}"}
    for app in APPS:
        assert httpx.get(f"{showcase.base}/{app}/nothing", headers=bearer).status_code == 404


@pytest.mark.parametrize("app", APPS)
def test_all_four_apps_fail_alike(app: str, showcase: Any) -> None:
    """An unhandled exception in any of the apps is the same problem document, logged once under the same id."""
    request_id = f"fail-{app}"
    answer = httpx.get(f"{showcase.base}/{app}/fail", headers={"x-request-id": request_id})
    assert answer.status_code == 500
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["request_id"] == request_id
    [line] = showcase.lines(request_id)
    assert line["route"] == f"/{app}/fail"
    assert "this text stays in the log" in line["exception"]


def test_metrics_are_by_route_template(showcase: Any) -> None:
    """Figures of all four apps are labelled with route templates, never with paths that a client made up."""
    bearer = {"authorization": f"Bearer {showcase.token()}"}
    for app in APPS:
        httpx.get(f"{showcase.base}/{app}/me", headers=bearer).raise_for_status()
        httpx.get(f"{showcase.base}/{app}/made-up", headers=bearer)
    text = httpx.get(f"{showcase.base}/metrics").text
    for app in APPS:
        assert f'http_route="/{app}/me"' in text
    assert "made-up" not in text


@pytest.mark.parametrize(
    "query", ["user=%0a", "user=", f"user={'x' * 65}", "scope=root", "lifetime=0", "lifetime=3601", "lifetime=long"]
)
def test_a_wrong_wish_for_a_token_is_a_400(query: str, showcase: Any) -> None:
    """A name or scope that the showcase does not know is refused, and so is a lifetime out of range."""
    answer = httpx.get(f"{showcase.base}/token?{query}")
    assert answer.status_code == 400
    assert answer.json()["error"] == "invalid_request"


def test_a_refusal_is_readable_in_a_browser(showcase: Any) -> None:
    """A 401 carries the CORS headers that its origin is due, for the address of a development server."""
    answer = httpx.get(f"{showcase.base}/fastapi/me", headers={"origin": "http://localhost:3000"})
    assert answer.status_code == 401
    assert answer.headers["access-control-allow-origin"] == "http://localhost:3000"


def test_the_chat_as_a_browser_opens_it(showcase: Any) -> None:
    """The chat's page offers its token as a subprotocol, and everyone in the room hears each other."""
    page = httpx.get(f"{showcase.base}/bare/room").text
    assert '"/bare/chat", ["bearer", token]' in page
    url = f"{showcase.base.replace('http', 'ws', 1)}/bare/chat"

    def enter(user: str) -> Any:
        return connect(url, subprotocols=["bearer", showcase.token(user=user)])  # type: ignore[list-item]

    def hear(socket: Any, beginning: str) -> None:
        """Wait for a text; somebody of another test may just be leaving."""
        while not socket.recv(10).startswith(beginning):
            pass

    with enter("ada") as ada:
        assert ada.subprotocol == "bearer"
        hear(ada, "* ada came in")
        with enter("grace") as grace:
            hear(ada, "* grace came in")
            grace.send("hello, room")
            hear(ada, "grace: hello, room")
        hear(ada, "* grace left")


def test_ctrl_c_stops_it_cleanly_while_clients_are_connected(start: Any) -> None:
    """Ctrl-C ends open streams and an open WebSocket, leaves no traceback, and the exit status is 0."""
    running = start("--port", "0")
    bearer = {"Authorization": f"Bearer {running.token()}"}
    chat = connect(f"{running.base.replace('http', 'ws', 1)}/bare/chat", additional_headers=bearer)
    events, log = (httpx.stream("GET", f"{running.base}{path}") for path in ("/bare/events", "/console/log"))
    with chat, events as ticking, log as logging:
        ticks, lines = ticking.iter_bytes(), logging.iter_bytes()
        assert b"tick" in next(ticks)
        assert b"retry" in next(lines)
        assert running.stop() == 0
        list(ticks), list(lines)  # the streams were ended as it should be, not broken off
    everything = running.words() + running.output.read_text(encoding="utf-8")
    assert "Traceback" not in everything
    assert "Cancel" not in everything
    assert running.words().endswith("Stopped.\n")


def test_another_port_is_chosen_when_the_default_is_taken(start: Any) -> None:
    """Without --port, a taken default is no obstacle: it says so and listens elsewhere."""
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            taken.bind(("127.0.0.1", 8000))
            taken.listen()
        except OSError:
            pass  # somebody else has taken it, which serves as well
        running = start()
    assert "Port 8000 is taken" in running.words()
    assert not running.base.endswith(":8000")
    assert httpx.get(f"{running.base}/health").status_code == 200
    assert running.stop() == 0


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the showcase to its end."""
    return subprocess.run(
        [sys.executable, "-m", "examples.showcase", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def test_a_port_that_was_asked_for_and_is_taken_is_an_error() -> None:
    """A port named on the command line is not silently exchanged."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        result = run("--port", str(taken.getsockname()[1]))
    assert result.returncode == 1
    assert result.stderr.startswith("Cannot listen on 127.0.0.1 port")
    assert "Traceback" not in result.stderr


def test_help_helps() -> None:
    """--help names the options and what they default to."""
    result = run("--help")
    assert result.returncode == 0
    assert "--host" in result.stdout
    assert "default: 8000" in result.stdout


@pytest.mark.parametrize("arguments", [["--port", "70000"], ["--port", "http"], ["--colour"]])
def test_a_wrong_option_is_a_usage_error(arguments: list[str]) -> None:
    """A wrong command line ends with status 2 and one line that says what is wrong."""
    result = run(*arguments)
    assert result.returncode == 2
    assert "error: " in result.stderr.splitlines()[-1]
    assert len(result.stderr) < 1000
