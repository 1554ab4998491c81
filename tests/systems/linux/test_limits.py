"""Real: what the kernel does to a tree with limits; as root in the root, and as a delegate."""

from __future__ import annotations

import errno
import os
import select
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol, TypeVar

import pytest

from proctree_kill import (
    Containment,
    Limits,
    SessionManager,
    TreePopen,
    arun,
    errors,
    kill_tree,
    recover,
    run,
)
from support.cgroups import own_cgroup, usable_cgroup
from support.delegation import as_delegate, delegated
from support.owners import has_ended
from support.times import BOUND
from support.users import ordinary_user

pytestmark = pytest.mark.needs("limits", "root", "fork")

T = TypeVar("T")


class Play(Protocol):
    """Plays a scene in a place, and returns what it returns."""

    def __call__(self, scene: Callable[[], T], /) -> T: ...


PIPES: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
HUGE = Limits(memory="1G", processes=1000, cpu=100)

# Reads lines, and forks at each; a second word is the MiB that it takes before.
FORKER = """
import os, sys
kept = []
for line in sys.stdin:
    kept.append(b"x" * (int(line) << 20))
    try:
        pid = os.fork()
    except BlockingIOError:
        print("refused", flush=True)
        continue
    if not pid:
        os._exit(0)
    os.waitpid(pid, 0)
    print("forked", flush=True)
"""
# Waits until it is out of the entry, where it was born, and in the cgroup that has the limits.
INSIDE = "while read line </proc/self/cgroup; do case $line in *-entry) ;; *) break; esac; done"
FORKER_ARGV = [sys.executable, "-I", "-S", "-c", FORKER]


@pytest.fixture(
    params=[
        pytest.param(False, id="root of the hierarchy"),
        pytest.param(True, id="delegated user", marks=pytest.mark.needs("ordinary user")),
    ]
)
def play(request: pytest.FixtureRequest) -> Play:
    """Play a scene as root in the root of the hierarchy, and as a user with a subtree."""

    def here(scene: Callable[[], T], /) -> T:
        return scene()

    def there(scene: Callable[[], T], /) -> T:
        return as_delegate(ordinary_user(), scene)

    return there if request.param else here


def setting(tree: TreePopen[bytes] | Containment, name: str) -> str:
    """Read a file of a tree's cgroup."""
    containment = tree if isinstance(tree, Containment) else tree.containment
    assert containment.cgroup
    return (containment.cgroup / name).read_text().strip()


def ask(tree: TreePopen[bytes], line: str) -> str:
    """Write a line to a tree, and return the line that it answers."""
    assert tree.stdin
    assert tree.stdout
    tree.stdin.write(f"{line}\n".encode())
    tree.stdin.flush()
    return tree.stdout.readline().decode().strip()


@contextmanager
def held(pid: int) -> Iterator[int]:
    """Hold a process by a descriptor."""
    fd = os.pidfd_open(pid)
    try:
        yield fd
    finally:
        os.close(fd)


def await_event(path: Path, name: str) -> None:
    """Wait until the kernel has counted such an event (a file of events can be polled)."""
    deadline = time.monotonic() + BOUND
    with path.open() as events:
        poll = select.poll()
        poll.register(events, select.POLLPRI)
        while dict(line.split() for line in events).get(name) == "0":
            left = deadline - time.monotonic()
            assert left > 0, f"{name} was not counted"
            poll.poll(left * 1000)
            events.seek(0)


def test_all_limits_are_there_before_the_program_runs(
    play: Play,
) -> None:
    script = (
        'cd "$(sed -n s,^0::,/sys/fs/cgroup,p /proc/self/cgroup)" && '
        "cat memory.max memory.oom.group pids.max cpu.max"
    )

    def scene() -> list[str]:
        limits = Limits(memory="64M", processes=7, cpu=0.5)
        with TreePopen(["sh", "-c", script], limits=limits, stdout=-1) as tree:
            assert tree.containment.limits == limits
            assert tree.stdout
            return tree.stdout.read().decode().splitlines()

    assert play(scene) == [str(64 << 20), "1", "7", "50000 100000"]


def test_a_fork_bomb_is_held_and_ended(play: Play) -> None:
    bomb = "read x; bomb() { bomb | bomb & sleep 1000; }; bomb"

    def scene() -> tuple[bool, bool]:
        pipes: dict[str, Any] = {**PIPES, "stderr": subprocess.DEVNULL}
        tree = TreePopen(["sh", "-c", bomb], limits=Limits(processes=30), **pipes)
        assert tree.stdin
        tree.stdin.write(b"\n")
        tree.stdin.flush()
        assert tree.containment.cgroup
        await_event(tree.containment.cgroup / "pids.events", "max")
        held = len(setting(tree, "cgroup.procs").split()) <= 30
        result = tree.stop(grace=0, settle=BOUND)
        tree.close_pipes()
        return held, result.ok

    assert play(scene) == (True, True)


