"""CORSMiddleware as a wrapper: what it does to responses, exceptions and everything that is not its business."""

import copy
import gc
import os
import subprocess
import sys
import weakref
from pathlib import Path
from typing import Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

import asgi_middleware
from asgi_middleware._core.exchange import enter
from asgi_middleware._core.headers import add_vary, is_field_value, is_token
from asgi_middleware._core.refusals import Refusal
from asgi_middleware.cors import CORSMiddleware, CORSPolicy, OriginSet
from asgi_middleware.testing.driver import drive, http, http_scope, lifespan, websocket

pytestmark = pytest.mark.anyio

APP = b"https://app.example.com"
ORIGIN = (b"origin", APP)
EVIL = (b"origin", b"https://evil.test")
ALLOW: dict[str, Any] = {"allow_origins": [APP.decode()]}


def answering(headers: Any, status: int = 200, *more: dict[str, Any]) -> Any:
    """Make an app that answers with the header object as it is, and further messages."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        start: dict[str, Any] = {"type": "http.response.start", "status": status}
        await send(start if headers is ... else {**start, "headers": headers})
        for message in more or ({"type": "http.response.body", "body": b"x"},):
            await send(message)

    return app


class TestVary:
    @pytest.mark.parametrize(
        ("before", "after"),
        [
            ([], [b"Origin"]),
            ([b"Accept-Encoding"], [b"Accept-Encoding, Origin"]),
            ([b"Accept-Encoding", b"Cookie"], [b"Accept-Encoding, Cookie, Origin"]),
            ([b"origin"], [b"origin"]),
            ([b"Cookie, ORIGIN"], [b"Cookie, ORIGIN"]),
            ([b"*"], [b"*"]),
            ([b"Cookie, *"], [b"*"]),
            ([b""], [b"Origin"]),
            ([b"Cookie,, "], [b"Cookie, Origin"]),
        ],
        ids=range(9),
    )
    @pytest.mark.parametrize("origin", [ORIGIN, EVIL, (b"x-other", b"1")], ids=["allowed", "denied", "none"])
    async def test_merged(self, before: list[bytes], after: list[bytes], origin: tuple[bytes, bytes]) -> None:
        """Members of the app stay in order, Origin is named once, a star stays alone [22]."""
        app = CORSMiddleware(answering([(b"vary", value) for value in before]), **ALLOW)
        assert (await http(app, headers=[origin])).header_all(b"vary") == after

    async def test_mixed_case_name(self) -> None:
        """A Vary in Django's spelling is merged too, not doubled [17]."""
        app = CORSMiddleware(answering([(b"Vary", b"Cookie")]), **ALLOW)
        assert (await http(app)).header_all(b"vary") == [b"Cookie, Origin"]

    async def test_static_leaves_it(self) -> None:
        """A static answer adds no Vary and leaves the app's as it is [21]."""
        app = CORSMiddleware(answering([(b"Vary", b"Cookie"), (b"vary", b"Accept")]), allow_origins="*")
        result = await http(app, headers=[ORIGIN])
        assert result.headers == [(b"Vary", b"Cookie"), (b"vary", b"Accept"), (b"access-control-allow-origin", b"*")]

    @pytest.mark.parametrize("inside", [True, False])
    async def test_with_another_member(self, inside: bool) -> None:
        """Another class that adds to Vary may stand on either side [22]."""

        def adding(app: Any) -> Any:
            async def wrapped(scope: Any, receive: Any, send: Any) -> None:
                async def add(message: Any) -> None:
                    if message["type"] == "http.response.start":
                        message = {**message, "headers": add_vary(message["headers"], b"Accept-Encoding")}
                    await send(message)

                await app(scope, receive, add)

            return wrapped

        inner = answering([])
        app = CORSMiddleware(adding(inner), **ALLOW) if inside else adding(CORSMiddleware(inner, **ALLOW))
        (value,) = (await http(app, headers=[ORIGIN])).header_all(b"vary")
        assert sorted(value.split(b", ")) == [b"Accept-Encoding", b"Origin"]


