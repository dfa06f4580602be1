"""Negotiation: from Accept-Encoding to a coding, by vectors and against a slow model."""

import re
from fractions import Fraction

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from asgi_middleware.compression.agreement import Agreements
from asgi_middleware.compression.codecs import make_codec
from asgi_middleware.compression.negotiation import LONGEST_HEADER, negotiate

ALL = (b"zstd", b"br", b"gzip")

VECTORS = [
    # Nothing asked for [N4].
    (None, None, "no_accept_encoding"),
    (b"", None, "no_common_coding"),
    (b" ", None, "no_common_coding"),
    (b",", None, "no_common_coding"),
    (b", ,\t,", None, "no_common_coding"),
    # Plain names.
    (b"gzip", b"gzip", None),
    (b"br", b"br", None),
    (b"zstd", b"zstd", None),
    (b"identity", None, "no_common_coding"),
    (b"deflate", None, "no_common_coding"),
    (b"compress, deflate", None, "no_common_coding"),
    (b"gzip, deflate", b"gzip", None),
    (b"gzip, deflate, br", b"br", None),
    (b"gzip, deflate, br, zstd", b"zstd", None),
    (b"zstd, br, deflate, gzip", b"zstd", None),
    # Tokens, not substrings [N1].
    (b"notgzipx", None, "no_common_coding"),
    (b"gzipx", None, "no_common_coding"),
    (b"xgzip", None, "no_common_coding"),
    (b"brotli", None, "no_common_coding"),
    (b"dcz", None, "no_common_coding"),
    (b"gzip-br", None, "no_common_coding"),
    # Refused [N1].
    (b"gzip;q=0", None, "no_common_coding"),
    (b"gzip;q=0.", None, "no_common_coding"),
    (b"gzip;q=0.0", None, "no_common_coding"),
    (b"gzip;q=0.000", None, "no_common_coding"),
    (b"gzip;q=0, br", b"br", None),
    (b"zstd;q=0, br;q=0, gzip", b"gzip", None),
    # Case and spaces [N2].
    (b"GZIP", b"gzip", None),
    (b"Gzip, BR", b"br", None),
    (b"x-gzip", b"gzip", None),
    (b"X-GZIP;q=0.5", b"gzip", None),
    (b"x-gzip;q=0", None, "no_common_coding"),
    (b"gzip;q=0, x-gzip", None, "no_common_coding"),
    (b"gzip ;q=0.5", b"gzip", None),
    (b"gzip; q=0.5", b"gzip", None),
    (b"gzip\t;\tq=0", None, "no_common_coding"),
    (b"gzip;Q=0", None, "no_common_coding"),
    (b"  gzip  ,  br;q=0.5  ", b"gzip", None),
    # The star [N2].
    (b"*", b"zstd", None),
    (b"*;q=0.1", b"zstd", None),
    (b"*;q=0", None, "no_common_coding"),
    (b"br;q=0, *", b"zstd", None),
    (b"zstd;q=0, *", b"br", None),
    (b"zstd;q=0, br;q=0, gzip;q=0, *", None, "no_common_coding"),
    (b"gzip, *;q=0", b"gzip", None),
    (b"gzip;q=0.5, *", b"zstd", None),
    (b"gzip, *;q=0.5", b"gzip", None),
    (b"*, x-gzip;q=0, zstd;q=0, br;q=0", None, "no_common_coding"),
    # Preference [N3].
    (b"br;q=0.1, gzip", b"gzip", None),
    (b"br;q=0.999, gzip;q=1.000, zstd;q=0.001", b"gzip", None),
    (b"gzip;q=0.5, br;q=0.5", b"br", None),
    (b"gzip;q=0.8, br;q=0.9, zstd;q=0.7", b"br", None),
    (b"gzip;q=0.001", b"gzip", None),
    (b"gzip;q=0.1, identity;q=1", None, "identity_preferred"),
    (b"gzip;q=0.1, identity", None, "identity_preferred"),
    (b"gzip, identity", b"gzip", None),
    (b"gzip;q=0.5, identity;q=0.5", b"gzip", None),
    (b"gzip;q=0.5, identity;q=0.501", None, "identity_preferred"),
    (b"identity;q=1, *;q=0", None, "no_common_coding"),
    (b"identity;q=0.5, *;q=0.4", None, "identity_preferred"),
    # The plain body refused, and yet nothing else: no 406 [N4].
    (b"identity;q=0", None, "no_common_coding"),
    (b"identity;q=0, gzip", b"gzip", None),
    (b"identity;q=0, deflate", None, "no_common_coding"),
    (b"identity;q=0, *;q=0", None, "no_common_coding"),
    # Malformed members are ignored alone [N5].
    (b"gzip;q=1.01", None, "no_common_coding"),
    (b"gzip;q=2", None, "no_common_coding"),
    (b"gzip;q=.5", None, "no_common_coding"),
    (b"gzip;q=0.5000", None, "no_common_coding"),
    (b"gzip;q =0.5", None, "no_common_coding"),
    (b"gzip;q= 0.5", None, "no_common_coding"),
    (b"gzip;q=-1", None, "no_common_coding"),
    (b"gzip;q=", None, "no_common_coding"),
    (b"gzip;q", None, "no_common_coding"),
    (b"gzip;q=a", None, "no_common_coding"),
    (b'gzip;q="1"', None, "no_common_coding"),
    (b"gzip br", None, "no_common_coding"),
    (b"gzip;q=1.01, br", b"br", None),
    (b"gz\x00ip, br", b"br", None),
    (b"\xff\xfe, gzip", b"gzip", None),
    (b"gzip;level=9", None, "no_common_coding"),
    (b"gzip;level=9, br;q=0.1", b"br", None),
    # The first of two counts.
    (b"gzip;q=0, gzip", None, "no_common_coding"),
    (b"gzip, gzip;q=0", b"gzip", None),
    # Too long to be honest [N5].
    (b"gzip," * 500, None, "accept_too_long"),
]


