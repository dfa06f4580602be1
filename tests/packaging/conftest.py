"""The test of a built wheel needs one: ``tox -e package`` builds it and names its folder."""

import os

collect_ignore = [] if "ASGI_MIDDLEWARE_DIST" in os.environ else ["test_wheel_alone.py"]
