"""Tests with the system's own tools (curl, zstd, brotli); collected only where they are asked for by name.

``tox run -e system`` sets the variable, and ``.ci/install-tools`` installs the tools. A tool that is missing then is an
error, never a skip.
"""

import os

collect_ignore_glob = [] if os.environ.get("ASGI_MIDDLEWARE_SYSTEM_TOOLS") else ["test_*.py"]
