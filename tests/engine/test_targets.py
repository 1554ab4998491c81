"""Pure: what may be named as a target."""

from __future__ import annotations

import enum
import re
import subprocess
from types import SimpleNamespace
from typing import NamedTuple

import pytest

from proctree_kill import Evidence, ProcessIdentity, TreeMember, TreeSnapshot
from proctree_kill._engine.pids import LARGEST_PID
from proctree_kill._engine.target import Claim, Target, aim
from proctree_kill._models.errors import TargetRefusedError

IDENTITY = ProcessIdentity(pid=7, boot_id="boot", start=70)
ROOT = TreeMember(identity=IDENTITY, evidence=(Evidence.ROOT,))
CHILD = TreeMember(identity=ProcessIdentity(pid=8, start=80), ppid=7, depth=1)


class Row(NamedTuple):
    """As psutil tells of connections."""

    fd: int
    pid: int
    ppid: int


def claims(target: Target) -> list[Claim]:
    """Return the processes that a target names."""
    return list(aim(target).claims)


def test_a_number_is_the_callers_word() -> None:
    assert claims(7) == [Claim(7, bare=True)]


def test_an_identity_is_its_process() -> None:
    assert claims(IDENTITY) == [Claim(7, IDENTITY)]


def test_an_object_with_a_pid_is_the_owner_of_its_process() -> None:
    owner = SimpleNamespace(pid=7)
    assert claims(owner) == [Claim(7, owner=owner)]


def test_a_snapshot_names_its_members() -> None:
    snapshot = TreeSnapshot(target=(IDENTITY,), members=(CHILD, ROOT))
    assert claims(snapshot) == [
        Claim(8, CHILD.identity, found=CHILD),
        Claim(7, IDENTITY, found=ROOT),
    ]


def test_a_snapshot_without_its_root_still_says_whose_children_it_meant() -> None:
    snapshot = TreeSnapshot(target=(IDENTITY,), members=(CHILD,))
    assert claims(snapshot) == [
        Claim(7, IDENTITY, excluded=True),
        Claim(8, CHILD.identity, found=CHILD),
    ]


def test_a_sequence_names_them_all_in_order() -> None:
    owner = SimpleNamespace(pid=9)
    expected = [Claim(11, bare=True), Claim(7, IDENTITY), Claim(9, owner=owner)]
    assert claims([11, IDENTITY, owner]) == expected
    assert claims((11, IDENTITY, owner)) == expected


def test_a_range_is_a_sequence() -> None:
    assert claims(range(7, 9)) == [Claim(7, bare=True), Claim(8, bare=True)]


def test_an_empty_sequence_names_no_process() -> None:
    assert claims([]) == []


def test_what_is_named_twice_counts_once_and_as_it_was_named_first() -> None:
    owner = SimpleNamespace(pid=7)
    assert claims([owner, 7, IDENTITY]) == [Claim(7, owner=owner)]
    assert claims([7, owner]) == [Claim(7, bare=True)]


def test_a_member_of_an_enumeration_of_integers_is_a_number() -> None:
    class Pid(enum.IntEnum):
        SERVER = 7

    assert claims(Pid.SERVER) == [Claim(7, bare=True)]


def test_a_tuple_with_a_pid_is_one_process_and_not_its_fields() -> None:
    row = Row(fd=3, pid=7, ppid=1)
    assert claims(row) == [Claim(7, owner=row)]
    assert claims([row, 8]) == [Claim(7, owner=row), Claim(8, bare=True)]


def without_address(value: object) -> str:
    """Return a name that is the same in every run."""
    return re.sub(" at 0x[0-9a-f]+| from .*", "", repr(value))


@pytest.mark.parametrize(
    "target",
    [
        True,
        False,
        7.0,
        "7",
        b"7",
        None,
        object(),
        {"pid": 7},
        {7},
        iter([7]),
        [[7]],
        [7, (8,)],
        ["7"],
        [None],
        [True],
        [7.0],
        SimpleNamespace(pid="7"),
        SimpleNamespace(pid=7.0),
        SimpleNamespace(pid=True),
        bytearray(b"7"),
        memoryview(b"7"),
        subprocess,
    ],
    ids=without_address,
)
def test_what_names_no_process_is_a_type_error(target: Target) -> None:
    with pytest.raises(TypeError, match="pid"):
        claims(target)


@pytest.mark.parametrize("number", [0, -1, -7, LARGEST_PID + 1, 10**25])
def test_a_number_that_no_process_has_is_refused(number: int) -> None:
    for target in (number, ProcessIdentity(pid=number), SimpleNamespace(pid=number), [7, number]):
        with pytest.raises(TargetRefusedError, match=f"process {number} is refused") as caught:
            claims(target)
        assert caught.value.pid == number
        assert isinstance(caught.value, ValueError)


def test_what_was_not_started_is_a_value_error() -> None:
    with pytest.raises(ValueError, match="not started"):
        claims(SimpleNamespace(pid=None))


def test_the_message_names_what_was_given() -> None:
    with pytest.raises(TypeError, match=r"int, not float \(7\.5\)"):
        claims(7.5)  # type: ignore[arg-type] # that is the test
    with pytest.raises(TypeError, match=r"int, not bool \(True\)"):
        claims(target=True)
    with pytest.raises(TypeError, match=r"a pid or have one, not list \(\[7\]\)"):
        claims([[7]])  # type: ignore[list-item] # that is the test
