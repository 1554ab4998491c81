"""The agent: an MCP client that calls a tool, and passes the questions of it to the console.

It exits when its standard input is closed or at a signal.
With ``--stubborn`` it ignores both, and so do its servers.
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

from . import _servers, _stubborn
from ._inbox import Inbox
from ._names import set_process_name
from ._output import send


class Agent:
    """An agent with one task."""

    def __init__(self, repository: str, *, stubborn: bool) -> None:
        """Begin to read from the console."""
        self._repository = repository
        self._stubborn = stubborn
        self._inbox = Inbox()

    async def run(self) -> None:
        """Do the task, unless the console closes the pipe before."""
        task = asyncio.create_task(self._work())
        closed = asyncio.create_task(self._inbox.closed.wait())
        await asyncio.wait({task, closed}, return_when=asyncio.FIRST_COMPLETED)
        if self._stubborn:
            await asyncio.wait({task})
        task.cancel()
        closed.cancel()
        await asyncio.gather(task, closed, return_exceptions=True)
        if not task.cancelled():
            task.result()

    async def _work(self) -> None:
        async with AsyncExitStack() as stack:
            port = stack.enter_context(_preview())
            send("log", text=f"the preview listens on http://127.0.0.1:{port}")
            more = _servers.everything()
            if more is not None:
                everything = await stack.enter_async_context(Client(more, mode="legacy"))
                tools = (await everything.list_tools()).tools
                send("log", text=f"server-everything offers {len(tools)} tools")
            github = await stack.enter_async_context(
                self._client(_servers.github(stubborn=self._stubborn))
            )
            send("log", text=f"calling close_stale_issues for {self._repository}")
            found = await github.call_tool("close_stale_issues", {"repository": self._repository})
            text = " ".join(part.text for part in found.content if isinstance(part, TextContent))
            send("result", text=text)

    def _client(self, server: StdioServerParameters) -> Client:
        # the handshake of 2025 keeps the call open with the question: there the tool hangs
        return Client(server, mode="legacy", elicitation_callback=self._ask)

    async def _ask(
        self,
        context: ClientRequestContext,  # noqa: ARG002 - the SDK's callback has it
        params: ElicitRequestParams,
    ) -> ElicitResult:
        """Pass a question on, and wait for the answer without a limit."""
        schema = getattr(params, "requested_schema", {})
        send("question", message=params.message, schema=schema)
        answer = json.loads(await self._inbox.line())
        send("log", text=f"the answer: {answer['action']}")
        return ElicitResult(action=answer["action"], content=answer.get("content"))


@contextmanager
def _preview() -> Iterator[int]:
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
    parser.add_argument("--stubborn", action="store_true", help="ignore signals and closed pipes")
    options = parser.parse_args()
    set_process_name("agent")
    if options.stubborn:
        _stubborn.ignore_signals()

    async def run() -> None:
        await Agent(options.repository, stubborn=options.stubborn).run()

    asyncio.run(run())


if __name__ == "__main__":
    main()
