"""Real: runs of pytest whose tests leave processes behind."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from proctree_kill import Containment, errors
from proctree_kill._pytest_plugin.starter import TreeStarter
from support.pipe_holders import PipeHolders
from support.pytest_runs import PLUGINS, run, run_here, run_to_the_end, what_it_leaves
from support.times import BOUND, LONG

pytestmark = pytest.mark.needs("fork")

LEAVES_ONE = f"""
import subprocess, sys
def test_that_leaves_one():
    subprocess.Popen(["sleep", "{LONG}"])
"""
LEFT_ONE = "*::test_that_leaves_one left sleep (*)"


@pytest.fixture(autouse=True)
def _only_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    """Load our plugin by its name, whether it is installed here or not."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")


def test_a_leftover_is_an_error_of_its_test_where_that_is_asked_for(
    pytester: pytest.Pytester,
) -> None:
    ran = run(pytester, LEAVES_ONE, "--orphans=error")
    ran.assert_outcomes(passed=1, errors=1)
    ran.stdout.fnmatch_lines([LEFT_ONE])


def test_a_leftover_is_reported_at_the_end_and_left_where_that_is_asked_for(
    pytester: pytest.Pytester,
) -> None:
    with what_it_leaves() as left:
        ran = run(pytester, LEAVES_ONE + "def test_that_leaves_none(): ...", "--orphans=report")
    ran.assert_outcomes(passed=2)
    ran.stdout.fnmatch_lines(["*= leftover processes =*", LEFT_ONE])
    assert ran.stdout.str().count(" left ") == 1
    assert left == ["sleep"]


def test_nothing_is_searched_where_nothing_is_requested(pytester: pytest.Pytester) -> None:
    source = """
    import os, sys
    def test_nothing_is_there(request):
        assert not [one for one in os.environ if one.startswith("PROCTREE_MARK_")
                    and one not in os.environ["OUTER"].split()]
        assert "proctree_kill._engine.kill" not in sys.modules
        assert "psutil" not in sys.modules
    """
    markers = " ".join(name for name in os.environ if name.startswith("PROCTREE_MARK_"))
    pytester.makepyfile(source)
    os.environ["OUTER"] = markers
    try:
        pytester.runpytest_subprocess(*PLUGINS).assert_outcomes(passed=1)
    finally:
        del os.environ["OUTER"]


def test_the_setting_in_a_file_holds_until_the_option_overrides_it(
    pytester: pytest.Pytester,
) -> None:
    pytester.makeini("[pytest]\nproctree_orphans = error")
    run(pytester, LEAVES_ONE).assert_outcomes(passed=1, errors=1)
    with what_it_leaves() as left:
        run(pytester, LEAVES_ONE, "--orphans=report").assert_outcomes(passed=1)
    assert left == ["sleep"]


def test_a_wrong_setting_is_refused_by_its_value(pytester: pytest.Pytester) -> None:
    pytester.makeini("[pytest]\nproctree_orphans = always")
    ran = run_here(pytester, LEAVES_ONE)
    assert ran.ret == pytest.ExitCode.USAGE_ERROR
    ran.stderr.fnmatch_lines(["*proctree_orphans is 'always', expected one of off, report, error*"])


def test_a_daemon_with_a_session_of_its_own_is_found(pytester: pytest.Pytester) -> None:
    source = f"""
    import subprocess
    def test_that_leaves_one():
        subprocess.run(["sh", "-c", "setsid sleep {LONG} >/dev/null 2>&1 &"], check=True)
    def test_that_leaves_nobody(): ...
    """
    ran = run_here(pytester, source, "--orphans=error")
    ran.assert_outcomes(passed=2, errors=1)
    # The shell may be about to become setsid, and then sleep.
    ran.stdout.fnmatch_lines([LEFT_ONE.replace("sleep", "s*")])


def test_a_forked_child_is_found_though_it_shows_the_environment_of_its_parent(
    pytester: pytest.Pytester,
) -> None:
    source = f"""
    import os, time
    def test_that_leaves_one():
        if not os.fork():
            time.sleep({LONG})
    """
    ran = run(pytester, source, "--orphans=error")
    ran.assert_outcomes(passed=1, errors=1)


def test_a_failing_test_reports_its_leftovers_as_well(pytester: pytest.Pytester) -> None:
    source = f"""
    import subprocess
    def test_that_leaves_one():
        subprocess.Popen(["sleep", "{LONG}"])
        assert False
    """
    ran = run(pytester, source, "--orphans=error")
    ran.assert_outcomes(failed=1, errors=1)
    ran.stdout.fnmatch_lines([LEFT_ONE])


def test_a_fixture_of_the_module_may_keep_its_processes_until_its_end(
    pytester: pytest.Pytester,
) -> None:
    source = f"""
    import subprocess, pytest
    @pytest.fixture(scope="module")
    def server():
        with subprocess.Popen(["sleep", "{LONG}"]) as process:
            yield process
            process.kill()
    def test_one(server): assert server.poll() is None
    def test_two(server): assert server.poll() is None
    """
    run_here(pytester, source, "--orphans=error").assert_outcomes(passed=2)


def test_a_module_fixture_that_leaves_a_process_is_named(pytester: pytest.Pytester) -> None:
    source = f"""
    import subprocess, pytest
    @pytest.fixture(scope="module")
    def server():
        return subprocess.Popen(["sleep", "{LONG}"])
    def test_one(server): assert server.poll() is None
    def test_two(server): assert server.poll() is None
    """
    ran = run(pytester, source, "--orphans=error")
    ran.assert_outcomes(passed=2, errors=1)
    ran.stdout.fnmatch_lines(["the module fixture 'server' left sleep (*)"])


