"""An MCP server on standard input and output that needs an answer, and asks for it for ever."""

from __future__ import annotations

import anyio
from mcp.server.mcpserver import Context, MCPServer
from pydantic import BaseModel

from support.voice import speak

PAUSE = 0.05
"""Seconds between two questions."""

server = MCPServer("deployer")


class Target(BaseModel):
    """What must be known before anything is deployed."""

    environment: str


@server.tool()
async def deploy(context: Context) -> str:
    """Deploy, as soon as somebody has said where to."""
    while True:
        answer = await context.elicit("Which environment do you mean?", Target)
        if answer.action == "accept":
            return f"deployed to {answer.data.environment}"
        await anyio.sleep(PAUSE)


if __name__ == "__main__":
    speak()
    server.run("stdio")
