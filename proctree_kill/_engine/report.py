"""Building the public models, once, at the end."""

from __future__ import annotations

from typing import Any

from .._models.result import Fate, KillResult
from .._models.tree import TreeSnapshot
from .._systems.member import EVIDENCE, ROOT, leaves_first, member_fields
from .gather import Gathered, Missing
from .steps import Outcome


def result(gathered: Gathered, outcomes: list[Outcome], seconds: float) -> KillResult:
    """Return what became of each process; the models are validated once."""
    fields = [*map(_missing, gathered.missing), *map(_outcome, outcomes)]
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
