"""Pure: what is said about processes, as values."""

from __future__ import annotations

import pickle
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from proctree_kill import (
    Evidence,
    Fate,
    KillEvent,
    KillResult,
    ProcessIdentity,
    ProcessOutcome,
    SpareCandidate,
    TreeMember,
    TreeSnapshot,
)
from proctree_kill._models.identity import WEAK_TOLERANCE
from proctree_kill._models.result import SurvivorsError

unhurried = settings(deadline=None)

pids = st.integers(1, 2**32 - 1)
seconds = st.floats(allow_nan=False, allow_infinity=False)
words = st.none() | st.text()
evidence = st.sets(st.sampled_from(Evidence)).map(sorted).map(tuple)
identities = st.builds(
    ProcessIdentity,
    pid=pids,
    boot_id=words,
    start=st.none() | st.integers(0, 2**63),
    inode=st.none() | st.integers(0, 2**63),
    create_time=st.none() | seconds,
)
about: dict[str, st.SearchStrategy[Any]] = {
    "identity": identities,
    "name": words,
    "ppid": st.none() | pids,
    "depth": st.integers(0, 1000),
    "evidence": evidence,
    "spared": words,
}
members = st.builds(TreeMember, **about)
outcomes = st.builds(
    ProcessOutcome,
    **about,
    fate=st.sampled_from(Fate),
    signals=st.lists(st.sampled_from(["SIGTERM", "SIGSTOP", "SIGKILL"])).map(tuple),
    exit_code=st.none() | st.integers(-64, 2**32 - 1),
    seconds=st.none() | seconds,
    detail=words,
)
events = st.builds(
    KillEvent,
    kind=st.sampled_from(["asked", "escalated", "found", "gone", "settled"]),
    seconds=seconds,
    identity=st.none() | identities,
    remaining=st.integers(0, 1000),
)
snapshots = st.builds(
    TreeSnapshot,
    target=st.lists(identities, max_size=2).map(tuple),
    members=st.lists(members, max_size=4).map(tuple),
    refusal=words,
)
results = st.builds(
    KillResult,
    target=st.lists(identities, max_size=2).map(tuple),
    outcomes=st.lists(outcomes, max_size=4).map(tuple),
    seconds=seconds,
    verified=evidence,
)
anything = st.one_of(identities, members, outcomes, events, snapshots, results)

ONE = ProcessIdentity(pid=7, boot_id="boot", start=70, inode=700)
WEAK = ProcessIdentity(pid=7, create_time=100.0)


def outcome(fate: Fate, pid: int = 7, **facts: object) -> ProcessOutcome:
    return ProcessOutcome.model_validate(
        {"identity": {"pid": pid}, "name": f"p{pid}", "fate": fate, **facts}
    )


def result(*outcomes: ProcessOutcome) -> KillResult:
    return KillResult(target=(ProcessIdentity(pid=7),), outcomes=outcomes, seconds=0.125)


@unhurried
@given(anything)
def test_from_json_comes_what_went_into_it(value: BaseModel) -> None:
    assert type(value).model_validate_json(value.model_dump_json()) == value


@unhurried
@given(anything)
def test_what_is_pickled_is_what_comes_back(value: BaseModel) -> None:
    assert pickle.loads(pickle.dumps(value)) == value  # noqa: S301 - it was made here


@unhurried
@given(anything)
def test_values_are_hashable(value: BaseModel) -> None:
    assert len({value, value.model_copy()}) == 1


@pytest.mark.parametrize(
    "value",
    [
        ONE,
        TreeMember(identity=ONE),
        SpareCandidate(identity=ONE),
        outcome(Fate.KILLED),
        KillEvent(kind="asked", seconds=0, remaining=1),
        TreeSnapshot(target=(ONE,), members=()),
        result(),
    ],
    ids=lambda value: type(value).__name__,
)
class TestEveryModel:
    def test_is_frozen(self, value: BaseModel) -> None:
        field = next(iter(type(value).model_fields))
        with pytest.raises(ValidationError, match="frozen"):
            setattr(value, field, None)

    def test_takes_nothing_that_it_does_not_know(self, value: BaseModel) -> None:
        with pytest.raises(ValidationError, match="command_line"):
            type(value).model_validate(value.model_dump() | {"command_line": "secret"})

    def test_says_what_its_parts_are(self, value: BaseModel) -> None:
        for name in type(value).model_fields:
            assert f"{name}: " in (_documentation(type(value)))


def _documentation(model: type[BaseModel]) -> str:
    """Return the docstrings of a model and of those that it extends."""
    return "\n".join(base.__doc__ or "" for base in model.__mro__ if issubclass(base, BaseModel))


