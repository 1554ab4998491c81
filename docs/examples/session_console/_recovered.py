"""The result of a recovery on the page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from proctree_kill import RecoveryReport

from ._cards import Card

LOST = "The server that started it died."
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
        if outcome is None:  # a guard, or another server, has ended it and dropped its record
            card.state = "recovered"
            card.close(message=f"{LOST} Its tree was ended before this server started.")
            yield card
            continue
        if outcome.fate == "owned":
            continue
        ended = outcome.fate in ENDED
        card.state = "recovered" if ended else "failed"
        card.pid = outcome.pid
        detail = outcome.kill.summary() if outcome.kill else outcome.detail or outcome.fate.value
        left = "No process is left" if ended else "A process may be left"
        card.close(outcome.kill, f"{LOST} {left}: {detail}.")
        yield card
