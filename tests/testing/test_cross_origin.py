"""assert_cors and cross_origin_fetch: a browser's steps against any app, right and wrong ones."""

from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.middleware.cors import CORSMiddleware as StarletteCORS
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from asgi_middleware.cors import CORSMiddleware
from asgi_middleware.testing import assert_cors, cross_origin_fetch

pytestmark = pytest.mark.anyio

APP = "https://app.example.com"
JSON = {"content-type": "application/json"}


async def hello(scope: Any, receive: Any, send: Any) -> None:
    """Answer with what came."""
    body = (await receive()).get("body", b"")
    headers = dict(scope["headers"])
    seen = b"%b %b %b" % (scope["method"].encode(), scope["query_string"], headers.get(b"cookie", b"-"))
    out = [(b"content-type", b"text/plain"), (b"etag", b'"1"'), (b"x-secret", b"1")]
    await send({"type": "http.response.start", "status": 201, "headers": out})
    await send({"type": "http.response.body", "body": seen + body})


OURS = CORSMiddleware(
    hello,
    allow_origins=[APP],
    allow_methods=["PUT", "DELETE"],
    allow_headers=["content-type", "authorization"],
    expose_headers=["etag"],
    allow_credentials=True,
)


class TestAllowed:
    async def test_simple(self) -> None:
        """A simple request needs no preflight; the script sees status, body and the headers it may."""
        result = await assert_cors(OURS, origin=APP, path="/items?page=2")
        assert result.preflight is None
        assert (result.status, result.body) == (201, b"GET page=2 -")
        assert result.headers == {b"content-type": b"text/plain", b"etag": b'"1"'}

    async def test_preflighted(self) -> None:
        """A request that needs permission is asked for first."""
        result = await assert_cors(OURS, origin=APP, method="put", headers=JSON, body=b"{}")
        assert result.preflight is not None
        assert result.preflight.status == 204
        assert result.body == b"PUT  -{}"

    async def test_credentials(self) -> None:
        """Cookies go along only with credentials, and never on the preflight."""
        result = await assert_cors(OURS, origin=APP, method="PUT", credentials=True, cookie="id=1")
        assert result.preflight is not None
        assert b"cookie" not in dict(result.preflight.scope["headers"])
        assert result.body == b"PUT  id=1"
        assert (await assert_cors(OURS, origin=APP, cookie="id=1")).body == b"GET  -"

    async def test_forbidden_headers_are_ignored(self) -> None:
        """What only a browser sets is neither sent nor asked for."""
        result = await assert_cors(OURS, origin=APP, headers=[("cookie", "a=b"), ("Sec-X", "1")])
        assert result.preflight is None
        assert result.body == b"GET  -"

    async def test_starlette(self) -> None:
        """Another project's class is held to the same steps."""
        app = Starlette(routes=[Route("/", lambda request: PlainTextResponse("hi"), methods=["GET", "PUT"])])
        app.add_middleware(StarletteCORS, allow_origins=[APP], allow_methods=["PUT"])
        assert (await assert_cors(app, origin=APP, method="PUT")).body == b"hi"
        assert not (await cross_origin_fetch(app, origin="https://evil.test")).allowed


def answering(*headers: tuple[bytes, bytes], status: int = 200) -> Any:
    """Make an app that gives everything the same answer."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": status, "headers": list(headers)})
        await send({"type": "http.response.body", "body": b""})

    return app


ALLOW = (b"access-control-allow-origin", APP.encode())
STAR = (b"access-control-allow-origin", b"*")
TRUE = (b"access-control-allow-credentials", b"true")
WRONG: list[tuple[Any, dict[str, Any], str]] = [
    (answering(), {}, "no_allow_origin"),
    (answering(ALLOW, ALLOW), {}, "several_allow_origin"),
    (answering(STAR), {"credentials": True}, "wildcard_with_credentials"),
    (answering(ALLOW), {"credentials": True}, "no_allow_credentials"),
    (answering(ALLOW), {"origin": "null"}, "other_allow_origin"),
    (answering(ALLOW, status=401), {"method": "PUT"}, "preflight_status"),
    (answering(ALLOW, status=405), {"headers": JSON, "method": "POST"}, "preflight_status"),
    (answering(ALLOW), {"method": "PUT"}, "method_not_listed"),
    (answering(ALLOW, (b"access-control-allow-methods", b"patch")), {"method": "PATCH"}, "method_not_listed"),
    (answering(ALLOW), {"headers": JSON}, "header_not_listed"),
    (
        answering(STAR, (b"access-control-allow-headers", b"*")),
        {"headers": {"Authorization": "x"}},
        "authorization_not_listed",
    ),
    (
        answering(ALLOW, TRUE, (b"access-control-allow-headers", b"*")),
        {"headers": JSON, "credentials": True},
        "header_not_listed",
    ),
    (OURS, {"method": "PATCH"}, "no_allow_origin"),
    (OURS, {"origin": "https://evil.test"}, "no_allow_origin"),
]


class TestForbidden:
    @pytest.mark.parametrize(("app", "request_", "code"), WRONG, ids=range(len(WRONG)))
    async def test_failure(self, app: Any, request_: dict[str, Any], code: str) -> None:
        """A wrong answer fails at the browser's step, with code, section and the headers that decided it."""
        result = await cross_origin_fetch(app, **{"origin": APP, **request_})
        assert result.failure is not None
        assert result.failure.code == code
        assert (result.allowed, result.status, result.body, result.headers) == (False, None, None, {})
        with pytest.raises(AssertionError, match=rf"{code}, Fetch standard {result.failure.section}"):
            await assert_cors(app, **{"origin": APP, **request_})

    async def test_after_a_failed_preflight(self) -> None:
        """After a failed preflight the request itself is never made."""
        methods: list[str] = []

        async def noting(scope: Any, receive: Any, send: Any) -> None:
            methods.append(scope["method"])
            await answering(status=403)(scope, receive, send)

        result = await cross_origin_fetch(noting, origin=APP, method="DELETE")
        assert (methods, result.response) == (["OPTIONS"], None)

    async def test_exception(self) -> None:
        """An exception without an answer is a failure that names it; one that was answered can be read."""

        async def failing(scope: Any, receive: Any, send: Any) -> None:
            raise LookupError("no such thing")

        with pytest.raises(AssertionError, match="no_response") as caught:
            await assert_cors(failing, origin=APP)
        assert isinstance(caught.value.__cause__, LookupError)
        assert "the app raised LookupError" in str(caught.value)
        result = await assert_cors(CORSMiddleware(failing, allow_origins=[APP]), origin=APP)
        assert result.status == 500

    @pytest.mark.parametrize("method", ["TRACE", "connect", "Track"])
    async def test_forbidden_method(self, method: str) -> None:
        """What no browser can send is a mistake in the test."""
        with pytest.raises(ValueError, match="no script can send"):
            await cross_origin_fetch(OURS, origin=APP, method=method)
