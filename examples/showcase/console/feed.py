"""The log, line by line, for whoever watches: the page shows the very lines that the terminal gets."""

import asyncio
import io
import secrets
import sys
import threading
from collections import deque
from collections.abc import AsyncIterator

KEPT = 200
"""Lines that a page gets which comes later, or comes back."""


class Feed:
    """Hands lines on to any number of readers. Lines come from any thread."""

    def __init__(self) -> None:
        self._run = secrets.token_hex(4)  # ids of an earlier process mean nothing here
        self._lock = threading.RLock()  # Ctrl-C may call close() in the middle of publish(), in the same thread
        self._number = 0
        self._kept: deque[tuple[int, str]] = deque(maxlen=KEPT)
        self._readers: set[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = set()
        self._closed = False

    def publish(self, line: str) -> None:
        """Add a line."""
        with self._lock:
            self._number += 1
            self._kept.append((self._number, line))
        self._wake()

    def close(self) -> None:
        """End every stream; the server waits for them."""
        self._closed = True
        self._wake()

    def _wake(self) -> None:
        with self._lock:
            readers = tuple(self._readers)
        for loop, news in readers:
            loop.call_soon_threadsafe(news.set)

    async def events(self, last: str = "") -> AsyncIterator[str]:
        """Give the lines as server-sent events, until the feed is closed.

        Args:
            last: The id of the last event that the reader has seen (``Last-Event-ID``).
        """
        run, _, number = last.partition("-")
        seen = int(number) if run == self._run and number.isdecimal() else 0
        news = asyncio.Event()
        reader = (asyncio.get_running_loop(), news)
        with self._lock:
            self._readers.add(reader)
        try:
            yield "retry: 1000\n\n"
            while not self._closed:
                news.clear()
                with self._lock:
                    fresh = [(number, line) for number, line in self._kept if number > seen]
                if fresh:
                    seen = fresh[-1][0]
                    yield "".join(f"id: {self._run}-{number}\ndata: {line}\n\n" for number, line in fresh)
                else:
                    await news.wait()
        finally:
            with self._lock:
                self._readers.discard(reader)


feed = Feed()


class Tee(io.TextIOBase):
    """Standard output, of which the feed gets a copy; ``configure_structlog`` writes whole lines to it."""

    def write(self, text: str, /) -> int:
        """Write a line to both."""
        sys.stdout.buffer.write(text.encode())
        feed.publish(text.rstrip("\n"))
        return len(text)

    def flush(self) -> None:
        """Let the terminal have it."""
        sys.stdout.buffer.flush()
