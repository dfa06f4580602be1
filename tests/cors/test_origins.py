"""OriginSet: which entries are right, which origins are in the set, and that nothing else ever is."""

import copy
import ipaddress
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asgi_middleware._core.config import ConfigurationError
from asgi_middleware.cors import OriginSet
from asgi_middleware.cors.origins import LONGEST_ORIGIN

INSIDE = [
    ("https://example.com", "https://example.com"),
    ("http://example.com:8080", "http://example.com:8080"),
    ("https://example.com:80", "https://example.com:80"),
    ("http://localhost", "http://localhost"),
    ("http://127.0.0.1:3000", "http://127.0.0.1:3000"),
    ("http://[::1]:3000", "http://[::1]:3000"),
    ("http://[2001:db8::a]", "http://[2001:db8::a]"),
    ("http://[::ffff:102:304]", "http://[::ffff:102:304]"),
    ("https://xn--bcher-kva.example", "https://xn--bcher-kva.example"),
    ("https://under_score.example", "https://under_score.example"),
    ("chrome-extension://abcdefghijklmnop", "chrome-extension://abcdefghijklmnop"),
    ("capacitor://localhost", "capacitor://localhost"),
    ("null", "null"),
    ("*", "https://anything.example"),
    ("*", "null"),
    ("https://*.example.com", "https://a.example.com"),
    ("https://*.example.com", "https://a.b.c.d.example.com"),
    ("https://*.example.com", "https://xn--bcher-kva.example.com"),
    ("https://*.example.com:8443", "https://a.example.com:8443"),
    ("https://*.localhost", "https://app.localhost"),
    ("http://localhost:*", "http://localhost"),
    ("http://localhost:*", "http://localhost:1"),
    ("http://localhost:*", "http://localhost:65535"),
    ("http://[::1]:*", "http://[::1]:5173"),
    ("http://127.0.0.1:*", "http://127.0.0.1:5173"),
    ("https://*.example.com:*", "https://a.example.com"),
    ("https://*.example.com:*", "https://a.b.example.com:8443"),
]

OUTSIDE = [
    ("https://example.com", "https://example.com/"),
    ("https://example.com", "https://EXAMPLE.com"),
    ("https://example.com", "HTTPS://example.com"),
    ("https://example.com", "http://example.com"),
    ("https://example.com", "https://example.com:443"),
    ("https://example.com", "https://example.com:8443"),
    ("https://example.com", "https://example.com."),
    ("https://example.com", "https://example.co"),
    ("https://example.com", "https://example.comx"),
    ("https://example.com", "https://a.example.com"),
    ("https://example.com", "https://example.com\n"),
    ("https://example.com", " https://example.com"),
    ("https://example.com", "https://example.com https://example.com"),
    ("https://example.com", "https://example.com, https://evil.test"),
    ("https://example.com", "null"),
    ("https://example.com", ""),
    ("https://example.com", "https://"),
    ("https://*.example.com", "https://example.com"),
    ("https://*.example.com", "https://evilexample.com"),
    ("https://*.example.com", "https://example.com.evil.com"),
    ("https://*.example.com", "https://a.example.com.evil.com"),
    ("https://*.example.com", "http://a.example.com"),
    ("https://*.example.com", "https://a.example.com:8443"),
    ("https://*.example.com", "https://x@a.example.com"),
    ("https://*.example.com", "https://x:y@a.example.com"),
    ("https://*.example.com", "https://evil.com/.example.com"),
    ("https://*.example.com", "https://evil.com#.example.com"),
    ("https://*.example.com", "https://evil.com?.example.com"),
    ("https://*.example.com", "https://evil.com\\.example.com"),
    ("https://*.example.com", "https://evil.com:80.example.com"),
    ("https://*.example.com", "https://a.example.com\n"),
    ("https://*.example.com", "https://a.example.com\x00"),
    ("https://*.example.com", "https://.example.com"),
    ("https://*.example.com", "https://..example.com"),
    ("https://*.example.com", "https://a..example.com"),
    ("https://*.example.com", "https://A.example.com"),
    ("https://*.example.com", "https://a.example.com."),
    ("https://*.example.com", "https://*.example.com"),
    ("https://*.example.com", "https://\xe9.example.com"),
    ("https://*.example.com", "https://a b.example.com"),
    ("https://*.example.com", "null"),
    ("https://*.example.com", "a.example.com"),
    ("https://*.example.com", "//a.example.com"),
    ("https://*.example.com:8443", "https://a.example.com"),
    ("https://*.example.com:8443", "https://a.example.com:84433"),
    ("http://localhost:*", "http://localhost:evil.com"),
    ("http://localhost:*", "http://localhost:"),
    ("http://localhost:*", "http://localhost:*"),
    ("http://localhost:*", "http://localhost:0"),
    ("http://localhost:*", "http://localhost:080"),
    ("http://localhost:*", "http://localhost:80"),
    ("http://localhost:*", "http://localhost:65536"),
    ("http://localhost:*", "http://localhost:99999"),
    ("http://localhost:*", "http://localhost:3000/"),
    ("http://localhost:*", "http://localhost.evil.com"),
    ("http://localhost:*", "http://localhost.evil.com:3000"),
    ("http://localhost:*", "http://evil.localhost:3000"),
    ("http://localhost:*", "http://localhost:3000@evil.com"),
    ("http://localhost:*", "https://localhost:3000"),
    ("http://[::1]:*", "http://[::1]:evil"),
    ("http://[::1]:*", "http://[::2]:80"),
    ("https://*.example.com:*", "https://example.com:8443"),
    ("null", "https://null"),
    ("null", "NULL"),
    ("capacitor://localhost", "capacitor://localhost:80"),
]


