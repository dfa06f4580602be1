"""One coding at a time: a script in a page cannot set Accept-Encoding, and wants to compare."""

from typing import Any
from urllib.parse import parse_qs

PLAIN = b"identity"


class CodingByQuery:
    """Narrows Accept-Encoding to the coding of the query, ``?coding=br``; to none where the client does not know it.

    Args:
        app: The app; CompressionMiddleware is somewhere inside.
    """

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Pass everything on, a request with such a query with another header."""
        if scope["type"] == "http" and scope["query_string"].startswith(b"coding="):
            wanted = parse_qs(scope["query_string"]).get(b"coding", [PLAIN])[0]
            known = b",".join(value for name, value in scope["headers"] if name == b"accept-encoding")
            kept = wanted if wanted in [coding.partition(b";")[0].strip() for coding in known.split(b",")] else PLAIN
            others = [(name, value) for name, value in scope["headers"] if name != b"accept-encoding"]
            scope = {**scope, "headers": [*others, (b"accept-encoding", kept)]}
        await self.app(scope, receive, send)
