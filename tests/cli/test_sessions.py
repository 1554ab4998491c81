"""Real: the commands sessions, stop and recover, end to end, with their exit codes."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from proctree_kill import RecoveryReport, SessionManager, StopResult, identify
from proctree_kill._cli import main
from proctree_kill._records.format import record_path
from support.agents import POLITE, STUBBORN, files, start
from support.commands import Invoke
from support.planter import Planter
from support.records import dead_owner, new_marker, write
from support.times import BOUND
from support.trees import Tree

pytestmark = pytest.mark.needs("fork")

PATIENCE = "60"  # seconds of grace; never pass in full


@pytest.fixture
def orphan(plant: Planter, tmp_path: Path) -> Tree:
    """Plant a tree whose record says that its owner is dead."""
    marker = new_marker()
    tree = plant(POLITE, marker=marker)
    root = identify(tree.root.pid)
    write(tmp_path, "lost", owner=dead_owner(plant), identity=root, marker=marker, tool="claude")
    return tree


class TestSessions:
    def test_each_session_is_listed_with_its_state(
        self, invoke: Invoke, manager: SessionManager, plant: Planter, orphan: Tree, tmp_path: Path
    ) -> None:
        _, tree = start(manager, plant, "mine", POLITE)
        write(tmp_path, "begun")
        write(tmp_path, "over", owner=dead_owner(plant))
        record_path(tmp_path, "odd").write_text("?")
        record_path(tmp_path, "other").write_text("1")
        code, out, err = invoke("sessions", tmp_path, "--json")
        assert (code, err) == (0, "")
        told = {session["id"]: session for session in json.loads(out)["sessions"]}
        assert {name: session["state"] for name, session in told.items()} == {
            "begun": "starting",
            "lost": "orphaned",
            "mine": "running",
            "odd": "unreadable",
            "other": "bare",
            "over": "gone",
        }
        mine, lost = told["mine"], told["lost"]
        assert (mine["pid"], mine["owner"]) == (tree.pids["root"], os.getpid())
        assert (lost["pid"], lost["tool"]) == (orphan.root.pid, "claude")
        assert 0 <= mine["age"] < BOUND
        assert mine["path"] == str(record_path(tmp_path, "mine"))
        assert not tree.all_dead(within=0)
        assert not orphan.all_dead(within=0)

    def test_a_table_has_a_line_for_each(
        self, invoke: Invoke, orphan: Tree, tmp_path: Path
    ) -> None:
        code, out, _ = invoke("sessions", tmp_path)
        head, line = out.splitlines()
        assert code == 0
        assert head.split() == ["SESSION", "TOOL", "PID", "AGE", "STATE", "OWNER"]
        assert line.split()[:3] == ["lost", "claude", str(orphan.root.pid)]
        assert line.split()[-2] == "orphaned"

    def test_where_none_are_it_is_said(self, invoke: Invoke, tmp_path: Path) -> None:
        assert invoke("sessions", tmp_path)[:2] == (0, "no sessions are recorded there\n")
        assert json.loads(invoke("sessions", tmp_path, "--json")[1]) == {"sessions": []}

    def test_an_agent_that_left_while_its_owner_lives_has_exited(
        self, invoke: Invoke, plant: Planter, tmp_path: Path
    ) -> None:
        write(tmp_path, "a", identity=dead_owner(plant))
        (told,) = json.loads(invoke("sessions", tmp_path, "--json")[1])["sessions"]
        assert told["state"] == "exited"


class TestStop:
    def test_a_session_is_ended_for_any_owner(
        self, invoke: Invoke, manager: SessionManager, plant: Planter, tmp_path: Path
    ) -> None:
        session, tree = start(manager, plant, "a", POLITE)
        code, out, err = invoke("stop", tmp_path, "a", "--grace", PATIENCE, "--json")
        result = StopResult.model_validate_json(out)
        assert code == 0
        assert re.fullmatch(r"\S+ asked to exit; force in 60 s\n\S+ all exited after .*\n", err)
        assert (result.success, result.method) == (True, "recovered_record")
        assert tree.all_dead()
        assert files(tmp_path) == set()
        assert session.process

    def test_force_does_not_ask(
        self, invoke: Invoke, manager: SessionManager, plant: Planter, tmp_path: Path
    ) -> None:
        _, tree = start(manager, plant, "a", STUBBORN)
        code, out, _ = invoke("stop", tmp_path, "a", "--force")
        assert code == 0
        assert "session a: its record led to it, and it was ended" in out
        assert tree.all_dead()

    def test_a_session_that_is_not_there_has_an_exit_code_of_its_own(
        self, invoke: Invoke, tmp_path: Path
    ) -> None:
        code, out, err = invoke("stop", tmp_path, "a")
        assert (code, out) == (4, "")
        assert "session a: not found" in err
        code, out, _ = invoke("stop", tmp_path, "a", "--json")
        result = StopResult.model_validate_json(out)
        assert (code, result.method, result.error) == (4, "not_found", "Session a not found")

    def test_a_record_that_may_not_be_acted_upon_is_a_failure(
        self, invoke: Invoke, tmp_path: Path
    ) -> None:
        record_path(tmp_path, "a").write_text("4711")
        code, out, err = invoke("stop", tmp_path, "a")
        assert (code, out) == (1, "")
        assert "another program wrote it" in err
        assert files(tmp_path) == {"session_a.pid"}

    def test_what_is_no_id_is_a_wrong_argument(self, invoke: Invoke, tmp_path: Path) -> None:
        code, out, err = invoke("stop", tmp_path, "../x")
        assert (code, out) == (2, "")
        assert "'../x'" in err


class TestRecover:
    def test_what_a_dead_owner_left_is_ended(
        self, invoke: Invoke, orphan: Tree, tmp_path: Path
    ) -> None:
        code, out, _ = invoke("recover", tmp_path, "--grace", PATIENCE)
        assert code == 0
        assert "lost" in out
        assert out.endswith("1 ended\n")
        assert orphan.all_dead()
        assert files(tmp_path) == set()
        assert invoke("recover", tmp_path)[:2] == (0, "no records\n")

    def test_a_dry_run_touches_nothing(self, invoke: Invoke, orphan: Tree, tmp_path: Path) -> None:
        code, out, _ = invoke("recover", tmp_path, "--dry-run")
        assert code == 0
        assert out.endswith("would be: 1 ended\n")
        assert orphan.root.poll() is None
        assert files(tmp_path) == {"session_lost.pid"}

    def test_json_is_the_whole_report(self, invoke: Invoke, orphan: Tree, tmp_path: Path) -> None:
        code, out, _ = invoke("recover", tmp_path, "--grace", PATIENCE, "--json")
        said = json.loads(out)
        assert code == 0
        assert said.pop("ok") is True
        report = RecoveryReport.model_validate_json(json.dumps(said))
        assert [outcome.session_id for outcome in report.ended] == ["lost"]
        assert orphan.all_dead()

    def test_a_bare_number_is_acted_upon_where_that_is_asked_for(
        self, invoke: Invoke, plant: Planter, tmp_path: Path
    ) -> None:
        tree = plant(POLITE)
        record_path(tmp_path, "a").write_text(str(tree.root.pid))
        assert invoke("recover", tmp_path)[1].endswith("1 bare\n")
        assert tree.root.poll() is None
        assert invoke("recover", tmp_path, "--bare", "--force")[1].endswith("1 ended\n")
        assert tree.all_dead()

    def test_a_survivor_is_exit_code_1(
        self,
        invoke: Invoke,
        monkeypatch: pytest.MonkeyPatch,
        tmp_path: Path,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        outcome = {"session_id": "a", "fate": "survived", "path": "a"}
        given: dict[str, Any] = {"directory": "", "dry_run": False, "outcomes": [outcome]}
        report = RecoveryReport.model_validate(given)
        monkeypatch.setattr("proctree_kill._cli.sessions.recover", lambda *_, **__: report)
        assert invoke("recover", tmp_path)[0] == 1
        assert main(["recover", str(tmp_path), "--quiet"]) == 1
        told = capsys.readouterr()
        assert (told.out, told.err) == ("", f"proctree-kill: {report.summary()}\n")


@pytest.mark.parametrize("folder", ["nothing", ""])
@pytest.mark.parametrize("command", [["sessions"], ["stop", "a"], ["recover"]])
def test_what_is_no_folder_is_a_wrong_argument(
    command: list[str], folder: str, capsys: pytest.CaptureFixture[str]
) -> None:
    first, *rest = command
    with pytest.raises(SystemExit) as ended:
        main([first, folder, *rest])
    assert ended.value.code == 2
    assert "is not a folder" in capsys.readouterr().err


def test_the_commands_are_there_for_a_shell(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "proctree_kill", "sessions", str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=BOUND,
        check=True,
    )
    assert done.stdout == "no sessions are recorded there\n"
