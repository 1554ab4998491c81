"""Pure, seam and real: resource trackers of Python die last, and have time to clean up."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from proctree_kill import Fate, KillResult, TreePopen, kill_tree
from proctree_kill._engine import killing, plan
from proctree_kill._engine.plan import TRACKER_TIME
from proctree_kill._engine.steps import (
    Ask,
    Continue,
    FindTrackers,
    Freeze,
    Kill,
    KillCells,
    Rescan,
    Way,
)
from proctree_kill._engine.trackers import is_tracker, may_be_tracker
from support.capabilities import has
from support.fake_system import FakeSystem, Process
from support.owners import has_ended
from support.planter import Planter
from support.play import TICK, Actor, Play
from support.times import BOUND

FEW = 24 * TICK  # what a handful of steps takes
SHARED = Path("/dev/shm")  # noqa: S108 - where Linux keeps shared memory
PROGRAM = "from multiprocessing.resource_tracker import main;main(7)"
COMMAND = ("python", "-I", "-c", PROGRAM)

# Makes shared memory, and writes its name once the tracker reads what it is sent: by then the
# tracker has taken more than fits into its pipe. Then it works, deaf to SIGTERM, as its child does.
CLIENT = """\
import fcntl, multiprocessing.shared_memory, os, signal, sys
from multiprocessing import resource_tracker as tracker
signal.signal(signal.SIGTERM, signal.SIG_IGN)
memory = multiprocessing.shared_memory.SharedMemory(create=True, size=1)
fcntl.fcntl(tracker.getfd(), fcntl.F_SETPIPE_SZ, 4096)
for count in range(1000):
    tracker.register("/none", "shared_memory")
    tracker.unregister("/none", "shared_memory")
if not os.fork():
    signal.pause()
os.write(1, memory.name.encode() + b"\\n")
os.close(1)
signal.alarm(120)
signal.pause()
"""

# Has a guarded client, prints the guard's pid and the name of the memory, and lives on.
# The guard gives trackers all the time that a busy machine may take.
OWNER = """\
import os, sys
from proctree_kill import TreePopen
from proctree_kill._containment import guard
main = "from proctree_kill._guard.start import main; "
patient = "from proctree_kill._engine import plan; plan.TRACKER_TIME = 25; "
assert main in guard.PROGRAM
guard.PROGRAM = guard.PROGRAM.replace(main, main + patient)
tree = TreePopen(sys.argv[1:], stdout=-1, stderr=-3, kill_on_parent_exit=True)
os.write(1, b"%d %s" % (guard.guard().pid, tree.stdout.readline()))
os.read(0, 1)
"""

real = pytest.mark.skipif(
    not (has("fork") and SHARED.is_dir()), reason="no shared memory can be seen here"
)


@pytest.mark.parametrize(
    "arguments",
    [
        COMMAND,
        ("/usr/bin/python3.13", "-c", PROGRAM),
        ("python", "-c", PROGRAM.replace("multiprocessing", "multiprocess")),
        ("python", "-c", "from billiard.semaphore_tracker import main;main(12)"),
        ("python", "-B", "-c", "from loky.backend.resource_tracker import main; main(3, False)"),
        (
            "python3",
            "-c",
            "from joblib.externals.loky.backend.resource_tracker import main; main(3, 1)",
        ),
    ],
)
def test_a_tracker_is_known_by_its_arguments(arguments: tuple[str, ...]) -> None:
    assert is_tracker(arguments)


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("python",),
        ("-c", PROGRAM),
        ("python", PROGRAM),
        ("python", "-c", PROGRAM, "more"),
        ("python", "-c", PROGRAM + "\n"),
        ("python", "-c", PROGRAM + "; import server"),
        ("python", "-c", "import server; " + PROGRAM),
        ("python", "-c", "from multiprocessing.resource_tracker import main;main(x)"),
        ("python", "-c", "from multiprocessing.forkserver import main; main(7, 8, [], **{})"),
        ("python", "-c", "from my.resource_tracker import main;main(7)"),
        ("python", "serve.py", "-c", PROGRAM),
        ("python", "-m", "serve", "-c", PROGRAM),
        ("grep", "-e", "python", "-c", PROGRAM),
        ("python", "-c", "from notloky.backend.resource_tracker import main; main(3, False)"),
    ],
)
def test_no_other_program_is_a_tracker(arguments: tuple[str, ...]) -> None:
    assert not is_tracker(arguments)


def test_only_interpreters_are_looked_at() -> None:
    names = ["python", "python3.12", "Python", "python.exe", "pypy3", "sh", "mypython", None]
    assert [may_be_tracker(name) for name in names] == [True] * 5 + [False] * 3
    done = Play(Actor("sh", 0), Actor("python", 1), grace=0.0, settle=5.0).run()
    assert done.names(FindTrackers) == [["python"]]
    assert FindTrackers not in Play(Actor("sh", 0), grace=0.0, settle=5.0).run().kinds


def test_what_runs_the_stdlibs_tracker_is_recognised() -> None:
    """The shape is that of this Python's own source."""
    from multiprocessing import resource_tracker, util  # noqa: PLC0415 - not on every system

    source = Path(resource_tracker.__file__).read_text()
    assert "from multiprocessing.resource_tracker import main;main(" in source
    flags = vars(util)["_args_from_interpreter_flags"]()
    assert is_tracker(["python", *flags, "-c", PROGRAM])