def test_want_of_memory_ends_the_whole_tree(play: Play) -> None:
    script = "sleep 1000 & echo $!; read x; tail /dev/zero"

    def scene() -> tuple[bool, int, bool, bool, bool]:
        with TreePopen(["sh", "-c", script], limits=Limits(memory="48M"), **PIPES) as tree:
            assert tree.stdout
            with held(int(tree.stdout.readline())) as sleeper:
                assert tree.stdin
                tree.stdin.write(b"\n")
                tree.stdin.flush()
                ended, code, used = has_ended(sleeper), tree.wait(), tree.usage()
                assert used.peak_memory
                enough = used.peak_memory > 32 << 20
                return ended, code, used.out_of_memory, used.complete, enough

    assert play(scene) == (True, -9, True, True, True)


def test_what_a_limited_tree_used_is_told(play: Play) -> None:
    def scene() -> tuple[bool, bool, bool, bool]:
        with TreePopen(FORKER_ARGV, limits=Limits(memory="1G"), **PIPES) as tree:
            ask(tree, "64")
            running = tree.usage()
            used = tree.stop(grace=0, settle=BOUND).usage
        assert used
        assert used.peak_memory
        assert running.peak_memory
        enough = used.peak_memory >= running.peak_memory > 64 << 20
        return enough, used.complete, used.cpu > 0, used.out_of_memory

    assert play(scene) == (True, True, True, False)


def test_memory_that_is_counted_late_is_no_figure_of_the_whole_tree() -> None:
    def scene() -> tuple[bool, bool, bool]:
        with TreePopen(FORKER_ARGV, **PIPES) as early:
            ask(early, "64")
            with TreePopen(["cat"], stdin=-1, limits=Limits(memory="1G")) as late:
                told = late.usage().complete
            assert setting(early, "memory.max") == "max"
            used = early.usage()
            return told, used.complete, (used.peak_memory or 0) > 64 << 20

    assert as_delegate(None, scene) == (True, False, True)


def test_a_run_says_that_memory_was_wanting() -> None:
    limits = Limits(memory="48M")
    done = run(["tail", "/dev/zero"], limits=limits, capture_output=True)
    assert done.returncode == -9
    assert done.usage
    assert done.usage.out_of_memory
    assert "out of memory" in done.summary()
    command = [sys.executable, "-m", "proctree_kill", "run", "--memory", "48M", "--"]
    told = subprocess.run(
        [*command, "tail", "/dev/zero"], capture_output=True, text=True, check=False
    )
    assert told.returncode == 137
    assert told.stderr == "proctree-kill: the processes of the command were out of memory\n"


def test_the_swap_is_no_way_out(play: Play) -> None:
    def scene() -> tuple[str, str]:
        containment = Containment.prepare(limits=Limits(memory="48M"))
        assert containment.cgroup
        has_swap = (containment.cgroup / "memory.swap.max").exists()
        told = setting(containment, "memory.swap.max") if has_swap else "0"
        containment.limit(memory=None)
        return told, setting(containment, "memory.max")

    assert play(scene) == ("0", "max")


def test_the_processor_is_shared_out(play: Play) -> None:
    def scene() -> bool:
        deadline = time.monotonic() + BOUND
        with TreePopen(["sh", "-c", "while :; do :; done"], limits=Limits(cpu=1)) as tree:
            tree.limit(cpu=0.02)
            while "nr_throttled 0" in setting(tree, "cpu.stat").splitlines():
                assert time.monotonic() < deadline, "it had more than its share"
                time.sleep(0.01)
            return tree.stop(grace=0, settle=BOUND).ok

    assert play(scene)


def test_a_tree_that_was_slowed_dies_in_time(play: Play) -> None:
    # with their limit as many take more than the five seconds of a settle to die
    script = "for i in $(seq 40); do while :; do :; done & done; echo; wait"

    def scene() -> bool:
        with TreePopen(["sh", "-c", script], limits=Limits(cpu=100), **PIPES) as tree:
            assert tree.stdout
            tree.stdout.readline()
            tree.limit(cpu=0.01)
            return tree.stop(grace=0, settle=BOUND).ok

    assert play(scene)


def test_limits_change_while_it_runs(play: Play) -> None:
    def scene() -> tuple[list[str], list[str], bool]:
        with TreePopen(FORKER_ARGV, limits=Limits(processes=1), **PIPES) as tree:
            answers = [ask(tree, "0")]
            for processes in (2, 1, None):
                tree.limit(processes=processes)
                answers.append(ask(tree, "0"))
            lifted = tree.containment.limits == Limits()
            tree.limit(memory="1G", cpu=2)
            settings = [setting(tree, name) for name in ("memory.max", "pids.max", "cpu.max")]
            return answers, settings, lifted

    answers = ["refused", "forked", "refused", "forked"]
    settings = [str(1 << 30), "max", "200000 100000"]
    assert play(scene) == (answers, settings, True)


