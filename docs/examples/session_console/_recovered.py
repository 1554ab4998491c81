"""The result of a recovery on the page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from proctree_kill import RecoveryReport

from ._cards import Card

LOST = "The server that started it died."
BEFORE = "Its processes had ended before this server started, by themselves or by its guard."
ENDED = {"ended", "gone", "recycled"}
"""The fates of records after which no process is left."""


def apply_report(report: RecoveryReport, cards: Sequence[Card]) -> Iterator[Card]:
    """Update the cards of an earlier server.

    Args:
        report: the report of the recovery.
        cards: the sessions that were not over when that server died.

    Yields:
        Each card that changed; the others have an owner that ends them now.
    """
    outcomes = {outcome.session_id: outcome for outcome in report.outcomes}
    for card in cards:
        outcome = outcomes.get(card.id)
        if outcome is None:  # a guard has ended it and dropped its record
            card.state = "recovered"
            card.close(None, f"{LOST} {BEFORE}", "ended")
            yield card
            continue
        if outcome.fate == "owned":
            continue
        ended = outcome.fate in ENDED
        card.state = "recovered" if ended else "failed"
        card.pid = outcome.pid
        kill = outcome.kill
        acted = any(found.fate != "already_gone" for found in (kill.outcomes if kill else ()))
        if not ended:
            detail = kill.summary() if kill else outcome.detail or outcome.fate.value
            words = f"A process may be left: {detail}."
        elif kill and acted:
            words = f"No process is left: {kill.summary()}."
        else:
            words = BEFORE
        card.close(kill if acted else None, f"{LOST} {words}", "ended" if ended else "unknown")
        yield card
