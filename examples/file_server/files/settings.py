"""What differs from one deployment to the next. A setting that is missing stops the start, not the first request."""

import os
from pathlib import Path

ROOT = Path(os.environ["FILES_ROOT"]).resolve(strict=True)  # nothing outside of it is ever served
KEY = os.environ["FILES_KEY"]  # what the tokens of those who upload are signed with, 32 bytes or more
MAX_UPLOAD = int(os.environ.get("FILES_MAX_UPLOAD", "100_000_000"))  # bytes
UPLOAD_IDLE = float(os.environ.get("FILES_UPLOAD_IDLE", "15"))  # seconds without a byte