def test_less_memory_than_a_tree_uses_ends_it(play: Play) -> None:
    def scene() -> tuple[str, int]:
        with TreePopen(FORKER_ARGV, limits=Limits(memory="1G"), **PIPES) as tree:
            answer = ask(tree, "64")
            tree.limit(memory="16M")
            return answer, tree.wait()

    assert play(scene) == ("forked", -9)


def test_a_program_that_does_not_exist_leaves_none(play: Play) -> None:
    def scene() -> list[str]:
        containment = Containment.prepare()
        assert containment.cgroup
        parent = containment.cgroup.parent
        containment.release()
        before = set(parent.iterdir())
        with pytest.raises(FileNotFoundError):
            TreePopen(["/nonexistent/program"], limits=HUGE)
        return [path.name for path in {*parent.iterdir()} - before if path.is_dir()]

    assert play(scene) == []


def test_a_process_that_is_attached_is_limited(play: Play) -> None:
    def scene() -> tuple[str, bool]:
        containment = Containment.prepare(limits=Limits(processes=1))
        options = containment.popen_kwargs()
        with subprocess.Popen(FORKER_ARGV, **PIPES, **options) as process:
            containment.attach(process)
            assert process.stdin
            assert process.stdout
            process.stdin.write(b"0\n")
            process.stdin.flush()
            return process.stdout.readline().decode(), kill_tree(
                containment, grace=0, settle=BOUND
            ).ok

    assert play(scene) == ("refused\n", True)


def test_all_ways_to_start_take_them(tmp_path: Path) -> None:
    import asyncio  # noqa: PLC0415 - this test alone

    fork = ["sh", "-c", f"{INSIDE}; sleep 0; echo forked"]
    few = Limits(processes=1)
    for done in (
        run(fork, limits=few, capture_output=True),
        asyncio.run(arun(fork, limits=few, capture_output=True)),
    ):
        assert b"fork" in done.stderr.lower()
        assert done.stdout == b""
    command = [sys.executable, "-m", "proctree_kill", "run", "--processes", "1", "--memory", "1G"]
    told = subprocess.run([*command, "--cpu", "1", "--", *fork], capture_output=True, check=False)
    assert (told.returncode, told.stdout) == (2, b"")
    with SessionManager(tmp_path) as manager:
        session = manager.spawn_agent("a", FORKER_ARGV, limits=few, **PIPES)
        assert ask(session.process, "0") == "refused"
        session.process.limit(processes=None)
        assert ask(session.process, "0") == "forked"
        manager.stop_agent("a")
        session.process.close_pipes()


def test_a_stranger_beside_the_owner_is_named_and_nothing_is_moved() -> None:
    def scene() -> tuple[str, int, list[str], list[str], int]:
        folder = own_cgroup()
        assert folder
        with subprocess.Popen(["sleep", "1000"]) as stranger:
            with pytest.raises(errors.ContainmentError) as caught:
                TreePopen(["true"], limits=Limits(memory="1G"))
            beside = (folder / "cgroup.procs").read_text().split()
            trees = [path.name for path in folder.iterdir() if path.is_dir()]
            assert TreePopen(["true"]).wait() == 0  # without limits
            stranger.kill()
        with TreePopen(["true"], limits=Limits(memory="1G")) as tree:
            code = tree.wait()
        return caught.value.reason, stranger.pid, beside, trees, code

    reason, pid, beside, trees, code = as_delegate(None, scene)
    assert f": {pid} (sleep); start the program in a cgroup of its own" in reason
    assert beside == [str(pid)]
    assert [name.rpartition("-")[2] for name in trees] == ["home"]
    assert code == 0


# Moves into a folder, and starts a tree with limits there; ends, or waits to be ended.
OWNER = """
import os, sys
from pathlib import Path
folder, record, how = sys.argv[1:]
if folder:
    Path(folder, "cgroup.procs").write_text("0")
from proctree_kill import Containment, Limits, TreePopen
limits = Limits(memory="1G", processes=100, cpu=10)
if how == "second":
    import subprocess
    again = [sys.executable, "-c", sys.orig_argv[2], "", "", ""]
    with TreePopen(["true"], limits=limits):
        print(subprocess.run(again, capture_output=True, text=True, check=True).stdout, end="")
tree = TreePopen(
    ["sleep", "1000"],
    limits=limits,
    kill_on_parent_exit=how == "guarded",
    record=record or None,
    stdin=-3, stdout=-3, stderr=-3,
)
print(tree.containment.cgroup, flush=True)
if how == "guarded":
    from proctree_kill._containment.guard import guard
    unused = Containment.prepare(limits=limits)  # its empty cgroup is swept
    print(guard().pid, flush=True)
if how in ("guarded", "crash"):
    sys.stdin.read()
tree.stop(grace=0, settle=100)
"""


