"""Tests with the clients of other people; collected only where they are asked for by name.

``tox run -e clients`` sets the variable; ``.ci/install-tools curl nodejs`` installs what is no Python. A missing client
is then an error, never a skip.
"""

import os

collect_ignore_glob = [] if os.environ.get("ASGI_MIDDLEWARE_CLIENTS") else ["test_*.py"]
