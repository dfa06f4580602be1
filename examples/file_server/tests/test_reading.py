"""GET and HEAD: codings, validators, ranges, and what is not there."""

import gzip
import http.client
from email.utils import formatdate

import brotli
import httpx
import pytest

LINES = b"".join(b"line %05d of a text that compresses well\n" % number for number in range(5000))


@pytest.fixture
def put(service):
    """Put a file into the served folder, past the service."""

    def put_(name, content=LINES):
        path = service.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return f"/{name}"

    return put_


def test_a_file_comes_whole_with_its_type_and_validators(reader, put):
    """Length, type, tag, date, and the offer of ranges."""
    answer = reader.get(put("whole.txt"))
    assert (answer.status_code, answer.content) == (200, LINES)
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert answer.headers["content-length"] == str(len(LINES))
    assert answer.headers["accept-ranges"] == "bytes"
    assert answer.headers["etag"].startswith('"')


def test_a_folder_is_its_index(reader, put):
    """`/docs/` is `/docs/index.html`."""
    put("docs/index.html", b"<h1>Docs</h1>")
    assert reader.get("/docs/").headers["content-type"] == "text/html; charset=utf-8"


@pytest.mark.parametrize(("coding", "decode"), [("gzip", gzip.decompress), ("br", brotli.decompress)])
def test_a_text_is_compressed_as_the_client_likes(service, put, coding, decode):
    """On granian the file is read and encoded here; without a coding the server would send it by itself."""
    with httpx.stream("GET", service.address + put("text.txt"), headers={"accept-encoding": coding}) as answer:
        body = b"".join(answer.iter_raw())
    assert answer.headers["content-encoding"] == coding
    assert answer.headers["vary"].lower() == "accept-encoding"
    assert answer.headers["etag"].endswith(f'-{coding}"')
    assert "accept-ranges" not in answer.headers
    assert (decode(body), len(body) < len(LINES) / 4) == (LINES, True)


def test_an_encoded_file_beside_the_plain_one_is_sent(service, put):
    """Encoded once, at the highest level, and sent as it is, where the server sends files by itself."""
    path = put("site/style.css")
    put("site/style.css.br", brotli.compress(b"/* the sibling */"))
    answer = httpx.get(service.address + path, headers={"accept-encoding": "br"})
    sent = b"/* the sibling */" if service.server == "granian" else LINES
    assert (answer.headers["content-encoding"], answer.content) == ("br", sent)
    assert answer.headers["content-type"] == "text/css; charset=utf-8"


@pytest.mark.parametrize("accepted", ["identity", "gzip"])
def test_head_is_get_without_the_body(service, put, accepted):
    """Nothing is said that GET would not say; what only GET finds out is left out."""
    url, headers = service.address + put("head.txt"), {"accept-encoding": accepted}
    got, head = httpx.get(url, headers=headers), httpx.head(url, headers=headers)
    assert (head.status_code, head.content) == (200, b"")
    passing = {"date", "x-request-id"}
    said = {name: value for name, value in head.headers.items() if name not in passing}
    assert said.items() <= {name: value for name, value in got.headers.items() if name not in passing}.items()
    assert {"content-type", "last-modified"} <= said.keys()


def test_who_has_the_file_gets_304(reader, put):
    """By tag, also by that of an encoded answer, and by date."""
    path = put("known.txt")
    plain = reader.get(path)
    encoded = reader.get(path, headers={"accept-encoding": "gzip"})
    for known in (
        {"if-none-match": plain.headers["etag"]},
        {"if-none-match": encoded.headers["etag"], "accept-encoding": "gzip"},
        {"if-none-match": f'"other", W/{plain.headers["etag"]}'},
        {"if-none-match": "*"},
        {"if-modified-since": plain.headers["last-modified"]},
    ):
        answer = reader.get(path, headers=known)
        assert (answer.status_code, answer.content) == (304, b""), known
    for other in ({"if-none-match": '"other"'}, {"if-modified-since": formatdate(0, usegmt=True)}):
        assert reader.get(path, headers=other).status_code == 200, other


