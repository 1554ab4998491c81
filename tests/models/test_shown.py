"""Pure: what a result shows in a terminal, with rich, in a notebook and in a debugger."""

from __future__ import annotations

import html
import io
import pickle
import re
import sys
from typing import Any

import pytest

from proctree_kill import (
    CompletedTree,
    Fate,
    KillResult,
    ProcessIdentity,
    ProcessOutcome,
    RecordOutcome,
    RecoveryReport,
    StopResult,
    TreeMember,
    TreeSnapshot,
)
from proctree_kill._models.result import GONE, SurvivorsError
from proctree_kill._models.shown import Shown
from proctree_kill._models.text import TIMES

NAMES = ("\x1b[31mred", "a\nb\r", "\udcff\ud800", "[bold]x[/bold]", "<b>&amp;", "größe", "微信", "")


def members(names: tuple[str, ...] = NAMES) -> list[dict[str, Any]]:
    """Return the facts of a root and its children."""
    return [
        {
            "identity": ProcessIdentity(pid=10 + number),
            "name": name,
            "ppid": 10 if number else 1,
            "depth": min(number, 1),
            "evidence": ("descendant", "session") if number else ("root",),
        }
        for number, name in enumerate(names)
    ]


def killed(*names: str, fate: Fate = Fate.KILLED) -> KillResult:
    sent = {"fate": fate, "signals": ("SIGSTOP", "SIGKILL"), "exit_code": -9, "seconds": 0.5}
    outcomes = tuple(
        ProcessOutcome.model_validate({**member, **sent}) for member in members(names or NAMES)
    )
    return KillResult(target=(ProcessIdentity(pid=10),), outcomes=outcomes, seconds=1.0)


def snapshot(*names: str, refusal: str | None = None) -> TreeSnapshot:
    found = tuple(map(TreeMember.model_validate, members(names or NAMES)))
    return TreeSnapshot(target=(), members=found, refusal=refusal)


def stopped(kill: KillResult | None, message: str = "session a: it was ended") -> StopResult:
    ok = kill is None or kill.ok
    error = None if ok else "x"
    return StopResult(
        success=ok, session_id="a", method="killed", message=message, error=error, kill=kill
    )


def report(*fates: str, kill: KillResult | None = None) -> RecoveryReport:
    outcomes = tuple(
        RecordOutcome.model_validate(
            {"session_id": f"a-{n}\x1b", "fate": fate, "path": "x", "pid": 10, "kill": kill}
        )
        for n, fate in enumerate(fates)
    )
    return RecoveryReport(directory="x", dry_run=False, outcomes=outcomes)


RESULTS: dict[str, Shown] = {
    "result": killed(),
    "no processes": KillResult(target=(), outcomes=(), seconds=0.0),
    "survivors": killed(fate=Fate.SURVIVED),
    "snapshot": snapshot(),
    "refused": snapshot(refusal="process 10 is refused: \x1b[31m"),
    "no tree": TreeSnapshot(target=(), members=()),
    "stop": stopped(killed()),
    "stop without a tree": stopped(None, "session \x1b[2J\udcff: not found"),
    "report": report("ended", "survived", "gone", kill=killed("\udcff[b]<b>")),
    "no records": report(),
    "completed": CompletedTree(["/bin/\x1b[31m<b>"], -15, "out", "err", kill=killed()),
}
every_result = pytest.mark.parametrize("shown", RESULTS.values(), ids=RESULTS.keys())


