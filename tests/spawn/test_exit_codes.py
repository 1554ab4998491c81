"""Real: exit codes where another part of the program reaps the children."""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from proctree_kill import KillResult, SessionManager, TreePopen, akill_tree, arun, kill_tree, run
from proctree_kill._cli import main
from support.agents import PATIENT
from support.callers import apart
from support.counts import REAPED
from support.listener import Listener
from support.loops import on_asyncio, on_both
from support.reapers import REAPERS, WHEN_TOLD, beside, held_codes
from support.times import LONG

if TYPE_CHECKING:
    import trio

pytestmark = pytest.mark.needs("fork", "procfs")

SLEEP = ["sleep", str(LONG)]
beside_each = pytest.mark.parametrize("reaper", REAPERS)
told = pytest.mark.needs("exit status of the reaped")

Codes = tuple[int | None, int | None]


def root_code(result: KillResult) -> int | None:
    """Return the exit code of the root."""
    assert result.root
    return result.root.exit_code


def awaited_codes() -> list[tuple[int, int | None]]:
    async def scene() -> list[tuple[int, int | None]]:
        done = [await arun(WHEN_TOLD, input=b"\n") for _ in range(REAPED)]
        return [(tree.returncode, tree.exit_code) for tree in done]

    return asyncio.run(scene())


@told
@beside_each
@pytest.mark.parametrize("codes", [partial(held_codes, REAPED), awaited_codes], ids=["run", "arun"])
def test_run_tells_the_exit_code(
    reaper: str, codes: Callable[[], list[tuple[int, int | None]]]
) -> None:
    assert beside(reaper, codes) == [(7, 7)] * REAPED


@beside_each
@pytest.mark.parametrize("kernel", [True, False])
def test_a_command_that_ends_at_once_never_seems_to_succeed(reaper: str, *, kernel: bool) -> None:
    def codes() -> set[tuple[int, int | None]]:
        done = [run(["sh", "-c", "exit 7"]) for _ in range(REAPED)]
        return {(tree.returncode, tree.exit_code) for tree in done}

    assert beside(reaper, codes, told=kernel) <= {(7, 7), (255, None)}


@beside_each
def test_an_older_kernel_tells_the_truth_or_nothing(reaper: str) -> None:
    assert {*beside(reaper, partial(held_codes, REAPED), told=False)} <= {(7, 7), (255, None)}


def without_pidfd() -> None:
    from proctree_kill._systems.linux import system as linux_system  # noqa: PLC0415 - not on every system

    linux_system.PIDFD = False


@beside_each
def test_without_descriptors_a_code_is_true_or_unknown(reaper: str) -> None:
    def codes() -> list[tuple[int, int | None]]:
        without_pidfd()
        return held_codes(REAPED)

    assert {*beside(reaper, codes)} <= {(7, 7), (255, None)}


