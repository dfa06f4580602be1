"""Prometheus as a process of its own, and questions to it."""

import json
import os
import re
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path

import httpx

from asgi_middleware.metrics.data import read_text

START_SECONDS = 20
CONFIGURATION = """
global:
  scrape_interval: 500ms
  evaluation_interval: 1s
rule_files: [rules.yml]
scrape_configs:
  - job_name: service
    authorization:
      credentials: a-token-for-prometheus
    static_configs:
      - targets: ["127.0.0.1:{target}"]
"""
# Grafana's variables; the interval must hold several scrapes.
VARIABLES = {"$__rate_interval": "4s", "$job": ".+", "$route": ".*", "$objective": "0.999"}


class Prometheus:
    """What a running server answers."""

    def __init__(self, port):
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{port}/api/v1", timeout=10, trust_env=False)

    def get(self, path, **parameters):
        response = self.client.get(path, params=parameters)
        assert response.status_code == 200, response.text
        return response.json()["data"]

    def query(self, expression):
        """Give the series that an expression has now."""
        return self.get("/query", query=expression)["result"]

    def over(self, expression, seconds):
        """Give the series that an expression had over the last seconds."""
        now = time.time()
        return self.get("/query_range", query=expression, start=now - seconds, end=now, step="0.25")["result"]


@contextmanager
def prometheus(folder, target):
    """Run a server that scrapes the target's port, until the block ends."""
    folder = Path(folder)
    (folder / "rules.yml").write_text(read_text("rules.yml"), encoding="utf-8")
    (folder / "prometheus.yml").write_text(CONFIGURATION.format(target=target), encoding="utf-8")
    command = ["prometheus", "--config.file=prometheus.yml", "--storage.tsdb.path=data"]
    command += ["--web.listen-address=127.0.0.1:0", "--enable-feature=exemplar-storage"]
    log = folder / "prometheus.log"
    with log.open("wb") as output:
        process = subprocess.Popen(command, cwd=folder, stdout=output, stderr=output, env={**os.environ, "TZ": "UTC"})
    try:
        running = Prometheus(_port_of(process, log))
        with running.client:
            yield running
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(10)


def _port_of(process, log):
    """Read the port in the log, once the server says that it is ready."""
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end and process.poll() is None:
        text = log.read_text(encoding="utf-8")
        if "Server is ready" in text:
            return re.search(r'msg="Listening on" address=127\.0\.0\.1:(\d+)', text)[1]
        time.sleep(0.05)
    raise AssertionError(log.read_text(encoding="utf-8"))


def panels():
    """Give the dashboard's panels, rows left out."""
    return [panel for panel in json.loads(read_text("dashboard.json"))["panels"] if panel["type"] != "row"]


def expressions(panel):
    """Give a panel's queries as Grafana would send them."""
    for target in panel["targets"]:
        expression = target["expr"]
        for name, value in VARIABLES.items():
            expression = expression.replace(name, value)
        yield expression
