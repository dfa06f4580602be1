"""Cleaning: no value breaks out of its place, and every encoder takes it."""

import json
import unicodedata
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asgi_middleware.logging.cleaning import clean_text, clean_value, free_name

BIDI = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}
ANY_TEXT = st.text(st.characters(exclude_categories=()))


def assert_harmless(text: str) -> None:
    """Check that no character of a text can end a line, drive a terminal, or turn the reading direction."""
    for character in text:
        assert unicodedata.category(character) not in {"Cc", "Cs", "Zl", "Zp"}, ascii(text)
        assert unicodedata.bidirectional(character) not in BIDI, ascii(text)
    assert len(text.splitlines()) <= 1


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("/items/7?a=b", "/items/7?a=b", id="plain"),
        pytest.param("Grüße, 世界 👩‍🚀", "Grüße, 世界 👩‍🚀", id="other scripts and joined emoji stay"),
        pytest.param("a\u00a0b\u3000c", "a\u00a0b\u3000c", id="wide spaces stay"),
        pytest.param("a\r\nINFO: forged", "a\\x0d\\x0aINFO: forged", id="line break"),
        pytest.param("\x1b[31mred\x9b0m", "\\x1b[31mred\\x9b0m", id="terminal sequences, C0 and C1"),
        pytest.param("\x00\t\x7f\x85", "\\x00\\x09\\x7f\\x85", id="NUL, tab, DEL, NEL"),
        pytest.param("\u2028\u2029", "\\u2028\\u2029", id="line and paragraph separators"),
        pytest.param("user\u202egnp.exe", "user\\u202egnp.exe", id="right-to-left override"),
        pytest.param("\u2066x\u2069\u200f\u061c", "\\u2066x\\u2069\\u200f\\u061c", id="isolates and marks"),
        pytest.param("\ud800x\udfff", "\\ud800x\\udfff", id="lone surrogates"),
        pytest.param("\U000e0041", "\\U000e0041", id="tag character"),
        pytest.param("", "", id="empty"),
    ],
)
def test_text(text: str, expected: str) -> None:
    """Every dangerous character becomes its escape, all others stay [3.4]."""
    assert clean_text(text, 100) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [("abcd", "abcd"), ("abcde", "abcd…(+1)"), ("\n\n\n\n\n", "\\x0a…(+1)"), ("x" * 10_000, "xxxx…(+9996)")],
)
def test_text_is_cut_with_a_marker(text: str, expected: str) -> None:
    """A text longer than the limit is cut, and what is missing is told."""
    assert clean_text(text, 4) == expected


@given(ANY_TEXT, st.integers(1, 40))
def test_any_text_is_harmless_and_bounded(text: str, limit: int) -> None:
    """No text whatever leaves a control character, a bidirectional override or a second line in its clean form."""
    cleaned = clean_text(text, limit)
    assert_harmless(cleaned)
    if len(text) > limit:
        assert len(cleaned) <= limit + 20


class Broken:
    def __str__(self) -> str:
        raise RuntimeError


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, None),
        (True, True),
        (7, 7),
        (2**64 - 1, 2**64 - 1),
        (2**64, str(2**64)),
        (-(2**63) - 1, str(-(2**63) - 1)),
        (1.5, 1.5),
        (float("nan"), "nan"),
        (float("-inf"), "-inf"),
        (b"raw\n", "b'raw\\n'"),
        (Decimal("1.20"), "1.20"),
        (datetime(2026, 1, 2, tzinfo=UTC), "2026-01-02 00:00:00+00:00"),
        (["a\n", {"k\n": ("x", 1)}], ["a\\x0a", {"k\\x0a": ["x", 1]}]),
        ({1: 2}, {"1": 2}),
        (Broken(), "<unprintable Broken>"),
    ],
)
def test_value(value: Any, expected: Any) -> None:
    """A value keeps its type where JSON has it, and becomes clean text where not."""
    assert clean_value(value, 100) == expected


def test_huge_integer() -> None:
    """An integer that CPython refuses to print in decimal does not cost the line."""
    cleaned = clean_value(10**5000, 100)
    assert cleaned.startswith("0x")


def test_a_value_that_contains_itself_comes_to_an_end() -> None:
    """Containers are followed to a bounded depth."""
    circle: list[Any] = []
    circle.append(circle)
    assert orjson.dumps(clean_value(circle, 100))


JSON_LIKE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | ANY_TEXT | st.binary() | st.complex_numbers(),
    lambda inner: st.lists(inner) | st.dictionaries(ANY_TEXT | st.integers(), inner) | st.tuples(inner),
    max_leaves=12,
)


@given(JSON_LIKE)
def test_every_encoder_takes_a_clean_value(value: Any) -> None:
    """What is cleaned can be written by orjson and by the standard library, as one line without control characters."""
    cleaned = clean_value(value, 200)
    for written in (orjson.dumps(cleaned).decode(), json.dumps(cleaned, ensure_ascii=False, allow_nan=False)):
        assert_harmless(written)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("user_id", "user_id"),
        ("status", "app_status"),
        ("event", "app_event"),
        ("self", "app_self"),
        ("method_name", "app_method_name"),
        ("levelname", "app_levelname"),
        ("_record", "app__record"),
        ("a\nb", "a\\x0ab"),
        (7, "7"),
        ("", "app_"),
    ],
)
def test_a_taken_name_is_prefixed(name: object, expected: str) -> None:
    """A handler's field never replaces one of the event's own, nor one that structlog or logging needs."""
    assert free_name(name, {"status"}) == expected
