"""Real: the record comes first, and no death of its writer leaves a process that no file knows."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from proctree_kill import TreePopen, errors, identify
from proctree_kill._records import files as record_files
from proctree_kill._records import recording
from proctree_kill._records.format import Record, parse
from support.agents import files
from support.callers import apart, unprivileged
from support.counts import DEATHS
from support.deaths import NEVER, die_at
from support.nodes import chain
from support.planter import Planter
from support.users import ordinary_user

pytestmark = pytest.mark.needs("fork")

SLEEP = [sys.executable, "-I", "-S", "-c", "import signal; signal.pause()"]


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Return where a record goes, in a folder that is not there yet."""
    return tmp_path / "sessions" / "session_a.pid"


def test_the_record_is_there_before_the_caller_has_the_process(place: Path) -> None:
    with TreePopen(["cat"], stdin=subprocess.PIPE, record=place) as process:
        record = parse(place, place.read_bytes())
        assert isinstance(record, Record)
        assert record.identity == process.identity == identify(process.pid)
        assert record.owner == identify(os.getpid())
        assert record.marker == process.containment.marker
        assert record.session
        assert files(place.parent) == {place.name}
        assert stat.S_IMODE(place.stat().st_mode) == 0o600
        assert stat.S_IMODE(place.parent.stat().st_mode) == 0o700
    assert files(place.parent) == set()


def test_two_threads_may_forget_a_record_at_once(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    process = TreePopen(SLEEP, record=place)
    other = threading.Thread(target=process.stop, kwargs={"grace": 0})
    forget = recording.forget

    def meet(*args: Any) -> None:
        monkeypatch.setattr(recording, "forget", forget)
        other.start()
        other.join()
        forget(*args)

    monkeypatch.setattr(recording, "forget", meet)
    assert process.stop(grace=0).ok
    assert files(place.parent) == set()


def test_the_intent_is_there_before_the_process(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[set[str]] = []
    spawn = subprocess.Popen.__init__

    def look(*args: Any, **options: Any) -> None:
        seen.append(files(place.parent))
        spawn(*args, **options)

    monkeypatch.setattr(subprocess.Popen, "__init__", look)
    with TreePopen(["true"], record=place):
        assert seen == [{"session_a.starting"}]


@pytest.mark.parametrize(
    ("spare", "words"),
    [
        (["adb", "a\udcff"], r"spare holds 'a\\udcff', expected Unicode text"),
        (["x" * 300] * 300, "spare takes 91200 bytes, expected at most 32768"),
    ],
    ids=["no text", "too long"],
)
def test_what_no_recovery_could_read_is_refused(
    place: Path, tmp_path: Path, spare: list[str], words: str
) -> None:
    ran = tmp_path / "ran"
    with pytest.raises(errors.RecordError, match=words):
        TreePopen(["touch", str(ran)], record=place, spare=spare)
    assert not ran.exists()
    assert files(place.parent) == set()


def test_a_stop_removes_the_record(place: Path) -> None:
    process = TreePopen(SLEEP, record=str(place))
    assert files(place.parent) == {place.name}
    assert process.stop().ok
    assert files(place.parent) == set()


def test_the_end_of_the_block_removes_the_record(place: Path) -> None:
    with TreePopen(["true"], record=place):
        assert files(place.parent) == {place.name}
    assert files(place.parent) == set()


def test_a_program_that_is_not_there_leaves_no_file(place: Path) -> None:
    with pytest.raises(FileNotFoundError):
        TreePopen(["no-such-program"], record=place)
    assert files(place.parent) == set()


@pytest.mark.parametrize("name", ["a.pid", "session_a.starting", "session_..pid", "session_a"])
def test_a_name_that_is_no_record_s_starts_nothing(tmp_path: Path, name: str) -> None:
    with pytest.raises(errors.RecordError):
        TreePopen(SLEEP, record=tmp_path / name)
    assert files(tmp_path) == set()


@pytest.mark.parametrize("name", ["session_a.pid", "session_a.starting"])
def test_an_id_that_has_a_file_already_starts_nothing(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"4711")
    with pytest.raises(errors.RecordError, match="recover it or stop it first"):
        TreePopen(SLEEP, record=tmp_path / "session_a.pid")
    assert files(tmp_path) == {name}
    assert (tmp_path / name).read_bytes() == b"4711"


def test_a_folder_that_is_none_starts_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "file"
    folder.touch()
    with pytest.raises(errors.RecordError, match="cannot be written"):
        TreePopen(SLEEP, record=folder / "session_a.pid")


@pytest.mark.parametrize("step", ["create", "replace"])
def test_a_full_disk_leaves_no_process(
    place: Path, plant: Planter, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(record_files, step, fail)
    full = pytest.raises(errors.RecordError, match="No space left")
    with plant.prepare(chain("root")) as prepared, full:
        TreePopen(prepared.argv, record=place, **prepared.options)
    assert prepared.tree.all_dead()
    assert files(place.parent) == set()


@pytest.mark.needs("ordinary user", "root")
def test_a_folder_that_may_not_be_written_starts_nothing(open_folder: Path) -> None:
    def scene() -> str:
        with unprivileged(ordinary_user()):
            try:
                TreePopen(["sleep", "1000"], record=open_folder / "session_a.pid")
            except errors.RecordError as error:
                return str(error)
        return "it was started"

    assert "Permission denied" in apart(scene)
    assert not list(open_folder.glob("*session_a*"))


def test_a_stop_leaves_a_record_alone_that_is_another_s(place: Path) -> None:
    process = TreePopen(SLEEP, record=place)
    place.write_bytes(b"4711")
    assert process.stop().ok
    assert place.read_bytes() == b"4711"


def test_an_owner_killed_at_any_step_leaves_whole_files_and_no_unknown_process(
    plant: Planter, tmp_path: Path
) -> None:
    quiet = die_at(NEVER, plant, tmp_path / "quiet")
    assert quiet.left == {"session_a.pid"}
    assert [outcome.fate for outcome in quiet.report.outcomes] == ["ended"]
    assert quiet.dead
    for index in range(DEATHS):
        step = index * quiet.steps // DEATHS
        death = die_at(step, plant, tmp_path / str(step))
        assert death.dead, f"a process was left after a death before step {step}: {death.left}"
        assert not [name for name in death.rest if not name.endswith(".tmp")]
