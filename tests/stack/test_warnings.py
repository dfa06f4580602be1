"""One warning at start-up, and a check that survives whatever it is given."""

from __future__ import annotations

import os
import subprocess
import sys
import warnings
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import ClassVar
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import asgi_middleware
from asgi_middleware import (
    CORSMiddleware,
    JWTAuthMiddleware,
    LoggingMiddleware,
    OrderWarning,
    check_order,
    layer,
    stack,
    warn_about_order,
)
from asgi_middleware.testing import lifespan

CORS = {"allow_origins": ["https://app.example"]}
JWT = {"key": "a development key of at least 32 bytes", "algorithms": ["HS256"], "audience": "tests"}
TEXT = """\
middleware classes are in the wrong place
  - JWTAuthMiddleware is outside CORSMiddleware: browsers will report refusals as network errors. \
Fix: put CORSMiddleware outside JWTAuthMiddleware.
  - JWTAuthMiddleware is outside LoggingMiddleware: what it refuses has no access line and no request id. \
Fix: put LoggingMiddleware outside JWTAuthMiddleware.
  - CORSMiddleware is outside LoggingMiddleware: the preflights it answers have no access line. \
Fix: put LoggingMiddleware outside CORSMiddleware."""


async def bare(scope, receive, send) -> None: ...


def misplaced():
    return JWTAuthMiddleware(CORSMiddleware(LoggingMiddleware(bare), **CORS), **JWT)


class TestStack:
    def test_one_warning_lists_everything(self):
        """All misplacements come in one warning, in the name of the line that called ``stack``."""
        with pytest.warns(OrderWarning) as caught:
            stack(bare, layer(JWTAuthMiddleware, **JWT), layer(CORSMiddleware, **CORS), LoggingMiddleware)
        [warning] = caught
        assert str(warning.message) == TEXT
        assert warning.filename == __file__

    def test_a_right_order_is_silent(self):
        """Nothing is said where nothing is wrong: warnings are errors in this run."""
        stack(bare, LoggingMiddleware, layer(CORSMiddleware, **CORS), layer(JWTAuthMiddleware, **JWT))

    def test_what_was_added_to_the_app_counts_too(self):
        """A class inside the framework is compared with the layers around it."""
        from fastapi import FastAPI

        api = FastAPI()
        api.add_middleware(CORSMiddleware, **CORS)
        with pytest.warns(OrderWarning, match="JWTAuthMiddleware is outside CORSMiddleware"):
            stack(api, layer(JWTAuthMiddleware, **JWT))

    def test_it_can_be_an_error(self):
        """The category is its own, so that a test run can refuse a wrong order."""
        with warnings.catch_warnings():
            warnings.simplefilter("error", OrderWarning)
            with pytest.raises(OrderWarning):
                stack(bare, layer(CORSMiddleware, **CORS), LoggingMiddleware)


class TestLifespan:
    """``warn_about_order`` from the framework's own start-up."""

    pytestmark = pytest.mark.anyio

    async def test_starlette_and_fastapi(self):
        """In the lifespan function of the app; everything has been added by then."""
        from fastapi import FastAPI

        @asynccontextmanager
        async def at_start(app):
            warn_about_order(app)
            yield

        api = FastAPI(lifespan=at_start)
        api.add_middleware(CORSMiddleware, **CORS)
        api.add_middleware(JWTAuthMiddleware, **JWT)
        with pytest.warns(OrderWarning) as caught:
            assert (await lifespan(api)).sent[0]["type"] == "lifespan.startup.complete"
        [warning] = caught
        assert warning.filename == __file__

    async def test_litestar(self):
        """As one of ``on_startup``: Litestar gives it the app."""
        from litestar import Litestar
        from litestar.middleware import DefineMiddleware

        defined = [DefineMiddleware(JWTAuthMiddleware, **JWT), DefineMiddleware(CORSMiddleware, **CORS)]
        with pytest.warns(OrderWarning) as caught:
            await lifespan(Litestar(middleware=defined, on_startup=[warn_about_order]))
        assert len(caught) == 1

    @pytest.mark.parametrize("anyio_backend", ["asyncio"])
    async def test_quart(self):
        """In ``before_serving``."""
        from quart import Quart

        app = Quart(__name__)
        app.asgi_app = JWTAuthMiddleware(CORSMiddleware(app.asgi_app, **CORS), **JWT)

        @app.before_serving
        async def check() -> None:
            warn_about_order(app)

        with pytest.warns(OrderWarning) as caught:
            await lifespan(app)
        assert len(caught) == 1

    async def test_a_right_order_is_silent(self):
        """Nothing is said where nothing is wrong."""
        from litestar import Litestar

        await lifespan(Litestar(middleware=[LoggingMiddleware], on_startup=[warn_about_order]))


