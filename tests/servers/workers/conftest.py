"""Several workers start with ``ASGI_MIDDLEWARE_SERVERS=all`` (``tox run -e servers``) only."""

from matrix.variants import ALL

collect_ignore_glob = [] if ALL else ["test_*.py"]
