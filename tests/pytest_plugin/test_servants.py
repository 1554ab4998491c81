"""Pure: which command lines are those of servants. Real: runs of pytest that use servants."""

from __future__ import annotations

import os
import sys
import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path

import psutil
import pytest

from proctree_kill import ProcessIdentity
from proctree_kill._containment.guard import PROGRAM
from proctree_kill._models.tree import TreeMember
from proctree_kill._pytest_plugin import servants
from support.capabilities import has
from support.pytest_runs import run, run_to_the_end, what_it_leaves
from support.times import BOUND, LONG

INIT, ROOT, CHILD, GRANDCHILD = 1, os.getpid(), 2_000_001, 2_000_002  # no process is touched
PYTHON = [sys.executable, "-B", "-Werror", "-X", "dev", "-IS", "-c"]
LOKY = "from joblib.externals.loky.backend"
MAIN = "import main; main"
PATHS = "{'sys_path': ['/a b', '/c'], 'authkey_r': 5}"
TRACKERS = {
    "multiprocessing": [*PYTHON, "from multiprocessing.resource_tracker import main;main(11)"],
    "loky": ["python", "-c", f"from loky.backend.resource_tracker {MAIN}(3, False)"],
    "joblib": [*PYTHON, f"{LOKY}.resource_tracker {MAIN}(3, 1)"],
}
WORKER = ["python", "-m", "loky.backend.popen_loky_posix", "--process-name", "L-1", "--pipe", "14"]
WINDOWS = f"{LOKY}.popen_loky_win32 {MAIN}(pipe_handle=412, parent_pid=77)"
SERVERS = {
    "fork server": [
        *PYTHON,
        f"from multiprocessing.forkserver {MAIN}(29, 30, ['__main__'], **{PATHS})",
    ],
    "worker of loky": WORKER,
    "worker of joblib": [*WORKER[:2], "joblib.externals." + WORKER[2], *WORKER[3:]],
    "worker of joblib on Windows": [*PYTHON, WINDOWS, "--multiprocessing-fork"],
    "guard": ["python", "-I", "-S", "-c", PROGRAM, "{}", "hello", "/path"],
}
SERVANTS = TRACKERS | SERVERS
SPAWNED = [*PYTHON, "from multiprocessing.spawn import spawn_main; spawn_main(pipe_handle=4)"]
OTHERS = {
    "a child of multiprocessing": [*SPAWNED, "--multiprocessing-fork"],
    "more code": [*TRACKERS["multiprocessing"][:-1], TRACKERS["multiprocessing"][-1] + ";work()"],
    "more arguments": [*TRACKERS["loky"], "x"],
    "another module": ["python", "-m", "my" + WORKER[2], *WORKER[3:]],
    "another program that names one": ["grep", "-e", *TRACKERS["loky"]],
    "a script before it": ["python", "serve.py", *TRACKERS["loky"][1:]],
    "other flags": ["python", "-m", "serve", *TRACKERS["loky"][1:]],
    "hidden": [],
}

Look = Callable[..., servants.Found]


@pytest.fixture
def find(monkeypatch: pytest.MonkeyPatch) -> Look:
    """Find a child, and perhaps a grandchild, with these command lines."""

    def find(
        *lines: Sequence[str], parent: int = ROOT, ignored: Sequence[str] = ()
    ) -> servants.Found:
        pids = [CHILD, GRANDCHILD][: len(lines)]
        arguments = {INIT: ("init",), ROOT: ("pytest",)} | dict(
            zip(pids, map(tuple, lines), strict=True)
        )
        monkeypatch.setattr(servants, "_arguments", arguments.get)
        parents = {CHILD: parent, GRANDCHILD: CHILD}
        return servants.Found(
            [TreeMember(identity=ProcessIdentity(pid=pid), ppid=parents[pid]) for pid in pids],
            ignored,
        )

    return find


