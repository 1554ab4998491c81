"""Pure: what the command line prints of results, trees and events."""

from __future__ import annotations

import pytest

from proctree_kill import (
    Evidence,
    Fate,
    KillEvent,
    KillResult,
    ProcessIdentity,
    ProcessOutcome,
    RecordOutcome,
    RecoveryReport,
    TreeMember,
    TreeSnapshot,
)
from proctree_kill._cli.session_table import session_table
from proctree_kill._cli.tables import age, event_line, tree_table
from proctree_kill._models.result import closing_line, outcome_table
from proctree_kill._models.text import Row, Table, printable
from proctree_kill._models.tree import branches
from proctree_kill._records.report import RecordFate
from proctree_kill._systems.contract import Details


def member(pid: int, ppid: int = 1, depth: int = 0, **facts: object) -> TreeMember:
    evidence = Evidence.DESCENDANT if depth else Evidence.ROOT
    return TreeMember.model_validate(
        {
            "identity": ProcessIdentity(pid=pid),
            "name": f"p{pid}",
            "ppid": ppid,
            "depth": depth,
            "evidence": (evidence,),
            **facts,
        }
    )


def plain(table: Table, width: int | None = None) -> list[str]:
    return [line for line, _ in table.lines(width)]


def outcome(pid: int, fate: Fate, **facts: object) -> ProcessOutcome:
    return ProcessOutcome.model_validate(
        {"identity": ProcessIdentity(pid=pid), "fate": fate, **facts}
    )


def result(*of: ProcessOutcome, verified: tuple[Evidence, ...] = ()) -> KillResult:
    return KillResult(
        target=(ProcessIdentity(pid=10),), outcomes=of, seconds=0.5, verified=verified
    )


# In the order asked; 15 is an orphan.
FAMILY = (
    member(12, 11, 2),
    member(13, 11, 2),
    member(11, 10, 1),
    member(14, 10, 1),
    member(15, 1, 1),
    member(10),
)


def test_a_tree_is_drawn_with_parents_above_their_children() -> None:
    assert [f"{lines}{member.identity.pid}" for lines, (member,) in branches(FAMILY)] == [
        "10",
        "├─ 11",
        "│  ├─ 12",
        "│  └─ 13",
        "└─ 14",
        "15",
    ]


def test_a_tree_can_be_drawn_in_ascii() -> None:
    table = tree_table(TreeSnapshot(target=(), members=FAMILY), {})
    drawn = [line[7:].split("  descendant")[0].rstrip() for line, _ in table.lines(ascii_only=True)]
    assert drawn[2:] == ["|- p11 11", "|  |- p12 12", "|  `- p13 13", "`- p14 14", "p15 15"]


def test_a_chain_may_be_deeper_than_python_recurses() -> None:
    chain = [member(pid, pid - 1, pid - 2) for pid in range(2, 5002)]
    drawn = list(branches([*reversed(chain)]))
    assert [member.identity.pid for _, (member,) in drawn] == list(range(2, 5002))
    assert drawn[-1][0] == "   " * 4998 + "└─ "


def test_parents_that_name_each_other_are_both_drawn() -> None:
    pair = (member(10, 11, 1), member(11, 10, 1))
    assert {member.identity.pid for _, (member,) in branches(pair)} == {10, 11}


def test_the_order_counts_the_members_that_would_be_asked() -> None:
    spared = member(14, 10, 1, spared="by the caller")
    snapshot = TreeSnapshot(
        target=(),
        members=tuple(spared if member.identity.pid == 14 else member for member in FAMILY),
    )
    looks = {10: Details("me", "ten --secret", 61.0)}
    lines = plain(tree_table(snapshot, looks))
    assert lines == [
        "ORDER  PROCESS       EVIDENCE                           USER    AGE  COMMAND",
        "    5  p10 10        root                               me    1 min  ten --secret",
        "    3  ├─ p11 11     descendant",
        "    1  │  ├─ p12 12  descendant",
        "    2  │  └─ p13 13  descendant",
        "    -  └─ p14 14     descendant, spared: by the caller",
        "    4  p15 15        descendant",
    ]


