"""The page of a class has its options, its place in the stack, what it promises, and what goes wrong; none is stale."""

import ast
import importlib.util
import inspect
import re
from enum import Enum
from functools import cache
from pathlib import Path
from types import ModuleType

import pytest

import asgi_middleware
from asgi_middleware import auth, compression, cors, limits, logging, metrics, problems, testing
from asgi_middleware._composition.order import ORDER
from asgi_middleware.testing import tokens

ROOT = Path(__file__).parents[2]
PROMISES = re.compile(r"^## What it promises\n(.*?)(?=^## )", re.DOTALL | re.MULTILINE)
TEST = re.compile(r"`(tests/[\w/]+\.py)::((?:\w+::)*)(\w+)`")

# What the library makes and its users read, or what Python or a framework calls: no options of theirs to describe.
RECORDS = {
    asgi_middleware.ConfigurationError,
    asgi_middleware.Misplacement,
    auth.AuthEvent,
    auth.Explanation,
    auth.JWTAuth,
    auth.JWTUser,
    auth.TokenError,
    auth.Unavailable,
    auth.VerifiedToken,
    compression.CompressionFigures,
    cors.Explanation,
    cors.Step,
    logging.Ending,
    logging.RequestContextFilter,
    logging.TraceContext,
    testing.ConformanceError,
    testing.CrossOriginResult,
    testing.Report,
    testing.Result,
    testing.Rule,
    testing.Sandwich,
    testing.Violation,
}


def script(name: str) -> ModuleType:
    """Load a script that writes pages; nobody else imports it."""
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


options_tables = script("options_tables")
stack_pictures = script("stack_pictures")
DESCRIBED = [(page, cls) for page, classes in options_tables.TABLES.items() for cls in classes]
PAGES = sorted({*stack_pictures.PAGES, "auth-keys", "auth-websockets"})


def public_classes() -> set[type]:
    """Give every public class whose constructor takes something."""
    rooms = (asgi_middleware, auth, compression, cors, limits, logging, metrics, problems, testing)
    found = [getattr(room, name) for room in rooms for name in room.__all__]
    classes = [cls for cls in (*found, tokens.TokenIssuer) if inspect.isclass(cls) and not issubclass(cls, Enum)]
    return {cls for cls in classes if takes_something(cls)}


def takes_something(cls: type) -> bool:
    """Tell whether a constructor of its own takes something; a plain exception has no signature, or `*args`."""
    try:
        parameters = inspect.signature(cls).parameters.values()
    except ValueError:
        return False
    return any(parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD) for parameter in parameters)


@cache
def names_in(path: str) -> frozenset[str]:
    """Give the names of a file's tests as pytest has them, without the file's."""
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    found = set()
    for node in tree.body:
        members = (
            [(f"{node.name}::", member) for member in node.body] if isinstance(node, ast.ClassDef) else [("", node)]
        )
        found |= {
            f"{prefix}{member.name}"
            for prefix, member in members
            if isinstance(member, ast.FunctionDef | ast.AsyncFunctionDef) and member.name.startswith("test_")
        }
    return frozenset(found)


class TestOptions:
    @pytest.mark.parametrize("page", options_tables.TABLES)
    def test_tables_are_made_from_the_code(self, page: str) -> None:
        """The page is what ``python tests/docs/options_tables.py`` would write now."""
        assert (options_tables.DOCS / page).read_text(encoding="utf-8") == options_tables.written(page)

    def test_every_class_has_its_table(self) -> None:
        """A public class with options has one table, or says whose options it takes; a record has none."""
        described = [cls for _, cls in DESCRIBED]
        assert len(described) == len(set(described))
        assert public_classes() == {*described, *options_tables.LIKE} | RECORDS
        assert RECORDS.isdisjoint({*described, *options_tables.LIKE})

    @pytest.mark.parametrize(("page", "cls"), DESCRIBED, ids=lambda value: getattr(value, "__name__", value))
    def test_every_option_is_described(self, page: str, cls: type) -> None:
        """Each option has a meaning, and the docstring describes no option that is gone."""
        rows = options_tables.options(cls)
        assert [row.name for row in rows if not row.meaning] == []
        arguments = options_tables.documented(cls, "Args")
        assert set(arguments) <= {"app", *(row.name for row in rows)}, page

    @pytest.mark.parametrize(("cls", "other"), options_tables.LIKE.items(), ids=lambda cls: cls.__name__)
    def test_options_that_are_like_another_classs(self, cls: type, other: type) -> None:
        """They have the same names, types and defaults."""
        theirs = {row.name: row[:3] for row in options_tables.options(other)}
        assert {row.name: row[:3] for row in options_tables.options(cls)}.items() <= theirs.items()


class TestPlace:
    @pytest.mark.parametrize("page", stack_pictures.PAGES)
    def test_pictures_are_made_from_the_order(self, page: str) -> None:
        """Picture and page are what ``python tests/docs/stack_pictures.py`` would write now."""
        assert (stack_pictures.PICTURES / f"{page}.svg").read_text(encoding="utf-8") == stack_pictures.drawn(page)
        assert (stack_pictures.DOCS / f"{page}.md").read_text(encoding="utf-8") == stack_pictures.shown(page)

    def test_every_class_has_its_picture(self) -> None:
        """Each class of the order stands out in one picture, and there is no picture without a page."""
        assert sorted(name for names in stack_pictures.PAGES.values() for name in names) == sorted(ORDER)
        assert {path.stem for path in stack_pictures.PICTURES.iterdir()} == set(stack_pictures.PAGES)


class TestPromises:
    @pytest.mark.parametrize("page", PAGES)
    def test_every_promise_names_a_test(self, page: str) -> None:
        """A page makes some promises, and behind each stand tests that there are."""
        [section] = PROMISES.findall((ROOT / "docs" / f"{page}.md").read_text(encoding="utf-8"))
        promises = re.split(r"^- ", section, flags=re.MULTILINE)[1:]
        assert 6 <= len(promises) <= 15
        for promise in promises:
            named = TEST.findall(promise)
            assert len(named) == promise.count("tests/") >= 1, promise
            assert [f"{path}::{cls}{test}" for path, cls, test in named if cls + test not in names_in(path)] == []

    @pytest.mark.parametrize("page", PAGES)
    def test_every_page_says_what_goes_wrong(self, page: str) -> None:
        """A reader with a problem finds the heading on each page."""
        assert "\n## What goes wrong\n" in (ROOT / "docs" / f"{page}.md").read_text(encoding="utf-8")
