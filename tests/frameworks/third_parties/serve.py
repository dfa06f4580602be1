"""Serve an application of this folder under uvicorn, on a listening socket: ``python serve.py FD MODULE``."""

from __future__ import annotations

import socket
import sys
from importlib import import_module

import uvicorn


def main() -> None:
    """Serve until SIGINT."""
    descriptor, module = sys.argv[1:]
    app = import_module(module).app
    config = uvicorn.Config(app, log_config=None, access_log=False, timeout_graceful_shutdown=2)
    uvicorn.Server(config).run(sockets=[socket.socket(fileno=int(descriptor))])


if __name__ == "__main__":
    main()
