"""The checker: what it lets pass, what can be skipped, refusals, and the pair of observers by itself."""

from __future__ import annotations

import functools
from collections.abc import Callable
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import pytest
from right_class import Base

from asgi_middleware.testing import (
    PROFILES,
    RULES,
    ConformanceError,
    Scenario,
    check_middleware,
    http,
    sandwich,
    websocket,
)

pytestmark = pytest.mark.anyio

variable: ContextVar[str] = ContextVar("variable")


class AddsHeader(Base):
    """Adds a response header and a scope key, as a class may."""

    async def serve(self, scope: Any, receive: Any, send: Any) -> None:
        async def sending(message: Any) -> None:
            if message["type"] == "http.response.start":
                headers = [*(message.get("headers") or ()), (b"x-added", b"1")]
                message = {**message, "headers": headers}
            await send(message)

        await self.app({**scope, "added": {"a": 1}}, receive, sending)


class RemovesHeader(Base):
    async def send(self, message: Any, send: Any) -> None:
        if message["type"] == "http.response.start":
            headers = [pair for pair in message.get("headers") or () if bytes(pair[0]).lower() != b"etag"]
            message = {**message, "headers": headers}
        await send(message)


class AddsTo(Base):
    """Adds one pair of headers to every response, whatever it is."""

    def __init__(self, app: Any, pair: Any) -> None:
        super().__init__(app)
        self.pair = pair

    async def send(self, message: Any, send: Any) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*(message.get("headers") or ()), self.pair]}
        await send(message)


@pytest.mark.parametrize("right", [Base, AddsHeader])
async def test_a_right_class_breaks_nothing(right: Callable[..., Any]) -> None:
    """A class that passes everything on, and one that adds a header and a scope key, break no rule."""
    report = await check_middleware(right)
    assert report.violations == ()
    assert report.connections > 180
    assert report.changes == ({"scope +added", "response +x-added"} if right is AddsHeader else set())
    report.raise_if_any()
    assert str(report).endswith(f"no violations in {report.connections} connections")


async def test_a_rule_can_be_skipped() -> None:
    """`skip` takes a rule, or a rule with its subject."""
    whole = Scenario(skip={"header-changed"})
    one = Scenario(skip={"header-changed:etag"})
    other = Scenario(skip={"header-changed:vary"})
    assert (await check_middleware(RemovesHeader, scenario=whole)).violations == ()
    assert (await check_middleware(RemovesHeader, scenario=one)).violations == ()
    assert (await check_middleware(RemovesHeader, scenario=other)).rules == {"header-changed"}


async def test_untouched_means_the_very_objects() -> None:
    """Where a class is said to have nothing to do, a copied scope or a wrapped send is a violation."""
    report = await check_middleware(AddsHeader, scenario=Scenario(untouched={"http"}))
    assert report.keys == {"not-passed-through:scope", "not-passed-through:send"}