@pytest.mark.needs("pidfd")
def test_a_root_is_held_while_the_program_has_descriptors_left(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import resource  # noqa: PLC0415 - not on every system

    def held() -> int:
        with TreePopen(["cat"], stdin=subprocess.PIPE) as process:
            return sum(held_by(file) == process.pid for file in Path("/proc/self/fdinfo").iterdir())

    before = held()
    monkeypatch.setattr(resource, "getrlimit", lambda _: (2, 2))
    assert held() == before - 1


def held_by(file: Path) -> int | None:
    """Return the pid that a descriptor holds, by its fdinfo; it may be closed meanwhile."""
    with contextlib.suppress(FileNotFoundError):
        fields = dict(line.split(":", 1) for line in file.read_text().splitlines() if ":" in line)
        return int(fields.get("Pid", 0))
    return None


def test_an_unknown_code_is_no_success() -> None:
    def scene() -> tuple[Any, ...]:
        done = run(["true"])
        return done, done.returncode, done.exit_code, done.ok, repr(done)

    again, code, known, ok, shown = beside("kernel", scene, told=False)
    assert (code, known, ok) == (255, None, False)
    assert again.exit_code is None  # a result that was pickled says the same
    assert shown == "<CompletedTree not ok: true ended, its exit code is unknown>"


def test_check_raises_for_an_unknown_code_and_says_so() -> None:
    with pytest.raises(subprocess.CalledProcessError, match="its exit code is unknown") as raised:
        beside("kernel", lambda: run(["echo", "out"], check=True, capture_output=True), told=False)
    assert raised.value.returncode == 255
    assert raised.value.stdout == b"out\n"
    assert pickle.loads(pickle.dumps(raised.value)).cmd == ["echo", "out"]  # noqa: S301 - our own


def test_an_unknown_code_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    def scene() -> str:
        TreePopen(["true"]).wait()
        return caplog.text

    assert "is unknown: another part of" in beside("kernel", scene, told=False)


def end_by_poll(process: TreePopen[bytes]) -> None:
    while process.poll() is None:
        os.sched_yield()


ENDS: dict[str, Callable[[TreePopen[bytes]], object]] = {
    "wait": lambda process: process.wait(),
    "poll": end_by_poll,
    "communicate": lambda process: process.communicate(),
    "stop": lambda process: process.stop(grace=LONG),
}


@told
@beside_each
@pytest.mark.parametrize("end", ENDS)
def test_a_tree_knows_the_exit_code(reaper: str, end: str) -> None:
    def codes() -> list[Codes]:
        found = []
        for _ in range(REAPED):
            process = TreePopen(
                ["sh", "-c", "trap 'exit 7' TERM; echo; read line; exit 7"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
            )
            assert process.stdin
            assert process.stdout
            process.stdout.read(1)
            if end != "communicate":
                process.stdin.close()
            ENDS[end](process)
            process.stdout.close()
            found.append((process.returncode, process.exit_code))
        return found

    assert beside(reaper, codes) == [(7, 7)] * REAPED


@told
@beside_each
def test_the_returncode_of_a_popen_is_true(reaper: str) -> None:
    def codes() -> list[Codes]:
        found = []
        for _ in range(REAPED):
            process = subprocess.Popen(SLEEP)
            result = kill_tree(process, grace=0)
            found.append((process.returncode, root_code(result)))
        return found

    assert beside(reaper, codes) == [(-9, -9)] * REAPED


@beside_each
def test_the_returncode_of_a_popen_is_true_or_unknown(reaper: str) -> None:
    def codes() -> set[Codes]:
        found: set[Codes] = set()
        for _ in range(REAPED):
            process = subprocess.Popen(SLEEP)
            result = kill_tree(process, grace=0)
            found.add((process.returncode, root_code(result)))
        return found

    assert beside(reaper, codes, told=False) <= {(-9, -9), (255, None)}


def test_a_popen_that_was_reaped_before_the_call_has_no_exit_code() -> None:
    def scene() -> Codes:
        process = subprocess.Popen(["true"])
        os.waitpid(process.pid, 0)
        result = kill_tree(process)
        return process.returncode, root_code(result)

    assert apart(scene) == (255, None)


@told
@on_both
@beside_each
def test_a_process_of_a_loop_has_its_exit_code(reaper: str, loop: Callable[..., Any]) -> None:
    async def scene() -> Codes:
        process = await start_by(loop)
        result = await akill_tree(process, grace=0)
        return process.returncode, root_code(result)

    returncode, code = beside(reaper, lambda: loop(scene))
    assert code == -9
    assert returncode in (-9, 255)  # what asyncio says where it was not the first to ask


async def start_by(loop: Callable[..., object]) -> asyncio.subprocess.Process | trio.Process:
    if loop is on_asyncio:
        return await asyncio.create_subprocess_exec(*SLEEP)
    import trio  # noqa: PLC0415 - an extra

    return await trio.lowlevel.open_process(SLEEP)


@told
@beside_each
def test_a_process_of_multiprocessing_has_its_exit_code(reaper: str) -> None:
    def scene() -> Codes:
        process = multiprocessing.get_context("fork").Process(target=signal.pause)
        process.start()
        result = kill_tree(process, grace=0)
        return process.exitcode, root_code(result)

    assert beside(reaper, scene) == (-9, -9)


@told
@beside_each
def test_the_result_of_a_pexpect_child_is_returned(reaper: str) -> None:
    pexpect = pytest.importorskip("pexpect")

    def scene() -> int | None:
        result = kill_tree(pexpect.spawn("sleep", [str(LONG)]), grace=0)
        return root_code(result)

    assert beside(reaper, scene) == -9


def test_the_returncode_is_there_in_a_handler_that_interrupts_a_wait() -> None:
    process = subprocess.Popen(SLEEP)
    codes = []

    def end(*_: object) -> None:
        kill_tree(process, grace=0)
        codes.append(process.returncode)

    def interrupt() -> None:
        while not process._waitpid_lock.locked():  # type: ignore[attr-defined] # the wait has begun
            os.sched_yield()
        os.kill(os.getpid(), signal.SIGUSR1)

    before = signal.signal(signal.SIGUSR1, end)
    try:
        interrupting = threading.Thread(target=interrupt)
        interrupting.start()
        assert process.wait() == -9
        interrupting.join()
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert codes == [-9]


def test_the_returncode_is_there_when_another_thread_waits() -> None:
    for _ in range(REAPED):
        process = subprocess.Popen(SLEEP)
        waiting = threading.Thread(target=process.wait)
        waiting.start()
        kill_tree(process, grace=0)
        assert process.returncode == -9
        waiting.join()


@told
@beside_each
def test_a_session_has_the_exit_code(reaper: str, tmp_path: Path) -> None:
    assert beside(reaper, lambda: session_code(tmp_path)) == 7


def test_the_unknown_exit_code_of_a_session_is_none(tmp_path: Path) -> None:
    assert beside("kernel", lambda: session_code(tmp_path), told=False) is None


def session_code(folder: Path) -> int | None:
    """Return the exit code of an agent that leaves by itself."""
    listener = Listener()
    with SessionManager(folder, policy=PATIENT, event_broadcaster=listener) as manager:
        session = manager.spawn_agent("a", WHEN_TOLD, stdin=subprocess.PIPE)
        assert session.process.stdin
        session.process.stdin.close()
        listener.wait("exited")
        return session.exit_code


@pytest.mark.parametrize("verbose", [[], ["-v"]])
def test_the_command_line_says_that_the_code_is_unknown(
    verbose: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("proctree_kill._cli.run.keep_exit_codes", lambda: None)

    def scene() -> tuple[int, str]:
        return main(["run", *verbose, "--", "true"]), capsys.readouterr().err

    code, said = beside("kernel", scene, told=False)
    assert code == 125
    assert "the exit code of the command is unknown: another part" in said


def test_the_command_line_has_the_code_where_its_parent_ignores_children() -> None:
    program = "import os, signal, sys; signal.signal(signal.SIGCHLD, signal.SIG_IGN); "
    program += "os.execv(sys.executable, [sys.executable, *sys.argv[1:]])"
    command = ["-m", "proctree_kill", "run", "sh", "-c", "exit 7"]
    assert subprocess.call([sys.executable, "-c", program, *command]) == 7
