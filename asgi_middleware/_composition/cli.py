"""The command line: ``python -m asgi_middleware check module:app``, ``cors explain module:app`` and ``demo``.

Exit status: 0 nothing is wrong, 1 problems were found, 2 the command or the module does not work.
"""

from __future__ import annotations

import argparse
import io
import sys
import warnings
from collections.abc import Iterator, Sequence
from typing import Final

from asgi_middleware._composition import cors_command, demo
from asgi_middleware._composition.check import Finding, Misplacement, OrderWarning, findings
from asgi_middleware._composition.configuration import wrong_options
from asgi_middleware._composition.load import CannotLoadError, load
from asgi_middleware._composition.versions import surroundings, versions
from asgi_middleware._composition.walk import Part, walk
from asgi_middleware._core.config import ConfigurationError

CLEAN: Final = 0
PROBLEMS: Final = 1
UNUSABLE: Final = 2

_DESCRIPTION: Final = "What there is to know about an app and its middleware."
_CHECK: Final = """\
Import an app, show its middleware as a tree, outermost first, and say what is in the wrong place and why, which
options are wrong, and which versions and extras are installed.

The app is imported as a server would do it, and it is not run. A tree shows classes, never their options."""
_EXAMPLES: Final = """\
examples:
  python -m asgi_middleware check shop:app
  python -m asgi_middleware check mysite.asgi:application
  python -m asgi_middleware check 'shop:create_app()'
  python -m asgi_middleware cors explain shop:app --origin https://app.example.com
  python -m asgi_middleware demo

exit status:
  0  nothing is wrong
  1  classes are in the wrong place, or their options are wrong
  2  the command or the module does not work"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and give its exit status."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a class may have any name, a terminal any encoding
    parser, named = _parsers()
    options = parser.parse_args(arguments)
    if options.command is None:
        parser.print_help()
        return UNUSABLE
    if options.command == "demo":
        return demo.run(options.host, options.port)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", OrderWarning)  # it is what this command shows
            app = load(options.app, is_factory=options.factory, directory=options.app_dir)
    except ConfigurationError as error:
        _say(f"{options.app} has wrong options.\n\n{error}\n\n{versions()}")
        return PROBLEMS
    except CannotLoadError as error:
        sys.stderr.write(f"{named[options.command].prog}: {error}\n")
        return UNUSABLE
    if options.command == "cors":
        return _explain(app, options)
    chain = walk(app)
    found = findings(chain)
    wrong = list(wrong_options(chain))
    parts = [f"{options.app}, outermost first:", _tree(chain, found), _problems(found), *wrong]
    _say("\n\n".join([*parts, f"{versions()}\n{surroundings()}"]))
    return PROBLEMS if found or wrong else CLEAN


def _explain(app: object, options: argparse.Namespace) -> int:
    try:
        allowed, text = cors_command.explain(app, options)
    except ConfigurationError as error:
        _say(f"{options.app} has wrong options.\n\n{error}\n\n{versions()}")
        return PROBLEMS
    _say(text)
    return CLEAN if allowed else PROBLEMS


def _parsers() -> tuple[argparse.ArgumentParser, dict[str, argparse.ArgumentParser]]:
    layout = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(
        prog="python -m asgi_middleware", description=_DESCRIPTION, epilog=_EXAMPLES, formatter_class=layout
    )
    parser.add_argument("--version", action="version", version=versions())
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
    explain = cors_command.add_parser(commands)
    serve = commands.add_parser(
        "demo",
        help="serve a small app behind the whole stack, to be asked with curl (needs uvicorn)",
        description="Serve a small app behind the whole stack until Ctrl-C. Its page has the curl lines to try.",
        epilog="exit status:\n  0  it was stopped\n  1  the port is taken\n  2  uvicorn is not installed",
        formatter_class=layout,
    )
    serve.add_argument("--host", default="127.0.0.1", help="address to listen on (127.0.0.1)")
    serve.add_argument("--port", type=int, default=8000, help="port to listen on, 0 for any free one (8000)")
    return parser, {"check": check, "cors": explain}


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


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
