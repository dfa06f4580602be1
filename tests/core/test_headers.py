"""Raw header lists: any legal shape in, new lists out."""

from __future__ import annotations

import copy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asgi_middleware._core.headers import (
    add_vary,
    find,
    find_all,
    header_list,
    is_field_value,
    is_token,
    parse_content_length,
    replace,
    without,
)

PAIRS = [(b"host", b"a"), (b"X-Two", b"1"), (b"x-two", b"2")]
names = st.sampled_from([b"vary", b"Vary", b"VARY", b"host", b"x-a", b"X-A"])
raw_headers = st.lists(st.tuples(names, st.sampled_from([b"", b"*", b"Origin", b"accept-encoding, Cookie", b"a ,, b"])))


class TestLists:
    """Look up, leave out, replace."""

    def test_find_ignores_case(self):
        """Both the exact and the mixed-case spelling are found; the first wins."""
        assert find(PAIRS, b"x-two") == b"1"
        assert find(PAIRS, b"absent") is None
        assert find_all(PAIRS, b"x-two") == [b"1", b"2"]

    def test_without_ignores_case(self):
        """All lines of the names go, whatever their case."""
        assert without(PAIRS, {b"x-two"}) == [(b"host", b"a")]

    def test_replace_leaves_exactly_one_line(self):
        """After a replacement there is one line of the name, and all others stand as they were."""
        assert replace(PAIRS, b"x-two", b"3") == [(b"host", b"a"), (b"x-two", b"3")]

    def test_header_list_is_fresh(self):
        """The list given is never the list received."""
        assert header_list(PAIRS) == PAIRS
        assert header_list(PAIRS) is not PAIRS
        assert header_list(None) == []

    def test_what_is_given_is_bytes(self):
        """Names and values may come as any buffer; what is found in them is bytes."""
        odd = [(b"a", memoryview(b"1")), (bytearray(b"A"), b"2"), [bytearray(b"b"), bytearray(b"3")]]
        assert header_list(odd) == [(b"a", b"1"), (b"A", b"2"), (b"b", b"3")]
        given = [*(part for pair in header_list(odd) for part in pair), find(odd, b"a"), *find_all(odd, b"a")]
        assert {type(part) for part in given} == {bytes}

    @given(raw_headers)
    def test_nothing_changes_its_input(self, raw):
        """No function touches the list it was given [law 20]."""
        before = copy.deepcopy(raw)
        for change in (
            lambda: add_vary(raw, b"Origin"),
            lambda: replace(raw, b"vary", b"x"),
            lambda: without(raw, {b"vary"}),
        ):
            change()
            assert raw == before


class TestAddVary:
    """Merging into Vary (RFC 9110 12.5.5)."""

    @pytest.mark.parametrize(
        ("lines", "expected"),
        [
            ([], b"Origin"),
            ([b"Accept-Encoding"], b"Accept-Encoding, Origin"),
            ([b"origin"], b"origin"),
            ([b"Cookie, ORIGIN"], b"Cookie, ORIGIN"),
            ([b"Cookie", b"Accept"], b"Cookie, Accept, Origin"),
            ([b" , Cookie,,"], b"Cookie, Origin"),
            ([b"*"], b"*"),
            ([b"Cookie, *"], b"*"),
        ],
    )
    def test_merges_once(self, lines, expected):
        """What is there stays, the new member comes last and once, and * stays alone."""
        merged = add_vary([(b"Vary", line) for line in lines], b"Origin")
        assert merged == [(b"vary", expected)]

    def test_takes_several_members(self):
        """Several members are added in the order given."""
        assert add_vary([(b"a", b"b")], b"Origin", b"Accept") == [(b"a", b"b"), (b"vary", b"Origin, Accept")]

    @given(raw_headers)
    def test_is_idempotent(self, raw):
        """Adding a member twice gives what adding it once gives."""
        once = add_vary(raw, b"Origin")
        assert add_vary(once, b"Origin") == once
        assert len(find_all(once, b"vary")) == 1


class TestGrammar:
    """Tokens and field values."""

    @pytest.mark.parametrize("value", [b"gzip", b"x-request-id", b"!#$%&'*+-.^_`|~09azAZ"])
    def test_tokens(self, value):
        """These are tokens (RFC 9110 5.6.2)."""
        assert is_token(value)

    @pytest.mark.parametrize("value", [b"", b"a b", b"a,b", b"a/b", b'"a"', b"\xe9", b"a\n", b"a\x00", b"(", b":"])
    def test_not_tokens(self, value):
        """These are not."""
        assert not is_token(value)

    @pytest.mark.parametrize("value", [b"", b"a b", b"a\tb", b"\xff\x80"])
    def test_field_values(self, value):
        """Anything without control characters but HTAB can be sent (RFC 9110 5.5)."""
        assert is_field_value(value)

    @pytest.mark.parametrize("value", [b"a\r\nb", b"\n", b"\r", b"\x00", b"\x1b[0m", b"\x7f", b"\x0b"])
    def test_not_field_values(self, value):
        """No control character can be sent."""
        assert not is_field_value(value)


class TestParseContentLength:
    """The strict grammar (RFC 9110 8.6) [B6]."""

    @pytest.mark.parametrize(
        ("values", "expected"),
        [
            ([], None),
            ([b"0"], 0),
            ([b"5"], 5),
            ([b"007"], 7),
            ([b"5", b"5"], 5),
            ([b"5, 5"], 5),
            ([b"0", b"00"], 0),
            ([b"5 ,\t5"], 5),
            ([b"9223372036854775807"], 2**63 - 1),
        ],
    )
    def test_reads(self, values, expected):
        """ASCII digits, absent, or the same number repeated."""
        assert parse_content_length(values) == expected

    def test_a_longer_number_is_larger_than_any_size(self):
        """Twenty digits and five thousand digits are numbers, and larger than every limit."""
        assert parse_content_length([b"1" * 20]) >= 10**19
        assert parse_content_length([b"1" * 5000]) >= 10**19
        assert parse_content_length([b"0" * 5000 + b"7"]) == 7

    @pytest.mark.parametrize(
        "values",
        [
            [b""],
            [b"+5"],
            [b"-5"],
            [b"1_0"],
            [b"0x10"],
            [b"5.0"],
            [b"abc"],
            [b"5 6"],
            [b"5,6"],
            [b"5", b"6"],
            [b"5,"],
            ["٥".encode()],
            [b"\xb2"],
        ],
    )
    def test_refuses(self, values):
        """Whatever ``int`` would take beyond the grammar, and conflicting values, are errors."""
        with pytest.raises(ValueError, match="Content-Length"):
            parse_content_length(values)

    @given(st.lists(st.binary(max_size=12), max_size=3))
    def test_never_raises_anything_else(self, values):
        """Any bytes give a number, None or ValueError."""
        try:
            parsed = parse_content_length(values)
        except ValueError:
            return
        assert parsed is None or parsed >= 0