class TestResponseHeaders:
    OWN = (
        (b"Access-Control-Allow-Origin", b"*"),
        (b"access-control-allow-origin", b"https://other.test"),
        (b"access-control-allow-credentials", b"true"),
        (b"Access-Control-Expose-Headers", b"x-secret"),
    )

    @pytest.mark.parametrize("origin", [[ORIGIN], [EVIL], []], ids=["allowed", "denied", "none"])
    async def test_app_sets_its_own(self, origin: list[tuple[bytes, bytes]]) -> None:
        """Of the app's own CORS headers nothing leaves: one line when allowed, none when not [8, 16]."""
        result = await http(CORSMiddleware(answering([*self.OWN, (b"x-a", b"1")]), **ALLOW), headers=origin)
        expected = [(b"x-a", b"1"), (b"vary", b"Origin")]
        if origin == [ORIGIN]:
            expected.append((b"access-control-allow-origin", APP))
        assert result.headers == expected

    @pytest.mark.parametrize("own", OWN)
    async def test_app_sets_one_of_them(self, own: tuple[bytes, bytes]) -> None:
        """Each of the three headers alone is taken out for an origin that is not allowed [8, 16]."""
        result = await http(CORSMiddleware(answering([own]), **ALLOW), headers=[EVIL])
        assert result.headers == [(b"vary", b"Origin")]

    @pytest.mark.parametrize("origin", [[ORIGIN], []], ids=["origin", "none"])
    async def test_app_sets_its_own_under_star(self, origin: list[tuple[bytes, bytes]]) -> None:
        """A static policy replaces the app's own CORS headers too [16]."""
        result = await http(CORSMiddleware(answering(self.OWN), allow_origins="*"), headers=origin)
        assert result.headers == [(b"access-control-allow-origin", b"*")]

    @pytest.mark.parametrize(
        "headers",
        [..., None, (), [], iter([(b"x-a", b"1")]), ((b"x-a", b"1"),), [[b"x-a", b"1"]]],
        ids=["missing", "None", "tuple", "list", "iterator", "tuple of tuples", "list of lists"],
    )
    async def test_any_shape(self, headers: Any) -> None:
        """Headers of any legal shape leave as a new list [17]."""
        result = await http(CORSMiddleware(answering(copy.copy(headers)), **ALLOW), headers=[ORIGIN])
        (start, _) = result.sent
        assert type(start["headers"]) is list
        assert all(len(pair) == 2 for pair in start["headers"])
        assert (b"access-control-allow-origin", APP) in start["headers"]

    async def test_constant_message(self) -> None:
        """An app that sends one message for ever sees it unchanged; no origin leaks into the next answer [17]."""
        message = {"type": "http.response.start", "status": 200, "headers": [(b"vary", b"Cookie")], "trailers": True}
        before = copy.deepcopy(message)

        async def constant(scope: Any, receive: Any, send: Any) -> None:
            await send(message)
            await send({"type": "http.response.body"})

        app = CORSMiddleware(constant, **ALLOW)
        first = await http(app, headers=[ORIGIN])
        second = await http(app)
        assert message == before
        assert first.sent[0]["trailers"] is True
        assert second.headers == [(b"vary", b"Cookie, Origin")]

    async def test_fresh_lists(self) -> None:
        """What an outer class does to the headers of one answer does not show in the next (jub0bs/cors#14)."""
        app = CORSMiddleware(answering([]), allow_origins="*")
        preflight = [ORIGIN, (b"access-control-request-method", b"GET")]
        for method, headers in (("GET", [ORIGIN]), ("OPTIONS", preflight)):
            first = await http(app, method, headers=headers)
            expected = list(first.sent[0]["headers"])
            first.sent[0]["headers"].clear()
            assert (await http(app, method, headers=headers)).sent[0]["headers"] == expected

    @pytest.mark.parametrize("status", [200, 204, 301, 304, 400, 401, 404, 413, 429, 500])
    @pytest.mark.parametrize("method", ["GET", "HEAD"])
    async def test_any_status(self, status: int, method: str) -> None:
        """Every response of an allowed origin carries the header, 304 and errors included [14]."""
        result = await http(CORSMiddleware(answering([], status), **ALLOW), method, headers=[ORIGIN])
        assert result.status == status
        assert result.header_all(b"access-control-allow-origin") == [APP]

    async def test_live_expose(self) -> None:
        """With credentials, exposing all lists what the response carries, but no safelisted name and no cookie [6]."""
        headers = [
            (b"Content-Type", b"a/b"),
            (b"X-Total", b"1"),
            (b"etag", b"2"),
            (b"ETag", b"3"),
            (b"set-cookie", b"a=b"),
            (b"last-modified", b"x"),
            (b"no token", b"4"),
            (b"access-control-allow-origin", b"*"),
        ]
        app = CORSMiddleware(answering(headers), **ALLOW, allow_credentials=True, expose_headers="*")
        result = await http(app, headers=[ORIGIN])
        assert result.header_all(b"access-control-expose-headers") == [b"x-total,etag"]
        nothing = CORSMiddleware(
            answering([(b"content-type", b"a/b")]), **ALLOW, allow_credentials=True, expose_headers="*"
        )
        assert (await http(nothing, headers=[ORIGIN])).header(b"access-control-expose-headers") is None

    async def test_unknown_messages(self) -> None:
        """Early hints, trailers, path sends and messages not invented yet pass as the same objects [18]."""
        messages = [
            {"type": "http.response.early_hint", "links": [b"</a>"]},
            {"type": "http.response.debug", "info": {}},
            {"type": "http.response.start", "status": 200, "headers": [], "trailers": True},
            {"type": "http.response.body", "body": b"a", "more_body": True},
            {"type": "http.response.zerocopysend", "file": 1, "more_body": True},
            {"type": "http.response.from.the.future", "x": 1},
            {"type": "http.response.body", "body": b"", "more_body": False},
            {"type": "http.response.trailers", "headers": []},
        ]

        async def app(scope: Any, receive: Any, send: Any) -> None:
            for message in messages:
                await send(message)

        result = await http(CORSMiddleware(app, **ALLOW), headers=[ORIGIN])
        assert [after is before for before, after in zip(messages, result.sent, strict=True)] == [True, True, False] + [
            True
        ] * 5
        assert result.sent[2]["trailers"] is True

    async def test_refusal_inside(self) -> None:
        """A refusal of a class inside gets CORS headers like any response [14]."""
        refusal = Refusal(401, "token_missing")
        result = await http(CORSMiddleware(refusal.send, **ALLOW), headers=[ORIGIN])
        assert result.status == 401
        assert result.header(b"access-control-allow-origin") == APP