class TestAllows:
    @pytest.mark.parametrize(("entry", "origin"), INSIDE)
    def test_origin_in_the_set(self, entry: str, origin: str) -> None:
        """An origin that an entry names or covers is allowed."""
        assert OriginSet([entry]).allows(origin.encode("latin-1"))

    @pytest.mark.parametrize(("entry", "origin"), OUTSIDE)
    def test_origin_outside_the_set(self, entry: str, origin: str) -> None:
        """An origin that differs in any byte, label, port or scheme is not allowed [10, 11]."""
        assert not OriginSet([entry]).allows(origin.encode("latin-1"))

    @pytest.mark.parametrize(
        "origin", ["https://barfoo.com", "https://o.com", "https://foo.combar.com", "https://oo.com"]
    )
    def test_two_origins_with_one_suffix(self, origin: str) -> None:
        """Entries that end alike allow nothing between them (GHSA-vhxv-fg4m-p2w8) [11]."""
        assert not OriginSet(["https://foo.com", "https://bar.com"]).allows(origin.encode())

    def test_overlapping_patterns(self) -> None:
        """The shorter of two overlapping patterns still counts where the longer one has another port."""
        origins = OriginSet(["https://*.b.example.com:1", "https://*.example.com:2", "https://*.example.com:3"])
        assert origins.allows(b"https://a.b.example.com:1")
        assert origins.allows(b"https://a.b.example.com:2")
        assert origins.allows(b"https://a.example.com:3")
        assert not origins.allows(b"https://a.example.com:1")

    def test_patterns_of_different_depth(self) -> None:
        """A pattern of many labels beside one of few finds both."""
        origins = OriginSet(["https://*.a.b.c.d.test", "https://*.z.test"])
        assert origins.allows(b"https://x.a.b.c.d.test")
        assert origins.allows(b"https://x.y.z.test")
        assert not origins.allows(b"https://x.b.c.d.test")

    def test_scheme_with_dots(self) -> None:
        """Dots in a custom scheme do not count as labels of its host."""
        origins = OriginSet(["a.b.c://*.example.com"])
        assert origins.allows(b"a.b.c://x.example.com")
        assert not origins.allows(b"b.c://x.example.com")

    @pytest.mark.parametrize("length", [LONGEST_ORIGIN + 1, 1 << 16])
    def test_too_long(self, length: int) -> None:
        """An origin longer than any real one is refused whatever it ends with [10]."""
        origins = OriginSet(["https://*.example.com"])
        origin = b"https://" + b"a" * (length - len(b"https://.example.com")) + b".example.com"
        assert len(origin) == length
        assert not origins.allows(origin)

    def test_longest(self) -> None:
        """An origin of the longest host that there can be is looked at [10]."""
        host = b".".join([b"a" * 63, b"b" * 63, b"c" * 63, b"d" * 49, b"example.com"])
        assert OriginSet(["https://*.example.com:*"]).allows(b"https://" + host + b":65535")

    def test_many_labels(self) -> None:
        """A host of a hundred labels is decided like any other."""
        origin = b"https://" + b"a." * 100 + b"example.com"
        assert OriginSet(["https://*.example.com"]).allows(origin)
        assert not OriginSet(["https://*.example.org"]).allows(origin)


