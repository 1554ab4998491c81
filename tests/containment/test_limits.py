"""Real: limits that this machine or a tree cannot have are refused before anything runs."""

from __future__ import annotations

import os
import subprocess
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest

from proctree_kill import Containment, Limits, SessionManager, TreePopen, errors, run
from proctree_kill._containment.cell import TreeCell
from proctree_kill._containment.containment import Requested
from proctree_kill._systems.contract import UnavailableError
from support.callers import apart
from support.times import PATIENCE

pytestmark = pytest.mark.needs("fork")

LIMITS = Limits(memory="64M", processes=100, cpu=0.5)


@pytest.mark.usefixtures("no_controllers")
class TestWhereThereAreNone:
    """Containment that was not asked for does not replace them."""

    @pytest.mark.parametrize("containment", ["auto", "kernel"])
    def test_no_program_runs(self, tmp_path: Path, containment: Requested) -> None:
        ran = tmp_path / "ran"
        with pytest.raises(errors.ContainmentError) as caught:
            TreePopen(["touch", str(ran)], containment=containment, limits=LIMITS)
        assert caught.value.requested == "limits"
        assert not ran.exists()

    @pytest.mark.needs("cgroup")
    def test_each_missing_controller_is_named(self) -> None:
        with pytest.raises(errors.ContainmentError) as caught:
            Containment.prepare(limits=LIMITS)
        for name in ("memory", "processes", "cpu"):
            assert f"{name} cannot be limited: " in caught.value.reason

    def test_no_session_is_left(self, tmp_path: Path) -> None:
        with SessionManager(tmp_path) as manager:
            with pytest.raises(errors.ContainmentError):
                manager.spawn_agent("a", ["sleep", "1000"], limits=LIMITS)
            assert dict(manager.sessions) == {}
        assert list(tmp_path.iterdir()) == []

    def test_a_tree_that_runs_keeps_what_it_has(self) -> None:
        with TreePopen(["cat"], stdin=-1) as process:
            with pytest.raises(errors.ContainmentError):
                process.limit(processes=5)
            assert process.containment.limits == Limits()


class TestEverywhere:
    """What no machine can have, and what each has."""

    def test_a_session_holds_no_limits(self, tmp_path: Path) -> None:
        ran = tmp_path / "ran"
        with pytest.raises(ValueError, match="containment is 'session', expected 'auto' or"):
            run(["touch", str(ran)], containment="session", limits=Limits(cpu=1))
        assert not ran.exists()

    def test_no_limits_need_nothing(self) -> None:
        assert run(["true"], containment="session", limits=Limits()).returncode == 0
        assert run(["true"], limits=None).returncode == 0

    def test_a_session_cannot_be_limited_later(self) -> None:
        with TreePopen(["cat"], stdin=-1, containment="session") as process:
            with pytest.raises(errors.ContainmentError, match="has no cgroup or job object"):
                process.limit(cpu=1)
            process.limit(cpu=None)  # there is none to lift

    @pytest.mark.usefixtures("no_cgroup")
    def test_a_kernel_without_cgroups(self) -> None:
        with pytest.raises(errors.ContainmentError, match="'limits': this kernel has no cgroups"):
            run(["true"], limits=Limits(cpu=1))

    def test_a_wrong_change_is_named_and_changes_nothing(self) -> None:
        with TreePopen(["cat"], stdin=-1) as process:
            with pytest.raises(errors.PolicyError, match="memory is '1X', expected bytes"):
                process.limit(memory="1X")
            with pytest.raises(errors.PolicyError, match="'memry' is unknown; did you mean 'mem"):
                process.limit(memry="1G")  # type: ignore[call-arg] # it is refused
            assert process.containment.limits == Limits()

    def test_two_changes_at_a_time_both_count(self) -> None:
        tree = TreeCell("auto", Limits())
        begun = threading.Event()
        written: list[Limits] = []

        def change() -> None:
            begun.set()
            tree.limit(cpu=1)

        other = threading.Thread(target=change)

        def limit(limits: Limits) -> None:
            if other.ident is None:
                other.start()
                assert begun.wait(PATIENCE)
            written.append(limits)

        tree.kernel = SimpleNamespace(limit=limit)
        tree.limit(memory="1G")
        other.join()
        assert written[-1] == tree.limits == Limits(memory="1G", cpu=1)

    def test_a_fork_changes_no_limit(self) -> None:
        def change() -> None:
            process.limit(cpu=1)

        with (
            TreePopen(["cat"], stdin=-1) as process,
            pytest.raises(errors.ContainmentError, match="of which this is a fork"),
        ):
            apart(change)


@pytest.mark.needs("cgroup")
class TestAttachedByHand:
    """A process that other code spawned, where no controller is asked at all."""

    @pytest.fixture(autouse=True)
    def controllers(self, monkeypatch: pytest.MonkeyPatch) -> None:
        from proctree_kill._systems.linux import controllers  # noqa: PLC0415 - not on every system

        monkeypatch.setattr(controllers, "limit", lambda *_: None)

    def test_one_that_cannot_be_moved_in_is_refused(self, monkeypatch: pytest.MonkeyPatch) -> None:
        from proctree_kill._systems.linux import cgroup  # noqa: PLC0415 - not on every system

        def refuse(*_: object) -> None:
            raise OSError(16, "Device or resource busy")

        monkeypatch.setattr(cgroup.TreeCgroup, "adopt", refuse)
        containment = Containment.prepare(limits=LIMITS)
        with TreePopen(["cat"], stdin=-1, containment="session") as process:
            refusal = pytest.raises(errors.ContainmentError, match=rf"have none: {process.pid}$")
            with refusal:
                containment.attach(process)
        assert containment.release()

    def test_a_root_that_is_dead_already_needs_none(self) -> None:
        containment = Containment.prepare(limits=LIMITS)
        process = subprocess.Popen(["true"], **containment.popen_kwargs())
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        containment.attach(process)
        assert process.wait() == 0
        assert containment.release()

    def test_a_limit_that_fails_leaves_no_cgroup(self, monkeypatch: pytest.MonkeyPatch) -> None:
        from proctree_kill._systems.linux import cgroup  # noqa: PLC0415 - not on every system

        folders: list[str] = []

        def refuse(made: cgroup.TreeCgroup, _: Limits) -> None:
            folders.append(made.name)
            assert Path(made.name).is_dir()
            raise UnavailableError("no")  # noqa: EM101 - a seam

        monkeypatch.setattr(cgroup.TreeCgroup, "limit", refuse)
        with pytest.raises(errors.ContainmentError, match="containment 'limits': no"):
            TreePopen(["true"], limits=LIMITS)
        (folder,) = folders
        assert not Path(folder).exists()
