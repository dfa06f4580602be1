"""CORS among the other classes, in every order: one Access-Control-Allow-Origin, one Vary with all that it needs."""

from itertools import permutations
from typing import Any

import pytest
import structlog

from asgi_middleware.auth import JWTAuthMiddleware
from asgi_middleware.compression import CompressionMiddleware
from asgi_middleware.cors import CORSMiddleware
from asgi_middleware.limits import RequestBodyLimitMiddleware
from asgi_middleware.logging import LoggingMiddleware
from asgi_middleware.problems import ProblemDetailsMiddleware
from asgi_middleware.testing import assert_cors, cross_origin_fetch, http
from asgi_middleware.testing.tokens import TokenIssuer

pytestmark = pytest.mark.anyio

APP = "https://app.example.com"
EVIL = "https://evil.test"
ISSUER = TokenIssuer()
TOKEN = {"authorization": f"Bearer {ISSUER.token(sub='ada')}"}
CLASSES: dict[str, tuple[Any, dict[str, Any]]] = {
    "cors": (
        CORSMiddleware,
        {
            "allow_origins": [APP],
            "allow_headers": ["content-type", "authorization"],
            "expose_headers": ["x-request-id"],
        },
    ),
    "compression": (CompressionMiddleware, {"encodings": ["gzip"]}),
    "auth": (JWTAuthMiddleware, {**ISSUER.options, "allow_preflight": True}),
    "logging": (LoggingMiddleware, {}),
}
ORDERS = list(permutations(CLASSES))


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Answer with a text worth compressing and a Vary of its own."""
    headers = [(b"content-type", b"text/plain"), (b"vary", b"Cookie")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"hello " * 1000})


def stacked(order: tuple[str, ...], around: Any = app) -> Any:
    """Put the classes around an app, outermost first."""
    for name in reversed(order):
        cls, options = CLASSES[name]
        around = cls(around, **options)
    return around


@pytest.fixture(autouse=True)
def quiet() -> Any:
    """Keep the log to itself."""
    with structlog.testing.capture_logs() as lines:
        yield lines


def members(result: Any) -> set[bytes]:
    """Give what a response varies by; one line, nothing twice."""
    (vary,) = result.header_all(b"vary")
    listed = [member.strip().lower() for member in vary.split(b",")]
    assert len(set(listed)) == len(listed)
    return set(listed)


@pytest.mark.parametrize("order", ORDERS, ids="-".join)
class TestEveryOrder:
    async def test_answer(self, order: tuple[str, ...]) -> None:
        """A compressed answer has one Access-Control-Allow-Origin and one Vary with everybody's members [22]."""
        sent = [
            (b"origin", APP.encode()),
            (b"accept-encoding", b"gzip"),
            (b"authorization", TOKEN["authorization"].encode()),
        ]
        result = await http(stacked(order), headers=sent)
        assert result.status == 200
        assert result.header(b"content-encoding") == b"gzip"
        assert result.header_all(b"access-control-allow-origin") == [APP.encode()]
        assert members(result) == {b"cookie", b"origin", b"accept-encoding"}

    async def test_other_origin(self, order: tuple[str, ...]) -> None:
        """Another origin is told nothing, and the response varies all the same [8, 20]."""
        sent = [(b"origin", EVIL.encode()), (b"authorization", TOKEN["authorization"].encode())]
        result = await http(stacked(order), headers=sent)
        assert result.header_all(b"access-control-allow-origin") == []
        assert {b"cookie", b"origin", b"accept-encoding"} == members(result)

    async def test_browser(self, order: tuple[str, ...]) -> None:
        """A script with a token gets through its preflight, which carries none, whoever is outside."""
        result = await assert_cors(stacked(order), origin=APP, headers=TOKEN)
        assert result.status == 200
        forbidden = await cross_origin_fetch(stacked(order), origin=EVIL, headers=TOKEN)
        assert forbidden.failure is not None

    async def test_refused(self, order: tuple[str, ...]) -> None:
        """A refusal of a class inside can be read by the script [14]."""
        result = await cross_origin_fetch(stacked(order), origin=APP)
        inside = order.index("cors") < order.index("auth")
        assert result.allowed is inside
        assert result.response is not None
        assert result.response.status == 401
        assert len(result.response.header_all(b"vary")) <= 1

    async def test_exception(self, order: tuple[str, ...]) -> None:
        """An exception is one 500 that the script can read, and it goes on to the server [15]."""

        async def failing(scope: Any, receive: Any, send: Any) -> None:
            raise LookupError("secret")

        result = await cross_origin_fetch(stacked(order, failing), origin=APP, headers=TOKEN)
        assert result.response is not None
        assert isinstance(result.response.exception, LookupError)
        assert result.response.types.count("http.response.start") == 1
        assert result.status == 500
        assert b"secret" not in (result.body or b"")


async def test_reason_in_the_access_line(quiet: Any) -> None:
    """A refused preflight has its reason in the access line of the class outside."""
    headers = [(b"origin", EVIL.encode()), (b"access-control-request-method", b"PUT")]
    result = await http(stacked(("logging", "cors")), "OPTIONS", headers=headers)
    assert result.status == 403
    (line,) = [line for line in quiet if line["event"] == "http.request"]
    assert line["refusal"] == "origin_not_allowed"


async def test_other_refusals() -> None:
    """A body that is too large, and a problem document, can be read too [14]."""
    limited = CORSMiddleware(RequestBodyLimitMiddleware(app, max_body_size=3), allow_origins=[APP])
    result = await assert_cors(limited, origin=APP, method="POST", body=b"too large")
    assert result.status == 413

    async def failing(scope: Any, receive: Any, send: Any) -> None:
        raise LookupError

    problems = CORSMiddleware(ProblemDetailsMiddleware(failing), allow_origins=[APP])
    result = await assert_cors(problems, origin=APP)
    assert result.status == 500
    assert result.headers[b"content-type"] == b"application/problem+json"