def left_alone(found: servants.Found) -> list[bool]:
    return [found.is_left_alone(member) for member in found]


class TestCommandLines:
    """By whole command lines and parents."""

    @pytest.mark.parametrize("name", SERVANTS)
    def test_a_servant_of_this_process_or_of_a_servant(self, find: Look, name: str) -> None:
        assert left_alone(find(SERVANTS[name])) == [True]
        assert left_alone(find([*WORKER[:-1], "99"], SERVANTS[name])) == [True, True]

    @pytest.mark.parametrize("name", SERVANTS)
    def test_a_child_of_another_process_is_no_servant(self, find: Look, name: str) -> None:
        assert left_alone(find(["my-server"], SERVANTS[name])) == [False, False]

    @pytest.mark.parametrize("name", SERVANTS)
    def test_without_its_parent_only_a_tracker_is_left_alone(self, find: Look, name: str) -> None:
        found = find(SERVANTS[name], parent=INIT)
        assert left_alone(found) == [name in TRACKERS]
        assert found.is_unsettled(next(iter(found)))  # it ends soon

    @pytest.mark.parametrize("name", OTHERS)
    def test_what_only_looks_like_a_servant(self, find: Look, name: str) -> None:
        assert left_alone(find(OTHERS[name])) == [False]

    @pytest.mark.needs("fork")
    @pytest.mark.parametrize("name", SERVERS)
    def test_a_fork_of_a_servant_is_none(self, find: Look, name: str) -> None:
        found = find(SERVERS[name], SERVERS[name])
        assert left_alone(found) == [True, False]

    def test_a_child_without_a_program_of_its_own_may_become_a_servant(self, find: Look) -> None:
        for line, expected in ((["my-server"], False), ([], True), (["pytest"], has("fork"))):
            found = find(line)
            assert [found.is_unsettled(member) for member in found] == [expected]

    def test_a_pattern_names_a_whole_command_line_and_its_descendants(self, find: Look) -> None:
        lines = (["gpg-agent", "--daemon"], ["scdaemon"])
        for pattern, expected in {
            "gpg-agent --daemon": [True, True],
            "gpg-agent *": [True, True],
            "gpg-agent": [False, False],
            "scdaemon": [False, True],
        }.items():
            assert left_alone(find(*lines, ignored=["x", pattern])) == expected, pattern


LEAVES_ONE = f"""
import subprocess
def test_that_leaves_one():
    subprocess.Popen(["sleep", "{LONG}"])
"""
LEFT_ONE = r".*::test_that_leaves_one left \S+ \(\d+\)$"
CHILDREN = """
import os, psutil, time
children = []
def same_children():
    children.append({child.pid for child in psutil.Process().children()})
    return children[0] == children[-1]
"""
JOBLIB = """
import joblib
def use():
    return joblib.Parallel(n_jobs=2)(joblib.delayed(abs)(number) for number in (-1, -2)) == [1, 2]
"""
LOKY_USE = """
import loky
def use():
    return loky.get_reusable_executor(2, timeout=1000).submit(abs, -1).result() == 1
"""
TWICE = """
def test_that_begins(): assert use() and same_children()
def test_that_goes_on(): assert use() and same_children()
"""
AGAIN = "def test_that_uses_it_again(): assert use() and same_children()"


