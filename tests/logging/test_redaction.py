"""Redaction: secrets in queries, URLs, paths and headers stay out of the log."""

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asgi_middleware.logging import DEFAULT_PARAMETERS, Redaction
from asgi_middleware.logging.redaction import Redactor

REDACTOR = Redactor(Redaction())
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl"


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (b"", None),
        (None, None),
        (b"page=2&sort=name", "page=2&sort=name"),
        (b"token=s3cret", "token=REDACTED"),
        (b"a=1&token=s3cret&b=2", "a=1&token=REDACTED&b=2"),
        (b"a=1;token=s3cret", "a=1;token=REDACTED"),
        (b"TOKEN=s3cret&Access-Token=s3cret", "TOKEN=REDACTED&Access-Token=REDACTED"),
        (b"accessToken=s3cret&apikey=s3cret", "accessToken=REDACTED&apikey=REDACTED"),
        (b"%74oken=s3cret", "%74oken=REDACTED"),
        (b"user[password]=s3cret&user.pwd=s3cret", "user[password]=REDACTED&user.pwd=REDACTED"),
        (b"user%5Bpassword%5D=s3cret", "user%5Bpassword%5D=REDACTED"),
        (b"token=a=b", "token=REDACTED"),
        (b"token=&x=1", "token=&x=1"),
        (b"token", "token"),
        (b"X-Amz-Signature=s3cret&x-goog-signature=s3cret", "X-Amz-Signature=REDACTED&x-goog-signature=REDACTED"),
        (b"AWSAccessKeyId=s3cret", "AWSAccessKeyId=REDACTED"),
        (b"code=s3cret&state=s3cret", "code=REDACTED&state=REDACTED"),
        (f"next={JWT}".encode(), "next=REDACTED"),
        (b"x=\xff\r\n", "x=\u00ff\\x0d\\x0a"),
        (b"next=/cb?code=s3cret&a=1", "next=/cb?code=REDACTED&a=1"),
        (b"next=/cb?x=1#y?access_token=s3cret?s3cret#s3cret;b=2", "next=/cb?x=1#y?access_token=REDACTED;b=2"),
        (b"token=a?b=c#d", "token=REDACTED"),
        (b"next=/a?b#c", "next=/a?b#c"),
        (b"tokens=1&monkey=2&keyboard=3", "tokens=1&monkey=2&keyboard=3"),
    ],
)
def test_query(query: bytes | None, expected: str | None) -> None:
    """The values of secret parameters are hidden, whatever their spelling; names and all else stay [3.4]."""
    assert REDACTOR.query(query) == expected


def test_query_modes() -> None:
    """The query can be left out, or kept as it is but clean."""
    assert Redactor(Redaction(query="drop")).query(b"a=1") is None
    assert Redactor(Redaction(query="keep")).query(b"token=x\n") == "token=x\\x0a"


def test_own_parameters_and_replacement() -> None:
    """The set of parameters and the replacement can be chosen."""
    redactor = Redactor(Redaction(parameters=DEFAULT_PARAMETERS | {"voucher"}, replacement="***"))
    assert redactor.query(b"voucher=1&token=2&a=3") == "voucher=***&token=***&a=3"


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/items/7", "/items/7"),
        ("/a\nb", "/a\\x0ab"),
        (f"/verify/{JWT}/done", "/verify/REDACTED/done"),
        ("http://user:pass@example.org/a", "/a"),
        ("*", "*"),
        ("", ""),
    ],
)
def test_path(path: str, expected: str) -> None:
    """A path is cleaned; tokens in it and the authority of an absolute target are hidden."""
    assert REDACTOR.path(path) == expected


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://a.example/x", "https://a.example/x"),
        ("https://a.example/x?token=s3cret&a=1", "https://a.example/x?token=REDACTED&a=1"),
        ("https://a.example/#access_token=s3cret&a=1", "https://a.example/#access_token=REDACTED&a=1"),
        ("https://a.example/?a=1#id_token=s3cret", "https://a.example/?a=1#id_token=REDACTED"),
        ("https://user:s3cret@a.example/?a=1", "https://REDACTED@a.example/?a=1"),
        ("https://user:s3@cret@a.example/", "https://REDACTED@a.example/"),
        ("?token=s3cret", "?token=REDACTED"),
    ],
)
def test_url(url: str, expected: str) -> None:
    """A URL in a header loses its user and the secrets of its query and fragment."""
    assert REDACTOR.url(url) == expected


def test_url_without_query() -> None:
    """Where queries are dropped, a URL loses its query, too."""
    assert Redactor(Redaction(query="drop")).url("https://a.example/x?a=1") == "https://a.example/x"


