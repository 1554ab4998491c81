"""An MCP server like GitHub's on standard input and output, whose tool needs a clarification."""

from __future__ import annotations

import sys
from typing import Literal

import anyio
from mcp.server.mcpserver import Context, MCPServer
from pydantic import BaseModel, Field

from . import _deafness
from ._names import call_me

POLL = 0.5
"""Seconds between two looks at whether there is an answer."""

server = MCPServer("github")


class Staleness(BaseModel):
    """What must be known before an issue is closed."""

    age: Literal["30 days", "90 days", "a year"] = Field(title="Without activity for")
    comment: str = Field(default="", title="Comment to leave (optional)", max_length=200)


@server.tool()
async def close_stale_issues(repository: str, context: Context) -> str:
    """Close the issues of a repository that nobody has touched for long enough.

    Args:
        repository: which.
        context: how the client is asked what is long enough.

    Returns:
        What was done.
    """
    question = f"When is an issue of {repository} stale?"
    async with anyio.create_task_group() as group:
        group.start_soon(_poll, context)  # for ever, as long as nobody answers
        answer = await context.elicit(question, Staleness)
        group.cancel_scope.cancel()
    if answer.action != "accept":
        return f"left every issue of {repository} open"
    return f"closed the issues of {repository} that were silent for {answer.data.age}"


async def _poll(context: Context) -> None:
    """Report, again and again, that there is no answer."""
    polls = 0
    while True:
        polls += 1
        await context.report_progress(polls, message="no answer yet")
        await anyio.sleep(POLL)


def main() -> None:
    """Serve; a deaf one stays when its input has been closed."""
    call_me("github server")
    server.run("stdio")
    if "--deaf" in sys.argv:
        _deafness.stay()


if __name__ == "__main__":
    main()