class TestExceptions:
    ERROR = RuntimeError("secret detail")

    async def raising(self, scope: Any, receive: Any, send: Any) -> None:
        """Raise before the response starts."""
        raise self.ERROR

    @pytest.mark.parametrize("origin", [[ORIGIN], [EVIL], []], ids=["allowed", "denied", "none"])
    async def test_before_start(self, origin: list[tuple[bytes, bytes]]) -> None:
        """An exception before the start becomes a 500 with CORS headers, and goes on as the same object [15]."""
        scope, exchange = enter(http_scope(headers=origin))
        exchange.claim("logging")
        result = await drive(CORSMiddleware(self.raising, **ALLOW), scope, raise_exceptions=False)
        assert result.exception is self.ERROR
        assert exchange.error is self.ERROR
        assert exchange.refusal is not None
        assert exchange.refusal.reason == "internal_error"
        assert result.status == 500
        assert result.header(b"content-type") == b"application/problem+json"
        assert result.header_all(b"access-control-allow-origin") == ([APP] if origin == [ORIGIN] else [])
        assert result.header(b"vary") == b"Origin"
        assert b"secret" not in result.body
        assert result.complete

    async def test_no_circle(self) -> None:
        """An exception that was answered is freed with its request, without the garbage collector."""
        alive: list[weakref.ref[Any]] = []

        async def app(scope: Any, receive: Any, send: Any) -> None:
            alive.append(weakref.ref(scope["asgi_middleware"]))
            raise LookupError

        async def discard(message: Any) -> None:
            pass

        scope = enter(http_scope(headers=[ORIGIN]))[0]
        gc.collect()
        gc.disable()
        try:
            with pytest.raises(LookupError):
                await CORSMiddleware(app, **ALLOW)(scope, anyio.sleep_forever, discard)
            del scope
            assert alive[0]() is None
        finally:
            gc.enable()

    async def test_after_start(self) -> None:
        """An exception after the start sends nothing more, and goes on as the same object [15]."""

        async def app(scope: Any, receive: Any, send: Any) -> None:
            await send({"type": "http.response.start", "status": 200, "headers": []})
            raise self.ERROR

        result = await http(CORSMiddleware(app, **ALLOW), headers=[ORIGIN], raise_exceptions=False)
        assert result.exception is self.ERROR
        assert result.types == ["http.response.start"]

    async def test_client_gone(self) -> None:
        """When the 500 cannot be sent, the app's exception still goes on, not the failure to send."""

        async def broken(message: Any) -> None:
            raise OSError("client is gone")

        async def receive() -> Any:
            return {"type": "http.disconnect"}

        with pytest.raises(RuntimeError) as caught:
            await CORSMiddleware(self.raising, **ALLOW)(http_scope(headers=[ORIGIN]), receive, broken)
        assert caught.value is self.ERROR

    async def test_cancellation(self) -> None:
        """What is no Exception passes without an answer."""

        class Stop(BaseException):
            pass

        sent = []

        async def app(scope: Any, receive: Any, send: Any) -> None:
            raise Stop

        async def send(message: Any) -> None:
            sent.append(message)

        async def receive() -> Any:
            return {"type": "http.disconnect"}

        with pytest.raises(Stop):
            await CORSMiddleware(app, **ALLOW)(http_scope(headers=[ORIGIN]), receive, send)
        assert sent == []

    async def test_illegal_headers(self) -> None:
        """An app whose header list cannot be read gets the error itself, and the client a 500."""
        result = await http(CORSMiddleware(answering([b"x"]), **ALLOW), headers=[ORIGIN], raise_exceptions=False)
        assert isinstance(result.exception, ValueError)
        assert result.status == 500


