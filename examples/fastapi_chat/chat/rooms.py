"""Rooms in memory. With several workers this becomes a broker; nothing else of the service changes."""

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from fastapi import Depends
from pydantic import BaseModel

from .settings import ROOMS


class NoSuchRoomError(Exception):
    """Nobody has set up a room of this name; ``ProblemDetailsMiddleware`` makes it a 404."""


class Message(BaseModel):
    """What somebody said."""

    author: str
    text: str


class Room:
    """The last messages of a room, and who listens."""

    def __init__(self) -> None:
        self.messages: deque[Message] = deque(maxlen=100)
        self._listeners: set[MemoryObjectSendStream[Message]] = set()

    def say(self, message: Message) -> None:
        """Keep a message and hand it to everybody; who is 100 messages behind misses it."""
        self.messages.append(message)
        for listener in self._listeners:
            try:
                listener.send_nowait(message)
            except anyio.WouldBlock:
                continue

    @contextmanager
    def listen(self) -> Iterator[MemoryObjectReceiveStream[Message]]:
        """Give what is said from now on."""
        listener, inbox = anyio.create_memory_object_stream[Message](100)
        with listener, inbox:
            self._listeners.add(listener)
            try:
                yield inbox
            finally:
                self._listeners.remove(listener)


_rooms = {name: Room() for name in ROOMS}


async def _find(name: str) -> Room:
    try:
        return _rooms[name]
    except KeyError:
        raise NoSuchRoomError from None


CurrentRoom = Annotated[Room, Depends(_find)]
