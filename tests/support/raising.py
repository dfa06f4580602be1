"""An app that fails."""

from __future__ import annotations

from typing import Any


def raising(error: BaseException, *before: dict[str, Any]) -> Any:
    """Make an app that sends some messages and raises."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        for message in before:
            await send(message)
        raise error.with_traceback(None)  # else the one object collects the tracebacks of all tests

    return app
