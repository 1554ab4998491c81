"""Building the public models, once, at the end."""

from __future__ import annotations

from typing import Any

from .._models.result import Fate, KillResult, ProcessOutcome
from .._models.tree import Evidence, TreeSnapshot
from .._models.usage import Usage
from .._systems.member import EVIDENCE, ROOT, leaves_first, member_fields
from .gather import Gathered, Missing
from .steps import Outcome

KILLED_CODE = -9  # of SIGKILL
OUT_OF_MEMORY = "it was killed while its tree was out of memory"


def result(
    gathered: Gathered,
    outcomes: list[Outcome],
    seconds: float,
    problem: str | None = None,
    usage: Usage | None = None,
) -> KillResult:
    """Return what became of each process; the models are validated once.

    Args:
        gathered: the tree as it was found.
        outcomes: of its members.
        seconds: how long the call took.
        problem: of the whole kill; it is reported with the first root.
        usage: what the tree used.
    """
    fields = [*map(_missing, gathered.missing), *map(_outcome, outcomes)]
    root = next((fate for fate in fields if Evidence.ROOT in fate["evidence"]), None)
    if problem is not None and root is not None:
        root["detail"] = "; ".join(filter(None, [root["detail"], problem]))
    alive = any(outcome["fate"] in (Fate.DENIED, Fate.SURVIVED) for outcome in fields)
    return KillResult.model_validate(
        {
            "target": tuple(gathered.target),
            "outcomes": tuple(fields),
            "seconds": seconds,
            "verified": () if alive else EVIDENCE[gathered.tree.verified],
            "usage": usage,
        }
    )


def with_reasons(result: KillResult) -> KillResult:
    """Say of the processes that the kernel may have ended for want of memory that it was so."""
    if result.usage is None or not result.usage.out_of_memory:
        return result

    def explain(outcome: ProcessOutcome) -> ProcessOutcome:
        if outcome.exit_code != KILLED_CODE or "SIGKILL" in outcome.signals:
            return outcome
        detail = "; ".join(filter(None, [outcome.detail, OUT_OF_MEMORY]))
        return outcome.model_copy(update={"detail": detail})

    return result.model_copy(update={"outcomes": tuple(map(explain, result.outcomes))})


def snapshot(gathered: Gathered, refusal: str | None) -> TreeSnapshot:
    """Return the members in the order in which they would be asked."""
    members = map(member_fields, leaves_first(gathered.tree.members))
    return TreeSnapshot.model_validate(
        {"target": tuple(gathered.target), "members": tuple(members), "refusal": refusal}
    )


def _outcome(outcome: Outcome) -> dict[str, Any]:
    member = outcome.member
    return {
        **member_fields(member),
        "fate": outcome.fate,
        "signals": tuple(member.signals),
        "exit_code": member.exit_code,
        "seconds": outcome.seconds,
        "detail": outcome.detail,
    }


def _missing(missing: Missing) -> dict[str, Any]:
    found = missing.claim.found
    return {
        "identity": missing.claim.known,
        "name": found.name if found else None,
        "evidence": found.evidence if found else EVIDENCE[ROOT],
        "fate": Fate.ALREADY_GONE,
        "detail": missing.detail,
    }
