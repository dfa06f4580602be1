"""The page of the access line's fields has every field that the code has."""

import importlib.util
from pathlib import Path
from types import ModuleType

from asgi_middleware.logging import FIELDS


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
