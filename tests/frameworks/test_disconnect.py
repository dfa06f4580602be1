"""The client leaves in the middle of an endless answer: what the whole stack says of it, in every framework."""

from typing import Any

import anyio
import anyio.lowlevel
import pytest
from harness import Service, running, serving
from services.common import ISSUER

from asgi_middleware._core.exchange import current_exchange
from asgi_middleware.testing import http_scope

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.filterwarnings("ignore::asgi_middleware.OrderWarning"),
    # Starlette leaves the generator of a broken-off stream to the garbage collector, which trio complains of.
    pytest.mark.filterwarnings("ignore:Async generator:ResourceWarning"),
]

# These never ask whether the client is still there: on a silent server they go on until they are cancelled.
DEAF = {"falcon", "blacksheep"}


async def leave(service: Service, *, raises: bool, timeout: float) -> BaseException | None:  # noqa: ASYNC109 -- as a server
    """Ask for the endless answer, leave after its second part, and give what the application raises.

    Args:
        service: The service.
        raises: Whether the server tells by an OSError from send, as since version 2.4 of the specification, or only by
            a message, as before.
        timeout: Seconds after which the server cancels.
    """
    left = anyio.Event()
    parts = 0
    script = iter([{"type": "http.request", "body": b"", "more_body": False}])

    async def receive() -> dict[str, Any]:
        for message in script:
            return message
        await left.wait()
        return {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        nonlocal parts
        await anyio.lowlevel.checkpoint()
        if left.is_set() and raises:
            raise OSError("the client is gone")
        parts += bool(message.get("body"))
        if parts == 2:
            left.set()

    headers = [(b"host", b"api.example"), (b"accept-encoding", b"gzip"), ISSUER.authorization()]
    version = {"version": "3.0", "spec_version": "2.4" if raises else "2.3"}
    with anyio.move_on_after(timeout):
        try:
            await service.app(http_scope("GET", "/endless", headers=headers, asgi=version), receive, send)
        except Exception as error:  # noqa: BLE001 -- it is looked at
            return error
    return None


@pytest.mark.parametrize("raises", [True, False], ids=["server raises", "server is silent"])
async def test_a_client_that_leaves(framework: str, way: str, raises: bool) -> None:
    """It is the client's leaving and no error of the application, in the access line and in the metrics alike."""
    deaf = framework in DEAF and not raises
    with serving(framework, way) as service:
        async with running(service.app):
            error = await leave(service, raises=raises, timeout=0.2 if deaf else 5)
        assert error is None or isinstance(error, OSError) or type(error).__name__ == "ClientDisconnect"
        [access] = service.access
        outcome = "cancelled" if deaf else "client_disconnect"
        assert (access["outcome"], access["status"], access["route"]) == (outcome, 200, "/endless")
        assert "error_type" not in access
        labels = ("http_route", "http_response_status_code", "error_type")
        count = service.samples("http_server_request_duration_seconds_count", *labels)
        assert count == {("/endless", "200", "cancelled" if deaf else "client_disconnected"): 1}
        assert service.samples("http_server_client_disconnects_total", "phase") == {
            ("cancelled" if deaf else "mid_body",): 1
        }
        assert service.samples("http_server_active_requests", "url_scheme") == {}
        assert current_exchange.get() is None
