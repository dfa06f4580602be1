"""W3C Trace Context, level 2: the rules of section 3 as tables."""

import pytest

from asgi_middleware.logging.trace_context import (
    RANDOM,
    TraceContext,
    TraceMode,
    new_trace,
    parse_traceparent,
    parse_tracestate,
    trace_of,
)

TRACE = "0af7651916cd43dd8448eb211c80319c"
SPAN = "b7ad6b7169203331"
VALID = f"00-{TRACE}-{SPAN}-01".encode()


@pytest.mark.parametrize(
    ("value", "flags"),
    [
        pytest.param(VALID, 1, id="version 00, sampled"),
        pytest.param(f"00-{TRACE}-{SPAN}-00".encode(), 0, id="not sampled"),
        pytest.param(f"00-{TRACE}-{SPAN}-02".encode(), 2, id="random"),
        pytest.param(f"00-{TRACE}-{SPAN}-03".encode(), 3, id="both"),
        pytest.param(f"00-{TRACE}-{SPAN}-ff".encode(), 3, id="unknown flags are dropped"),
        pytest.param(b" \t" + VALID + b" ", 1, id="optional white space around it"),
        pytest.param(f"01-{TRACE}-{SPAN}-01".encode(), 1, id="higher version of the same length"),
        pytest.param(f"cc-{TRACE}-{SPAN}-01-what-the-future".encode(), 1, id="higher version with more"),
        pytest.param(f"cc-{TRACE}-{SPAN}-01-".encode(), 1, id="higher version with a hyphen"),
    ],
)
def test_valid_traceparent(value: bytes, flags: int) -> None:
    """A valid traceparent is read; of its flags the known ones are kept [3.1]."""
    assert parse_traceparent([value]) == (TRACE, SPAN, flags)


@pytest.mark.parametrize(
    "values",
    [
        pytest.param([], id="absent"),
        pytest.param([b""], id="empty"),
        pytest.param([VALID, VALID], id="two lines"),
        pytest.param([VALID + b"," + VALID], id="two in one line"),
        pytest.param([VALID.upper()], id="upper case"),
        pytest.param([f"ff-{TRACE}-{SPAN}-01".encode()], id="version ff"),
        pytest.param([f"00-{'0' * 32}-{SPAN}-01".encode()], id="trace id of zeros"),
        pytest.param([f"00-{TRACE}-{'0' * 16}-01".encode()], id="parent id of zeros"),
        pytest.param([VALID + b"-extra"], id="version 00 with more"),
        pytest.param([VALID + b"."], id="version 00 with a dot"),
        pytest.param([f"cc-{TRACE}-{SPAN}-01.more".encode()], id="higher version without hyphen"),
        pytest.param([f"00-{TRACE[:-1]}-{SPAN}-01".encode()], id="short trace id"),
        pytest.param([f"00-{TRACE}-{SPAN}a-01".encode()], id="long parent id"),
        pytest.param([f"00-{TRACE}-{SPAN}-1".encode()], id="short flags"),
        pytest.param([f"0-{TRACE}-{SPAN}-01".encode()], id="short version"),
        pytest.param([f"00-{'g' * 32}-{SPAN}-01".encode()], id="not hexadecimal"),
        pytest.param([f"00_{TRACE}_{SPAN}_01".encode()], id="other separators"),
        pytest.param([b"\xff" * 55], id="not ASCII"),
        pytest.param([VALID + b"\n"], id="line break"),
    ],
)
def test_invalid_traceparent(values: list[bytes]) -> None:
    """An invalid or repeated traceparent is no traceparent [3.1]."""
    assert parse_traceparent(values) is None


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        pytest.param([b"foo=1"], "foo=1", id="one"),
        pytest.param([b"foo=1,bar=2"], "foo=1,bar=2", id="two"),
        pytest.param([b"foo=1", b"bar=2"], "foo=1,bar=2", id="two lines in order"),
        pytest.param([b"foo=1 , \tbar=2"], "foo=1,bar=2", id="white space around members"),
        pytest.param([b"foo=1,,bar=2,", b""], "foo=1,bar=2", id="empty members are dropped"),
        pytest.param([b"foo=1,foo=2"], "foo=1", id="the first of a key stays"),
        pytest.param([b"0foo=1,t@v=2,a/b*c_d-e=3"], "0foo=1,t@v=2,a/b*c_d-e=3", id="level 2 keys"),
        pytest.param([b"foo= 1"], "foo= 1", id="a value may begin with a space"),
        pytest.param([b"foo=" + b"~" * 256], "foo=" + "~" * 256, id="longest value"),
        pytest.param([b"k" * 256 + b"=1"], "k" * 256 + "=1", id="longest key"),
        pytest.param([b",".join(b"k%d=1" % n for n in range(32))], ",".join(f"k{n}=1" for n in range(32)), id="32"),
        pytest.param([b",".join(b"k%d=1" % n for n in range(33))], "", id="33 members"),
        pytest.param([b"foo=1,bar"], "", id="member without value"),
        pytest.param([b"foo=1,bar="], "", id="empty value"),
        pytest.param([b"Foo=1"], "", id="upper-case key"),
        pytest.param([b"foo =1"], "", id="space before the equals sign"),
        pytest.param([b"foo=1=2"], "", id="two equals signs"),
        pytest.param([b"foo=\xe9"], "", id="not ASCII"),
        pytest.param([b"foo=a\tb"], "", id="tab within a value"),
        pytest.param([b"foo=1\n"], "", id="line break"),
        pytest.param([b"k" * 257 + b"=1"], "", id="key too long"),
        pytest.param([b"foo=" + b"~" * 257], "", id="value too long"),
        pytest.param([b""], "", id="empty"),
    ],
)
def test_tracestate(values: list[bytes], expected: str) -> None:
    """A tracestate is joined, checked whole, and dropped whole if one member is malformed [3.1]."""
    assert parse_tracestate(values) == expected


