"""Real: TreePopen is a Popen that stands for a whole tree."""

from __future__ import annotations

import asyncio
import gc
import math
import os
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil
import pytest

from proctree_kill import Evidence, Fate, TreePopen, errors, identify, kill_tree
from proctree_kill._containment import containment
from proctree_kill._engine import markers
from proctree_kill._engine.kill import look
from proctree_kill._engine.tree import Tree
from support.callers import apart
from support.counts import LOGS, SPAWNS
from support.logs import zip_log
from support.memory import open_files
from support.nodes import Node, chain
from support.planter import Planter
from support.threads import running_threads, wait_for_new_threads
from support.times import BOUND, PATIENCE

pytestmark = pytest.mark.needs("fork")

PYTHON = [sys.executable, "-I", "-S", "-c"]
FAMILY = Node(name="root", children=(chain("a", "b"), chain("c")))
STUBBORN = Node(name="root", on_term="ignore", children=(Node(name="x", on_term="ignore"),))
ORPHANS = Node(name="root", dies=True, children=(chain("orphan", "x"),))
Start = Callable[..., Any]
POPENS = pytest.mark.parametrize("popen", [subprocess.Popen, TreePopen])


class TestAsPopen:
    """What a program relies on that replaces Popen by this."""

    @POPENS
    @pytest.mark.parametrize(
        ("end", "code"), [("raise SystemExit(7)", 7), ("import os; os.kill(os.getpid(), 9)", -9)]
    )
    def test_the_return_code(self, popen: Start, end: str, code: int) -> None:
        process = popen([*PYTHON, end])
        assert process.wait() == code
        assert process.poll() == code
        assert process.returncode == code

    @POPENS
    def test_pipes_and_communicate(self, popen: Start) -> None:
        swap = "import sys; print(sys.stdin.read()); print('err', file=sys.stderr)"
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        assert popen([*PYTHON, swap], **pipes).communicate(b"in") == (b"in\n", b"err\n")

    @POPENS
    def test_text(self, popen: Start) -> None:
        with popen(["printf", "ä\\nö"], stdout=subprocess.PIPE, encoding="utf-8") as process:
            assert list(process.stdout) == ["ä\n", "ö"]

    @POPENS
    def test_cwd_and_env(self, popen: Start, tmp_path: Path) -> None:
        env = {"PATH": os.environ["PATH"], "ONE": "1"}
        process = popen(["env"], cwd=tmp_path, env=env, stdout=subprocess.PIPE, text=True)
        said = dict(line.split("=", 1) for line in process.communicate()[0].splitlines())
        marks = {name for name in said if name.startswith(markers.MARKER_PREFIX)}
        assert {name: said[name] for name in env} == env
        assert said.keys() - env.keys() - marks <= {"PWD", "_"}
        assert len(marks) == (popen is TreePopen)

    @POPENS
    def test_an_environment_of_bytes(self, popen: Start) -> None:
        process = popen(["/usr/bin/env"], env={b"ONE": b"\xff"}, stdout=subprocess.PIPE)
        assert b"ONE=\xff" in process.communicate()[0].splitlines()

    @POPENS
    def test_descriptors_that_are_passed(self, popen: Start) -> None:
        reading, writing = os.pipe()
        say = f"import os; os.write({writing}, b'said')"
        with os.fdopen(reading, "rb") as reader:
            popen([*PYTHON, say], pass_fds=[writing]).wait()
            os.close(writing)
            assert reader.read() == b"said"

    @POPENS
    def test_umask(self, popen: Start, tmp_path: Path) -> None:
        popen(["touch", "made"], cwd=tmp_path, umask=0o077).wait()
        assert stat.S_IMODE((tmp_path / "made").stat().st_mode) == 0o600

    @POPENS
    @pytest.mark.needs("root")
    def test_user_and_groups(self, popen: Start) -> None:
        process = popen(
            ["id", "-u"], user="nobody", group=0, extra_groups=[], stdout=subprocess.PIPE, cwd="/"
        )
        assert int(process.communicate()[0]) > 0

    @POPENS
    def test_a_shell(self, popen: Start) -> None:
        process = popen("echo $((6 * 7))", shell=True, stdout=subprocess.PIPE)  # noqa: S604 - that is the test
        assert process.communicate()[0] == b"42\n"

    @POPENS
    @pytest.mark.parametrize(
        ("args", "options", "error"),
        [
            (["/nonexistent/program"], {}, FileNotFoundError),
            (["true"], {"cwd": "/nonexistent"}, FileNotFoundError),
            (["/etc/passwd"], {}, PermissionError),
            ([], {}, IndexError),
            (["true"], {"stdin": "nothing"}, AttributeError),
            (["true"], {"nonsense": 1}, TypeError),
        ],
    )
    def test_what_is_wrong(
        self, popen: Start, args: list[str], options: dict[str, Any], error: type[Exception]
    ) -> None:
        with pytest.raises(error):
            popen(args, **options)

    @POPENS
    def test_a_wait_that_takes_too_long_can_be_repeated(self, popen: Start) -> None:
        with popen(["cat"], stdin=subprocess.PIPE) as process:
            with pytest.raises(subprocess.TimeoutExpired) as expired:
                process.wait(timeout=0.01)
            assert expired.value.cmd == ["cat"]
            assert expired.value.timeout == 0.01
            assert process.poll() is None
        assert process.returncode == 0

    @POPENS
    def test_communicate_that_takes_too_long_loses_nothing(self, popen: Start) -> None:
        reading, writing = os.pipe()
        late = f"import os; os.write(1, b'early '); os.read({reading}, 1); os.write(1, b'late')"
        command = [*PYTHON, late]
        with popen(command, stdout=subprocess.PIPE, pass_fds=[reading]) as process:
            os.close(reading)
            with pytest.raises(subprocess.TimeoutExpired):
                process.communicate(timeout=0.05)
            os.close(writing)
            assert process.communicate()[0] == b"early late"

    def test_it_is_one(self) -> None:
        process = TreePopen(["true"])
        assert isinstance(process, subprocess.Popen)
        process.wait()


