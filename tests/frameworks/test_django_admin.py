"""Django's admin behind the whole stack: its own sessions, CSRF tokens and compression go on working."""

import re
from collections.abc import Iterator

import pytest
from third_party import ORIGIN, Application, running


@pytest.fixture(scope="module")
def admin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Application]:
    """Run the admin."""
    with running("admin_app", tmp_path_factory.mktemp("admin")) as application:
        yield application


def test_login_and_what_follows(admin: Application) -> None:
    """The login form, a POST with CSRF token and cookies, and a page of the session, each compressed and logged."""
    with admin.client() as client:
        form = client.get("/admin/login/", params={"next": "/admin/"})
        assert form.status_code == 200
        # Django's GZipMiddleware was first: there is one coding and one length, and the client can read the page.
        assert form.headers.get_list("content-encoding") == ["gzip"]
        assert len(form.headers.get_list("content-length")) == 1
        token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', form.text)
        assert token is not None
        assert "csrftoken" in client.cookies

        fields = {"csrfmiddlewaretoken": token[1], "username": "ada", "password": "a long password", "next": "/admin/"}
        login = client.post("/admin/login/", data=fields)
        assert (login.status_code, login.headers["location"]) == (302, "/admin/")
        assert "sessionid" in client.cookies

        page = client.get("/admin/")
        assert page.status_code == 200
        assert "Welcome" in page.text
        assert page.headers["access-control-allow-origin"] == ORIGIN
        assert {"Cookie", "Accept-Encoding", "Origin"} <= {
            member.strip() for line in page.headers.get_list("vary") for member in line.split(",")
        }
    routes = [(line["method"], line["route"], line["status"]) for line in map(admin.access_line, (form, login, page))]
    assert routes == [("GET", "/admin/login/", 200), ("POST", "/admin/login/", 302), ("GET", "/admin/", 200)]
    assert "a long password" not in admin.log.read_text()


def test_a_wrong_csrf_token(admin: Application) -> None:
    """Django's own refusal of a POST without its token passes as it is, readable for the other origin."""
    with admin.client() as client:
        refused = client.post("/admin/login/", data={"username": "ada", "password": "a long password"})
    assert refused.status_code == 403
    assert "CSRF" in refused.text
    assert refused.headers["access-control-allow-origin"] == ORIGIN
    assert admin.access_line(refused)["outcome"] == "ok"


def test_what_the_stack_refuses(admin: Application) -> None:
    """A body over the limit and a path that needs a token never reach Django."""
    with admin.client() as client:
        too_large = client.post("/admin/login/", data={"username": "a" * 30_000})
        no_token = client.get("/elsewhere/")
        not_found = client.get("/elsewhere/", headers={"authorization": admin.authorization})
    assert (too_large.status_code, too_large.json()["reason"]) == (413, "body_too_large")
    assert (no_token.status_code, no_token.json()["reason"]) == (401, "credentials_missing")
    assert not_found.status_code == 404
    line = admin.access_line(not_found)
    assert (line["subject"], line.get("route")) == ("alice", None)


def test_the_scrape(admin: Application) -> None:
    """What Prometheus gets names the admin's URL patterns, and no path."""
    with admin.client() as client:
        client.get("/admin/auth/user/1/change/")
        figures = client.get("/metrics").text
    assert 'http_route="/admin/auth/user/<path:object_id>/change/"' in figures
    assert "/admin/auth/user/1/" not in figures
