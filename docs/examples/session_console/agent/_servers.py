"""The servers that the agent starts."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from mcp import StdioServerParameters

ROOT = Path(__file__).parents[4]
PACKAGE = __name__.rpartition(".")[0]
NPM_PACKAGE = "@modelcontextprotocol/server-everything"
NPM_PREFIX = "PROCTREE_NPM_PREFIX"
"""The environment variable with the folder of the npm package."""
PREVIEW = [sys.executable, "-m", f"{PACKAGE}.preview"]


def github(*, stubborn: bool) -> StdioServerParameters:
    """Return the server whose tool asks a question."""
    options = ["--stubborn"] if stubborn else []
    return _server(sys.executable, "-m", f"{PACKAGE}.github", *options, cwd=ROOT)


def everything() -> StdioServerParameters | None:
    """Return the reference server under npx; None if it is not installed."""
    prefix = Path(os.environ.get(NPM_PREFIX, ""))
    if not ((prefix / "node_modules" / NPM_PACKAGE).is_dir() and shutil.which("npx")):
        return None
    return _server("npx", "--no-install", NPM_PACKAGE, cwd=prefix)


def _server(command: str, *args: str, cwd: Path) -> StdioServerParameters:
    # the SDK passes on six variables only, and not the marker by which an orphan is found
    env = {**os.environ, "npm_config_update_notifier": "false"}
    return StdioServerParameters(command=command, args=list(args), cwd=cwd, env=env)
