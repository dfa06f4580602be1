"""The contracts: each public class, in what ways it is held to the rules, and what it changes there.

A contract is a kind of request. *Idle* ones are those in which the class has nothing to do, *active* ones those in
which it acts, *refusing* ones those that it answers itself, and in one a class *takes over* from an app that has begun.
`skip` names what a class breaks on purpose, with the reason; `changes` is
all that it may change besides, and must.
"""

from __future__ import annotations

import inspect
import pkgutil
from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any, NamedTuple

import prometheus_client
import pytest
import structlog

import asgi_middleware
from asgi_middleware.limits import BodyBudget
from asgi_middleware.testing import Scenario
from asgi_middleware.testing.tokens import TokenIssuer

ISSUER = TokenIssuer()
OURS = "scope +asgi_middleware"
VARY = "response +vary"


RECOMMENDED: list[tuple[str, Callable[[], dict[str, Any]]]] = [
    ("LoggingMiddleware", dict),
    ("PrometheusMiddleware", lambda: {"registry": prometheus_client.CollectorRegistry()}),
    ("CORSMiddleware", lambda: {"allow_origins": ["https://a.example"]}),
    ("WebSocketOriginMiddleware", dict),
    ("HeaderLimitMiddleware", dict),
    ("RequestBodyLimitMiddleware", lambda: {"max_body_size": 10_000}),
    ("BodyTimeoutMiddleware", dict),
    ("WebSocketMessageLimitMiddleware", dict),
    ("JWTAuthMiddleware", lambda: ISSUER.options),
    ("DecompressionMiddleware", dict),
    ("CompressionMiddleware", dict),
    ("ProblemDetailsMiddleware", dict),
]


class Contract(NamedTuple):
    """One class under one kind of request."""

    name: str
    kind: str
    options: Callable[[], dict[str, Any]]
    scenario: Scenario = Scenario()
    changes: frozenset[str] = frozenset()

    @property
    def id(self) -> str:
        """What the test is called."""
        return f"{self.name}-{self.scenario.name or self.kind}"


def contract(
    subject: str,
    kind: str,
    *changes: str,
    options: Callable[[], dict[str, Any]] = dict,
    **scenario: Any,
) -> Contract:
    """Write one row of the table."""
    return Contract(subject, kind, options, Scenario(**scenario), frozenset(changes))


def fresh_registry() -> dict[str, Any]:
    """Give metrics a registry of their own."""
    return {"registry": prometheus_client.CollectorRegistry()}


COMPRESSED = {
    "body-changed",  # what it is for
    "start-held",  # the head depends on the first bytes, save for streaming types
    "header-changed:content-length",
    "header-changed:etag",  # a strong tag names other bytes (RFC 9110 8.8.1)
    "scope-key-removed:extensions.http.response.zerocopysend",  # pieces of a file do not fit into an encoded body
}
ANSWERED = {"exception-answered", "exception-swallowed"}
TAKEN_OVER = {
    # The 413 goes out from inside receive; the app gets a disconnect, and nothing of the app comes out after that.
    "status-changed",
    "header-changed",
    "body-changed",
    "receive-invented:http.disconnect",
    "exception-answered",
    "exception-invented:ConnectionAbortedError",
    "exception-swallowed",
    # After the start of a response only an abort is left.
    "exception-invented:BodyTooLargeError",
}
TOKEN = (b"authorization", f"Bearer {ISSUER.token(sub='alice')}".encode())