class Raising:
    """Every attribute raises."""

    def __getattribute__(self, name):
        raise RuntimeError(name)


class Itself:
    """Holds itself as its inner app."""

    def __init__(self) -> None:
        self.app = self

    async def __call__(self, scope, receive, send) -> None: ...


class Endless:
    """Makes a new inner app whenever it is asked."""

    @property
    def app(self):
        return Endless()

    async def __call__(self, scope, receive, send) -> None: ...


class Bushy(Endless):
    """Has a hundred mounts, each with the same again."""

    app = None

    @property
    def routes(self):
        return [SimpleNamespace(path="/x", app=Bushy()) for _ in range(100)]


class OddLists:
    """Has what a framework has, and in it what no framework has."""

    def __init__(self, thing) -> None:
        self.user_middleware = [thing, (), ("x",), (thing, thing), None, 3]
        self.routes = [thing, None, Raising(), self]
        self.middleware_stack = thing
        self.asgi_app = thing

    async def __call__(self, scope, receive, send) -> None: ...


class LitestarLike(OddLists):
    def __init__(self, thing) -> None:
        super().__init__(thing)
        del self.user_middleware
        self.asgi_router = self.asgi_handler = self.compression_config = thing
        self.middleware = [thing, ()]


class ChannelsLike:
    def __init__(self, thing) -> None:
        self.application_mapping = {"http": thing, 3: None, Raising: self}


class OddDict(dict):
    """A dict that cannot be asked."""

    def get(self, *_):
        raise RuntimeError

    items = get


class OddList(list):
    """A list that cannot be read."""

    def __iter__(self):
        raise RuntimeError


class NoTruth:
    """Neither true nor false, and no text."""

    def __bool__(self) -> bool:
        raise RuntimeError

    def __str__(self) -> str:
        raise RuntimeError


def included(prefix):
    inner = SimpleNamespace(path="/x", app=SimpleNamespace(app=bare))
    context = SimpleNamespace(prefix=prefix)
    return SimpleNamespace(original_router=SimpleNamespace(routes=[inner]), include_context=context)


def cyclic():
    outer, inner = Itself(), Itself()
    outer.app, inner.app = inner, outer
    return outer