def test_headers() -> None:
    """Only the headers that were asked for are shown; secrets among them are hidden, several lines are joined."""
    index = [
        (b"user-agent", b"curl\x1b[0m"),
        (b"authorization", b"Bearer s3cret"),
        (b"cookie", b"sid=s3cret"),
        (b"sec-websocket-protocol", b"bearer, s3cret"),
        (b"referer", b"https://a.example/?token=s3cret"),
        (b"accept", b"text/html"),
        (b"accept", b"*/*"),
        (b"x-other", b"unseen"),
    ]
    names = (b"user-agent", b"authorization", b"cookie", b"sec-websocket-protocol", b"referer", b"accept", b"x-absent")
    assert REDACTOR.headers(index, names) == {
        "user-agent": "curl\\x1b[0m",
        "authorization": "REDACTED",
        "cookie": "REDACTED",
        "sec-websocket-protocol": "REDACTED",
        "referer": "https://a.example/?token=REDACTED",
        "accept": "text/html, */*",
    }


@pytest.mark.parametrize("raw", [b"\xff\\x0a", b"\xff\\x", b"r\xe9sum\xe9", bytes(range(256))])
def test_any_bytes_of_a_header_are_read(raw: bytes) -> None:
    """A header that is not UTF-8 is read byte by byte; a typed escape stays the text it is [3.4]."""
    shown = REDACTOR.headers(([(b"user-agent", raw)]), (b"user-agent",))["user-agent"]
    assert "\n" not in shown
    assert shown.startswith(raw[:1].decode("latin-1") if raw[0] > 31 else "\\x")


NAMES = st.sampled_from(sorted(DEFAULT_PARAMETERS))
SECRET = "zq9CANARY9qz"


@given(
    NAMES,
    st.sampled_from([str.lower, str.upper, str, lambda name: "".join(f"%{ord(c):02X}" for c in name)]),
    st.sampled_from(["", "a=1&", "&&", "x;", "%00=1&", "=&"]),
    st.sampled_from(["", "&b=2", ";b", "&", "#"]),
)
def test_no_spelling_of_a_secret_parameter_gets_through(name: str, spell: object, before: str, after: str) -> None:
    """Whatever the case and encoding of the name and whatever stands around it, the value is not shown."""
    assert callable(spell)
    query = f"{before}{spell(name)}={quote(SECRET)}{after}"
    shown = REDACTOR.query(query.encode())
    assert shown is not None
    assert SECRET not in shown
    assert SECRET not in REDACTOR.url(f"https://a.example/?{query}")


def test_a_long_query_is_cut() -> None:
    """A query is cut to the maximum length, and a secret at the cut stays hidden."""
    redactor = Redactor(Redaction(max_length=16))
    shown = redactor.query(b"a" * 10 + b"=1&token=" + SECRET.encode() * 50)
    assert shown is not None
    assert "CANARY" not in shown
    assert len(shown) < 40


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("next=%2Fcb%3Fcode%3Ds3cret", "next=REDACTED"),
        ("next=https%3A%2F%2Fa.example%2F%3Fa%3D1%26access_token%3Ds3cret", "next=REDACTED"),
        ("next=%252Fcb%253Fcode%253Ds3cret", "next=REDACTED"),
        ("next=%25252525", "next=REDACTED"),
        ("next=%2Fcb%3Fpage%3D2", "next=%2Fcb%3Fpage%3D2"),
        ("q=100%25&page=2", "q=100%25&page=2"),
    ],
    ids=["once", "second parameter", "twice", "too often", "harmless", "percent"],
)
def test_encoded_urls_in_values(query: str, expected: str) -> None:
    """A secret of a URL that is percent-encoded within a parameter is hidden, with the whole value [3.4]."""
    assert REDACTOR.query(query.encode()) == expected


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (b"page=2", "page=2"),
        (b"page=", "page="),
        (b"page", "page"),
        (b"page=a\n", "page=a\\x0a"),
        (b"page=2&token=abc", "page=2&token=REDACTED"),
        (b"token=abc", "token=REDACTED"),
        (b"PAGE=2", "PAGE=2"),
        (b"page=eyJhbGciOi", "page=REDACTED"),
        (b"page=/x?token=a", "page=/x?token=REDACTED"),
        (b"page=" + b"1" * 3000, f"page={'1' * 2043}\u2026(+957)"),
    ],
)
def test_a_known_name_hides_as_much(query: bytes, expected: str) -> None:
    """A parameter whose name was seen before is treated as at first."""
    redactor = Redactor(Redaction())
    for _ in range(3):
        assert redactor.query(b"page=1") == "page=1"
        assert redactor.query(query) == expected


def test_learned_names_have_a_bound() -> None:
    """What is kept of parameter names is bounded, holds no value and no secret's name."""
    redactor = Redactor(Redaction())
    for number in range(3000):
        assert redactor.query(b"p%d=v" % number) == f"p{number}=v"
    assert redactor.query(b"token=s3cret&p1=2") == "token=REDACTED&p1=2"
    assert len(redactor._harmless) == 1024
    assert b"p1" in redactor._harmless
    assert b"token" not in redactor._harmless