def test_a_command_line_is_cut_where_the_terminal_ends() -> None:
    snapshot = TreeSnapshot(target=(), members=(member(10),))
    table = tree_table(snapshot, {10: Details(command="x" * 500)})
    assert {len(line) for line in plain(table, 60)} <= set(range(61))
    assert max(map(len, plain(table))) > 500


def test_outcomes_are_listed_in_the_order_asked_without_empty_columns() -> None:
    told = result(
        outcome(
            12,
            Fate.TERMINATED,
            name="worker",
            evidence=(Evidence.DESCENDANT, Evidence.SESSION),
            signals=("SIGTERM", "SIGCONT"),
            exit_code=-15,
            seconds=0.0123,
        ),
        outcome(10, Fate.KILLED, name="root", evidence=(Evidence.ROOT,), seconds=2.0),
    )
    assert (plain(outcome_table(told))) == [
        "PID  NAME    FATE        SIGNALS    EXIT   AFTER  EVIDENCE",
        " 12  worker  terminated  TERM CONT   -15  0.01 s  descendant, session",
        " 10  root    killed                       2.00 s  root",
    ]


def test_outcomes_are_never_cut() -> None:
    told = result(outcome(12, Fate.DENIED, detail="a reason " * 30))
    assert " ".join(plain(outcome_table(told), 20)).split().count("reason") == 30


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        (
            result(outcome(5, Fate.ALREADY_GONE)),
            "nothing to do: process 5 was gone already",
        ),
        (
            result(outcome(5, Fate.ALREADY_GONE), outcome(6, Fate.ALREADY_GONE)),
            "nothing to do: processes 5, 6 were gone already",
        ),
        (result(), "nothing to do: no process to end"),
        (
            result(outcome(5, Fate.SPARED), outcome(6, Fate.ALREADY_GONE)),
            "nothing to do: no process to end",
        ),
        (
            result(outcome(5, Fate.KILLED), verified=(Evidence.DESCENDANT,)),
            "1 killed in 0.50 s; the last scan (descendant) found no process",
        ),
        (
            result(
                outcome(5, Fate.KILLED),
                verified=(Evidence.DESCENDANT, Evidence.MARKER, Evidence.SESSION),
            ),
            "1 killed in 0.50 s; the last scan (descendant, marker, session) found no process",
        ),
        (result(outcome(5, Fate.SURVIVED)), "1 survived in 0.50 s"),
    ],
    ids=["gone", "all gone", "no scan", "spared", "one look", "several looks", "survivor"],
)
def test_an_outcome_is_one_line(told: KillResult, expected: str) -> None:
    assert closing_line(told) == expected


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("asked", "  1.500 s  asked to exit, 3 left"),
        ("escalated", "  1.500 s  force, 3 left"),
        ("found", "  1.500 s  process 7 is found, 3 left"),
        ("gone", "  1.500 s  process 7 is gone, 3 left"),
        ("settled", "  1.500 s  settled, 3 left"),
    ],
)
def test_each_event_is_a_line(kind: str, expected: str) -> None:
    identity = ProcessIdentity(pid=7) if kind in ("found", "gone") else None
    event = KillEvent.model_validate(
        {"kind": kind, "seconds": 1.5, "identity": identity, "remaining": 3}
    )
    assert event_line(event) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain", "plain"),
        ("größe", "größe"),
        ("\x1b[31m", "\\x1b[31m"),
        ("a\nb\tc", "a\\nb\\tc"),
        ("\udcff", "\\xff"),
        ("\ud800", "\\ud800"),
        ("\u202e", "\\u202e"),
    ],
)
def test_what_would_disturb_a_terminal_is_escaped(text: str, expected: str) -> None:
    assert printable(text) == expected


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (None, ""),
        (-0.4, "0 s"),
        (59.9, "59 s"),
        (60, "1 min"),
        (3599, "59 min"),
        (3600, "1 h"),
        (86400 * 400, "400 d"),
    ],
)
def test_an_age_is_given_in_its_largest_unit(seconds: float | None, expected: str) -> None:
    assert age(seconds) == expected


