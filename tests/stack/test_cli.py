"""``python -m asgi_middleware``, in a process of its own: what it prints, and what its exit status means."""

from __future__ import annotations

import http.client
import os
import platform
import re
import signal
import socket
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest

import asgi_middleware
from asgi_middleware._composition import versions as named
from asgi_middleware._composition.demo import make_app
from asgi_middleware.testing import http as ask

ROOT = Path(asgi_middleware.__file__).parents[1]
TESTS = Path(__file__).parents[1]

SHOP = '''\
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles

from asgi_middleware import CORSMiddleware, JWTAuthMiddleware, LoggingMiddleware, layer, stack


async def admin(scope, receive, send):
    """Stands for an app."""


KEY = "a development key of at least 32 bytes"
cors = layer(CORSMiddleware, allow_origins=["https://app.example"])
jwt = layer(JWTAuthMiddleware, key=KEY, algorithms=["HS256"], audience="shop")
site = Starlette(
    routes=[
        Mount("/static", app=StaticFiles(directory=".")),
        Mount("/admin", app=LoggingMiddleware(admin)),
    ]
)


def create():
    return stack(site, jwt, cors)


app = create()
right = stack(admin, LoggingMiddleware, cors, jwt)
'''

LIGHT = """\
class Kiosk:
    async def __call__(self, scope, receive, send): ...

def create():
    return Kiosk()

def broken():
    raise LookupError("no such shop")

async def later(): ...

app = kiosk = Kiosk()
number = 3
"""

SHOP_REPORT = """\
shop:app, outermost first:

  JWTAuthMiddleware  <- 1, 2
    CORSMiddleware  <- 1, 3
      ServerErrorMiddleware (starlette)
        Starlette
          /static: StaticFiles (starlette)
          /admin: LoggingMiddleware  <- 2, 3
            admin (shop)

3 problems:
  1. JWTAuthMiddleware is outside CORSMiddleware:
     browsers will report refusals as network errors.
     Fix: put CORSMiddleware outside JWTAuthMiddleware.
  2. JWTAuthMiddleware is outside LoggingMiddleware (at /admin):
     what it refuses has no access line and no request id.
     Fix: put LoggingMiddleware outside JWTAuthMiddleware.
  3. CORSMiddleware is outside LoggingMiddleware (at /admin):
     the preflights it answers have no access line.
     Fix: put LoggingMiddleware outside CORSMiddleware.

{versions}
"""

RIGHT_REPORT = """\
shop:right, outermost first:

  LoggingMiddleware
    CORSMiddleware
      JWTAuthMiddleware
        admin (shop)

Nothing is in the wrong place.

{versions}
"""


@pytest.fixture
def run(tmp_path):
    """Run the command in a folder with a module, and give its exit status and its two outputs."""
    (tmp_path / "shop.py").write_text(SHOP, encoding="utf-8")
    (tmp_path / "light.py").write_text(LIGHT, encoding="utf-8")

    def run(*arguments, folder=tmp_path, path=(), flags=(), **environment):
        result = subprocess.run(
            [sys.executable, *flags, "-m", "asgi_middleware", *arguments],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *path]), "COLUMNS": "120", **environment},
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=50,
            check=False,
        )
        assert "Traceback" not in result.stderr
        return result.returncode, result.stdout, result.stderr

    return run


def report() -> str:
    return f"{named.versions()}\n{named.surroundings()}"


def test_problems(run):
    """The tree marks each class with the numbers of its problems; the exit status is 1; nothing goes to stderr."""
    assert run("check", "shop:app") == (1, SHOP_REPORT.format(versions=report()), "")


def test_no_problems(run):
    """A right order is said to be one, with exit status 0."""
    assert run("check", "shop:right") == (0, RIGHT_REPORT.format(versions=report()), "")


@pytest.mark.parametrize("arguments", [("shop:create()",), ("shop:create", "--factory"), ("--factory", "shop:create")])
def test_a_factory(run, arguments):
    """A function that makes the app is called, with either spelling."""
    status, out, _ = run("check", *arguments)
    assert status == 1
    assert "\n  JWTAuthMiddleware  <- 1, 2\n" in out


def test_an_attribute_of_an_attribute(run):
    """What is looked up may lie deeper, as servers have it."""
    status, out, _ = run("check", "shop:site.router")
    assert status == 0
    assert "Router (starlette)" in out


def test_another_folder(run, tmp_path):
    """--app-dir names the folder to import from."""
    (tmp_path / "elsewhere").mkdir()
    assert run("check", "shop:right", "--app-dir", str(tmp_path), folder=tmp_path / "elsewhere")[0] == 0


def test_the_current_folder_counts_in_safe_path_mode_too(run):
    """The module is found in the current folder even where Python does not look there by itself."""
    assert run("check", "shop:right", flags=("-P",))[0] == 0


