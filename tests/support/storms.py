"""Fork storms: bounded in number and in time, and otherwise as wild as they come."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any, Literal

from .planter import Planter
from .trees import Tree

SOURCE = Path(__file__).with_name("storm.c")
Kind = Literal["growing", "workers", "sessions", "successors", "fugitives"]


def build_storm(folder: Path) -> Path:
    """Compile the storm into a folder, and return the program."""
    program = folder / "storm"
    subprocess.run(["cc", "-O2", "-Wall", "-Werror", "-o", program, SOURCE], check=True)
    return program


def plant_storm(
    plant: Planter,
    program: Path,
    kind: Kind,
    births: int,
    **options: Any,
) -> Tree:
    """Plant a storm, and return it after so many births, 300 at most where children last.

    Its standard input is its leash: whoever closes it, as the planter does, ends all births.
    """
    argv = [str(program), kind, str(births)]
    tree = plant.program(argv, stdin=subprocess.PIPE, **options)
    tree.hear(["storm"])
    return tree
