"""An MCP server with one tool, over streamable HTTP."""

from __future__ import annotations

import structlog
from mcp.server.mcpserver import Context, MCPServer
from stacked import stacked

server = MCPServer("fruit")


@server.tool()
async def weigh(apples: int, context: Context) -> str:
    """Weigh apples, and tell the progress on the way."""
    structlog.get_logger("shop").info("weighing", apples=apples)
    for number in range(apples):
        await context.report_progress(number + 1, apples)
    return "\n".join(f"apple {number} weighs 100 g" for number in range(apples))


app = stacked(server.streamable_http_app(), exempt=[])
