"""Real: what a recovery makes of each record, and that in doubt it touches nothing."""

from __future__ import annotations

import asyncio
import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import psutil
import pytest

from proctree_kill import (
    KillPolicy,
    KillResult,
    ProcessIdentity,
    RecoveryReport,
    arecover,
    errors,
    identify,
    recover,
)
from proctree_kill._engine.killing import Hurry
from proctree_kill._records import assessment
from proctree_kill._records.recover_record import RecordRecovery
from proctree_kill._records.report import RecordFate, RecordOutcome
from proctree_kill._records.trusted_files import Opened
from support.agents import HASTY, PATIENT, POLITE, STUBBORN, abandon, files
from support.callers import apart, in_namespace, limit_descriptors, unprivileged
from support.nodes import Node, chain
from support.owners import has_ended
from support.planter import Planter
from support.records import dead_owner, new_marker, write
from support.recycling import StrangerMaker, recycle
from support.times import BOUND
from support.users import ordinary_user

pytestmark = pytest.mark.needs("fork")

DAEMON = Node(
    name="root",
    children=(Node(name="first", session=True, dies=True, children=(Node(name="daemon"),)),),
)
RECOVERER = """\
import sys
from proctree_kill import KillPolicy, recover
print(recover(sys.argv[1], policy=KillPolicy(grace=0.5)).model_dump_json())
"""
MANY, FEW_DESCRIPTORS = 12, 32
"""Trees that are ended at the same time, by a process that may open so few files."""
HEADLESS = Node(name="root", dies=True, children=(Node(name="loner", session=True),))


def only(report: RecoveryReport) -> RecordOutcome:
    """Return the only outcome of a report."""
    (outcome,) = report.outcomes
    return outcome


def marked(plant: Planter, node: Node = POLITE) -> tuple[Any, dict[str, Any]]:
    """Plant a tree, and return with it what a record would say of it."""
    marker = new_marker()
    tree = plant(node, marker=marker)
    return tree, {"marker": marker, "identity": identify(tree.root.pid)}


