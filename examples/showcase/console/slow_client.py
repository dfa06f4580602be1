"""A client that uploads too slowly. A page in a browser cannot play one: the browser sends a body as fast as it can."""

import asyncio
import json
import time
from collections.abc import AsyncIterator

LENGTH = 1000
"""Bytes that it announces and never has sent when the answer comes."""

PAUSE = 0.5
"""Seconds between two bytes of the one that dribbles."""

LONGEST = 15
"""Seconds after which it gives up."""


async def play(host: str, port: int, request_id: str, *, silent: bool) -> AsyncIterator[str]:
    """Upload to ``/fastapi/upload`` over a raw socket, and tell what happens, one JSON object a line.

    Args:
        host: Where the showcase listens.
        port: The same.
        request_id: The correlation id to send.
        silent: Whether to stop after the first byte, instead of sending one now and then.
    """
    begun = time.monotonic()

    def tell(kind: str, text: str) -> str:
        return json.dumps({"at": round(time.monotonic() - begun, 2), "kind": kind, "text": text}) + "\n"

    reader, writer = await asyncio.open_connection(host, port)
    try:
        head = (
            f"POST /fastapi/upload HTTP/1.1\r\nHost: {host}:{port}\r\nX-Request-ID: {request_id}\r\n"
            f"Content-Type: application/octet-stream\r\nContent-Length: {LENGTH}\r\n\r\n"
        )
        writer.write(head.encode() + b".")
        yield tell("request", head)
        sent, answer = 1, b""
        while not answer and time.monotonic() - begun < LONGEST:
            try:
                async with asyncio.timeout(PAUSE):
                    answer = await reader.read(65536)
                    break
            except TimeoutError:
                if not silent:
                    writer.write(b".")
                    sent += 1
                yield tell("sent", f"{sent} of {LENGTH} bytes sent")
        while more := await reader.read(65536):
            answer += more
        yield tell("response", answer.decode("latin-1"))
        yield tell("closed", "The server closed the connection.")
    except OSError as error:
        yield tell("closed", f"The connection broke: {error}")
    finally:
        writer.close()
