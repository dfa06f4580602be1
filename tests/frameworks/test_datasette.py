"""Datasette behind the whole stack: pages, JSON, streamed CSV, static files."""

from collections.abc import Iterator

import pytest
from third_party import ORIGIN, Application, running


@pytest.fixture(scope="module")
def datasette(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Application]:
    """Run Datasette."""
    with running("datasette_app", tmp_path_factory.mktemp("datasette")) as application:
        yield application


def test_pages_and_data(datasette: Application) -> None:
    """A table as page, JSON and CSV: compressed once, whole, with one line each."""
    with datasette.client(authorization=datasette.authorization) as client:
        page = client.get("/shop/fruit")
        rows = client.get("/shop/fruit.json", params={"_shape": "array", "_size": "max"})
        table = client.get("/shop/fruit.csv", params={"_stream": "on"})
    assert "fruit 49" in page.text
    assert [row["name"] for row in rows.json()] == [f"fruit {number}" for number in range(50)]
    assert table.text.splitlines()[-1] == "50,fruit 49"
    for response in (page, rows, table):
        assert response.status_code == 200
        assert len(response.headers.get_list("content-encoding")) == 1
        assert response.headers["access-control-allow-origin"] == ORIGIN
        assert datasette.access_line(response)["subject"] == "alice"


def test_static_files(datasette: Application) -> None:
    """A static file needs no token here, and comes compressed."""
    with datasette.client() as client:
        style = client.get("/-/static/app.css")
    assert style.status_code == 200
    assert style.headers.get_list("content-encoding") != []
    assert "body" in style.text
    assert "subject" not in datasette.access_line(style)


def test_refusals_and_errors(datasette: Application) -> None:
    """Without a token nothing is shown; a table that is missing is Datasette's own 404; SQL errors are its own 400."""
    with datasette.client() as client:
        refused = client.get("/shop/fruit.json")
        known = {"authorization": datasette.authorization}
        missing = client.get("/shop/nothing.json", headers=known)
        wrong = client.get("/shop.json", params={"sql": "select nonsense"}, headers=known)
    assert (refused.status_code, refused.json()["reason"]) == (401, "credentials_missing")
    assert missing.status_code == 404
    assert missing.json()["ok"] is False
    assert wrong.status_code == 400
    assert all(response.headers["access-control-allow-origin"] == ORIGIN for response in (refused, missing, wrong))
    assert datasette.access_line(wrong)["outcome"] == "ok"
