"""Pure: what `import proctree_kill` gives, and what it costs."""

from __future__ import annotations

import logging
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import proctree_kill

PROMISED = {
    "CompletedTree",
    "Containment",
    "Evidence",
    "Fate",
    "KillEvent",
    "KillPolicy",
    "KillResult",
    "Limits",
    "ProcessIdentity",
    "ProcessOutcome",
    "RecordOutcome",
    "RecoveryReport",
    "Session",
    "SessionEvent",
    "SessionManager",
    "SessionState",
    "SpareCandidate",
    "StopResult",
    "Target",
    "TreeMember",
    "TreePopen",
    "TreeSnapshot",
    "Usage",
    "akill_tree",
    "arecover",
    "arun",
    "errors",
    "identify",
    "kill_tree",
    "recover",
    "run",
    "snapshot_tree",
}


def loaded_by(code: str) -> set[str]:
    """Run code in a fresh interpreter, without site and coverage; return the loaded modules."""
    whole = f"import sys; sys.path[:] = {sys.path!r}\n{code}\nprint(*sys.modules)"
    command = [sys.executable, "-I", "-S", "-c", whole]
    ran = subprocess.run(command, capture_output=True, check=True, text=True)
    return {*ran.stdout.split()}


def test_the_package_gives_these_names_and_nothing_else() -> None:
    assert {*proctree_kill.__all__} == PROMISED
    assert dir(proctree_kill) == sorted(PROMISED | {"__version__"})


@pytest.mark.parametrize("name", sorted(PROMISED - {"Target"}))  # a union has no name
def test_every_name_leads_to_what_bears_it(name: str) -> None:
    found = getattr(proctree_kill, name)
    assert found.__name__.rpartition(".")[2] == name
    assert found.__doc__


@pytest.mark.parametrize("name", proctree_kill.__all__)
def test_every_name_is_found_anew_by_a_module_that_was_just_imported(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = getattr(proctree_kill, name)
    monkeypatch.delitem(vars(proctree_kill), name)
    assert getattr(proctree_kill, name) is before
    assert vars(proctree_kill)[name] is before


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="'proctree_kill' has no attribute 'killall'"):
        proctree_kill.killall  # noqa: B018 - that is the test


def test_an_unknown_name_cannot_be_imported() -> None:
    with pytest.raises(ImportError, match="killall"):
        from proctree_kill import killall  # noqa: F401, PLC0415 - that is the test


def test_a_star_gives_the_same_names() -> None:
    names: dict[str, object] = {}
    exec("from proctree_kill import *", names)  # noqa: S102 - a star is allowed at module level only
    assert {*names} - {"__builtins__"} == PROMISED


def test_importing_the_package_loads_nothing_else() -> None:
    loaded = loaded_by("import proctree_kill")
    assert {module for module in loaded if module.startswith("proctree_kill")} == {"proctree_kill"}
    assert not loaded & {
        "asyncio",
        "importlib.metadata",
        "psutil",
        "pydantic",
        "threading",
        "typing",
    }
    assert "logging" not in loaded


def test_a_name_loads_its_own_part_only() -> None:
    loaded = loaded_by("from proctree_kill import errors")
    parts = {name.split(".")[1] for name in loaded if name.startswith("proctree_kill.")}
    assert parts == {"_models", "errors"}


def test_models_and_policy_touch_no_system() -> None:
    loaded = loaded_by("from proctree_kill import KillPolicy, KillResult")
    assert not {module for module in loaded if module.startswith("proctree_kill._systems")}
    assert "psutil" not in loaded


@pytest.mark.needs("procfs")
def test_starting_loads_no_psutil_where_proc_has_all() -> None:
    assert "psutil" not in loaded_by("from proctree_kill import SessionManager, TreePopen, run")


def test_killing_without_a_loop_loads_no_asyncio() -> None:
    assert "asyncio" not in loaded_by("from proctree_kill import kill_tree, snapshot_tree")


def test_the_package_is_the_one_source_of_its_version() -> None:
    root = Path(proctree_kill.__file__).parents[1]
    settings = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    assert "version" not in settings["project"]
    assert "version" in settings["project"]["dynamic"]
    source = root / settings["tool"]["hatch"]["version"]["path"]
    assert source == Path(proctree_kill.__file__)
    line = f'^__version__ = "{re.escape(proctree_kill.__version__)}"$'  # as hatch reads it
    assert len(re.findall(line, source.read_text(encoding="utf-8"), re.MULTILINE)) == 1


def test_the_logger_is_not_configured() -> None:
    getattr(proctree_kill, "kill_tree")  # noqa: B009 - its module makes the logger
    logger = logging.getLogger("proctree_kill")
    assert (logger.handlers, logger.level, logger.propagate) == ([], logging.NOTSET, True)
