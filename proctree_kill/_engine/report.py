"""Building the public models, once, at the end."""

from __future__ import annotations

from typing import Any

from .._models.result import Fate, KillResult
from .._models.tree import Evidence, TreeSnapshot
from .._systems.member import EVIDENCE, ROOT, leaves_first, member_fields
from .gather import Gathered, Missing
from .steps import Outcome


def result(
    gathered: Gathered, outcomes: list[Outcome], seconds: float, problem: str | None = None
) -> KillResult:
    """Return what became of each process; the models are validated once.

    Args:
        gathered: the tree as it was found.
        outcomes: of its members.
        seconds: how long the call took.
        problem: of the whole kill; it is reported with the first root.
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
        }
    )


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
