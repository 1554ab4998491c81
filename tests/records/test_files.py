"""Real files: whole or absent, for us alone, one writer and one remover at a time."""

from __future__ import annotations

import errno
import os
import stat
import time
from pathlib import Path
from typing import Any

import pytest

from proctree_kill._records import files as record_files
from proctree_kill._records import trusted_files
from proctree_kill._records.trusted_files import Folder, Opened
from support.agents import files

OLD, NEW = b"old\n", b"new" * 1000


@pytest.fixture(params=["hard links", "no hard links"])
def place(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return where a file goes, on a file system with hard links and on one without."""
    if request.param == "no hard links":

        def refuse(*_: object) -> None:
            raise PermissionError(1, "Operation not permitted")

        monkeypatch.setattr(os, "link", refuse)
    return tmp_path / "session_a.pid"


def test_a_new_file_is_whole_and_alone(place: Path) -> None:
    record_files.create(place, NEW)
    assert place.read_bytes() == NEW
    assert files(place.parent) == {place.name}


def test_a_file_that_is_there_is_not_written_over(place: Path) -> None:
    record_files.create(place, OLD)
    with pytest.raises(FileExistsError):
        record_files.create(place, NEW)
    assert place.read_bytes() == OLD
    assert files(place.parent) == {place.name}


@pytest.mark.parametrize(
    ("error", "may"),
    [(None, True), (errno.ENOENT, False), (errno.ENOTDIR, False), (errno.EACCES, True)],
)
def test_what_cannot_be_seen_may_exist(
    place: Path, monkeypatch: pytest.MonkeyPatch, error: int | None, *, may: bool
) -> None:
    def look(_: Path) -> None:
        if error is not None:
            raise OSError(error, os.strerror(error))

    monkeypatch.setattr(Path, "lstat", look)
    assert record_files.may_exist(place) is may


def test_a_file_is_replaced_as_a_whole(place: Path) -> None:
    record_files.create(place, OLD)
    record_files.replace(place, NEW)
    assert place.read_bytes() == NEW
    assert files(place.parent) == {place.name}


@pytest.mark.needs("fork")
def test_files_and_folders_are_for_us_alone(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "sessions"
    before = os.umask(0)
    try:
        record_files.make_folder(folder)
        record_files.create(folder / "session_a.pid", NEW)
    finally:
        os.umask(before)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((folder / "session_a.pid").stat().st_mode) == 0o600


@pytest.mark.needs("fork")
def test_a_folder_that_is_there_keeps_its_mode(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    record_files.make_folder(tmp_path)
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o755


@pytest.mark.parametrize("step", ["write", "fsync"])
@pytest.mark.parametrize("write", [record_files.create, record_files.replace])
def test_a_disk_that_fails_leaves_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, write: object
) -> None:
    assert callable(write)

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, step, fail)
    with pytest.raises(OSError, match="No space left"):
        write(tmp_path / "session_a.pid", NEW)
    assert files(tmp_path) == set()


def test_a_disk_may_take_a_part_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: whole(fd, data[:7]))
    record_files.create(tmp_path / "session_a.pid", NEW)
    assert (tmp_path / "session_a.pid").read_bytes() == NEW


@pytest.mark.needs("names of open files")
def test_a_file_that_was_opened_is_removed_unless_another_is_in_its_place(tmp_path: Path) -> None:
    path = tmp_path / "session_a.pid"
    record_files.create(path, OLD)
    with Opened(path) as opened:
        assert opened.data == OLD
        record_files.replace(path, NEW)
        assert not opened.lock()
        opened.remove()
    assert path.read_bytes() == NEW
    with Opened(path) as opened:
        assert opened.lock()
        opened.remove()
        opened.remove()
        assert not opened.lock()
    assert files(tmp_path) == set()


@pytest.mark.needs("file locks")
def test_only_one_process_has_the_lock(tmp_path: Path) -> None:
    path = tmp_path / "session_a.pid"
    record_files.create(path, OLD)
    with Opened(path) as first, Opened(path) as second:
        assert first.lock()
        assert not second.lock()
    with Opened(path) as third:
        assert third.lock()


@pytest.mark.needs("fork")
def test_what_is_no_plain_file_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "session_a.pid"
    os.mkfifo(path)
    with pytest.raises(OSError, match="no regular file"):
        Opened(path)
    path.unlink()
    path.mkdir()
    with pytest.raises(OSError, match="no regular file"):
        Opened(path)
    path.rmdir()
    path.symlink_to("/etc/passwd")
    with pytest.raises(OSError, match="it is a link"):
        Opened(path)


def test_what_is_far_too_large_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "session_a.pid"
    path.write_bytes(b"1" * (trusted_files.LARGEST + 1))
    with pytest.raises(OSError, match="larger than"):
        Opened(path)


def test_what_a_writer_left_an_hour_ago_is_tidied_up(tmp_path: Path) -> None:
    old, young, other = (
        tmp_path / ".session_a.pid.01.tmp",
        tmp_path / ".session_b.pid.02.tmp",
        tmp_path / "other.tmp",
    )
    for path in (old, young, other):
        path.touch()
    before = time.time() - trusted_files.DRAFT_AGE - 1
    for path in (old, other):
        os.utime(path, (before, before))
    Folder(tmp_path).tidy()
    assert files(tmp_path) == {young.name, other.name}


@pytest.mark.parametrize("there", [True, False], ids=["replace", "remove"])
def test_a_reader_of_windows_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, there: bool
) -> None:
    path = tmp_path / "session_a.pid"
    record_files.create(path, OLD)
    changed, name = (Path, "replace") if there else (os, "unlink")
    act = getattr(changed, name)
    refusals = [PermissionError, PermissionError]

    def refuse(*arguments: Any, **options: Any) -> object:
        if refusals:
            raise refusals.pop()
        return act(*arguments, **options)

    for module in (record_files, trusted_files):
        monkeypatch.setattr(module, "DIRECTORY", None)
    monkeypatch.setattr(changed, name, refuse)
    if there:
        record_files.replace(path, NEW)
        assert path.read_bytes() == NEW
    else:
        with Opened(path) as opened:
            opened.remove()
    assert refusals == []
    assert files(tmp_path) == ({"session_a.pid"} if there else set())
