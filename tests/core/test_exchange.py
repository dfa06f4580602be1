"""The Exchange: one record per connection, shared by every copy of the scope."""

from __future__ import annotations

import asyncio
import copy
import gc
import threading
import weakref
from collections import UserDict
from types import MappingProxyType

import pytest

from asgi_middleware._core.exchange import (
    SCOPE_KEY,
    Exchange,
    add_fields,
    current_exchange,
    enter,
    exchange_of,
    listed_headers,
    timing,
)
from asgi_middleware.testing import http_scope


@pytest.fixture
def current():
    exchange = Exchange()
    token = current_exchange.set(exchange)
    yield exchange
    current_exchange.reset(token)


class TestEnter:
    """Who makes it, and what happens to the scope."""

    def test_the_first_makes_it_in_a_copy(self):
        """The caller's scope stays as it was; the copy holds the Exchange [law 6]."""
        scope = http_scope(headers=[(b"host", b"a")])
        before = copy.deepcopy(scope)
        inner, exchange = enter(scope)
        assert scope == before
        assert inner is not scope
        assert inner[SCOPE_KEY] is exchange
        assert {key: value for key, value in inner.items() if key != SCOPE_KEY} == before

    def test_the_next_shares_it(self):
        """A further class gets the very scope it came with, and the same Exchange, even in a copy of the scope."""
        inner, exchange = enter(http_scope())
        again, same = enter(inner)
        assert again is inner
        assert same is exchange
        assert enter(dict(inner))[1] is exchange
        assert exchange_of(dict(inner)) is exchange

    def test_a_foreign_value_is_replaced(self):
        """Somebody else's value under our key is not taken for an Exchange."""
        scope = http_scope(**{SCOPE_KEY: {"request_id": "x"}})
        assert exchange_of(scope) is None
        assert isinstance(enter(scope)[1], Exchange)

    def test_a_one_shot_header_iterator_can_be_read_by_all(self):
        """An iterator of headers becomes a list, so that the app still finds what we looked up."""
        inner, _ = enter(http_scope() | {"headers": iter([(b"host", b"a")])})
        assert list(inner["headers"]) == list(inner["headers"]) == [(b"host", b"a")]

    @pytest.mark.parametrize(
        ("headers", "listed"),
        [(None, []), (((b"a", b"1"),), ((b"a", b"1"),)), (iter([(b"a", b"1")]), [(b"a", b"1")])],
    )
    def test_listed_headers(self, headers, listed):
        """Headers of any shape can be read twice, and the caller's scope stays as it was."""
        scope = http_scope() | {"headers": headers}
        given = dict(scope)
        inner, found = listed_headers(scope)
        assert found == listed
        assert scope == given
        assert (inner is scope) is isinstance(headers, tuple | None)  # no copy without need
        assert headers is None or inner["headers"] is found

    def test_a_scope_of_another_kind(self):
        """A scope that is a mapping of another kind is copied into a dict, and its tuple of headers passed on."""
        scope = MappingProxyType(http_scope() | {"headers": ((b"host", b"a"),)})
        inner, exchange = enter(UserDict(scope))
        assert type(inner) is dict
        assert inner == {**scope, SCOPE_KEY: exchange}

    def test_absent_headers(self):
        """A scope without headers stays without."""
        inner, _ = enter({"type": "http"})
        assert "headers" not in inner


class TestClaims:
    """Nested copies of one class."""

    def test_the_first_claim_holds(self):
        """The first class of a concern claims the connection; a nested copy does not, other concerns do."""
        exchange = Exchange()
        assert not exchange.claimed("logging")
        assert exchange.claim("logging")
        assert not exchange.claim("logging")
        assert exchange.claim("metrics")
        assert exchange.claimed("logging")

    def test_connections_do_not_share_claims(self):
        """A claim ends with its connection."""
        assert Exchange().claim("logging")
        assert Exchange().claim("logging")