class TestSet:
    def test_entries_once(self) -> None:
        """Repeated entries count once, in order."""
        origins = OriginSet(["https://b.test", "https://a.test", "https://b.test"])
        assert origins.entries == ("https://b.test", "https://a.test")
        assert len(origins) == 2
        assert repr(origins) == "OriginSet(['https://b.test', 'https://a.test'])"

    def test_bare_star(self) -> None:
        """The string "*" stands for the list of it."""
        assert OriginSet("*").allows_any

    def test_empty(self) -> None:
        """An empty set allows nobody, and is no error by itself."""
        assert not OriginSet([]).allows(b"https://example.com")

    def test_generator(self) -> None:
        """Entries may come from any iterable."""
        assert OriginSet(entry for entry in ["https://a.test"]).allows(b"https://a.test")

    def test_copy(self) -> None:
        """A copy answers alike."""
        assert copy.copy(OriginSet(["https://a.test"])).allows(b"https://a.test")


WRONG = [
    ("https://example.com/", "origin_trailing_slash", "'https://example.com'"),
    ("https://example.com/app", "origin_path", "'https://example.com'"),
    ("https://example.com/?x", "origin_path", "'https://example.com'"),
    ("https://example.com?x=1", "origin_query", "'https://example.com'"),
    ("https://example.com#top", "origin_fragment", "'https://example.com'"),
    ("https://example.com\\", "origin_path", "'https://example.com'"),
    ("https://user:secret@example.com", "origin_userinfo", "'https://example.com'"),
    ("https://example.com:443", "origin_default_port", "'https://example.com'"),
    ("http://example.com:80", "origin_default_port", "'http://example.com'"),
    ("https://Example.com", "origin_upper_case", "'https://example.com'"),
    ("HTTPS://example.com", "origin_upper_case", "'https://example.com'"),
    (" https://example.com", "origin_white_space", "'https://example.com'"),
    ("example.com", "origin_without_scheme", "'https://example.com'"),
    ("//example.com", "origin_without_scheme", "'https://example.com'"),
    ("localhost:3000", "origin_without_scheme", "'http://localhost:3000'"),
    ("*.example.com", "origin_without_scheme", "'https://*.example.com'"),
    ("wss://example.com", "origin_websocket_scheme", "'https://example.com'"),
    ("ws://localhost:3000", "origin_websocket_scheme", "'http://localhost:3000'"),
    ("file://", "origin_opaque", "'null'"),
    ("https://b\u00fccher.example", "origin_not_ascii", "'https://xn--bcher-kva.example'"),
    ("https://*.stra\u00dfe.example", "origin_not_ascii", "'https://*.xn--strae-oqa.example'"),
    ("https://example.com.", "origin_trailing_dot", "'https://example.com'"),
    ("https://example.com:", "origin_port", "'https://example.com'"),
    ("https://example.com:0", "origin_port", "'https://example.com'"),
    ("https://example.com:65536", "origin_port", "'https://example.com'"),
    ("https://example.com:" + "9" * 5000, "origin_port", "'https://example.com'"),
    ("https://example.com:08443", "origin_port", "'https://example.com:8443'"),
    ("https://example.com:http", "origin_port", "'https://example.com'"),
    ("https://example.com:8*", "origin_port", "'https://example.com'"),
    ("https://", "origin_without_host", "scheme://host"),
    ("https:///x", "origin_without_host", "scheme://host"),
    ("https://:8080", "origin_without_host", "scheme://host"),
    ("1http://example.com", "origin_scheme", "scheme://host"),
    ("ht tp://example.com", "origin_list", "one by one"),
    ("https://exam!ple.com", "origin_host", "scheme://host"),
    ("https://a..example.com", "origin_host", "scheme://host"),
    ("https://" + "a" * 64 + ".example.com", "origin_host", "scheme://host"),
    ("https://" + ".".join(["a" * 60] * 5), "origin_host", "scheme://host"),
    ("http://1.2.3", "origin_host", "scheme://host"),
    ("http://1.2.3.256", "origin_host", "scheme://host"),
    ("http://0x7f.0x1", "origin_host", "scheme://host"),
    ("http://::1", "origin_ipv6_brackets", "'http://[::1]'"),
    ("http://[::1", "origin_host", "scheme://host"),
    ("http://[::1]x:80", "origin_host", "'http://[::1]'"),
    ("http://[::g]", "origin_host", "scheme://host"),
    ("http://[fe80::1%25eth0]", "origin_host", "scheme://host"),
    ("http://[0:0:0:0:0:0:0:1]", "origin_ipv6_form", "'http://[::1]'"),
    ("http://[::ffff:1.2.3.4]", "origin_ipv6_form", "'http://[::ffff:102:304]'"),
    ("http://*.127.0.0.1", "wildcard_address", "scheme://host"),
    ("http://*.[::1]", "wildcard_address", "scheme://host"),
    ("https://*", "wildcard_place", "https://*.example.com"),
    ("http://*:3000", "wildcard_place", "https://*.example.com"),
    ("*://example.com", "wildcard_place", "https://*.example.com"),
    ("http*://example.com", "wildcard_place", "https://*.example.com"),
    ("https://foo*.example.com", "wildcard_place", "https://*.example.com"),
    ("https://a.*.example.com", "wildcard_place", "https://*.example.com"),
    ("https://*.*.example.com", "wildcard_place", "https://*.example.com"),
    ("https://example.*", "wildcard_place", "https://*.example.com"),
    ("chrome-extension://*", "wildcard_place", "list the origins"),
    ("https://*.com", "wildcard_top_level", "scheme://host"),
    ("https://*.", "origin_without_host", "scheme://host"),
    ("https://a.test,https://b.test", "origin_list", "['https://a.test', 'https://b.test']"),
    ("https://a.test https://b.test", "origin_list", "['https://a.test', 'https://b.test']"),
    ("", "origin_empty", "remove"),
    ("  ", "origin_empty", "remove"),
    ("NULL", "origin_spelling", "'null'"),
    (" *", "origin_spelling", "'*'"),
]


