"""Serve a service as a server does, and keep what the whole stack made of it."""

from __future__ import annotations

import logging
import os
from collections.abc import AsyncIterator, Iterator, MutableMapping
from contextlib import ExitStack, asynccontextmanager, contextmanager
from importlib import import_module
from typing import Any

import anyio
import structlog
from expectations import WAYS, Case
from prometheus_client import CollectorRegistry
from services.common import ISSUER, ORIGIN, Calls, layers
from structlog.testing import capture_logs

from asgi_middleware import stack
from asgi_middleware.logging import RequestContextFilter
from asgi_middleware.testing import Result, drive, http, websocket_scope

IN_EVERY_ENVIRONMENT = ("channels", "django", "fastapi", "litestar", "quart", "starlette")
THIRD_PARTIES = ("datasette", "mangum", "mcp")
VARIABLE = "ASGI_MIDDLEWARE_FRAMEWORKS"


def installed() -> list[str]:
    """Give the names that this environment is to have: those that `tox.ini` sets, else those of every environment."""
    named = os.environ.get(VARIABLE)
    return list(IN_EVERY_ENVIRONMENT) if named is None else named.split(",")


def frameworks() -> list[str]:
    """Give the frameworks among them."""
    return [name for name in WAYS if name in installed()]


class Service:
    """One service with its stack, and what it left behind.

    Attributes:
        app: The ASGI application.
        calls: What happened in it.
        registry: What the metrics recorded.
        lines: Every structlog event, access lines among them.
        records: The records of the standard library's logging.
    """

    def __init__(self, framework: str, way: str, lines: list[MutableMapping[str, Any]]) -> None:
        module = import_module(f"services.{framework}_service")
        self.calls = Calls()
        self.registry = CollectorRegistry()
        self.lines = lines
        self.records: list[logging.LogRecord] = []
        wanted = layers(self.registry)
        if way == "outside":
            self.app = stack(module.build([], self.calls), *wanted)
        else:
            self.app = module.build(wanted, self.calls)

    async def request(self, case: Case, *, prefix: str = "") -> Result:
        """Make the case's request, below `prefix`."""
        headers = [(b"host", b"api.example"), (b"origin", ORIGIN.encode()), (b"accept-encoding", b"gzip")]
        if case.token:
            headers.append(ISSUER.authorization(scope="read"))
        headers += case.headers
        path = prefix + case.path
        if case.method == "WS":
            scope = websocket_scope(path, headers=headers)
            script = [{"type": "websocket.connect"}, {"type": "websocket.receive", "text": "hello"}]
            return await drive(self.app, scope, script)
        return await http(self.app, case.method, path, headers=headers, body=case.body, raise_exceptions=False)

    async def settled(self, works: int) -> None:
        """Wait until that many handlers have worked: some frameworks run background tasks on their own."""
        with anyio.move_on_after(2):
            while len(self.works) < works:  # noqa: ASYNC110 -- the handlers know no event of the tests
                await anyio.sleep(0.001)

    @property
    def access(self) -> list[MutableMapping[str, Any]]:
        """The access lines."""
        return [line for line in self.lines if line["event"] in {"http.request", "websocket.session"}]

    @property
    def works(self) -> list[MutableMapping[str, Any]]:
        """The lines that the handlers wrote."""
        return [line for line in self.lines if line["event"] == "working"]

    def samples(self, name: str, *labels: str) -> dict[tuple[str, ...], float]:
        """Give the values of a series by some of its labels, those of value 0 left out."""
        return {
            tuple(sample.labels[label] for label in labels): sample.value
            for family in self.registry.collect()
            for sample in family.samples
            if sample.name == name and sample.value
        }


def labels_of(registry: CollectorRegistry, name: str, *labels: str) -> set[tuple[str, ...]]:
    """Give the label values of a series."""
    return {
        tuple(sample.labels[label] for label in labels)
        for family in registry.collect()
        for sample in family.samples
        if sample.name == name
    }


@asynccontextmanager
async def running(app: Any) -> AsyncIterator[None]:
    """Start the app through lifespan and stop it at the end; one without lifespan raises, and is served still."""
    started, stop = anyio.Event(), anyio.Event()
    messages = iter([{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}])

    async def receive() -> dict[str, Any]:
        message = next(messages)
        if message["type"] == "lifespan.shutdown":
            await stop.wait()
        return message

    async def send(message: dict[str, Any]) -> None:
        assert message["type"] in {"lifespan.startup.complete", "lifespan.shutdown.complete"}, message
        started.set()

    async def live() -> None:
        scope = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": {}}
        try:
            await app(scope, receive, send)
        except ValueError:  # Django and Channels
            assert not started.is_set()
        started.set()

    async with anyio.create_task_group() as group:
        group.start_soon(live)
        with anyio.fail_after(5):
            await started.wait()
        yield
        stop.set()


@contextmanager
def serving(framework: str, way: str) -> Iterator[Service]:
    """Build a service, and collect what it writes until the end."""
    with ExitStack() as exits:
        if framework in {"django", "channels"}:
            exits.enter_context(_django_settings())
        lines = exits.enter_context(capture_logs(processors=[structlog.contextvars.merge_contextvars]))
        service = Service(framework, way, lines)
        handler = _Collector(service.records)
        handler.addFilter(RequestContextFilter())
        shop = logging.getLogger("shop")
        before = shop.level
        shop.addHandler(handler)
        shop.setLevel(logging.INFO)
        exits.callback(shop.setLevel, before)
        exits.callback(shop.removeHandler, handler)
        yield service


class _Collector(logging.Handler):
    def __init__(self, records: list[logging.LogRecord]) -> None:
        super().__init__()
        self._records = records

    def emit(self, record: logging.LogRecord) -> None:
        self._records.append(record)


@contextmanager
def _django_settings() -> Iterator[None]:
    # The settings are the process's, and other tests may have made them.
    from django.conf import settings
    from django.test import override_settings
    from services.django_service import SETTINGS

    if not settings.configured:
        settings.configure(SECRET_KEY="for tests", LOGGING_CONFIG=None, USE_TZ=True)
    with override_settings(**SETTINGS):
        yield
