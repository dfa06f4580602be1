"""Write a data file to standard output."""

from __future__ import annotations

import argparse
import sys

from asgi_middleware.metrics.data import NAMES, read_text


def main() -> None:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(
        prog="python -m asgi_middleware.metrics.data",
        description="Write the Grafana dashboard or the Prometheus rules to standard output.",
    )
    parser.add_argument("name", choices=NAMES, help="which file")
    parser.add_argument("--namespace", default="", help="the namespace of your PrometheusMiddleware, if it has one")
    options = parser.parse_args()
    sys.stdout.write(read_text(options.name, namespace=options.namespace))


if __name__ == "__main__":
    main()
