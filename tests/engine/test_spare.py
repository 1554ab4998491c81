"""Pure: what is not to be touched."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from proctree_kill import Evidence, ProcessIdentity, SpareCandidate
from proctree_kill._engine.spare import Spare, Sparing, sparing
from proctree_kill._systems.member import DESCENDANT, SESSION, Member, model_of

BOOT = "boot"


def member(pid: int = 7, *, start: int | None = 70) -> Member:
    new = Member(pid, 1)
    new.boot_id = BOOT
    new.name, new.start, new.depth = "name", start, 2
    new.evidence = DESCENDANT | SESSION
    return new


def rule(spare: Spare) -> Sparing:
    found = sparing(spare)
    assert found
    return found


def test_without_a_spare_list_there_is_nothing_to_ask() -> None:
    assert sparing(None) is None


def test_numbers_objects_and_identities_spare_their_processes() -> None:
    ours = ProcessIdentity(pid=7, boot_id=BOOT, start=70)
    for spare in ([7], (7, 8), {7}, iter([7]), [SimpleNamespace(pid=7)], [ours], {ours: 1}):
        asked = rule(spare)
        assert asked(member()) == "by the caller"
        assert asked(member(9)) is None


def test_an_empty_spare_list_spares_nothing() -> None:
    assert rule([])(member()) is None


def test_a_later_owner_of_a_number_is_not_spared_for_an_identity() -> None:
    earlier = ProcessIdentity(pid=7, boot_id=BOOT, start=69)
    assert rule([earlier])(member()) is None


def test_a_doubt_keeps_the_process_alive() -> None:
    weak = ProcessIdentity(pid=7, create_time=5.0)
    assert rule([weak])(member()) == "by the caller"
    assert rule([ProcessIdentity(pid=7)])(member()) == "by the caller"
    known = ProcessIdentity(pid=7, boot_id=BOOT, start=70)
    assert rule([known])(member(start=None)) == "by the caller"


def test_all_that_is_said_of_a_number_counts() -> None:
    earlier = ProcessIdentity(pid=7, boot_id=BOOT, start=69)
    assert rule([7, earlier])(member()) == "by the caller"
    assert rule([earlier, 7])(member()) == "by the caller"


def test_a_predicate_is_shown_the_member() -> None:
    shown: list[SpareCandidate] = []

    def has_that_name(member: SpareCandidate) -> bool:
        shown.append(member)
        return member.name == "name"

    asked = rule(has_that_name)
    assert asked(member()) == "by the predicate"
    assert [candidate.model_dump() for candidate in shown] == [
        SpareCandidate(
            identity=ProcessIdentity(pid=7, boot_id=BOOT, start=70),
            name="name",
            ppid=1,
            depth=2,
            evidence=(Evidence.DESCENDANT, Evidence.SESSION),
        ).model_dump()
    ]


@pytest.mark.parametrize(("answer", "spared"), [(1, True), ("x", True), (0, False), (None, False)])
def test_whatever_is_true_spares(answer: object, *, spared: bool) -> None:
    assert rule(lambda _: answer)(member()) == ("by the predicate" if spared else None)


def test_what_a_predicate_raises_is_not_hidden() -> None:
    def broken(_: SpareCandidate) -> bool:
        raise LookupError

    with pytest.raises(LookupError):
        rule(broken)(member())


@pytest.mark.parametrize("spare", [7, True, "7", b"7", 7.0, SimpleNamespace(pid=7)], ids=repr)
def test_a_spare_list_that_is_no_collection_is_a_type_error(spare: Spare) -> None:
    with pytest.raises(TypeError, match="spare must be pids, identities or a predicate"):
        sparing(spare)


@pytest.mark.parametrize(
    "spare", [["7"], [True], [7.0], [None], [[7]], ProcessIdentity(pid=7)], ids=repr
)
def test_what_names_no_process_is_a_type_error(spare: Spare) -> None:
    with pytest.raises(TypeError, match="a pid must be an int"):
        sparing(spare)


@pytest.mark.parametrize("number", [0, -7, 10**25])
def test_a_number_that_no_process_has_is_refused(number: int) -> None:
    with pytest.raises(ValueError, match=f"process {number} is refused"):
        sparing([number])


def test_a_member_without_a_start_is_shown_without_a_boot() -> None:
    assert model_of(member(start=None)).identity == ProcessIdentity(pid=7)
