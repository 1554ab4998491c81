"""Real: what a caller of kill_tree and akill_tree may rely on."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import Any

import anyio
import pytest

from proctree_kill import (
    Fate,
    KillEvent,
    KillPolicy,
    KillResult,
    TreePopen,
    akill_tree,
    errors,
    kill_tree,
    snapshot_tree,
)
from support.forcing import forced_after
from support.loops import on_both
from support.nodes import Node, chain
from support.planter import Planter
from support.threads import in_thread, other_thread
from support.times import BOUND

pytestmark = pytest.mark.needs("fork")

PATIENCE = 20.0  # seconds of grace; never pass in full
STUBBORN = Node(name="root", on_term="ignore", children=(Node(name="child", on_term="ignore"),))


def when_asked(act: Callable[[], object]) -> Callable[[KillEvent], None]:
    """Return a listener that acts when the tree was asked."""

    def listen(event: KillEvent) -> None:
        if event.kind == "asked":
            act()

    return listen


@pytest.mark.parametrize(
    ("target", "error", "words"),
    [
        (True, TypeError, "not bool"),
        (1.0, TypeError, "not float"),
        ("12", TypeError, "not str"),
        (b"12", TypeError, "not bytes"),
        (None, TypeError, "not NoneType"),
        (0, errors.TargetRefusedError, "from 1 to"),
        (-5, ValueError, "from 1 to"),
        (1, errors.TargetRefusedError, "init"),
    ],
)
def test_what_is_no_target_is_refused(target: object, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        kill_tree(target)  # type: ignore[arg-type] # that is the point


@pytest.mark.needs("procfs", "root")
def test_a_kernel_thread_is_refused() -> None:
    with pytest.raises(errors.TargetRefusedError, match="the kernel thread kthreadd"):
        kill_tree(2)


@pytest.mark.needs("procfs")
def test_a_thread_is_refused_by_the_name_of_its_process() -> None:
    refused = pytest.raises(errors.TargetRefusedError, match=f"that thread is {os.getpid()}")
    with other_thread() as tid, refused:
        kill_tree(tid)


def test_the_caller_and_its_ancestors_are_refused() -> None:
    with pytest.raises(errors.TargetRefusedError, match="include_root=False means its children"):
        kill_tree(os.getpid())
    with pytest.raises(errors.TargetRefusedError, match="holds the caller"):
        kill_tree(os.getppid())
    with pytest.raises(errors.TargetRefusedError, match="holds the caller"):
        kill_tree(os.getppid(), include_root=False)
    assert "holds the caller" in str(snapshot_tree(os.getppid()).refusal)


def test_a_refused_target_saves_the_others(plant: Planter) -> None:
    tree = plant(chain("root"))
    with pytest.raises(errors.TargetRefusedError):
        kill_tree([tree.root, os.getppid()])
    assert tree.root.poll() is None


def test_a_marker_that_the_caller_carries_is_refused(
    plant: Planter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROCTREE_TEST_MARK", "1")
    tree = plant(chain("root"))
    with pytest.raises(errors.TargetRefusedError, match="carries the marker PROCTREE_TEST_MARK"):
        kill_tree(tree.root, marker="PROCTREE_TEST_MARK=1")
    assert tree.root.poll() is None


@pytest.mark.parametrize("marker", ["NAME", "=1", "NAME=", "A=\0"])
def test_a_marker_needs_a_name_and_a_value(plant: Planter, marker: str) -> None:
    tree = plant(chain("root"))
    with pytest.raises(ValueError, match="expected NAME=VALUE"):
        kill_tree(tree.root, marker=marker)
    assert tree.root.poll() is None


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"grace": -1}, errors.PolicyError),
        ({"grace": "2"}, errors.PolicyError),
        ({"settle": float("inf")}, errors.PolicyError),
        ({"terminate": "leaves"}, errors.PolicyError),
        ({"marker": 5}, TypeError),
        ({"spare": 5}, TypeError),
        ({"spare": "5"}, TypeError),
        ({"spare": [True]}, TypeError),
        ({"on_event": 5}, TypeError),
    ],
)
def test_a_wrong_option_touches_nothing(
    plant: Planter, options: dict[str, Any], error: type[Exception]
) -> None:
    tree = plant(chain("root"))
    with pytest.raises(error, match=r"(?s).+"):
        kill_tree(tree.root, **options)
    assert tree.root.poll() is None


def test_the_own_children_are_ended_without_the_own_process(plant: Planter) -> None:
    tree = plant(chain("root", "child"), start_new_session=False)
    result = kill_tree(
        os.getpid(), include_root=False, spare=lambda member: member.ppid == os.getpid()
    )
    assert result.ok
    assert tree.root.poll() is None
    result = kill_tree(os.getpid(), include_root=False)
    assert {outcome.identity.pid for outcome in result.outcomes} >= set(tree.pids.values())
    assert tree.all_dead()


def test_a_target_that_is_gone_is_no_error(plant: Planter) -> None:
    tree = plant(chain("root"))
    tree.root.kill()
    tree.root.wait()
    for target in (tree.root, tree.root.pid):
        result = kill_tree(target)
        assert result.ok
        assert [outcome.fate for outcome in result.outcomes] == [Fate.ALREADY_GONE]


def test_a_result_is_its_json(plant: Planter) -> None:
    result = kill_tree(plant(chain("root", "child")).root)
    assert KillResult.model_validate_json(result.model_dump_json()) == result


def test_the_root_alone_may_be_asked(plant: Planter) -> None:
    tree = plant(Node(name="root", reaps=False, on_term="exit", children=(chain("child"),)))
    with forced_after([tree.root.pid]):
        result = kill_tree(tree.root, terminate="root", grace=PATIENCE)
    sent = {outcome.identity.pid: outcome.signals for outcome in result.outcomes}
    assert sent[tree.root.pid] == ("SIGTERM", "SIGCONT")
    assert sent[tree.pids["child"]] == ("SIGSTOP", "SIGKILL")


def test_options_override_the_policy(plant: Planter) -> None:
    result = kill_tree(plant(STUBBORN).root, policy=KillPolicy(grace=PATIENCE), grace=0)
    assert result.forced
    assert result.seconds < PATIENCE


def test_events_tell_the_whole_story(plant: Planter) -> None:
    tree = plant(STUBBORN)
    events: list[KillEvent] = []
    kill_tree(tree.root, grace=0.1, on_event=events.append)
    kinds = [event.kind for event in events]
    assert kinds == ["asked", "escalated", "gone", "gone", "settled"]
    assert [event.remaining for event in events] == [2, 2, 1, 0, 0]
    assert [event.seconds for event in events] == sorted(event.seconds for event in events)


def test_an_interrupt_forces_at_once_and_is_raised_afterwards(plant: Planter) -> None:
    tree = plant(STUBBORN)
    with pytest.raises(KeyboardInterrupt):
        kill_tree(
            tree.root,
            grace=PATIENCE,
            on_event=when_asked(lambda: os.kill(os.getpid(), signal.SIGINT)),
        )
    assert tree.all_dead()


@pytest.mark.parametrize("kind", ["asked", "escalated", "gone", "settled"])
@pytest.mark.parametrize(
    "kill",
    [
        kill_tree,
        TreePopen.stop,
        lambda *args, **options: asyncio.run(akill_tree(*args, **options)),
        lambda *args, **options: asyncio.run(TreePopen.astop(*args, **options)),
    ],
    ids=["kill_tree", "stop", "akill_tree", "astop"],
)
def test_what_a_listener_raises_to_end_the_program_waits_for_the_end(
    plant: Planter, kill: Callable[..., KillResult], kind: str
) -> None:
    def leave(event: KillEvent) -> None:
        if event.kind == kind:
            raise Leave

    class Leave(BaseException):
        pass

    process, tree = plant.contained(STUBBORN)
    with pytest.raises(Leave):
        kill(process, on_event=leave, grace=PATIENCE if kind == "asked" else 0.1)
    assert tree.all_dead()


def test_whatever_a_signal_handler_raises_is_held_back(plant: Planter) -> None:
    class AlarmError(Exception):
        pass

    def ring(_number: int, _frame: object) -> None:
        raise AlarmError

    tree = plant(STUBBORN)
    before = signal.signal(signal.SIGUSR1, ring)
    try:
        with pytest.raises(AlarmError):
            kill_tree(
                tree.root,
                grace=PATIENCE,
                on_event=when_asked(lambda: os.kill(os.getpid(), signal.SIGUSR1)),
            )
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert tree.all_dead()


def test_a_thread_may_kill_as_well(plant: Planter) -> None:
    tree = plant(chain("root", "child"))
    assert in_thread(lambda: kill_tree(tree.root))().ok
    assert tree.all_dead()


def test_a_tree_can_be_ended_at_the_exit_of_the_interpreter() -> None:
    program = (
        "import atexit, subprocess, sys\n"
        "from proctree_kill import kill_tree\n"
        "child = subprocess.Popen([sys.executable, '-I', '-S', '-c', 'input()'], stdin=-1)\n"
        "atexit.register(lambda: print(kill_tree(child, grace=0).ok, child.returncode))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert (done.stdout.split(), done.stderr) == (["True", "-9"], "")


def test_a_cancelled_task_forces_at_once_and_stays_cancelled(plant: Planter) -> None:
    tree = plant(STUBBORN)

    async def scene() -> None:
        loop = asyncio.get_running_loop()
        task = asyncio.current_task()
        assert task is not None
        cancel = when_asked(lambda: loop.call_soon_threadsafe(task.cancel))
        with pytest.raises(asyncio.CancelledError):
            await akill_tree(tree.root, grace=PATIENCE, on_event=cancel)
        assert tree.all_dead()
        assert tree.root.returncode == -signal.SIGKILL

    asyncio.run(scene())


def test_the_event_loop_runs_on_during_a_kill(plant: Planter) -> None:
    tree = plant(STUBBORN)

    async def scene() -> KillResult:
        loop, asked = asyncio.get_running_loop(), asyncio.Event()
        tell = when_asked(lambda: loop.call_soon_threadsafe(asked.set))
        task = asyncio.create_task(akill_tree(tree.root, grace=PATIENCE, on_event=tell))
        await asked.wait()  # the stubborn live, so the kill goes on
        for pid in tree.pids.values():
            os.kill(pid, signal.SIGKILL)
        return await task

    result = asyncio.run(scene())
    assert result.ok
    assert not result.forced


def test_hung_trees_are_awaited_side_by_side(plant: Planter) -> None:
    """Each waits for all others when its tree was asked."""
    trees = [plant(Node(name="root", on_term="ignore")) for _ in range(8)]
    all_are_asked = threading.Barrier(len(trees))
    wait = when_asked(lambda: all_are_asked.wait(BOUND))

    async def scene() -> list[KillResult]:
        kills = [akill_tree(tree.root, grace=0.3, on_event=wait) for tree in trees]
        return await asyncio.gather(*kills)

    assert all(result.ok for result in asyncio.run(scene()))
    assert not all_are_asked.broken


def test_trio_awaits_a_kill(plant: Planter) -> None:
    trio = pytest.importorskip("trio")
    tree = plant(chain("root", "child"))

    async def scene() -> KillResult:
        return await akill_tree(tree.root, grace=PATIENCE)

    result: KillResult = trio.run(scene)
    assert result.ok
    assert tree.root.returncode == -signal.SIGTERM


@pytest.mark.needs("waitid")
def test_a_trio_process_that_has_ended_is_gone_already() -> None:
    trio = pytest.importorskip("trio")

    async def scene() -> tuple[KillResult, int | None]:
        process = await trio.lowlevel.open_process(["true"])
        ended = os.WEXITED | os.WNOWAIT
        await trio.to_thread.run_sync(os.waitid, os.P_PID, process.pid, ended)
        return await akill_tree(process), process.returncode

    result, code = trio.run(scene)
    assert result.root
    assert (result.root.fate, result.root.exit_code, code) == (Fate.ALREADY_GONE, 0, 0)


def test_a_cancelled_trio_scope_forces_at_once(plant: Planter) -> None:
    trio = pytest.importorskip("trio")
    tree = plant(STUBBORN)

    async def scene() -> bool:
        token = trio.lowlevel.current_trio_token()
        with trio.CancelScope() as scope:
            cancel = when_asked(lambda: token.run_sync_soon(scope.cancel))
            await akill_tree(tree.root, grace=PATIENCE, on_event=cancel)
        return bool(scope.cancelled_caught)

    assert trio.run(scene)
    assert tree.all_dead()


def test_the_standard_input_of_an_asyncio_process_is_closed_first() -> None:
    async def scene() -> KillResult:
        child = await asyncio.create_subprocess_exec("cat", stdin=subprocess.PIPE)
        return await akill_tree(child, grace=PATIENCE)

    root = asyncio.run(scene()).root
    assert root
    assert (root.fate, root.signals, root.exit_code) == (Fate.TERMINATED, (), 0)


@on_both
def test_the_standard_input_of_an_anyio_process_is_closed_first(loop: Callable[..., Any]) -> None:
    async def scene() -> KillResult:
        async with await anyio.open_process(["cat"]) as child:
            return await akill_tree(child, grace=PATIENCE)

    root = loop(scene).outcomes[0]
    assert (root.fate, root.signals, root.exit_code) == (Fate.TERMINATED, (), 0)


def test_asyncio_owners_are_awaited_even_when_cancelled() -> None:
    async def scene() -> None:
        child = await asyncio.create_subprocess_exec(
            sys.executable, "-I", "-S", "-c", "input()", stdin=subprocess.PIPE
        )
        result = await akill_tree(child)
        assert child.returncode is not None
        assert result.root is not None
        assert result.root.exit_code == child.returncode

    asyncio.run(scene())
