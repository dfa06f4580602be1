"""PUT: a whole file, which replaces the old one at once. Size, pace and codings are bounded by the classes outside."""

import functools
from typing import Any

from anyio import to_thread

from asgi_middleware import add_fields

from .problems import PARTIAL_PUT, RefusedError
from .store import Upload, locate


async def take(scope: Any, receive: Any, send: Any, asked: dict[str, str]) -> None:
    """Answer a PUT request."""
    if "content-range" in asked:
        raise RefusedError(PARTIAL_PUT)  # RFC 9110 14.5
    path = scope["path"].removeprefix(scope.get("root_path", ""))
    upload = await to_thread.run_sync(lambda: Upload(locate(path)))
    try:
        size = 0
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return  # the client left, or a class outside has answered already
            size += len(message.get("body", b""))
            await to_thread.run_sync(upload.write, message.get("body", b""))
            if not message.get("more_body", False):
                break
        place = functools.partial(upload.take_place, asked.get("if-match"), asked.get("if-none-match"))
        is_new, tag = await to_thread.run_sync(place)
    finally:
        upload.discard()
    add_fields(stored_bytes=size)  # on this request's log line
    headers = [(b"etag", tag.encode()), (b"content-length", b"0")]
    await send({"type": "http.response.start", "status": 201 if is_new else 200, "headers": headers})
    await send({"type": "http.response.body", "body": b""})
