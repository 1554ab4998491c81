"""Notes of the sessions that are not over, to show them after a crash.

The records of the manager hold what is to be ended; a note holds what the page showed: the task,
the last tree and the end of the log. It stays if a guard has already ended the tree and dropped
its record.
"""

from __future__ import annotations

import logging
from pathlib import Path

from pydantic import BaseModel, ValidationError

from ._cards import LINES, Card
from ._rows import Row

ROWS, LOG = 200, 50  # at most so many of a card are in its note

_log = logging.getLogger("session_console")


class Note(BaseModel):
    """The content of a note."""

    repository: str
    stubborn: bool
    started_at: float | None
    pid: int | None = None
    rows: list[Row] = []
    events: list[dict[str, str | float]] = []
    log: list[str] = []


class Notes:
    """A folder with a file for each session that is not over."""

    def __init__(self, folder: Path) -> None:
        """Choose the folder. The first note makes it."""
        self._folder = folder
        self._written: dict[str, str] = {}

    def begin(self, card: Card) -> None:
        """Note a session that is about to start.

        Raises:
            OSError: the note cannot be written.
        """
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._write(card)

    def update(self, card: Card) -> None:
        """Note what has changed; nothing for a session without a note.

        A card is noted before it is sent: a crash loses nothing that a page has shown.
        """
        if card.id not in self._written:
            return
        try:
            self._write(card)
        except OSError as error:  # a full disk, say: the older note stays
            _log.warning("the note of %s cannot be written: %s", card.id, error)

    def drop(self, session_id: str) -> None:
        """Drop the note of a session."""
        self._written.pop(session_id, None)
        self._path(session_id).unlink(missing_ok=True)

    def cards(self) -> list[Card]:
        """Return the cards of all notes that can be read."""
        found = []
        for path in sorted(self._folder.glob("*.json")):
            try:
                note = Note.model_validate_json(path.read_bytes())
            except (OSError, ValidationError) as error:
                _log.warning("the note %s cannot be read: %s", path, error)
                continue
            card = Card(path.stem, note.repository, note.stubborn, "recovering", note.pid)
            card.started_at, card.events = note.started_at, note.events
            card.rows = note.rows
            for row in card.rows:
                row.fate = row.fate or "unknown"
            card.log.extend(note.log)
            found.append(card)
        return found

    def _write(self, card: Card) -> None:
        """Write a note whole or not at all: a crash may come at any time."""
        text = Note(
            repository=card.repository,
            stubborn=card.stubborn,
            started_at=card.started_at,
            pid=card.pid,
            rows=card.rows[:ROWS],
            events=card.events[-LINES:],
            log=list(card.log)[-LOG:],
        ).model_dump_json()
        if text == self._written.get(card.id):
            return
        path = self._path(card.id)
        new = path.with_suffix(".new")
        new.write_text(text, encoding="utf-8")
        new.replace(path)
        self._written[card.id] = text

    def _path(self, session_id: str) -> Path:
        return self._folder / f"{session_id}.json"