class TestTheTree:
    """What it knows beyond its root."""

    def test_it_leads_a_session_of_its_own(self, plant: Planter) -> None:
        process, _ = plant.contained(FAMILY)
        assert os.getsid(process.pid) == process.pid
        assert process.containment.session
        assert process.containment.requested == "auto"

    def test_it_stays_in_the_session_of_the_caller(self, plant: Planter) -> None:
        process, tree = plant.contained(FAMILY, start_new_session=False)
        assert os.getsid(process.pid) == os.getsid(0)
        assert not process.containment.session
        assert process.stop(grace=PATIENCE).ok
        assert tree.all_dead()

    def test_a_process_group_takes_the_place_of_the_session(self, plant: Planter) -> None:
        process, tree = plant.contained(FAMILY, process_group=0)
        assert os.getpgid(process.pid) == process.pid
        assert os.getsid(process.pid) == os.getsid(0)
        assert process.stop(grace=PATIENCE).ok
        assert tree.all_dead()

    def test_it_knows_its_identity_and_its_members(self, plant: Planter) -> None:
        process, tree = plant.contained(FAMILY)
        assert process.identity == identify(process.pid)
        members = process.snapshot().members
        assert {member.identity.pid for member in members} == set(tree.pids.values())

    def test_its_identity_stays_when_it_is_gone(self, plant: Planter) -> None:
        process, _ = plant.contained(FAMILY)
        before = process.identity
        process.stop(grace=0)
        assert process.identity == before

    def test_stop_says_what_became_of_each(self, plant: Planter) -> None:
        process, tree = plant.contained(FAMILY)
        result = process.stop(grace=PATIENCE)
        assert {outcome.identity.pid for outcome in result.outcomes} == set(tree.pids.values())
        assert {outcome.fate for outcome in result.outcomes} == {Fate.TERMINATED}
        assert process.returncode == -15
        assert tree.all_dead()

    def test_a_second_stop_finds_nothing_to_do(self, plant: Planter) -> None:
        process, _ = plant.contained(FAMILY)
        process.stop(grace=0)
        again = process.stop()
        assert [outcome.fate for outcome in again.outcomes] == [Fate.ALREADY_GONE]
        assert again.ok

    def test_kill_tree_takes_it_with_its_marker(self, plant: Planter) -> None:
        process, tree = plant.contained(ORPHANS)
        process.wait()
        result = kill_tree(process, grace=PATIENCE)
        assert Evidence.MARKER in result.verified
        assert tree.all_dead()

    def test_several_are_ended_together_each_by_its_own_marker(self, plant: Planter) -> None:
        planted = [plant.contained(ORPHANS), plant.contained(FAMILY), plant.contained(ORPHANS)]
        planted[0][0].wait()
        result = kill_tree([process for process, _ in planted], grace=PATIENCE)
        assert result.ok
        assert all(tree.all_dead() for _, tree in planted)

    def test_terminate_asks_the_whole_tree_and_does_not_wait(self, plant: Planter) -> None:
        process, tree = plant.contained(FAMILY)
        process.terminate()
        assert tree.all_dead(within=BOUND)
        assert process.wait() == -15

    def test_terminate_leaves_what_ignores_it(self, plant: Planter) -> None:
        process, _ = plant.contained(STUBBORN)
        process.terminate()
        assert process.poll() is None

    def test_kill_ends_what_ignores_requests_as_well(self, plant: Planter) -> None:
        process, tree = plant.contained(STUBBORN)
        process.kill()
        assert tree.all_dead(within=BOUND)
        assert process.wait() == -9

    @pytest.mark.parametrize("way", ["terminate", "kill"])
    def test_both_reach_what_a_reaped_root_left_behind(self, plant: Planter, way: str) -> None:
        process, tree = plant.contained(ORPHANS)
        process.wait()
        getattr(process, way)()
        assert tree.all_dead(within=BOUND)

    def test_a_signal_reaches_the_root_alone(self, plant: Planter) -> None:
        process, tree = plant.contained(FAMILY)
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -9
        assert psutil.pid_exists(tree.pids["b"])

    @pytest.mark.needs("procfs")
    @pytest.mark.usefixtures("no_cgroup")
    def test_a_process_that_lost_the_marker_is_known_by_its_session(self) -> None:
        script = "env -i sh -c 'echo $$; exec sleep 1000' &"
        process = TreePopen(["sh", "-c", script], stdout=subprocess.PIPE)
        assert process.stdout
        with process.stdout:
            pid = int(process.stdout.readline())
        process.wait()
        result = process.stop(grace=PATIENCE)
        found = {outcome.identity.pid: outcome for outcome in result.outcomes}
        assert found[pid].evidence == (Evidence.SESSION,)
        assert found[pid].fate is Fate.TERMINATED