def play(*others: Actor, outlives: float | None = 0.125, **options: Any) -> Play:
    """Force a tree of a tracker and others."""
    tracker = Actor("python tracker", 1, outlives=outlives, dies=0.0)
    return Play(*others, tracker, **{"grace": 0.0, "settle": 5.0} | options).run()


def test_a_tracker_leaves_once_the_others_are_dead() -> None:
    done = play(Actor("root"), Actor("child", 2))
    assert done.names(Freeze) == [["root", "python tracker", "child"]]
    assert done.names(Continue) == [["python tracker"]]
    assert done.names(Kill) == [["child", "root"]]
    assert done.times(Continue) < done.times(Kill)
    assert [step.groups for _, step in done.steps if isinstance(step, Freeze | Kill)] == [1, 0]
    assert done.fates["python tracker"] is Fate.TERMINATED
    assert 0.125 <= done.seconds < 0.125 + FEW
    assert done.is_scanned_last()


def test_a_tracker_that_hangs_is_killed_after_its_time() -> None:
    done = play(Actor("root", dies=0.5), outlives=None)
    assert done.names(Freeze) == [["root", "python tracker"], ["python tracker"]]
    assert done.names(Kill) == [["root"], ["python tracker"]]
    kill = done.times(Kill, "python tracker")[0]
    pause = plan.FIRST_PAUSE * 4  # in which the death of the root came
    assert 0.5 + TRACKER_TIME <= kill < 0.5 + TRACKER_TIME + pause + FEW
    assert done.fates == {"python tracker": Fate.KILLED, "root": Fate.KILLED}


def test_what_a_tracker_forks_in_its_time_is_killed_with_it() -> None:
    done = play(Actor("root"), Actor("forked", 2, appears=0.25), outlives=None)
    assert done.names(Kill) == [["root"], ["forked", "python tracker"]]
    assert done.names(Freeze)[1:] == [["python tracker", "forked"]]


def test_a_tracker_that_is_found_by_the_freeze_has_its_time_too() -> None:
    late = Actor("python late", 1, appears=Freeze, outlives=0.125)
    done = Play(Actor("root"), late, grace=0.0, settle=5.0).run()
    assert done.fates == {"python late": Fate.TERMINATED, "root": Fate.KILLED}


def test_a_tracker_has_its_time_once() -> None:
    late = Actor("python late", 2, appears=0.25, outlives=None)
    done = play(Actor("root"), late, outlives=None)
    assert done.names(Continue) == [["python tracker"]]
    assert done.names(Kill) == [["root"], ["python late", "python tracker"]]


@pytest.mark.parametrize("settle", [5.0, 0.25])
def test_a_tracker_dies_in_time_beside_a_process_that_cannot_die(settle: float) -> None:
    done = play(Actor("root", dies=None), outlives=None, settle=settle)
    assert done.fates == {"python tracker": Fate.KILLED, "root": Fate.SURVIVED}
    assert settle <= done.seconds < settle + FEW


def test_a_denied_member_holds_up_no_tracker() -> None:
    done = play(Actor("root"), Actor("denied", 1, denies=(Freeze, Kill)), outlives=None)
    assert done.fates["python tracker"] is Fate.KILLED
    assert done.seconds < 2 * TRACKER_TIME


def test_without_time_a_tracker_dies_with_the_others() -> None:
    done = play(Actor("root"), settle=0.0)
    assert done.names(Kill) == [["python tracker", "root"]]


def test_a_kill_that_does_not_wait_gives_a_tracker_its_time() -> None:
    tracker = Actor("python tracker", 1, outlives=0.125)
    done = Play(Actor("root"), tracker, settle=5.0).run(way="force")
    assert done.names(Kill) == [["root"]]
    assert done.fates["python tracker"] is Fate.TERMINATED
    assert done.seconds < TRACKER_TIME + FEW


