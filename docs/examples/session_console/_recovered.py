"""What a recovery means for the sessions of the page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from proctree_kill import RecoveryReport

from ._cards import Card

LOST = "The server that started it died."
ENDED = {"reaped", "gone", "recycled"}
"""The fates of records after which nobody is left."""


def take_in(report: RecoveryReport, cards: Sequence[Card]) -> Iterator[Card]:
    """Bring the cards of an earlier server up to date.

    Args:
        report: what the recovery said.
        cards: the sessions that were not over when that server died.

    Yields:
        Each of them that nobody else is ending just now, changed.
    """
    outcomes = {one.session_id: one for one in report.outcomes}
    for card in cards:
        found = outcomes.get(card.id)
        if found is None:  # a guard, or another server, has ended it and dropped its record
            card.state = "recovered"
            card.close(message=f"{LOST} Its tree had been ended before this one came.")
            yield card
            continue
        if found.fate == "owned":
            continue
        ended = found.fate in ENDED
        card.state = "recovered" if ended else "failed"
        card.pid = found.pid
        said = found.kill.summary() if found.kill else found.detail or found.fate.value
        close = "Nobody is left" if ended else "Somebody may be left"
        card.close(found.kill, f"{LOST} {close}: {said}.")
        yield card
