"""Configuration errors: all at once, each with its fix."""

from __future__ import annotations

import pickle

import pytest

from asgi_middleware._core.config import ConfigurationError, Problems


@pytest.fixture
def problems():
    return Problems("Example")


def codes(problems: Problems) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        problems.raise_if_any()
    return [problem.code for problem in caught.value.problems]


class TestConfigurationError:
    """What the caller reads."""

    def test_lists_every_problem_with_its_fix(self, problems):
        """One error names each option, what is wrong, and what to write instead."""
        problems.integer("max_body_size", -1, minimum=0)
        problems.strings("allow_origins", "https://a.example")
        with pytest.raises(ConfigurationError) as caught:
            problems.raise_if_any()
        text = str(caught.value)
        assert text.startswith("Example: 2 problems in its options")
        assert "max_body_size=-1: is out of range. Fix: pass an integer of at least 0." in text
        assert "Fix: write ['https://a.example']." in text
        assert [problem.option for problem in caught.value.problems] == ["max_body_size", "allow_origins"]

    def test_is_a_value_error(self):
        """Whoever catches ValueError catches it."""
        assert issubclass(ConfigurationError, ValueError)

    def test_a_long_value_is_cut(self, problems):
        """A value of any length leaves a readable message."""
        problems.add("option", "x" * 5000, "is long", fix="cut it")
        with pytest.raises(ConfigurationError) as caught:
            problems.raise_if_any()
        assert len(str(caught.value)) < 300

    def test_can_be_pickled(self, problems):
        """The error survives a process boundary, as test runners and process pools need."""
        problems.add("option", 1, "is wrong", fix="mend it")
        with pytest.raises(ConfigurationError) as caught:
            problems.raise_if_any()
        copied = pickle.loads(pickle.dumps(caught.value))
        assert copied.problems == caught.value.problems
        assert str(copied) == str(caught.value)

    def test_nothing_is_raised_without_problems(self, problems):
        """A clean constructor goes on."""
        problems.raise_if_any()
        assert not problems


class TestChecks:
    """Each check takes what it should and names what it should not."""

    @pytest.mark.parametrize("value", [0, 5, 10])
    def test_integer_takes(self, problems, value):
        """Integers within bounds."""
        assert problems.integer("n", value, minimum=0, maximum=10)
        assert not problems

    @pytest.mark.parametrize(
        ("value", "code"),
        [
            (True, "not_an_integer"),
            (1.0, "not_an_integer"),
            ("1", "not_an_integer"),
            (None, "not_an_integer"),
            (-1, "out_of_range"),
            (11, "out_of_range"),
        ],
    )
    def test_integer_refuses(self, problems, value, code):
        """A bool is no integer, nor is a float or a text."""
        assert not problems.integer("n", value, minimum=0, maximum=10)
        assert codes(problems) == [code]

    def test_optional_takes_none(self, problems):
        """None passes where the option is optional."""
        assert problems.integer("n", None, optional=True)
        assert problems.number("n", None, optional=True)
        assert problems.callable("n", None, optional=True)
        assert not problems

    @pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf"), True, "1", None])
    def test_number_refuses(self, problems, value):
        """Only finite numbers pass."""
        assert not problems.number("n", value)
        assert codes(problems) == ["not_a_number"]

    def test_number_bounds(self, problems):
        """Bounds are inclusive."""
        assert problems.number("n", 0.5, minimum=0.5, maximum=0.5)
        assert not problems.number("n", 0.4, minimum=0.5)
        assert not problems.number("n", 0.6, maximum=0.5)
        assert codes(problems) == ["out_of_range", "out_of_range"]

    def test_boolean(self, problems):
        """The text "false" is no bool."""
        assert problems.boolean("b", value=False)
        assert not problems.boolean("b", "false")
        assert codes(problems) == ["not_a_bool"]

    def test_one_of(self, problems):
        """1 is not True, and an unhashable value is an answer, not a crash."""
        assert problems.one_of("c", "a", ("a", "b"))
        assert not problems.one_of("c", 1, (True,))
        assert not problems.one_of("c", [], ("a",))
        assert codes(problems) == ["unknown_choice", "unknown_choice"]

    def test_callable(self, problems):
        """A name is not a function."""
        assert problems.callable("f", len)
        assert not problems.callable("f", "len")
        assert codes(problems) == ["not_callable"]

    @pytest.mark.parametrize(
        ("value", "code"),
        [("abc", "string_for_list"), (b"xyz", "string_for_list"), (5, "not_a_list"), ([b"a"], "not_a_string")],
    )
    def test_strings_refuses(self, problems, value, code):
        """A bare string would silently mean its characters."""
        assert problems.strings("s", value) == ()
        assert codes(problems) == [code]

    def test_strings_takes_any_iterable(self, problems):
        """A generator is read once and kept."""
        assert problems.strings("s", (item for item in ["a", "b"])) == ("a", "b")

    def test_header_name(self, problems):
        """Names come back as lower-case bytes."""
        assert problems.header_name("h", "X-Request-ID") == b"x-request-id"
        for wrong in ("", "a b", "x:y", "é", 5, "a\r\n"):
            assert problems.header_name("h", wrong) == b""
        assert set(codes(problems)) == {"not_a_header_name"}
