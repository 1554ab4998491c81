"""Pure: what is added up of a tree's cells and members, and what of earlier looks is kept."""

from __future__ import annotations

import errno
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pytest

from proctree_kill import Fate, KillResult, ProcessIdentity, ProcessOutcome, Usage
from proctree_kill._engine import report, usage
from proctree_kill._engine.target import Aim
from proctree_kill._engine.tree import Tree
from proctree_kill._models.result import closing_line
from proctree_kill._systems.contract import CellUsage, CpuSeconds
from proctree_kill._systems.member import KEPT, ROOT, ZOMBIE, Member
from support.fake_system import FakeSystem

INSIDE = KEPT["cgroup"]


class TellingSystem(FakeSystem):
    """Members tell three numbers: user and system seconds, and memory."""

    def cpu_used(self, members: Iterable[Member]) -> CpuSeconds | None:
        told = [member.used for member in members if member.used]
        user, system = (sum(used[index] for used in told) for index in (0, 1))
        return CpuSeconds(user, system) if told else None

    def memory_used(self, members: Iterable[Member]) -> int | None:
        return sum(member.used[2] for member in members if member.used) or None


class TellingCell:
    def __init__(self, told: CellUsage | None, *, is_whole: bool = True) -> None:
        self.told = told
        self.is_whole = is_whole

    def usage(self) -> CellUsage:
        if self.told is None:
            raise OSError(errno.ENODEV, "gone")
        return self.told


def member(
    number: int, evidence: int = 0, used: Sequence[float] | None = (1.0, 0.5, 100)
) -> Member:
    found = Member(5_000_000 + number)
    found.evidence, found.used = evidence, used
    return found


def tree(
    *members: Member, cells: Iterable[Any] = (), spent: Mapping[int, CpuSeconds] | None = None
) -> Tree:
    made = Tree(TellingSystem(), Aim([], cells=list(cells), spent=spent or {}))
    made.roots = [found for found in members if found.evidence & ROOT]
    made.members = made.together = list(members)
    made.dead = {root for root in made.roots if root.state == ZOMBIE}
    return made


def test_without_a_cell_the_members_are_added_up() -> None:
    found = usage.of(tree(member(1, ROOT), member(2), member(3, used=None)))
    assert found == Usage(user=2, system=1, peak_memory=200, processes=3)


def test_nothing_is_known_where_no_member_tells() -> None:
    assert usage.of(tree(member(1, ROOT, used=None), cells=[TellingCell(None)])) is None


def test_a_cell_counts_for_its_members_and_others_are_added() -> None:
    cell = TellingCell(CellUsage(10, 5, 1000, 9, out_of_memory=False))
    inside = member(1, ROOT | INSIDE)
    found = usage.of(tree(inside, member(2, INSIDE), cells=[cell]))
    assert found == Usage(user=10, system=5, peak_memory=1000, processes=9, complete=True)
    found = usage.of(tree(inside, member(2), cells=[cell]))
    assert found == Usage(user=11, system=5.5, peak_memory=1100, processes=9)


def test_a_root_that_was_dead_when_it_was_found_was_in_its_cell() -> None:
    root = member(1, ROOT)
    root.state = ZOMBIE
    found = usage.of(tree(root, cells=[TellingCell(CellUsage(10, 5, 1000, 1))]))
    assert found == Usage(user=10, system=5, peak_memory=1000, processes=1, complete=True)


def test_a_cell_that_does_not_count_memory_leaves_that_to_the_members() -> None:
    found = usage.of(tree(member(1, ROOT | INSIDE), cells=[TellingCell(CellUsage(10, 5))]))
    assert found == Usage(user=10, system=5, peak_memory=100, processes=1)


def test_a_cell_into_which_the_root_was_moved_is_not_complete() -> None:
    cell = TellingCell(CellUsage(10, 5, 1000), is_whole=False)
    found = usage.of(tree(member(1, ROOT | INSIDE), cells=[cell]))
    assert found
    assert not found.complete


def test_a_cell_that_is_gone_leaves_all_to_the_members() -> None:
    cells = [TellingCell(None)]
    found = usage.of(tree(member(1, ROOT | INSIDE), member(2, INSIDE), cells=cells))
    assert found == Usage(user=2, system=1, peak_memory=200, processes=2)


