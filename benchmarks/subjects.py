"""The registry: one row a subject. Adding a peer is adding a line.

A row names its class as text, so that a peer that is not installed is left out with a note instead of failing the run.
"""

from __future__ import annotations

import io
import logging as stdlib_logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from asgi_middleware.logging import Sampling, configure_structlog
from benchmarks import scenarios
from benchmarks.recipes import Sink
from benchmarks.scenarios import App, Exchanged, Scenario
from benchmarks.shapes import BOTH_WAYS, CODEC_BY_HAND, RECEIVE_ONLY

KEY = "a key for benchmarks of thirty-two bytes or more"
TOKEN: dict[str, Any] = {"key": KEY, "algorithms": ["HS256"], "audience": "bench", "issuer": "bench"}
ORIGINS = ["https://app.example.com"]


@dataclass(frozen=True)
class Subject:
    """One class with options.

    Attributes:
        path: ``module:Class``.
        options: Its keyword options, or a function that gives them when the subject is made.
        label: The name in the table; the package's name where empty.
    """

    path: str
    options: dict[str, Any] | Callable[[], dict[str, Any]] = field(default_factory=dict)
    label: str = ""

    @property
    def name(self) -> str:
        """The name in the table."""
        return self.label or self.path.partition(".")[0].partition(":")[0]

    def wrap(self, app: App) -> App:
        """Make the class around `app`."""
        module, _, name = self.path.partition(":")
        options = self.options() if callable(self.options) else self.options
        made: App = getattr(import_module(module), name)(app, **options)
        return made


@dataclass(frozen=True)
class Row:
    """One concern in one scenario: ours first, then its peers."""

    concern: str
    scenario: Exchanged
    ours: Subject
    peers: tuple[Subject, ...] = ()


def with_token(scenario: Scenario, algorithm: str = "HS256", key: Any = KEY) -> Scenario:
    """Give the scenario with a valid token."""
    import jwt  # noqa: PLC0415 -- only this concern's rows need it

    claims = {"sub": "ada", "aud": "bench", "iss": "bench", "exp": int(time.time()) + 86_400}
    token = jwt.encode(claims, key, algorithm=algorithm).encode()
    headers = (*scenario.headers, (b"authorization", b"Bearer " + token))
    return replace(scenario, name=f"{scenario.name}, {algorithm}", headers=headers)


def _context_plugins() -> dict[str, Any]:
    from starlette_context.plugins import CorrelationIdPlugin, RequestIdPlugin  # noqa: PLC0415 -- an optional peer

    return {"plugins": (RequestIdPlugin(), CorrelationIdPlugin())}


def _quiet_logger() -> dict[str, Any]:
    logger = stdlib_logging.getLogger("benchmarks.access")
    logger.propagate = False
    logger.setLevel(stdlib_logging.INFO)
    logger.handlers = [stdlib_logging.StreamHandler(io.TextIOWrapper(Sink(), write_through=True))]
    return {"logger": logger}


