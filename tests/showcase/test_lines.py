"""Each curl line of the showcase does what its page says."""

import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest

Check = Callable[[Any, Any], None]


def token(answer: Any, showcase: Any) -> None:
    """The answer is a token that works, with a warning beside it."""
    given = answer.json()
    assert "DEVELOPMENT KEY" in given["warning"]
    assert answer.headers["cache-control"] == "no-store"
    bearer = {"authorization": f"Bearer {given['access_token']}"}
    assert httpx.get(f"{showcase.base}/starlette/me", headers=bearer).json()["user"] == "grace"


def refused(answer: Any, showcase: Any) -> None:
    """The refusal is a problem document with a reason, and a challenge."""
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["www-authenticate"].startswith("Bearer")
    assert answer.json()["reason"] == "credentials_missing"


def protected(answer: Any, showcase: Any) -> None:
    """The app knows the user."""
    assert answer.json() == {"framework": "FastAPI", "user": "ada", "scopes": []}


def forbidden(answer: Any, showcase: Any) -> None:
    """The refusal names the scope that is missing."""
    assert answer.json()["reason"] == "insufficient_scope"
    assert 'scope="admin"' in answer.headers["www-authenticate"]


def admin(answer: Any, showcase: Any) -> None:
    """The secret comes."""
    assert "secret" in answer.json()


def websocket_refused(answer: Any, showcase: Any) -> None:
    """The handshake's refusal is the same problem document."""
    refused(answer, showcase)


def websocket(answer: Any, showcase: Any) -> None:
    """The chat greets."""
    assert answer.frames[0].startswith("* ada came in; ")


def preflight(answer: Any, showcase: Any) -> None:
    """The browser may go on."""
    assert answer.headers["access-control-allow-origin"] == "http://localhost:5173"
    assert "PUT" in answer.headers["access-control-allow-methods"]


def preflight_denied(answer: Any, showcase: Any) -> None:
    """The browser must not go on."""
    assert not [name for name in answer.headers if name.startswith("access-control")]
    assert answer.json()["reason"] == "origin_not_allowed"


def large(answer: Any, showcase: Any) -> None:
    """The answer is plain and large."""
    assert int(answer.headers["content-length"]) > 100_000
    assert "content-encoding" not in answer.headers


def compressed(answer: Any, showcase: Any) -> None:
    """The answer is the same and compressed."""
    assert answer.headers["content-encoding"] in {"br", "gzip"}
    assert "accept-encoding" in answer.headers["vary"].lower()
    assert len(answer.json()) == 2000


def stream(answer: Any, showcase: Any) -> None:
    """Several events came in the time, compressed."""
    assert answer.headers["content-type"] == "text/event-stream"
    assert answer.headers["content-encoding"] in {"br", "gzip"}
    events = answer.body.decode().split("\n\n")[:-1]
    assert len(events) >= 3
    numbers = [json.loads(event.partition("data: ")[2])["number"] for event in events]
    assert numbers == list(range(1, len(events) + 1))


def upload(answer: Any, showcase: Any) -> None:
    """The handler counted, and its field is in the access line."""
    assert answer.json() == {"bytes": 5}
    [line] = showcase.lines(answer.headers["x-request-id"])
    assert line["uploaded"] == 5


def too_large(answer: Any, showcase: Any) -> None:
    """The refusal says why, and so does the access line."""
    assert answer.json()["reason"] == "body_too_large"
    [line] = showcase.lines(answer.headers["x-request-id"])
    assert (line["outcome"], line["refusal"]) == ("refused", "body_too_large")


def problem(answer: Any, showcase: Any) -> None:
    """The answer has the id and not the text; the log has both."""
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["request_id"] == "try-problem"
    assert b"this text stays in the log" not in answer.body
    line = showcase.lines("try-problem")[0]
    assert (line["outcome"], line["level"]) == ("error", "error")
    assert "RuntimeError: this text stays in the log" in line["exception"]


def logged(request_id: str, place: str) -> Check:
    """Give the check for a log call made in some place."""

    def check(answer: Any, showcase: Any) -> None:
        assert answer.headers["x-request-id"] == request_id
        own, access = showcase.lines(request_id, at_least=2)[:2]
        assert own["event"] == f"working in {place}"
        assert access["event"] == "http.request"
        assert own["trace_id"] == access["trace_id"]

    return check


def metrics(answer: Any, showcase: Any) -> None:
    """The figures are by route template."""
    text = answer.body.decode()
    assert "# TYPE http_server_request_duration_seconds histogram" in text
    assert 'http_route="/curl"' in text


def health(answer: Any, showcase: Any) -> None:
    """All is well."""
    assert answer.json() == {"status": "ok"}


CHECKS: dict[str, Check] = {
    "token": token,
    "refused": refused,
    "protected": protected,
    "forbidden": forbidden,
    "admin": admin,
    "websocket-refused": websocket_refused,
    "websocket": websocket,
    "preflight": preflight,
    "preflight-denied": preflight_denied,
    "large": large,
    "compressed": compressed,
    "stream": stream,
    "upload": upload,
    "upload-too-large": too_large,
    "upload-unannounced": too_large,
    "problem": problem,
    "log-sync": logged("try-sync", "a sync view"),
    "log-async": logged("try-async", "an async view"),
    "log-thread": logged("try-thread", "a thread"),
    "metrics": metrics,
    "health": health,
}


@pytest.mark.parametrize("name", CHECKS)
def test_a_line_does_what_the_page_says(name: str, showcase: Any, run_line: Any) -> None:
    """A line of the page, done as it stands there, gives the status and the answer that stand beside it."""
    step = showcase.steps()[name]
    answer = run_line(step["command"])
    assert answer.status == int(step["status"]), answer.body
    CHECKS[name](answer, showcase)


def test_every_line_of_the_page_is_tested(showcase: Any) -> None:
    """A line that is added to the page needs its test."""
    assert list(showcase.steps()) == list(CHECKS)
