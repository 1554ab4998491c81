"""Seam: a system that says when it waits. Real: waits for planted trees."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence

import pytest

from proctree_kill import TreeMember
from proctree_kill._cli import main
from proctree_kill._cli.wait import TreeWait
from proctree_kill._engine import rest
from proctree_kill._systems import current
from proctree_kill._systems.contract import System
from proctree_kill._systems.member import Member
from support.nodes import Node, chain
from support.planter import Planter
from support.socket_planter import SocketPlanter
from support.terminal import Terminal
from support.threads import in_thread

HASTE = "0.2"  # seconds; pass in full
ORPHAN = Node(name="root", children=(Node(name="between", dies=True, children=(chain("orphan"),)),))
# For each line a child with a session of its own.
FORKER = "while read line; do setsid tail -f /dev/null & echo $!; done"


def told(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    code = main(["wait", *map(str, arguments)])
    return code, *capsys.readouterr()


@pytest.mark.needs("fork")  # on Windows a handle keeps what is left of a process
def test_a_tree_that_has_ended_is_not_waited_for(capsys: pytest.CaptureFixture[str]) -> None:
    child = subprocess.Popen([sys.executable, "-I", "-S", "-c", ""])
    child.wait()
    code, out, err = told(capsys, child.pid)
    assert (code, err) == (0, "")
    assert out == f"nothing to wait for: process {child.pid} had ended already\n"


@pytest.mark.needs("fork", "procfs")
def test_a_wait_for_nothing_and_one_that_is_refused_have_json(
    capsys: pytest.CaptureFixture[str],
) -> None:
    code, out, _ = told(capsys, "no such program", "--json")
    nothing = {"ok": True, "seconds": 0.0, "living": [], "refused": []}
    assert (code, json.loads(out)) == (0, nothing)
    code, out, err = told(capsys, os.getpid(), "--json")
    answer = json.loads(out)
    assert (code, answer["ok"], len(answer["refused"])) == (3, False, 1)
    assert "this command runs inside that tree" in err


def test_what_lives_at_the_timeout_is_listed_on_every_system(
    planter: SocketPlanter, capsys: pytest.CaptureFixture[str]
) -> None:
    root = planter.plant(chain("root", "child"))
    code, out, _ = told(capsys, root.pid, "--timeout", HASTE)
    assert code == 124
    assert {str(pid) for pid in planter.pids.values()} <= set(out.split())
    code, out, _ = told(capsys, root.pid, "--timeout", HASTE, "--json")
    answer = json.loads(out)
    assert (code, answer["ok"]) == (124, False)
    living = [TreeMember.model_validate_json(json.dumps(member)) for member in answer["living"]]
    assert {member.identity.pid for member in living} == set(planter.pids.values())


@pytest.mark.needs("fork")
class TestTrees:
    def test_the_end_of_the_last_process_is_the_end_of_the_wait(
        self, plant: Planter, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        tree = plant(chain("root", "child", "last"))
        pids = [*tree.pids.values()]

        def step(_: object) -> None:
            if pids:
                os.kill(pids.pop(), signal.SIGKILL)

        seen = at_each_wait(monkeypatch, step)
        code, out, err = told(capsys, tree.root.pid)
        assert (code, err) == (0, "")
        assert out.startswith("no process is left, after")
        assert tree.all_dead()
        assert len(seen) >= 3

    def test_an_orphan_in_the_session_of_a_dead_root_is_waited_for(
        self, plant: Planter, capsys: pytest.CaptureFixture[str]
    ) -> None:
        tree = plant(ORPHAN)
        os.kill(tree.root.pid, signal.SIGKILL)
        os.waitid(os.P_PID, tree.root.pid, os.WEXITED | os.WNOWAIT)
        code, out, _ = told(capsys, tree.root.pid, "--timeout", HASTE)
        assert code == 124
        assert str(tree.pids["orphan"]) in out.split()

    @pytest.mark.needs("setsid", "procfs")
    def test_what_is_born_during_the_wait_is_waited_for(
        self, plant: Planter, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        tree = plant.program(["sh", "-c", FORKER], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        root = tree.root
        assert root.stdin
        assert root.stdout
        born: list[int] = []

        def step(members: Sequence[Member]) -> None:
            assert root.stdin
            assert root.stdout
            pids = {member.pid for member in members}
            if not born:
                root.stdin.write(b"\n")
                root.stdin.flush()
                born.append(int(root.stdout.readline()))
            elif pids >= {root.pid, *born}:
                os.kill(root.pid, signal.SIGKILL)
            elif pids == {*born}:
                os.kill(born[0], signal.SIGKILL)

        at_each_wait(monkeypatch, step)
        assert TreeWait([root.pid], math.inf).run() == []
        assert tree.all_dead()

    def test_a_hurry_ends_the_wait_only(self, plant: Planter) -> None:
        tree = plant(chain("root"))
        wait = TreeWait([tree.root.pid], math.inf)
        hurried = in_thread(wait.hurry)
        (living,) = wait.run()
        hurried()
        assert living.identity.pid == tree.root.pid
        assert not tree.all_dead()

    @pytest.mark.needs("procfs")
    def test_ctrl_c_ends_the_wait_only(self, plant: Planter, terminal: Terminal) -> None:
        tree = plant(chain("root", "child"))
        terminal.run(sys.executable, "-m", "proctree_kill", "wait", str(tree.root.pid))
        terminal.expect("waiting for 2 processes")
        terminal.press_ctrl_c()
        terminal.expect("interrupted; nothing was touched")
        assert terminal.wait() == 130
        assert not tree.all_dead()

    @pytest.mark.needs("procfs")
    @pytest.mark.parametrize("pid", sorted({1, os.getpid(), os.getppid()}))
    def test_a_wait_that_would_never_end_is_refused(
        self, pid: int, capsys: pytest.CaptureFixture[str]
    ) -> None:
        code, out, err = told(capsys, pid, "--timeout", HASTE)
        assert (code, out) == (3, "")
        assert f"process {pid} is refused: " in err


def at_each_wait(
    monkeypatch: pytest.MonkeyPatch, step: Callable[[Sequence[Member]], object]
) -> list[Sequence[Member]]:
    """Call something before each wait of a system; return the members of each wait."""
    seen: list[Sequence[Member]] = []

    def make() -> System:
        system = current()
        wait = system.wait

        def step_and_wait(members: Sequence[Member], until: float) -> list[Member]:
            seen.append(members)
            step(members)
            return wait(members, until)

        monkeypatch.setattr(system, "wait", step_and_wait)
        return system

    monkeypatch.setattr(rest, "current", make)
    return seen