CONTRACTS = [
    contract(
        "CORSMiddleware",
        "idle",
        VARY,
        options=lambda: {"allow_origins": ["https://a.example"]},
        skip={"exception-answered"},
    ),
    contract(
        "CORSMiddleware",
        "active",
        VARY,
        "response +access-control-allow-origin",
        options=lambda: {"allow_origins": ["https://a.example"]},
        headers=[(b"origin", b"https://a.example")],
        skip={"exception-answered"},  # a browser sees the status of a failure only in an answer with CORS headers
    ),
    contract("WebSocketOriginMiddleware", "idle", untouched={"http", "websocket"}),
    contract(
        "WebSocketOriginMiddleware",
        "refusing",
        headers=[(b"origin", b"https://evil.example")],
        refuses={"websocket"},
        untouched={"http"},
    ),
    contract("CompressionMiddleware", "idle", VARY),
    *(
        contract(
            "CompressionMiddleware",
            "active",
            VARY,
            "response +content-encoding",
            "response +content-length",
            name=coding.decode(),
            headers=[(b"accept-encoding", coding)],
            skip=COMPRESSED,
        )
        for coding in (b"gzip", b"br", b"zstd")
    ),
    contract(
        "CompressionMiddleware",
        "idle",
        options=lambda: {"exclude_paths": ["/excluded"]},
        name="excluded path",
        path="/excluded",
        headers=[(b"accept-encoding", b"gzip")],
    ),
    contract("DecompressionMiddleware", "idle", method="POST", untouched={"websocket"}),
    contract(
        "DecompressionMiddleware",
        "idle",
        options=lambda: {"unsupported": "pass"},
        name="unknown coding passed on",
        method="POST",
        headers=[(b"content-encoding", b"unknown")],
        untouched={"websocket"},
    ),
    contract(
        "DecompressionMiddleware",
        "active",
        name="identity",
        method="POST",
        headers=[(b"content-encoding", b"identity")],
        untouched={"websocket"},
        skip={"scope-key-changed:headers"},  # the app sees no Content-Encoding any more
    ),
    contract(
        "DecompressionMiddleware",
        "refusing",
        headers=[(b"content-encoding", b"unknown")],
        refuses={"http"},
        untouched={"websocket"},
    ),
    contract(
        "DecompressionMiddleware",
        "taking over",
        "response +cache-control",
        "response +content-length",
        name="what is no gzip",
        method="POST",
        headers=[(b"content-encoding", b"gzip")],
        body=(b"this", b" is no", b" gzip"),
        untouched={"websocket"},
        skip={
            *(TAKEN_OVER - {"exception-invented:BodyTooLargeError"}),
            "exception-invented:DecompressionError",
            "scope-key-changed:headers",
            "receive-changed:http.request",  # of a body that stops in mid-member there is nothing to give yet
        },
    ),
    contract(
        "LoggingMiddleware",
        "active",
        OURS,
        "scope headers+",
        "scope state+",
        "response +x-request-id",
        skip={"header-changed:x-request-id"},  # one id, and the one that the log has
    ),
    contract(
        "LoggingMiddleware",
        "idle",  # no line; but what the app logs has its id
        OURS,
        "scope headers+",
        "scope state+",
        "response +x-request-id",
        options=lambda: {"exclude_paths": ["/excluded"]},
        path="/excluded",
        skip={"header-changed:x-request-id"},
    ),
    contract(
        "CorrelationIdMiddleware",
        "active",
        OURS,
        "scope headers+",
        "scope state+",
        "response +x-request-id",
        skip={"header-changed:x-request-id"},
    ),
    contract(
        "CorrelationIdMiddleware",
        "idle",
        OURS,
        "scope state+",
        options=lambda: {"response_header": None, "update_request_header": False},
    ),
    contract("PrometheusMiddleware", "active", OURS, options=lambda: {"body_sizes": True, **fresh_registry()}),
    contract(
        "PrometheusMiddleware",
        "idle",
        options=lambda: {"exclude_paths": ["/excluded"], **fresh_registry()},
        path="/excluded",
        untouched={"http", "websocket"},
    ),
    contract(
        "PrometheusMiddleware",
        "active",
        OURS,
        options=lambda: {
            "body_sizes": True,
            "time_to_first_byte": True,
            "background": True,
            "timings": True,
            "queue_time_header": "x-request-start",
            "labels": {"tenant": None},
            "loop_lag": True,
            **fresh_registry(),
        },
        name="all measures",
    ),
    contract(
        "ServerTimingMiddleware",
        "active",
        OURS,
        "response +server-timing",
        options=lambda: {"enabled": True},
    ),
    contract("ServerTimingMiddleware", "idle", untouched={"http", "websocket"}),
    contract("MetricsEndpoint", "idle", options=fresh_registry, untouched={"http", "websocket"}),
    contract("MetricsEndpoint", "refusing", options=fresh_registry, path="/metrics", refuses={"http"}),
    contract("RequestBodyLimitMiddleware", "active", options=lambda: {"max_body_size": 10_000}, method="POST"),
    contract("RequestBodyLimitMiddleware", "idle", options=lambda: {"max_body_size": 10_000}, body=(b"",)),
    contract(
        "RequestBodyLimitMiddleware",
        "active",
        name="with a budget",
        options=lambda: {"max_body_size": 10_000, "budget": BodyBudget(100_000), "overrides": {"/upload": None}},
        method="POST",
    ),
    contract("BodyTimeoutMiddleware", "active", headers=[(b"transfer-encoding", b"chunked")], method="POST"),
    contract(
        "BodyTimeoutMiddleware",
        "active",
        name="with a time for send",
        options=lambda: {"send_timeout": 60.0},
        headers=[(b"transfer-encoding", b"chunked")],
        method="POST",
    ),
    contract("BodyTimeoutMiddleware", "idle", body=(b"",), untouched={"websocket"}),
    contract("HeaderLimitMiddleware", "idle"),
    contract(
        "HeaderLimitMiddleware",
        "refusing",
        options=lambda: {"max_header_count": 1},
        headers=[(b"x-one", b"1"), (b"x-two", b"2")],
        refuses={"http", "websocket"},
    ),
    contract(
        "WebSocketMessageLimitMiddleware",
        "active",
        options=lambda: {"max_messages_per_second": 1e6, "idle_timeout": 60, "max_lifetime": 60},
    ),
    contract("WebSocketMessageLimitMiddleware", "idle", untouched={"http"}),
    contract(
        "RequestBodyLimitMiddleware",
        "refusing",
        options=lambda: {"max_body_size": 10, "drain_timeout": 0},
        headers=[(b"content-length", b"1000")],
        refuses={"http"},
    ),
    contract(
        "RequestBodyLimitMiddleware",
        "taking over",
        "response +cache-control",
        "response +connection",
        options=lambda: {"max_body_size": 10},
        name="over the limit",
        method="POST",
        body=(b"over", b" the", b" limit"),
        skip=TAKEN_OVER,
    ),
    contract("ProblemDetailsMiddleware", "active", skip=ANSWERED),
    contract("ProblemDetailsMiddleware", "idle", options=lambda: {"reraise": True}, skip={"exception-answered"}),
    contract(
        "JWTAuthMiddleware",
        "active",
        OURS,
        "scope +auth",
        "scope +user",
        options=lambda: ISSUER.options,
        headers=[TOKEN],
    ),
    contract(
        "JWTAuthMiddleware",
        "idle",
        OURS,
        "scope +auth",
        "scope +user",
        options=lambda: {**ISSUER.options, "exempt": ["/exempt"]},
        path="/exempt",
    ),
    contract("JWTAuthMiddleware", "refusing", options=lambda: ISSUER.options, refuses={"http", "websocket"}),
]


