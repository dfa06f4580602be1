"""The servers of the matrix, each with the parts that it is run with."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from processes import Server, running

FOLDER = Path(__file__).parents[1]
TARGET = "matrix.service:app"
PYTHON = (sys.executable, "-W", "ignore")
# The environment `servers` installs all of them; every other one has uvicorn alone.
ALL = os.environ.get("ASGI_MIDDLEWARE_SERVERS") == "all"


@dataclass(frozen=True)
class Variant:
    """One server with its parts.

    Attributes:
        name: Its name in the tests' ids.
        server: The server's distribution, which gives the version.
        title: What stands in the table's head.
        parts: Other distributions that serve in it.
        command: The command line, as `processes.running` wants it.
        http2: Whether it is spoken to in HTTP/2.
        by_port: Whether it takes a port only, no listening socket.
        everywhere: Whether it runs in every test environment.
    """

    name: str
    server: str
    title: str
    command: tuple[str, ...]
    parts: tuple[str, ...] = ()
    http2: bool = False
    by_port: bool = False
    everywhere: bool = False

    def versions(self) -> dict[str, str]:
        return {name: version(name) for name in (self.server, *self.parts)}

    @contextmanager
    def running(self, log: Path, stop: signal.Signals = signal.SIGINT, target: str = TARGET) -> Iterator[Server]:
        command = [target if part == TARGET else part for part in self.command]
        with running(command, log, by_port=self.by_port, stop=stop) as server:
            yield server


# Idle connections outlive the tests' waits, so that no timeout hides what a server does by itself.
_HYPERCORN = ("--keep-alive", "30", "--graceful-timeout", "2")
_GUNICORN = ("-k", "asgi", "--asgi-disconnect-grace-period", "1", "--keep-alive", "30", "--graceful-timeout", "2")


def _uvicorn(http: str, loop: str, ws: str, *, everywhere: bool = False) -> Variant:
    ws_package = ws.partition("-")[0]
    return Variant(
        name=f"uvicorn-{http}-{loop}-{ws_package}",
        server="uvicorn",
        title=f"{http}, {loop}, {ws}",
        command=(*PYTHON, str(FOLDER / "serve.py"), "{fd}", TARGET, f"http={http}", f"loop={loop}", f"ws={ws}"),
        parts=tuple(part for part in (http, loop, ws_package) if part != "asyncio"),
        everywhere=everywhere,
    )


def _hypercorn(worker: str, *, http2: bool = False) -> Variant:
    return Variant(
        name=f"hypercorn-{worker}{'-h2' * http2}",
        server="hypercorn",
        title=f"{worker}, HTTP/2" if http2 else worker,
        command=(*PYTHON, "-m", "hypercorn", "-k", worker, "--bind", "fd://{fd}", *_HYPERCORN, TARGET),
        parts=(*(("trio",) * (worker == "trio")), *(("h2",) if http2 else ("h11", "wsproto"))),
        http2=http2,
    )


def _granian(loop: str, *, http2: bool = False) -> Variant:
    options = ("--interface", "asgi", "--loop", loop, "--http", "2" if http2 else "1", "--port", "{port}")
    return Variant(
        name=f"granian-{loop}{'-h2' * http2}",
        server="granian",
        title=f"{loop}, HTTP/2" if http2 else loop,
        command=(*PYTHON, "-m", "granian", *options, "--workers-kill-timeout", "5", TARGET),
        parts=("uvloop",) * (loop == "uvloop"),
        http2=http2,
        by_port=True,
    )


def _gunicorn(loop: str, parser: str, *, http2: bool = False) -> Variant:
    options = (*_GUNICORN, "--asgi-loop", loop, "--http-parser", parser)
    protocols = ("--http-protocols", "h2", "--http2-cleartext", "prior-knowledge") if http2 else ()
    return Variant(
        name=f"gunicorn-{loop}{'-h2' * http2}",
        server="gunicorn",
        title=f"{loop}, HTTP/2" if http2 else f"{loop}, {parser} parser",
        command=(*PYTHON, "-m", "gunicorn", *options, *protocols, "--bind", "fd://{fd}", TARGET),
        parts=(
            *(("uvloop",) * (loop == "uvloop")),
            *(("h2",) * http2),
            *(("gunicorn_h1c",) * (parser == "fast" and not http2)),
        ),
        http2=http2,
    )


VARIANTS: tuple[Variant, ...] = (
    # Each two of the parts meet at least once.
    _uvicorn("h11", "asyncio", "websockets-sansio", everywhere=True),
    _uvicorn("httptools", "asyncio", "wsproto", everywhere=True),
    _uvicorn("h11", "uvloop", "wsproto"),
    _uvicorn("httptools", "uvloop", "websockets-sansio"),
    Variant(
        name="uvicorn-zttp-h2",
        server="uvicorn",
        title="zttp, HTTP/2",
        command=(*PYTHON, str(FOLDER / "serve.py"), "{fd}", TARGET, "http=zttp", "http2=1", "loop=asyncio"),
        parts=("zttp",),
        http2=True,
    ),
    _hypercorn("asyncio"),
    _hypercorn("trio"),
    _hypercorn("asyncio", http2=True),
    Variant(
        name="daphne",
        server="daphne",
        title="asyncio",
        command=(*PYTHON, "-m", "daphne", "--fd", "{fd}", "--application-close-timeout", "1", TARGET),
        parts=("twisted", "autobahn"),
    ),
    _granian("asyncio"),
    _granian("uvloop", http2=True),
    _gunicorn("asyncio", "python"),
    _gunicorn("uvloop", "fast"),
    _gunicorn("asyncio", "python", http2=True),
)

SELECTED: tuple[Variant, ...] = tuple(variant for variant in VARIANTS if ALL or variant.everywhere)