class TestTransparency:
    async def test_other_scopes(self) -> None:
        """WebSocket and lifespan pass with the very objects that came."""
        seen = []

        async def app(scope: Any, receive: Any, send: Any) -> None:
            seen.append(scope)
            if scope["type"] == "websocket":
                await receive()
                await send({"type": "websocket.accept"})
            else:
                await receive()

        middleware = CORSMiddleware(app, **ALLOW)
        opened = await websocket(middleware, headers=[EVIL])
        assert opened.accepted
        started = await lifespan(middleware)
        assert seen[0] is opened.scope
        assert seen[1] is started.scope

    async def test_unknown_scope(self) -> None:
        """A scope of a type not invented yet passes with the very objects that came."""
        seen: list[Any] = []

        async def app(*given: Any) -> None:
            seen.extend(given)

        async def receive() -> Any:
            return {}

        async def send(message: Any) -> None:
            return None

        scope = {"type": "telegraph"}
        await CORSMiddleware(app, **ALLOW)(scope, receive, send)
        assert seen[0] is scope
        assert seen[1] is receive
        assert seen[2] is send

    async def test_scope_untouched(self) -> None:
        """The app gets the very scope of the caller, unchanged."""
        scope = http_scope(headers=[ORIGIN])
        before = copy.deepcopy(scope)
        inner: list[Any] = []

        async def app(scope: Any, receive: Any, send: Any) -> None:
            inner.append(scope)
            await answering([])(scope, receive, send)

        await drive(CORSMiddleware(app, **ALLOW), scope)
        assert scope == before
        assert inner[0] is scope

    async def test_request_headers_that_can_be_read_once(self) -> None:
        """An iterator is read for this class and for the app alike, and for a preflight."""
        inner: list[Any] = []

        async def app(scope: Any, receive: Any, send: Any) -> None:
            inner.extend(scope["headers"])
            await answering([])(scope, receive, send)

        cors = CORSMiddleware(app, **ALLOW)
        headers = [(b"x-a", b"1"), ORIGIN, (b"access-control-request-method", b"GET")]
        result = await drive(cors, {**http_scope(), "headers": iter(headers)})
        assert inner == headers
        assert result.header(b"access-control-allow-origin") == APP
        assert (await drive(cors, {**http_scope("OPTIONS"), "headers": iter(headers)})).status == 204

    async def test_reason_in_the_exchange(self) -> None:
        """Where a class further out keeps an Exchange, the reason stands there."""
        scope, exchange = enter(http_scope(headers=[ORIGIN]))
        await drive(CORSMiddleware(answering([]), **ALLOW), scope)
        assert exchange.cors == "origin_allowed"

    async def test_receive_is_untouched(self) -> None:
        """The app gets the server's own receive."""
        given: list[Any] = []

        async def app(scope: Any, receive: Any, send: Any) -> None:
            given.append(receive)

        async def receive() -> Any:
            return {}

        async def send(message: Any) -> None:
            return None

        await CORSMiddleware(app, **ALLOW)(http_scope(), receive, send)
        assert given == [receive]

    async def test_nested(self) -> None:
        """Two in one stack give one answer: the outer one's; its reason is the one that is kept."""
        inner = CORSMiddleware(answering([]), allow_origins=["https://other.test"], allow_credentials=True)
        scope, exchange = enter(http_scope(headers=[ORIGIN]))
        result = await drive(CORSMiddleware(inner, **ALLOW), scope)
        assert result.headers == [(b"vary", b"Origin"), (b"access-control-allow-origin", APP)]
        assert exchange.cors == "origin_allowed"

    async def test_nested_exception(self) -> None:
        """Two in one stack answer an exception once."""

        async def app(scope: Any, receive: Any, send: Any) -> None:
            raise ValueError

        result = await http(
            CORSMiddleware(CORSMiddleware(app, **ALLOW), **ALLOW), headers=[ORIGIN], raise_exceptions=False
        )
        assert result.types == ["http.response.start", "http.response.body"]

    async def test_preflight_reason(self) -> None:
        """The reason of a preflight's answer is in the Exchange, and a refusal with it."""
        headers = [ORIGIN, (b"access-control-request-method", b"PUT")]
        scope, exchange = enter(http_scope("OPTIONS", headers=headers))
        await drive(CORSMiddleware(answering([]), **ALLOW), scope)
        assert exchange.cors == "method_not_allowed"
        assert exchange.refusal is not None
        assert exchange.refusal.reason == "method_not_allowed"

    async def test_origin_set(self) -> None:
        """One OriginSet serves several classes."""
        origins = OriginSet([APP.decode()])
        for _ in range(2):
            app = CORSMiddleware(answering([]), allow_origins=origins)
            assert (await http(app, headers=[ORIGIN])).header(b"access-control-allow-origin") == APP

    def test_imports(self) -> None:
        """Importing the room loads no other concern's dependency."""
        code = (
            "import sys, asgi_middleware.cors\n"
            "others = ('jwt', 'structlog', 'prometheus_client', 'brotli', 'starlette')\n"
            "print([name for name in others if name in sys.modules])"
        )
        path = str(Path(asgi_middleware.__file__).parents[1])
        run = subprocess.run(
            [sys.executable, "-P", "-c", code],
            env={**os.environ, "PYTHONPATH": path},
            capture_output=True,
            text=True,
            check=True,
        )
        assert run.stdout.strip() == "[]"


