"""Start the service: ``python -m examples.trace_conformance``; ``--help`` shows what can be chosen.

Then, in the folder ``test`` of https://github.com/w3c/trace-context::

    python test.py http://127.0.0.1:5000/test
"""

import argparse

import uvicorn

from examples.trace_conformance.service import app, restarting


def main() -> None:
    """Serve until Ctrl-C, to this machine alone."""
    parser = argparse.ArgumentParser(
        prog="python -m examples.trace_conformance",
        description="A service for the W3C's trace-context test harness.",
    )
    parser.add_argument("--port", type=int, default=5000, help="port to listen on (default: %(default)s)")
    parser.add_argument("--restart", action="store_true", help="begin every trace anew; the harness then fails")
    options = parser.parse_args()
    served = restarting if options.restart else app
    uvicorn.run(served, host="127.0.0.1", port=options.port, log_config=None)


if __name__ == "__main__":
    main()
