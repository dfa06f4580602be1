"""The tables of the order, and what the check makes of them: chain by chain."""

from __future__ import annotations

import importlib
import importlib.util

import pytest

from asgi_middleware import Misplacement, check_order
from asgi_middleware._composition.order import _IDENTITIES, ORDER, PAIRS, RIVALS, TWICE, label_of


async def app(scope, receive, send) -> None: ...


@pytest.fixture
def chain(wrap):
    """Put classes around the app, outermost first; classes of others by a stand-in of the same name."""

    def chain(*labels):
        wrapped = app
        for label in reversed(labels):
            module, _, name = _IDENTITIES[label].partition(":")
            if module.startswith("asgi_middleware."):
                wrapped = wrap(label, wrapped)
            else:
                stand_in = type(name, (StandIn,), {"__module__": module, "__qualname__": name})
                wrapped = stand_in(wrapped)
        return wrapped

    return chain


class StandIn:
    """A wrapper that does nothing."""

    def __init__(self, app) -> None:
        self.app = app

    async def __call__(self, scope, receive, send) -> None: ...


def codes(app) -> list[tuple[str, str, str]]:
    return [(found.code, found.outer, found.inner) for found in check_order(app)]


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: f"{pair.outer}-{pair.inner}")
def test_a_pair_in_its_order_is_fine(pair, chain):
    """Nothing is found where the outer class is outside."""
    assert check_order(chain(pair.outer, pair.inner)) == ()


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: f"{pair.outer}-{pair.inner}")
def test_a_pair_the_other_way_round_is_found(pair, chain):
    """One misplacement names both classes, the reason and the fix, with another class between them as well."""
    [found] = check_order(chain(pair.inner, pair.outer))
    assert found == Misplacement(
        "outside",
        pair.inner,
        pair.outer,
        "",
        f"{pair.inner} is outside {pair.outer}",
        pair.reason,
        pair.fix or f"put {pair.outer} outside {pair.inner}",
    )
    assert found in check_order(chain(pair.inner, "MetricsEndpoint", pair.outer))


@pytest.mark.parametrize("clash", TWICE, ids=lambda clash: clash.first)
def test_two_copies_are_found(clash, chain):
    """A class that acts once for a request, twice in one chain, is one finding."""
    [found] = check_order(chain(clash.first, "MetricsEndpoint", clash.second))
    assert (found.code, found.outer, found.inner, found.reason) == ("twice", clash.first, clash.first, clash.reason)
    assert found.message == f"{clash.first} stands inside another {clash.first}"


@pytest.mark.parametrize("label", sorted(set(ORDER) - {clash.first for clash in TWICE}))
def test_others_may_stand_twice(label, chain):
    """Two limits, two token checks, two paths for metrics are conditions of their own."""
    assert check_order(chain(label, label)) == ()


@pytest.mark.parametrize("clash", RIVALS, ids=lambda clash: f"{clash.first}-{clash.second}")
@pytest.mark.parametrize("swapped", [False, True])
def test_rivals_are_found(clash, swapped, chain):
    """A class of somebody else that does the same is named, outside and inside of ours."""
    labels = (clash.second, clash.first) if swapped else (clash.first, clash.second)
    [found] = check_order(chain(*labels))
    assert (found.code, found.outer, found.inner, found.reason) == ("rival", *labels, clash.reason)


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (ORDER, []),
        (tuple(reversed(ORDER)), None),
        (("PrometheusMiddleware", "LoggingMiddleware"), []),
        (("CompressionMiddleware", "CORSMiddleware", "JWTAuthMiddleware", "RequestBodyLimitMiddleware"), []),
        # One further out is the one that counts: there are two, but nothing is outside of it.
        (
            ("LoggingMiddleware", "JWTAuthMiddleware", "LoggingMiddleware"),
            [("twice", "LoggingMiddleware", "LoggingMiddleware")],
        ),
        (
            ("CORSMiddleware (starlette)", "JWTAuthMiddleware", "CORSMiddleware"),
            [("rival", "CORSMiddleware (starlette)", "CORSMiddleware")],
        ),
        # A second copy in its right place mends it for exceptions.
        (("ProblemDetailsMiddleware", "ServerErrorMiddleware (starlette)", "ProblemDetailsMiddleware"), []),
        # Each of three is compared with each.
        (
            ("JWTAuthMiddleware", "CORSMiddleware", "LoggingMiddleware"),
            [
                ("outside", "JWTAuthMiddleware", "CORSMiddleware"),
                ("outside", "JWTAuthMiddleware", "LoggingMiddleware"),
                ("outside", "CORSMiddleware", "LoggingMiddleware"),
            ],
        ),
        # Three copies are one finding, said once.
        (("CORSMiddleware",) * 3, [("twice", "CORSMiddleware", "CORSMiddleware")]),
    ],
    ids=lambda value: "-".join(value) if value and isinstance(value[0], str) else None,
)
def test_chains(labels, expected, chain):
    """What is found in whole chains, in the order of the chain."""
    found = codes(chain(*labels))
    if expected is None:
        ours = {(pair.outer, pair.inner) for pair in PAIRS if {pair.outer, pair.inner} <= set(ORDER)}
        assert {(inner, outer) for _, outer, inner in found} == ours
    else:
        assert found == expected


