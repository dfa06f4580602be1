"""What is raised to the server when an answer can no longer be given: the connection has to end."""

from __future__ import annotations


class DecompressionError(Exception):
    """A request body could not be inflated when the response had begun; raised to the server, which then ends it."""

    def __init__(self) -> None:
        """Say what happened."""
        super().__init__("the request body could not be inflated, and the response could not be completed")
