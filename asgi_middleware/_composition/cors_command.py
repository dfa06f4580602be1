"""``python -m asgi_middleware cors explain module:app --origin ...``: what comes of a request from another origin.

The policies are those of the CORSMiddleware in the app, found as ``check`` finds classes. Nothing is sent to the app;
only an ``allow_origin_func`` is asked, if there is one.
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

from asgi_middleware._composition.walk import Part, walk

if TYPE_CHECKING:
    from asgi_middleware.cors import CORSMiddleware, CORSPolicy

_LABEL: Final = "CORSMiddleware"
_ABOUT: Final = """\
Say what the server and the browser do about a request from another origin, step by step, and which step fails.

The app is imported as a server would do it, and it is not run."""
EXAMPLES: Final = """\
examples:
  python -m asgi_middleware cors explain shop:app --origin https://app.example.com
  python -m asgi_middleware cors explain shop:app --origin https://app.example.com --method PUT \\
      --header 'content-type: application/json' --header authorization --credentials

exit status:
  0  the script can read the response
  1  it cannot, or the app has no CORSMiddleware, or its options are wrong
  2  the command or the module does not work"""


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> argparse.ArgumentParser:
    """Add the command, and give the parser of what it does."""
    layout = argparse.RawDescriptionHelpFormatter
    cors = commands.add_parser("cors", help="explain what becomes of a request from another origin")
    kinds = cors.add_subparsers(dest="kind", metavar="explain", required=True)
    parser = kinds.add_parser("explain", help=_ABOUT, description=_ABOUT, epilog=EXAMPLES, formatter_class=layout)
    parser.add_argument("app", metavar="module:app", help="where the app is; a function that makes it as module:make()")
    parser.add_argument("--origin", required=True, help="the page's origin, such as https://app.example.com")
    parser.add_argument("--method", default="GET", help="the request's method, as the script writes it (GET)")
    parser.add_argument(
        "--header",
        action="append",
        default=[],
        metavar="NAME[: VALUE]",
        help="a header that the script sets; may be repeated. Without a value it is taken to need permission",
    )
    parser.add_argument("--credentials", action="store_true", help="the script asks for credentials, such as cookies")
    parser.add_argument("--path", default="/", help="the request's path, where paths have policies of their own (/)")
    parser.add_argument("--factory", action="store_true", help="the name is a function that makes the app")
    parser.add_argument(
        "--app-dir", default=".", metavar="DIR", help="the folder to import from, besides the installed packages (here)"
    )
    return parser


def explain(app: object, options: argparse.Namespace) -> tuple[bool, str]:
    """Give whether the script gets to read the response, and the text that says why.

    Raises:
        ConfigurationError: A class that is still to be made has wrong options.
    """
    middleware = next(_found(walk(app)), None)
    if middleware is None:
        return False, "There is no CORSMiddleware in the app: a browser lets no script of another origin read anything."
    policy = middleware.policy_for(options.path)
    if policy is None:
        why = "is left to the app by paths, or can be read in several ways to which different policies belong"
        return False, f"The path {options.path!r} {why}."
    told = policy.explain(
        options.origin,
        options.method,
        options.header,
        credentials=options.credentials,
        function_allows=_ask(policy, options.origin, options.path),
    )
    return told.allowed, str(told)


def _found(chain: Sequence[Part]) -> Iterator[CORSMiddleware]:
    """Give every CORSMiddleware, outermost first; one that is still to be made is made around nothing."""
    for part in chain:
        if part.label == _LABEL:
            thing: Any = part.thing
            made: CORSMiddleware = thing(_nothing, **(part.options or {})) if isinstance(part.thing, type) else thing
            yield made
        for branch in part.branches:
            yield from _found(branch.chain)


async def _nothing(scope: object, receive: object, send: object) -> None:
    """Stand for the app."""


def _ask(policy: CORSPolicy, origin: str, path: str) -> bool | None:
    """Ask the policy's function about an origin; None where it has none."""
    asker = policy.rules.asker
    if asker is None:
        return None
    scope = {"type": "http", "method": "GET", "path": path, "headers": [(b"origin", origin.encode())]}
    return asyncio.run(asker.ask(origin.encode(), scope))