def public_classes() -> dict[str, type]:
    """Find every public class that takes an app first: on the front door, and in every room."""
    rooms = [
        import_module(f"asgi_middleware.{room.name}")
        for room in pkgutil.iter_modules(asgi_middleware.__path__)
        if room.ispkg and not room.name.startswith("_") and room.name not in {"integrations", "testing"}
    ]
    found = {}
    for module in (asgi_middleware, *rooms):
        for name in module.__all__:
            value = getattr(module, name)
            if not inspect.isclass(value) or issubclass(value, BaseException):
                continue
            if "app" in [*inspect.signature(value).parameters][:1]:
                found[name] = value
    return found


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give each test that takes a `contract` all of them."""
    if "contract" in metafunc.fixturenames:
        metafunc.parametrize("contract", [pytest.param(each, id=each.id) for each in CONTRACTS])


@pytest.fixture
def classes() -> dict[str, type]:
    """Every public class by its name."""
    return public_classes()


@pytest.fixture
def recommended() -> list[tuple[str, Callable[[], dict[str, Any]]]]:
    """The recommended order, outermost first, with options."""
    return RECOMMENDED


@pytest.fixture
def token() -> tuple[bytes, bytes]:
    """An Authorization header that the stack accepts."""
    return TOKEN


@pytest.fixture
def contracts() -> list[Contract]:
    """The whole table."""
    return CONTRACTS


@pytest.fixture(autouse=True)
def quiet_structlog() -> Iterator[None]:
    """Let structlog make its lines, and throw them away."""
    before = structlog.get_config()
    structlog.configure(
        processors=[structlog.contextvars.merge_contextvars, structlog.processors.JSONRenderer()],
        logger_factory=structlog.ReturnLoggerFactory(),
        cache_logger_on_first_use=False,
    )
    yield
    structlog.configure(**before)
