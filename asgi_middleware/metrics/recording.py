"""Recording HTTP requests: which figure of a finished request goes to which family. No ASGI here.

The label values of a request lead to a *line* by one dict look-up. A line stands for all families at once: a request
appends its figures to the line's list, and when that is long it is folded into every series that the line knows.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from asgi_middleware._core.exchange import Exchange
from asgi_middleware.metrics import flushing
from asgi_middleware.metrics.families import Families
from asgi_middleware.metrics.family import Family
from asgi_middleware.metrics.labels import (
    CANCELLED,
    CLIENT_LEFT,
    OTHER,
    error_label,
    scheme_label,
    status_class,
    status_label,
)
from asgi_middleware.metrics.pauses import AT_ONCE, pause
from asgi_middleware.metrics.series import BATCH, Series, take

FIGURES: Final = ("seconds", "first_byte", "bytes_read", "bytes_written")
LOOK_SECONDS: Final = 0.02
"""How often a line is looked at, for a batch or an exemplar; what comes meanwhile lies in its list."""
_STATUSES: Final = range(100, 600)
MOST_MOVES: Final = 2 * BATCH
_LINES_FOR_A_SERIES: Final = 4  # lines that lead to the same series, such as two statuses of one class


class Line:
    """All series that requests with the same label values are recorded in.

    Attributes:
        samples: What is not folded yet: seconds, or a tuple in the order of ``FIGURES`` where more than them is taken.
        targets: The series, and how each takes a batch.
        limit: How many samples make a batch: one for a line that nobody will find again.
        due: When it is looked at again, on the clock of ``perf_counter``: a test for each request would cost more.
        exemplar_due: When the next exemplar is looked for, on the same clock.
    """

    __slots__ = ("due", "exemplar_due", "limit", "samples", "targets")

    def __init__(self, targets: list[Target]) -> None:
        self.samples: list[Any] = []
        self.targets = targets
        self.limit = 1
        self.due = 0.0
        self.exemplar_due = 0.0


class Target(NamedTuple):
    """One series of a line."""

    family: Family
    series: Series
    figure: str


class Opening:
    """What is known of a request at its arrival: method and scheme, the gauge to count it in, and the lines from here.

    Attributes:
        moves: The gauge's list: 1 for each request that came, -1 for each that is done.
        lines: By all that labels are made of.
        settled: Those of requests without an error, by status and route; None for the route of those that matched none.
    """

    __slots__ = ("_fold_moves", "lines", "method", "moves", "scheme", "settled")

    def __init__(self, method: str, scheme: str, active: Series) -> None:
        self.method = method
        self.scheme = scheme
        self.moves = active.moves
        self._fold_moves = active.fold_moves
        self.lines: dict[tuple[str, ...], Line] = {}
        self.settled: dict[int, dict[str | None, Line]] = {}

    def trim(self) -> None:
        """Add up the moves, where there are many."""
        if len(self.moves) > MOST_MOVES:
            self._fold_moves()

    def settle(self, status: object, route: str | None, line: Line) -> None:
        """Remember the line of requests without an error, unless the status or the line is one too many."""
        if isinstance(status, int) and status in _STATUSES and line.limit > 1:
            self.settled.setdefault(int(status), {})[route] = line


class RequestRecorder:
    """The lines of one set of options; instances with the same options share them.

    Attributes:
        openings: By scheme and method, for those that have labels of their own.
        several: Whether a sample is a tuple.

    Args:
        families: Whose families they are.
        active: The gauge of requests under way.
        requests: The families of requests, each recorded once for every request.
        methods: The methods with a label of their own, and what each is called.
        other_method: What all others are called.
        max_series: The bound of each family.
        several: Whether a sample is a tuple.
    """

    __slots__ = (
        "_active",
        "_families",
        "_known",
        "_lines",
        "_max_series",
        "_methods",
        "_other_method",
        "_requests",
        "openings",
        "several",
    )

    def __init__(
        self,
        families: Families,
        *,
        active: Family,
        requests: Sequence[tuple[Family, int]],
        methods: dict[str, str],
        other_method: str,
        max_series: int,
        several: bool,
    ) -> None:
        self._families = families
        self._active = active
        self._requests = requests
        self._methods = methods
        self._other_method = other_method
        self._max_series = max_series
        self.several = several
        self._lines: list[Line] = []
        self._known: dict[tuple[str, str], Opening] = {}
        self.openings: dict[str, dict[str, Opening]] = {}

    def open(self, method: object, scheme: object) -> Opening:
        """Give the opening of a method and a scheme as they came; those that are not known share one."""
        flushing.start()  # this is where a process's first request comes by
        known = self._methods.get(method) if isinstance(method, str) else None
        shown = scheme_label(scheme)
        label = self._other_method if known is None else known
        key = (label, shown)
        opening = self._known.get(key)
        if opening is None:
            facts = {"method": label, "scheme": shown}
            active = self._active.admit(_labels(self._active, facts, ()), self._max_series)
            opening = self._known.setdefault(key, Opening(label, shown, active))
        if known is not None and isinstance(scheme, str) and shown != OTHER:
            self.openings.setdefault(scheme, {})[known] = opening
        return opening

    def find(self, opening: Opening, route: str, status: object, kinds: tuple[str, str], own: tuple[str, ...]) -> Line:
        """Give the line of a request that is no plain success, or whose line is not known yet.

        Args:
            opening: What :meth:`open` gave.
            route: The route's label.
            status: The status that was sent; None if there was none.
            kinds: What :func:`outcome` gave.
            own: The values of own labels.
        """
        error, exception = kinds
        # Whoever left got nothing. For the rest the server answers 500, as all servers do without a response.
        left = status is None and error in {CANCELLED, CLIENT_LEFT}
        shown = "" if left else status_label(500 if status is None else status)
        key = (route, shown, error, *own)
        line = opening.lines.get(key)
        if line is None:
            line = self._make(opening, key, exception)
        return line

    def _make(self, opening: Opening, key: tuple[str, ...], exception: str) -> Line:
        route, shown, error, *own = key
        facts = {
            "method": opening.method,
            "scheme": opening.scheme,
            "route": route,
            "status": shown,
            "status_class": status_class(shown),
            "error": error,
            "exception": exception,
        }
        overflows = False
        targets = []
        for family, extra in self._requests:
            definition = family.definition
            if definition.only_if and not facts[definition.only_if]:
                continue
            series = family.admit(_labels(family, facts, own[:extra]), self._max_series)
            overflows = overflows or family.is_overflow(series)
            targets.append(Target(family, series, definition.figure))
        line = Line(targets)
        with self._families.lock:
            if not overflows and len(self._lines) < self._max_series * _LINES_FOR_A_SERIES:
                known = opening.lines.setdefault(key, line)
                if known is line:
                    line.limit = BATCH
                    self._lines.append(line)
                return known
        return line

    def fold_line(self, line: Line) -> None:
        """Add what a line holds to its series."""
        batch = take(line.samples, self._families.lock)
        if not batch:
            return
        columns: dict[str, list[float]]
        if self.several:
            columns = {
                name: [figure for figure in column if figure is not None]
                for name, column in zip(FIGURES, zip(*batch, strict=True), strict=True)
            }
        else:
            columns = {"seconds": batch}
        for target in line.targets:
            try:
                number = _record(target, batch, columns)
                if target.family.is_overflow(target.series):
                    self._families.count_overflow(target.family, number)
            except Exception:  # noqa: BLE001 -- metrics fail open, and one series takes no other with it
                self._families.failures.note(target.family.definition.name)

    def fold(self) -> None:
        """Fold all lines, and the gauges."""
        folded = 0
        for line in tuple(self._lines):
            if line.samples:
                self.fold_line(line)
                folded += 1
                if folded % AT_ONCE == 0:
                    pause.get()()
        for series in self._active.all_series():
            series.fold_moves()

    def forget(self) -> None:
        """Forget what was recorded: it is the parent's, and this is a fork of it."""
        self._known.clear()
        self.openings.clear()
        self._lines.clear()