class TestReaped:
    @pytest.mark.parametrize(
        ("node", "policy"),
        [(POLITE, PATIENT), (STUBBORN, HASTY), (DAEMON, PATIENT), (HEADLESS, PATIENT)],
        ids=["polite", "stubborn", "daemon", "dead root"],
    )
    def test_what_a_killed_owner_left_is_ended(
        self, plant: Planter, tmp_path: Path, node: Node, policy: KillPolicy
    ) -> None:
        tree = abandon(plant, tmp_path, "a", node)
        assert files(tmp_path) == {"session_a.pid"}
        outcome = only(recover(tmp_path, policy=policy))
        assert outcome.fate is RecordFate.ENDED
        assert outcome.kill
        assert outcome.kill.ok
        assert (outcome.session_id, outcome.tool) == ("a", "mcp")
        assert tree.all_dead()
        assert files(tmp_path) == set()
        assert recover(tmp_path).outcomes == ()

    @pytest.mark.needs("ordinary user")
    def test_an_ordinary_user_recovers_his_own(self, plant: Planter, open_folder: Path) -> None:
        folder = open_folder / "of an ordinary user"
        folder.mkdir()
        account = ordinary_user()
        assert account
        os.chown(folder, account.uid, account.gid)
        marker = new_marker()
        tree = plant(POLITE, account=account, marker=marker)
        write(folder, "a", owner=dead_owner(plant), identity=identify(tree.root.pid), marker=marker)
        os.chown(folder / "session_a.pid", account.uid, account.gid)

        def scene() -> str:
            with unprivileged(account):
                return recover(folder, policy=PATIENT).summary()

        assert apart(scene) == "1 ended"
        assert tree.all_dead()
        assert files(folder) == set()

    def test_an_intent_leads_to_the_carriers_of_its_marker(
        self, plant: Planter, tmp_path: Path
    ) -> None:
        tree, facts = marked(plant, DAEMON)
        write(tmp_path, "a", owner=dead_owner(plant), marker=facts["marker"])
        assert only(recover(tmp_path, policy=PATIENT)).fate is RecordFate.ENDED
        assert tree.all_dead()
        assert files(tmp_path) == set()

    def test_a_record_beside_its_intent_is_one_record(self, plant: Planter, tmp_path: Path) -> None:
        tree, facts = marked(plant)
        owner = dead_owner(plant)
        write(tmp_path, "a", owner=owner, **facts)
        write(tmp_path, "a", owner=owner, marker=facts["marker"])
        assert only(recover(tmp_path, policy=PATIENT)).fate is RecordFate.ENDED
        assert tree.all_dead()
        assert files(tmp_path) == set()

    @pytest.mark.needs("root", "ordinary user")
    def test_a_survivor_is_a_value_and_keeps_its_record(
        self, plant: Planter, open_folder: Path
    ) -> None:
        folder = open_folder / "of a survivor"
        folder.mkdir()
        folder.chmod(0o777)
        tree, facts = marked(plant, Node(name="root"))
        path = write(folder, "a", owner=dead_owner(plant), **facts)
        path.chmod(0o644)

        def scene() -> RecoveryReport:
            with unprivileged(ordinary_user()):
                return recover(folder, policy=KillPolicy(grace=0, settle=0))

        report = apart(scene)
        assert not report.ok
        assert [outcome.fate for outcome in report.survived] == [RecordFate.SURVIVED]
        assert tree.root.poll() is None
        assert files(folder) == {"session_a.pid"}

    def test_several_are_ended_at_once(self, plant: Planter, tmp_path: Path) -> None:
        owner = dead_owner(plant)
        trees = []
        for index in range(4):
            tree, facts = marked(plant, STUBBORN)
            write(tmp_path, str(index), owner=owner, **facts)
            trees.append(tree)
        report = recover(tmp_path, policy=KillPolicy(grace=1.0))
        assert report.summary() == "4 ended"
        assert all(tree.all_dead() for tree in trees)

    @pytest.mark.needs("procfs", "pidfd")
    def test_a_zombie_owner_is_dead(self, plant: Planter, tmp_path: Path) -> None:
        parent = plant(Node(name="root", reaps=False, children=(chain("owner"),)))
        owner = identify(parent.pids["owner"])
        descriptor = os.pidfd_open(owner.pid)
        os.kill(owner.pid, signal.SIGKILL)
        assert has_ended(descriptor)
        os.close(descriptor)
        tree, facts = marked(plant)
        write(tmp_path, "a", owner=owner, **facts)
        assert only(recover(tmp_path, policy=PATIENT)).fate is RecordFate.ENDED
        assert parent.state("owner") == psutil.STATUS_ZOMBIE
        assert tree.all_dead()


