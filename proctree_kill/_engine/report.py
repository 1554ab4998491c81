"""Building the public models, once, at the end."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .._models.identity import ProcessIdentity
from .._models.result import Fate, KillResult
from .._models.tree import TreeSnapshot
from .._systems.member import EVIDENCE, ROOT, leaves_first, member_fields
from .gather import Gathered, Missing
from .steps import Outcome
from .target import Claim


def result(gathered: Gathered, outcomes: list[Outcome], seconds: float) -> KillResult:
    """Say what became of everybody, in one validation."""
    fields = [*map(_missing, gathered.missing), *map(_outcome, outcomes)]
    alive = any(one["fate"] in (Fate.DENIED, Fate.SURVIVED) for one in fields)
    return KillResult.model_validate(
        {
            "target": tuple(gathered.target),
            "outcomes": tuple(fields),
            "seconds": seconds,
            "verified": () if alive else EVIDENCE[gathered.tree.verified],
        }
    )


def snapshot(gathered: Gathered, refusal: str | None) -> TreeSnapshot:
    """Say who would be asked, in that order."""
    members = map(member_fields, leaves_first(gathered.tree.members))
    return TreeSnapshot.model_validate(
        {"target": tuple(gathered.target), "members": tuple(members), "refusal": refusal}
    )


def refused(claims: Sequence[Claim], refusal: str) -> TreeSnapshot:
    """Say that nobody would be asked, and why."""
    target = tuple(one.identity or ProcessIdentity(pid=one.pid) for one in claims)
    return TreeSnapshot(target=target, members=(), refusal=refusal)


def _outcome(outcome: Outcome) -> dict[str, Any]:
    """Return what one outcome is made of."""
    one = outcome.member
    return {
        **member_fields(one),
        "fate": outcome.fate,
        "signals": tuple(one.signals),
        "exit_code": one.exit_code,
        "seconds": outcome.seconds,
        "detail": outcome.detail,
    }


def _missing(one: Missing) -> dict[str, Any]:
    """Return the outcome of a claim whose process was gone."""
    found = one.claim.found
    known = found or one.claim
    evidence = found.evidence if found else EVIDENCE[ROOT]
    return {
        "identity": known.identity or ProcessIdentity(pid=one.claim.pid),
        "name": found.name if found else None,
        "evidence": evidence,
        "fate": Fate.ALREADY_GONE,
        "detail": one.detail,
    }
