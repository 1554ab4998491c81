"""An agent: an MCP client whose server asks a question that it hands on, and waits for the answer.

It says what it does on standard output, a JSON object a line: ``{"port": ...}`` once its web
server listens, ``{"question": ...}`` once it was asked, ``{"result": ...}`` at the end.
The answer is a JSON object in the file that ``--answer`` names, whenever somebody writes it.
It leaves when its standard input ends, or is asked by SIGTERM, unless it is ``--deaf``.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
from mcp import ClientSession, StdioServerParameters, types
from mcp.client.stdio import stdio_client

from support.voice import speak

HERE = Path(__file__).parent
PAUSE = 0.05
"""Seconds after which a question without an answer is called cancelled; the server asks again."""
LEFT = 0


def say(**told: object) -> None:
    """Tell whoever started this."""
    sys.stdout.write(json.dumps(told) + "\n")
    sys.stdout.flush()


class Clarification:
    """A question that somebody else answers, by writing a file."""

    def __init__(self, answer: Path) -> None:
        """Say which file."""
        self._answer = answer
        self._asked = False

    async def ask(self, _: Any, asked: types.ElicitRequestParams) -> types.ElicitResult:  # noqa: ANN401 - the session
        """Hand the question on once, and look whether it was answered meanwhile."""
        if not self._asked:
            self._asked = True
            say(question=asked.message)
        await anyio.sleep(PAUSE)
        if not self._answer.exists():
            return types.ElicitResult(action="cancel")
        return types.ElicitResult(action="accept", content=json.loads(self._answer.read_text()))


async def connect(stack: AsyncExitStack, argv: list[str], **options: Any) -> ClientSession:
    """Start an MCP server and make its acquaintance."""
    first, *rest = argv
    server = StdioServerParameters(command=first, args=rest, env=dict(os.environ))
    streams = await stack.enter_async_context(stdio_client(server))
    session = await stack.enter_async_context(ClientSession(*streams, **options))
    await session.initialize()
    return session


async def leave_with_input() -> None:
    """Wait until standard input ends, then leave as one who was not asked for anything more."""
    await anyio.to_thread.run_sync(sys.stdin.buffer.read, abandon_on_cancel=True)
    os._exit(LEFT)


async def run(options: argparse.Namespace) -> None:
    """Start everybody, and have the work done that needs the answer."""
    web = await anyio.open_process([sys.executable, str(HERE / "http_child.py")], stderr=None)
    assert web.stdout
    say(port=int(await web.stdout.receive()))
    async with AsyncExitStack() as stack, anyio.create_task_group() as group:
        if not (options.deaf or options.ignores_input):
            group.start_soon(leave_with_input)
        for command in options.beside:
            beside = await connect(stack, command.split("\n"))
            await beside.list_tools()
        clarification = Clarification(options.answer)
        server = await connect(
            stack,
            [sys.executable, str(HERE / "clarifying_server.py")],
            elicitation_callback=clarification.ask,
        )
        done = await server.call_tool("deploy", {})
        say(result=[one.text for one in done.content if isinstance(one, types.TextContent)])
        os._exit(LEFT)


def main() -> None:
    """Read the arguments."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--answer", type=Path, required=True)
    parser.add_argument("--ignores-input", action="store_true", help="leave by a signal only")
    parser.add_argument("--deaf", action="store_true", help="ignore every request to leave")
    parser.add_argument(
        "--beside", action="append", default=[], help="another server; argv by lines"
    )
    options = parser.parse_args()
    if options.deaf:  # whatever is started from here on inherits this
        for one in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(one, signal.SIG_IGN)
    speak()
    anyio.run(run, options)


if __name__ == "__main__":
    main()