# Made in the test: pytest itself stumbles over some of them.
STRANGE = {
    "none": lambda: None,
    "number": lambda: 3,
    "text": lambda: "app",
    "object": object,
    "metaclass": lambda: type,
    "class": lambda: Itself,
    "function": lambda: bare,
    "builtin": lambda: print,
    "lambda": lambda: lambda: None,
    "raising": Raising,
    "itself": Itself,
    "cycle": cyclic,
    "endless": Endless,
    "bushy": Bushy,
    "mock": mock.Mock,
    "magic": mock.MagicMock,
    "async-magic": mock.AsyncMock,
    "own-method": lambda: Itself().__call__,
    "builtin-method": lambda: [].append,
    "iterator": lambda: iter([]),
    "odd-lists": lambda: OddLists(3),
    "odd-raising": lambda: OddLists(Raising()),
    "odd-magic": lambda: OddLists(mock.MagicMock()),
    "odd-itself": lambda: OddLists(Itself()),
    "litestar-raising": lambda: LitestarLike(Raising()),
    "litestar-magic": lambda: LitestarLike(mock.MagicMock()),
    "odd-list": lambda: SimpleNamespace(user_middleware=OddList([1])),
    "odd-dict": lambda: SimpleNamespace(application_mapping=OddDict(http=bare)),
    "odd-options": lambda: SimpleNamespace(user_middleware=[SimpleNamespace(cls=bare, kwargs=OddDict(a=1))]),
    "odd-prefix": lambda: SimpleNamespace(routes=[included(NoTruth())]),
    "channels-raising": lambda: ChannelsLike(Raising()),
}
WRAPPERS = (OddLists, LitestarLike, ChannelsLike, LoggingMiddleware)


class TestStrangeObjects:
    @pytest.mark.parametrize("name", STRANGE)
    def test_nothing_raises_and_everything_ends(self, name):
        """Whatever the object, the check gives a tuple: cycles, endless chains and attributes that raise included."""
        warn_about_order(STRANGE[name]())
        for around in WRAPPERS:
            assert check_order(around(STRANGE[name]())) == ()

    @settings(max_examples=50)
    @given(st.sampled_from(sorted(STRANGE)), st.lists(st.sampled_from(WRAPPERS), max_size=6))
    def test_any_nesting(self, name, wrappers):
        """Things that look like frameworks, in any nesting, do not stop the check; a nested copy is all it finds."""
        app = STRANGE[name]()
        for around in wrappers:
            app = around(app)
        assert {found.code for found in check_order(app)} <= {"twice"}

    def test_an_attribute_that_is_made_up_is_not_asked_for(self):
        """An object that answers to every name, such as a proxy or a mock, is not led to invent an inner app."""

        class Proxy:
            asked: ClassVar[list[str]] = []

            def __getattr__(self, name):
                self.asked.append(name)
                return Proxy()

            async def __call__(self, scope, receive, send) -> None: ...

        assert check_order(LoggingMiddleware(Proxy())) == ()
        assert Proxy.asked == []

    def test_misplacements_before_a_cycle_are_found(self):
        """A chain that bites its own tail is checked as far as it goes."""
        assert len(check_order(JWTAuthMiddleware(CORSMiddleware(cyclic(), **CORS), **JWT))) == 1

    def test_a_deep_chain_is_no_problem(self):
        """Hundreds of wrappers in a row are walked without recursion."""
        app = CORSMiddleware(bare, **CORS)
        for _ in range(300):
            inner, app = app, Itself()
            app.app = inner
        assert len(check_order(JWTAuthMiddleware(app, **JWT))) == 1


def test_the_check_loads_no_concern_and_no_framework():
    """``check_order`` knows classes by name: to import and to run it loads none of them."""
    code = (
        "import sys\n"
        "from asgi_middleware import check_order, stack\n"
        "class Wrapper:\n"
        "    def __init__(self, app): self.app = app\n"
        "    async def __call__(self, scope, receive, send): pass\n"
        "async def app(scope, receive, send): pass\n"
        "assert check_order(stack(app, Wrapper)) == ()\n"
        "print(*sys.modules)\n"
    )
    root = str(Path(asgi_middleware.__file__).parents[1])
    result = subprocess.run(
        [sys.executable, "-P", "-c", code],
        env={**os.environ, "PYTHONPATH": root},
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    loaded = set(result.stdout.split())
    rooms = {"auth", "compression", "cors", "limits", "logging", "metrics", "problems", "testing", "integrations"}
    assert loaded & {f"asgi_middleware.{room}" for room in rooms} == set()
    assert (
        loaded & {"jwt", "structlog", "prometheus_client", "brotli", "starlette", "litestar", "django", "quart"}
        == set()
    )
