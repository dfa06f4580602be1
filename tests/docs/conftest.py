"""The test of the built site is collected only where the site was built: ``tox run -e docs``."""

import os

collect_ignore = [] if "ASGI_MIDDLEWARE_SITE" in os.environ else ["test_site.py"]
