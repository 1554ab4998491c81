"""Pure: what is not to be touched."""

from __future__ import annotations

import ntpath
import os
import re
from collections.abc import Callable, Iterable
from types import SimpleNamespace

import pytest

from proctree_kill import Evidence, ProcessIdentity, SpareCandidate, errors
from proctree_kill._engine.spare import (
    SPARED_PATTERN,
    Spare,
    check_texts,
    refuse_given,
    sparing,
    texts_of,
)
from proctree_kill._engine.target import Aim
from proctree_kill._engine.tree import Tree
from proctree_kill._systems.member import DESCENDANT, SESSION, Member, model_of
from support.fake_system import FakeSystem

BOOT = "boot"


def member(pid: int = 7, *, start: int | None = 70) -> Member:
    new = Member(pid, 1)
    new.boot_id = BOOT
    new.name, new.start, new.depth = "name", start, 2
    new.evidence = DESCENDANT | SESSION
    return new


def rule(spare: Spare) -> Callable[[Member], str | None]:
    """Return what asks why a member is spared when it is found."""

    def ask(member: Member) -> str | None:
        tree = Tree(FakeSystem(), Aim([], spared=sparing(spare)))
        tree.add(member, member.evidence, member.depth)
        return member.spared

    return ask


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
    with pytest.raises(TypeError, match="spare must be pids, identities, names or a predicate"):
        sparing(spare)


@pytest.mark.parametrize(
    "spare", [["7"], [True], [7.0], [None], [[7]], ProcessIdentity(pid=7)], ids=repr
)
def test_what_names_no_process_is_a_type_error(spare: Spare) -> None:
    with pytest.raises(TypeError, match="a pid must be an int"):
        sparing(spare)


def test_a_coroutine_function_is_no_predicate() -> None:
    async def spare(_: SpareCandidate) -> bool:
        return False

    with pytest.raises(TypeError, match=r"spare is a coroutine function, .*, expected a plain"):
        sparing(spare)


@pytest.mark.parametrize("spare", ["sccache", "A=1"])
def test_a_text_alone_is_no_list(spare: str) -> None:
    with pytest.raises(TypeError, match=rf"not '{spare}'; did you mean \['{spare}'\]\?"):
        sparing(spare)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "spare holds '', expected the name of a program without its folder"),
        ("/usr/bin/adb", "spare holds '/usr/bin/adb', expected the name of a program"),
        ("a\0", "expected the name of a program"),
        ("=1", "marker is '=1', expected NAME=VALUE with both parts"),
        ("A=", "marker is 'A=', expected NAME=VALUE with both parts"),
    ],
)
def test_a_text_that_is_neither_a_name_nor_a_marker_is_refused(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        sparing([text])
    assert not re.search(SPARED_PATTERN, text)


@pytest.mark.parametrize("text", ["adb", "7z", "bazel(project)", "A=1", "A=/usr/bin", "A=b=c", "é"])
def test_names_and_markers_may_be_recorded(text: str) -> None:
    assert texts_of([text, 7]) == (text,)
    assert check_texts([text]) == (text,)
    assert re.search(SPARED_PATTERN, text)


@pytest.mark.parametrize("spare", [[7], ["adb", 7], lambda _: True], ids=str)
def test_what_only_this_process_knows_cannot_be_recorded(
    spare: Iterable[str],
) -> None:
    with pytest.raises(TypeError, match="only names and NAME=VALUE can be spared"):
        check_texts(spare)
    assert texts_of(spare) in ((), ("adb",))


@pytest.mark.parametrize("number", [0, -7, 10**25])
def test_a_number_that_no_process_has_is_refused(number: int) -> None:
    with pytest.raises(ValueError, match=f"process {number} is refused"):
        sparing([number])


@pytest.mark.parametrize("env", [{"Keep": "1"}, {b"Keep": b"1"}, {"A": "B", "Keep": b"1"}])
def test_an_environment_that_spares_all_is_refused(
    env: dict[str | bytes, str | bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    words = f"process {os.getpid()} is refused: its environment carries the marker Keep, so all"
    with pytest.raises(errors.TargetRefusedError, match=words):
        refuse_given(env, ["Keep", "Keep=1"])
    monkeypatch.setattr(os.path, "normcase", ntpath.normcase)
    with pytest.raises(errors.TargetRefusedError, match="the marker KEEP, so all"):
        refuse_given(env, ["KEEP=1"])
    refuse_given(env, ["Keep", "Keep=2", "Kept=1"])


def test_a_member_without_a_start_is_shown_without_a_boot() -> None:
    assert model_of(member(start=None)).identity == ProcessIdentity(pid=7)
