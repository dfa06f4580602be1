"""People: sessions, forms and the admin work behind the stack as they do without it."""

import gzip
import re

import httpx
import pytest


def form_token(page):
    """Find the CSRF token that Django put into a page's form."""
    return re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page.text)[1]


@pytest.fixture
def ada(browser):
    """Ada's browser, logged in through the admin's own page."""
    page = browser.get("/admin/login/")
    entered = {"username": "ada", "password": "correct horse", "csrfmiddlewaretoken": form_token(page)}
    assert "Site administration" in browser.post("/admin/login/?next=/admin/", data=entered).text
    return browser


def test_the_admin_asks_for_a_login_and_has_its_styles(browser):
    """Nobody needs a token for the admin; its pages lead to the login."""
    page = browser.get("/admin/archive/document/")
    assert page.url.path == "/admin/login/"
    style = re.search(r'href="(/static/admin/css/base\.css)"', page.text)[1]
    assert browser.get(style).headers["content-type"].startswith("text/css")


def test_the_admin_adds_changes_and_deletes(ada):
    """A document goes through the admin's forms."""
    page = ada.get("/admin/archive/document/add/")
    sent = {"title": "From the admin", "owner": "1", "csrfmiddlewaretoken": form_token(page)}
    answer = ada.post("/admin/archive/document/add/", data=sent, files={"file": ("a.txt", b"content")})
    assert "was added successfully" in answer.text
    change = re.search(r'href="(/admin/archive/document/\d+/change/)[^"]*">From the admin', answer.text)[1]
    page = ada.get(change)
    sent = {"title": "Changed", "owner": "1", "csrfmiddlewaretoken": form_token(page)}
    assert "was changed successfully" in ada.post(change, data=sent).text
    delete = change.replace("change", "delete")
    sent = {"post": "yes", "csrfmiddlewaretoken": form_token(ada.get(delete))}
    assert "was deleted successfully" in ada.post(delete, data=sent).text


def test_a_form_without_its_csrf_token_is_refused(ada):
    """Django's own protection is at work, and its own page answers."""
    answer = ada.post("/upload/", data={"title": "Forged"}, files={"file": ("a.txt", b"x")})
    assert (answer.status_code, "CSRF verification failed" in answer.text) == (403, True)


def test_a_form_uploads_a_file(ada, program):
    """The file is there for programs, too."""
    text = "Bäume\n" * 20_000
    sent = {"title": "Trees", "csrfmiddlewaretoken": form_token(ada.get("/upload/"))}
    assert "<li>Trees</li>" in ada.post("/upload/", data=sent, files={"file": ("trees.txt", text.encode())}).text
    found = next(each for each in program.get("/api/documents/").json()["documents"] if each["title"] == "Trees")
    assert program.get(f"/api/documents/{found['id']}/").text == text


def test_a_form_that_was_sent_compressed_arrives(ada):
    """Django's parser gets plain bytes and their true length."""
    fields = {"title": "Zipped", "csrfmiddlewaretoken": form_token(ada.get("/upload/"))}
    request = httpx.Request("POST", "http://any/", data=fields, files={"file": ("z.txt", b"z" * 5000)})
    headers = {"content-type": request.headers["content-type"], "content-encoding": "gzip"}
    answer = ada.post("/upload/", content=gzip.compress(request.read()), headers=headers)
    assert (answer.status_code, "<li>Zipped</li>" in answer.text) == (200, True)


def test_the_form_takes_more_than_the_api(ada):
    """2 MB pass where the form stands, 21 MB do not."""
    sent = {"title": "Large", "csrfmiddlewaretoken": form_token(ada.get("/upload/"))}
    assert ada.post("/upload/", data=sent, files={"file": ("l.bin", b"\0" * 2_000_000)}).status_code == 200
    refused = ada.post("/upload/", data=sent, files={"file": ("l.bin", b"\0" * 21_000_000)})
    assert (refused.status_code, refused.json()["reason"]) == (413, "body_too_large")


def test_a_session_opens_no_api(ada):
    """The API is for tokens: a cookie, which any page can make a browser send, is not looked at there."""
    answer = ada.get("/api/documents/")
    assert (answer.status_code, answer.json()["reason"]) == (401, "credentials_missing")


def test_pages_are_compressed_and_kept_apart(ada):
    """In the coding that the browser likes best, and not mixed up by caches."""
    answer = ada.get("/admin/", headers={"accept-encoding": "br, gzip;q=0.5"})
    assert answer.headers["content-encoding"] == "br"
    assert {"accept-encoding", "cookie"} <= set(re.split(r",\s*", answer.headers["vary"].lower()))