def test_two_registries_are_no_two_copies(wrap):
    """Metrics recorded to two registries are counted in each, so both copies act."""
    from prometheus_client import CollectorRegistry
    from starlette.applications import Starlette
    from starlette.middleware import Middleware

    from asgi_middleware import PrometheusMiddleware

    registries = [CollectorRegistry(), CollectorRegistry()]
    made = wrap("PrometheusMiddleware", wrap("PrometheusMiddleware", app, registry=registries[0]))
    assert check_order(made) == ()
    defined = [Middleware(PrometheusMiddleware, registry=registry) for registry in registries]
    assert check_order(Starlette(middleware=defined)) == ()
    assert codes(Starlette(middleware=[defined[0], defined[0]])) == [
        ("twice", "PrometheusMiddleware", "PrometheusMiddleware")
    ]


def test_a_subclass_counts_as_its_class(wrap):
    """A class made from one of ours is checked like it and named by its own name."""
    from asgi_middleware import CORSMiddleware

    class OwnCORS(CORSMiddleware):
        __slots__ = ()

    [found] = check_order(wrap("JWTAuthMiddleware", OwnCORS(app, allow_origins=["https://app.example"])))
    assert found.message == f"JWTAuthMiddleware is outside OwnCORS ({__name__.partition('.')[0]})"


def test_the_text_of_a_misplacement():
    """The text has the classes, the reason and the fix on one line."""
    found = Misplacement("outside", "A", "B", "", "A is outside B", "that is bad", "put B outside A")
    assert str(found) == "A is outside B: that is bad. Fix: put B outside A."


class TestTables:
    def test_the_order_obeys_every_pair(self):
        """The recommended order is one that all pairs allow."""
        places = {name: place for place, name in enumerate(ORDER)}
        for pair in PAIRS:
            if pair.outer in places and pair.inner in places:
                assert places[pair.outer] < places[pair.inner], pair

    def test_the_order_names_every_public_class(self):
        """A new class cannot be forgotten: it has its place in the order."""
        import asgi_middleware

        classes = {name for name in asgi_middleware.__all__ if name.endswith(("Middleware", "Endpoint"))}
        assert set(ORDER) == classes
        assert len(ORDER) == len(classes)

    def test_no_pair_is_listed_twice_or_both_ways(self):
        """Each two classes have at most one row."""
        pairs = [frozenset({pair.outer, pair.inner}) for pair in PAIRS]
        assert len(set(pairs)) == len(pairs)
        assert not set(pairs) & {frozenset({clash.first, clash.second}) for clash in (*TWICE, *RIVALS)}

    @pytest.mark.parametrize("label", sorted(_IDENTITIES))
    @pytest.mark.may_skip("some peers are installed for the benchmarks only")
    def test_a_label_names_a_real_class(self, label):
        """The class is where the table says, so that a release that moves it is noticed."""
        module, _, name = _IDENTITIES[label].partition(":")
        if importlib.util.find_spec(module.partition(".")[0]) is None:
            pytest.skip(f"{label} is not installed")
        cls = getattr(importlib.import_module(module), name)
        assert label_of(f"{base.__module__}:{base.__qualname__}" for base in cls.__mro__) == label

    def test_every_name_in_the_tables_is_known(self):
        """A row cannot name a class that the walk would never recognise."""
        named = {name for row in (*PAIRS, *TWICE, *RIVALS) for name in row[:2]}
        assert named <= set(_IDENTITIES)
        assert set(_IDENTITIES) == named | set(ORDER)
