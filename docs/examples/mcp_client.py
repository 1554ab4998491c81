"""An agent that calls a tool of an MCP server; when the tool hangs, it stops the server.

The arguments are the command of a server; without them, a server of this file is started.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from mcp import Client, StdioServerParameters
from mcp.server import MCPServer

from proctree_kill import Containment, akill_tree

TOOL = "trigger-long-running-operation"
LIMIT = 1.0  # seconds for a call
HELPER = [sys.executable, "-c", "import time; time.sleep(1000)"]
SERVE = [sys.executable, __file__, "serve"]


@asynccontextmanager
async def connect(command: list[str], containment: Containment) -> AsyncGenerator[Client]:
    """Start a server and connect to it; no process of it outlives the block."""
    program, *args = command
    # The SDK adds its own choice of variables, and hides its process: nothing is attached.
    env = containment.popen_kwargs(env={})["env"]
    try:
        async with Client(StdioServerParameters(command=program, args=args, env=env)) as client:
            yield client
    finally:
        await akill_tree(containment)  # what the SDK's own shutdown has left


async def run_agent(command: list[str]) -> None:
    """Call the tool, and stop the server when it takes too long."""
    # the server ends with this program, even if that is killed
    containment = Containment.prepare(kill_on_parent_exit=True)
    async with connect(command, containment) as client:
        print(f"calling {TOOL}", flush=True)
        try:
            async with asyncio.timeout(LIMIT):
                await client.call_tool(TOOL, {"duration": 1000, "steps": 1})
        except TimeoutError:
            print(f"no answer within {LIMIT} s: stop")
            print(await akill_tree(containment), flush=True)


def serve() -> None:
    """Serve a tool that hangs, with a helper that the SDK does not find."""
    server = MCPServer("hanging")

    @server.tool(TOOL)
    async def hang(duration: float, steps: int) -> str:
        await asyncio.create_subprocess_exec(*HELPER, start_new_session=True)
        await asyncio.sleep(duration)
        return f"{steps} done"

    server.run("stdio")


if __name__ == "__main__":
    if sys.argv[1:] == ["serve"]:
        serve()
    else:
        asyncio.run(run_agent(sys.argv[1:] or SERVE))
