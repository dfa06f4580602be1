"""Every rule of W3C Trace Context, level 2, section 3, as requests and what must come of them.

Each row says what the service is sent, whether it goes on with the trace, under which flags, and with which state. The
rows cover what the W3C's own harness asks, and more.
"""

from __future__ import annotations

from typing import NamedTuple

TRACE = "0af7651916cd43dd8448eb211c80319c"
SPAN = "b7ad6b7169203331"
PARENT = f"00-{TRACE}-{SPAN}-01"
RANDOM = "02"  # of a trace that begins here: random, not sampled


class Rule(NamedTuple):
    """One request.

    Attributes:
        name: What it is about.
        headers: The headers sent, byte by byte.
        flags: The flags of a trace that goes on; None where a new one must begin.
        state: The tracestate that goes on; None where there must be none.
    """

    name: str
    headers: list[tuple[str, str]]
    flags: str | None
    state: str | None = None


def goes_on(name: str, traceparent: str, flags: str = "01", *, header: str = "traceparent") -> Rule:
    """A valid traceparent: 3.2."""
    return Rule(name, [(header, traceparent)], flags)


def begins(name: str, *traceparents: str, header: str = "traceparent") -> Rule:
    """No valid traceparent: a new trace begins, and the state is dropped: 3.2, 3.3."""
    return Rule(name, [*((header, each) for each in traceparents), ("tracestate", "foo=1")], None)


def keeps(name: str, *states: str, expected: str, header: str = "tracestate") -> Rule:
    """A valid tracestate: 3.3."""
    return Rule(name, [("traceparent", PARENT), *((header, each) for each in states)], "01", expected)


def drops(name: str, *states: str, header: str = "tracestate") -> Rule:
    """An invalid tracestate is dropped whole, and the trace goes on: 3.3."""
    return Rule(name, [("traceparent", PARENT), *((header, each) for each in states)], "01", None)


def traceparent(version: str = "00", trace: str = TRACE, span: str = SPAN, flags: str = "01", more: str = "") -> str:
    """Write a traceparent."""
    return f"{version}-{trace}-{span}-{flags}{more}"


def listed(count: int) -> str:
    """Write as many members as asked for."""
    return ",".join(f"k{number:02}={number:02}" for number in range(count))


_VALUE = "".join(map(chr, [*range(0x20, 0x2C), *range(0x2D, 0x3D), *range(0x3E, 0x7F)]))
_KEY = "abcdefghijklmnopqrstuvwxyz0123456789_-*/"
_SHORT = [f"s{number}={'x' * 96}" for number in range(4)]
_LONG = [f"l{number}={'y' * 130}" for number in range(2)]
_MIXED = [_LONG[0], *_SHORT[:2], _LONG[1], *_SHORT[2:]]
_MANY = [f"k{number:02}={'x' * 60}" for number in range(10)]