class TestWrongEntries:
    @pytest.mark.parametrize(("entry", "code", "fix"), WRONG)
    def test_code_and_fix(self, entry: str, code: str, fix: str) -> None:
        """An entry that could never match is an error with a stable code and the right spelling."""
        with pytest.raises(ConfigurationError) as caught:
            OriginSet([entry])
        problem = next(problem for problem in caught.value.problems if problem.code == code)
        assert fix in problem.fix
        assert problem.option == "origins"
        assert problem.value == entry

    @pytest.mark.parametrize(
        ("entry", "fix"), [(entry, fix) for entry, _, fix in WRONG if re.fullmatch("'.*://.*'", fix)]
    )
    def test_fix_is_right(self, entry: str, fix: str) -> None:
        """What a fix names is itself an entry that passes."""
        assert OriginSet([fix.strip("'")])

    def test_every_defect_at_once(self) -> None:
        """Each defect of an entry is named, and the fix mends all of them."""
        with pytest.raises(ConfigurationError) as caught:
            OriginSet(["HTTPS://User@B\u00dcCHER.example:443/path"])
        assert [problem.code for problem in caught.value.problems] == [
            "origin_upper_case",
            "origin_path",
            "origin_userinfo",
            "origin_default_port",
            "origin_not_ascii",
        ]
        assert {problem.fix for problem in caught.value.problems} == {"write 'https://xn--bcher-kva.example'"}

    def test_every_entry_at_once(self) -> None:
        """Wrong entries are reported together, right ones are not."""
        with pytest.raises(ConfigurationError) as caught:
            OriginSet(["https://a.test/", "https://b.test", "c.test"])
        assert [problem.value for problem in caught.value.problems] == ["https://a.test/", "c.test"]

    @pytest.mark.parametrize("value", ["https://a.test", b"https://b.test"])
    def test_bare_string(self, value: object) -> None:
        """One string where a list is needed is named as such: iterated, it would mean its characters."""
        with pytest.raises(ConfigurationError) as caught:
            OriginSet(value)  # type: ignore[arg-type]
        assert [problem.code for problem in caught.value.problems] == ["string_for_list"]

    def test_star_beside_others(self) -> None:
        """A star beside other entries is an error, because they would mean nothing."""
        with pytest.raises(ConfigurationError) as caught:
            OriginSet(["*", "https://a.test"])
        assert [problem.code for problem in caught.value.problems] == ["wildcard_with_others"]

    @given(st.text() | st.text(alphabet="htps:/*.a0-[]@?#\u00fc ,", max_size=30).map("https://".__add__))
    def test_any_text(self, entry: str) -> None:
        """Any text either is an entry or raises ConfigurationError, nothing else."""
        try:
            OriginSet([entry])
        except ConfigurationError as error:
            problems = error.problems
        else:
            return
        assert all(problem.fix for problem in problems)