def test_django(run, tmp_path):
    """An asgi.py is imported as a server would do it."""
    (tmp_path / "asgi.py").write_text(
        "from django.core.asgi import get_asgi_application\n"
        "from asgi_middleware import LoggingMiddleware\n"
        "application = LoggingMiddleware(get_asgi_application())\n",
        encoding="utf-8",
    )
    site = str(TESTS / "docs" / "site")
    status, out, err = run("check", "asgi:application", path=[site], DJANGO_SETTINGS_MODULE="mysite.settings")
    assert (status, err) == (0, "")
    assert "  LoggingMiddleware\n    ASGIHandler (django)\n" in out


def test_wrong_options(run, tmp_path):
    """Wrong options are problems like a wrong order: all are listed, with their fixes, and the exit status is 1."""
    (tmp_path / "wrong.py").write_text(
        "from asgi_middleware import CORSMiddleware\n"
        "async def app(scope, receive, send): ...\n"
        "app = CORSMiddleware(app, allow_origins='https://app.example', max_age=-1)\n",
        encoding="utf-8",
    )
    status, out, err = run("check", "wrong:app")
    assert (status, err) == (1, "")
    assert out.startswith(
        "wrong:app has wrong options.\n\nCORSMiddleware: 2 problems in its options\n  - allow_origins="
    )
    assert "max_age=-1" in out


def test_wrong_options_of_what_is_not_made_yet(run, tmp_path):
    """Frameworks make their classes at the first connection; the check makes them now, and says what is wrong."""
    (tmp_path / "later.py").write_text(
        "from starlette.applications import Starlette\n"
        "from starlette.routing import Mount\n"
        "from asgi_middleware import CORSMiddleware, LoggingMiddleware, RequestBodyLimitMiddleware\n"
        "inner = Starlette()\n"
        "inner.add_middleware(RequestBodyLimitMiddleware, max_body_size=10, max_size=3)\n"
        "app = Starlette(routes=[Mount('/inner', app=inner)])\n"
        "app.add_middleware(CORSMiddleware, allow_origins='https://app.example')\n"
        "app.add_middleware(LoggingMiddleware)\n",
        encoding="utf-8",
    )
    status, out, err = run("check", "later:app")
    assert (status, err) == (1, "")
    assert "Nothing is in the wrong place.\n\nCORSMiddleware: " in out
    assert "RequestBodyLimitMiddleware: " in out
    assert "'max_size'" in out


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("shop.py", "'shop.py' is not the name of an app. Write a module, not a file: shop:app"),
        ("src/shop.py:api", "'src/shop.py:api' is not the name of an app. Write a module, not a file: src.shop:api"),
        ("shop", "'shop' is not the name of an app. Write module:app, for example shop:app"),
        ("shop:", "'shop:' is not the name of an app. Write module:app, for example shop:app"),
        ("light:ap", "module 'light' has no attribute 'ap'. Did you mean 'app'?"),
        ("light:zzz", "module 'light' has no attribute 'zzz'."),
        ("light:app.zzz", "a Kiosk has no attribute 'zzz'."),
        ("light:kiosc.app", "module 'light' has no attribute 'kiosc'. Did you mean 'kiosk'?"),
        ("missing:app", "cannot import 'missing': ModuleNotFoundError: No module named 'missing'"),
        ("light:number", "light:number is an int, not an ASGI app."),
        ("light:number()", "light:number is an int, which cannot be called."),
        ("light:create", "create is a function without parameters: if it makes the app, add --factory."),
        ("light:later()", "later() is a coroutine function, not a function that makes an app."),
        ("light:Kiosk", "Kiosk is a class, not an app: give the name of an instance of it."),
        ("fails:app", "cannot import 'fails': ZeroDivisionError: division by zero ({folder}/fails.py, line 2)"),
        ("leaves:app", "cannot import 'leaves': SystemExit: bye ({folder}/leaves.py, line 1)"),
        ("typo:app", "cannot import 'typo': SyntaxError: invalid syntax (typo.py, line 1)"),
        ("light:broken()", "broken() failed: LookupError: no such shop ({folder}/light.py, line 8)"),
    ],
)
def test_what_cannot_be_loaded(run, tmp_path, name, message):
    """One line on stderr says what is wrong and what to write, without a traceback; the exit status is 2."""
    (tmp_path / "fails.py").write_text("number = 1\nnumber / 0\n", encoding="utf-8")
    (tmp_path / "leaves.py").write_text("raise SystemExit('bye')\n", encoding="utf-8")
    (tmp_path / "typo.py").write_text("app = =\n", encoding="utf-8")
    status, out, err = run("check", name)
    assert (status, out) == (2, "")
    assert err == f"python -m asgi_middleware check: {message.format(folder=tmp_path)}\n"


def test_without_arguments(run):
    """The help is shown; nothing was checked, which exit status 2 tells to a script."""
    status, out, err = run()
    assert (status, err) == (2, "")
    assert out == run("--help")[1]


@pytest.mark.parametrize("arguments", [("--help",), ("check", "--help")])
def test_help(run, arguments):
    """The help has an example of each spelling and says what the exit statuses mean."""
    status, out, _ = run(*arguments)
    assert status == 0
    for line in (
        "check shop:app",
        "check mysite.asgi:application",
        "check 'shop:create_app()'",
        "  0  nothing is wrong",
    ):
        assert line in out


