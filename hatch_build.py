"""What a build adds to the files: the manual page."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class ManualPage(BuildHookInterface[Any]):
    """Makes ``proctree-kill.1`` from the parser of the command line."""

    def initialize(self, _version: str, build_data: dict[str, Any]) -> None:
        """Write the page, and say where it goes."""
        sys.path.insert(0, self.root)
        page = runpy.run_path(str(Path(self.root, "docs", "manpage.py")))["page"]
        self._folder = TemporaryDirectory()
        file = Path(self._folder.name, "proctree-kill.1")
        file.write_text(page(), encoding="utf-8", newline="\n")
        if self.target_name == "wheel":
            build_data["shared_data"][str(file)] = "share/man/man1/proctree-kill.1"
        else:
            build_data["force_include"][str(file)] = "proctree-kill.1"

    def finalize(self, *_: object) -> None:
        """Remove what only the build needed."""
        self._folder.cleanup()
