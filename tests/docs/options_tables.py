"""Write the tables of options in docs/ from signatures and docstrings: ``python tests/docs/options_tables.py``.

A table stands between ``<!-- begin: options of NAME -->`` and ``<!-- end: options of NAME -->``. Its meanings are the
docstring's ``Args:`` (of a record ``Attributes:``), save for sentences that only repeat the default.
"""

from __future__ import annotations

import ast
import inspect
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple, get_origin

from asgi_middleware import auth, compression, cors, limits, logging, metrics, problems, testing
from asgi_middleware.testing import tokens

DOCS = Path(__file__).parents[2] / "docs"

TABLES: dict[str, tuple[type, ...]] = {
    "auth.md": (auth.JWTAuthMiddleware, auth.Rule, auth.TokenVerifier, tokens.TokenIssuer),
    "auth-keys.md": (
        auth.KeySet,
        auth.Issuer,
        auth.MemoryRevocationStore,
        auth.RedisRevocationStore,
        auth.Revocation,
    ),
    "auth-websockets.md": (auth.WebSocketAuth, auth.TicketStore),
    "compression.md": (compression.CompressionMiddleware,),
    "cors.md": (cors.CORSMiddleware, cors.OriginSet, cors.OriginLookup, cors.WebSocketOriginMiddleware),
    "decompression.md": (compression.DecompressionMiddleware,),
    "limits.md": (
        limits.RequestBodyLimitMiddleware,
        limits.BodyBudget,
        limits.BodyTimeoutMiddleware,
        limits.HeaderLimitMiddleware,
        limits.WebSocketMessageLimitMiddleware,
    ),
    "logging.md": (
        logging.LoggingMiddleware,
        logging.CorrelationIdMiddleware,
        logging.Sampling,
        logging.Redaction,
    ),
    "metrics.md": (metrics.PrometheusMiddleware, metrics.ServerTimingMiddleware),
    "metrics-prometheus.md": (metrics.MetricsEndpoint,),
    "problems.md": (problems.ProblemDetailsMiddleware, problems.Refusal),
    "testing.md": (testing.Client, testing.Scenario, testing.Profile),
}

# Takes options of another class, alike in type, default and meaning; the other's table is theirs.
LIKE: dict[type, type] = {
    cors.CORSPolicy: cors.CORSMiddleware,
    logging.Correlation: logging.CorrelationIdMiddleware,
}

# Types in words, where Python's would not help a reader, and with the place that says more.
WORDS = {
    "ASGIApp": "ASGI app",
    "BodyBudget": "[`BodyBudget`](limits.md#bodybudget)",
    "Correlation": "[`Correlation`](logging.md#correlationidmiddleware)",
    "EllipsisType": "",
    "Headers": "headers",
    "Issuer": "[`Issuer`](auth-keys.md#several-issuers)",
    "None": "`None`",
    "OriginLookup": "[`OriginLookup`](cors.md#origins-from-a-database)",
    "OriginSet": "[`OriginSet`](cors.md#origins)",
    "Profile": "[`Profile`](testing.md#server-profiles)",
    "Redaction": "[`Redaction`](logging.md#secrets-and-forged-lines)",
    "Revocation": "[`Revocation`](auth-keys.md#revocation)",
    "RevocationStore": "store",
    "Rule": "[`Rule`](auth.md#paths)",
    "Sampling": "[`Sampling`](logging.md#options)",
    "Tickets": "[`TicketStore`](auth-websockets.md#ticket)",
    "TokenVerifier": "[`TokenVerifier`](auth.md#verifying-without-asgi)",
    "Trusted": "networks or function",
    "Unset": "",
    "WebSocketAuth": "[`WebSocketAuth`](auth-websockets.md#options)",
    "re.Pattern[str]": "`re.Pattern`",
}
LISTS = {
    "Any": "list",
    "Callable[[Mapping[str, Any]], object]": "functions",
    "str | re.Pattern[str]": "[path rules](auth.md#paths)",
    "tuple[bytes, bytes]": "pairs of `bytes`",
}
ANYTHING = {
    "key": "key",
    "keys": "keys or [`KeySet`](auth-keys.md#keys)",
    "logger": "structlog logger",
}

LONGEST = 24  # characters of a name that stay on one line

_ENTRY = re.compile(r"^ {4}(\w+): (.*?)(?=^ {4}\w|\Z)", re.DOTALL | re.MULTILINE)
_SECTION = r"^{}:\n(.*?)(?=^\S|\Z)"
_ROLE = re.compile(r":\w+:`~?([^`]+)`")
# What only repeats the column beside it: a sentence, the end of one, or words within it.
_REPEATS_DEFAULT = re.compile(
    r"(?<=[.)`]) \S+(?: [KM]iB)? by default\.(?= |$)|; \S+ by default(?=\.$)| \(the default\)|, the default,"
)


class Option(NamedTuple):
    """One row."""

    name: str
    type: str
    default: str
    meaning: str


def options(cls: type) -> list[Option]:
    """Give what the constructor takes, but the app that is wrapped."""
    meanings = documented(cls, "Attributes", "Args")
    return [
        Option(name, typed(cls, parameter), default(cls, parameter), meanings.get(name, ""))
        for name, parameter in inspect.signature(cls).parameters.items()
        if not (name == "app" and parameter.default is parameter.empty)
    ]


