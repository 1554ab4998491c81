"""The examples of ``docs/examples``, started as their page says, from the root of the clone."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from typing import Any

import psutil

from .snippets import ROOT, blocks

GUARD = "proctree_kill._guard"
MODULES = {
    "python": (),
    "pytest": ("-m", "pytest", "-p", "proctree_kill._pytest_plugin"),
    "uvicorn": ("-m", "uvicorn"),
}


def command(name: str) -> list[str]:
    """Return the first command of the page that names this example."""
    lines = [line for block in blocks("console") for line in block.text.splitlines()]
    line = next(line for line in lines if f"docs/examples/{name}" in line.replace(".", "/"))
    program, *arguments = shlex.split(line.removeprefix("$ "))
    return [sys.executable, *MODULES[program], *arguments]


def guard_of(pid: int) -> psutil.Process:
    """Return the guard of a process."""
    children = psutil.Process(pid).children()
    return next(child for child in children if GUARD in " ".join(child.cmdline()))


def options(**variables: str) -> dict[str, Any]:
    """Return the options of Popen for an example: as a user starts it, without coverage."""
    env = {name: text for name, text in os.environ.items() if not name.startswith("COV")}
    path = os.pathsep.join([str(ROOT), *filter(None, [env.get("PYTHONPATH")])])
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    return {"cwd": ROOT, "env": {**env, "PYTHONPATH": path, **variables}, **pipes}
