"""An MCP server like GitHub's on standard input and output. Its tool asks a question."""

from __future__ import annotations

import sys
from typing import Literal

import anyio
from mcp.server.mcpserver import Context, MCPServer
from pydantic import BaseModel, Field

from . import _stubborn
from ._names import set_process_name

POLL = 0.5  # seconds between two reports of the progress

server = MCPServer("github")


class Staleness(BaseModel):
    """The answer that the tool needs."""

    age: Literal["30 days", "90 days", "a year"] = Field(title="Without activity for")
    comment: str = Field(default="", title="Comment to leave (optional)", max_length=200)


@server.tool()
async def close_stale_issues(repository: str, context: Context) -> str:
    """Close the issues of a repository that were silent for long enough.

    Args:
        repository: its owner and name.
        context: the way to ask the client how long is enough.

    Returns:
        What was done.
    """
    question = f"When is an issue of {repository} stale?"
    async with anyio.create_task_group() as group:
        group.start_soon(_poll, context)  # without a limit, until there is an answer
        answer = await context.elicit(question, Staleness)
        group.cancel_scope.cancel()
    if answer.action != "accept":
        return f"left every issue of {repository} open"
    return f"closed the issues of {repository} that were silent for {answer.data.age}"


async def _poll(context: Context) -> None:
    polls = 0
    while True:
        polls += 1
        await context.report_progress(polls, message="no answer yet")
        await anyio.sleep(POLL)


def main() -> None:
    """Serve until the input is closed; with ``--stubborn`` stay after that."""
    set_process_name("github server")
    server.run("stdio")
    if "--stubborn" in sys.argv:
        _stubborn.stay()


if __name__ == "__main__":
    main()