@pytest.mark.parametrize("arguments", [("inspect", "shop:app"), ("check",), ("check", "shop:app", "--colour")])
def test_usage(run, arguments):
    """A wrong command has exit status 2 and a usage line."""
    status, out, err = run(*arguments)
    assert (status, out) == (2, "")
    assert err.startswith("usage: python -m asgi_middleware")


def test_versions(run):
    """--version names what a report of a fault needs, extras with their versions."""
    status, out, _ = run("--version")
    assert status == 0
    assert out.startswith(f"Python {platform.python_version()}, asgi-middleware {asgi_middleware.__version__}")
    for distributions in named.EXTRAS.values():
        for distribution in distributions:
            try:
                assert f", {distribution} {metadata.version(distribution)}" in out
            except metadata.PackageNotFoundError:
                assert not re.search(rf"\b{distribution} \d", out)


def test_missing_extras_are_named(monkeypatch):
    """An extra that is not there is said to be missing; zstd is never missing where Python has it."""

    def version(distribution: str) -> str:
        raise metadata.PackageNotFoundError(distribution)

    monkeypatch.setattr(named.metadata, "version", version)
    expected = f"psl, redis, {'' if sys.version_info >= (3, 14) else 'zstd, '}speed, otel"
    assert named.versions().endswith(f"; extras not installed: {expected}")


def test_the_extras_are_those_of_the_package():
    """The distributions of an extra are those that pyproject.toml names."""
    pyproject = tomllib.loads((TESTS.parent / "pyproject.toml").read_text(encoding="utf-8"))
    for extra, distributions in named.EXTRAS.items():
        required = pyproject["project"]["optional-dependencies"][extra]
        assert {re.match(r"[\w-]+", requirement)[0] for requirement in required} == set(distributions)


def test_any_name_on_any_terminal(run, tmp_path):
    """A class with a name that the terminal cannot show is shown escaped."""
    (tmp_path / "names.py").write_text(
        "class Größe:\n    async def __call__(self, scope, receive, send): ...\napp = Größe()\n", encoding="utf-8"
    )
    status, out, _ = run("check", "names:app", PYTHONIOENCODING="ascii")
    assert status == 0
    assert "Gr\\xf6\\xdfe (names)" in out


def test_warnings_as_errors_do_not_hide_the_report(run):
    """``stack`` would raise at import when warnings are errors; the check shows the tree all the same."""
    assert run("check", "shop:app", PYTHONWARNINGS="error")[0] == 1


class TestDemo:
    pytestmark = pytest.mark.anyio

    async def test_what_its_page_promises(self):
        """Its page has a token that opens the guarded path; a failure is a problem document; metrics are there."""
        app = make_app("http://127.0.0.1:8000", "a development key of at least 32 bytes")
        page = (await ask(app)).body.decode()
        token = re.search(r"Bearer (\S+)'", page)[1]
        assert (await ask(app, path="/me")).status == 401
        greeted = await ask(app, path="/me", headers=[(b"authorization", f"Bearer {token}".encode())])
        assert greeted.json() == {"hello": "ada"}
        assert (await ask(app, path="/fail", raise_exceptions=False)).json()["reason"] == "internal_error"
        assert (await ask(app, "POST", "/list", body=b"x" * 10_001)).status == 413
        assert (await ask(app, path="/elsewhere", headers=[(b"origin", b"https://app.example")])).status == 401
        assert b"http_server_request_duration" in (await ask(app, path="/metrics")).body

    def test_it_is_served_until_it_is_stopped(self):
        """It says where it listens, answers there, and ends with status 0 on Ctrl-C."""
        process = subprocess.Popen(
            [sys.executable, "-m", "asgi_middleware", "demo", "--port", "0"],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            port = re.search(r"http://127\.0\.0\.1:(\d+)/", process.stderr.readline())[1]
            connection = http.client.HTTPConnection("127.0.0.1", int(port), timeout=20)
            connection.request("GET", "/")
            assert b"curl -i" in connection.getresponse().read()
            connection.close()
            process.send_signal(signal.SIGINT)
            assert process.wait(timeout=20) == 0
        finally:
            process.kill()
            process.communicate()

    def test_a_port_that_is_taken(self, run):
        """One line says so; the exit status is 1."""
        with socket.create_server(("127.0.0.1", 0)) as taken:
            status, out, err = run("demo", "--port", str(taken.getsockname()[1]))
        assert (status, out) == (1, "")
        assert err.startswith("Cannot listen on 127.0.0.1 port ")

    def test_without_a_server(self, run, tmp_path):
        """Without uvicorn one line says what to install; the exit status is 2."""
        (tmp_path / "uvicorn.py").write_text("raise ImportError\n", encoding="utf-8")
        status, out, err = run("demo", path=[str(tmp_path)])
        assert (status, out) == (2, "")
        assert err == "The demo needs a server: python -m pip install uvicorn\n"
