"""Pure: the members of the demo's tree. Real: it is started, shown and ended, and nothing stays.

Every process that the demo starts inherits its standard error, so that the end of that pipe
is the death of the last of them.
"""

from __future__ import annotations

import io
import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path

import pytest

from proctree_kill import TreeSnapshot
from proctree_kill._cli import demo as cli_demo
from proctree_kill._cli import demo_process, main
from proctree_kill._cli.screen import Screen
from support.callers import apart, unprivileged
from support.times import BOUND
from support.users import ordinary_user

COMMAND = [sys.executable, "-m", "proctree_kill", "demo"]
# It waits for a process more than it starts: it is planting until an interrupt.
PLANTING = """\
from proctree_kill._cli import demo_process, main
demo_process.CHILDREN["server"] += ("never started",)
raise SystemExit(main())
"""
# It has shown its tree, and does not ask it to exit.
SHOWING = """\
import signal
from proctree_kill._cli import demo, main
demo.kill_tree = lambda *_, **__: signal.pause()
raise SystemExit(main())
"""
NOTHING_LEFT = "it is closed: no process is left."


@pytest.mark.parametrize("system", ["posix", "windows"])
def test_a_process_that_stays_is_described(system: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo_process, "POSIX", system == "posix")
    staying = set(cli_demo.roles("server")) - set(demo_process.SHORT_LIVED)
    assert {"shell", *staying} <= set(cli_demo.DESCRIPTIONS)
    assert "orphan" in staying
    assert ("stopped" in staying) is (system == "posix")


def test_a_shell_waits_for_the_server_on_windows_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli_demo, "POSIX", False)
    monkeypatch.setenv("COMSPEC", r"C:\Windows\cmd.exe")
    wrapped = cli_demo.wrapped([r"C:\Program Files\python.exe", "node.py"])
    assert wrapped == r'C:\Windows\cmd.exe /s /c ""C:\Program Files\python.exe" node.py"'


def test_the_tree_is_shown_and_ended_and_nothing_stays() -> None:
    done = subprocess.run(
        [*COMMAND, "--grace", "0.3"], capture_output=True, text=True, check=False, timeout=BOUND
    )
    assert (done.returncode, done.stderr) == (0, "")
    drawn, _, ended = done.stdout.partition("Now all are asked")
    staying = set(cli_demo.roles("server")) - set(demo_process.SHORT_LIVED)
    assert all(cli_demo.DESCRIPTIONS[role] in drawn for role in ("shell", *staying))
    assert NOTHING_LEFT in ended
    assert "killed" in ended


@pytest.mark.needs("fork")
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_an_interrupted_demo_leaves_nothing(name: str) -> None:
    with shown("--grace", "60") as demo:
        demo.send_signal(getattr(signal, name))
        _, said = demo.communicate(timeout=BOUND)
    assert demo.returncode == -getattr(signal, name)
    assert said == b"proctree-kill: interrupted; no process is left\n"


@pytest.mark.needs("fork")
def test_a_demo_interrupted_while_it_plants_leaves_nothing() -> None:
    planting = [sys.executable, "-c", PLANTING, "demo"]
    with subprocess.Popen(planting, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as demo:
        try:
            wait_for_a_child(demo)
            demo.send_signal(signal.SIGINT)
            out, err = demo.communicate(timeout=BOUND)
        finally:
            demo.kill()
    assert (demo.returncode, out) == (-signal.SIGINT, b"")
    assert err == b"proctree-kill: interrupted; no process is left\n"


@pytest.mark.needs("fork")
def test_a_demo_that_is_killed_leaves_nothing() -> None:
    with shown(command=[sys.executable, "-c", SHOWING, "demo"]) as demo:
        demo.kill()
        demo.wait()
        assert demo.stderr
        ready, _, _ = select.select([demo.stderr], [], [], BOUND)
        assert ready
        assert demo.stderr.read() == b""


@pytest.mark.needs("ordinary user")
def test_an_ordinary_user_can_see_it() -> None:
    account = ordinary_user()
    assert account

    def call() -> tuple[int, str, bytes]:
        reading, writing = os.pipe()
        os.dup2(writing, 2)
        os.close(writing)
        sys.executable = account.interpreter
        out, err = io.StringIO(), io.StringIO()
        with unprivileged(account), redirect_stdout(out), redirect_stderr(err):
            code = main(["demo", "--grace", "0.3"])
        os.close(2)
        with os.fdopen(reading, "rb") as reader:
            return code, out.getvalue(), err.getvalue().encode() + reader.read()

    code, out, err = apart(call)
    assert (code, err) == (0, b"")
    assert NOTHING_LEFT in out


def test_a_tree_that_cannot_be_planted_is_reported(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(cli_demo, "PROCESS_FILE", Path("/nowhere/node.py"))
    assert main(["demo"]) == 1
    assert "the tree could not be started: " in capfd.readouterr().err


def test_a_tree_that_stays_silent_is_reported_and_ended(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    node = tmp_path / "node.py"
    node.write_text("import os; os.read(0, 1)")
    monkeypatch.setattr(cli_demo, "PROCESS_FILE", node)
    monkeypatch.setattr(
        cli_demo.DemoTree,
        "wait_until_ready",
        in_haste(cli_demo.DemoTree.wait_until_ready, monkeypatch),
    )
    assert main(["demo"]) == 1
    assert "server" in capfd.readouterr().err


@pytest.mark.needs("fork", "procfs")
def test_a_process_that_holds_the_pipe_is_not_called_gone(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    held: list[int] = []
    draw = Screen.tree

    def hold(screen: Screen, snapshot: TreeSnapshot, notes: dict[int, str]) -> None:
        draw(screen, snapshot, notes)
        held.append(os.open(f"/proc/{snapshot.target[0].pid}/fd/1", os.O_WRONLY))
        monkeypatch.setattr(cli_demo, "BOUND", 0.5)

    monkeypatch.setattr(Screen, "tree", hold)
    try:
        assert main(["demo", "--grace", "0"]) == 1
    finally:
        for fd in held:
            os.close(fd)
        for thread in threading.enumerate():
            if thread.name == "demo":
                thread.join(BOUND)
    assert "a process still holds the pipe" in capsys.readouterr().err


def in_haste(
    start: Callable[[cli_demo.DemoTree], dict[str, int]], monkeypatch: pytest.MonkeyPatch
) -> Callable[[cli_demo.DemoTree], dict[str, int]]:
    """Let no start be waited for long."""

    def call(tree: cli_demo.DemoTree) -> dict[str, int]:
        with monkeypatch.context() as patch:
            patch.setattr(cli_demo, "BOUND", 0.1)
            return start(tree)

    return call


@contextmanager
def shown(*options: str, command: list[str] = COMMAND) -> Iterator[subprocess.Popen[bytes]]:
    """Run a demo, and yield it when its whole tree was shown and is to be asked."""
    with subprocess.Popen(
        [*command, *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as demo:
        try:
            assert demo.stdout
            for line in demo.stdout:
                if line.startswith(b"Now all are asked"):
                    break
            yield demo
        finally:
            demo.kill()


def wait_for_a_child(process: subprocess.Popen[bytes]) -> None:
    """Wait until a process has a child."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    deadline = time.monotonic() + BOUND
    while not children.read_text() and time.monotonic() < deadline:
        os.sched_yield()
    assert children.read_text()
