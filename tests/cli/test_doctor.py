"""Real: the doctor reports of this machine what the other tests find."""

from __future__ import annotations

import json
import sys

import pytest

from proctree_kill import TreePopen, _cli
from proctree_kill._containment import guard
from support.capabilities import has

pytestmark = pytest.mark.needs("procfs")


def findings(capsys: pytest.CaptureFixture[str]) -> dict[str, dict[str, object]]:
    """Run the doctor and read what it says."""
    assert _cli.main(["doctor", "--json"]) == 0
    found: dict[str, dict[str, object]] = json.loads(capsys.readouterr().out)
    return found


@pytest.mark.parametrize(
    ("name", "capability"),
    [
        ("pidfd", "pidfd"),
        ("pidfd inode", "pidfd inode"),
        ("children file", "children file"),
        ("delegation", "cgroup"),
        ("containment", "cgroup"),
    ],
)
def test_it_agrees_with_the_probes(
    name: str, capability: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert findings(capsys)[name]["available"] == has(capability)


@pytest.mark.needs("limits")
@pytest.mark.parametrize("name", ["memory", "processes", "cpu"])
def test_it_knows_of_limits(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert findings(capsys)[f"limits: {name}"]["available"] is True


@pytest.mark.needs("cgroup")
@pytest.mark.usefixtures("no_controllers")
def test_it_says_why_a_tree_cannot_be_limited(capsys: pytest.CaptureFixture[str]) -> None:
    found = findings(capsys)
    for name in ("memory", "processes", "cpu"):
        assert found[f"limits: {name}"]["available"] is False
        assert f"{name} cannot be limited: " in str(found[f"limits: {name}"]["detail"])


def test_it_tries_the_guard_and_leaves_none(capsys: pytest.CaptureFixture[str]) -> None:
    assert findings(capsys)["guard"]["available"] is True
    assert guard.guard().pid is None


@pytest.mark.usefixtures("no_cgroup")
def test_it_says_why_not(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", "")
    found = findings(capsys)
    assert found["containment"] == {
        "available": False,
        "detail": "session and marker only: this kernel has no cgroups",
    }
    assert found["guard"]["available"] is False
    assert "sys.executable" in str(found["guard"]["detail"])


@pytest.mark.needs("cgroup")
def test_it_says_where_the_cgroup_is(capsys: pytest.CaptureFixture[str]) -> None:
    with TreePopen(["true"]) as process:
        assert process.containment.cgroup
        parent = process.containment.cgroup.parent
    assert findings(capsys)["cgroup v2"]["detail"] == f"this process is in {parent}"


def test_it_is_a_table_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    assert _cli.main(["doctor"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["WHAT", "THERE", "WHAT", "IT", "MEANS"]
    assert any(line.startswith("pidfd inode") for line in lines)
    assert any(line.startswith("limit of files") for line in lines)
