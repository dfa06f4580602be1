"""Tests with a real identity provider (npm's oidc-provider); collected only where they are asked for by name.

``tox run -e identity`` sets the variable and installs the provider; ``.ci/install-tools nodejs npm`` installs what runs
it. A missing provider is then an error, never a skip.
"""

import os

collect_ignore_glob = [] if os.environ.get("ASGI_MIDDLEWARE_IDENTITY") else ["test_*.py"]