def documented(cls: type, *titles: str) -> dict[str, str]:
    """Give the meanings from the docstring of the class, or of its constructor, as Markdown on one line each."""
    found = {}
    for text in (inspect.getdoc(cls), inspect.getdoc(cls.__init__)):
        for title in titles:
            section = re.search(_SECTION.format(title), text or "", re.DOTALL | re.MULTILINE)
            for name, meaning in _ENTRY.findall(section[1] if section else ""):
                found[name] = _markdown(" ".join(meaning.split()))
    return found


def _markdown(text: str) -> str:
    text = _ROLE.sub(r"`\1`", text).replace("``", "`").replace("|", "\\|")
    return _REPEATS_DEFAULT.sub("", text)


def typed(cls: type, parameter: inspect.Parameter) -> str:
    """Say in words what an option takes; None is not mentioned where it is the default."""
    if parameter.annotation == "Any":
        return ANYTHING[parameter.name]
    words = list(dict.fromkeys(word for word in _words(_parsed(parameter.annotation), _names(cls)) if word))
    if parameter.default is None:
        words = [word for word in words if word != "`None`"]
    words.sort(key=lambda word: (word == "`None`", word.startswith("list ")))
    return " or ".join(filter(None, [", ".join(words[:-1]), words[-1]])).replace("|", "\\|")


def _parsed(annotation: object) -> ast.expr:
    return ast.parse(str(annotation), mode="eval").body


def _names(cls: type) -> dict[str, Any]:
    """Give what the annotations of a class may name: its module's and its constructor's."""
    constructor = getattr(cls.__init__, "__module__", cls.__module__)
    return {**vars(sys.modules[cls.__module__]), **vars(sys.modules[constructor])}


def _words(node: ast.expr, names: dict[str, Any]) -> Iterator[str]:
    text = ast.unparse(node)
    name = text.partition("[")[0]
    if text in WORDS:
        yield WORDS[text]
    elif isinstance(node, ast.BinOp):
        yield from _words(node.left, names)
        yield from _words(node.right, names)
    elif name == "Literal" and isinstance(node, ast.Subscript):
        choices = ast.literal_eval(node.slice)
        yield from (f"`{_written(choice)}`" for choice in (choices if isinstance(choices, tuple) else (choices,)))
    elif name == "Callable":
        yield "function"
    elif name in ("Mapping", "dict"):
        yield "dict"
    elif isinstance(node, ast.Subscript):
        yield _list_of(node.slice.elts[0] if isinstance(node.slice, ast.Tuple) else node.slice, names)
    elif get_origin(names.get(name)) is not None:  # an alias
        yield from _words(_parsed(str(names[name]).replace("typing.", "").replace("collections.abc.", "")), names)
    else:
        yield f"`{text}`"


def _list_of(item: ast.expr, names: dict[str, Any]) -> str:
    text = ast.unparse(item)
    return LISTS.get(text) or f"list of {' or '.join(_words(item, names))}"


def default(cls: type, parameter: inspect.Parameter) -> str:
    """Write a default as a user would."""
    value = parameter.default
    if value is parameter.empty:
        return "required"
    if type(value).__name__ == "Unset":
        return "not given"
    written = _constant(cls, value) or _written(value)
    unit = ""
    if isinstance(value, int) and value >= 4096 and value % 1024 == 0:
        unit = f" ({value >> 20} MiB)" if value % (1 << 20) == 0 else f" ({value >> 10} KiB)"
    return f"`{written}`{unit}"


def _constant(cls: type, value: Any) -> str | None:
    """Give the public name of a long default."""
    room = sys.modules[".".join(cls.__module__.split(".")[:2])]
    if isinstance(value, tuple | frozenset) and len(value) > 5:
        return next(name for name in room.__all__ if getattr(room, name) is value)
    return None


def _written(value: Any) -> str:
    if value is Ellipsis:
        return "..."
    if isinstance(value, str):
        return f'"{value}"'
    if isinstance(value, tuple | frozenset):
        inside = ", ".join(_written(item) for item in value)
        return f"({inside},)" if len(value) == 1 else f"({inside})"
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, int) and value >= 100_000:
        return f"{value:_}"
    if isinstance(value, bytes):
        return f'b"{value.decode("ascii")}"'
    if inspect.isbuiltin(value):
        return f"{value.__module__}.{value.__name__}"
    if inspect.isfunction(value):
        return value.__name__
    if type(value).__module__.startswith("asgi_middleware") and value == type(value)():
        return f"{type(value).__name__}()"
    return repr(value)


def render(cls: type) -> str:
    """Give the table of a class."""
    rows = [f"| {_named(row.name)} | {row.type} | {row.default} | {row.meaning} |\n" for row in options(cls)]
    return "".join(["| option | type | default | meaning |\n", "|---|---|---|---|\n", *rows])


def _named(name: str) -> str:
    """Write a name as code, and a long one so that it may be broken."""
    return f"`{name}`" if len(name) <= LONGEST else f"<code>{name.replace('_', '_<wbr>')}</code>"


def written(page: str) -> str:
    """Give a page as it has to be: its tables made anew."""
    text = (DOCS / page).read_text(encoding="utf-8")
    for cls in TABLES[page]:
        begin, end = (f"<!-- {word}: options of {cls.__name__} -->\n" for word in ("begin", "end"))
        before, mark, rest = text.partition(begin)
        _, other_mark, after = rest.partition(end)
        if not (mark and other_mark):
            raise LookupError(f"{page} has no place for the options of {cls.__name__}")
        text = f"{before}{begin}\n{render(cls)}\n{end}{after}"
    return text


if __name__ == "__main__":
    for name in TABLES:
        (DOCS / name).write_text(written(name), encoding="utf-8")
