"""A copy of the library under another name, as programs carry it inside their own packages."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import proctree_kill


def vendored(folder: Path) -> dict[str, str]:
    """Make ``vendored_copy`` in a folder; return the environment in which it can be imported."""
    package = Path(proctree_kill.__file__).parent
    ignore = shutil.ignore_patterns("__pycache__")
    shutil.copytree(package, folder / "vendored_copy", ignore=ignore)
    path = os.pathsep.join([str(package.parent), str(folder), *sys.path])
    return {**os.environ, "PYTHONPATH": path}
