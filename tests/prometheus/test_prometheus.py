"""The rules, the dashboard and the scrapes in the hands of Prometheus itself."""

import shutil
import subprocess
import time
from pathlib import Path

import httpx
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_process import expressions, panels
from scraped_service import TOKEN

from asgi_middleware.metrics.data import read_text

HERE = Path(__file__).parent
# Nothing goes wrong with files of worker processes here: there is one process.
NEVER = {'sum(asgi_middleware_metrics_unreadable_files{job=~".+"})'}
QUERIES = [
    pytest.param(expression, id=f"{panel['title']}-{number}")
    for panel in panels()
    for number, expression in enumerate(expressions(panel))
]


def promtool(*arguments, text=""):
    """Run promtool; give what it prints."""
    command = [str(shutil.which("promtool")), *arguments]
    done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.mark.parametrize("accept", ["text/plain", "application/openmetrics-text"])
def test_a_scrape_is_clean(port, server, accept):
    """A scrape with every family in it has nothing that promtool warns of, and parses strictly."""
    headers = {"accept": accept, "authorization": f"Bearer {TOKEN}"}
    response = httpx.get(f"http://127.0.0.1:{port}/metrics", headers=headers, trust_env=False)
    assert response.headers["content-encoding"] == "gzip"
    if accept == "text/plain":
        assert promtool("check", "metrics", text=response.text) == ""
    else:
        assert len(list(parse_openmetrics(response.text))) > 20


def test_the_rules_are_clean(tmp_path):
    """By promtool there is nothing wrong with the rules, with and without a namespace."""
    for namespace in ("", "shop"):
        (tmp_path / "rules.yml").write_text(read_text("rules.yml", namespace=namespace), encoding="utf-8")
        assert "SUCCESS" in promtool("check", "rules", str(tmp_path / "rules.yml"))


def test_the_alerts_fire_when_they_should(tmp_path):
    """Each alert fires for the series that it is about, after its time, and is silent before."""
    (tmp_path / "rules.yml").write_text(read_text("rules.yml"), encoding="utf-8")
    (tmp_path / "alerts.yml").write_text((HERE / "alerts.yml").read_text(encoding="utf-8"), encoding="utf-8")
    assert "SUCCESS" in promtool("test", "rules", str(tmp_path / "alerts.yml"))


def test_the_target_is_up(server):
    """Prometheus scrapes the endpoint with its token, without an error."""
    end = time.monotonic() + 10
    found = None
    while found != ("up", "") and time.monotonic() < end:  # on a busy machine one of many may time out
        (target,) = server.get("/targets")["activeTargets"]
        found = (target["health"], target["lastError"])
        time.sleep(0.1)
    assert found == ("up", "")


def test_the_rules_are_evaluated(server):
    """Every rule is loaded, and its evaluation gives no error."""
    rules = [rule for group in server.get("/rules")["groups"] for rule in group["rules"]]
    assert len(rules) == read_text("rules.yml").count("      - ")
    assert {rule["name"]: rule.get("lastError", "") for rule in rules if rule["health"] != "ok"} == {}


@pytest.mark.parametrize("expression", QUERIES)
def test_the_dashboard_shows_something(server, expression):
    """Each query of the dashboard has an answer, and figures in it."""
    found = server.over(expression, 10)
    figures = [value for series in found for _, value in series["values"] if value != "NaN"]
    assert bool(figures) == (expression not in NEVER)


def test_exemplars_arrive(server):
    """Prometheus keeps the traces of slow buckets."""
    found = server.get("/query_exemplars", query="http_server_request_duration_seconds_bucket", start=0, end=2**33)
    traces = {exemplar["labels"]["trace_id"] for series in found for exemplar in series["exemplars"]}
    assert traces == {"0af7651916cd43dd8448eb211c80319c"}


def test_the_figures_are_right(server):
    """What Prometheus has counted is what the service did: routes, statuses, clients that left, refusals."""
    failed = server.query(
        'sum by (error_type) (http_server_request_duration_seconds_count{http_response_status_code="500"})'
    )
    assert [series["metric"]["error_type"] for series in failed] == ["RuntimeError"]
    (left,) = server.query('sum(http_server_client_disconnects_total{phase="before_start"})')
    (refused,) = server.query('sum(asgi_middleware_refusals_total{reason="body_too_large"})')
    assert float(left["value"][1]) >= 10
    assert abs(float(left["value"][1]) - float(refused["value"][1])) <= 1
