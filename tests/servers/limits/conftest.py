"""Servers around the limits: uvicorn everywhere, with ``ASGI_MIDDLEWARE_SERVERS=all`` hypercorn and granian too."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from matrix.variants import ALL, VARIANTS, Variant
from processes import Server

WANTED = {
    "uvicorn-h11-asyncio-websockets",
    "uvicorn-httptools-asyncio-wsproto",
    *({"hypercorn-asyncio", "granian-asyncio"} if ALL else ()),
}
CHOSEN = [variant for variant in VARIANTS if variant.name in WANTED]


@pytest.fixture(scope="module", params=CHOSEN, ids=lambda variant: variant.name)
def variant(request: pytest.FixtureRequest) -> Variant:
    """Each server."""
    chosen: Variant = request.param
    return chosen


@pytest.fixture(scope="module")
def server(variant: Variant, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The server, running until the module's tests are done."""
    folder = tmp_path_factory.mktemp(variant.name)
    with variant.running(folder / "server.log", target="limits.service:app") as running:
        yield running
