"""``python -m asgi_middleware cors explain``: finding the policy of an app, and saying what it means."""

import sys
from pathlib import Path
from typing import Any

import pytest

from asgi_middleware._composition import cli

SHOP = """
from starlette.applications import Starlette
from starlette.routing import Mount
from asgi_middleware import LoggingMiddleware
from asgi_middleware.cors import CORSMiddleware, CORSPolicy, OriginLookup

async def bare(scope, receive, send): raise AssertionError("the app was run")

async def is_customer(origin, scope): return origin.endswith("customer.test")

OPTIONS = {"allow_origins": ["https://app.example.com"], "allow_methods": ["PUT"]}
wrapped = LoggingMiddleware(CORSMiddleware(bare, **OPTIONS))
added = Starlette()
added.add_middleware(CORSMiddleware, **OPTIONS)
mounted = Starlette(routes=[Mount("/api", app=CORSMiddleware(bare, **OPTIONS))])
wrong = Starlette()
wrong.add_middleware(CORSMiddleware, allow_origins="*", allow_credentials=True)
asking = CORSMiddleware(bare, allow_origins=[], allow_origin_func=OriginLookup(func=is_customer))
paths = CORSMiddleware(bare, **OPTIONS, paths={"/public": CORSPolicy(allow_origins="*"), "/own": None})
def make(): return wrapped
"""


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """Run the command beside a module, and give its status and what it says."""
    name = f"shop_{tmp_path.name.replace('-', '_')}"
    (tmp_path / f"{name}.py").write_text(SHOP, encoding="utf-8")
    monkeypatch.setattr(sys, "path", [*sys.path])

    def run(app: str, *arguments: str) -> tuple[int, str, str]:
        status = cli.main(["cors", "explain", f"{name}:{app}", "--app-dir", str(tmp_path), *arguments])
        said = capsys.readouterr()
        return status, said.out, said.err

    return run


ALLOWED = ("--origin", "https://app.example.com")
EVIL = ("--origin", "https://evil.test")


@pytest.mark.parametrize("app", ["wrapped", "added", "mounted", "make()"])
class TestApps:
    def test_allowed(self, run: Any, app: str) -> None:
        """An allowed request ends well, however the class was added; the app is not run."""
        status, out, _ = run(app, *ALLOWED, "--method", "put", "--header", "content-type: application/json")
        assert status == 0
        assert "answers the preflight with 204" in out
        assert out.endswith("=> The script can read the response.\n")

    def test_refused(self, run: Any, app: str) -> None:
        """A refused one says where it stops."""
        status, out, _ = run(app, *EVIL, "--method", "DELETE", "--credentials")
        assert status == 1
        assert "Server: origin_not_allowed. Fetch standard 4.9: no_allow_origin." in out


def test_function(run: Any) -> None:
    """A function is asked."""
    assert run("asking", "--origin", "https://customer.test")[0] == 0
    assert run("asking", *EVIL)[0] == 1


def test_paths(run: Any) -> None:
    """The policy is that of the path."""
    assert run("paths", *EVIL)[0] == 1
    assert run("paths", *EVIL, "--path", "/public/x")[0] == 0
    for path in ("/own", "//public"):
        status, out, _ = run("paths", *EVIL, "--path", path)
        assert status == 1
        assert f"The path '{path}' is left to the app by paths, or can be read in several ways" in out


def test_none(run: Any) -> None:
    """An app without the class is told so."""
    status, out, _ = run("bare", *EVIL)
    assert (status, out) == (
        1,
        "There is no CORSMiddleware in the app: a browser lets no script of another origin read anything.\n",
    )


def test_wrong_options(run: Any) -> None:
    """Wrong options of a class that is still to be made are shown with their fix."""
    status, out, _ = run("wrong", *EVIL)
    assert status == 1
    assert "every website could act as your user" in out


def test_no_app(run: Any) -> None:
    """A module that is not there is a usage error."""
    status, _, err = run("nowhere", *EVIL)
    assert status == 2
    assert err.startswith("python -m asgi_middleware cors explain: ")


@pytest.mark.parametrize("arguments", [["cors"], ["cors", "explain"], ["cors", "explain", "shop:app"]])
def test_usage(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Without an app and an origin the command says how it is used."""
    with pytest.raises(SystemExit) as caught:
        cli.main(arguments)
    assert caught.value.code == 2
    assert "usage: python -m asgi_middleware cors" in capsys.readouterr().err
