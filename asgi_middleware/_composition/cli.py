"""The command line: ``python -m asgi_middleware check module:app``.

Exit status: 0 nothing is wrong, 1 problems were found, 2 the command or the module does not work.
"""

from __future__ import annotations

import argparse
import io
import platform
import sys
import warnings
from collections.abc import Iterator, Sequence
from importlib import metadata
from typing import Final

from asgi_middleware._composition.check import Finding, Misplacement, OrderWarning, findings
from asgi_middleware._composition.load import CannotLoadError, load
from asgi_middleware._composition.walk import Part, walk
from asgi_middleware._core.config import ConfigurationError
from asgi_middleware._version import __version__

CLEAN: Final = 0
PROBLEMS: Final = 1
UNUSABLE: Final = 2

EXTRAS: Final = {"zstd": ("backports-zstd",), "speed": ("orjson",), "otel": ("opentelemetry-api",)}
"""The extras that change what the classes do, with the distributions they install."""

_DESCRIPTION: Final = "What there is to know about an app and its middleware."
_CHECK: Final = """\
Import an app, show its middleware as a tree, outermost first, and say what is in the wrong place and why.

The app is imported as a server would do it, and it is not run. A tree shows classes, never their options."""
_EXAMPLES: Final = """\
examples:
  python -m asgi_middleware check shop:app
  python -m asgi_middleware check mysite.asgi:application
  python -m asgi_middleware check 'shop:create_app()'

exit status:
  0  nothing is wrong
  1  classes are in the wrong place, or their options are wrong
  2  the command or the module does not work"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and give its exit status."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a class may have any name, a terminal any encoding
    parser, check = _parsers()
    options = parser.parse_args(arguments)
    if options.command is None:
        parser.print_help()
        return UNUSABLE
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", OrderWarning)  # it is what this command shows
            app = load(options.app, is_factory=options.factory, directory=options.app_dir)
    except ConfigurationError as error:
        _say(f"{options.app} has wrong options.\n\n{error}\n\n{_versions()}")
        return PROBLEMS
    except CannotLoadError as error:
        sys.stderr.write(f"{check.prog}: {error}\n")
        return UNUSABLE
    chain = walk(app)
    found = findings(chain)
    _say(f"{options.app}, outermost first:\n\n{_tree(chain, found)}\n\n{_problems(found)}\n\n{_versions()}")
    return PROBLEMS if found else CLEAN


def _parsers() -> tuple[argparse.ArgumentParser, argparse.ArgumentParser]:
    layout = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(
        prog="python -m asgi_middleware", description=_DESCRIPTION, epilog=_EXAMPLES, formatter_class=layout
    )
    parser.add_argument("--version", action="version", version=_versions())
    commands = parser.add_subparsers(dest="command", metavar="command", title="commands")
    check = commands.add_parser(
        "check",
        help="show the middleware of an app as a tree, and what is in the wrong place",
        description=_CHECK,
        epilog=_EXAMPLES,
        formatter_class=layout,
    )
    check.add_argument("app", metavar="module:app", help="where the app is; a function that makes it as module:make()")
    check.add_argument("--factory", action="store_true", help="the name is a function that makes the app")
    check.add_argument(
        "--app-dir", default=".", metavar="DIR", help="the folder to import from, besides the installed packages (here)"
    )
    return parser, check


def _numbers(found: Sequence[Finding]) -> dict[Misplacement, int]:
    return {misplacement: number for number, misplacement in enumerate(dict.fromkeys(f.misplacement for f in found), 1)}


def _tree(chain: tuple[Part, ...], found: Sequence[Finding]) -> str:
    """Draw one line for each part, indented below what stands around it, with the numbers of its problems."""
    numbers = _numbers(found)
    marks: dict[int, list[str]] = {}
    for finding in found:
        for part in (finding.outer, finding.inner):
            number = str(numbers[finding.misplacement])
            if number not in marks.setdefault(id(part), []):
                marks[id(part)].append(number)

    def lines(chain: tuple[Part, ...], depth: int, before: str) -> Iterator[str]:
        for position, part in enumerate(chain):
            numbered = f"  <- {', '.join(marks[id(part)])}" if id(part) in marks else ""
            yield f"{'  ' * (depth + position)}{before if position == 0 else ''}{part.title}{numbered}"
            for branch in part.branches:
                yield from lines(branch.chain, depth + position + 1, f"{branch.where}: ")

    return "\n".join(lines(chain, 1, ""))


def _problems(found: Sequence[Finding]) -> str:
    numbers = _numbers(found)
    if not numbers:
        return "Nothing is in the wrong place."
    texts = [
        f"  {number}. {misplacement.message}:\n     {misplacement.reason}.\n     Fix: {misplacement.fix}."
        for misplacement, number in numbers.items()
    ]
    return "\n".join([f"{len(texts)} problem{'' if len(texts) == 1 else 's'}:", *texts])


def _versions() -> str:
    """Name the versions that a report of a fault needs."""
    present = [f"Python {platform.python_version()}", f"asgi-middleware {__version__}"]
    missing = []
    for extra, distributions in EXTRAS.items():
        installed = []
        for distribution in distributions:
            try:
                installed.append(f"{distribution} {metadata.version(distribution)}")
            except metadata.PackageNotFoundError:
                continue
        present += installed
        # Python 3.14 has zstd in its standard library.
        if len(installed) < len(distributions) and not (extra == "zstd" and sys.version_info >= (3, 14)):
            missing.append(extra)
    return ", ".join(present) + (f"; extras not installed: {', '.join(missing)}" if missing else "")


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