@pytest.mark.parametrize(
    ("shown", "line"),
    [
        (killed("a", "b"), "<KillResult ok: 2 killed in 1.00 s>"),
        (killed("a", fate=Fate.DENIED), "<KillResult not ok: 1 denied in 1.00 s>"),
        (snapshot("a", "b"), "<TreeSnapshot ok: 2 processes to end>"),
        (
            snapshot("a", refusal="process 1 is refused: it is init"),
            "<TreeSnapshot not ok: process 1 is refused: it is init>",
        ),
        (stopped(None), "<StopResult ok: session a: it was ended>"),
        (stopped(killed("a", fate=Fate.SURVIVED)), "<StopResult not ok: session a: it was ended>"),
        (report("ended", "gone"), "<RecoveryReport ok: 1 ended, 1 gone>"),
        (report("survived"), "<RecoveryReport not ok: 1 survived>"),
        (CompletedTree(["sh", "x"], 0), "<CompletedTree ok: sh ended with exit code 0>"),
        (CompletedTree(["/bin/sh"], 3), "<CompletedTree not ok: sh ended with exit code 3>"),
        (
            CompletedTree(["sh"], 0, kill=killed("a", fate=Fate.ALREADY_GONE)),
            "<CompletedTree ok: sh ended with exit code 0>",
        ),
        (CompletedTree("x; y", 0), "<CompletedTree ok: the command ended with exit code 0>"),
        (
            CompletedTree(["sh"], 0, kill=killed("a", "b")),
            "<CompletedTree ok: sh ended with exit code 0; it left processes: 2 killed in 1.00 s>",
        ),
    ],
)
def test_a_debugger_shows_a_short_line(shown: Shown, line: str) -> None:
    assert repr(shown) == line


@pytest.mark.skipif(sys.platform == "win32", reason="a signal ends no process on Windows")
@pytest.mark.parametrize(("code", "name"), [(-9, "SIGKILL"), (-15, "SIGTERM"), (-40, "signal 40")])
def test_the_signal_that_ended_a_command_has_its_name(code: int, name: str) -> None:
    assert CompletedTree(["sh"], code).summary() == f"sh was ended by {name}"


def test_what_a_command_was_told_and_wrote_is_not_shown() -> None:
    for command in (["sh", "-c", "secret"], "TOKEN=secret sh"):
        done = CompletedTree(command, 0, b"secret", b"secret", kill=killed("sh"))
        for text in (str(done), repr(done), done._repr_html_()):
            assert "secret" not in text


@pytest.mark.parametrize(
    ("shown", "line"),
    [
        (killed("a").outcomes[0], "<ProcessOutcome a 10: killed in 0.50 s>"),
        (snapshot("\x1b").members[0], "<TreeMember \\x1b 10 [root]>"),
        (
            snapshot("a").members[0].model_copy(update={"spared": "by the caller", "name": None}),
            "<TreeMember ? 10 [root, spared: by the caller]>",
        ),
        (
            report("ended", kill=killed("a", "b")).outcomes[0],
            "<RecordOutcome a-0\\x1b: ended; 2 killed in 1.00 s>",
        ),
        (report("gone").outcomes[0], "<RecordOutcome a-0\\x1b: gone>"),
    ],
)
def test_a_part_of_a_result_is_a_short_line(shown: TreeMember | RecordOutcome, line: str) -> None:
    assert repr(shown) == line


@every_result
def test_text_is_a_table_and_a_line_about_all(shown: Shown) -> None:
    assert str(shown) == shown.render()
    last = str(shown).splitlines()[-1]
    assert shown.summary() in last or last == "nothing to do: no process to end"


@every_result
def test_no_character_disturbs_a_terminal(shown: Shown) -> None:
    for text in (str(shown), repr(shown), shown.render(20), shown._repr_html_()):
        text.encode()
        assert all(line.isprintable() for line in text.split("\n"))
    assert "\n" not in repr(shown)


@every_result
@pytest.mark.parametrize("width", [None, 20, 40, 80, 120])
def test_ascii_only_is_ascii_only(shown: Shown, width: int | None) -> None:
    assert shown.render(width, ascii_only=True).isascii()


@pytest.mark.parametrize("width", [20, 40, 80, 120])
def test_a_snapshot_fits_the_width(width: int) -> None:
    chain = [
        TreeMember.model_validate({**member, "ppid": 9 + depth, "depth": depth})
        for depth, member in enumerate(members(("sh",) * 100))
    ]
    shown = TreeSnapshot(target=(), members=tuple(chain), refusal="a reason " * 30)
    assert max(map(len, shown.render(width).splitlines())) <= max(width, 24)
    assert shown.render(width).count("session]") == 99
    assert shown.render(width).split().count("reason") == 30


def test_a_wrapped_line_of_a_tree_keeps_the_lines_beside_it() -> None:
    shown = snapshot("root", "first", "last")
    assert shown.render(24).splitlines() == [
        "root 10 [root]",
        "├─ first 11 [descendant,",
        "│    session]",
        "└─ last 12 [descendant,",
        "     session]",
        "3 processes to end",
    ]