@pytest.mark.parametrize(
    ("asked", "content_range"),
    [
        ("bytes=0-9", "bytes 0-9/100"),
        ("bytes=90-", "bytes 90-99/100"),
        ("bytes=-5", "bytes 95-99/100"),
        ("bytes=50-1000", "bytes 50-99/100"),
        ("bytes=-1000", "bytes 0-99/100"),
    ],
)
def test_a_part_of_a_file(reader, put, asked, content_range):
    """A range is sent plain, whatever coding the client likes, since it is one of the plain file."""
    content = bytes(range(100))
    answer = reader.get(put("hundred.bin", content), headers={"range": asked, "accept-encoding": "gzip"})
    assert (answer.status_code, answer.headers["content-range"]) == (206, content_range)
    first, last = map(int, content_range.removeprefix("bytes ").removesuffix("/100").split("-"))
    assert answer.content == content[first : last + 1]


@pytest.mark.parametrize("asked", ["bytes=9-1", "bytes=a-b", "bytes=0-1,5-6", "lines=1-2", "bytes=-"])
def test_a_range_that_says_nothing_to_us_is_the_whole_file(reader, put, asked):
    """Several ranges at once are not needed by anybody (RFC 9110 14.2 allows to ignore them)."""
    assert reader.get(put("whole.bin", b"0123456789"), headers={"range": asked}).status_code == 200


@pytest.mark.parametrize("asked", ["bytes=10-", "bytes=-0"])
def test_a_range_behind_the_end_is_a_problem(reader, put, asked):
    """The answer says how long the file is."""
    answer = reader.get(put("short.bin", b"0123456789"), headers={"range": asked})
    assert (answer.status_code, answer.headers["content-range"]) == (416, "bytes */10")
    assert answer.json()["reason"] == "range_not_satisfiable"


def test_a_download_is_resumed_only_where_the_file_is_the_same(reader, put):
    """`If-Range` by tag or date; a tag of an encoded answer stands for other bytes."""
    path = put("resume.txt")
    plain = reader.get(path)
    encoded_tag = reader.get(path, headers={"accept-encoding": "gzip"}).headers["etag"]
    for validator, status in (
        (plain.headers["etag"], 206),
        (plain.headers["last-modified"], 206),
        ('"other"', 200),
        (f"W/{plain.headers['etag']}", 200),
        (encoded_tag, 200),
        (formatdate(0, usegmt=True), 200),
    ):
        answer = reader.get(path, headers={"range": "bytes=100-199", "if-range": validator})
        assert answer.status_code == status, validator
        assert answer.content == (LINES[100:200] if status == 206 else LINES)


@pytest.mark.parametrize(
    "path", ["/none.txt", "/docs/none/", "/.hidden", "/short.txt/more", "/" + "x" * 300, "/link.txt"]
)
def test_what_is_not_there_is_a_problem_document(reader, put, service, path):
    """Hidden names, ways out and names that no file can have are as absent as all others."""
    put(".hidden", b"hidden")
    put("short.txt", b"short")
    if not (service.root / "link.txt").is_symlink():
        (service.root / "link.txt").symlink_to("/etc/hostname")
    answer = reader.get(path)
    assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")
    assert answer.json()["reason"] == "not_found"
    assert answer.json()["request_id"] == answer.headers["x-request-id"]
    page = reader.get(path, headers={"accept": "text/html"})
    assert (page.status_code, page.headers["content-type"].split(";")[0]) == (404, "text/html")


@pytest.mark.parametrize("path", ["/../etc/hostname", "/%2e%2e/etc/hostname", "//whole.txt", "/docs/..%2fwhole.txt"])
def test_a_path_that_can_be_read_in_two_ways_is_not_for_everybody(service, path):
    """It is not exempt from the token, whatever the file system would make of it."""
    connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=10)
    connection.request("GET", path)
    assert connection.getresponse().status == 401
    connection.close()


def test_other_methods_are_named(writer):
    """The answer says which ones there are."""
    answer = writer.delete("/whole.txt")
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD, PUT")