def test_what_a_reaped_root_used_is_added_unless_it_is_found() -> None:
    spent = {5_000_001: CpuSeconds(7, 3)}
    found = usage.of(tree(member(2), spent=spent))
    assert found == Usage(user=8, system=3.5, peak_memory=100, processes=1)
    found = usage.of(tree(member(1, ROOT), spent=spent))
    assert found == Usage(user=1, system=0.5, peak_memory=100, processes=1)


def test_an_earlier_look_keeps_what_a_later_one_misses() -> None:
    early = Usage(user=2, system=1, peak_memory=300, processes=3, out_of_memory=True)
    late = Usage(user=1, system=2, processes=1, complete=True)
    both = Usage(user=2, system=2, peak_memory=300, processes=3, out_of_memory=True, complete=True)
    assert usage.merged(early, late) == both
    assert usage.merged(None, late) == late
    assert usage.merged(early, None) == early
    assert usage.merged(None, None) is None


def result_of(used: Usage | None, *outcomes: ProcessOutcome) -> KillResult:
    target = (ProcessIdentity(pid=5_000_001),)
    return KillResult(target=target, outcomes=outcomes, seconds=1, usage=used)


def outcome(code: int | None, fate: Fate = Fate.ALREADY_GONE, *signals: str) -> ProcessOutcome:
    identity = ProcessIdentity(pid=5_000_001)
    return ProcessOutcome(identity=identity, fate=fate, exit_code=code, signals=signals)


@pytest.mark.parametrize(
    ("found", "is_blamed"),
    [
        (outcome(-9), True),
        (outcome(-9, Fate.TERMINATED, "SIGTERM"), True),
        (outcome(-9, Fate.KILLED, "SIGSTOP", "SIGKILL"), False),
        (outcome(-15), False),
        (outcome(1), False),
        (outcome(None), False),
    ],
)
@pytest.mark.parametrize("out_of_memory", [True, False])
def test_memory_is_blamed_where_the_kernel_may_have_killed(
    found: ProcessOutcome, *, is_blamed: bool, out_of_memory: bool
) -> None:
    used = Usage(user=0, system=0, processes=1, out_of_memory=out_of_memory)
    (told,) = report.with_reasons(result_of(used, found)).outcomes
    assert told.detail == (report.OUT_OF_MEMORY if is_blamed and out_of_memory else None)


LITTLE = Usage(user=9.9, system=0, peak_memory=2**40, processes=1)
MUCH = Usage(user=9.9, system=0.1, peak_memory=2**30, processes=2)
RAN_OUT = Usage(user=0, system=0, processes=1, out_of_memory=True)
KILLED = outcome(-9, Fate.KILLED, "SIGKILL")


@pytest.mark.parametrize(
    ("result", "text"),
    [
        (result_of(LITTLE, KILLED), "1 killed in 1.00 s"),
        (result_of(None, KILLED), "1 killed in 1.00 s"),
        (
            result_of(MUCH, KILLED),
            "1 killed in 1.00 s; it used 10.0 s CPU, 1.0 GiB at most, 2 processes",
        ),
        (
            result_of(MUCH.model_copy(update={"user": 0, "complete": True}), KILLED),
            "1 killed in 1.00 s; it used 0.10 s CPU, 1.0 GiB at most, 2 processes",
        ),
        (result_of(RAN_OUT, KILLED), "1 killed in 1.00 s; out of memory"),
        (
            result_of(RAN_OUT, outcome(-9)),
            "nothing to do: process 5000001 was gone already; out of memory",
        ),
        (result_of(RAN_OUT), "nothing to do: no process to end; out of memory"),
        (
            result_of(RAN_OUT.model_copy(update={"user": 10}), KILLED),
            "1 killed in 1.00 s; out of memory; it used 10.0 s CPU, 1 process",
        ),
    ],
)
def test_a_line_says_what_was_used_where_it_was_much_and_want_of_memory_always(
    result: KillResult, text: str
) -> None:
    assert closing_line(result) == text
