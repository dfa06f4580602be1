"""``python -m asgi_middleware``: see ``_composition/cli.py``."""

import sys

from asgi_middleware._composition.cli import main

if __name__ == "__main__":
    sys.exit(main())
