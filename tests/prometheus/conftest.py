"""A real Prometheus server on a loopback port; collected only where it is asked for by name.

``tox run -e prometheus`` sets the variable, and ``.ci/install-tools prometheus`` installs the server and promtool.
Where they are missing then, that is an error, never a skip.
"""

import asyncio
import os
import threading
from queue import Queue

import pytest

collect_ignore_glob = [] if os.environ.get("ASGI_MIDDLEWARE_PROMETHEUS") else ["test_*.py"]
TRAFFIC_SECONDS = 8


@pytest.fixture(scope="session")
def port():
    """Serve the service in a thread, with traffic; give its port."""
    import scraped_service

    ports, stop = Queue(), threading.Event()
    thread = threading.Thread(target=lambda: asyncio.run(scraped_service.serve(ports.put, TRAFFIC_SECONDS, stop)))
    thread.start()
    try:
        yield ports.get(timeout=20)
    finally:
        stop.set()
        thread.join(30)


@pytest.fixture(scope="session")
def server(port, tmp_path_factory):
    """Give a Prometheus that has scraped the service through all its traffic."""
    import prometheus_process

    with prometheus_process.prometheus(tmp_path_factory.mktemp("prometheus"), port) as running:
        threading.Event().wait(TRAFFIC_SECONDS)
        yield running
