"""Real: the MCP client, whose server hangs."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path

import pytest

from support.capabilities import npm_prefix
from support.examples import command, guard_of, options
from support.times import BOUND

pytest.importorskip("mcp", reason="the MCP SDK is not installed")

pytestmark = pytest.mark.needs("fork")


def test_a_server_that_hangs_is_stopped_with_its_helper() -> None:
    # the server holds the output: its end shows that all are dead
    done = subprocess.run(command("mcp_client"), check=True, **options())
    assert "no answer within" in done.stdout
    assert "2 terminated" in done.stdout


@pytest.mark.needs("npm package", "npx")
def test_a_server_below_npx_is_stopped_with_its_wrappers(tmp_path: Path) -> None:
    npx = ["npx", "--no-install", "mcp-server-everything"]
    way = {**options(HOME=str(tmp_path)), "cwd": npm_prefix()}
    interpreter, program = command("mcp_client")
    done = subprocess.run([interpreter, str(options()["cwd"] / program), *npx], check=True, **way)
    assert "3 terminated" in done.stdout
    assert {"node", "sh"} <= {*done.stdout.split()}


def test_the_server_ends_with_an_agent_that_is_killed() -> None:
    with subprocess.Popen(command("mcp_client"), **options()) as agent:
        assert agent.stdout
        assert agent.stdout.readline().startswith("calling")
        guard = guard_of(agent.pid)
        agent.send_signal(signal.SIGKILL)
        agent.stdout.read()
        guard.wait(BOUND)  # it looks for more of the tree for a while
