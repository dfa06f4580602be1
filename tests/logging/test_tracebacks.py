"""Tracebacks: whole, without locals, and unable to pass for a line of the log."""

from typing import Any

import pytest

from asgi_middleware.logging.tracebacks import error_type, format_exception


def caught(error: BaseException) -> BaseException:
    """Raise and catch, so that there is a traceback."""
    secret = "CAN" + "ARY"
    assert secret
    try:
        raise error
    except BaseException as same:  # noqa: BLE001 -- any will do
        return same


def with_note(error: Exception, note: str) -> Exception:
    """Add a note."""
    error.add_note(note)
    return error


def chained() -> Exception:
    """Make an exception with a cause."""
    inner, outer = KeyError("inner\nforged"), ValueError("outer\nforged")
    inner.__cause__ = OSError("first\nforged")
    outer.__context__ = inner
    return outer


def syntax_error() -> BaseException:
    """Make an exception that names a file of any name."""
    try:
        compile("a b", "x\nforged", "exec")
    except SyntaxError as error:
        return error
    raise AssertionError


@pytest.mark.parametrize(
    "error",
    [
        ValueError('a\nforged\n  File "x", line 1\nforged'),
        ValueError("a\r\nforged"),
        with_note(ValueError("a"), "b\nforged"),
        with_note(ValueError("a"), "forged"),
        chained(),
        ExceptionGroup("g\nforged", [ValueError("a\nforged"), with_note(ValueError("b"), "c\nforged"), chained()]),
        syntax_error(),
    ],
    ids=["message", "CRLF", "note of two lines", "note", "chain", "group", "syntax error"],
)
def test_no_line_is_forged(error: BaseException) -> None:
    """No line of an exception's text begins at the margin, save behind the name of its class [3.4]."""
    text = format_exception(caught(error))
    assert "forged" in text
    assert not any(line.startswith("forged") for line in text.split("\n"))
    assert "CANARY" not in text
    assert all(line.isprintable() for line in text.split("\n"))


def test_chain() -> None:
    """Causes and contexts are shown, with the sentences that join them, in order."""
    text = format_exception(chained())
    order = [
        "OSError: first",
        "\n\nThe above exception was the direct cause of the following exception:\n\n",
        "KeyError: 'inner\\nforged'",
        "\n\nDuring handling of the above exception, another exception occurred:\n\n",
        "ValueError: outer\n    forged",
    ]
    positions = [text.index(part) for part in order]
    assert positions == sorted(positions)


def test_the_source_stays_readable() -> None:
    """Frames keep the form that people know."""
    text = format_exception(caught(ValueError("x")))
    head, frame, *_, last = text.split("\n")
    assert head == "Traceback (most recent call last):"
    assert frame.startswith('  File "')
    assert frame.endswith("in caught")
    assert "\n    raise error\n" in text
    assert last == "ValueError: x"


def test_it_is_bounded() -> None:
    """A long message and a deep recursion are cut."""

    def deep(level: int) -> None:
        if level:
            deep(level - 1)
        raise ValueError("x" * 100_000)

    with pytest.raises(ValueError) as info:  # noqa: PT011 -- the message is too long
        deep(200)
    text = format_exception(info.value)
    assert len(text) < 40_000
    assert "…(+" in text


def test_many_lines_are_cut_in_the_middle() -> None:
    """Of a message of many lines the beginning and the end stay, and what is missing is told."""
    text = format_exception(caught(ValueError("line\n" * 50_000 + "end")))
    assert len(text) < 33_000
    assert text.startswith("Traceback")
    assert text.endswith("    end")
    assert "\n    …(+" in text


def test_a_report_that_cannot_be_made(monkeypatch: pytest.MonkeyPatch) -> None:
    """An exception that breaks the standard library's report is still named."""
    monkeypatch.setattr("asgi_middleware.logging.tracebacks.TracebackException", None)
    assert format_exception(ValueError("x")) == "ValueError: <unprintable exception>"


class UnprintableError(Exception):
    def __str__(self) -> str:
        raise RuntimeError


class OddError(Exception):
    __notes__: Any = "not a list\nforged"


@pytest.mark.parametrize("error", [UnprintableError(), OddError("x")], ids=["unprintable", "odd notes"])
def test_broken_exceptions(error: BaseException) -> None:
    """An exception that is broken itself is still named."""
    text = format_exception(caught(error))
    assert type(error).__name__ in text
    assert "forged" not in text


def test_circle() -> None:
    """Exceptions that cause each other come to an end."""
    one, two = ValueError("one"), ValueError("two")
    one.__cause__, two.__cause__ = two, one
    assert "ValueError: one" in format_exception(one)


def test_error_type() -> None:
    """A class is named with its module, a built-in one without."""
    assert error_type(ValueError()) == "ValueError"
    assert error_type(OddError()).endswith("test_tracebacks.OddError")
