"""End process trees: all processes of a tree, politely if possible, and no other process."""

from __future__ import annotations

import importlib

__version__ = "0.1.0"

TYPE_CHECKING = False  # importing typing takes longer than all the rest here

if TYPE_CHECKING:
    from . import errors
    from ._containment.containment import Containment
    from ._engine.kill import akill_tree, kill_tree, snapshot_tree
    from ._engine.process import identify
    from ._engine.target import Target
    from ._models.identity import ProcessIdentity
    from ._models.limits import Limits
    from ._models.policy import KillPolicy
    from ._models.result import Fate, KillEvent, KillResult, ProcessOutcome
    from ._models.tree import Evidence, SpareCandidate, TreeMember, TreeSnapshot
    from ._models.usage import Usage
    from ._records.recover import arecover, recover
    from ._records.report import RecordOutcome, RecoveryReport
    from ._sessions.manager import SessionManager
    from ._sessions.models import SessionEvent, SessionState, StopResult
    from ._sessions.session import Session
    from ._spawn.completed import CompletedTree
    from ._spawn.popen import TreePopen
    from ._spawn.run import arun, run

_MODULES = {
    "CompletedTree": "_spawn.completed",
    "Containment": "_containment.containment",
    "Evidence": "_models.tree",
    "Fate": "_models.result",
    "KillEvent": "_models.result",
    "KillPolicy": "_models.policy",
    "KillResult": "_models.result",
    "Limits": "_models.limits",
    "ProcessIdentity": "_models.identity",
    "ProcessOutcome": "_models.result",
    "RecordOutcome": "_records.report",
    "RecoveryReport": "_records.report",
    "Session": "_sessions.session",
    "SessionEvent": "_sessions.models",
    "SessionManager": "_sessions.manager",
    "SessionState": "_sessions.models",
    "SpareCandidate": "_models.tree",
    "StopResult": "_sessions.models",
    "Target": "_engine.target",
    "TreeMember": "_models.tree",
    "TreePopen": "_spawn.popen",
    "TreeSnapshot": "_models.tree",
    "Usage": "_models.usage",
    "akill_tree": "_engine.kill",
    "arecover": "_records.recover",
    "arun": "_spawn.run",
    "errors": "errors",
    "identify": "_engine.process",
    "kill_tree": "_engine.kill",
    "recover": "_records.recover",
    "run": "_spawn.run",
    "snapshot_tree": "_engine.kill",
}
"""The module of each public name, imported at the first use of the name (PEP 562)."""

__all__ = [
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
]


def __getattr__(name: str) -> object:
    """Import a public name."""
    if name not in _MODULES:
        text = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(text)
    module = importlib.import_module(f".{_MODULES[name]}", __name__)
    found = globals()[name] = module if name == _MODULES[name] else getattr(module, name)
    return found


def __dir__() -> list[str]:
    """List the public names."""
    return [*__all__, "__version__"]
