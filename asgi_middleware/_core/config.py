"""Configuration errors: every mistake of one constructor call, at once, each with its fix.

A constructor makes one :class:`Problems`, passes each option through the check that fits, and calls
:meth:`Problems.raise_if_any` at its end. Nothing that can be known at construction waits for a request.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import isfinite
from typing import Any, NamedTuple

from asgi_middleware._core.headers import is_token

_LONGEST_VALUE = 120


class Problem(NamedTuple):
    """One wrong option.

    Attributes:
        option: The option's name as the caller wrote it.
        value: The value it was given.
        message: What is wrong with it.
        fix: What to write instead.
        code: A stable snake_case word for programs.
    """

    option: str
    value: object
    message: str
    fix: str
    code: str

    def __str__(self) -> str:
        """Give the problem and its fix on one line."""
        shown = repr(self.value)
        if len(shown) > _LONGEST_VALUE:
            shown = f"{shown[:_LONGEST_VALUE]}..."
        return f"{self.option}={shown}: {self.message}. Fix: {self.fix}."


class ConfigurationError(ValueError):
    """Wrong options, all of them, raised by the constructor that was given them.

    Attributes:
        problems: Every problem found, in the order of the options.
    """

    problems: tuple[Problem, ...]

    def __init__(self, owner: str, problems: Iterable[Problem]) -> None:
        """Collect the problems of one constructor call.

        Args:
            owner: The name of the class that was being made.
            problems: At least one problem.
        """
        self.owner = owner
        self.problems = tuple(problems)
        super().__init__(owner, self.problems)

    def __str__(self) -> str:
        """List every problem with its fix, one a line."""
        count = len(self.problems)
        lines = "".join(f"\n  - {problem}" for problem in self.problems)
        return f"{self.owner}: {count} problem{'' if count == 1 else 's'} in its options{lines}"


class Problems:
    """Collects what is wrong with the options of one constructor call.

    The value of an option that may be a secret must not be handed to :meth:`add`: pass a description instead.

    Each check returns whether the value can be used, so that later checks may rest on it::

        problems = Problems("RequestBodyLimitMiddleware")
        problems.integer("max_body_size", max_body_size, minimum=0)
        problems.raise_if_any()
    """

    __slots__ = ("_owner", "_problems")

    def __init__(self, owner: str) -> None:
        """Start without problems; `owner` is the class name that the error will carry."""
        self._owner = owner
        self._problems: list[Problem] = []

    def __bool__(self) -> bool:
        """Tell whether any problem was found."""
        return bool(self._problems)

    def add(self, option: str, value: object, message: str, *, fix: str, code: str = "invalid_option") -> None:
        """Note one problem; `message` and `fix` are clauses without a full stop."""
        self._problems.append(Problem(option, value, message, fix, code))

    def integer(
        self,
        option: str,
        value: object,
        *,
        minimum: int | None = None,
        maximum: int | None = None,
        optional: bool = False,
    ) -> bool:
        """Check for an int within bounds. A bool is not an int here."""
        if optional and value is None:
            return True
        if isinstance(value, bool) or not isinstance(value, int):
            fix = _range("an integer", minimum, maximum)
            self.add(option, value, "is not an integer", fix=fix, code="not_an_integer")
            return False
        return self._within(option, value, "an integer", minimum, maximum)

    def number(
        self,
        option: str,
        value: object,
        *,
        minimum: float | None = None,
        maximum: float | None = None,
        optional: bool = False,
    ) -> bool:
        """Check for a finite int or float within bounds. A bool is not a number here."""
        if optional and value is None:
            return True
        if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value):
            fix = _range("a number", minimum, maximum)
            self.add(option, value, "is not a finite number", fix=fix, code="not_a_number")
            return False
        return self._within(option, value, "a number", minimum, maximum)

    def boolean(self, option: str, value: object) -> bool:
        """Check for True or False; other truthy values hide mistakes such as the string "false"."""
        if isinstance(value, bool):
            return True
        self.add(option, value, "is not a bool", fix="pass True or False", code="not_a_bool")
        return False

    def one_of(self, option: str, value: object, choices: Iterable[object]) -> bool:
        """Check for membership in a small set of choices."""
        listed = list(choices)
        if any(value == choice and type(value) is type(choice) for choice in listed):
            return True
        named = ", ".join(repr(choice) for choice in listed)
        self.add(option, value, "is not one of the choices", fix=f"use one of {named}", code="unknown_choice")
        return False

    def callable(self, option: str, value: object, *, optional: bool = False) -> bool:
        """Check for something that can be called."""
        if callable(value) or (optional and value is None):
            return True
        self.add(option, value, "is not callable", fix="pass a function", code="not_callable")
        return False

    def strings(self, option: str, value: object) -> tuple[str, ...]:
        """Check for an iterable of str and give it as a tuple, empty where it is wrong.

        A bare str is a problem of its own: iterated, it would silently mean its characters.
        """
        if isinstance(value, str | bytes):
            message = "is one string where a list is needed"
            self.add(option, value, message, fix=f"write [{value!r}]", code="string_for_list")
            return ()
        if not isinstance(value, Iterable):
            fix = "pass a list or tuple of strings"
            self.add(option, value, "is not a list of strings", fix=fix, code="not_a_list")
            return ()
        items = tuple(value)
        wrong = [item for item in items if not isinstance(item, str)]
        for item in wrong:
            self.add(option, item, "is not a string", fix="list strings only", code="not_a_string")
        return () if wrong else items

    def header_name(self, option: str, value: object) -> bytes:
        """Check for a header field name and give it as lower-case bytes, empty where it is wrong (RFC 9110 5.1)."""
        if isinstance(value, str) and value.isascii():
            name = value.lower().encode("ascii")
            if is_token(name):
                return name
        self.add(
            option,
            value,
            "is not a header name",
            fix="use letters, digits and hyphens, for example 'x-request-id' (RFC 9110 5.1)",
            code="not_a_header_name",
        )
        return b""

    def found(self) -> tuple[Problem, ...]:
        """Give what was noted so far."""
        return tuple(self._problems)

    def raise_if_any(self) -> None:
        """Raise what was collected.

        Raises:
            ConfigurationError: At least one problem was noted.
        """
        if self._problems:
            raise ConfigurationError(self._owner, self._problems)

    def _within(self, option: str, value: Any, kind: str, minimum: float | None, maximum: float | None) -> bool:
        if (minimum is not None and value < minimum) or (maximum is not None and value > maximum):
            self.add(option, value, "is out of range", fix=_range(kind, minimum, maximum), code="out_of_range")
            return False
        return True


def _range(kind: str, minimum: float | None, maximum: float | None) -> str:
    if minimum is not None and maximum is not None:
        return f"pass {kind} from {minimum} to {maximum}"
    if minimum is not None:
        return f"pass {kind} of at least {minimum}"
    if maximum is not None:
        return f"pass {kind} of at most {maximum}"
    return f"pass {kind}"
