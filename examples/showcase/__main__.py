"""Start the showcase: ``python -m examples.showcase``; ``--help`` shows what can be chosen.

JSON log lines go to standard output, words for people to standard error, so that ``| jq`` works.
"""

import argparse
import errno
import os
import signal
import socket
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from types import FrameType
from typing import TextIO, cast

BEGUN = time.perf_counter()
DEFAULT_PORT = 8000


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until Ctrl-C; give the exit status."""
    options = parse(arguments)
    try:
        listener = listen(options.host, options.port)
    except OSError as error:
        print(f"Cannot listen on {options.host} port {options.port}: {error.strerror}", file=sys.stderr)
        return 1
    # Another port is another origin: the same apps once more, for what a browser makes of that.
    with listener, bind(options.host, 0) as second, suppress(KeyboardInterrupt):
        serve(listener, second)
    print("Stopped.", file=sys.stderr)
    return 0


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m examples.showcase",
        description="asgi-middleware at work: one process, the whole stack, four apps. Stop it with Ctrl-C.",
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument(
        "--port",
        type=port_number,
        help=f"port to listen on; 0 for any free one (default: {DEFAULT_PORT}, or a free one if that is taken)",
    )
    return parser.parse_args(arguments)


def port_number(text: str) -> int:
    """Read a port; argparse turns the ValueError into a usage error."""
    if not 0 <= int(text) < 65536:
        raise ValueError(text)
    return int(text)


def listen(host: str, port: int | None) -> socket.socket:
    """Bind the address; another port only where none was asked for and the default is taken."""
    try:
        return bind(host, DEFAULT_PORT if port is None else port)
    except OSError as error:
        if port is not None or error.errno != errno.EADDRINUSE:
            raise
    print(f"Port {DEFAULT_PORT} is taken; choosing another one.", file=sys.stderr)
    return bind(host, 0)


def bind(host: str, port: int) -> socket.socket:
    """Give a socket that is bound to the address."""
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    listener = socket.socket(family, kind, protocol)
    try:
        if os.name == "posix":  # elsewhere the option lets two processes share one port
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
    except OSError:
        listener.close()
        raise
    return listener


def serve(listener: socket.socket, second: socket.socket) -> None:
    """Run uvicorn on both sockets."""
    # Imported here, so that --help and a taken port answer at once.
    import uvicorn  # noqa: PLC0415

    from asgi_middleware.logging import configure_structlog  # noqa: PLC0415
    from examples.showcase.console.feed import Tee, feed  # noqa: PLC0415

    configure_structlog(json=True, stream=cast("TextIO", Tee()))

    from examples.showcase import tokens  # noqa: PLC0415
    from examples.showcase.apps import bare_app, front_app  # noqa: PLC0415
    from examples.showcase.console.app import url_of  # noqa: PLC0415
    from examples.showcase.stack import app  # noqa: PLC0415

    address, other = (url_of(*each.getsockname()[:2]) for each in (listener, second))
    front_app.app.state.second_port = second.getsockname()[1]

    class Server(uvicorn.Server):
        """uvicorn, with two words to the terminal and one to the event stream."""

        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            """Say where we listen, once we do."""
            await super().startup(sockets)
            print(f"\n  !!! {tokens.WARNING}\n", file=sys.stderr)
            print(f"  Listening on {address}/ after {time.perf_counter() - BEGUN:.1f} s", file=sys.stderr)
            print(f"  and, as another origin for its page to call, on {other}/", file=sys.stderr)
            print("  Open the first in a browser. Ctrl-C stops.\n", file=sys.stderr, flush=True)

        def handle_exit(self, sig: int, frame: FrameType | None) -> None:
            """End the streams that have no end of their own; the server waits for them."""
            bare_app.stopping.set()
            feed.close()
            super().handle_exit(sig, frame)

    config = uvicorn.Config(app, log_config=None, access_log=False, ws_max_size=64 * 1024, timeout_graceful_shutdown=3)
    Server(config).run(sockets=[listener, second])


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # also where a shell started us with SIGINT ignored
    sys.exit(main())
