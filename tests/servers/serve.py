"""Run an app of this folder under real uvicorn, on a socket that already listens.

``python serve.py FD module:attribute [option=value]``
"""

from __future__ import annotations

import importlib
import socket
import sys
from pathlib import Path

import uvicorn


def main() -> None:
    descriptor, target, *options = sys.argv[1:]
    module, _, attribute = target.partition(":")
    sys.path.insert(0, str(Path(__file__).parent))
    app = getattr(importlib.import_module(module), attribute)
    settings = dict(option.split("=", 1) for option in options)
    config = uvicorn.Config(app, log_level="warning", access_log=False, log_config=None, **settings)
    uvicorn.Server(config).run(sockets=[socket.socket(fileno=int(descriptor))])


if __name__ == "__main__":
    main()