CORS: dict[str, Any] = {"allow_origins": ORIGINS, "allow_methods": ["PUT"], "allow_headers": ["content-type"]}
OUR_CORS = Subject("asgi_middleware.cors:CORSMiddleware", CORS)
THEIR_CORS = Subject("starlette.middleware.cors:CORSMiddleware", CORS)
ASGI_CORS = Subject("asgi_cors:asgi_cors", {"hosts": ORIGINS, "methods": ["PUT"], "headers": ["content-type"]})
OUR_CODINGS = "asgi_middleware.compression:CompressionMiddleware"
OUR_INFLATING = Subject("asgi_middleware.compression:DecompressionMiddleware")
GUNZIP_RECIPE = Subject("benchmarks.recipes:GunzipRecipe", label="gzip.decompress recipe")
STARLETTE_GZIP = Subject("starlette.middleware.gzip:GZipMiddleware", {"compresslevel": 6})
BODY_LIMIT: dict[str, Any] = {"max_body_size": 1_000_000}
BROTLI_ASGI = Subject("brotli_asgi:BrotliMiddleware", {"quality": 4})
ZSTD_ASGI = Subject("zstd_asgi:ZstdMiddleware", {"level": 3})
UNCOMPRESSED = (scenarios.SMALL, scenarios.NO_ENCODING, scenarios.IMAGE)
OUR_LIMIT = Subject("asgi_middleware.limits:RequestBodyLimitMiddleware", BODY_LIMIT)
BODY_LIMIT_BESIDE = replace(OUR_LIMIT, label="our body limit")
THEIR_LIMIT = Subject("starlette.middleware.body_limit:RequestBodyLimitMiddleware", BODY_LIMIT)
WEBSOCKET_LIMITS = Subject("asgi_middleware.limits:WebSocketMessageLimitMiddleware")
WRAPPERS = (
    Subject("benchmarks.shapes:wrap_receive", label=RECEIVE_ONLY),
    Subject("benchmarks.shapes:wrap_both", label=BOTH_WAYS),
)
CONTENT_SIZE_LIMIT = Subject("content_size_limit_asgi:ContentSizeLimitMiddleware", {"max_content_size": 1_000_000})
IDS = (
    Subject("asgi_correlation_id:CorrelationIdMiddleware"),
    Subject("asgi_request_id:RequestIdMiddleware"),
    Subject("starlette_context.middleware:RawContextMiddleware", _context_plugins),
)
ASGI_LOGGER = Subject("asgi_logger:AccessLoggerMiddleware", _quiet_logger)
INSTRUMENTATOR = Subject("prometheus_fastapi_instrumentator.middleware:PrometheusInstrumentatorMiddleware")
EXPORTER = Subject("starlette_exporter:PrometheusMiddleware")


def starlette_jwt() -> Subject:
    """Starlette's AuthenticationMiddleware with the usual backend: ``jwt.decode`` on each request."""
    return Subject("benchmarks.recipes:StarletteJWT", {"key": KEY}, label="starlette + jwt.decode")


def _token_rows() -> Iterator[Row]:
    """Give the rows of tokens: each verified anew, as at a client's first request, and known from a moment ago."""
    from cryptography.hazmat.primitives.asymmetric import rsa  # noqa: PLC0415 -- only this concern's rows need it

    from asgi_middleware.auth import TokenVerifier  # noqa: PLC0415 -- the same

    ours = "asgi_middleware.auth:JWTAuthMiddleware"
    secret = with_token(scenarios.SIMPLE)
    anew = Subject(ours, lambda: {"verifier": TokenVerifier(**TOKEN, cache_size=0)})
    yield Row("JWT", secret, anew, (starlette_jwt(),))
    yield Row("JWT, cached", secret, Subject(ours, TOKEN), (starlette_jwt(),))
    private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    public = private.public_key()
    options = {**TOKEN, "key": public, "algorithms": ["RS256"]}
    yield Row(
        "JWT",
        with_token(scenarios.SIMPLE, "RS256", private),
        Subject(ours, lambda: {"verifier": TokenVerifier(**options, cache_size=0)}),
        (replace(starlette_jwt(), options={"key": public, "algorithm": "RS256"}),),
    )