RULES = [
    # 3.2.1 and 3.2.2: names and form.
    Rule("nothing", [], None),
    goes_on("valid", PARENT),
    goes_on("name in capitals", PARENT, header="TRACEPARENT"),
    goes_on("name in mixed case", PARENT, header="TrAcEpArEnT"),
    begins("name with a hyphen", PARENT, header="trace-parent"),
    begins("name with a dot", PARENT, header="trace.parent"),
    begins("empty", ""),
    begins("two lines", PARENT, traceparent(trace="1" * 32)),
    begins("two lines alike", PARENT, PARENT),
    begins("two in one line", f"{PARENT},{PARENT}"),
    goes_on("space before", f" {PARENT}"),
    goes_on("tab before", f"\t{PARENT}"),
    goes_on("space after", f"{PARENT} "),
    goes_on("tab after", f"{PARENT}\t"),
    goes_on("white space on both sides", f"\t {PARENT} \t"),
    begins("white space within", PARENT.replace("-", "- ", 1)),
    begins("upper case", PARENT.upper()),
    begins("one letter in upper case", traceparent(trace=TRACE.replace("a", "A", 1))),
    begins("other separators", PARENT.replace("-", "_")),
    begins("bytes above 127", traceparent(trace="\xff" * 32)),
    # 3.2.2.1 and 3.2.4: versions.
    begins("version ff", traceparent("ff")),
    begins("version of one digit", traceparent("0")),
    begins("version of three digits", traceparent("000")),
    begins("version of four digits", traceparent("0000")),
    begins("version that is not hexadecimal", traceparent(".0")),
    begins("version that is not hexadecimal at its end", traceparent("0.")),
    begins("version 00 with a dot", traceparent(more=".")),
    begins("version 00 with more", traceparent(more="-what-the-future-will-be-like")),
    begins("version 00 with a hyphen", traceparent(more="-")),
    goes_on("higher version", traceparent("cc")),
    goes_on("higher version with more", traceparent("cc", more="-what-the-future-will-be-like")),
    goes_on("higher version with a hyphen", traceparent("01", more="-")),
    begins("higher version with more and no hyphen", traceparent("cc", more=".what-the-future-will-be-like")),
    begins("higher version that is too short", traceparent("cc")[:-1]),
    goes_on("higher version with unknown flags", traceparent("cc", flags="fd")),
    # 3.2.2.3: trace-id.
    begins("trace id of zeros", traceparent(trace="0" * 32)),
    begins("trace id that begins with a dot", traceparent(trace=f".{TRACE[1:]}")),
    begins("trace id that ends with a dot", traceparent(trace=f"{TRACE[1:]}.")),
    begins("trace id too long", traceparent(trace=f"{TRACE}1")),
    begins("trace id too short", traceparent(trace=TRACE[1:])),
    # 3.2.2.4: parent-id.
    begins("parent id of zeros", traceparent(span="0" * 16)),
    begins("parent id that begins with a dot", traceparent(span=f".{SPAN[1:]}")),
    begins("parent id that ends with a dot", traceparent(span=f"{SPAN[1:]}.")),
    begins("parent id too long", traceparent(span=f"{SPAN}1")),
    begins("parent id too short", traceparent(span=SPAN[1:])),
    # 3.2.2.5: flags.
    goes_on("not sampled", traceparent(flags="00"), "00"),
    goes_on("random", traceparent(flags="02"), "02"),
    goes_on("sampled and random", traceparent(flags="03"), "03"),
    goes_on("unknown flags alone", traceparent(flags="fc"), "00"),
    goes_on("all flags", traceparent(flags="ff"), "03"),
    begins("flags of one digit", traceparent(flags="1")),
    begins("flags of three digits", traceparent(flags="001")),
    begins("flags that begin with a dot", traceparent(flags=".0")),
    begins("flags that end with a dot", traceparent(flags="0.")),
    # 3.3.1: tracestate, its name and form.
    Rule("state without a parent", [("tracestate", "foo=1,bar=2")], None),
    keeps("one member", "foo=1", expected="foo=1"),
    keeps("two members", "foo=1,bar=2", expected="foo=1,bar=2"),
    keeps("state name in capitals", "foo=1", expected="foo=1", header="TRACESTATE"),
    keeps("state name in mixed case", "foo=1", expected="foo=1", header="TrAcEsTaTe"),
    drops("state name with a hyphen", "foo=1", header="trace-state"),
    drops("state name with a dot", "foo=1", header="trace.state"),
    drops("empty state"),
    drops("empty line of state", ""),
    keeps("empty line after", "foo=1", "", expected="foo=1"),
    keeps("empty line before", "", "foo=1", expected="foo=1"),
    keeps("empty members", "foo=1,,bar=2, ,\t,", expected="foo=1,bar=2"),
    keeps("lines in order", "foo=1,bar=2", "rojo=1,congo=2", "baz=3", expected="foo=1,bar=2,rojo=1,congo=2,baz=3"),
    keeps("spaces around members", "foo=1 \t , \t bar=2, \t baz=3", expected="foo=1,bar=2,baz=3"),
    keeps("tabs around members", "foo=1\t \t,\t \tbar=2,\t \tbaz=3", expected="foo=1,bar=2,baz=3"),
    keeps("white space around state", "\t foo=1 \t", expected="foo=1"),
    # 3.3.1.3: keys and values.
    keeps("all characters", f"{_KEY}={_VALUE}", expected=f"{_KEY}={_VALUE}"),
    keeps("key with an at sign", f"{_KEY}@a-z0-9_-*/={_VALUE}", expected=f"{_KEY}@a-z0-9_-*/={_VALUE}"),
    keeps("key with several, legal since level 2", "foo@=1,a@b@c=2", expected="foo@=1,a@b@c=2"),
    keeps("key that begins with a digit", "0foo=1", expected="0foo=1"),
    keeps("value that begins with a space", "foo= 1", expected="foo= 1"),
    drops("key with a space", "foo =1"),
    drops("key in upper case", "FOO=1"),
    drops("key with a dot", "foo.bar=1"),
    drops("key that begins with an at sign", "@foo=1,bar=2"),
    drops("no key", "=1,bar=2"),
    drops("no value", "foo=,bar=3"),
    drops("no equals sign", "foo,bar=3"),
    drops("two equals signs", "foo=bar=baz"),
    drops("tab within a value", "foo=a\tb"),
    drops("bytes above 127 in a value", "foo=\xe9"),
    keeps("key of 256", f"foo=1,{'z' * 256}=1", expected=f"foo=1,{'z' * 256}=1"),
    drops("key of 257", f"foo=1,{'z' * 257}=1"),
    keeps("value of 256", f"foo={'x' * 256}", expected=f"foo={'x' * 256}"),
    drops("value of 257", f"foo={'x' * 257}"),
    # 3.3.1.4 and 3.3.1.5: one member for each key, limits.
    keeps("a key twice", "foo=1,foo=2", expected="foo=1"),
    keeps("a key on two lines", "foo=1", "foo=2", expected="foo=1"),
    keeps("32 members", listed(20), listed(32)[20 * 7 :], expected=listed(32)),
    drops("33 members", listed(20), listed(33)[20 * 7 :]),
    keeps("512 characters", "a=" + "x" * 253 + ",b=" + "y" * 254, expected="a=" + "x" * 253 + ",b=" + "y" * 254),
    keeps("long members go first", ",".join(_MIXED), expected=",".join(_SHORT)),
    keeps("then those at the end", ",".join(_MANY), expected=",".join(_MANY[:7])),
]
