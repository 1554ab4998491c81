"""What each way of stopping leaves of an agent that hangs in a question.

`python -m benchmarks.termination` prints it.
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
GRACE = 2.0
KINDS: dict[str, list[str]] = {"leaves when asked": [], "ignores everything": ["--stubborn"]}
PORT = re.compile(r"listens on http://127\.0\.0\.1:(\d+)")
QUESTION = '"say": "question"'


class Agent(NamedTuple):
    """How an agent is started, and the mark that everybody in it carries."""

    argv: list[str]
    env: dict[str, str]
    mark: str

    def survivors(self) -> list[psutil.Process]:
        """Return who is alive and carries the mark."""
        return [one for one in psutil.process_iter() if _carries(one, self.mark)]


class Outcome(NamedTuple):
    """What a way of stopping came to."""

    seconds: float
    survivors: int
    port: bool


def _carries(process: psutil.Process, mark: str) -> bool:
    """Tell whether a process lives and has the mark in its environment."""
    try:
        return process.status() != psutil.STATUS_ZOMBIE and mark in process.environ()
    except psutil.Error:
        return False


def agent(kind: str) -> Agent:
    """Say how an agent is started."""
    mark = f"TERMINATION_{secrets.token_hex(8)}"
    env = {name: one for name, one in os.environ.items() if name != "PROCTREE_NPM_PREFIX"}
    return Agent([*COMMAND, *KINDS[kind]], {**env, mark: "1"}, mark)


def hear(said: Iterable[bytes]) -> int:
    """Read what the agent says until it hangs; return its port."""
    port = 0
    for line in map(bytes.decode, said):
        if found := PORT.search(line):
            port = int(found[1])
        if QUESTION in line:
            break
    return port


@contextlib.contextmanager
def held() -> Iterator[int]:
    """Return an input that nobody closes within the block."""
    reading, writing = os.pipe()
    try:
        yield reading
    finally:
        os.close(reading)
        os.close(writing)


def with_popen(stop: Callable[[subprocess.Popen[bytes]], None]) -> Callable[[Agent], Outcome]:
    """Make a way of stopping out of one that takes a ``Popen`` with a session of its own."""

    def way(one: Agent) -> Outcome:
        with (
            held() as stdin,
            subprocess.Popen(
                one.argv,
                cwd=ROOT,
                env=one.env,
                stdin=stdin,
                stdout=subprocess.PIPE,
                start_new_session=True,
            ) as process,
        ):
            port = hear(process.stdout or ())
            before = time.monotonic()
            stop(process)
            return measured(one, port, before)

    return way


def measured(one: Agent, port: int, before: float) -> Outcome:
    """Look who is left."""
    seconds = time.monotonic() - before
    with socket.socket() as client:
        open_still = client.connect_ex(("127.0.0.1", port)) == 0
    return Outcome(seconds, len(one.survivors()), open_still)


def terminate(process: subprocess.Popen[bytes]) -> None:
    """Terminate, wait, kill: what one finds in most programs."""
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
    """Follow the ``kill_proc_tree`` of psutil's documentation, and kill who is left after it."""
    parent = psutil.Process(process.pid)
    family = [*parent.children(recursive=True), parent]
    for one in family:
        one.terminate()
    _, alive = psutil.wait_procs(family, timeout=GRACE)
    for one in alive:
        one.kill()
    psutil.wait_procs(alive, timeout=GRACE)


def ours(process: subprocess.Popen[bytes]) -> None:
    """End the tree of a process that somebody else started."""
    kill_tree(process, grace=GRACE)


def sdk(one: Agent) -> Outcome:
    """Leave the block of the MCP SDK's client, whose server is the agent."""

    async def scene() -> Outcome:
        first, *rest = one.argv
        server = StdioServerParameters(command=first, args=rest, env=one.env, cwd=ROOT)
        async with stdio_client(server) as (said, _):
            port = 0
            async for told in said:  # it is no MCP, so each line is an error that quotes it
                if found := PORT.search(str(told)):
                    port = int(found[1])
                if "question" in str(told):
                    break
            before = time.monotonic()
        return measured(one, port, before)

    return anyio.run(scene)


def manager(one: Agent) -> Outcome:
    """Stop the session that a manager started."""
    with tempfile.TemporaryDirectory() as folder, held() as stdin:
        sessions = SessionManager(folder, policy=KillPolicy(grace=GRACE))
        said, saying = os.pipe()
        sessions.spawn_agent("a", one.argv, cwd=ROOT, env=one.env, stdin=stdin, stdout=saying)
        os.close(saying)
        with os.fdopen(said, "rb") as lines:
            port = hear(lines)
        before = time.monotonic()
        sessions.stop_agent("a")
        return measured(one, port, before)


WAYS: dict[str, Callable[[Agent], Outcome]] = {
    "terminate(), wait, kill()": with_popen(terminate),
    "killpg": with_popen(killpg),
    "psutil's recipe, then kill": with_popen(psutil_recipe),
    "the MCP SDK's stdio_client": sdk,
    "kill_tree": with_popen(ours),
    "SessionManager.stop_agent": manager,
}


def main() -> None:
    """Measure each way on each kind of agent, and end whoever is left."""
    logging.getLogger("mcp").setLevel(logging.CRITICAL)  # the agent says what is no MCP
    for kind in KINDS:
        print(f"| an agent that {kind} | survivors | its port | seconds |\n|---|---|---|---|")
        for name, way in WAYS.items():
            one = agent(kind)
            outcome = way(one)
            for left in one.survivors():
                kill_tree(left, grace=0)
            port = "open" if outcome.port else "free"
            print(f"| {name} | {outcome.survivors} | {port} | {outcome.seconds:.2f} |", flush=True)
        print()


if __name__ == "__main__":
    main()
