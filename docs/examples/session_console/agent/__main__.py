"""The agent: an MCP client that lets a server work, and hands its questions to the console.

It leaves when its standard input is closed or a signal asks for it.
A deaf one ignores both, and whatever it starts does too.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager

from mcp import Client, StdioServerParameters
from mcp.client import ClientRequestContext
from mcp.types import ElicitRequestParams, ElicitResult, TextContent

from . import _deafness, _servers
from ._inbox import Inbox
from ._names import call_me
from ._voice import say


class Agent:
    """One task, and what it takes to do it."""

    def __init__(self, repository: str, *, deaf: bool) -> None:
        """Begin to hear the console."""
        self._repository = repository
        self._deaf = deaf
        self._inbox = Inbox()

    async def run(self) -> None:
        """Do the task, unless the console goes away before."""
        task = asyncio.create_task(self._work())
        leaving = asyncio.create_task(self._inbox.closed.wait())
        await asyncio.wait({task, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if self._deaf:
            await asyncio.wait({task})
        for one in (task, leaving):
            one.cancel()
        await asyncio.gather(task, leaving, return_exceptions=True)
        if not task.cancelled():
            task.result()

    async def _work(self) -> None:
        """Start everything, and call the tool that asks back."""
        async with AsyncExitStack() as stack:
            port = stack.enter_context(_preview())
            say("log", text=f"the preview listens on http://127.0.0.1:{port}")
            more = _servers.everything()
            if more is not None:
                everything = await stack.enter_async_context(Client(more, mode="legacy"))
                tools = (await everything.list_tools()).tools
                say("log", text=f"server-everything offers {len(tools)} tools")
            github = await stack.enter_async_context(self._client(_servers.github(deaf=self._deaf)))
            say("log", text=f"calling close_stale_issues for {self._repository}")
            found = await github.call_tool("close_stale_issues", {"repository": self._repository})
            text = " ".join(one.text for one in found.content if isinstance(one, TextContent))
            say("result", text=text)

    def _client(self, server: StdioServerParameters) -> Client:
        """Return a client whose questions go to the console.

        The handshake of 2025 keeps the call open while the question is: there a tool hangs.
        """
        return Client(server, mode="legacy", elicitation_callback=self._ask)

    async def _ask(
        self,
        context: ClientRequestContext,  # noqa: ARG002 - the SDK's callback has it
        params: ElicitRequestParams,
    ) -> ElicitResult:
        """Show a question, and wait for its answer for as long as it takes."""
        schema = getattr(params, "requested_schema", {})
        say("question", message=params.message, schema=schema)
        answer = json.loads(await self._inbox.line())
        say("log", text=f"the answer: {answer['action']}")
        return ElicitResult(action=answer["action"], content=answer.get("content"))


@contextmanager
def _preview() -> Iterator[int]:
    """Serve the preview, and yield its port."""
    with subprocess.Popen(_servers.PREVIEW, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout  # noqa: S101 - for the type checkers: it is a pipe
            yield int(server.stdout.readline())
        finally:
            server.terminate()


def main() -> None:
    """Read the arguments and do the task."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("repository")
    parser.add_argument("--deaf", action="store_true", help="ignore signals and closed pipes")
    options = parser.parse_args()
    call_me("agent")
    if options.deaf:
        _deafness.ignore_signals()

    async def run() -> None:
        await Agent(options.repository, deaf=options.deaf).run()

    asyncio.run(run())


if __name__ == "__main__":
    main()
