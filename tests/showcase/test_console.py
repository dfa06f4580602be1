"""What the console asks the server for; what it makes of that is tested in a browser (tests/browser)."""

import itertools
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

ROOT = Path(__file__).parents[2]


def events(showcase: Any, **headers: str) -> tuple[list[str], list[dict[str, Any]]]:
    """Give the ids and lines that the log's stream has at once, up to a request made now."""
    mark = f"mark-{time.monotonic_ns()}"
    ids, lines = [], []
    with httpx.stream("GET", f"{showcase.base}/console/log", headers=headers) as stream:
        httpx.get(f"{showcase.base}/health", headers={"x-request-id": mark})
        for text in stream.iter_lines():
            name, _, value = text.partition(": ")
            if name == "id":
                ids.append(value)
            elif name == "data":
                lines.append(json.loads(value))
                if lines[-1].get("request_id") == mark:
                    break
    return ids, lines


def test_the_page_sees_the_lines_of_the_terminal(showcase: Any) -> None:
    """The stream has the earlier lines, and then each line as it is written."""
    httpx.get(f"{showcase.base}/django/sync", headers={"x-request-id": "for-the-stream"})
    own = showcase.lines("for-the-stream", at_least=2)
    _, lines = events(showcase)
    assert [line for line in lines if line.get("request_id") == "for-the-stream"] == own


def test_a_page_that_comes_back_gets_what_it_missed(showcase: Any) -> None:
    """After a break the stream goes on behind the last event that the page has seen; a strange id means nothing."""
    ids, _ = events(showcase)
    again, lines = events(showcase, **{"last-event-id": ids[-1]})
    assert not set(again) & set(ids)
    assert not [line for line in lines if line["event"].startswith("Started server process")]
    assert set(ids) <= set(events(showcase, **{"last-event-id": "elsewhere-5"})[0])


def test_the_plumbing_is_in_no_line_and_no_figure(showcase: Any) -> None:
    """What the page asks for again and again is neither logged nor measured, as long as it goes well."""
    for path in ("/console/console.js", "/console/explain?path=/health", "/metrics"):
        httpx.get(f"{showcase.base}{path}").raise_for_status()
    good = [line for line in events(showcase)[1] if line.get("outcome") == "ok" and line["status"] == 200]
    assert "/health" in {line["path"] for line in good}
    assert not [line for line in good if line["path"].startswith(("/console", "/metrics"))]
    assert "/console" not in httpx.get(f"{showcase.base}/metrics").text


@pytest.mark.parametrize("coding", ["identity", "gzip", "br", "zstd"])
def test_one_coding_at_a_time(coding: str, showcase: Any) -> None:
    """The query picks one of the codings that the client accepts."""
    answer = httpx.get(
        f"{showcase.base}/starlette/catalog?coding={coding}", headers={"accept-encoding": "gzip, br, zstd"}
    )
    assert answer.headers.get("content-encoding", "identity") == coding
    assert len(answer.json()) == 2000


def test_a_coding_that_the_client_does_not_accept(showcase: Any) -> None:
    """A coding that the client did not name stays unused, whatever the query says."""
    answer = httpx.get(f"{showcase.base}/starlette/catalog?coding=br", headers={"accept-encoding": "gzip"})
    assert "content-encoding" not in answer.headers


@pytest.mark.parametrize(
    ("path", "method", "allowed", "reason"),
    [
        ("/health", "GET", True, "origin_allowed"),
        ("/starlette/partners", "GET", False, "origin_not_allowed"),
        ("/health", "PATCH", False, "method_not_allowed"),
    ],
)
def test_the_explanation_is_what_happens(path: str, method: str, allowed: bool, reason: str, showcase: Any) -> None:
    """The console's explanation is that of the very class that decides."""
    query = {"origin": showcase.base, "path": path, "method": method}
    found = httpx.get(f"{showcase.base}/console/explain", params=query).json()
    assert (found["allowed"], found["reason"]) == (allowed, reason)
    answer = httpx.request(method, f"{showcase.second}{path}", headers={"origin": showcase.base})
    assert ("access-control-allow-origin" in answer.headers) == (reason != "origin_not_allowed")


def test_a_path_without_a_policy_has_no_explanation(showcase: Any) -> None:
    """A path that can be read in two ways has no policy, and the answer says so."""
    answer = httpx.get(f"{showcase.base}/console/explain", params={"path": "/x/../starlette/partners"})
    assert answer.status_code == 400


def test_the_slow_client(showcase: Any) -> None:
    """The slow client tells what it sent, the 408 it got, and that the connection was closed."""
    answer = httpx.post(f"{showcase.base}/console/slow-upload?id=slow-1&silent", timeout=20)
    story = [json.loads(line) for line in answer.text.splitlines()]
    kinds = [kind for kind, _ in itertools.groupby(each["kind"] for each in story)]
    assert kinds == ["request", "sent", "response", "closed"]
    assert story[-2]["text"].startswith("HTTP/1.1 408 ")
    [line] = showcase.lines("slow-1")
    assert line["refusal"] == "body_idle_timeout"


@pytest.mark.parametrize("mark", ["", "x" * 65, "a\r\nHost: b"])
def test_the_slow_client_sends_no_head_of_a_strangers_making(mark: str, showcase: Any) -> None:
    """An id that would break the head is refused."""
    assert httpx.post(f"{showcase.base}/console/slow-upload", params={"id": mark}).status_code == 400


def test_a_websocket_lives_as_long_as_its_token(showcase: Any) -> None:
    """The connection is renewed by a message, refuses a token of somebody else, and ends with the last token."""
    url = f"{showcase.base.replace('http', 'ws', 1)}/bare/session"
    bearer = {"Authorization": f"Bearer {showcase.token(lifetime='1')}"}
    with connect(url, additional_headers=bearer) as socket:
        assert json.loads(socket.recv(10))["type"] == "hello"
        socket.send(f"token {showcase.token(user='eve')}")
        assert json.loads(socket.recv(10))["reason"] == "subject_changed"
        socket.send(f"token {showcase.token(lifetime='2')}")
        assert json.loads(socket.recv(10))["seconds_left"] > 1
        socket.send("hello")
        assert json.loads(socket.recv(10))["text"] == "hello"
        with pytest.raises(ConnectionClosed) as closed:
            socket.recv(10)
    assert closed.value.rcvd is not None
    assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (4401, "token_expired")


def test_the_check_command_sees_the_apps_inside() -> None:
    """``check`` walks through the dispatcher into the four apps, and finds everything in its place."""
    result = subprocess.run(
        [sys.executable, "-m", "asgi_middleware", "check", "examples.showcase.stack:app"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    for branch in (
        "bare: app",
        "django: ASGIHandler",
        "fastapi: ",
        "FastAPI\n",
        "metrics: MetricsEndpoint",
        "starlette: ",
    ):
        assert branch in result.stdout