class TestFollow:
    """The innermost scope, kept while someone reads it."""

    def test_holds_the_innermost_scope(self):
        """What an inner class passes on is what the follower reads."""
        outer, exchange = enter(http_scope())
        assert exchange.follow(outer)
        inner = {**outer, "user": "ada"}
        enter(inner)
        assert exchange.scope is inner

    def test_only_the_first_follower_ends_it(self):
        """A second follower learns that it is not the first."""
        scope, exchange = enter(http_scope())
        assert exchange.follow(scope)
        assert not exchange.follow(scope)

    def test_no_circle_is_left_without_a_follower(self):
        """Scope and Exchange are freed without the garbage collector."""

        class Canary:
            pass

        canary = Canary()
        gone = weakref.ref(canary)
        scope, exchange = enter(http_scope(canary=canary))
        enter(scope)
        gc.disable()
        try:
            del scope, exchange, canary
            assert gone() is None
        finally:
            gc.enable()


class TestFieldsAndTimings:
    """What handlers add."""

    def test_outside_a_request_nothing_happens(self):
        """Without a current Exchange both helpers do nothing, and a block still runs."""
        add_fields(user="ada")
        with timing("db"):
            pass
        assert current_exchange.get() is None

    def test_fields_are_added(self, current):
        """A later value of the same name wins."""
        add_fields(user="ada", plan="free")
        add_fields(plan="pro")
        assert current.fields == {"user": "ada", "plan": "pro"}

    def test_fields_belong_to_one_connection(self, current):
        """Two Exchanges never share a dict."""
        add_fields(user="ada")
        assert Exchange().fields == {}
        assert current.fields is not Exchange().fields

    def test_timings_of_one_name_add_up(self, current):
        """Each name's seconds are summed, in the order of first use."""
        current.add_timing("db", 0.5)
        current.add_timing("render", 1.0)
        current.add_timing("db", 0.25)
        assert current.timings == {"db": 0.75, "render": 1.0}
        assert list(current.timings) == ["db", "render"]
        assert Exchange().timings == {}

    def test_descriptions(self, current):
        """Only times that were described have a description."""
        current.add_timing("db", 0.5, "Database")
        current.add_timing("render", 1.0)
        current.add_timing("db", 0.5)
        current.add_timing("cache", 0.5, "Cache")
        assert current.describe_timings() == {"db": "Database", "cache": "Cache"}
        assert Exchange().describe_timings() == {}

    def test_copies_stay_as_they_are(self, current):
        """A copy that was taken does not change with what a thread adds later."""

        def add(value):
            current.add_fields(name=value)
            current.add_label("name", value)
            current.add_timing("name", 1.0, value)

        add("one")
        current.add_label("other", "kept")
        copies = current.copy_fields(), current.copy_labels(), current.describe_timings()
        add("two")
        assert copies == ({"name": "one"}, {"name": "one", "other": "kept"}, {"name": "one"})
        assert (Exchange().copy_fields(), Exchange().copy_labels()) == ({}, {})

    def test_a_thread_that_comes_in_between(self, current, monkeypatch):
        """Of two threads that add the first field at once neither loses its own."""

        class Lock:
            def __enter__(self):
                current._fields = {"theirs": 1}

            def __exit__(self, *_):
                pass

        monkeypatch.setattr("asgi_middleware._core.exchange._first_use", Lock())
        current.add_fields(mine=2)
        assert current.fields == {"theirs": 1, "mine": 2}

    def test_a_block_that_raises_counts(self, current):
        """The time of a failing block is kept and its exception goes on."""
        with pytest.raises(KeyError), timing("db"):
            raise KeyError
        assert current.timings["db"] >= 0

    def test_threads_lose_nothing(self, current):
        """Fields and timings from many threads all arrive."""

        def work(number):
            for step in range(200):
                current.add_fields(**{f"f{number}_{step}": 1})
                current.add_timing("db", 1.0)

        threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(current.fields) == 1600
        assert current.timings == {"db": 1600.0}

    def test_child_tasks_and_threads_reach_it(self, current):
        """A child task and asyncio's worker thread write to the same record."""

        async def main():
            await asyncio.create_task(asyncio.to_thread(add_fields, thread=True))

        asyncio.run(main())
        assert current.fields == {"thread": True}
