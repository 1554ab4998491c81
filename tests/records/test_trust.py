"""Real: whose word a recovery takes, in a folder that others write to as well."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from proctree_kill import (
    Fate,
    KillPolicy,
    ProcessIdentity,
    SessionManager,
    TreePopen,
    identify,
    recover,
)
from proctree_kill._cli import main
from proctree_kill._records import files as record_files
from proctree_kill._records.assessment import Assessment
from proctree_kill._records.format import record_path
from proctree_kill._records.recover_record import RecordRecovery
from proctree_kill._records.report import RecordFate, RecordOutcome
from proctree_kill._records.trusted_files import Opened
from support.agents import FOREVER, HASTY, PATIENT, files
from support.callers import apart, unprivileged
from support.cgroups import is_empty, usable_cgroup
from support.delegation import delegated
from support.impostors import (
    as_dangling_link,
    as_fifo,
    as_folder,
    as_huge_file,
    as_link,
    as_second_name,
    as_socket,
)
from support.nodes import Node
from support.planter import Planter
from support.records import dead_owner, new_marker, write
from support.threads import in_thread
from support.times import BOUND
from support.trees import Tree
from support.users import Account, ordinary_user

pytestmark = pytest.mark.needs("fork")

LONER = Node(name="root")


class Recorded(NamedTuple):
    """A tree that lives, and what a record would say of it."""

    tree: Tree
    facts: dict[str, Any]

    @property
    def lives(self) -> bool:
        """Whether its root was left alone."""
        return self.tree.root.poll() is None


@pytest.fixture
def recorded(plant: Planter) -> Recorded:
    """Plant a tree of ours whose owner is dead, as far as a record can say."""
    return orphan(plant)


def orphan(plant: Planter, account: Account | None = None) -> Recorded:
    """Plant a tree whose owner is dead, as far as a record can say."""
    marker = new_marker()
    tree = plant(LONER, marker=marker, account=account)
    facts = {"marker": marker, "identity": identify(tree.root.pid), "owner": dead_owner(plant)}
    return Recorded(tree, facts)


@pytest.fixture
def shared(open_folder: Path) -> Iterator[Path]:
    """Make a folder that every user may write to, as ``/tmp`` is."""
    folder = open_folder / "shared"
    folder.mkdir()
    folder.chmod(0o1777)
    yield folder
    subprocess.run(["rm", "-r", str(folder)], check=True)


@pytest.fixture
def stranger() -> Account:
    """Return the user that writes what is not to be trusted."""
    account = ordinary_user()
    assert account
    return account


def only(folder: Path, **options: Any) -> RecordOutcome:
    """Recover a folder, and return its only outcome."""
    (outcome,) = recover(folder, **{"policy": PATIENT, **options}).outcomes
    return outcome


WAYS: dict[str, tuple[Callable[[Path], object], str]] = {
    "a FIFO": (as_fifo, "no regular file"),
    "a folder": (as_folder, "no regular file"),
    "a link": (as_link, "a link"),
    "a dangling link": (as_dangling_link, "a link"),
    "a socket": (as_socket, "no regular file"),
    "a huge file": (as_huge_file, "larger than"),
    "a file with two names": (as_second_name, "2 names"),
    "a file that its group may write": (lambda path: path.chmod(0o660), "may write"),
    "a file that others may write": (lambda path: path.chmod(0o602), "may write"),
}
no_writer_makes = pytest.mark.parametrize(("change", "words"), WAYS.values(), ids=WAYS)


class TestFiles:
    """What no writer of ours makes."""

    @no_writer_makes
    def test_it_is_kept_and_never_acted_upon(
        self, recorded: Recorded, tmp_path: Path, change: Callable[[Path], object], words: str
    ) -> None:
        path = write(tmp_path, "a", **recorded.facts)
        change(path)
        for options in ({}, {"dry_run": True}, {"bare": True}):
            outcome = only(tmp_path, **options)
            assert recorded.lives
            assert outcome.fate is RecordFate.UNTRUSTED
            assert words in str(outcome.detail)
            assert os.path.lexists(path)

    @no_writer_makes
    def test_a_stop_says_why_it_was_not_acted_upon(
        self, recorded: Recorded, tmp_path: Path, change: Callable[[Path], object], words: str
    ) -> None:
        change(write(tmp_path, "a", **recorded.facts))
        result = SessionManager(tmp_path, policy=HASTY).stop_agent("a")
        assert recorded.lives
        assert not result.success
        assert "its record is untrusted" in str(result.error)
        assert words in str(result.error)
        assert result.method == "nothing_to_stop"

    @no_writer_makes
    def test_an_intent_is_judged_as_a_record_is(
        self, recorded: Recorded, tmp_path: Path, change: Callable[[Path], object], words: str
    ) -> None:
        facts = {**recorded.facts, "identity": None}
        change(write(tmp_path, "a", **facts))
        outcome = only(tmp_path)
        assert recorded.lives
        assert outcome.fate is RecordFate.UNTRUSTED
        assert words in str(outcome.detail)

    def test_it_hides_no_intent(self, recorded: Recorded, tmp_path: Path) -> None:
        facts = {**recorded.facts, "identity": None}
        write(tmp_path, "a", **facts)
        os.mkfifo(record_path(tmp_path, "a"))
        report = recover(tmp_path, policy=PATIENT)
        assert {outcome.fate for outcome in report.outcomes} == {
            RecordFate.ENDED,
            RecordFate.UNTRUSTED,
        }
        assert recorded.tree.all_dead()
        assert files(tmp_path) == {"session_a.pid"}

    def test_a_stop_goes_by_the_intent_that_it_would_hide(
        self, recorded: Recorded, tmp_path: Path
    ) -> None:
        facts = {**recorded.facts, "identity": None}
        write(tmp_path, "a", **facts)
        os.mkfifo(record_path(tmp_path, "a"))
        assert SessionManager(tmp_path, policy=PATIENT).stop_agent("a").success
        assert recorded.tree.all_dead()

    def test_a_draft_that_its_dead_writer_left_is_no_second_name(
        self, recorded: Recorded, tmp_path: Path
    ) -> None:
        facts = {**recorded.facts, "identity": None}
        path = write(tmp_path, "a", **facts)
        (tmp_path / f".{path.name}.01234567.tmp").hardlink_to(path)
        assert only(tmp_path).fate is RecordFate.ENDED
        assert recorded.tree.all_dead()

    def test_the_command_line_says_so(
        self, recorded: Recorded, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        write(tmp_path, "a", **recorded.facts).chmod(0o666)
        assert main(["sessions", str(tmp_path), "--json"]) == 0
        (session,) = json.loads(capsys.readouterr().out)["sessions"]
        assert session["state"] == "untrusted"
        assert main(["stop", str(tmp_path), "a"]) == 1
        assert "others may write it" in capsys.readouterr().err
        assert main(["recover", str(tmp_path)]) == 0
        assert "1 untrusted" in capsys.readouterr().out
        assert recorded.lives


class TestContents:
    """What a file may hold that no writer of ours writes."""

    @pytest.mark.parametrize("number", [0, -1, 2**31, 2**32, 10**30])
    @pytest.mark.parametrize("whose", ["owner", "identity"])
    def test_a_number_of_no_process_ends_no_recovery(
        self, recorded: Recorded, tmp_path: Path, whose: str, number: int
    ) -> None:
        named = recorded.facts[whose].model_copy(update={"pid": number})
        write(tmp_path, "a", **{**recorded.facts, whose: named})
        assert only(tmp_path, dry_run=True).session_id == "a"
        (outcome,) = recover(tmp_path, policy=HASTY).outcomes
        assert outcome.session_id == "a"

    @pytest.mark.parametrize("number", ["0", "2147483648", "4294967296", "9999999999"])
    def test_a_bare_number_of_no_process_ends_no_recovery(
        self, tmp_path: Path, number: str
    ) -> None:
        record_path(tmp_path, "a").write_text(number)
        assert only(tmp_path, bare=True).fate in (RecordFate.GONE, RecordFate.BARE)

    @pytest.mark.parametrize("parent", ["", "/a\0b", "/" + "x" * 5000, "/proc/self/fd/0"])
    def test_a_cgroup_that_no_folder_can_be_ends_no_recovery(
        self, recorded: Recorded, tmp_path: Path, parent: str
    ) -> None:
        owner = recorded.facts["owner"]
        write(tmp_path, "a", owner=owner, cgroup=f"{parent}/{name_of(owner)}")
        assert only(tmp_path).fate is RecordFate.GONE
        assert recorded.lives

    def test_want_of_descriptors_keeps_a_record_and_says_so(
        self, recorded: Recorded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        write(tmp_path, "a", **recorded.facts)

        def fail(*_: object, **__: object) -> Assessment:
            raise OSError(24, "Too many open files")

        monkeypatch.setattr("proctree_kill._records.recover_record.assess", fail)
        outcome = only(tmp_path, policy=KillPolicy(grace=0, settle=0.1))
        assert (outcome.fate, outcome.detail) == (RecordFate.UNREADABLE, "Too many open files")
        assert recorded.lives
        assert files(tmp_path) == {"session_a.pid"}


class TestSwaps:
    """What changes between the look and the act."""

    def test_a_file_that_was_swapped_meanwhile_is_not_acted_upon(
        self, recorded: Recorded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = write(tmp_path, "a", **recorded.facts)
        assess = RecordRecovery._assess

        def swap(self: RecordRecovery, opened: Opened) -> Assessment:
            assessment = assess(self, opened)
            path.unlink()
            write(tmp_path, "a", owner=identify(os.getpid()))
            return assessment

        monkeypatch.setattr(RecordRecovery, "_assess", swap)
        assert only(tmp_path).fate is RecordFate.OWNED
        assert recorded.lives
        assert files(tmp_path) == {"session_a.starting", "session_a.pid"} - {path.name}

    def test_a_folder_may_be_a_link(self, recorded: Recorded, tmp_path: Path) -> None:
        folder = tmp_path / "folder"
        folder.mkdir()
        write(folder, "a", **recorded.facts)
        (tmp_path / "link").symlink_to(folder)
        assert only(tmp_path / "link").fate is RecordFate.ENDED
        assert recorded.tree.all_dead()
        assert files(folder) == set()

    def test_files_are_those_of_the_folder_that_was_opened(
        self, recorded: Recorded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        first, second, link = tmp_path / "first", tmp_path / "second", tmp_path / "link"
        for folder in (first, second):
            folder.mkdir()
        write(first, "a", owner=recorded.facts["owner"])
        write(second, "a", **recorded.facts)
        link.symlink_to(first)
        run = RecordRecovery.run

        def swap(self: RecordRecovery) -> RecordOutcome:
            link.unlink()
            link.symlink_to(second)
            return run(self)

        monkeypatch.setattr(RecordRecovery, "run", swap)
        assert only(link).fate is RecordFate.GONE
        assert recorded.lives
        assert (files(first), files(second)) == (set(), {"session_a.pid"})


@pytest.mark.needs("root", "ordinary user")
class TestAnotherUser:
    """What another user wrote, in a folder that every user may write to."""

    def test_an_ordinary_user_believes_root_and_itself_alone(
        self, plant: Planter, shared: Path, stranger: Account
    ) -> None:
        trees = {uid: orphan(plant, stranger) for uid in (0, stranger.uid, stranger.uid - 1)}
        for uid, recorded in trees.items():
            path = write(shared, str(uid), **recorded.facts)
            path.chmod(0o644)
            os.chown(path, uid, 0)

        def scene() -> dict[str, RecordFate]:
            with unprivileged(stranger):
                report = recover(shared, policy=PATIENT)
                return {outcome.session_id: outcome.fate for outcome in report.outcomes}

        assert apart(scene) == {
            "0": RecordFate.ENDED,
            str(stranger.uid): RecordFate.ENDED,
            str(stranger.uid - 1): RecordFate.UNTRUSTED,
        }
        assert [recorded.lives for recorded in trees.values()] == [False, False, True]

    def test_root_ends_what_is_that_user_s(
        self, plant: Planter, shared: Path, stranger: Account
    ) -> None:
        recorded = orphan(plant, stranger)
        os.chown(write(shared, "a", **recorded.facts), stranger.uid, 0)
        assert only(shared).fate is RecordFate.ENDED
        assert recorded.tree.all_dead()
        assert files(shared) == set()

    def test_root_touches_no_root_of_its_own_for_that_user(
        self, recorded: Recorded, shared: Path, stranger: Account
    ) -> None:
        os.chown(write(shared, "a", **recorded.facts), stranger.uid, 0)
        outcome = only(shared)
        assert recorded.lives
        assert outcome.fate is RecordFate.UNTRUSTED
        assert "another user" in str(outcome.detail)
        assert files(shared) == {"session_a.pid"}

    def test_a_marker_finds_that_user_s_processes_alone(
        self, plant: Planter, recorded: Recorded, shared: Path, stranger: Account
    ) -> None:
        marker = recorded.facts["marker"]
        theirs = plant(LONER, marker=marker, account=stranger)
        path = write(shared, "a", owner=recorded.facts["owner"], marker=marker)
        os.chown(path, stranger.uid, 0)
        outcome = only(shared)
        assert recorded.lives
        assert outcome.fate is RecordFate.ENDED
        assert outcome.kill
        assert [ended.identity.pid for ended in outcome.kill.outcomes] == [theirs.root.pid]

    def test_a_child_of_another_user_is_left(
        self, plant: Planter, shared: Path, stranger: Account
    ) -> None:
        # The child stays root's, as below su(1); neither group nor session may be signalled whole.
        script = (
            "import os, sys, time; uid = int(sys.argv[1]); child = os.fork(); "
            "child and os.setresuid(uid, uid, uid); child and print(child, flush=True); "
            "time.sleep(1000)"
        )
        command = [sys.executable, "-c", script, str(stranger.uid)]
        tree = plant.program(command, stdout=subprocess.PIPE)
        assert tree.root.stdout
        child = int(tree.root.stdout.readline())
        tree.root.stdout.close()
        path = write(shared, "a", owner=dead_owner(plant), identity=identify(tree.root.pid))
        os.chown(path, stranger.uid, 0)
        (outcome,) = recover(shared, policy=HASTY).outcomes
        assert outcome.fate is RecordFate.ENDED
        assert tree.root.wait(BOUND)
        assert not is_zombie(child)

    def test_a_process_that_became_another_user_s_is_not_forced(
        self, plant: Planter, shared: Path, stranger: Account
    ) -> None:
        # A setuid program is that user's until it changes its real uid, here when it is asked.
        script = (
            "import os, signal, sys; uid = int(sys.argv[1]); os.setresuid(uid, uid, 0); "
            "reading, writing = os.pipe(); os.set_blocking(writing, False); "
            "signal.set_wakeup_fd(writing); "  # a signal just before a pause() would be lost
            "signal.signal(signal.SIGTERM, lambda *_: (os.setresuid(0, 0, 0), print(flush=True)))\n"
            "print(flush=True)\nwhile True: os.read(reading, 1)"
        )
        command = [sys.executable, "-c", script, str(stranger.uid)]
        tree = plant.program(command, stdout=subprocess.PIPE)
        assert tree.root.stdout
        tree.root.stdout.readline()
        path = write(shared, "a", owner=dead_owner(plant), identity=identify(tree.root.pid))
        os.chown(path, stranger.uid, 0)
        recovery = RecordRecovery(path, FOREVER)
        recovered = in_thread(recovery.run)
        tree.root.stdout.readline()  # it is another user's now
        tree.root.stdout.close()
        recovery.hurry()
        outcome = recovered()
        assert tree.root.poll() is None
        assert outcome.kill
        assert outcome.kill.outcomes[0].fate is Fate.DENIED
        assert outcome.fate is RecordFate.SURVIVED
        assert files(shared) == {"session_a.pid"}

    def test_a_living_owner_is_stopped_by_its_own_word_alone(
        self, plant: Planter, recorded: Recorded, shared: Path, stranger: Account
    ) -> None:
        theirs = plant(LONER, marker=recorded.facts["marker"], account=stranger)
        facts = {"identity": identify(theirs.root.pid), "marker": recorded.facts["marker"]}
        path = write(shared, "a", owner=identify(os.getpid()), **facts)
        os.chown(path, stranger.uid, 0)
        result = SessionManager(shared, policy=HASTY).stop_agent("a")
        assert theirs.root.poll() is None
        assert recorded.lives
        assert not result.success
        assert "another user" in str(result.error)

    def test_a_bare_number_of_theirs_is_none_of_ours(
        self, recorded: Recorded, shared: Path, stranger: Account
    ) -> None:
        path = record_path(shared, "a")
        path.write_text(str(recorded.tree.root.pid))
        os.chown(path, stranger.uid, 0)
        assert only(shared, bare=True).fate is RecordFate.BARE
        assert recorded.lives

    def test_the_tree_of_a_living_owner_has_no_other_name(
        self, plant: Planter, shared: Path, stranger: Account
    ) -> None:
        with TreePopen(["sleep", "1000"]) as process:
            contained = process.containment
            cgroup = None if contained.cgroup is None else str(contained.cgroup)
            changes: tuple[dict[str, Any], ...] = ({"marker": contained.marker}, {"cgroup": cgroup})
            for index, change in enumerate(changes):
                path = write(shared, str(index), owner=dead_owner(plant), **change)
                os.chown(path, stranger.uid, 0)
            recover(shared, policy=HASTY)
            assert process.poll() is None
            process.stop(grace=0)


def is_zombie(pid: int) -> bool:
    """Whether a process has ended."""
    return b") Z " in Path(f"/proc/{pid}/stat").read_bytes()


def name_of(owner: ProcessIdentity) -> str:
    """Return a name that a cgroup of an owner could have."""
    boot = (owner.boot_id or "")[:8]
    namespace = Path("/proc/self/ns/pid").stat().st_ino
    return f"proctree-{boot}-{namespace}-{owner.pid}-{owner.start}-0123abcd"


@contextmanager
def cgroup_of(owner: ProcessIdentity) -> Iterator[Path]:
    """Make a cgroup as an owner would, and remove it."""
    # Below one of the test's own: another owner would sweep an empty one away.
    with delegated(None) as parent, cgroup_in(parent, owner) as folder:
        yield folder


@contextmanager
def cgroup_in(parent: Path, owner: ProcessIdentity) -> Iterator[Path]:
    """Make a cgroup as an owner would in this one, and remove it."""
    folder = parent / name_of(owner)
    folder.mkdir()
    try:
        yield folder
    finally:
        with suppress(FileNotFoundError):  # it is gone
            (folder / "cgroup.kill").write_text("1")
            assert is_empty(folder, BOUND)
            folder.rmdir()


@pytest.mark.needs("cgroup")
class TestCgroups:
    """What may be a cgroup, by the word of a record."""

    def test_a_plain_folder_is_none(self, recorded: Recorded, tmp_path: Path) -> None:
        owner = recorded.facts["owner"]
        folder = tmp_path / name_of(owner)
        folder.mkdir()
        secret = tmp_path / "secret"
        secret.write_text("as it was")
        (folder / "cgroup.kill").symlink_to(secret)
        (folder / "cgroup.procs").write_text(f"{recorded.tree.root.pid}\n")
        for suffix in ("", "-entry"):  # what stands for an entry
            entry = tmp_path / (folder.name + suffix)
            entry.mkdir(exist_ok=True)
            (entry / "cgroup.threads").write_text(f"{recorded.tree.root.pid}\n")
        records = tmp_path / "records"
        records.mkdir()
        write(records, "a", owner=owner, cgroup=str(folder))
        for dry_run in (True, False):
            recover(records, policy=HASTY, dry_run=dry_run)
            assert recorded.lives
            assert secret.read_text() == "as it was"
            assert (folder / "cgroup.procs").read_text() == f"{recorded.tree.root.pid}\n"

    def test_a_cgroup_that_a_link_leads_to_is_none(
        self, recorded: Recorded, tmp_path: Path
    ) -> None:
        owner = recorded.facts["owner"]
        with cgroup_of(owner) as folder:
            (folder / "cgroup.procs").write_text(str(recorded.tree.root.pid))
            for link in (tmp_path / "parent", tmp_path / folder.name):
                leads = folder.parent if link.name == "parent" else folder
                link.symlink_to(leads)
                path = link / folder.name if leads is folder.parent else link
                write(tmp_path, "a", owner=owner, cgroup=str(path))
                recover(tmp_path, policy=HASTY)
                assert recorded.lives

    def test_a_cgroup_of_another_owner_is_none(
        self, plant: Planter, recorded: Recorded, tmp_path: Path
    ) -> None:
        with cgroup_of(dead_owner(plant)) as folder:
            (folder / "cgroup.procs").write_text(str(recorded.tree.root.pid))
            write(tmp_path, "a", owner=recorded.facts["owner"], cgroup=str(folder))
            recover(tmp_path, policy=HASTY)
            assert recorded.lives

    def test_the_cgroup_of_its_dead_owner_is_one(self, recorded: Recorded, tmp_path: Path) -> None:
        owner = recorded.facts["owner"]
        with cgroup_of(owner) as folder:
            (folder / "cgroup.procs").write_text(str(recorded.tree.root.pid))
            write(tmp_path, "a", owner=owner, cgroup=str(folder))
            assert only(tmp_path).fate is RecordFate.ENDED
            assert recorded.tree.all_dead()

    def test_what_a_dead_owner_left_in_its_entry_is_ended(
        self, plant: Planter, recorded: Recorded, tmp_path: Path
    ) -> None:
        owner, inside = recorded.facts["owner"], plant(LONER)
        parent = usable_cgroup()  # an entry is beside it, where the library makes both
        assert parent
        with cgroup_in(parent, owner) as folder:
            (folder / "cgroup.procs").write_text(str(inside.root.pid))
            entry = folder.with_name(folder.name + "-entry")
            entry.mkdir()
            (entry / "cgroup.type").write_text("threaded")
            (entry / "cgroup.procs").write_text(str(recorded.tree.root.pid))
            write(tmp_path, "a", owner=owner, cgroup=str(folder))
            assert only(tmp_path, dry_run=True).fate is RecordFate.ENDED
            assert (entry / "cgroup.threads").read_text() == f"{recorded.tree.root.pid}\n"
            assert only(tmp_path).fate is RecordFate.ENDED
            assert recorded.tree.all_dead()
            assert inside.all_dead()
            assert not entry.exists()

    def test_a_dry_run_opens_nothing_for_writing_and_removes_nothing(
        self, recorded: Recorded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        owner = recorded.facts["owner"]
        opened: list[int] = []
        look = os.open

        def note(path: str, flags: int, *arguments: Any, **options: Any) -> int:
            opened.append(flags)
            return look(path, flags, *arguments, **options)

        with cgroup_of(owner) as folder:
            write(tmp_path, "a", **recorded.facts, cgroup=str(folder))
            before = time.time() - 2 * 3600
            draft = tmp_path / ".session_a.pid.00.tmp"
            draft.touch()
            os.utime(draft, (before, before))
            monkeypatch.setattr(os, "open", note)
            assert only(tmp_path, dry_run=True).fate is RecordFate.ENDED
            assert main(["sessions", str(tmp_path)]) == 0
            assert folder.exists()
        assert opened
        assert not any(flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT) for flags in opened)
        assert files(tmp_path) == {"session_a.pid", draft.name}

    @pytest.mark.needs("root", "ordinary user")
    @pytest.mark.parametrize("owns", [True, False])
    def test_it_is_ended_at_once_where_that_user_owns_it(
        self,
        plant: Planter,
        shared: Path,
        stranger: Account,
        monkeypatch: pytest.MonkeyPatch,
        *,
        owns: bool,
    ) -> None:
        from proctree_kill._systems.linux import cgroupfs  # noqa: PLC0415 - not on every system

        written: list[str] = []
        write_to = cgroupfs.write

        def note(path: str, text: bytes) -> None:
            written.append(path)
            write_to(path, text)

        monkeypatch.setattr(cgroupfs, "write", note)
        ours, theirs = orphan(plant), orphan(plant, stranger)
        owner = theirs.facts["owner"]
        with delegated(stranger) as parent:
            folder = parent / name_of(owner)
            folder.mkdir()
            if owns:
                os.chown(folder, stranger.uid, stranger.gid)
            else:
                (folder / "cgroup.procs").write_text(str(ours.tree.root.pid))
            (folder / "cgroup.procs").write_text(str(theirs.tree.root.pid))
            os.chown(write(shared, "a", owner=owner, cgroup=str(folder)), stranger.uid, 0)
            outcome = recover(shared, policy=KillPolicy(grace=0)).outcomes[0]
            assert ours.lives
            assert outcome.kill
            assert [ended.identity.pid for ended in outcome.kill.outcomes] == [theirs.tree.root.pid]
            assert any(path.endswith("cgroup.kill") for path in written) == owns
            ours.tree.root.kill()
            ours.tree.root.wait()
            assert not folder.exists() or is_empty(folder, BOUND)


class TestTheWriter:
    """What a writer does for the readers."""

    @pytest.mark.needs("root", "ordinary user")
    def test_it_says_where_owners_are_not_kept_once_a_folder(
        self,
        tmp_path: Path,
        stranger: Account,
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        create = record_files.create

        def squash(path: Path, data: bytes) -> None:
            create(path, data)
            os.chown(path, stranger.uid, 0)

        monkeypatch.setattr(record_files, "create", squash)
        with caplog.at_level(logging.WARNING, "proctree_kill"):
            for session_id in ("a", "b"):
                process = TreePopen(["true"], record=record_path(tmp_path, session_id))
                process.wait()
                assert process.stop().ok
        assert caplog.text.count(f"it belongs to uid {stranger.uid}") == 1
        assert files(tmp_path) == set()

    def test_it_says_nothing_where_they_are(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        with TreePopen(["true"], record=record_path(tmp_path, "a")):
            pass
        # asyncio tells of tasks of earlier tests whenever they are collected.
        assert [record for record in caplog.records if record.name == "proctree_kill"] == []


class TestRelativeFolders:
    """A folder is where it was when it was named."""

    def test_a_session_is_stopped_and_forgotten_after_a_change_of_directory(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        elsewhere = tmp_path / "elsewhere"
        elsewhere.mkdir()
        monkeypatch.chdir(tmp_path)
        with SessionManager("sessions", policy=PATIENT) as manager:
            manager.spawn_agent("a", ["sleep", "1000"])
            monkeypatch.chdir(elsewhere)
            assert manager.directory == tmp_path / "sessions"
            manager.spawn_agent("b", ["sleep", "1000"])
            assert files(tmp_path / "sessions") == {"session_a.pid", "session_b.pid"}
            assert manager.stop_agent("a").success
            assert files(tmp_path / "sessions") == {"session_b.pid"}
        assert files(tmp_path / "sessions") == set()
        assert files(elsewhere) == set()

    def test_a_record_stays_where_it_was_named(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "elsewhere").mkdir()
        monkeypatch.chdir(tmp_path)
        with TreePopen(["sleep", "1000"], record="session_a.pid") as process:
            monkeypatch.chdir(tmp_path / "elsewhere")
            assert process.stop().ok
        assert files(tmp_path) == {"elsewhere"}

    def test_a_report_names_files_wherever_its_reader_is(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = write(tmp_path, "a", identity=None)
        monkeypatch.chdir(tmp_path)
        report = recover(".")
        assert (report.directory, report.outcomes[0].path) == (str(tmp_path), str(path))
