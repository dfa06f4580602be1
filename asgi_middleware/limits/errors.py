"""What is raised to the server when an answer can no longer be given: the connection has to end."""

from __future__ import annotations


class RequestAbortedError(Exception):
    """A limit was hit when the response had begun; raised to the server so that it ends the connection."""

    message = "a limit was hit when the response had begun, and it could not be completed"

    def __init__(self) -> None:
        """Say what happened."""
        super().__init__(self.message)


class BodyTooLargeError(RequestAbortedError):
    """A body ran over the limit, and the response is cut short."""

    message = "the request body ran over the limit, and the response could not be completed"


class BodyTimeoutError(RequestAbortedError):
    """A body came too slowly, and the response is cut short."""

    message = "the request body came too slowly, and the response could not be completed"


class SendTimeoutError(RequestAbortedError):
    """The client stopped reading the response."""

    message = "the client did not take the response in time"