@pytest.fixture
def _only_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    """Load our plugin by its name, whether it is installed here or not."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")


@pytest.mark.needs("fork")
@pytest.mark.usefixtures("_only_ours")
class TestRuns:
    """Real libraries."""

    @pytest.mark.parametrize("xdist", [(), ("-p", "xdist", "-n", "1")], ids=["", "xdist"])
    def test_a_later_test_uses_the_same_executor(
        self, pytester: pytest.Pytester, xdist: tuple[str, ...]
    ) -> None:
        pytest.importorskip("joblib")
        options = ("--orphans=error", "-W", "error", *xdist)
        run_to_the_end(pytester, CHILDREN + JOBLIB + TWICE, *options).assert_outcomes(passed=2)

    def test_what_a_task_left_is_a_leftover_and_its_executor_is_none(
        self, pytester: pytest.Pytester
    ) -> None:
        pytest.importorskip("loky")
        source = f"""
        def test_that_leaves_one():
            executor = loky.get_reusable_executor(2, timeout=1000)
            executor.submit(os.spawnlp, os.P_NOWAIT, "sleep", "sleep", "{LONG}").result()
        """
        source = CHILDREN + LOKY_USE + TWICE + textwrap.dedent(source) + AGAIN
        ran = run_to_the_end(pytester, source, "--orphans=error")
        ran.assert_outcomes(passed=4, errors=1)
        ran.stdout.re_match_lines([LEFT_ONE])

    def test_what_a_fork_server_started_is_a_leftover_and_the_server_is_none(
        self, pytester: pytest.Pytester
    ) -> None:
        source = f"""
        from multiprocessing import get_context
        context = get_context("forkserver")
        def use():
            process = context.Process(target=abs, args=(1,))
            process.start()
            process.join()
            return process.exitcode == 0
        def test_that_leaves_one():
            context.Process(target=time.sleep, args=({LONG},), daemon=True).start()
        """
        source = CHILDREN + TWICE + textwrap.dedent(source) + AGAIN
        ran = run_to_the_end(pytester, source, "--orphans=error")
        ran.assert_outcomes(passed=4, errors=1)
        ran.stdout.re_match_lines([LEFT_ONE])

    def test_a_tracker_that_lost_its_program_may_clean_up(
        self, pytester: pytest.Pytester, tmp_path: Path
    ) -> None:
        pid = tmp_path / "pid"
        program = """
import os, signal
from multiprocessing.resource_tracker import _resource_tracker as tracker
tracker.ensure_running()
os.kill(tracker._pid, signal.SIGSTOP)
os.waitpid(tracker._pid, os.WUNTRACED)
print(tracker._pid)
"""
        source = f"""
        import subprocess, sys
        def test_whose_program_leaves_a_tracker():
            with open({str(pid)!r}, "w") as file:
                subprocess.run([sys.executable, "-c", {program!r}], stdout=file, check=True)
        """
        ran = run(pytester, source, "--orphans=error")
        tracker = psutil.Process(int(pid.read_text()))
        tracker.resume()
        tracker.wait(BOUND)
        ran.assert_outcomes(passed=1)

    def test_a_fork_that_becomes_a_servant_is_none(self, pytester: pytest.Pytester) -> None:
        source = """
        import os, sys, time
        from proctree_kill._pytest_plugin import tracker
        reading, writing = os.pipe()
        line = b"PROBE:0:noop\\n"
        class Time:
            monotonic = time.monotonic
            def sleep(seconds):
                os.write(writing, line)
                time.sleep(seconds)
        tracker.time = Time
        def test_whose_child_becomes_a_tracker_during_the_search():
            if not os.fork():
                os.read(reading, len(line))
                os.close(writing)
                os.set_inheritable(reading, True)
                code = f"from multiprocessing.resource_tracker import main;main({reading})"
                os.execv(sys.executable, [sys.executable, "-c", code])
        """
        run_to_the_end(pytester, source, "--orphans=error").assert_outcomes(passed=1)

    @pytest.mark.parametrize("where", ["option", "setting"])
    def test_what_is_named_is_left_alone(self, pytester: pytest.Pytester, where: str) -> None:
        options = ["--orphans=error"]
        if where == "option":
            options += ["--orphans-ignore", "no such program", "--orphans-ignore", "sleep 1*"]
        else:
            pytester.makeini("[pytest]\nproctree_orphans_ignore =\n  no such program\n  sleep 1*")
        with what_it_leaves() as left:
            ran = run(pytester, LEAVES_ONE, *options)
        ran.assert_outcomes(passed=1)
        assert left == ["sleep"]