header_text = st.binary(max_size=60) | st.sampled_from(
    [APP, b"https://a.example.org", b"null", b"*", b"PUT", b"x-token", b"content-type, x-token", b"a,b", b"\r\nx: y"]
)
request_names = st.sampled_from(
    [b"origin", b"Origin", b"access-control-request-method", b"access-control-request-headers", b"cookie"]
)
policies = st.sampled_from(
    [
        {
            "allow_origins": [APP.decode(), "https://*.example.org"],
            "allow_methods": ["PUT"],
            "allow_headers": ["x-token"],
        },
        {"allow_origins": ["https://*.example.org:*", "null"], "allow_methods": "*", "allow_headers": "*"},
        {
            "allow_origins": [APP.decode()],
            "allow_credentials": True,
            "allow_methods": "*",
            "allow_headers": "*",
            "expose_headers": "*",
        },
        {"allow_origins": "*", "allow_methods": "*", "allow_headers": "*", "expose_headers": "*"},
        {"allow_origins": [], "allow_origin_regex": r"https?://.*\.example\.net"},
        {"allow_origins": [], "allow_origin_func": lambda origin, scope: len(origin) % 2 == 0},
        {"allow_origins": [APP.decode()], "existing": "keep", "vary_preflight": True, "preflight_status": 200},
        {"allow_origins": [APP.decode()], "paths": {"/a": CORSPolicy(allow_origins="*")}, "expose_headers": ["etag"]},
    ]
)


class TestProperties:
    @given(
        policies,
        st.sampled_from(["GET", "OPTIONS", "POST", "brew"]),
        st.lists(st.tuples(request_names, header_text), max_size=6),
        st.lists(
            st.tuples(st.sampled_from([b"vary", b"Vary", b"x-a", b"access-control-allow-origin"]), header_text),
            max_size=4,
        ),
    )
    def test_no_request_breaks_it(
        self,
        options: dict[str, Any],
        method: str,
        request: list[tuple[bytes, bytes]],
        response: list[tuple[bytes, bytes]],
    ) -> None:
        """No request makes an exception or a 500, and what this class adds is always legal header bytes [25]."""
        legal = [(name, value) for name, value in response if is_field_value(value)]
        result = run(http, CORSMiddleware(answering(legal), **options), method, headers=request)
        assert result.status in {200, 204, 403}
        names = [name.lower() for name, _ in result.headers]
        assert names.count(b"access-control-allow-origin") <= 1
        for name, value in result.headers:
            assert is_token(name)
            assert is_field_value(value)
            assert b"\r" not in value
            assert b"\n" not in value
        sent = [value for name, value in request if name.lower() == b"origin"]
        own = [value for name, value in legal if name == b"access-control-allow-origin"]
        allowed = result.header(b"access-control-allow-origin")
        if options.get("existing") == "keep" and len(own) == 1 and result.body == b"x":  # the app answered
            assert allowed == own[0]
        elif allowed is not None and allowed != b"*":
            assert sent == [allowed]
            assert allowed.isascii()


def run(function: Any, *args: Any, **keys: Any) -> Any:
    """Run a coroutine function to its end: Hypothesis calls plain functions."""

    async def call() -> Any:
        return await function(*args, **keys)

    return anyio.run(call)