@pytest.mark.parametrize(
    ("other", "same"),
    [
        (ONE, True),
        (ONE.model_copy(update={"inode": None}), True),
        (ONE.model_copy(update={"create_time": 5.0}), True),
        (ONE.model_copy(update={"pid": 8}), False),
        (ONE.model_copy(update={"inode": 701}), False),
        (ONE.model_copy(update={"start": 71}), False),
        (ONE.model_copy(update={"start": 71, "inode": None}), False),
        (ONE.model_copy(update={"boot_id": "another"}), False),
        (ONE.model_copy(update={"boot_id": None}), None),
        (ONE.model_copy(update={"start": None}), True),
        (ONE.model_copy(update={"start": None, "inode": 701}), False),
        (ONE.model_copy(update={"start": None, "inode": None}), None),
        (ONE.model_copy(update={"start": None, "boot_id": None}), None),
        (ONE.model_copy(update={"start": None, "boot_id": None, "inode": 701}), False),
        (ONE.model_copy(update={"start": None, "boot_id": "another"}), False),
        (ProcessIdentity(pid=7), None),
        (ProcessIdentity(pid=8), False),
        (WEAK, None),
    ],
)
def test_whether_two_identities_are_one_process(
    other: ProcessIdentity, *, same: bool | None
) -> None:
    assert ONE.same_process(other) is same
    assert other.same_process(ONE) is same


@pytest.mark.parametrize(
    ("other", "same"),
    [
        (WEAK, True),
        (WEAK.model_copy(update={"create_time": 100.0 + WEAK_TOLERANCE}), True),
        (WEAK.model_copy(update={"create_time": 100.0 - WEAK_TOLERANCE}), True),
        (WEAK.model_copy(update={"create_time": 102.5}), False),
        (WEAK.model_copy(update={"create_time": 97.5}), False),
        (WEAK.model_copy(update={"create_time": None}), None),
        (WEAK.model_copy(update={"pid": 8}), False),
    ],
)
def test_whether_two_weak_identities_are_one_process(
    other: ProcessIdentity, *, same: bool | None
) -> None:
    assert WEAK.same_process(other) is same
    assert other.same_process(WEAK) is same


@unhurried
@given(identities, identities)
def test_both_sides_give_the_same_answer(identity: ProcessIdentity, other: ProcessIdentity) -> None:
    assert identity.same_process(other) is other.same_process(identity)


@unhurried
@given(identities)
def test_what_is_unknown_never_matches(identity: ProcessIdentity) -> None:
    by_inode = None not in (identity.boot_id, identity.inode)
    known = by_inode or identity.start is not None or identity.create_time is not None
    assert identity.same_process(identity) is (True if known else None)
    assert identity.same_process(ProcessIdentity(pid=identity.pid)) is None


def test_an_identity_without_start_and_inode_is_weak() -> None:
    assert WEAK.weak
    assert not ONE.model_copy(update={"start": None}).weak
    assert ONE.model_copy(update={"start": None, "boot_id": None}).weak
    assert not ONE.weak


def test_an_identity_is_written_as_its_number() -> None:
    assert str(ONE) == "7"


@pytest.mark.parametrize(
    ("fates", "ok", "summary"),
    [
        ([], True, "no process in 0.12 s"),
        ([Fate.ALREADY_GONE], True, "1 already gone in 0.12 s"),
        ([Fate.KILLED, Fate.TERMINATED, Fate.KILLED], True, "1 terminated, 2 killed in 0.12 s"),
        ([Fate.SPARED, Fate.TERMINATED], True, "1 terminated, 1 spared in 0.12 s"),
        ([Fate.DENIED, Fate.KILLED], False, "1 killed, 1 denied in 0.12 s"),
        ([Fate.SURVIVED], False, "1 survived in 0.12 s"),
    ],
)
def test_a_result_in_one_line(fates: list[Fate], *, ok: bool, summary: str) -> None:
    done = result(*map(outcome, fates))
    assert done.ok is ok
    assert done.summary() == summary


def test_survivors_are_all_that_were_to_end_and_live() -> None:
    done = result(*(outcome(fate, number) for number, fate in enumerate(Fate, 1)))
    assert {outcome.fate for outcome in done.survivors} == {Fate.DENIED, Fate.SURVIVED}


def test_survivors_are_raised_only_where_there_are_some() -> None:
    good = result(outcome(Fate.KILLED), outcome(Fate.SPARED))
    assert good.raise_for_survivors() is good
    bad = result(outcome(Fate.DENIED, 8), outcome(Fate.KILLED), outcome(Fate.SURVIVED, 9))
    with pytest.raises(SurvivorsError) as caught:
        bad.raise_for_survivors()
    assert caught.value.result is bad


@pytest.mark.parametrize(
    ("last", "forced"),
    [
        (outcome(Fate.KILLED, signals=("SIGSTOP", "SIGKILL")), True),
        (outcome(Fate.KILLED, signals=("TerminateProcess",)), True),
        (outcome(Fate.TERMINATED, signals=("SIGTERM", "SIGCONT")), False),
        (outcome(Fate.TERMINATED, signals=("SIGTERM", "SIGSTOP", "SIGKILL")), True),
        (outcome(Fate.SURVIVED, signals=("SIGTERM", "SIGKILL")), True),
        (outcome(Fate.ALREADY_GONE), False),
    ],
)
def test_whether_force_was_used(last: ProcessOutcome, *, forced: bool) -> None:
    assert result(outcome(Fate.TERMINATED), last).forced is forced


