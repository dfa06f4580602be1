"""PUT: who may, what fits, and that a file is whole or not there."""

import gzip
import socket
import time

import pytest

BOMB = gzip.compress(b"\0" * 20_000_000)


def leftovers(service):
    """Give the temporary files that are still there."""
    until = time.monotonic() + 5
    while (found := list(service.root.rglob(".upload-*"))) and time.monotonic() < until:
        time.sleep(0.02)
    return found


def test_a_file_is_put_and_read_back(writer, reader):
    """201 for a new file, 200 for the next version, and the tag changes."""
    first = writer.put("/new/folder/a.txt", content=b"one")
    second = writer.put("/new/folder/a.txt", content=b"two")
    assert (first.status_code, second.status_code) == (201, 200)
    assert first.headers["etag"] != second.headers["etag"]
    answer = reader.get("/new/folder/a.txt")
    assert (answer.content, answer.headers["etag"]) == (b"two", second.headers["etag"])


def test_reading_is_free_writing_is_not(reader):
    """Without a token there is a challenge that names the scope."""
    answer = reader.put("/new.txt", content=b"x")
    assert (answer.status_code, answer.json()["reason"]) == (401, "credentials_missing")
    assert 'scope="files:write"' in answer.headers["www-authenticate"]


def test_nobody_overwrites_what_they_have_not_seen(writer):
    """`If-Match` with the tag of a GET, compressed or not, and `If-None-Match: *` for new files."""
    path, content = "/shared.txt", b"shared " * 1000
    writer.put(path, content=content)
    tag = writer.get(path, headers={"accept-encoding": "br"}).headers["etag"]
    assert tag.endswith('-br"')
    assert writer.put(path, content=content + b"mine", headers={"if-match": tag}).status_code == 200
    late = writer.put(path, content=content + b"theirs", headers={"if-match": tag})
    assert (late.status_code, late.json()["reason"]) == (412, "changed_meanwhile")
    assert writer.put(path, content=content, headers={"if-none-match": "*"}).status_code == 412
    assert writer.put("/unseen.txt", content=b"", headers={"if-match": "*"}).status_code == 412


@pytest.mark.parametrize("parts", [None, 20], ids=["announced", "in chunks"])
def test_a_body_over_the_limit_is_413(writer, service, parts):
    """By its announced length at once; else at the byte that is one too many, and nothing stays behind."""
    content = b"x" * 1_000_001 if parts is None else (b"x" * 100_000 for _ in range(parts))
    answer = writer.put("/large.bin", content=content)
    assert (answer.status_code, answer.json()["reason"]) == (413, "body_too_large")
    assert not (service.root / "large.bin").exists()
    assert not leftovers(service)


def test_a_body_of_exactly_the_limit_fits(writer, reader):
    """A million bytes are a million bytes."""
    assert writer.put("/exact.bin", content=b"x" * 1_000_000).status_code in (200, 201)
    assert reader.head("/exact.bin").headers["content-length"] == "1000000"


def test_a_compressed_upload_is_stored_plain(writer, reader):
    """The client saves bytes on the wire; readers get what they like."""
    content = b"plain text " * 1000
    answer = writer.put("/zipped.txt", content=gzip.compress(content), headers={"content-encoding": "gzip"})
    assert answer.status_code in (200, 201)
    assert reader.get("/zipped.txt").content == content


@pytest.mark.parametrize(
    ("content", "coding", "status", "reason"),
    [
        (BOMB, "gzip", 413, "inflated_body_too_large"),
        (gzip.compress(b"x" * 5000)[:-8], "gzip", 400, "truncated_encoded_body"),
        (b"not gzip at all", "gzip", 400, "malformed_encoded_body"),
        (b"x", "compress", 415, "unsupported_content_encoding"),
    ],
)
def test_a_compressed_upload_that_is_not_sound_leaves_nothing(writer, service, content, coding, status, reason):
    """The old file stays as it was."""
    (service.root / "sound.txt").write_bytes(b"old")
    answer = writer.put("/sound.txt", content=content, headers={"content-encoding": coding})
    assert (answer.status_code, answer.json()["reason"]) == (status, reason)
    assert (service.root / "sound.txt").read_bytes() == b"old"
    assert not leftovers(service)


def test_a_client_that_stops_sending_is_let_go(writer, service):
    """408 after a second without a byte, and nothing stays behind."""
    token = writer.headers["authorization"]
    head = f"PUT /slow.bin HTTP/1.1\r\nhost: x\r\nauthorization: {token}\r\ncontent-length: 1000\r\n\r\n"
    with socket.create_connection(("127.0.0.1", service.port), timeout=10) as connection:
        connection.sendall(head.encode() + b"only this")
        answer = connection.makefile("rb").read()
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b'"reason":"body_idle_timeout"' in answer
    assert not (service.root / "slow.bin").exists()
    assert not leftovers(service)


def test_a_client_that_leaves_leaves_nothing(writer, service):
    """The half of a file is no file."""
    token = writer.headers["authorization"]
    head = f"PUT /half.bin HTTP/1.1\r\nhost: x\r\nauthorization: {token}\r\ncontent-length: 1000\r\n\r\n"
    with socket.create_connection(("127.0.0.1", service.port), timeout=10) as connection:
        connection.sendall(head.encode() + b"half")
        time.sleep(0.1)
    assert not leftovers(service)
    assert not (service.root / "half.bin").exists()


@pytest.mark.parametrize(
    ("path", "headers", "status", "reason"),
    [
        ("/folder", {}, 409, "not_a_file"),
        ("/folder/file.txt/more", {}, 409, "not_a_file"),
        ("/folder/", {}, 404, "not_found"),
        ("/.profile", {}, 404, "not_found"),
        ("/part.txt", {"content-range": "bytes 0-0/2"}, 400, "partial_put"),
    ],
)
def test_what_cannot_be_put_is_a_problem_document(writer, service, path, headers, status, reason):
    """A folder in the way, a hidden name, a part of a file."""
    (service.root / "folder").mkdir(exist_ok=True)
    (service.root / "folder" / "file.txt").write_bytes(b"")
    answer = writer.put(path, content=b"x", headers=headers)
    assert (answer.status_code, answer.json()["reason"]) == (status, reason)
    assert not leftovers(service)


def test_the_log_says_who_stored_how_much(writer, service):
    """One line for the upload, with the subject and what the handler added; a refusal has its reason."""
    request_id = writer.put("/logged.txt", content=b"12345").headers["x-request-id"]
    line = service.log_line(event="http.request", request_id=request_id)
    assert (line["method"], line["subject"], line["stored_bytes"]) == ("PUT", "ada", 5)
    request_id = writer.get("/not-there").headers["x-request-id"]
    line = service.log_line(event="http.request", request_id=request_id)
    assert (line["status"], line["outcome"], line["refusal"]) == (404, "refused", "not_found")