class TestLeftAlone:
    def test_a_living_owner_keeps_its_own(self, plant: Planter, tmp_path: Path) -> None:
        tree, facts = marked(plant)
        write(tmp_path, "a", **facts)
        write(tmp_path, "b", marker=facts["marker"])
        report = recover(tmp_path)
        assert [outcome.fate for outcome in report.outcomes] == [RecordFate.OWNED] * 2
        assert [outcome.alive for outcome in report.outcomes] == [True, None]
        assert tree.root.poll() is None
        assert files(tmp_path) == {"session_a.pid", "session_b.starting"}

    @pytest.mark.needs("procfs")
    def test_a_zombie_owner_whose_threads_live_is_alive(
        self, plant: Planter, tmp_path: Path
    ) -> None:
        owner = plant(Node(name="owner", main_thread_ends=True))
        assert psutil.Process(owner.pids["owner"]).status() == psutil.STATUS_ZOMBIE
        tree, facts = marked(plant)
        write(tmp_path, "a", owner=identify(owner.pids["owner"]), **facts)
        assert only(recover(tmp_path)).fate is RecordFate.OWNED
        assert tree.root.poll() is None

    @pytest.mark.parametrize(
        ("changes", "words"),
        [
            ({"machine_id": "another"}, "another machine"),
            ({"pid_namespace": 1}, "another pid namespace"),
            ({"pid_namespace": None}, "another pid namespace"),
        ],
    )
    def test_what_is_of_elsewhere_is_kept(
        self, plant: Planter, tmp_path: Path, changes: dict[str, Any], words: str
    ) -> None:
        tree, facts = marked(plant)
        path = write(tmp_path, "a", owner=dead_owner(plant), **facts, **changes)
        if changes.get("pid_namespace", 0) is None and not Path("/proc/self/ns/pid").exists():
            pytest.skip("this system has no pid namespaces")
        before = path.read_bytes()
        outcome = only(recover(tmp_path))
        assert outcome.fate is RecordFate.FOREIGN
        assert words in str(outcome.detail)
        assert tree.root.poll() is None
        assert path.read_bytes() == before

    @pytest.mark.needs("procfs")
    def test_a_machine_that_is_not_known_and_another_boot_are_kept(
        self, plant: Planter, tmp_path: Path
    ) -> None:
        owner = dead_owner(plant).model_copy(update={"boot_id": "another"})
        tree, facts = marked(plant)
        write(tmp_path, "a", owner=owner, machine_id=None, **facts)
        assert only(recover(tmp_path)).fate is RecordFate.FOREIGN
        assert tree.root.poll() is None

    @pytest.mark.needs("pid namespace")
    def test_a_record_from_inside_a_container_is_kept_outside(self, tmp_path: Path) -> None:
        tmp_path.chmod(0o777)

        def scene() -> None:
            write(tmp_path, "a", identity=identify(os.getpid()))

        in_namespace(scene)
        assert only(recover(tmp_path)).fate is RecordFate.FOREIGN
        assert files(tmp_path) == {"session_a.pid"}

    @pytest.mark.parametrize(
        "text", [b"", b"7\n{", b'7\n{"version":2}', b"\0" * 100, b"7\n[]"], ids=repr
    )
    @pytest.mark.parametrize("suffix", ["pid", "starting"])
    def test_what_is_unreadable_or_of_the_future_is_kept_as_it_is(
        self, tmp_path: Path, text: bytes, suffix: str
    ) -> None:
        path = tmp_path / f"session_a.{suffix}"
        path.write_bytes(text)
        outcome = only(recover(tmp_path, bare=True))
        assert outcome.fate is RecordFate.UNREADABLE
        assert outcome.detail
        assert path.read_bytes() == text

    def test_a_root_that_cannot_be_told_from_a_later_one_is_not_touched(
        self, plant: Planter, tmp_path: Path
    ) -> None:
        tree, facts = marked(plant)
        facts["identity"] = ProcessIdentity(pid=tree.root.pid)
        write(tmp_path, "a", owner=dead_owner(plant), **facts)
        outcome = only(recover(tmp_path))
        assert outcome.fate is RecordFate.UNREADABLE
        assert "cannot be known" in str(outcome.detail)
        assert tree.root.poll() is None
        assert files(tmp_path) == {"session_a.pid"}

    def test_an_owner_that_cannot_be_told_from_a_later_one_counts_as_alive(
        self, plant: Planter, tmp_path: Path
    ) -> None:
        tree, facts = marked(plant)
        write(tmp_path, "a", owner=ProcessIdentity(pid=os.getpid()), **facts)
        outcome = only(recover(tmp_path))
        assert outcome.fate is not RecordFate.ENDED
        assert tree.root.poll() is None

    def test_a_tree_that_holds_the_recovering_process_is_left_alone(
        self, plant: Planter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        tree, facts = marked(plant)
        name, _, value = facts["marker"].partition("=")
        monkeypatch.setenv(name, value)
        write(tmp_path, "a", owner=dead_owner(plant), **facts)
        for dry_run in (True, False):
            outcome = only(recover(tmp_path, dry_run=dry_run))
            assert outcome.fate is RecordFate.OWNED
            assert "the caller itself carries" in str(outcome.detail)
        assert tree.root.poll() is None

    def test_a_dry_run_touches_nothing(self, plant: Planter, tmp_path: Path) -> None:
        tree, facts = marked(plant)
        owner = dead_owner(plant)
        write(tmp_path, "a", owner=owner, **facts)
        write(tmp_path, "b", owner=owner)
        (tmp_path / "session_c.pid").write_bytes(b"1")
        before = files(tmp_path)
        report = recover(tmp_path, dry_run=True)
        assert [outcome.fate for outcome in report.outcomes] == ["ended", "gone", "bare"]
        assert report.summary() == "would be: 1 ended, 1 gone, 1 bare"
        assert tree.root.poll() is None
        assert files(tmp_path) == before


class TestDropped:
    @pytest.mark.needs("procfs")
    def test_a_dry_run_foresees_that_a_dead_root_is_gone(
        self, plant: Planter, tmp_path: Path
    ) -> None:
        tree, facts = marked(plant, Node(name="root"))
        write(tmp_path, "a", owner=dead_owner(plant), **facts)
        tree.root.kill()
        os.waitid(os.P_PID, tree.root.pid, os.WEXITED | os.WNOWAIT)
        for dry_run in (True, False):
            assert only(recover(tmp_path, dry_run=dry_run)).fate is RecordFate.GONE

    def test_a_tree_without_living_members_is_gone(self, plant: Planter, tmp_path: Path) -> None:
        owner = dead_owner(plant)
        write(tmp_path, "a", owner=owner, identity=dead_owner(plant))
        write(tmp_path, "b", owner=owner)
        report = recover(tmp_path)
        assert [outcome.fate for outcome in report.outcomes] == [RecordFate.GONE] * 2
        assert files(tmp_path) == set()

    @pytest.mark.needs("procfs")
    def test_what_is_of_an_earlier_boot_is_gone(self, plant: Planter, tmp_path: Path) -> None:
        tree, facts = marked(plant)
        earlier = identify(tree.root.pid).model_copy(update={"boot_id": "an earlier boot"})
        write(tmp_path, "a", owner=earlier, **{**facts, "identity": earlier})
        outcome = only(recover(tmp_path))
        assert outcome.fate is RecordFate.GONE
        assert "earlier boot" in str(outcome.detail)
        assert tree.root.poll() is None
        assert files(tmp_path) == set()

    @pytest.mark.needs("pid namespace", "next pid", "pidfd inode")
    @pytest.mark.parametrize("lost", ["root", "owner"])
    def test_the_new_owner_of_a_number_is_not_touched(self, lost: str, tmp_path: Path) -> None:
        tmp_path.chmod(0o777)

        def scene() -> tuple[str, str, bool]:
            with StrangerMaker() as maker, Planter(in_cgroups=False) as plant:
                tree, facts = marked(plant, Node(name="root"))  # a child would keep its number
                owner = plant(Node(name="owner"))
                write(tmp_path, "a", owner=identify(owner.root.pid), **facts)
                pids = {"root": tree.root.pid, "owner": owner.root.pid}
                stranger = recycle(pids[lost], maker)
                if lost == "root":
                    owner.root.kill()
                    owner.root.wait()
                outcome = only(recover(tmp_path, policy=PATIENT))
                harm = stranger.harm()
                stranger.end()
                return outcome.fate, harm, tree.all_dead(within=5)

        fate = {"root": "recycled", "owner": "ended"}[lost]
        assert in_namespace(scene) == (fate, "", True)
        assert files(tmp_path) == set()

    def test_a_record_that_cannot_be_removed_says_so(
        self, plant: Planter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        write(tmp_path, "a", owner=dead_owner(plant))

        def fail(_: Opened) -> None:
            raise OSError(30, "Read-only file system")

        monkeypatch.setattr(Opened, "remove", fail)
        assert "cannot be removed" in str(only(recover(tmp_path)).detail)


class TestBare:
    def test_a_bare_number_is_kept_unless_it_is_asked_for(
        self, plant: Planter, tmp_path: Path
    ) -> None:
        tree = plant(POLITE)
        path = tmp_path / "session_a.pid"
        path.write_text(f"{tree.root.pid}\n")
        outcome = only(recover(tmp_path))
        assert (outcome.fate, outcome.pid) == (RecordFate.BARE, tree.root.pid)
        assert tree.root.poll() is None
        assert path.exists()

    def test_a_process_of_ours_that_is_older_than_the_file_is_ended(
        self, plant: Planter, tmp_path: Path
    ) -> None:
        tree = plant(POLITE)
        path = tmp_path / "session_a.pid"
        path.write_text(f"{tree.root.pid}\n")
        after = time.time() + 60  # a start that is read late seems to be later
        os.utime(path, (after, after))
        assert only(recover(tmp_path, policy=PATIENT, bare=True)).fate is RecordFate.ENDED
        assert tree.all_dead()
        assert files(tmp_path) == set()

    def test_a_process_that_is_younger_than_the_file_is_another_process(
        self, plant: Planter, tmp_path: Path
    ) -> None:
        tree = plant(POLITE)
        path = tmp_path / "session_a.pid"
        path.write_text(str(tree.root.pid))
        before = time.time() - 60
        os.utime(path, (before, before))
        assert only(recover(tmp_path, bare=True)).fate is RecordFate.RECYCLED
        assert tree.root.poll() is None
        assert files(tmp_path) == set()

    def test_nothing_is_touched_where_the_look_took_too_long_to_tell(
        self, plant: Planter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        tree = plant(POLITE)
        path = tmp_path / "session_a.pid"
        path.write_text(str(tree.root.pid))
        now = time.time()
        os.utime(path, (now, now))
        clock = Mock(time=Mock(side_effect=[now, now + 60]))  # held up between its two calls
        monkeypatch.setattr(assessment, "time", clock)
        assert only(recover(tmp_path, bare=True)).fate is RecordFate.BARE
        assert tree.root.poll() is None
        assert files(tmp_path) == {"session_a.pid"}

    @pytest.mark.needs("root", "ordinary user")
    def test_a_process_of_another_user_is_kept(self, plant: Planter, tmp_path: Path) -> None:
        tree = plant(POLITE, account=ordinary_user())
        (tmp_path / "session_a.pid").write_text(str(tree.root.pid))
        outcome = only(recover(tmp_path, bare=True))
        assert outcome.fate is RecordFate.BARE
        assert "not known to be of our user" in str(outcome.detail)
        assert tree.root.poll() is None

    @pytest.mark.parametrize("number", [os.getpid(), os.getppid()])
    def test_the_recovering_process_is_not_ended(self, tmp_path: Path, number: int) -> None:
        (tmp_path / "session_a.pid").write_text(str(number))
        assert only(recover(tmp_path, bare=True)).fate is RecordFate.BARE
        assert files(tmp_path) == {"session_a.pid"}

    def test_a_number_of_no_process_is_gone(self, plant: Planter, tmp_path: Path) -> None:
        (tmp_path / "session_a.pid").write_text(str(dead_owner(plant).pid))
        assert only(recover(tmp_path, bare=True)).fate is RecordFate.GONE


class TestCalls:
    def test_two_at_once_end_each_tree_once(self, plant: Planter, tmp_path: Path) -> None:
        owner = dead_owner(plant)
        trees = []
        for index in range(3):
            tree, facts = marked(plant, STUBBORN)
            write(tmp_path, str(index), owner=owner, **facts)
            trees.append(tree)
        command = [sys.executable, "-c", RECOVERER, str(tmp_path)]
        both = [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(2)]
        said = [process.communicate(timeout=BOUND)[0] for process in both]
        reports = [RecoveryReport.model_validate_json(report) for report in said]
        fates = [outcome.fate for report in reports for outcome in report.outcomes]
        assert fates.count(RecordFate.ENDED) == 3
        assert set(fates) <= {RecordFate.ENDED, RecordFate.OWNED, RecordFate.GONE}
        assert all(tree.all_dead() for tree in trees)
        assert files(tmp_path) == set()

    def test_many_trees_are_ended_with_few_descriptors(
        self, plant: Planter, tmp_path: Path
    ) -> None:
        owner = dead_owner(plant)
        trees = []
        for index in range(MANY):
            tree, facts = marked(plant, DAEMON)
            write(tmp_path, str(index), owner=owner, **facts)
            trees.append(tree)

        def scene() -> list[RecoveryReport]:
            limit_descriptors(FEW_DESCRIPTORS)
            return [recover(tmp_path, policy=PATIENT, dry_run=dry_run) for dry_run in (True, False)]

        for report in apart(scene):
            assert [outcome.fate for outcome in report.outcomes] == [RecordFate.ENDED] * MANY
        assert all(tree.all_dead() for tree in trees)

    def test_a_tree_that_could_not_be_ended_is_no_success(
        self, plant: Planter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        tree, facts = marked(plant)
        write(tmp_path, "a", owner=dead_owner(plant), **facts)

        def fail(*_: object) -> KillResult:
            raise OSError(errno.ENOMEM, "Cannot allocate memory")

        monkeypatch.setattr(Hurry, "kill", fail)
        report = recover(tmp_path, policy=KillPolicy(grace=0, settle=0.1))
        assert not report.ok
        assert only(report).detail == "Cannot allocate memory"
        assert files(tmp_path) == {"session_a.pid"}
        assert tree.root.poll() is None

    def test_a_second_recovery_leaves_alone_what_the_first_works_on(
        self, plant: Planter, tmp_path: Path
    ) -> None:
        tree, facts = marked(plant)
        path = write(tmp_path, "a", owner=dead_owner(plant), **facts)
        with Opened(path) as opened:
            assert opened.lock()
            outcome = only(recover(tmp_path))
        assert outcome.fate is RecordFate.OWNED
        assert "another recovery" in str(outcome.detail)
        assert tree.root.poll() is None

    def test_a_record_that_vanishes_meanwhile_is_gone(self, tmp_path: Path) -> None:
        outcome = RecordRecovery(tmp_path / "session_a.pid", PATIENT).run()
        assert outcome.fate is RecordFate.GONE

    def test_a_tree_that_is_starting_has_no_record_of_another_session(self, tmp_path: Path) -> None:
        intent = write(tmp_path, "x.pid")
        (tmp_path / "session_x.pid").write_bytes(b"4711")
        outcome = RecordRecovery(intent, KillPolicy(grace=0, settle=0.1), owned=True).run()
        assert (outcome.session_id, outcome.fate) == ("x.pid", RecordFate.OWNED)

    def test_a_folder_that_is_not_there_has_no_records(self, tmp_path: Path) -> None:
        assert recover(tmp_path / "nothing").summary() == "no records"

    def test_what_is_no_folder_is_an_error(self, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        with pytest.raises(errors.RecordError, match="cannot be read"):
            recover(tmp_path / "file")

    def test_a_report_is_its_json(self, plant: Planter, tmp_path: Path) -> None:
        tree, facts = marked(plant)
        write(tmp_path, "a", owner=dead_owner(plant), **facts)
        report = recover(tmp_path, policy=PATIENT)
        assert RecoveryReport.model_validate_json(report.model_dump_json()) == report
        assert report.ok
        assert report.ended == report.outcomes
        for rest in ("survived", "gone", "recycled", "owned", "foreign", "unreadable", "bare"):
            assert getattr(report, rest) == ()
        assert tree.all_dead()

    def test_a_recovery_is_awaited(self, plant: Planter, tmp_path: Path) -> None:
        tree = abandon(plant, tmp_path, "a", POLITE)
        report = asyncio.run(arecover(tmp_path, policy=PATIENT))
        assert report.summary() == "1 ended"
        assert tree.all_dead()

    def test_a_cancelled_recovery_forces_and_finishes(self, plant: Planter, tmp_path: Path) -> None:
        tree, facts = marked(plant, STUBBORN)
        write(tmp_path, "a", owner=dead_owner(plant), **facts)

        async def scene() -> None:
            task = asyncio.create_task(arecover(tmp_path, policy=KillPolicy(grace=60)))
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

        asyncio.run(scene())
        assert tree.all_dead()
        assert files(tmp_path) == set()