def test_the_root_is_the_outcome_with_that_evidence() -> None:
    child = outcome(Fate.KILLED, 8, evidence=("descendant",))
    root = outcome(Fate.KILLED, 7, evidence=("root", "session"))
    assert result(child, root).root is root
    assert result(child).root is None


def member(
    pid: int, ppid: int, depth: int, *why: Evidence, spared: str | None = None
) -> TreeMember:
    identity = ProcessIdentity(pid=pid)
    return TreeMember(
        identity=identity, name=f"p{pid}", ppid=ppid, depth=depth, evidence=why, spared=spared
    )


DESCENDANT, ROOT, SESSION = Evidence.DESCENDANT, Evidence.ROOT, Evidence.SESSION


def drawing(*members: TreeMember) -> list[str]:
    """Return the lines of a snapshot without the line about all."""
    return TreeSnapshot(target=(), members=members).render().splitlines()[:-1]


def test_a_tree_is_drawn_with_parents_above_their_children() -> None:
    assert drawing(
        member(14, 12, 2, DESCENDANT, SESSION),
        member(13, 11, 1, DESCENDANT),
        member(12, 11, 1, DESCENDANT, spared="by the caller"),
        member(15, 13, 2, DESCENDANT),
        member(11, 1, 0, ROOT),
    ) == [
        "p11 11 [root]",
        "├─ p12 12 [descendant, spared: by the caller]",
        "│  └─ p14 14 [descendant, session]",
        "└─ p13 13 [descendant]",
        "   └─ p15 15 [descendant]",
    ]


def test_an_orphan_stands_beside_the_root() -> None:
    drawn = drawing(member(12, 1, 1, SESSION), member(11, 1, 0, ROOT))
    assert drawn == ["p11 11 [root]", "p12 12 [session]"]


def test_children_of_an_excluded_root_stand_at_the_margin() -> None:
    drawn = drawing(member(12, 11, 1, DESCENDANT), member(13, 11, 1, DESCENDANT))
    assert drawn == ["p12 12 [descendant]", "p13 13 [descendant]"]


def test_a_tree_is_drawn_for_old_code_pages() -> None:
    members = [member(13, 11, 1, DESCENDANT), member(12, 11, 1, DESCENDANT), member(11, 1, 0, ROOT)]
    drawn = TreeSnapshot(target=(), members=tuple(members)).render(ascii_only=True)
    assert (
        drawn == "p11 11 [root]\n|- p12 12 [descendant]\n`- p13 13 [descendant]\n3 processes to end"
    )


def test_a_member_without_a_name_is_drawn_all_the_same() -> None:
    nameless = TreeMember(identity=ProcessIdentity(pid=11), evidence=(ROOT,))
    assert drawing(nameless) == ["? 11 [root]"]


@pytest.mark.parametrize(
    ("members", "refusal", "line"),
    [
        ((), None, "no process to end"),
        ((member(11, 1, 0, ROOT),), None, "1 process to end"),
        ((member(11, 1, 0, ROOT, spared="by the caller"),), None, "no process to end, 1 spared"),
        ((member(11, 1, 0), member(12, 11, 1)), None, "2 processes to end"),
        ((member(11, 1, 0, ROOT),), "process 11 is refused: why", "process 11 is refused: why"),
    ],
)
def test_the_last_line_of_a_snapshot_tells_what_would_be_ended(
    members: tuple[TreeMember, ...], refusal: str | None, line: str
) -> None:
    snapshot = TreeSnapshot(target=(), members=members, refusal=refusal)
    assert snapshot.summary() == line
    assert snapshot.render().splitlines()[-1] == line
    assert snapshot.ok is (refusal is None)


def test_parents_that_name_each_other_are_drawn_once() -> None:
    drawn = drawing(member(11, 12, 1, DESCENDANT), member(12, 11, 1, DESCENDANT))
    assert sorted(drawn) == ["p11 11 [descendant]", "p12 12 [descendant]"]


def test_a_chain_deeper_than_python_recurses_is_drawn() -> None:
    chain = [member(pid, pid - 1, pid - 1, DESCENDANT) for pid in range(1, 3000)]
    assert len(drawing(*chain)) == len(chain)


@unhurried
@given(st.lists(members, max_size=8, unique_by=lambda outcome: outcome.identity.pid))
def test_every_member_is_drawn_once(members: list[TreeMember]) -> None:
    snapshot = TreeSnapshot(target=(), members=tuple(members))
    drawn = "\n".join(line for line, _ in snapshot.lines(fold=False))
    for member in members:
        assert f" {member.identity.pid} [{', '.join(member.evidence)}" in drawn