@pytest.mark.parametrize(("header", "expected", "reason"), VECTORS, ids=[str(vector[0])[:60] for vector in VECTORS])
def test_vectors(header, expected, reason):
    """Every header gives the coding that RFC 9110 12.5.3 asks for, and says why there is none [N1-N5]."""
    negotiated = negotiate(header, ALL)
    assert (expected, reason) == (negotiated.coding, negotiated.reason)


def test_takes_the_servers_order_for_equal_weights():
    """The order of `encodings` settles equal preferences [N3]."""
    assert negotiate(b"zstd, br, gzip", (b"gzip", b"br", b"zstd")).coding == b"gzip"
    assert negotiate(b"*", (b"br", b"gzip")).coding == b"br"


def test_takes_another_order_for_live_streams_among_the_best_liked_only():
    """A live stream takes the cheapest coding of those that the client likes best."""
    live = (b"gzip", b"zstd", b"br")
    assert negotiate(b"gzip, br, zstd", ALL, live)[:2] == (b"zstd", b"gzip")
    assert negotiate(b"gzip;q=0.9, br, zstd", ALL, live)[:2] == (b"zstd", b"zstd")
    assert negotiate(b"br", ALL, live)[:2] == (b"br", b"br")


def test_offers_nothing_without_codings():
    """With no library at hand, no header leads to a coding."""
    assert negotiate(b"gzip, *", ()).reason == "no_common_coding"