def test_long_tracestate_loses_long_members_first() -> None:
    """Beyond 512 characters whole members go: those of more than 128 characters first, from the end."""
    short, long = [f"s{n}={'x' * 96}" for n in range(4)], [f"l{n}={'y' * 130}" for n in range(2)]
    members = [long[0], *short[:2], long[1], *short[2:]]
    assert parse_tracestate([",".join(members).encode()]) == ",".join(short)
    many = [f"k{n:02}={'x' * 60}" for n in range(10)]
    kept = parse_tracestate([",".join(many).encode()])
    assert kept == ",".join(many[:7])
    assert len(kept) <= 512 < len(",".join(many[:8]))
    exact = ",".join(many[:7]) + "," + "z=" + "x" * (512 - len(",".join(many[:7])) - 3)
    assert parse_tracestate([exact.encode()]) == exact


def trace(mode: TraceMode, *headers: tuple[bytes, bytes]) -> TraceContext | None:
    """Give the trace context of a request with these headers."""
    return trace_of(list(headers), mode)


def test_continue() -> None:
    """A valid trace goes on under a new span id, with the caller's flags and state."""
    found = trace("continue", (b"traceparent", VALID), (b"tracestate", b"foo=1"), (b"tracestate", b"bar=2"))
    assert found is not None
    assert (found.trace_id, found.parent_id, found.flags, found.tracestate) == (TRACE, SPAN, 1, "foo=1,bar=2")
    assert found.sampled
    assert found.span_id != SPAN
    assert found.traceparent == f"00-{TRACE}-{found.span_id}-01"
    assert parse_traceparent([found.traceparent.encode()])


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param([], id="none"),
        pytest.param([(b"tracestate", b"foo=1")], id="state alone"),
        pytest.param([(b"traceparent", VALID[:-1]), (b"tracestate", b"foo=1")], id="invalid"),
        pytest.param([(b"traceparent", VALID), (b"traceparent", VALID), (b"tracestate", b"foo=1")], id="two"),
    ],
)
def test_restart_without_a_valid_parent(headers: list[tuple[bytes, bytes]]) -> None:
    """Without a valid traceparent a trace begins, and the tracestate is dropped."""
    found = trace("continue", *headers)
    assert found is not None
    assert found.trace_id != TRACE
    assert (found.parent_id, found.flags, found.tracestate, found.sampled) == (None, RANDOM, "", False)


def test_modes() -> None:
    """A server called by strangers can begin every trace itself, or keep none."""
    restarted = trace("restart", (b"traceparent", VALID), (b"tracestate", b"foo=1"))
    assert restarted is not None
    assert restarted.trace_id != TRACE
    assert restarted.tracestate == ""
    assert trace("off", (b"traceparent", VALID)) is None


def test_new_ids_are_valid_and_differ() -> None:
    """New ids have the right lengths, are lower-case hexadecimal, and differ."""
    traces = [new_trace() for _ in range(100)]
    assert len({found.trace_id for found in traces}) == len({found.span_id for found in traces}) == 100
    assert all(parse_traceparent([found.traceparent.encode()]) for found in traces)