class TestTheBlock:
    """What leaving the ``with`` block does."""

    def test_it_waits_for_the_root_and_ends_the_rest(self, plant: Planter) -> None:
        process, tree = plant.contained(ORPHANS)
        with process:
            pass
        assert process.returncode == 0
        assert tree.all_dead()

    @pytest.mark.needs("bash")
    def test_a_log_is_complete(self, tmp_path: Path) -> None:
        def block(command: list[str], **options: Any) -> None:
            with TreePopen(command, linger=BOUND, **options):
                pass

        for number in range(LOGS):
            zip_log(tmp_path / str(number), block)

    def test_the_whole_tree_can_be_awaited(self, tmp_path: Path) -> None:
        script = "mkfifo go; (read word <go; echo late >log) & exec 3>go"
        with TreePopen(["sh", "-c", script], leftovers="wait", linger=0, cwd=tmp_path):
            pass
        assert (tmp_path / "log").read_text() == "late\n"

    def test_what_is_left_can_be_left_alone(self, plant: Planter, tmp_path: Path) -> None:
        record = tmp_path / "session_a.pid"
        process, tree = plant.contained(ORPHANS, leftovers="leave", record=record)
        with process:
            pass
        assert not tree.all_dead()
        assert psutil.pid_exists(tree.pids["orphan"])
        assert list(tmp_path.iterdir()) == []

    def test_an_interrupt_ends_the_linger(self) -> None:
        def interrupt(*_: object) -> None:
            raise ZeroDivisionError

        def scene() -> bool:
            signal.signal(signal.SIGUSR1, interrupt)
            # It interrupts when its parent, this process, has reaped the root.
            left = f"while kill -0 $$ 2>/dev/null; do :; done; kill -USR1 {os.getpid()}"
            script = f"({left}; exec sleep 1000) & exit 0"
            process = TreePopen(["sh", "-c", script], linger=1000.0)
            with pytest.raises(ZeroDivisionError), process:
                pass
            return process.containment.is_empty

        assert apart(scene)

    def test_the_spared_stay(self, plant: Planter) -> None:
        process, tree = plant.contained(ORPHANS, spare=lambda member: member.depth)
        with process:
            pass
        assert not tree.all_dead()

    @pytest.mark.parametrize("failing", [False, True])
    def test_what_is_spared_stays_after_an_exception_too(
        self, plant: Planter, *, failing: bool
    ) -> None:
        def spare(_: object) -> bool:
            if failing:
                raise ZeroDivisionError
            return True

        process, tree = plant.contained(FAMILY, spare=spare)
        with pytest.raises(KeyError), process:
            raise KeyError
        assert not tree.all_dead()
        process.stop(grace=0)

    def test_an_exception_ends_the_whole_tree_at_once(self, plant: Planter) -> None:
        process, tree = plant.contained(STUBBORN)
        with pytest.raises(ZeroDivisionError), process:
            raise ZeroDivisionError
        assert process.returncode == -9
        assert tree.all_dead()

    def test_an_interrupted_wait_ends_the_whole_tree_at_once(
        self, plant: Planter, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        process, tree = plant.contained(STUBBORN)

        def interrupted(_seconds: float | None) -> bool:
            monkeypatch.undo()
            raise KeyboardInterrupt

        monkeypatch.setattr(process, "_ends_within", interrupted)
        with pytest.raises(KeyboardInterrupt), process:
            pass
        assert process.returncode == -9
        assert tree.all_dead()

    def test_its_pipes_are_closed(self) -> None:
        pipe = subprocess.PIPE
        with TreePopen(["cat"], stdin=pipe, stdout=pipe, stderr=pipe) as process:
            pipes = [process.stdin, process.stdout, process.stderr]
        assert [pipe.closed for pipe in pipes if pipe] == [True] * 3


class TestTheStart:
    """What may go wrong while it starts."""

    @pytest.mark.usefixtures("no_cgroup")
    def test_the_kernels_containment_is_refused_before_anything_runs(self, tmp_path: Path) -> None:
        made = tmp_path / "made"
        with pytest.raises(errors.ContainmentError, match="'kernel'") as refused:
            TreePopen(["touch", made], containment="kernel")
        assert refused.value.requested == "kernel"
        assert not made.exists()

    def test_an_unknown_containment_is_refused(self) -> None:
        with pytest.raises(ValueError, match="'jail', expected 'auto', 'session' or 'kernel'"):
            TreePopen(["true"], containment="jail")  # type: ignore[call-overload] # that is the test

    @pytest.mark.usefixtures("no_cgroup")
    def test_what_was_not_to_be_had_is_noted(self) -> None:
        with TreePopen(["true"]) as process:
            assert process.containment.notes
            assert not process.containment.kernel
        with TreePopen(["true"], containment="session") as process:
            assert process.containment.notes == ()

    def test_an_interrupt_right_after_the_spawn_leaves_no_process(
        self, plant: Planter, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        started: list[int] = []

        def interrupt(*arguments: Any) -> None:
            started.append(arguments[-1])
            monkeypatch.undo()
            raise KeyboardInterrupt

        monkeypatch.setattr(containment.Containment, "attach_by", interrupt)
        with pytest.raises(KeyboardInterrupt):
            plant.contained(FAMILY)
        assert started
        with pytest.raises(ChildProcessError):
            os.waitpid(started[0], os.WNOHANG)


class TestTheOwner:
    """The process that owns a tree, and for how long."""

    def test_sixteen_threads_start_and_stop_at_once(self) -> None:
        barrier = threading.Barrier(16)

        def start_and_stop(_: int) -> bool:
            barrier.wait()
            with TreePopen(["sh", "-c", "cat & cat"], stdin=subprocess.PIPE) as process:
                return process.stop(grace=PATIENCE).ok and process.returncode is not None

        with ThreadPoolExecutor(16) as pool:
            assert all(pool.map(start_and_stop, range(16)))

    def test_every_thread_that_waits_learns_of_the_end(self, plant: Planter) -> None:
        process, _ = plant.contained(FAMILY)
        with ThreadPoolExecutor(8) as pool:
            waits = [pool.submit(process.wait) for _ in range(8)]
            process.stop(grace=0)
        assert [wait.result() for wait in waits] == [-9] * 8

    def test_a_forked_child_learns_nothing(self, plant: Planter) -> None:
        process, _ = plant.contained(FAMILY)
        assert apart(lambda: (process.poll(), process.poll(), process.returncode)) == (None,) * 3
        assert process.poll() is None

    @pytest.mark.parametrize(
        "act",
        [
            lambda process: process.stop(grace=0),
            lambda process: asyncio.run(process.astop(grace=0)),
            lambda process: kill_tree(process, grace=0),
            lambda process: kill_tree(process.containment, grace=0),
            TreePopen.kill,
            TreePopen.terminate,
            TreePopen.wait,
            lambda process: process.send_signal(signal.SIGKILL),
        ],
        ids=["stop", "astop", "kill_tree", "contained", "kill", "terminate", "wait", "signal"],
    )
    def test_a_forked_child_is_refused(
        self, plant: Planter, act: Callable[[TreePopen[bytes]], object]
    ) -> None:
        process, tree = plant.contained(FAMILY)
        with pytest.raises(errors.TargetRefusedError, match="of which this is a fork"):
            apart(lambda: (process.poll(), act(process)))
        assert not tree.all_dead()

    def test_a_snapshot_tells_a_forked_child_why(self, plant: Planter) -> None:
        process, _ = plant.contained(FAMILY)
        refusal = apart(lambda: process.snapshot().refusal)
        assert refusal is not None
        assert "of which this is a fork" in refusal

    def test_a_forked_child_leaves_the_block_and_collects_what_it_inherited(
        self, plant: Planter
    ) -> None:
        process, tree = plant.contained(FAMILY)

        def leave() -> None:
            process.poll()
            process.__exit__(None, None, None)
            process.__exit__(KeyError, KeyError(), None)
            process.__del__()
            process.containment.release()
            gc.collect()

        apart(leave)
        assert process.containment.cgroup is None or process.containment.cgroup.is_dir()
        assert process.poll() is None
        assert not tree.all_dead()

    def test_garbage_collection_warns_and_kills_nothing(self) -> None:
        process = TreePopen(["cat"], stdin=subprocess.PIPE)
        pid, stdin = process.pid, process.stdin
        assert stdin
        with pytest.warns(ResourceWarning, match=f"{pid} is still running"):
            del process
        assert psutil.pid_exists(pid)
        stdin.close()
        os.waitpid(pid, 0)
        TreePopen(["true"]).wait()  # takes what could not be removed along

    def test_nothing_is_left_of_many(self) -> None:
        files, threads = open_files(), running_threads()
        children = {*psutil.Process().children()}
        for _ in range(SPAWNS):
            with TreePopen(["sh", "-c", "sleep 1000 & cat"], stdin=subprocess.PIPE) as process:
                assert process.stop(grace=0).ok
        gc.collect()
        wait_for_new_threads(threads)
        assert open_files() <= files
        assert {*psutil.Process().children()} <= children


def test_the_scan_before_a_root_is_reaped_has_a_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    deadlines = []

    def noted(*args: Any) -> Tree:
        deadlines.append(args[2])
        return look(*args)

    with TreePopen(["sh", "-c", "sleep 1000 & exit"]) as process:
        monkeypatch.setattr(containment, "look", noted)
        process.wait()
    assert deadlines
    assert max(deadlines) < math.inf
