"""Seam and real: the owner of a file, by a faked Windows, by a real one, and by POSIX."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from proctree_kill._records import trusted_files
from proctree_kill._records.files import create
from proctree_kill._records.trusted_files import Opened, UntrustedError
from proctree_kill._systems.psutil_system import PsutilSystem
from proctree_kill._systems.windows import file_owner
from support.nodes import Node
from support.planter import Planter
from support.users import ordinary_user

US, ADMINISTRATORS, SYSTEM, ANOTHER = 1, 2, 3, 4  # SIDs, as far as a seam needs any


@pytest.fixture
def windows(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Fake a Windows whose file is owned by what the list holds."""
    owners: list[int] = []

    @contextmanager
    def owner(_: int) -> Iterator[int]:
        yield owners[0]

    kinds = {file_owner.ADMINISTRATORS: ADMINISTRATORS, file_owner.SYSTEM: SYSTEM}
    monkeypatch.setattr(file_owner, "owner", owner)
    monkeypatch.setattr(file_owner, "is_ours", lambda sid: sid == US)
    monkeypatch.setattr(file_owner, "is_well_known", lambda sid, kind: kinds[kind] == sid)
    return owners


@pytest.mark.parametrize(
    ("owner", "trusted"), [(US, True), (ADMINISTRATORS, True), (SYSTEM, True), (ANOTHER, False)]
)
def test_windows_trusts_us_administrators_and_the_system(
    windows: list[int], owner: int, *, trusted: bool
) -> None:
    windows.append(owner)
    found = file_owner.trust(0)
    assert (found.why_not is None) == trusted
    assert found.uid is None


def test_what_cannot_be_opened_is_not_judged_by_its_owner() -> None:
    assert file_owner.trust(None).why_not is None


@pytest.mark.skipif(ctypes.sizeof(ctypes.c_void_p) != 8, reason="the size is that of 64 bits")
def test_the_largest_sid_fits_beside_its_pointer() -> None:
    assert file_owner.LARGEST_TOKEN_USER >= 16 + 68  # SID_AND_ATTRIBUTES, SECURITY_MAX_SID_SIZE


@pytest.mark.needs("fork")
def test_a_link_that_the_system_follows_is_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, link = tmp_path / "real", tmp_path / "session_a.pid"
    create(real, b"1")
    link.symlink_to(real)
    monkeypatch.setattr(trusted_files, "_READ", os.O_RDONLY)
    monkeypatch.delattr(os, "O_NOFOLLOW")
    monkeypatch.setattr(trusted_files, "DIRECTORY", None)
    with Opened(link) as opened:
        assert opened.untrusted == "it is a link"
    with Opened(real) as opened:
        assert opened.untrusted is None


@pytest.mark.needs("fork")
def test_a_reparse_point_is_a_link(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    create(tmp_path / "session_a.pid", b"1")
    monkeypatch.setattr(trusted_files, "_is_reparse_point", lambda _: True)
    with pytest.raises(UntrustedError, match="a link"):
        Opened(tmp_path / "session_a.pid")


@pytest.mark.needs("windows")
def test_our_own_file_is_ours_on_windows(tmp_path: Path) -> None:
    path = tmp_path / "session_a.pid"
    create(path, b"1")
    with Opened(path) as opened:
        assert opened.untrusted is None
        with file_owner.owner(opened._fd) as sid:
            assert sid
            assert not file_owner.is_well_known(sid, file_owner.SYSTEM)
    assert not file_owner.is_ours(None)


@pytest.mark.needs("procfs", "ordinary user")
def test_linux_and_psutil_name_the_same_users(plant: Planter) -> None:
    from proctree_kill._systems.linux.system import LinuxSystem  # noqa: PLC0415 - not on every system

    account = ordinary_user()
    assert account
    tree = plant(Node(name="root"), account=account)
    for system in (LinuxSystem(), PsutilSystem()):
        member = system.bind(tree.root.pid)
        assert member
        assert [*system.uids(member)] == [account.uid, account.uid]
        system.close()
