"""Real: the command fleet, end to end, with its exit codes. Pure: its arguments."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from distributed import Client

from proctree_kill._cli import main
from proctree_kill.fleet import Fleet
from support.commands import Invoke
from support.fleets import SLEEP, Part
from support.times import BOUND

pytestmark = pytest.mark.timeout(120)  # seconds; the first test starts a cluster

DOCS = Path(__file__).parents[2] / "docs"


def test_a_fleet_is_listed_stopped_and_recovered(
    cluster: Part, client: Client, invoke: Invoke, tmp_path: Path
) -> None:
    command = ("fleet", cluster.address)
    code, _, err = invoke(*command, "sessions")
    assert code == 2
    assert "it has no fleet" in err
    fleet = Fleet(client, tmp_path, deadline=BOUND)
    assert fleet.sessions() == {}
    assert invoke(*command, "sessions") == (0, "the fleet has no sessions\n", "")
    session = fleet.spawn_agent("a", SLEEP, tool="claude")
    code, out, err = invoke(*command, "sessions")
    assert (code, err) == (0, "")
    head, row = (line.split() for line in out.splitlines())
    assert head == ["SESSION", "HOST", "TOOL", "PID", "AGE", "STATE"]
    assert row[:4] == ["a", session.host, "claude", str(session.pid)]
    assert row[-1] == "running"
    code, out, _ = invoke(*command, "sessions", "--json")
    (told,) = json.loads(out)["sessions"]
    assert (code, told["id"], told["worker"]) == (0, "a", session.worker)
    code, out, err = invoke(*command, "recover")
    assert (code, err) == (0, "")
    assert "owned" in out
    code, out, _ = invoke(*command, "recover", "--dry-run", "--json")
    assert (code, json.loads(out)["ok"]) == (0, True)
    code, out, err = invoke(*command, "stop", "a")
    assert (code, err) == (0, "")
    assert "session a: it exited when it was asked" in out
    code, out, _ = invoke(*command, "stop", "a", "--json")
    assert (code, json.loads(out)["method"]) == (0, "nothing_to_stop")
    code, _, err = invoke(*command, "stop", "never")
    assert code == 4
    assert "not found" in err
    assert fleet.sessions() == {}


@pytest.fixture
def mute() -> Iterator[str]:
    """Listen at an address at which nothing ever answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"tcp://127.0.0.1:{server.getsockname()[1]}"


@pytest.mark.parametrize("kind", ["free", "mute", "malformed", "without certificates"])
def test_an_address_without_a_scheduler_is_an_error(kind: str, mute: str) -> None:
    address = {
        "free": "tcp://127.0.0.1:1",
        "mute": mute,
        "malformed": "nonsense",
        "without certificates": "tls://127.0.0.1:1",
    }[kind]
    # In a process of its own: what fails in distributed leaves an event loop behind.
    command = ["fleet", address, "sessions", "--timeout", "0.1"]
    done = subprocess.run(
        [sys.executable, "-m", "proctree_kill", *command],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert f"no scheduler answers at {address}: " in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("arguments", ["stop", "sessions a", "recover a"])
def test_only_a_stop_takes_an_id(arguments: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["fleet", "tcp://127.0.0.1:1", *arguments.split()])
    assert end.value.code == 2
    assert "stop needs the ID" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", ["stop a", "sessions"])
def test_only_a_recovery_can_be_dry(arguments: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["fleet", "tcp://127.0.0.1:1", *arguments.split(), "--dry-run"])
    assert end.value.code == 2
    assert "--dry-run belongs to recover" in capsys.readouterr().err


def test_nothing_else_imports_distributed(tmp_path: Path) -> None:
    code = (
        "import sys, proctree_kill; from proctree_kill._cli import main;"
        f"main(['sessions', {str(tmp_path)!r}]); import proctree_kill._cli.fleet;"
        "print('distributed' in sys.modules, 'dask' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == "False False"


def test_the_example_of_the_page_prints_what_the_page_says() -> None:
    page = (DOCS / "fleet.md").read_text(encoding="utf-8")
    _, _, said = page.partition("It prints:\n\n```text\n")
    done = subprocess.run(
        [sys.executable, DOCS / "examples" / "fleet" / "two_machines.py"],
        check=True,
        capture_output=True,
        text=True,
    )
    numbers = re.compile(r"[\d.]+ s\b")
    assert numbers.sub("", done.stdout) == numbers.sub("", said.partition("```")[0])
