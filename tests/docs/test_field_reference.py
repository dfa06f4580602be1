"""The documentation of logging and problems names what the code has: every field, every option."""

import importlib.util
import inspect
import re
from pathlib import Path
from types import ModuleType

import pytest

from asgi_middleware import LoggingMiddleware, ProblemDetailsMiddleware
from asgi_middleware.logging import FIELDS

DOCS = Path(__file__).parents[2] / "docs"


def reference() -> ModuleType:
    """Load the script that writes the page; nobody else imports it."""
    spec = importlib.util.spec_from_file_location("field_reference", Path(__file__).with_name("field_reference.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_is_made_from_the_code() -> None:
    """The page is what ``python tests/docs/field_reference.py`` would write now."""
    script = reference()
    assert script.PAGE.read_text(encoding="utf-8") == script.render()


def test_every_field_has_an_example() -> None:
    """There is an example for each field, and none for another."""
    assert list(reference().EXAMPLES) == list(FIELDS)


@pytest.mark.parametrize(
    ("subject", "page"), [(LoggingMiddleware, "logging.md"), (ProblemDetailsMiddleware, "problems.md")]
)
def test_every_option_is_in_the_table(subject: type, page: str) -> None:
    """The page's table of options has a row for each option of the constructor, and for no other."""
    text = (DOCS / page).read_text(encoding="utf-8")
    table = text[text.index("| option | default |") :].partition("\n\n")[0]
    named = [name for row in table.splitlines()[2:] for name in re.findall(r"`(\w+)`", row.split("|")[1])]
    options = [name for name in inspect.signature(subject).parameters if name != "app"]
    assert sorted(named) == sorted(options)