def own(folder: Path | str, how: str = "", record: str = "") -> subprocess.Popen[str]:
    """Start an owner in a folder."""
    command = [sys.executable, "-c", OWNER, str(folder), record, how]
    return subprocess.Popen(command, stdin=-1, stdout=-1, text=True)


def below(folder: Path) -> list[str]:
    """Return the kinds of the cgroups in a folder: the last words of their names."""
    return [path.name.rpartition("-")[2] for path in folder.iterdir() if path.is_dir()]


def sweep(folder: Path) -> None:
    """Do what the next owner does."""
    from proctree_kill._systems.linux import cgroupfs  # noqa: PLC0415 - not on every system

    cgroupfs.sweep(str(folder))


def test_what_an_owner_leaves_is_its_empty_cgroup_which_the_next_removes() -> None:
    with delegated(None) as folder:
        with own(folder) as owner:
            out, _ = owner.communicate()
        assert owner.returncode == 0
        assert Path(out.strip()).parent == folder
        assert below(folder) == ["home"]
        assert (folder / "cgroup.subtree_control").read_text().split() == ["cpu", "memory", "pids"]
        with pytest.raises(OSError, match="busy") as caught:
            (folder / "cgroup.procs").write_text("0")
        assert caught.value.errno == errno.EBUSY
        sweep(folder)
        assert below(folder) == []


def test_an_owner_in_the_root_leaves_nothing() -> None:
    parent = usable_cgroup()
    assert parent
    if (parent / "cgroup.type").exists():
        pytest.skip("this is not the root of the hierarchy")
    with own("") as owner:
        out, _ = owner.communicate()
    assert owner.returncode == 0
    assert not Path(out.strip()).exists()
    assert list(parent.glob(f"proctree-*-{owner.pid}-*")) == []


def test_a_second_owner_has_limits_beside_the_first() -> None:
    with delegated(None) as folder:
        with own(folder, "second") as owner:
            out, _ = owner.communicate()
        assert owner.returncode == 0
        second, first = out.split()
        assert Path(first).parent == Path(second).parent == folder
        assert {*below(folder)} == {"home"}
        sweep(folder)
        assert below(folder) == []


def test_the_guard_ends_a_tree_with_limits_and_sweeps() -> None:
    with delegated(None) as folder:
        with own(folder, "guarded") as owner:
            assert owner.stdout
            cgroup = Path(owner.stdout.readline().strip())
            with held(int(owner.stdout.readline())) as guard:
                assert sorted({*below(folder)} - {"home"}) != []
                owner.kill()
                owner.wait()
                assert has_ended(guard)
        assert not cgroup.exists()
        assert below(folder) == ["home"]
        sweep(folder)
        assert below(folder) == []


def test_a_recovery_ends_a_tree_with_limits(tmp_path: Path) -> None:
    with delegated(None) as folder:
        with own(folder, "crash", str(tmp_path / "session_a.pid")) as owner:
            assert owner.stdout
            cgroup = Path(owner.stdout.readline().strip())
            owner.kill()
        assert (cgroup / "pids.max").read_text() == "100\n"
        assert recover(tmp_path).summary() == "1 ended"
        assert not cgroup.exists()
        sweep(folder)
        assert below(folder) == []


def test_an_owner_in_a_tree_with_limits_has_limits_of_its_own(
    play: Play,
) -> None:
    inner = (
        "import sys\nfrom proctree_kill import Limits, TreePopen\n"
        "limits = Limits(memory='64M', processes=5, cpu=1)\n"
        "tree = TreePopen(['env', '-i', 'sleep', '1000'], limits=limits)\n"
        "print(tree.containment.cgroup, flush=True)\nsys.stdin.read()\n"
    )

    def scene() -> tuple[bool, str, str, bool, bool]:
        limits = Limits(memory="1G", processes=500, cpu=10)
        with TreePopen([sys.executable, "-c", inner], limits=limits, **PIPES) as outer:
            assert outer.stdout
            cgroup = Path(outer.stdout.readline().decode().strip())
            outside = outer.containment.cgroup
            assert outside
            sizes = (outside / "pids.max").read_text(), (cgroup / "pids.max").read_text()
            is_inside = cgroup.parent == outside
            ended = outer.stop(grace=0, settle=BOUND).ok
        return (is_inside, *sizes, ended, outside.exists())

    assert play(scene) == (True, "500\n", "5\n", True, False)
