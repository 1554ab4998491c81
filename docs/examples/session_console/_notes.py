"""Notes of the sessions that are not over, to show them after a crash.

The records of the manager hold what is to be ended; a note holds what only the page needs.
It stays if a guard has already ended the tree and dropped its record.
"""

from __future__ import annotations

import json
from pathlib import Path

from ._cards import Card


class Notes:
    """A folder with a file for each session that is not over."""

    def __init__(self, folder: Path) -> None:
        """Choose the folder. The first note makes it."""
        self._folder = folder

    def write(self, card: Card) -> None:
        """Note a session that is about to start."""
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        facts = {
            "repository": card.repository,
            "stubborn": card.stubborn,
            "started_at": card.started_at,
        }
        self._path(card.id).write_text(json.dumps(facts), encoding="utf-8")

    def drop(self, session_id: str) -> None:
        """Drop the note of a session."""
        self._path(session_id).unlink(missing_ok=True)

    def cards(self) -> list[Card]:
        """Return the cards of all notes that can be read."""
        found = []
        for path in sorted(self._folder.glob("*.json")):
            try:
                facts = json.loads(path.read_text(encoding="utf-8"))
                card = Card(path.stem, facts["repository"], facts["stubborn"], "recovering")
                card.started_at = facts["started_at"]
            except (OSError, ValueError, KeyError, TypeError):
                continue
            found.append(card)
        return found

    def _path(self, session_id: str) -> Path:
        return self._folder / f"{session_id}.json"