_LABELS = ["a", "b", "example", "com", "evil", "xn--a", "localhost"]
_SCHEMES = ["http", "https", "app"]
_PORTS = ["", ":1", ":80", ":443", ":8080", ":65535", ":65536", ":0", ":x", ":"]

hosts = st.lists(st.sampled_from(_LABELS), min_size=1, max_size=5).map(".".join)
entries = st.builds(
    lambda scheme, wildcard, host, port: f"{scheme}://{wildcard}{host}{port}",
    st.sampled_from(_SCHEMES),
    st.sampled_from(["", "*."]),
    hosts,
    st.sampled_from(["", ":*", ":1", ":8080", ":65535"]),
)
origins_near = st.builds(
    lambda scheme, before, host, port, after: f"{scheme}://{before}{host}{port}{after}",
    st.sampled_from([*_SCHEMES, "HTTP", ""]),
    st.sampled_from(["", "a.", "a.b.", ".", "evil", "x@", "*.", "a..", "-."]),
    hosts,
    st.sampled_from(_PORTS),
    st.sampled_from(["", "", "", "/", ".", "\n", "#", "?", " ", ".evil"]),
)


def allowed_slowly(entry: str, origin: str) -> bool:
    """Say what an entry means in the plainest way: take both apart by hand, compare label by label."""
    if entry == origin:
        return "*" not in entry
    scheme, _, rest = entry.partition("://")
    their_scheme, separator, their_rest = origin.partition("://")
    if not separator or their_scheme != scheme:
        return False
    host, _, port = rest.partition(":")
    their_host, colon, their_port = their_rest.partition(":")
    if colon and not (their_port.isdecimal() and their_port.isascii() and str(int(their_port)) == their_port):
        return False
    if colon and not 0 < int(their_port) < 65536:
        return False
    if colon and (their_scheme, their_port) in {("http", "80"), ("https", "443")}:
        return False
    if port not in ("*", their_port):
        return False
    labels, their_labels = host.split("."), their_host.split(".")
    if not all(label and set(label) <= set("abcdefghijklmnopqrstuvwxyz0123456789-_") for label in their_labels):
        return False
    if labels[0] != "*":
        return labels == their_labels
    return len(their_labels) >= len(labels) and their_labels[-len(labels) + 1 :] == labels[1:]


class TestAgainstModel:
    @given(st.lists(entries, min_size=1, max_size=6), origins_near | st.text(max_size=40) | entries)
    def test_same_as_slow_model(self, listed: list[str], origin: str) -> None:
        """An origin is allowed exactly where an independent, slow reading of the entries says so [10, 11]."""
        usable = []
        for entry in listed:
            try:
                OriginSet([entry])
            except ConfigurationError:
                continue
            usable.append(entry)
        expected = any(allowed_slowly(entry, origin) for entry in usable)
        assert OriginSet(usable).allows(origin.encode("utf-8", "surrogatepass")) == expected

    @given(st.lists(entries, max_size=4), st.binary(max_size=400))
    def test_any_bytes(self, listed: list[str], origin: bytes) -> None:
        """Any bytes may be asked about; what is allowed is always a legal header value."""
        usable = [entry for entry in listed if not entry.endswith((".com", "evil"))]
        try:
            origins = OriginSet(usable)
        except ConfigurationError:
            return
        if origins.allows(origin):
            assert origin.isascii()
            assert not set(origin) & set(b"\r\n\x00 ,;")

    @given(st.ip_addresses(v=6))
    def test_ipv6(self, address: ipaddress.IPv6Address) -> None:
        """An IPv6 address passes in one spelling, which is the address and has no shorter form."""
        try:
            OriginSet([f"http://[{address.exploded}]"])
            spelling = f"[{address.exploded}]"
        except ConfigurationError as error:
            spelling = error.problems[0].fix.removeprefix("write 'http://").removesuffix("'")
        origins = OriginSet([f"http://{spelling}"])
        assert origins.allows(f"http://{spelling}".encode())
        assert ipaddress.IPv6Address(spelling[1:-1]) == address
        assert len(spelling) <= len(address.compressed) + 2 or "." in address.compressed