def _record(target: Target, batch: list[Any], columns: dict[str, list[float]]) -> int:
    """Add a batch to one series, and give how many figures that were."""
    _, series, figure = target
    if figure == "requests":
        series.add(len(batch))
        return len(batch)
    column = columns[figure]
    if target.family.definition.kind == "counter":
        series.add(sum(column))
    elif column:
        series.observe_all(column)
    return len(column)


def outcome(status: object, error: str, exchange: Exchange, raised: BaseException | None) -> tuple[str, str]:
    """Give the ``error_type`` and the exception's class of a request.

    Args:
        status: The status that was sent; None if there was none.
        error: What is known of the end: a word, or empty.
        exchange: The connection's record.
        raised: The exception that ended the request.
    """
    cause = raised
    if not error and isinstance(status, int) and 500 <= status < 600:
        # The exception that the app answered: ours know it, and a framework answers while it handles it.
        cause = exchange.error or sys.exception()
        error = str(int(status)) if cause is None else error_label(cause)
    return error, "" if cause is None or error in {CANCELLED, CLIENT_LEFT} else type(cause).__name__


def _labels(family: Family, facts: dict[str, str], own: Sequence[str]) -> tuple[str, ...]:
    """Give the label values of a family; a fact that begins with "=" is the value itself."""
    return (*(fact[1:] if fact[:1] == "=" else facts[fact] for fact in family.definition.facts), *own)
