"""Fields and ids reach their own access line from wherever a framework runs its handlers, on every server."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from matrix.probing import Probe, new_id
from matrix.variants import SELECTED, Variant
from matrix.wire import Request, exchange

TARGET = "propagation_service:app"
TRACE = "0af7651916cd43dd8448eb211c80319c"
# What each place calls itself; "base_http" is Starlette under BaseHTTPMiddleware.
CASES = [
    ("/starlette/on_loop", ["on_loop"]),
    ("/starlette/in_thread", ["in_thread"]),
    ("/starlette/streaming", ["chunk_0", "chunk_1"]),
    ("/starlette/sync_streaming", ["sync_chunk"]),
    ("/starlette/background", ["background"]),
    ("/base_http/on_loop", ["dispatch", "on_loop"]),
    ("/base_http/in_thread", ["dispatch", "in_thread"]),
    ("/base_http/streaming", ["dispatch", "chunk_0", "chunk_1"]),
    ("/base_http/background", ["dispatch", "background"]),
    ("/fastapi/async_dependency", ["dependency", "view"]),
    ("/fastapi/sync_dependency", ["dependency", "view"]),
    ("/fastapi/around", ["before", "view", "after"]),
    ("/fastapi/in_thread", ["dependency", "view"]),
    ("/litestar/on_loop", ["on_loop"]),
    ("/litestar/in_thread", ["in_thread"]),
    ("/quart/on_loop", ["on_loop"]),
    ("/quart/in_thread", ["in_thread"]),
    ("/django/on_loop", ["on_loop", "worker"]),
    ("/django/in_thread", ["in_thread"]),
    ("/django/streaming", ["chunk"]),
    ("/bare/tasks", ["child"]),
    ("/bare/threads", ["worker", "own"]),
]
NAMES = {name for _, names in CASES for name in names} | {"upload"}
PLAIN = [variant for variant in SELECTED if not variant.http2]


@pytest.fixture(scope="module")
def probe(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[Variant], Probe]]:
    """Give the probe of a variant that runs these apps, until the module's tests are done."""
    running: dict[str, Probe] = {}
    with ExitStack() as exits:

        def probe_of(variant: Variant) -> Probe:
            if variant.name not in running:
                folder = tmp_path_factory.mktemp(variant.name)
                server = exits.enter_context(variant.running(folder / "server.log", target=TARGET))
                running[variant.name] = Probe(variant, server, folder)
            return running[variant.name]

        yield probe_of


def runs(path: str, variant: Variant) -> bool:
    """Tell whether the framework of a path runs on the event loop of a server: Django and Quart have asyncio alone."""
    return not (variant.name.endswith("trio") and path.startswith(("/django", "/quart")))


def grid() -> list[Any]:
    """Give every place on every server, sorted by server."""
    return [
        pytest.param(variant, path, names, id=f"{variant.name}-{path[1:].replace('/', '-')}")
        for variant in PLAIN
        for path, names in CASES
        if runs(path, variant)
    ]


def lines_of(probe: Probe, request_id: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Give the access line of a request, and the lines that its handlers logged."""
    access = probe.server.access_line(request_id)
    lines = [line for line in probe.server.log_lines() if line.get("request_id") == request_id and line != access]
    return access, lines


def check(probe: Probe, request_id: str, names: list[str]) -> None:
    """Check that all of these fields, times and log lines are there, and none of another place's."""
    access, lines = lines_of(probe, request_id)
    assert access["outcome"] == "ok"
    assert sorted(NAMES & set(access)) == sorted(names)
    assert sorted(access["timings_ms"]) == sorted(names)
    assert sorted(line["place"] for line in lines) == sorted([*names, *names])
    assert {(line["trace_id"], line["span_id"]) for line in lines} == {(access["trace_id"], access["span_id"])}


@pytest.mark.parametrize(("variant", "path", "names"), grid())
def test_place(probe: Callable[[Variant], Probe], variant: Variant, path: str, names: list[str]) -> None:
    """Fields, times and the ids of log calls work from this place [3.2]."""
    request_id = new_id("place")
    parent = f"00-{TRACE}-b7ad6b7169203331-01"
    found = probe(variant)
    reply = found.exchange(Request(path, headers=[("x-request-id", request_id), ("traceparent", parent)]))
    assert reply.status == 200
    check(found, request_id, names)
    access = found.server.access_line(request_id)
    assert (access["trace_id"], access["parent_span_id"]) == (TRACE, "b7ad6b7169203331")


def pairs() -> list[Any]:
    """Give the second requests that may inherit what the first one of their connection left."""
    seconds = ["/bare/upload", "/starlette/in_thread", "/django/in_thread", "/fastapi/sync_dependency"]
    return [
        pytest.param(variant, path, id=f"{variant.name}-{path[1:].replace('/', '-')}")
        for variant in PLAIN
        for path in seconds
        if runs(path, variant)
    ]


def names_of(path: str) -> list[str]:
    return dict(CASES).get(path, ["upload"])


@pytest.mark.parametrize(("variant", "path"), pairs())
def test_no_bleed_after_a_large_body(probe: Callable[[Variant], Probe], variant: Variant, path: str) -> None:
    """Nothing of a POST of 100 KB reaches the next request on its connection, whoever serves it [3.2]."""
    found = probe(variant)
    first, second = new_id("large"), new_id("after")
    with found.connection() as connection:
        body = b"x" * 100_000
        exchange(connection, Request("/bare/upload", "POST", headers=[("x-request-id", first)], body=body))
        reply = exchange(connection, Request(path, headers=[("x-request-id", second)]))
    assert reply.status == 200
    if path == "/bare/upload":
        assert json.loads(reply.body) == {"id": second, "left_behind": None}
    check(found, first, ["upload"])
    check(found, second, names_of(path))


@pytest.mark.parametrize(("variant", "path"), pairs())
def test_no_bleed_when_pipelined(probe: Callable[[Variant], Probe], variant: Variant, path: str) -> None:
    """Nothing of a request reaches the one that was sent along with it [3.2]."""
    found = probe(variant)
    ids = [new_id("pipelined") for _ in range(3)]
    paths = [path, path, "/bare/upload"]
    with found.connection() as connection:
        requests = [Request(each, headers=[("x-request-id", one)]) for each, one in zip(paths, ids, strict=True)]
        replies = [connection.read(key) for key in connection.send(*requests)]
    assert json.loads(replies[-1].body) == {"id": ids[-1], "left_behind": None}
    for each, request_id in zip(paths, ids, strict=True):
        check(found, request_id, names_of(each))