def test_a_hurry_does_not_end_the_time_of_a_tracker() -> None:
    tracker = Actor("python tracker", outlives=0.125)
    done = Play(tracker, grace=2.0, settle=5.0).run(hurry_at=0)
    assert done.fates == {"python tracker": Fate.TERMINATED}


def test_with_a_tracker_the_cells_die_last() -> None:
    done = play(
        Actor("root", kept=0.0), Actor("stray", 1, kept=0.0, appears=Kill), can_kill_cells=True
    )
    assert KillCells not in done.kinds
    hung = play(Actor("root", kept=0.0), outlives=None, can_kill_cells=True)
    assert [kind for kind in hung.kinds if kind in (Kill, KillCells)] == [Kill, KillCells, Kill]
    assert hung.fates == {"python tracker": Fate.KILLED, "root": Fate.KILLED}


def test_without_a_tracker_the_cells_die_at_once() -> None:
    tree = [Actor("python", kept=0.0), Actor("child", 1, kept=0.0)]
    done = Play(*tree, grace=0.0, settle=5.0, can_kill_cells=True).run()
    assert done.kinds.index(KillCells) < done.kinds.index(Rescan)
    assert Freeze not in done.kinds


@pytest.mark.parametrize("way", ["stop", "ask"])
@pytest.mark.parametrize("terminate", ["tree", "top-down"])
def test_a_tracker_is_not_asked_by_a_signal_that_ends_it(way: Way, terminate: str) -> None:
    def ask(signal_name: str) -> Play:
        tracker = Actor("python tracker", 1, outlives=0.125, leaves=0.0)
        tracker.stopped = True
        root = Actor("root", leaves=0.5)
        teardown = [(signal_name, 2.0)]
        return Play(root, tracker, terminate=terminate, teardown=teardown).run(way=way)

    asked = {name for names in ask("SIGTERM").names(Ask) for name in names}
    assert asked == {"root", "python tracker"}
    done = ask("SIGHUP")
    assert done.names(Ask) == [["root"]]
    if way == "stop":
        assert done.names(Continue) == [["python tracker"]]
        assert done.fates == {"python tracker": Fate.TERMINATED, "root": Fate.TERMINATED}


def family(system: FakeSystem, *, outlives: float | None, **tracker: Any) -> Process:
    """Add a deaf root that leads a session, with a child and a tracker."""
    root = system.spawn("root", leaves=None, leads=True, dies=0.25)
    system.spawn("child", root, leaves=None)
    system.spawn(
        "python", root, leaves=None, arguments=COMMAND, outlives=outlives or 1e9, **tracker
    )
    return root


@pytest.mark.parametrize("stopped", [False, True])
def test_a_tracker_ends_by_itself_over_a_system(
    monkeypatch: pytest.MonkeyPatch, *, stopped: bool
) -> None:
    system = FakeSystem()
    monkeypatch.setattr(killing, "current", lambda *_: system)
    result = kill_tree(family(system, outlives=0.125, stopped=stopped).pid, grace=0)
    found = {outcome.name: outcome for outcome in result.outcomes}
    assert found["python"].fate is Fate.TERMINATED
    assert found["python"].exit_code == 0
    assert "resource tracker" in str(found["python"].detail)
    assert [act.groups for act in system.acts("freeze") + system.acts("kill")] == [("root",), ()]
    assert result.ok


def test_a_tracker_that_hangs_is_killed_with_its_group(monkeypatch: pytest.MonkeyPatch) -> None:
    system = FakeSystem()
    monkeypatch.setattr(killing, "current", lambda *_: system)
    result = kill_tree(family(system, outlives=None).pid, grace=0)
    assert {outcome.fate for outcome in result.outcomes} == {Fate.KILLED}
    assert system.names("kill") == ["child", "root", "python"]
    assert system.living() == set()


@contextmanager
def memory(name: str) -> Iterator[Path]:
    """Return the file of shared memory, and remove it at the end."""
    file = SHARED / name
    assert file.exists()
    try:
        yield file
    finally:
        file.unlink(missing_ok=True)


def read_name(process: subprocess.Popen[Any]) -> str:
    """Read the name of a client's memory; the client works by then."""
    assert process.stdout
    with process.stdout:
        return os.fsdecode(process.stdout.readline()).strip()


