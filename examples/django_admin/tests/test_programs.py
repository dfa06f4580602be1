"""Programs: tokens, problem documents, and what the operators see."""

import gzip

import httpx
import pytest

BOMB = gzip.compress(b" " * 30_000_000)


@pytest.fixture
def add(program):
    """Add a document, and give its path."""

    def add_(title="Notes", text="notes"):
        answer = program.post("/api/documents/", json={"title": title, "text": text})
        assert answer.status_code == 201
        return f"/api/documents/{answer.json()['id']}/"

    return add_


def test_a_document_is_its_token_subjects(program, add):
    """The user of the database whose name is in the token owns what is added: async view, sync view, async view."""
    path = add("Mine", "my text")
    assert program.get(path).text == "my text"
    listed = {each["title"]: each["owner"] for each in program.get("/api/documents/").json()["documents"]}
    assert listed["Mine"] == "ada"


@pytest.mark.parametrize("path", ["/api/documents/", "/api/documents/1/"])
def test_a_good_token_of_nobody_here_is_refused(service, issuer, path):
    """In async and sync views alike: there is no such user in the database."""
    headers = {"authorization": f"Bearer {issuer.token(sub='eve', scope='archive:write')}"}
    answer = httpx.get(service.address + path, headers=headers)
    assert (answer.status_code, answer.json()["reason"]) == (403, "not_a_member")


@pytest.mark.parametrize(
    ("method", "path", "content", "status", "reason"),
    [
        ("GET", "/api/documents/4000/", b"", 404, "no_such_document"),
        ("POST", "/api/documents/", b"no JSON", 400, "invalid_document"),
        ("POST", "/api/documents/", b'{"title": ""}', 400, "invalid_document"),
        ("POST", "/api/documents/", b" " * 1_000_001, 413, "body_too_large"),
    ],
)
def test_what_is_wrong_is_a_problem_document(program, method, path, content, status, reason):
    """Exceptions of views and refusals of the stack have one form."""
    answer = program.request(method, path, content=content)
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
    assert answer.json()["reason"] == reason


@pytest.mark.parametrize(
    ("content", "status", "reason"),
    [(BOMB, 413, "inflated_body_too_large"), (b"not gzip", 400, "malformed_encoded_body")],
)
def test_compressed_bodies_are_bounded(program, content, status, reason):
    """30 kB that inflate to 30 MB are refused before Django sees a byte."""
    answer = program.post("/api/documents/", content=content, headers={"content-encoding": "gzip"})
    assert (answer.status_code, answer.json()["reason"]) == (status, reason)


def test_a_compressed_body_arrives(program):
    """The view sees plain JSON."""
    content = gzip.compress(b'{"title": "Zipped", "text": "zipped"}')
    assert program.post("/api/documents/", content=content, headers={"content-encoding": "gzip"}).status_code == 201


def test_reading_is_not_writing(service, issuer):
    """A rule asks for a scope on POST alone."""
    headers = {"authorization": f"Bearer {issuer.token(sub='ada')}"}
    assert httpx.get(service.address + "/api/documents/", headers=headers).status_code == 200
    answer = httpx.post(service.address + "/api/documents/", headers=headers)
    assert (answer.status_code, answer.json()["reason"]) == (403, "insufficient_scope")


def test_a_fault_says_nothing_of_itself(program, add, data, service):
    """A file that is gone is a 500 without its path; the log has the traceback under the same id."""
    path = add("Lost")
    for file in (data / "media" / "documents").glob("document*.txt"):
        file.unlink()
    answer = program.get(path)
    assert (answer.status_code, answer.json()["reason"]) == (500, "internal_error")
    assert str(data) not in answer.text
    line = service.log_line(event="http.request", request_id=answer.json()["request_id"])
    assert (line["error_type"], line["route"]) == ("FileNotFoundError", "/api/documents/<int:number>/")
    assert str(data) in line["exception"]
    page = program.get(path, headers={"accept": "text/html"})
    assert page.headers["content-type"].startswith("text/html")


def test_the_log_names_user_route_and_what_the_view_added(program, service):
    """One line, with the time in the database and the number of documents."""
    request_id = program.get("/api/documents/").headers["x-request-id"]
    line = service.log_line(event="http.request", request_id=request_id)
    assert (line["subject"], line["route"], line["status"]) == ("ada", "/api/documents/", 200)
    assert line["timings_ms"]["db"] > 0
    assert "documents" in line


def test_prometheus_reads_figures_by_route(program, service):
    """Labels are Django's URL patterns; without its token nobody reads them."""
    program.get("/api/documents/4000/")
    url = f"{service.address}/metrics"
    assert httpx.get(url).status_code == 401
    figures = httpx.get(url, headers={"authorization": "Bearer let-prometheus-in"}).text
    assert 'http_route="/api/documents/<int:number>/"' in figures
    assert "/api/documents/4000" not in figures


def test_probes_need_no_token(service):
    """Nor do they leave a line."""
    assert httpx.get(f"{service.address}/health/").text == "ok"