class Refuses(Base):
    """Answers everything itself."""

    async def serve(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            await send({"type": "http.response.start", "status": 403, "headers": [(b"content-length", b"2")]})
            await send({"type": "http.response.body", "body": b"no" * (scope["method"] != "HEAD"), "more_body": False})
        else:
            await receive()
            await send({"type": "websocket.close", "code": 1008, "reason": ""})


class ReadsThenRefuses(Refuses):
    """Reads the body of a request that it refuses."""

    async def serve(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            await receive()
        await super().serve(scope, receive, send)


class RefusesAndReads(Refuses):
    """Takes the body of a request before the last byte of its refusal, so that the client sees that."""

    async def serve(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "websocket":
            await super().serve(scope, receive, send)
            return
        body = b"no" * (scope["method"] != "HEAD")
        await send({"type": "http.response.start", "status": 403, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": body[:1], "more_body": True})
        while (await receive()).get("more_body", False):
            pass
        await send({"type": "http.response.body", "body": body[1:], "more_body": False})


class RefusesTooLong(Refuses):
    """Announces another length than it sends."""

    async def serve(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "websocket":
            await super().serve(scope, receive, send)
            return
        await send({"type": "http.response.start", "status": 403, "headers": [(b"content-length", b"3")]})
        await send({"type": "http.response.body", "body": b"no", "more_body": False})


class RefusesWithoutEnd(Refuses):
    """Does not end its answer."""

    async def serve(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "websocket":
            await super().serve(scope, receive, send)
            return
        await send({"type": "http.response.start", "status": 403, "headers": []})


@pytest.mark.parametrize(
    ("refusing", "keys"),
    [
        (Refuses, set()),
        (ReadsThenRefuses, {"early-receive:http"}),
        (RefusesAndReads, set()),
        (RefusesTooLong, {"content-length:403", "body-forbidden:403"}),
        (RefusesWithoutEnd, {"end-lost:http"}),
        (Base, {"app-called:http", "app-called:websocket"}),
    ],
)
async def test_a_refusing_class_is_held_to_its_refusal(refusing: Callable[..., Any], keys: set[str]) -> None:
    """A refusal is complete, true to its length, needs no body of the request, and does not reach the app [law 15]."""
    report = await check_middleware(refusing, scenario=Scenario(refuses={"http", "websocket"}))
    assert report.keys == keys


class TestSandwich:
    """The pair of observers in one's own tests, with one's own app."""

    async def test_it_serves_and_reports(self) -> None:
        """The result is an ASGI app; its report names the request, and shows the messages until the violation."""

        async def app(scope: Any, receive: Any, send: Any) -> None:
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"ok", "more_body": False})

        checked = sandwich(functools.partial(AddsTo, pair=(b"X-Upper", b"1")), app)
        result = await http(checked, "GET", "/items")
        assert result.header(b"x-upper") == b"1"
        (violation,) = checked.report.violations
        assert violation.case == "GET /items"
        assert violation.trace[0] == "app is called"
        assert "server gets http.response.start 200" in violation.trace
        with pytest.raises(ConformanceError, match="header-name:X-Upper") as caught:
            checked.report.raise_if_any()
        assert caught.value.report is checked.report

    async def test_the_apps_own_faults_are_the_apps(self) -> None:
        """What the app does wrong is reported once, as the app's, although it comes out of the class too."""

        async def app(scope: Any, receive: Any, send: Any) -> None:
            await send({"type": "http.response.body", "body": b"early"})
            await send({"type": "http.response.start", "headers": [(b"a b", b"\n")]})

        checked = sandwich(Base, app)
        await http(checked)
        assert {violation.party for violation in checked.report.violations} == {"app"}
        assert checked.report.keys == {
            "before-start:http.response.body",
            "message-key:http.response.start.status",
            "header-name:a b",
            "header-value:a b",
        }

    async def test_the_servers_own_faults_are_the_servers(self) -> None:
        """What the server does wrong is reported as the server's."""

        async def app(scope: Any, receive: Any, send: Any) -> None:
            await receive()

        async def receive() -> Any:
            return {"type": "http.request", "body": "text"}

        async def send(message: Any) -> None: ...

        checked = sandwich(Base, app)
        await checked({"type": "http", "method": "GET", "path": "/", "headers": []}, receive, send)
        first = checked.report.violations[0]
        assert (first.party, first.key) == ("server", "message-key:http.request.body")

    async def test_an_app_may_write_into_its_scope(self) -> None:
        """What the app writes into the scope that it was given is not the class's doing; frameworks do it."""

        async def app(scope: Any, receive: Any, send: Any) -> None:
            scope["route"] = "/items"
            scope["state"]["user"] = "alice"
            await receive()
            await send({"type": "websocket.close"})

        checked = sandwich(Base, app)
        await websocket(checked)
        assert checked.report.violations == ()

    async def test_iterators_of_headers_stay_readable(self) -> None:
        """The observers look at headers that can be read once, without using them up."""

        async def app(scope: Any, receive: Any, send: Any) -> None:
            headers = iter([(b"x-once", b"1")])
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            await send({"type": "http.response.body"})

        checked = sandwich(AddsHeader, app)
        result = await http(checked)
        assert result.headers == [(b"x-once", b"1"), (b"x-added", b"1")]
        assert checked.report.violations == ()


def test_the_documentation_lists_every_rule() -> None:
    """The table of rules in the documentation is the table of rules."""
    text = (Path(__file__).parents[2] / "docs" / "testing.md").read_text(encoding="utf-8")
    listed = [line for line in text.splitlines() if line.startswith("| `") and line.count("|") == 4]
    rows = [f"| `{rule.name}` | {rule.section} | {rule.text} |" for rule in RULES.values()]
    assert [line for line in listed if "Option" not in line and line in rows] == rows
    assert all(f"`{each.name}`" in text for each in PROFILES)
