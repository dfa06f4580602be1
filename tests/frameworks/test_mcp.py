"""An MCP server behind the whole stack, with MCP's own client: sessions, event streams, and refusals."""

from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from third_party import Application, running

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    """The server is a process of its own; its client runs on asyncio alone."""
    return "asyncio"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Application]:
    """Run the server."""
    with running("mcp_app", tmp_path_factory.mktemp("mcp")) as application:
        yield application


@pytest.mark.parametrize(("mode", "apples"), [("auto", 40), ("legacy", 41)])
async def test_a_client_calls_a_tool(server: Application, mode: Any, apples: int) -> None:
    """Hand-shake, list and call work, progress arrives on the event stream, and the tool's log line has the id."""
    progress: list[float] = []
    ids: list[str] = []

    async def note(done: float, total: float | None, message: str | None) -> None:
        progress.append(done)

    async def note_call(response: httpx2.Response) -> None:
        if b'"tools/call"' in response.request.content:
            ids.append(response.headers["x-request-id"])

    headers = {"authorization": server.authorization}
    hooks: Any = {"response": [note_call]}
    async with httpx2.AsyncClient(headers=headers, timeout=20, trust_env=False, event_hooks=hooks) as http:
        transport = streamable_http_client(f"{server.url}/mcp", http_client=http)
        async with Client(transport, mode=mode) as client:
            tools = await client.list_tools()
            assert [tool.name for tool in tools.tools] == ["weigh"]
            result = await client.call_tool("weigh", {"apples": apples}, progress_callback=note)
    [content] = result.content
    assert content.text.splitlines()[-1] == f"apple {apples - 1} weighs 100 g"
    assert progress == [float(number) for number in range(1, apples + 1)]
    work = server.wait_for(lambda line: line.get("event") == "weighing" and line["apples"] == apples)
    access = server.wait_for(lambda line: line.get("event") == "http.request" and line["request_id"] == ids[-1])
    assert work["request_id"] == ids[-1]
    assert (access["method"], access["route"], access["status"], access["subject"]) == ("POST", "/mcp", 200, "alice")


def test_refusals(server: Application) -> None:
    """Without a token the server is not asked; a message over the limit is refused; its own 406 passes."""
    message = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
    with server.client() as client:
        refused = client.post("/mcp", json=message)
        client.headers["authorization"] = server.authorization
        del client.headers["origin"]
        too_large = client.post("/mcp", json={**message, "params": {"text": "x" * 30_000}})
        not_acceptable = client.post("/mcp", json=message, headers={"accept": "text/html"})
    assert (refused.status_code, refused.headers["www-authenticate"].split()[0]) == (401, "Bearer")
    assert (too_large.status_code, too_large.json()["reason"]) == (413, "body_too_large")
    assert not_acceptable.status_code == 406
    assert server.access_line(not_acceptable)["status"] == 406