class TestAgreements:
    """The bounded memory."""

    @pytest.fixture
    def agreements(self):
        """The agreements on all three codings."""
        levels = {"gzip_level": 6, "brotli_quality": 4, "zstd_level": 3}
        codecs = {coding: make_codec(coding.decode(), **levels) for coding in ALL}
        return Agreements(codecs, guard_cross_site=True, dictionaries=None, thread_minimum_size=None)

    @staticmethod
    def reach(agreements, header):
        agreed = agreements.reach({"method": "GET"}, [(b"accept-encoding", header)])
        return None if isinstance(agreed, str) else agreed.codec.coding

    def test_give_what_negotiate_gives(self, agreements):
        """The first and the second look-up agree."""
        for header, expected, reason in VECTORS:
            if header is None:
                assert agreements.reach({"method": "GET"}, []) == reason
                continue
            assert self.reach(agreements, header) == expected
            assert self.reach(agreements, header) == expected

    def test_do_not_grow_without_bound(self, agreements):
        """A client that sends ever new headers cannot fill the memory [N5]."""
        for number in range(2000):
            assert self.reach(agreements, b"gzip, x%d" % number) == b"gzip"
        assert len(agreements._seen) <= 256

    def test_do_not_remember_long_headers(self, agreements):
        """What is too long is not kept either [N5]."""
        assert self.reach(agreements, b"gzip" + b" " * LONGEST_HEADER) is None
        assert len(agreements._seen) == 0

    @pytest.mark.parametrize(
        ("header", "expected"),
        [
            (b"gzip, br, zstd", (b"zstd", b"br", b"gzip")),
            (b"gzip;q=0.5, br;q=0.9", (b"br", b"gzip")),
            (b"gzip;q=0.1, br, identity;q=0.5", (b"br",)),
            (b"*", (b"zstd", b"br", b"gzip")),
        ],
    )
    def test_name_all_that_a_client_takes(self, agreements, header, expected):
        """A file that stands there encoded may be in any coding that the client likes no less than the plain body."""
        assert agreements.reach({"method": "GET"}, [(b"accept-encoding", header)]).acceptable == expected


# ------------------------------------------------------------------ a slow model, written apart from the code

MEMBER = re.compile(
    r"""[ \t]* (?P<name>[!\#$%&'*+.^_`|~0-9A-Za-z-]+)
        (?: [ \t]*;[ \t]* [qQ]=(?P<q> 0(?:\.[0-9]{0,3})? | 1(?:\.0{0,3})? ) )? [ \t]*""",
    re.VERBOSE,
)


def model(header, order):
    """Choose by the letter of the RFC: list every candidate with its weight, then sort."""
    listed = []
    for text in header.split(","):
        match = MEMBER.fullmatch(text)
        if match:
            listed.append((match["name"].lower(), Fraction(match["q"].rstrip(".")) if match["q"] else Fraction(1)))

    def weight(*names):
        for name in names:
            for listed_name, listed_weight in listed:
                if listed_name == name:
                    return listed_weight
        return None

    candidates = []
    for position, coding in enumerate(order):
        names = ("gzip", "x-gzip", "*") if coding == "gzip" else (coding, "*")
        candidates.append((weight(*names) or Fraction(0), -position, coding))
    identity = weight("identity", "*")
    candidates.append((identity or Fraction(0), -len(order), None))
    usable = [candidate for candidate in candidates if candidate[0] > 0]
    return max(usable, key=lambda candidate: candidate[:2])[2] if usable else None


spaces = st.sampled_from(["", " ", "\t", "  "])
qvalues = st.sampled_from(
    [
        ";q=0",
        ";q=0.0",
        ";q=1",
        ";q=1.000",
        ";q=0.5",
        ";q=0.50",
        ";q=0.501",
        ";Q=0.3",
        ";q=2",
        ";q=.5",
        ";q=0.1234",
        ";x=1",
        ";q=1.5",
        ";q",
    ]
) | st.sampled_from(["", "; q=0.9", " ;q=0.1"])
codings = st.sampled_from(["gzip", "GZIP", "x-gzip", "br", "Br", "zstd", "identity", "*", "deflate", "gz ip", ""])
members = st.builds(lambda before, name, q, after: before + name + q + after, spaces, codings, qvalues, spaces)
orders = st.lists(st.sampled_from(["zstd", "br", "gzip"]), unique=True, min_size=1)


@given(header=st.lists(members, max_size=6).map(",".join), order=orders)
@example(header="gzip;q=0.5,*;q=0.8", order=["gzip"])
@example(header="x-gzip;q=0,*", order=["gzip"])
def test_agrees_with_the_slow_model(header, order):
    """For any list, the fast way and the model choose alike [N1-N5]."""
    chosen = negotiate(header.encode(), [coding.encode() for coding in order]).coding
    expected = model(header, order)
    assert chosen == (None if expected is None else expected.encode())


@given(header=st.binary(max_size=200))
def test_survives_any_bytes(header):
    """No bytes of a client make it fail."""
    assert negotiate(header, ALL).coding in {None, *ALL}
