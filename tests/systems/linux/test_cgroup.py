"""Real: trees in cgroups of their own: as root, as a delegated user, and where there are none."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from proctree_kill import Containment, Evidence, Fate, TreePopen, errors, kill_tree
from proctree_kill._containment.recalled import RecalledTree
from support.callers import apart
from support.capabilities import has
from support.cgroups import is_empty, usable_cgroup
from support.counts import SPAWNS
from support.delegation import as_delegate, as_user, delegated, warm_up
from support.times import BOUND
from support.users import Account, ordinary_user

pytestmark = pytest.mark.needs("cgroup", "fork")

# A daemon that is known by nothing but its cgroup, once the shell is dead.
SCRUBBED = "env -i setsid sh -c 'echo $$; exec sleep 1000' & wait"
ROOT = pytest.param(None, id="root", marks=pytest.mark.needs("root"))
USER = pytest.param(ordinary_user(), id="user", marks=pytest.mark.needs("ordinary user", "root"))
ACCOUNTS = pytest.mark.parametrize("account", [ROOT, USER])


def end_scrubbed() -> tuple[list[Evidence], bool]:
    """Start a daemon that cut every tie, end its tree, and return how it was found."""
    process = TreePopen(["sh", "-c", SCRUBBED], stdout=subprocess.PIPE, containment="kernel")
    assert process.stdout
    with process.stdout:
        daemon = int(process.stdout.readline())
    process.send_signal(9)
    process.wait()
    result = process.stop(grace=0)
    (found,) = [outcome for outcome in result.outcomes if outcome.identity.pid == daemon]
    assert found.fate is Fate.KILLED
    assert not os.path.exists(str(process.containment.cgroup))  # noqa: PTH110 - a name in a result
    return list(found.evidence), result.ok


class TestWhereThereIsOne:
    """As root in the root, and as a delegate in a subtree."""

    def test_a_daemon_that_cut_every_tie_is_found(self) -> None:
        assert end_scrubbed() == ([Evidence.CGROUP], True)

    @ACCOUNTS
    def test_it_is_found_in_a_delegated_subtree(self, account: Account | None) -> None:
        assert as_delegate(account, end_scrubbed) == ([Evidence.CGROUP], True)

    def test_what_was_got_is_said(self) -> None:
        with TreePopen(["cat"], stdin=subprocess.PIPE) as process:
            kept = process.containment
            assert kept.kernel
            assert kept.cgroup
            assert kept.notes == ()
            assert (kept.cgroup / "cgroup.procs").read_text().split() == [str(process.pid)]
        assert not kept.cgroup.exists()

    def test_session_asks_for_none(self) -> None:
        with TreePopen(["true"], containment="session") as process:
            assert process.containment.cgroup is None
            assert process.containment.notes == ()

    def test_a_program_that_does_not_exist_leaves_none(self) -> None:
        with pytest.raises(FileNotFoundError):
            TreePopen(["/nonexistent/program"])

    def test_it_goes_when_the_tree_has_ended_by_itself(self) -> None:
        process = TreePopen(["true"])
        process.wait()
        assert process.containment.cgroup
        assert not process.containment.cgroup.exists()

    def test_it_is_removed_with_the_object_that_was_never_stopped(self) -> None:
        process = TreePopen(["true"])
        cgroup = process.containment.cgroup
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        subprocess.Popen.wait(process)
        del process
        gc.collect()
        assert cgroup
        assert not cgroup.exists()

    def test_the_force_is_one_order_where_all_may_die(self) -> None:
        script = "sleep 1000 & echo; wait"
        with TreePopen(["sh", "-c", script], stdout=subprocess.PIPE) as process:
            assert process.stdout
            process.stdout.readline()
            result = process.stop(grace=0)
            assert [outcome.signals for outcome in result.outcomes] == [("SIGKILL",)] * 2
            assert Evidence.CGROUP in result.verified

    def test_a_spared_process_lives_in_it(self) -> None:
        pipe = subprocess.PIPE
        with TreePopen(["sh", "-c", "sleep 1000 & echo $!; cat"], stdin=pipe, stdout=pipe) as root:
            assert root.stdout
            pid = int(root.stdout.readline())
            assert root.stop(grace=0, spare=[pid]).ok
            assert psutil.pid_exists(pid)
            assert root.containment.cgroup
            assert root.containment.cgroup.exists()
            assert root.stop(grace=0).ok

    def test_a_kernel_that_refuses_the_order_leaves_it_to_us(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from proctree_kill._systems.linux import cgroup as linux_cgroup  # noqa: PLC0415 - not on every system

        monkeypatch.setattr(linux_cgroup.TreeCgroup, "kill", lambda _: False)
        with TreePopen(["sh", "-c", "cat & cat"], stdin=subprocess.PIPE) as process:
            assert process.stop(grace=0).ok

    def test_sixteen_threads_start_at_once_and_no_child_enters_anothers_cgroup(self) -> None:
        strangers: list[str] = []
        barrier = threading.Barrier(16)

        def start_some(_: int) -> None:
            barrier.wait()
            for _ in range(max(1, SPAWNS // 6)):
                with TreePopen(["cat"], stdin=subprocess.PIPE) as process:
                    assert process.containment.cgroup
                    inside = (process.containment.cgroup / "cgroup.procs").read_text().split()
                    if inside != [str(process.pid)]:
                        strangers.append(f"{process.pid}: {inside}")

        with ThreadPoolExecutor(16) as pool:
            list(pool.map(start_some, range(16)))
        assert strangers == []

    @ACCOUNTS
    def test_the_owner_moves_aside_in_a_subtree_and_nowhere_else(
        self, account: Account | None
    ) -> None:
        def scene() -> tuple[str, str]:
            with TreePopen(["cat"], stdin=subprocess.PIPE) as process:
                return own(), str(process.containment.cgroup)

        owner, cgroup = as_delegate(account, scene)
        assert owner.endswith("-home")
        assert Path(owner).name.removesuffix("-home") == Path(cgroup).name.rpartition("-")[0]
        before = own()
        with TreePopen(["true"]):
            assert own() == before


class TestTreesInTrees:
    """A tree that is started inside a tree."""

    @pytest.mark.parametrize("inner", ["True", "False"])
    def test_the_inner_is_in_the_outer(self, inner: str) -> None:
        script = (
            "import os, sys\nfrom proctree_kill import TreePopen\n"
            "one = TreePopen(['env', '-i', 'sleep', '1000'])\n"
            f"{inner} and one.stop(grace=0)\n"
            "print(one.pid, one.containment.cgroup, flush=True)\nsys.stdin.read()\n"
        )
        pipe = subprocess.PIPE
        with TreePopen([sys.executable, "-c", script], stdin=pipe, stdout=pipe, text=True) as outer:
            assert outer.stdout
            pid, cgroup = outer.stdout.readline().split()
            assert outer.containment.cgroup
            assert Path(cgroup).parent == outer.containment.cgroup
            found = {member.identity.pid for member in outer.snapshot().members}
            assert (int(pid) in found) == (inner == "False")
            assert outer.stop(grace=0).ok
        assert not outer.containment.cgroup.exists()


class TestOtherSpawners:
    """A process that other code spawns."""

    def test_it_is_moved_with_its_children_and_that_is_noted(self) -> None:
        pipe = subprocess.PIPE
        containment = Containment.prepare()
        command = ["sh", "-c", "sleep 1000 & echo; wait"]
        options = containment.popen_kwargs()
        with subprocess.Popen(command, stdin=pipe, stdout=pipe, **options) as process:
            assert process.stdout
            process.stdout.readline()
            containment.attach(process)
            assert containment.cgroup
            assert len((containment.cgroup / "cgroup.procs").read_text().split()) == 2
            assert "after its start" in containment.notes[0]
            assert kill_tree(containment, grace=0).ok
        assert not containment.cgroup.exists()

    def test_it_starts_inside_where_the_spawn_is_in_the_block(self) -> None:
        containment = Containment.prepare("kernel")
        with containment.spawning():
            process = subprocess.Popen(["sleep", "1000"], **containment.popen_kwargs())
        containment.attach(process)
        assert containment.notes == ()
        assert kill_tree(containment, grace=0).ok
        assert process.wait() == -9

    def test_a_cgroup_that_was_never_used_is_removed(self) -> None:
        containment = Containment.prepare()
        cgroup = containment.cgroup
        del containment
        gc.collect()
        assert cgroup
        assert not cgroup.exists()

    def test_a_cgroup_that_vanishes_while_it_is_read_is_gone(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from proctree_kill._systems.linux import procfs  # noqa: PLC0415 - not on every system
        from proctree_kill._systems.linux.cgroup import TreeCgroup  # noqa: PLC0415 - as above

        cgroup, read = TreeCgroup.make(), procfs.read

        def late(path: str) -> bytes:
            if path == f"{cgroup.name}/cgroup.events":
                Path(cgroup.name).rmdir()
            return read(path)

        monkeypatch.setattr(procfs, "read", late)
        assert cgroup.remove()


class TestADeadOwner:
    """What is left of an owner that crashed."""

    def test_its_tree_is_ended_by_what_was_written_down(self) -> None:
        def crash() -> tuple[str, str, int]:
            process = TreePopen(["env", "-i", "sleep", "1000"])
            return process.containment.marker, str(process.containment.cgroup), process.pid

        marker, cgroup, pid = apart(crash)
        result = kill_tree(RecalledTree(marker, None, cgroup), grace=0)
        assert [outcome.identity.pid for outcome in result.outcomes] == [pid]
        assert result.ok
        assert not Path(cgroup).exists()

    def test_the_next_owner_removes_empty_cgroups_and_touches_no_process(self) -> None:
        def crash() -> tuple[str, str]:
            process = TreePopen(["sleep", "1000"])
            return str(process.containment.cgroup), str(Containment.prepare().cgroup)

        def start() -> None:
            with TreePopen(["true"]):
                pass

        full, empty = apart(crash)
        assert Path(full).exists()
        apart(start)
        assert Path(full).exists()
        assert not Path(empty).exists()
        assert kill_tree(RecalledTree("NO_SUCH=marker", None, full), grace=0).ok
        assert not Path(full).exists()

    @pytest.mark.parametrize("folder", ["/", "/nonexistent", "/tmp"])  # noqa: S108 - a name only
    def test_a_folder_that_is_none_of_ours_is_not_touched(self, folder: str) -> None:
        assert not RecalledTree("NO_SUCH=marker", None, folder).aim().cells
        parent = usable_cgroup()
        assert parent
        assert not RecalledTree("NO_SUCH=marker", None, str(parent)).aim().cells


class TestWhereThereIsNone:
    """A fallback to session and marker, or a refusal."""

    @pytest.mark.needs("ordinary user", "root")
    def test_a_caller_without_a_subtree_is_refused_with_a_reason(self) -> None:
        def scene() -> tuple[bool, str]:
            with TreePopen(["true"]) as process:
                kept = process.containment
                return kept.kernel, kept.notes[0]

        def refused() -> str:
            with pytest.raises(errors.ContainmentError) as refusal:
                TreePopen(["true"], containment="kernel")
            return refusal.value.reason

        warm_up()
        account = ordinary_user()
        kernel, note = apart(as_user(account, scene))
        assert not kernel
        assert "not delegated to this user" in note
        assert "systemd-run --user --scope" in apart(as_user(account, refused))

    @pytest.mark.needs("root", "unshare")
    def test_a_cgroup_that_is_mounted_read_only(self) -> None:
        parent = usable_cgroup()
        command = (
            f'mount --bind {parent} {parent} && mount -o remount,bind,ro {parent} && exec "$@"'
        )
        script = (
            "from proctree_kill import TreePopen\n"
            "with TreePopen(['true']) as one: print(one.containment.notes[0])\n"
        )
        argv = ["unshare", "--mount", "sh", "-c", command, "sh", sys.executable, "-c", script]
        done = subprocess.run(argv, capture_output=True, text=True, check=True)
        assert "read-only" in done.stdout

    @pytest.mark.usefixtures("no_cgroup")
    def test_a_kernel_without_cgroups(self) -> None:
        with TreePopen(["true"]) as process:
            assert process.containment.notes == ("this kernel has no cgroups",)
        with pytest.raises(errors.ContainmentError, match="no cgroups"):
            Containment.prepare("kernel")

    def test_an_entry_that_stays_shut_is_noted_or_refused(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from proctree_kill._systems.linux import cgroupfs  # noqa: PLC0415 - not on every system

        write = cgroupfs.write

        def refuse(path: str, text: bytes) -> None:
            if path.endswith("cgroup.type"):
                raise OSError(95, "Operation not supported")
            write(path, text)

        monkeypatch.setattr(cgroupfs, "write", refuse)
        with TreePopen(["true"]) as process:
            assert "no process can be started" in process.containment.notes[0]
            assert process.containment.cgroup is None
        with pytest.raises(errors.ContainmentError, match="no process can be started"):
            TreePopen(["true"], containment="kernel")


def own() -> str:
    """Return the cgroup of this process."""
    return Path("/proc/self/cgroup").read_text().splitlines()[-1][3:]


def test_has_agrees_with_what_is_got() -> None:
    with TreePopen(["true"]) as process:
        assert process.containment.kernel == has("cgroup")


# Moves into a cgroup, starts a tree, becomes another program, ends what that left, starts a tree.
REPLACED = """
import os, sys
from pathlib import Path
from proctree_kill import TreePopen, recover
parent, folder, *started = sys.argv[1:]
if not started:
    Path(parent, "cgroup.procs").write_text("0")
    tree = TreePopen(["sleep", "1000"], record=Path(folder, "session_a.pid"), containment="kernel")
    os.execv(sys.executable, [*sys.orig_argv, str(tree.containment.cgroup)])