def rows() -> list[Row]:
    """Give every row."""
    configure_structlog(json=True, stream=io.TextIOWrapper(Sink(), write_through=True))
    correlation = Subject("asgi_middleware.logging:CorrelationIdMiddleware")
    logging = Subject("asgi_middleware.logging:LoggingMiddleware")
    metrics = Subject("asgi_middleware.metrics:PrometheusMiddleware")
    recipe = Subject("benchmarks.recipes:StructlogRecipe", label="structlog recipe")
    return [
        *(
            Row("CORS", scenario, OUR_CORS, (THEIR_CORS, ASGI_CORS))
            for scenario in (scenarios.SIMPLE, scenarios.CROSS_ORIGIN, scenarios.PREFLIGHT)
        ),
        *(
            Row("correlation id", scenario, correlation, IDS)
            for scenario in (scenarios.SIMPLE, scenarios.TWENTY_HEADERS, scenarios.WITH_ID)
        ),
        Row("access log", scenarios.SIMPLE, logging, (recipe, ASGI_LOGGER)),
        Row("access log", scenarios.STREAM, logging, (recipe, ASGI_LOGGER)),
        Row("access log, sampled out", scenarios.SIMPLE, replace(logging, options={"sampling": Sampling(rate=0)})),
        Row("access log, excluded path", scenarios.SIMPLE, replace(logging, options={"exclude_paths": ["/api/**"]})),
        Row("metrics", scenarios.ROUTED, metrics, (INSTRUMENTATOR, EXPORTER)),
        Row("metrics", scenarios.ECHO, metrics),
        Row("metrics", scenarios.LONG_ECHO, metrics, WRAPPERS),
        *_token_rows(),
        *(
            Row("body limit", scenario, OUR_LIMIT, (THEIR_LIMIT, CONTENT_SIZE_LIMIT))
            for scenario in (scenarios.SIMPLE, scenarios.UPLOAD, scenarios.UPLOAD_IN_CHUNKS)
        ),
        *(
            Row("body clock", scenario, Subject("asgi_middleware.limits:BodyTimeoutMiddleware"), (BODY_LIMIT_BESIDE,))
            for scenario in (scenarios.SIMPLE, scenarios.UPLOAD)
        ),
        *(
            Row("decompression", scenario, OUR_INFLATING, (peer,))
            for scenario, peer in (
                (scenarios.SIMPLE, BODY_LIMIT_BESIDE),
                (scenarios.UPLOAD, BODY_LIMIT_BESIDE),
                (scenarios.ENCODED_UPLOAD, GUNZIP_RECIPE),
            )
        ),
        Row("head limit", scenarios.SIMPLE, Subject("asgi_middleware.limits:HeaderLimitMiddleware")),
        Row("WebSocket limits", scenarios.ECHO, WEBSOCKET_LIMITS),
        Row("WebSocket limits", scenarios.LONG_ECHO, WEBSOCKET_LIMITS, WRAPPERS),
        *(row for coding in ("gzip", "br", "zstd") for row in _codings(coding)),
    ]


def _codings(coding: str) -> Iterator[Row]:
    concern = {"gzip": "gzip 6", "br": "brotli 4", "zstd": "zstd 3"}[coding]
    peers = (_compress(coding), {"gzip": STARLETTE_GZIP, "br": BROTLI_ASGI, "zstd": ZSTD_ASGI}[coding])
    bodies = (scenarios.SIMPLE, scenarios.LARGE, scenarios.STREAM)
    by_hand = Subject("benchmarks.recipes:codec_by_hand", {"coding": coding}, label=CODEC_BY_HAND)
    for scenario in (*UNCOMPRESSED, *bodies):
        beside = (*peers, by_hand) if scenario is scenarios.LARGE else peers
        yield Row(concern, scenario, Subject(OUR_CODINGS, {"encodings": [coding], "gzip_backend": "zlib"}), beside)
    if coding == "gzip" and find_spec("isal") is not None:
        for scenario in bodies:
            yield Row("gzip 6 by ISA-L", scenario, Subject(OUR_CODINGS, {"encodings": ["gzip"]}), peers)


def _compress(coding: str) -> Subject:
    levels: dict[str, dict[str, Any]] = {
        "gzip": {"zstd": False, "brotli": False, "gzip_level": 6},
        "br": {"zstd": False, "gzip": False},
        "zstd": {"brotli": False, "gzip": False, "zstd_level": 3},
    }
    return Subject("starlette_compress:CompressMiddleware", levels[coding])
