"""What the console writes down of each session until it is over, to know it after a crash.

What to end is in the records of the manager; a note holds what only the page needs.
It tells of a session also where a guard has ended its tree and dropped its record already.
"""

from __future__ import annotations

import json
from pathlib import Path

from ._cards import Card


class Notes:
    """A folder with one small file for each session that is not over."""

    def __init__(self, folder: Path) -> None:
        """Say where; the folder is made for the first note."""
        self._folder = folder

    def write(self, card: Card) -> None:
        """Write down a session that is about to start."""
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        facts = {"repository": card.repository, "deaf": card.deaf, "started_at": card.started_at}
        self._path(card.id).write_text(json.dumps(facts), encoding="utf-8")

    def drop(self, session_id: str) -> None:
        """Forget a session."""
        self._path(session_id).unlink(missing_ok=True)

    def cards(self) -> list[Card]:
        """Return the sessions that are not over, as far as their notes can be read."""
        found = []
        for path in sorted(self._folder.glob("*.json")):
            try:
                facts = json.loads(path.read_text(encoding="utf-8"))
                card = Card(path.stem, facts["repository"], facts["deaf"], "recovering")
                card.started_at = facts["started_at"]
            except (OSError, ValueError, KeyError, TypeError):
                continue
            found.append(card)
        return found

    def _path(self, session_id: str) -> Path:
        """Return the file of a session."""
        return self._folder / f"{session_id}.json"
