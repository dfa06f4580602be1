"""Draw the dashboard's main panels from a real run.

``python tests/prometheus/picture.py docs/images/dashboard.svg``; it needs matplotlib besides.
"""

import asyncio
import re
import sys
import threading
import time
from pathlib import Path
from queue import Queue
from tempfile import TemporaryDirectory

import matplotlib as mpl
from prometheus_process import VARIABLES, expressions, panels, prometheus
from scraped_service import serve

mpl.use("svg")
from matplotlib import pyplot as plt

SECONDS = 40
SHOWN = (
    "Requests by route",
    "Requests by status",
    "Duration",
    "Duration by route, 95 %",
    "Clients that left",
    "Refusals",
    "Open WebSockets",
    "Messages",
    "Event-loop lag",
)
UNITS = {"s": "seconds", "reqps": "a second", "short": ""}
STYLE = {"svg.hashsalt": "dashboard", "svg.fonttype": "none", "font.size": 8, "font.family": "sans-serif"}


def legend_of(target, metric):
    """Fill in a legend's labels."""
    text = target["legendFormat"]
    for name, value in metric.items():
        text = text.replace(f"{{{{{name}}}}}", value)
    return re.sub(r"\{\{.*?\}\}", "(none)", text)  # Prometheus leaves out labels that are empty


def draw(server, path):
    """Ask what the panels ask, and draw the answers."""
    VARIABLES["$__rate_interval"] = "6s"
    with mpl.rc_context(STYLE):
        figure, places = plt.subplots(3, 3, figsize=(12, 7.5), layout="constrained")
        chosen = {panel["title"]: panel for panel in panels()}
        for place, title in zip(places.flat, SHOWN, strict=True):
            panel = chosen[title]
            for target, expression in zip(panel["targets"], expressions(panel), strict=True):
                for series in server.over(expression, SECONDS - 8):
                    begun = series["values"][0][0]
                    points = [(when - begun, float(value)) for when, value in series["values"]]
                    place.plot(*zip(*points, strict=True), label=legend_of(target, series["metric"]), linewidth=1.2)
            unit = UNITS[panel["fieldConfig"]["defaults"]["unit"]]
            place.set_title(f"{title}, {unit}" if unit else title, fontsize=9, loc="left")
            place.set_ylim(bottom=0)
            place.grid(alpha=0.3)
            place.spines[["top", "right"]].set_visible(False)
            place.legend(fontsize=6, frameon=False, ncols=2, loc="best")
        figure.savefig(path, metadata={"Date": None})


def main():
    """Run the service under Prometheus, then draw."""
    ports, stop = Queue(), threading.Event()
    thread = threading.Thread(target=lambda: asyncio.run(serve(ports.put, SECONDS, stop, made_up=False)))
    thread.start()
    try:
        with TemporaryDirectory() as folder, prometheus(folder, ports.get(timeout=20)) as server:
            time.sleep(SECONDS)
            draw(server, Path(sys.argv[1]))
    finally:
        stop.set()
        thread.join()


if __name__ == "__main__":
    main()
