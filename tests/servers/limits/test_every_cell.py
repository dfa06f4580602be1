"""A 413 in every cell: frameworks and applications, declared and chunked, on every server [B1]."""

from __future__ import annotations

import http.client

import pytest
from limits.service import FRAMEWORKS, HERE, LIMIT
from matrix.variants import ALL
from processes import HOST, Server

CONTENT_TYPES = {"fastapi-json": "application/json", "fastapi-form": "application/x-www-form-urlencoded"}


def test_all_are_here() -> None:
    """Where all servers are run, so are all frameworks."""
    assert not ALL or set(FRAMEWORKS) == HERE


def ask(server: Server, name: str, size: int, *, chunked: bool) -> tuple[int, bytes]:
    body = {"fastapi-json": b"[1]" + b" " * (size - 3), "fastapi-form": b"name=" + b"x" * (size - 5)}.get(
        name, b"x" * size
    )
    headers = {"content-type": CONTENT_TYPES.get(name, "application/octet-stream")}
    connection = http.client.HTTPConnection(HOST, server.port, timeout=20)
    try:
        if chunked:
            pieces = (body[at : at + 16_384] for at in range(0, size, 16_384))
            connection.request("POST", f"/{name}/", body=pieces, headers=headers, encode_chunked=True)
        else:
            connection.request("POST", f"/{name}/", body=body, headers=headers)
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


@pytest.mark.parametrize("chunked", [False, True], ids=["declared", "chunked"])
@pytest.mark.parametrize("name", sorted(HERE))
def test_cell(server: Server, name: str, chunked: bool) -> None:
    """Over the limit the client gets our 413, whatever the framework makes of it; at the limit the app answers."""
    status, document = ask(server, name, LIMIT + 1, chunked=chunked)
    assert (status, b'"reason":"body_too_large"' in document) == (413, True)
    assert ask(server, name, 10 * LIMIT, chunked=chunked)[0] == 413
    assert ask(server, name, LIMIT, chunked=chunked)[0] == 200
