"""Weighted lists (RFC 9110 12.4.2)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asgi_middleware._core.quality import Weighted, parse_weighted


def weights(value: bytes) -> dict[bytes, int]:
    return {member.value: member.weight for member in parse_weighted(value)}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b"", {}),
        (b"gzip", {b"gzip": 1000}),
        (b"GZIP;Q=0.5", {b"gzip": 500}),
        (b"gzip;q=0", {b"gzip": 0}),
        (b"gzip;q=0.000", {b"gzip": 0}),
        (b"gzip;q=0.", {b"gzip": 0}),
        (b"gzip;q=1.000", {b"gzip": 1000}),
        (b"gzip;q=1.", {b"gzip": 1000}),
        (b"gzip \t; \tq=0.25 ,\tbr", {b"gzip": 250, b"br": 1000}),
        (b",, gzip ,,", {b"gzip": 1000}),
        (b"*;q=0.1", {b"*": 100}),
        (b"gzip;;q=0.3", {b"gzip": 300}),
        (b"text/html;level=1;q=0.4, */*", {b"text/html": 400, b"*/*": 1000}),
    ],
)
def test_reads_the_grammar(value, expected):
    """Weights are thousandths, names lower case, white space and empty members are allowed."""
    assert weights(value) == expected


@pytest.mark.parametrize(
    "member",
    [
        b"br;q=1.01",
        b"br;q=.5",
        b"br;q=0.5000",
        b"br;q =0.5",
        b"br;q= 0.5",
        b"br;q=2",
        b"br;q=-1",
        b"br;q",
        b"br;q=",
        b"b r",
        b";q=1",
        b'br;x="a',
        b"br;x=a b",
        b"br;=1",
        b"text//html",
    ],
)
def test_a_malformed_member_is_left_out_alone(member):
    """A member that breaks the grammar is ignored; its neighbours count [N5]."""
    assert weights(b"gzip;q=0.7, " + member + b", zstd") == {b"gzip": 700, b"zstd": 1000}


def test_keeps_parameters_and_order():
    """Other parameters are kept in order, quoted values without quotes and escapes."""
    value = rb'application/openmetrics-text; Version="1.0.0";note="a,\"b;";q=0.5, text/plain'
    assert parse_weighted(value) == [
        Weighted(b"application/openmetrics-text", 500, ((b"version", b"1.0.0"), (b"note", b'a,"b;'))),
        Weighted(b"text/plain", 1000, ()),
    ]


@given(st.binary(max_size=60))
def test_never_raises(value):
    """Any bytes give a list whose weights are in range."""
    assert all(0 <= member.weight <= 1000 for member in parse_weighted(value))


def test_a_huge_value_is_not_read():
    """A list of more than 2 KiB costs nothing and says nothing [N5]."""
    assert parse_weighted(b"gzip, " * 1000) == []
    assert len(parse_weighted(b"gzip," * 400)) == 400


def test_a_value_full_of_quotes_is_not_read():
    """Every quotation mark that is never closed costs a pass over the rest; nobody sends so many."""
    assert len(parse_weighted(b'a;b="x", ' * 16)) == 16
    assert parse_weighted(b'a;b="x", ' * 17) == []