@every_result
def test_printing_does_not_fail_on_an_old_code_page(
    shown: Shown, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding="cp437")
    monkeypatch.setattr(sys, "stdout", stream)
    print(shown, flush=True)  # noqa: T201 - that is the test
    assert stream.buffer.seek(0) == 0
    assert stream.buffer.read()


def test_without_standard_output_there_is_text_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "stdout", None)  # as under pythonw
    assert "├─" in str(snapshot())


@every_result
def test_a_notebook_shows_the_same_lines_with_colours(shown: Shown) -> None:
    page = shown._repr_html_()
    assert page.startswith("<pre ")
    assert html.unescape(re.sub(r"</?(pre|span)\b[^>]*>", "", page)) == shown.render(110)
    assert not re.search(r"<(?!/?(pre|span)\b)", page)


@every_result
@pytest.mark.parametrize("width", [40, 80])
def test_rich_shows_the_same_lines(shown: Shown, width: int) -> None:
    console = pytest.importorskip("rich.console").Console(width=width, file=io.StringIO())
    console.print(shown)
    assert console.file.getvalue() == shown.render(width) + "\n"


def test_columns_are_below_each_other_also_beside_wide_characters() -> None:
    heads, *rows = str(killed("sh", "微信", "e\u0301\u0301x")).splitlines()[:-1]
    start = heads.index("FATE")
    assert [row.index("killed") for row in rows] == [start, start - 2, start + 2]


def test_rich_shows_colours() -> None:
    console = pytest.importorskip("rich.console").Console(
        force_terminal=True, color_system="standard", file=io.StringIO(), width=80
    )
    console.print(killed("[bold]x", fate=Fate.SURVIVED))
    row = console.file.getvalue().splitlines()[1]
    assert row.startswith("\x1b[1;31m")
    assert "[bold]x" in row


def test_rich_draws_ascii_where_it_must() -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding="cp437")
    console = pytest.importorskip("rich.console").Console(file=stream, width=80)
    console.print(snapshot("a", "b"))
    stream.flush()
    assert b"`- b 11" in stream.buffer.getvalue()


@every_result
def test_a_pickled_result_shows_the_same(shown: Shown) -> None:
    assert str(pickle.loads(pickle.dumps(shown))) == str(shown)  # noqa: S301 - made here


def test_what_is_shown_is_no_part_of_the_json() -> None:
    result = killed("\x1b", "[b]", "<b>", "größe")
    stop, recovered = stopped(result), report("ended", kill=result)
    assert recovered.model_dump().keys() == {"directory", "dry_run", "outcomes"}
    assert RecoveryReport.model_validate_json(recovered.model_dump_json()) == recovered
    fields = {"target", "outcomes", "seconds", "verified", "usage"}
    assert result.model_dump().keys() == fields
    fields = {"success", "session_id", "method", "message", "error", "kill"}
    assert stop.model_dump().keys() == fields
    assert StopResult.model_validate_json(stop.model_dump_json()) == stop


def test_thousands_of_processes_are_a_few_lines_where_they_are_alike() -> None:
    shown = killed("root", *["sleep"] * 5000)
    assert len(str(shown).splitlines()) == 4
    assert f"sleep {TIMES}5,000" in str(shown)
    assert str(snapshot("root", *["sleep"] * 5000)).splitlines() == [
        "root 10 [root]",
        f"└─ sleep {TIMES}5,000 [descendant, session]",
        "5,001 processes to end",
    ]
    assert len(str(report(*["gone"] * 5000)).splitlines()) == 3


def test_a_target_that_was_gone_is_a_line_unless_there_is_more_to_say() -> None:
    gone = killed("a", fate=Fate.ALREADY_GONE)
    assert str(gone) == "nothing to do: process 10 was gone already"
    never = gone.outcomes[0].model_copy(update={"detail": GONE})
    assert str(gone.model_copy(update={"outcomes": (never,)})) == str(gone)
    outcome = gone.outcomes[0].model_copy(update={"detail": "its number has a new owner"})
    told = str(gone.model_copy(update={"outcomes": (outcome,)}))
    assert "its number has a new owner" in told


def test_the_text_of_an_exception_moves_no_cursor() -> None:
    assert str(SurvivorsError(killed("\x1b[2J", fate=Fate.SURVIVED))).isprintable()
