"""End process trees: all of them, soon, politely if possible, and never anything else."""

from __future__ import annotations

import importlib

TYPE_CHECKING = False  # importing it from typing would cost more than all the rest here

if TYPE_CHECKING:
    from . import errors
    from ._agents import Session
    from ._containment import Containment
    from ._identity import identify
    from ._kill import akill_tree, kill_tree, snapshot_tree
    from ._models import (
        Evidence,
        Fate,
        KillEvent,
        KillResult,
        ProcessIdentity,
        ProcessOutcome,
        TreeMember,
        TreeSnapshot,
    )
    from ._policy import KillPolicy
    from ._recovery import arecover, recover
    from ._recovery_models import RecoveryReport
    from ._run import arun, run
    from ._session_models import SessionEvent, SessionState, StopResult
    from ._sessions import SessionManager
    from ._spawn import TreePopen

_HOME = {
    "Containment": "_containment",
    "Evidence": "_models",
    "Fate": "_models",
    "KillEvent": "_models",
    "KillPolicy": "_policy",
    "KillResult": "_models",
    "ProcessIdentity": "_models",
    "ProcessOutcome": "_models",
    "RecoveryReport": "_recovery_models",
    "Session": "_agents",
    "SessionEvent": "_session_models",
    "SessionManager": "_sessions",
    "SessionState": "_session_models",
    "StopResult": "_session_models",
    "TreeMember": "_models",
    "TreePopen": "_spawn",
    "TreeSnapshot": "_models",
    "akill_tree": "_kill",
    "arecover": "_recovery",
    "arun": "_run",
    "errors": "errors",
    "identify": "_identity",
    "kill_tree": "_kill",
    "recover": "_recovery",
    "run": "_run",
    "snapshot_tree": "_kill",
}
"""Where each public name lives; a module is imported when one of its names is first touched."""

__all__ = [
    "Containment",
    "Evidence",
    "Fate",
    "KillEvent",
    "KillPolicy",
    "KillResult",
    "ProcessIdentity",
    "ProcessOutcome",
    "RecoveryReport",
    "Session",
    "SessionEvent",
    "SessionManager",
    "SessionState",
    "StopResult",
    "TreeMember",
    "TreePopen",
    "TreeSnapshot",
    "akill_tree",
    "arecover",
    "arun",
    "errors",
    "identify",
    "kill_tree",
    "recover",
    "run",
    "snapshot_tree",
]


def __getattr__(name: str) -> object:
    """Import the home of a public name (PEP 562)."""
    if name not in _HOME:
        text = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(text)
    module = importlib.import_module(f".{_HOME[name]}", __name__)
    found = globals()[name] = module if name == _HOME[name] else getattr(module, name)
    return found


def __dir__() -> list[str]:
    """List the public names."""
    return __all__
