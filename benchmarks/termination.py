"""The processes that each way of stopping leaves of an agent that hangs in a question.

`python -m benchmarks.termination` prints a table.
The agent is that of the session console: an MCP client, its server, and a web server on a port.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import anyio
import psutil
from mcp.client.stdio import StdioServerParameters, stdio_client

from proctree_kill import KillPolicy, SessionManager, kill_tree

ROOT = Path(__file__).parents[1]
COMMAND = [sys.executable, "-m", "docs.examples.session_console.agent", "octo/app"]
GRACE = 2.0  # seconds
KINDS: dict[str, list[str]] = {"leaves when asked": [], "ignores everything": ["--stubborn"]}
PORT = re.compile(r"listens on http://127\.0\.0\.1:(\d+)")
QUESTION = '"kind": "question"'


class Agent(NamedTuple):
    """The start of an agent, and the variable that all its processes carry."""

    argv: list[str]
    env: dict[str, str]
    mark: str

    def survivors(self) -> list[psutil.Process]:
        """Return the processes that are alive and carry the mark."""
        return [process for process in psutil.process_iter() if _carries(process, self.mark)]


class Outcome(NamedTuple):
    """The outcome of a way of stopping: seconds, survivors, whether the port is still open."""

    seconds: float
    survivors: int
    port: bool


def _carries(process: psutil.Process, mark: str) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE and mark in process.environ()
    except psutil.Error:
        return False


def new_agent(kind: str) -> Agent:
    """Return a new agent of a kind."""
    mark = f"TERMINATION_{secrets.token_hex(8)}"
    env = {name: value for name, value in os.environ.items() if name != "PROCTREE_NPM_PREFIX"}
    return Agent([*COMMAND, *KINDS[kind]], {**env, mark: "1"}, mark)


def read_port(output: Iterable[bytes]) -> int:
    """Read the output of the agent until it hangs; return its port."""
    port = 0
    for line in map(bytes.decode, output):
        if found := PORT.search(line):
            port = int(found[1])
        if QUESTION in line:
            break
    return port


@contextlib.contextmanager
def open_input() -> Iterator[int]:
    """Yield a pipe that stays open within the block."""
    reading, writing = os.pipe()
    try:
        yield reading
    finally:
        os.close(reading)
        os.close(writing)


def with_popen(stop: Callable[[subprocess.Popen[bytes]], None]) -> Callable[[Agent], Outcome]:
    """Return a way of stopping that starts the agent with ``Popen``, in its own session."""

    def way(agent: Agent) -> Outcome:
        with (
            open_input() as stdin,
            subprocess.Popen(
                agent.argv,
                cwd=ROOT,
                env=agent.env,
                stdin=stdin,
                stdout=subprocess.PIPE,
                start_new_session=True,
            ) as process,
        ):
            port = read_port(process.stdout or ())
            before = time.monotonic()
            stop(process)
            return measured(agent, port, before)

    return way


def measured(agent: Agent, port: int, before: float) -> Outcome:
    """Return what is left of an agent."""
    seconds = time.monotonic() - before
    with socket.socket() as client:
        port_open = client.connect_ex(("127.0.0.1", port)) == 0
    return Outcome(seconds, len(agent.survivors()), port_open)


def terminate(process: subprocess.Popen[bytes]) -> None:
    """Terminate, wait, kill, as most programs do."""
    process.terminate()
    try:
        process.wait(GRACE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def killpg(process: subprocess.Popen[bytes]) -> None:
    """Do the same with the process group."""
    os.killpg(process.pid, signal.SIGTERM)
    try:
        process.wait(GRACE)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def psutil_recipe(process: subprocess.Popen[bytes]) -> None:
    """Follow ``kill_proc_tree`` of the documentation of psutil, and kill what is left."""
    parent = psutil.Process(process.pid)
    tree = [*parent.children(recursive=True), parent]
    for member in tree:
        member.terminate()
    _, alive = psutil.wait_procs(tree, timeout=GRACE)
    for member in alive:
        member.kill()
    psutil.wait_procs(alive, timeout=GRACE)


def ours(process: subprocess.Popen[bytes]) -> None:
    """End the tree of a process that this library did not start."""
    kill_tree(process, grace=GRACE)


def sdk(agent: Agent) -> Outcome:
    """Leave the block of the client of the MCP SDK, whose server is the agent."""

    async def stop() -> Outcome:
        first, *rest = agent.argv
        server = StdioServerParameters(command=first, args=rest, env=agent.env, cwd=ROOT)
        async with stdio_client(server) as (messages, _):
            port = 0
            async for message in messages:  # not MCP, so each line is an error that quotes it
                if found := PORT.search(str(message)):
                    port = int(found[1])
                if "question" in str(message):
                    break
            before = time.monotonic()
        return measured(agent, port, before)

    return anyio.run(stop)


def manager(agent: Agent) -> Outcome:
    """Stop the session that a manager started."""
    with tempfile.TemporaryDirectory() as folder, open_input() as stdin:
        sessions = SessionManager(folder, policy=KillPolicy(grace=GRACE))
        reader, writer = os.pipe()
        sessions.spawn_agent("a", agent.argv, cwd=ROOT, env=agent.env, stdin=stdin, stdout=writer)
        os.close(writer)
        with os.fdopen(reader, "rb") as output:
            port = read_port(output)
        before = time.monotonic()
        sessions.stop_agent("a")
        return measured(agent, port, before)


WAYS: dict[str, Callable[[Agent], Outcome]] = {
    "terminate(), wait, kill()": with_popen(terminate),
    "killpg": with_popen(killpg),
    "psutil's recipe, then kill": with_popen(psutil_recipe),
    "the MCP SDK's stdio_client": sdk,
    "kill_tree": with_popen(ours),
    "SessionManager.stop_agent": manager,
}


def main() -> None:
    """Measure each way on each kind of agent, and end what is left."""
    logging.getLogger("mcp").setLevel(logging.CRITICAL)  # the agent does not write MCP
    for kind in KINDS:
        print(f"| an agent that {kind} | survivors | its port | seconds |\n|---|---|---|---|")
        for name, way in WAYS.items():
            agent = new_agent(kind)
            outcome = way(agent)
            for left in agent.survivors():
                kill_tree(left, grace=0)
            port = "open" if outcome.port else "free"
            print(f"| {name} | {outcome.survivors} | {port} | {outcome.seconds:.2f} |", flush=True)
        print()


if __name__ == "__main__":
    main()
