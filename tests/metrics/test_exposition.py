"""Which format and coding a scraper gets, as a table."""

import pytest

from asgi_middleware.metrics.exposition import (
    OPENMETRICS,
    TEXT,
    Format,
    accepts_gzip,
    negotiate,
    requested_names,
)

OM = b"application/openmetrics-text"
# What Prometheus 3 sends by default.
PROMETHEUS = (
    b"application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
    b"application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,"
    b"text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)
BROWSER = b"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"


@pytest.mark.parametrize(
    ("accept", "wanted"),
    [
        ([], TEXT),
        ([b""], TEXT),
        ([b"*/*"], TEXT),
        ([b"text/*"], TEXT),
        ([b"text/plain"], TEXT),
        ([b"text/plain;version=0.0.4"], TEXT),
        ([BROWSER], TEXT),
        ([PROMETHEUS], OPENMETRICS),
        ([OM], OPENMETRICS),
        ([OM.upper()], OPENMETRICS),
        ([OM + b"; version=1.0.0"], OPENMETRICS),
        ([OM + b'; Version="1.0.0"; charset=utf-8'], OPENMETRICS),
        ([b"application/*"], OPENMETRICS),
        # Versions that are not known are not served, and never repeated.
        ([OM + b";version=9.9.9"], TEXT),
        ([OM + b";version=2.0.0"], TEXT),
        ([OM + b";version=0.0.1"], TEXT),
        ([OM + b";version=abc"], TEXT),
        ([OM + b';version="1.0.0'], TEXT),
        ([OM + b";version="], TEXT),
        # Weights decide.
        ([b"text/plain;version=0.0.4;q=0.9," + OM + b";version=1.0.0;q=0.1"], TEXT),
        ([b"text/plain;version=0.0.4;q=0.1," + OM + b";version=1.0.0;q=0.9"], OPENMETRICS),
        ([b"text/plain;version=0.0.4;q=0.6," + OM + b";version=1.0.0;q=0.5," + OM + b";version=0.0.1;q=0.9"], TEXT),
        ([OM + b";q=0"], TEXT),
        ([OM + b";q=0,*/*"], TEXT),
        ([b"text/plain;q=0," + OM + b";q=0"], TEXT),
        ([b"text/plain;q=0,*/*"], OPENMETRICS),
        ([OM + b";q=0.5,*/*;q=0.1"], OPENMETRICS),
        ([OM + b";q=0.1,*/*;q=0.5"], TEXT),
        ([OM + b";version=1.0.0;q=0," + OM], TEXT),
        # Of equal weights, the more specific range, then the earlier.
        ([OM + b",*/*"], OPENMETRICS),
        ([b"*/*," + OM], OPENMETRICS),
        ([OM + b",text/plain"], OPENMETRICS),
        ([b"text/plain," + OM], TEXT),
        ([b"text/plain", OM + b";q=0.9"], TEXT),
        # What is malformed is ignored alone; what nobody can serve falls back.
        ([b"application/json"], TEXT),
        ([b"application/json;q=1," + OM + b";q=0.1"], OPENMETRICS),
        ([b"\xff\xfe, /, ;;;," + OM], OPENMETRICS),
        ([OM + b";q=2"], TEXT),
        ([b"na\xefve/plain"], TEXT),
    ],
)
def test_negotiate(accept: list[bytes], wanted: Format) -> None:
    """The highest weight among the supported wins, else text 0.0.4; nothing raises [T28, T29, T32]."""
    assert negotiate(accept) is wanted


@pytest.mark.parametrize(
    ("accept_encoding", "wanted"),
    [
        ([], False),
        ([b""], False),
        ([b"gzip"], True),
        ([b"GZIP"], True),
        ([b"x-gzip"], True),
        ([b"gzip, deflate, br"], True),
        ([b"deflate", b"gzip"], True),
        ([b"gzip;q=0"], False),
        ([b"gzip;q=0.0, *"], False),
        ([b"*"], True),
        ([b"*;q=0"], False),
        ([b"identity"], False),
        ([b"gzip;q=0.1, identity;q=0.5"], False),
        ([b"gzip;q=0.5, identity;q=0.5"], True),
        ([b"gzip;q=1.5"], False),
        ([b"gzipp, br"], False),
        ([b"\xff"], False),
    ],
)
def test_accepts_gzip(accept_encoding: list[bytes], wanted: bool) -> None:
    """A weight of 0 means no, and a coding less wanted than identity is not used [T30]."""
    assert accepts_gzip(accept_encoding) is wanted


@pytest.mark.parametrize(
    ("query", "names"),
    [
        (b"", set()),
        (b"name[]=a", {"a"}),
        (b"name[]=a&name[]=b&other=c", {"a", "b"}),
        (b"name%5B%5D=a%20b", {"a b"}),
        (b"name[]=", {""}),
        (b"name=a", set()),
        (b"name[]=%ff", {"\ufffd"}),
        (b"name[]=\xff", {"\xff"}),
        (b"&&==&%%%&name[]=a", {"a"}),
    ],
)
def test_requested_names(query: bytes, names: set[str]) -> None:
    """Every ``name[]`` is taken; bytes that are no UTF-8 name nothing and raise nothing [T32]."""
    assert requested_names(query) == names
