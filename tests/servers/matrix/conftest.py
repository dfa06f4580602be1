"""Running servers, started when first needed.

Everywhere this folder runs uvicorn; with ``ASGI_MIDDLEWARE_SERVERS=all`` (``tox run -e servers``) all servers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from matrix.probing import Probe
from matrix.variants import ALL, VARIANTS, Variant

collect_ignore = [] if ALL else [f"test_{variant.server}.py" for variant in VARIANTS if variant.server != "uvicorn"]


@pytest.fixture(scope="module")
def probe(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[Variant], Probe]]:
    """Give the probe of a variant, whose server runs until the module's tests are done."""
    running: dict[str, Probe] = {}
    with ExitStack() as exits:

        def probe_of(variant: Variant) -> Probe:
            if variant.name not in running:
                folder = tmp_path_factory.mktemp(variant.name)
                server = exits.enter_context(variant.running(folder / "server.log"))
                running[variant.name] = Probe(variant, server, folder)
            return running[variant.name]

        yield probe_of
