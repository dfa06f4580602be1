"""A real Prometheus server on a loopback port; ``.ci/install-tools prometheus`` installs it, and promtool."""

import asyncio
import threading
from queue import Queue

import pytest

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