@pytest.fixture
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give trackers all the time that a busy machine may take."""
    monkeypatch.setattr(plan, "TRACKER_TIME", BOUND)


OPTIONS: dict[str, Any] = {
    "args": [sys.executable, "-I", "-S", "-c", CLIENT],
    "stdout": subprocess.PIPE,
    "stderr": subprocess.DEVNULL,  # the tracker warns of what it removes
}


def stop(process: Any) -> KillResult:  # noqa: ANN401 - of either kind
    return kill_tree(process, grace=0, settle=4 * BOUND)


@real
@pytest.mark.usefixtures("patience")
@pytest.mark.parametrize(
    "start",
    [
        pytest.param(lambda: subprocess.Popen(**OPTIONS), id="our session"),
        pytest.param(lambda: subprocess.Popen(process_group=0, **OPTIONS), id="own group"),
        pytest.param(lambda: subprocess.Popen(start_new_session=True, **OPTIONS), id="session"),
        pytest.param(lambda: TreePopen(containment="session", **OPTIONS), id="marker"),
        pytest.param(lambda: TreePopen(**OPTIONS), id="contained"),
    ],
)
def test_no_shared_memory_is_left_by_force(start: Callable[[], Any]) -> None:
    process = start()
    with memory(read_name(process)) as file:
        result = stop(process)
        assert not file.exists()
    assert result.ok
    assert sorted(outcome.fate for outcome in result.outcomes) == [
        Fate.KILLED,
        Fate.KILLED,
        Fate.TERMINATED,
    ]


@real
@pytest.mark.usefixtures("patience")
def test_a_stopped_tracker_is_continued_for_its_time() -> None:
    process = TreePopen(containment="session", **OPTIONS)
    with memory(read_name(process)) as file:
        children = [member.identity.pid for member in process.snapshot().members if member.depth]
        for pid in children:
            os.kill(pid, signal.SIGSTOP)
        assert stop(process).ok
        assert not file.exists()


@real
@pytest.mark.usefixtures("patience")
def test_a_kill_that_does_not_wait_leaves_no_shared_memory() -> None:
    process = TreePopen(**OPTIONS)
    with memory(read_name(process)) as file:
        process.kill()
        assert not file.exists()
        process.wait()


@real
@pytest.mark.needs("pidfd")
def test_a_guard_leaves_no_shared_memory() -> None:
    command = [sys.executable, "-c", OWNER, *OPTIONS["args"]]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe) as owner:
        assert owner.stdout
        guard, name = os.fsdecode(owner.stdout.readline()).split()
        descriptor = os.pidfd_open(int(guard))
        with memory(name) as file:
            owner.kill()
            assert has_ended(descriptor)
            assert not file.exists()
    os.close(descriptor)


@real
@pytest.mark.usefixtures("patience")
def test_a_tracker_of_loky_removes_its_folder(tmp_path: Path) -> None:
    loky = pytest.importorskip("loky", reason="loky is not installed")
    folder = tmp_path / "folder"
    folder.mkdir()
    script = (
        "import os, signal, sys; sys.path[:] = sys.argv[2:]; "
        "from loky.backend import resource_tracker as tracker; "
        "tracker.register(sys.argv[1], 'folder'); os.write(1, b'\\n'); signal.pause()"
    )
    paths = [str(Path(loky.__file__).parents[1]), *sys.path]
    command = [sys.executable, "-c", script, str(folder), *paths]
    process = subprocess.Popen(**OPTIONS | {"args": command})
    read_name(process)
    assert stop(process).ok
    assert not folder.exists()


@pytest.mark.needs("fork", "procfs", "bash")
@pytest.mark.parametrize("grace", [0.0, 0.1])
def test_what_poses_as_a_tracker_and_forks_has_nothing_left(
    plant: Planter, tmp_path: Path, grace: float
) -> None:
    program, script = tmp_path / "python", tmp_path / "script"
    program.symlink_to(shutil.which("bash") or "")
    script.write_text(
        "trap '' TERM\ntrap 'sleep 1000 & sleep 1000 &' CONT\n"
        'sleep 1000 &\necho "ready $$ 0" > /dev/fd/$PLANT_PIPE\nwhile :; do wait; done\n'
    )
    # bash runs this file first, and never comes to the program that it is given
    tree = plant.program([str(program), "-c", PROGRAM], env={"BASH_ENV": str(script)})
    tree.await_started("ready")
    result = kill_tree(tree.root, grace=grace)
    assert result.ok
    assert tree.all_dead()
    assert result.root
    assert result.root.fate is Fate.KILLED
    assert {*result.root.signals} >= {"SIGCONT", "SIGSTOP", "SIGKILL"}
