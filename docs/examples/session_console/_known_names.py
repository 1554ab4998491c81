"""The names that a person knows for what the agent starts, in place of ``python`` or ``sh``."""

from __future__ import annotations

from pathlib import PurePath

import psutil

AGENT = f"{__package__}.agent"
MODULES = {
    AGENT: "agent",
    f"{AGENT}.github": "GitHub-like MCP server",
    f"{AGENT}.preview": "preview HTTP server",
}
NPX = "npm exec"  # how npx calls itself
PROGRAMS = {"sh": "shell of npx", "node": "server-everything"}


def known_name(pid: int, *, is_root: bool) -> str | None:
    """Return the name of a process by its command line, which is kept nowhere.

    Args:
        pid: the process.
        is_root: whether it is the agent.

    Returns:
        The name; None for what the example does not start, and for a process that is dead.
    """
    try:
        arguments = psutil.Process(pid).cmdline()
    except psutil.Error:
        return None
    return name_of(arguments, is_root=is_root)


def name_of(arguments: list[str], *, is_root: bool) -> str | None:
    """Return the name of the process that runs a command line. Pure."""
    if is_root:
        return MODULES[AGENT]
    if "-m" in arguments[:-1]:
        module = arguments[arguments.index("-m") + 1]
        # a child that has not begun its program yet has the command line of the agent
        return None if module == AGENT else MODULES.get(module)
    if not any("server-everything" in argument for argument in arguments):
        return None
    if arguments[0].startswith(NPX):
        return "npx"
    return PROGRAMS.get(PurePath(arguments[0]).stem)
