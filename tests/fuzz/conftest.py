"""A bounded run of a coverage-guided fuzzer; collected only where it is asked for by name (``tox run -e fuzz``)."""

import os

collect_ignore_glob = [] if os.environ.get("ASGI_MIDDLEWARE_FUZZ") else ["test_*.py"]
