"""Fork storms, bounded in number and in time."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any, Literal

from proctree_kill import KillResult, TreePopen

from .callers import Caller
from .planter import LAUNCH, Planter
from .times import BOUND
from .trees import Tree

SOURCE = Path(__file__).with_name("storm.c")
VFORK = Path(__file__).with_name("vfork.c")
FORKER = Path(__file__).with_name("forker.py")
FORKS = 100
Kind = Literal["growing", "workers", "sessions", "successors", "fugitives"]
# The kinds that leave evidence: parents that live, or a session that is kept.
TRACEABLE: tuple[Kind, ...] = ("growing", "workers", "sessions", "successors")
KINDS: tuple[Kind, ...] = (*TRACEABLE, "fugitives")
CALLERS = (Caller(name="we"), Caller(name="ordinary user", ordinary=True))
GRACES = (0.0, 0.1)


def build(source: Path, folder: Path) -> Path:
    """Compile a program of one file into a folder, and return it."""
    program = folder / source.stem
    subprocess.run(["cc", "-O2", "-Wall", "-Werror", "-o", program, source], check=True)
    return program


def plant_forker(
    plant: Planter, megabytes: int, run: int, thread: Literal["main", "other"] = "main"
) -> Tree:
    """Plant a process that forks without end in our session, at another moment in each run."""
    forks = str(1 + run % 16)
    argv = [sys.executable, "-I", "-S", str(FORKER), str(megabytes), forks, thread]
    tree = plant.program(argv, stdin=subprocess.PIPE, start_new_session=False)
    tree.await_started("forker")
    return tree


def plant_storm(
    plant: Planter, program: Path, kind: Kind, forks: int = FORKS, **options: Any
) -> Tree:
    """Plant a storm, and return it after so many forks, 300 at most where children last.

    Its root is filed as ``storm``; the planter's child is a subreaper outside.

    Once its standard input is closed, as the planter does, it forks no more.
    """
    argv = [str(program), kind, str(forks)]
    tree = plant.program(argv, stdin=subprocess.PIPE, **options)
    tree.await_started("storm")
    return tree


def end_storm(plant: Planter, program: Path, kind: Kind, run: int) -> tuple[Tree, KillResult]:
    """Plant a storm and end it: each second run asks first, two in four as an ordinary user.

    Children with sessions of their own are found by their parents only, which must not die first.
    """
    caller = CALLERS[run // 2 % 2]
    tree = plant_storm(plant, program, kind, account=caller.account)
    grace = 0 if kind == "sessions" else GRACES[run % 2]
    return tree, caller.kill(tree.pids["storm"], grace=grace, settle=BOUND)


def end_contained_storm(
    plant: Planter, program: Path, kind: Kind, run: int
) -> tuple[Tree, KillResult]:
    """Start a storm by TreePopen and end it: each second run asks first.

    The planter must not have cgroups: its trees move into them, and out of that of TreePopen.
    """
    argv = [sys.executable, "-I", "-S", "-c", LAUNCH, str(program), kind, str(FORKS)]
    with plant.prepare() as prepared:
        process = TreePopen(argv, stdin=subprocess.PIPE, **prepared.options)
        prepared.tree.root = process
    prepared.tree.await_started("root", "storm")
    grace = 0 if kind == "sessions" and not process.containment.kernel else GRACES[run % 2]
    return prepared.tree, process.stop(grace=grace, settle=BOUND)
