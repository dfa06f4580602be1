"""The registry: one row a subject. Adding a peer is adding a line.

A row names its class as text, so that a peer that is not installed is left out with a note instead of failing the run.
"""

from __future__ import annotations

import io
import time
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

from benchmarks import scenarios
from benchmarks.scenarios import App, Scenario

KEY = "a key for benchmarks of thirty-two bytes or more"
ORIGINS = ["https://app.example.com"]


@dataclass(frozen=True)
class Subject:
    """One class with options.

    Attributes:
        path: ``module:Class``.
        options: Its keyword options; a callable value is called when the subject is made.
        label: The name in the table; the package's name where empty.
    """

    path: str
    options: dict[str, Any] = field(default_factory=dict)
    label: str = ""

    @property
    def name(self) -> str:
        """The name in the table."""
        return self.label or self.path.partition(".")[0].partition(":")[0]

    def wrap(self, app: App) -> App:
        """Make the class around `app`."""
        module, _, name = self.path.partition(":")
        made: App = getattr(import_module(module), name)(app, **self.options)
        return made


@dataclass(frozen=True)
class Row:
    """One concern in one scenario: ours first, then its peers."""

    concern: str
    scenario: Scenario
    ours: Subject
    peers: tuple[Subject, ...] = ()


def with_token(scenario: Scenario) -> Scenario:
    """Give the scenario with a valid token."""
    import jwt  # noqa: PLC0415 -- only this concern's rows need it

    claims = {"sub": "ada", "aud": "bench", "iss": "bench", "exp": int(time.time()) + 86_400}
    token = jwt.encode(claims, KEY, algorithm="HS256").encode()
    return Scenario(f"{scenario.name}, HS256", headers=((b"authorization", b"Bearer " + token),))


def _quiet_structlog() -> None:
    import structlog  # noqa: PLC0415 -- only this concern's rows need it

    structlog.configure(
        processors=[structlog.processors.add_log_level, structlog.processors.JSONRenderer()],
        wrapper_class=structlog.make_filtering_bound_logger(20),
        logger_factory=structlog.WriteLoggerFactory(file=_Sink()),
        cache_logger_on_first_use=True,
    )


class _Sink(io.StringIO):
    """Takes every line and keeps none."""

    def write(self, text: str) -> int:
        return len(text)


CORS = {"allow_origins": ORIGINS, "allow_methods": ["PUT"], "allow_headers": ["content-type"]}
OUR_CORS = Subject("asgi_middleware.cors:CORSMiddleware", CORS)
THEIR_CORS = Subject("starlette.middleware.cors:CORSMiddleware", CORS)
OUR_CODINGS = "asgi_middleware.compression:CompressionMiddleware"
STARLETTE_GZIP = Subject("starlette.middleware.gzip:GZipMiddleware", {"compresslevel": 6})
BODY_LIMIT = {"max_body_size": 1_000_000}
OUR_LIMIT = Subject("asgi_middleware.limits:RequestBodyLimitMiddleware", BODY_LIMIT)
THEIR_LIMIT = Subject("starlette.middleware.body_limit:RequestBodyLimitMiddleware", BODY_LIMIT)


def starlette_jwt() -> Subject:
    """Starlette's AuthenticationMiddleware with the usual backend: ``jwt.decode`` on each request."""
    return Subject("benchmarks.recipes:StarletteJWT", {"key": KEY}, label="starlette + jwt.decode")


def rows() -> list[Row]:
    """Give every row."""
    _quiet_structlog()
    correlation = Subject("asgi_middleware.logging:CorrelationIdMiddleware")
    logging = Subject("asgi_middleware.logging:LoggingMiddleware")
    metrics = Subject("asgi_middleware.metrics:PrometheusMiddleware")
    peer_correlation = Subject("asgi_correlation_id:CorrelationIdMiddleware")
    recipe = Subject("benchmarks.recipes:StructlogRecipe", label="structlog recipe")
    auth = Subject(
        "asgi_middleware.auth:JWTAuthMiddleware",
        {"key": KEY, "algorithms": ["HS256"], "audience": "bench", "issuer": "bench"},
    )
    return [
        Row("CORS", scenarios.SIMPLE, OUR_CORS, (THEIR_CORS,)),
        Row("CORS", scenarios.CROSS_ORIGIN, OUR_CORS, (THEIR_CORS,)),
        Row("CORS", scenarios.PREFLIGHT, OUR_CORS, (THEIR_CORS,)),
        Row("correlation id", scenarios.SIMPLE, correlation, (peer_correlation,)),
        Row("access log", scenarios.SIMPLE, logging, (recipe,)),
        Row("metrics", scenarios.SIMPLE, metrics),
        Row("JWT", with_token(scenarios.SIMPLE), auth, (starlette_jwt(),)),
        Row("body limit", scenarios.SIMPLE, OUR_LIMIT, (THEIR_LIMIT,)),
        Row("body limit", scenarios.UPLOAD, OUR_LIMIT, (THEIR_LIMIT,)),
        Row("gzip 6", scenarios.SIMPLE, Subject(OUR_CODINGS, {"encodings": ["gzip"]}), (STARLETTE_GZIP,)),
        Row("gzip 6", scenarios.SMALL, Subject(OUR_CODINGS, {"encodings": ["gzip"]}), (STARLETTE_GZIP,)),
        Row("gzip 6", scenarios.NO_ENCODING, Subject(OUR_CODINGS, {"encodings": ["gzip"]}), (STARLETTE_GZIP,)),
        Row("brotli 4", scenarios.SIMPLE, Subject(OUR_CODINGS, {"encodings": ["br"]}), (_compress("br"),)),
        Row("zstd 3", scenarios.SIMPLE, Subject(OUR_CODINGS, {"encodings": ["zstd"]}), (_compress("zstd"),)),
    ]


def _compress(coding: str) -> Subject:
    levels: dict[str, dict[str, Any]] = {
        "br": {"zstd": False, "gzip": False},
        "zstd": {"brotli": False, "gzip": False, "zstd_level": 3},
    }
    return Subject("starlette_compress:CompressMiddleware", levels[coding])
