"""The check of the order: what is in the wrong place, and why."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from asgi_middleware._composition.order import PAIRS, RIVALS, TWICE, Pair
from asgi_middleware._composition.walk import ADDED_LITESTAR, ADDED_STARLETTE, Part, walk

_PAIRS: Final = {(pair.outer, pair.inner): pair for pair in PAIRS}
_TWICE: Final = {clash.first: clash for clash in TWICE}
_RIVALS: Final = {frozenset({clash.first, clash.second}): clash for clash in RIVALS}
_HOW: Final = {
    ADDED_STARLETTE: ": the last that add_middleware adds is the outermost, in middleware=[...] the first",
    ADDED_LITESTAR: ": in middleware=[...] the first is the outermost",
}


class Misplacement(NamedTuple):
    """Two classes that are in each other's wrong place.

    Its text is one line, such as "JWTAuthMiddleware is outside CORSMiddleware: browsers will report refusals as network
    errors. Fix: put CORSMiddleware outside JWTAuthMiddleware."

    Attributes:
        code: "outside" for a wrong order, "twice" for two copies of a class, "rival" for two classes that do the same.
        outer: The one that stands outside.
        inner: The one that stands inside.
        where: The mount, route or protocol in which the inner one stands; "" for the main chain.
        message: What is wrong; a clause.
        reason: What follows from it; a clause.
        fix: What to do; a clause.
    """

    code: str
    outer: str
    inner: str
    where: str
    message: str
    reason: str
    fix: str

    def __str__(self) -> str:
        """Give all of it on one line."""
        return f"{self.message}: {self.reason}. Fix: {self.fix}."


class OrderWarning(UserWarning):
    """Classes are in the wrong order; the text lists all misplacements of one app.

    It is a category of its own, so that a test run can make it an error: ``-W error::asgi_middleware.OrderWarning``.
    """


class Finding(NamedTuple):
    """A misplacement, and the two parts of the chain that it is about."""

    misplacement: Misplacement
    outer: Part
    inner: Part


def check_order(app: object) -> tuple[Misplacement, ...]:
    """Say which middleware classes of an app are in the wrong place, and what follows from that.

    It looks into wrappers, Starlette and FastAPI, Litestar, Quart and Channels, with their mounts. What is hidden it
    cannot see: an inner app that is kept in a private attribute ends the chain. It runs nothing, imports nothing and
    never raises, whatever it is given.

    The order, with the reason for each pair, stands in ``docs/order.md``::

        from asgi_middleware import CORSMiddleware, JWTAuthMiddleware, check_order


        async def api(scope, receive, send): ...


        app = CORSMiddleware(api, allow_origins=["https://app.example"])
        app = JWTAuthMiddleware(app, key="a development key of at least 32 bytes", algorithms=["HS256"], audience="api")
        [misplacement] = check_order(app)
        assert misplacement.message == "JWTAuthMiddleware is outside CORSMiddleware"
        assert misplacement.reason == "browsers will report refusals as network errors"

    Args:
        app: The outermost object: what the server is given.

    Returns:
        What is wrong, outermost first; empty when nothing is.
    """
    return tuple(dict.fromkeys(finding.misplacement for finding in findings(walk(app))))


def warn_about_order(app: object) -> None:
    """Check the order and give one ``OrderWarning`` that lists everything; silent when nothing is wrong.

    For apps whose classes are added one by one: call it at start-up, from the framework's own lifespan, when nothing
    more will be added. :func:`asgi_middleware.stack` does it by itself::

        from litestar import Litestar
        from asgi_middleware import LoggingMiddleware, warn_about_order

        app = Litestar([], middleware=[LoggingMiddleware], on_startup=[warn_about_order])

    Args:
        app: The app.

    Warns:
        OrderWarning: Something is in the wrong place.
    """
    warn(app, stacklevel=2)


def warn(app: object, *, stacklevel: int) -> None:
    """Give the warning in the name of a caller further up."""
    misplacements = check_order(app)
    if misplacements:
        lines = "".join(f"\n  - {misplacement}" for misplacement in misplacements)
        text = f"middleware classes are in the wrong place{lines}"
        warnings.warn(text, OrderWarning, stacklevel=stacklevel + 1)


def findings(chain: tuple[Part, ...]) -> list[Finding]:
    """Check a chain with its branches."""
    return list(_visit(chain, (), ""))


def _visit(chain: tuple[Part, ...], outside: tuple[Part, ...], where: str) -> Iterator[Finding]:
    """Compare each part with those around it; `outside` and `line` hold only those that the tables know."""
    line = (*outside, *(part for part in chain if part.label is not None))
    position = len(outside)
    for inner in chain:
        if inner.label is not None:
            for before, outer in enumerate(line[:position]):
                misplacement = _compare(
                    outer, inner, where, is_same_chain=before >= len(outside), line=line, at=(before, position)
                )
                if misplacement is not None:
                    yield Finding(misplacement, outer, inner)
            position += 1
        for branch in inner.branches:
            yield from _visit(branch.chain, line[:position], _joined(where, branch.where))


def _compare(
    outer: Part, inner: Part, where: str, *, is_same_chain: bool, line: tuple[Part, ...], at: tuple[int, int]
) -> Misplacement | None:
    """Compare two parts of one line, of which `outer` stands outside `inner`."""
    if outer.label is None or inner.label is None:
        return None
    place = f" (at {where})" if where else ""
    pair = _PAIRS.get((inner.label, outer.label))
    how = _HOW.get(outer.added, "") if is_same_chain else ""
    if (
        pair is not None
        and (is_same_chain or not pair.about_exceptions)
        and not _is_mended(pair, line[: at[0]], line[at[1] + 1 :])
    ):
        return Misplacement(
            "outside",
            outer.title,
            inner.title,
            where,
            f"{outer.title} is outside {inner.title}{place}",
            pair.reason,
            pair.fix or f"put {inner.title} outside {outer.title}{how}",
        )
    if outer.label == inner.label:
        clash = _TWICE.get(outer.label)
        if clash is not None and (is_same_chain or clash.across_mounts) and outer.record == inner.record:
            message = f"{inner.title} stands inside another {outer.title}{place}"
            return Misplacement(
                "twice", outer.title, inner.title, where, message, clash.reason, "take one of the two out"
            )
        return None
    clash = _RIVALS.get(frozenset({outer.label, inner.label}))
    if clash is not None and (is_same_chain or clash.across_mounts):
        message = f"{inner.title} stands inside {outer.title}{place}"
        return Misplacement("rival", outer.title, inner.title, where, message, clash.reason, "take one of the two out")
    return None


def _is_mended(pair: Pair, further_out: Iterable[Part], further_in: Iterable[Part]) -> bool:
    """Tell whether another copy stands where it should."""
    concern = pair.outer.partition(" ")[0]  # whoever made it
    if any(part.label is not None and part.label.partition(" ")[0] == concern for part in further_out):
        return True
    return pair.about_exceptions and any(part.label == pair.inner for part in further_in)


def _joined(where: str, further: str) -> str:
    is_path = where.startswith("/") and further.startswith("/")
    return f"{where}{further}" if is_path else f"{where} {further}".strip()