def test_a_table_leaves_out_the_columns_that_say_nothing() -> None:
    table = Table(("PID", "EMPTY", "NAME"), [Row(("1", "", "a")), Row(("22", "", ""))])
    assert (plain(table.compact())) == ["PID  NAME", "  1  a", " 22"]


def test_a_table_fits_after_it_was_folded() -> None:
    facts = {"name": "sleep", "exit_code": -15, "seconds": 0.21}
    told = result(*(outcome(pid, Fate.TERMINATED, **facts) for pid in range(10_000, 11_000)))
    lines = plain(outcome_table(told), 40)
    assert lines[1].split() == ["sleep", "\N{MULTIPLICATION SIGN}1,000", "terminated", "0.21", "s"]
    assert max(map(len, lines)) <= 40


def test_alike_siblings_without_children_share_a_row() -> None:
    pids = range(100, 110)
    family = [member(pid, 10, 1, name="sleep", spared="x" if pid > 107 else None) for pid in pids]
    snapshot = TreeSnapshot(target=(), members=(*family, member(20, 10, 1), member(10)))
    shown = {pid: Details("me", f"sleep {pid // 105}") for pid in pids}
    sign = "\N{MULTIPLICATION SIGN}"
    drawn = [
        line.split("  descendant")[0].rstrip() for line in plain(tree_table(snapshot, shown))[2:]
    ]
    assert drawn == [
        "    9  ├─ p20 20",
        f"  1-5  ├─ sleep {sign}5",
        "    6  ├─ sleep 105",
        "    7  ├─ sleep 106",
        "    8  ├─ sleep 107",
        "    -  ├─ sleep 108",
        "    -  └─ sleep 109",
    ]
    assert len(plain(tree_table(snapshot, shown, fold=False))) == 1 + len(snapshot.members)


def test_alike_siblings_with_children_are_shown_each() -> None:
    shells = [member(pid, 10, 1, name="sh") for pid in range(20, 25)]
    below = [member(pid + 10, pid, 2, name="sleep") for pid in range(20, 25)]
    snapshot = TreeSnapshot(target=(), members=(*below, *shells, member(10)))
    assert len(plain(tree_table(snapshot, {}))) == 12


def test_a_tree_too_deep_for_the_width_loses_the_beginnings_of_its_lines() -> None:
    chain = [member(pid, pid - 1, pid - 10) for pid in range(10, 40)]
    snapshot = TreeSnapshot(target=(), members=tuple(reversed(chain)))
    shown = {member.identity.pid: Details(command="a word " * 9) for member in chain}
    lines = plain(tree_table(snapshot, shown), 40)
    assert max(map(len, lines)) <= 40
    assert "└─ p39 39  a word …" in lines[-1]


def test_text_with_little_room_stands_below_its_row() -> None:
    table = Table(("WHAT", "NOTE"), [Row(("a long word", "a few words " * 3))], text="NOTE")
    assert plain(table, 30) == [
        "WHAT",
        "a long word",
        "    a few words a few words a",
        "    few words",
    ]


def test_records_of_which_nothing_is_left_share_a_row() -> None:
    def record(name: str, fate: RecordFate, **facts: object) -> RecordOutcome:
        return RecordOutcome.model_validate(
            {"session_id": name, "fate": fate, "path": name, "pid": 7, "created_at": 0.0, **facts}
        )

    over = [record(f"old-{number}", RecordFate.GONE) for number in range(10, 16)]
    mine = [record(f"chat-{number}", RecordFate.OWNED, alive=True) for number in range(4)]
    report = RecoveryReport(directory="d", dry_run=False, outcomes=(*mine, *over))
    sign = "\N{MULTIPLICATION SIGN}"
    for lines in (report.render().splitlines()[:-1], plain(session_table(report, 60.0))):
        *rows, last = lines
        assert len(rows) == 5
        assert last.startswith(f"old-10 to old-15 {sign}6")
        assert last.endswith("gone")
    assert len(report.render().splitlines()) == 7
    assert len([*report.lines(fold=False)]) == 12