print(recover(folder).summary())
print(os.path.exists(started[0]))
with TreePopen(["true"], containment="kernel"):
    print(len(list(Path(parent).glob(f"proctree-*-{os.getpid()}-*-home"))))
"""


@pytest.mark.parametrize("where", ["here", "below"])
def test_the_cgroups_of_a_program_that_was_replaced_go(where: str, tmp_path: Path) -> None:
    with delegated(None) as below:
        parent = below if where == "below" else below.parent
        homes = b"1" if (parent / "cgroup.type").exists() else b"0"  # the root has none
        command = [sys.executable, "-c", REPLACED, str(parent), str(tmp_path)]
        said = subprocess.check_output(command).splitlines()
        assert said == [b"1 ended", b"False", homes]


def test_a_sweep_keeps_what_a_recovery_needs_to_find_an_entry() -> None:
    from proctree_kill._systems.linux import cgroupfs, procfs  # noqa: PLC0415 - not on every system

    dead = subprocess.Popen(["true"])
    found = procfs.stat(dead.pid)
    assert found
    name = cgroupfs.owner_name().rsplit("-", 2)[0] + f"-{dead.pid}-{found.start}-00ff00ff"
    os.waitid(os.P_PID, dead.pid, os.WEXITED | os.WNOWAIT)
    assert cgroupfs.is_deserted(name)  # a zombie, too
    dead.wait()
    with delegated(None) as parent:  # where no other owner sweeps
        cgroup, entry = parent / name, parent / f"{name}-entry"
        cgroup.mkdir()
        entry.mkdir()
        with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as member:
            (entry / "cgroup.procs").write_text(str(member.pid))
            cgroupfs.sweep(str(parent))
            assert (cgroup.is_dir(), entry.is_dir()) == (True, True)
        assert is_empty(entry, BOUND)
        cgroupfs.sweep(str(parent))
        cgroupfs.sweep(str(parent))  # the one before may have looked at the cgroup first
        assert (cgroup.is_dir(), entry.is_dir()) == (False, False)
