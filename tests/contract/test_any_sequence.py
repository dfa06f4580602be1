"""Any legal conversation through every class: what Hypothesis makes up breaks no rule either."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from asgi_middleware.testing import RULES, Scenario, drive, http_scope, sandwich, websocket_scope
from asgi_middleware.testing.driver import http_script, websocket_script

pytestmark = pytest.mark.anyio

EXTENSIONS: dict[str, Any] = {
    f"http.response.{name}": {} for name in ("trailers", "push", "pathsend", "zerocopysend", "early_hint", "debug")
}
few = settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

tokens = st.sampled_from([b"x-a", b"x-b", b"set-cookie", b"cache-control", b"X-Mixed", b"content-language"])
values = st.binary(max_size=12).map(lambda raw: bytes(byte for byte in raw if byte >= 0x20 and byte != 0x7F))
pairs = st.lists(st.tuples(tokens, values), max_size=4)
pieces = st.lists(st.sampled_from([b"", b"a", b"data: 1\n\n", b"text " * 300]), min_size=1, max_size=4)
notes = st.dictionaries(st.sampled_from(["x-note", "x_other"]), st.integers() | st.lists(st.integers()), max_size=1)
content_types = st.sampled_from([b"text/html", b"application/json", b"text/event-stream", b"image/png", b"TEXT/PLAIN"])
asides = st.lists(
    st.sampled_from(
        [
            {"type": "http.response.push", "path": "/a.css", "headers": [(b"accept", b"*/*")]},
            {"type": "http.response.invented", "data": [1, {"a": b"2"}]},
        ]
    ),
    max_size=2,
)
before = st.lists(
    st.sampled_from(
        [
            {"type": "http.response.early_hint", "links": [b"</a.css>; rel=preload"]},
            {"type": "http.response.debug", "info": {"template": "a"}},
            {"type": "http.response.invented"},
        ]
    ),
    max_size=2,
)


@st.composite
def responses(draw: st.DrawFn) -> list[Any]:
    """Give the messages of one legal response."""
    status = draw(st.sampled_from([200, 201, 204, 206, 302, 304, 404, 500, 599]))
    headers = [(b"content-type", draw(content_types)), *draw(pairs)]
    chunks = [b""] if status in {204, 304} else draw(pieces)
    trailers = draw(st.booleans())
    file = draw(st.booleans()) and status not in {204, 304}
    if not file and not trailers and status not in {204, 304} and draw(st.booleans()):
        headers.append((draw(st.sampled_from([b"content-length", b"Content-Length"])), b"%d" % len(b"".join(chunks))))
    start = {"type": "http.response.start", "status": status, **draw(notes)}
    if draw(st.booleans()) or len(headers) > 1:
        start["headers"] = draw(st.sampled_from([list, tuple]))(headers)
    messages = [*draw(before), start | ({"trailers": True} if trailers else {})]
    if file:
        messages.append({"type": "http.response.pathsend", "path": "/dev/null"})
    else:
        for number, chunk in enumerate(chunks, start=1):
            more = number < len(chunks)
            messages += [*draw(asides), {"type": "http.response.body", "body": chunk, "more_body": more, **draw(notes)}]
    if trailers:
        messages.append({"type": "http.response.trailers", "headers": draw(pairs), "more_trailers": False})
    return [*messages, *draw(st.lists(st.just({"type": "http.response.invented", "late": True}), max_size=1))]


@st.composite
def conversations(draw: st.DrawFn) -> list[Any]:
    """Give the messages of one legal WebSocket, from the app's side."""
    if draw(st.booleans()):
        return draw(
            st.sampled_from(
                [
                    [{"type": "websocket.close", "code": 4001, "reason": "no"}],
                    [
                        {"type": "websocket.http.response.start", "status": 403, "headers": [(b"x-a", b"1")]},
                        {"type": "websocket.http.response.body", "body": b"no"},
                    ],
                ]
            )
        )
    kinds: list[dict[str, Any]] = [{"text": ""}, {"text": "\x00é"}, {"bytes": b"\xff"}, {"bytes": None, "text": "a"}]
    data = st.sampled_from(kinds)
    sent: list[Any] = [{"type": "websocket.send", **each} for each in draw(st.lists(data, max_size=4))]
    close = {"type": "websocket.close"}
    end: list[Any] = draw(st.sampled_from([[], [close], [{**close, "code": 1000}]]))
    accept = {"type": "websocket.accept", "subprotocol": draw(st.sampled_from([None, "chat"])), "headers": draw(pairs)}
    return [accept, *sent, *end]


def app_of(messages: list[Any], reads: int, error: BaseException | None) -> Any:
    """Make an app that takes `reads` messages before each of its own, while there are any, and raises in the end."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        left = 3
        for message in messages:
            for _ in range(reads):
                if left:
                    got = await receive()
                    # A class may make one message of several; whoever reads on after the last waits for the client.
                    left = 0 if got["type"] == "http.request" and not got.get("more_body") else left - 1
            await send(
                {**message, "headers": type(message["headers"])(message["headers"])}
                if "headers" in message
                else {**message}
            )
        if error is not None:
            raise error

    return app


def scenario_of(contract: Any) -> Scenario:
    """Give the contract's scenario; where a class takes over, nothing of the app's answer need come out."""
    scenario: Scenario = contract.scenario
    if contract.kind != "taking over":
        return scenario
    sections = {"transparency: messages from the app", "transparency: exceptions"}
    lifted = {rule.name for rule in RULES.values() if rule.section in sections}
    return replace(scenario, skip={*scenario.skip, *lifted} - {"message-mutated", "shared-list", "body-held"})


@few
@given(
    messages=responses(),
    method=st.sampled_from(["GET", "HEAD", "POST", "get"]),
    chunks=st.lists(st.binary(max_size=8), min_size=3, max_size=3),
    headers=pairs,
    reads=st.integers(0, 2),
    raises=st.booleans(),
)
async def test_any_response(
    contract: Any,
    classes: dict[str, type],
    messages: list[Any],
    method: str,
    chunks: list[bytes],
    headers: list[Any],
    reads: int,
    raises: bool,
) -> None:
    """Whatever legal response an app gives, to whatever request, the class keeps its contract."""
    scenario = scenario_of(contract)
    error = LookupError("of the app") if raises else None
    checked = sandwich(classes[contract.name], app_of(messages, reads, error), scenario=scenario, **contract.options())
    scope = http_scope(
        method,
        scenario.path,
        headers=[*scenario.headers, *((name.lower(), value) for name, value in headers)],
        extensions=EXTENSIONS,
    )
    await drive(checked, scope, http_script(chunks), raise_exceptions=False)
    checked.report.raise_if_any()


@few
@given(
    messages=conversations(),
    data=st.lists(st.text(max_size=3) | st.binary(max_size=3), min_size=2, max_size=2),
    reads=st.integers(1, 2),
    raises=st.booleans(),
)
async def test_any_conversation(
    contract: Any, classes: dict[str, type], messages: list[Any], data: list[Any], reads: int, raises: bool
) -> None:
    """Whatever legal WebSocket an app holds, the class keeps its contract."""
    scenario = scenario_of(contract)
    error = LookupError("of the app") if raises else None
    checked = sandwich(classes[contract.name], app_of(messages, reads, error), scenario=scenario, **contract.options())
    scope = websocket_scope(scenario.path, headers=scenario.headers, subprotocols=["chat"])
    await drive(checked, scope, websocket_script(data), raise_exceptions=False)
    checked.report.raise_if_any()
