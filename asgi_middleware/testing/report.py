"""What the conformance checker found, as data and as text."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

from asgi_middleware.testing.rules import RULES

__all__ = ["ConformanceError", "Report", "Violation"]


@dataclass(frozen=True, slots=True)
class Violation:
    """One broken rule.

    Attributes:
        rule: The rule's name, a key of ``RULES``.
        subject: What it is about: a message type, a header name, a scope key; empty where there is nothing to name.
        message: What happened, in one sentence.
        party: Who broke it: ``"middleware"``, ``"app"`` or ``"server"``.
        case: The case of the battery, or the request, in which it happened.
        trace: The messages until then, one line each.
    """

    rule: str
    subject: str
    message: str
    party: str = "middleware"
    case: str = ""
    trace: tuple[str, ...] = ()

    @property
    def section(self) -> str:
        """Where the rule stands: a section of a standard, or an area of transparency."""
        return RULES[self.rule].section

    @property
    def key(self) -> str:
        """The rule and its subject, as ``skip`` takes them: ``"header-changed:etag"``."""
        return f"{self.rule}:{self.subject}" if self.subject else self.rule

    def __str__(self) -> str:
        """Give the violation with its section, case and trace, on several lines."""
        who = "" if self.party == "middleware" else f"{self.party}: "
        lines = [f"{self.key} ({self.section})", f"  {who}{self.message}"]
        if self.case:
            lines.append(f"  in {self.case}")
        lines += [f"    {line}" for line in self.trace]
        return "\n".join(lines)


class ConformanceError(AssertionError):
    """The class under test breaks rules.

    Attributes:
        report: The report that says which.
    """

    def __init__(self, report: Report) -> None:
        """Carry the report; the text is the report's."""
        self.report = report
        super().__init__(str(report))


@dataclass(slots=True)
class Report:
    """What was found in a number of connections.

    Attributes:
        subject: The name of the class under test.
        skip: Rules, or ``rule:subject``, that are not reported.
        connections: How many connections were observed.
        changes: What the class did change, within the laws: ``"scope +user"``, ``"response +x-request-id"``.
    """

    subject: str
    skip: Collection[str] = ()
    connections: int = 0
    changes: set[str] = field(default_factory=set)
    _violations: list[Violation] = field(default_factory=list)

    def add(self, violation: Violation) -> None:
        """Take a violation, unless its rule is skipped."""
        if violation.rule not in self.skip and violation.key not in self.skip:
            self._violations.append(violation)

    @property
    def violations(self) -> tuple[Violation, ...]:
        """Every violation, in the order of the connections."""
        return tuple(self._violations)

    @property
    def rules(self) -> set[str]:
        """The names of the broken rules."""
        return {violation.rule for violation in self._violations}

    @property
    def keys(self) -> set[str]:
        """The broken rules with their subjects, as ``skip`` takes them."""
        return {violation.key for violation in self._violations}

    def raise_if_any(self) -> None:
        """Raise what was found.

        Raises:
            ConformanceError: At least one rule was broken.
        """
        if self._violations:
            raise ConformanceError(self)

    def __str__(self) -> str:
        """Give each broken rule once, with its first occurrence and the number of further ones."""
        grouped: dict[str, list[Violation]] = {}
        for violation in self._violations:
            grouped.setdefault(violation.key, []).append(violation)
        if not grouped:
            return f"{self.subject}: no violations in {self.connections} connections"
        count = "1 rule" if len(grouped) == 1 else f"{len(grouped)} rules"
        lines = [f"{self.subject}: breaks {count} in {self.connections} connections"]
        for violations in grouped.values():
            lines.append(str(violations[0]))
            if len(violations) > 1:
                lines.append(f"  and {len(violations) - 1} more times")
        return "\n".join(lines)
