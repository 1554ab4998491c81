"""The outcomes of planted nodes, by the names of the nodes."""

from __future__ import annotations

from collections.abc import Mapping

from proctree_kill import Fate, KillResult, ProcessOutcome


def by_name(pids: Mapping[str, int], result: KillResult) -> dict[str, ProcessOutcome]:
    """Return each outcome under its node's name, or else under its program's."""
    names = {pid: name for name, pid in pids.items()}
    return {
        names.get(outcome.identity.pid, str(outcome.name)): outcome for outcome in result.outcomes
    }


def fates(pids: Mapping[str, int], result: KillResult) -> dict[str, Fate]:
    """Return each fate under its node's name, or else under its program's."""
    return {name: outcome.fate for name, outcome in by_name(pids, result).items()}
