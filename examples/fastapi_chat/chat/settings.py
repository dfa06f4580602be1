"""What differs from one deployment to the next. A setting that is missing stops the start, not the first request."""

import os

ISSUER = os.environ["CHAT_ISSUER"]  # the `iss` of the provider's tokens, to the letter
AUDIENCE = os.environ["CHAT_AUDIENCE"]  # this service's name there
ORIGINS = os.environ["CHAT_ORIGINS"].split()  # of the pages that may call it
ROOMS = os.environ["CHAT_ROOMS"].split()
METRICS_TOKEN = os.environ["CHAT_METRICS_TOKEN"]  # what Prometheus shows