def test_helpers_of_the_standard_library_are_no_leftovers(pytester: pytest.Pytester) -> None:
    source = """
    import multiprocessing.resource_tracker
    def test_one():
        multiprocessing.resource_tracker.ensure_running()
    """
    pytester.makeconftest(
        "from multiprocessing.resource_tracker import _resource_tracker as tracker\n"
        "def pytest_unconfigure(): tracker._stop()"
    )
    run_to_the_end(pytester, source, "--orphans=error").assert_outcomes(passed=1)


def test_what_the_run_inherited_is_not_a_leftover(
    pytester: pytest.Pytester, tmp_path: Path
) -> None:
    test = pytester.makepyfile("def test_one(): ...")
    pytest_argv = [sys.executable, "-m", "pytest", *PLUGINS, "--orphans=error", str(test)]
    script = f'sleep {LONG} & "$@" >{tmp_path}/out; code=$?; kill $!; wait $!; exit $code'
    ran = pytester.run("sh", "-c", script, "sh", *pytest_argv)
    assert ran.ret == 0


@pytest.mark.parametrize("mode", ["error", "report"])
def test_leftovers_are_reported_through_xdist_too(pytester: pytest.Pytester, mode: str) -> None:
    pytest.importorskip("xdist")
    with what_it_leaves() as left:
        ran = run(pytester, LEAVES_ONE, f"--orphans={mode}", "-p", "xdist", "-n", "1")
    ran.assert_outcomes(passed=1, errors=mode == "error")
    ran.stdout.fnmatch_lines([LEFT_ONE])
    assert left == ([] if mode == "error" else ["sleep"])


class TestTreePopen:
    """The fixture ``tree_popen``."""

    def test_its_trees_end_with_the_test(self, pytester: pytest.Pytester) -> None:
        source = f"""
        import subprocess
        def test_one(tree_popen):
            script = "sleep {LONG} & setsid sleep {LONG} & echo up; sleep {LONG}"
            server = tree_popen(["sh", "-c", script], stdout=subprocess.PIPE, text=True)
            assert server.stdout.readline() == "up\\n"
        """
        run_here(pytester, source, "--orphans=error").assert_outcomes(passed=1)

    def test_they_are_asked_first_where_a_grace_is_given(self, pytester: pytest.Pytester) -> None:
        source = """
        import os, subprocess, pytest
        @pytest.fixture
        def said():
            said = []
            yield said
            with said[0] as pipe:
                assert pipe.read().endswith("bye\\n")  # sh itself may say "Terminated" before
        def test_one(said, tree_popen):
            tree_popen.grace = 20
            script = "trap 'echo bye >&2; exit' TERM; echo up; while :; do sleep 0.01; done"
            reading, writing = os.pipe()
            said.append(open(reading))
            server = tree_popen(["sh", "-c", script], stdout=subprocess.PIPE, stderr=writing)
            os.close(writing)
            assert server.stdout.readline() == b"up\\n"
        """
        run_here(pytester, source, "--orphans=error").assert_outcomes(passed=1)

    @pytest.mark.parametrize("xdist", [(), ("-p", "xdist", "-n", "1")], ids=["", "xdist"])
    def test_its_trees_end_where_a_timeout_ends_the_run_without_its_fixtures(
        self, pytester: pytest.Pytester, tmp_path: Path, xdist: tuple[str, ...]
    ) -> None:
        pytest.importorskip("pytest_timeout")
        guard = tmp_path / "guard"
        with PipeHolders(tmp_path) as holders:
            command = holders.argv("sh", "-c", f"echo up; exec sleep {LONG}")
            source = f"""
            import pathlib, subprocess, time, pytest
            from proctree_kill._containment.guard import guard
            @pytest.fixture
            def server(tree_popen):
                server = tree_popen({command}, stdout=subprocess.PIPE)
                assert server.stdout.readline() == b"up\\n"
                pathlib.Path({str(guard)!r}).write_text(str(guard().pid))
            @pytest.mark.timeout(0.1, method="thread", func_only=True)
            def test_that_hangs(server):
                time.sleep({LONG})
            """
            ran = run(pytester, source, "-p", "pytest_timeout", *xdist)
            assert ran.ret == pytest.ExitCode.TESTS_FAILED
            assert holders.all_dead()
        with suppress(psutil.NoSuchProcess):
            psutil.Process(int(guard.read_text())).wait(BOUND)

    def test_where_no_guard_can_be_had_it_does_without(
        self, tree_popen: TreeStarter, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(sys, "executable", None)
        assert not tree_popen(["sleep", str(LONG)]).containment.parent_exit
        with pytest.raises(errors.ContainmentError, match="the guard needs a Python"):
            tree_popen(["sleep", str(LONG)], kill_on_parent_exit=True)

    def test_what_may_outlive_its_block_has_no_guard(self, tree_popen: TreeStarter) -> None:
        assert not tree_popen(["sleep", str(LONG)], leftovers="leave").containment.parent_exit

    def test_it_is_here_in_this_very_run(self, tree_popen: TreeStarter) -> None:
        assert callable(tree_popen)


def test_what_ends_a_leftover_knows_it_by_a_marker_of_the_test() -> None:
    names = [name for name in os.environ if name.startswith("PROCTREE_MARK_")]
    assert names
    assert Containment.prepare("session").marker.partition("=")[0] not in names
