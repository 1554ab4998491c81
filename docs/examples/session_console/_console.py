"""The console: what a user may do, on top of a SessionManager."""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
import subprocess
import sys
import time
from collections.abc import Coroutine, Mapping
from pathlib import Path
from typing import Any, Self

from proctree_kill import KillPolicy, Session, SessionEvent, SessionManager, errors, snapshot_tree

from ._cards import Card
from ._ears import hear_lines
from ._feed import Feed
from ._notes import Notes
from ._recovered import take_in

ROOT = Path(__file__).parents[3]
AGENT = [sys.executable, "-m", f"{__package__}.agent"]
LOOK = 1.0
"""Seconds between two looks at a tree that somebody watches on the page."""
LOOK_CLOSELY = 0.1
"""The same while it is being stopped."""


class Console:
    """Sessions with all that the page shows of them.

    Attributes:
        cards: the sessions, by their ids, the oldest first.
        feed: what the browsers hear.
    """

    def __init__(self, directory: Path, policy: KillPolicy) -> None:
        """Say where sessions are written down, and how they are stopped."""
        self.cards: dict[str, Card] = {}
        self.feed = Feed()
        self._manager = SessionManager(
            directory / "records", policy=policy, event_broadcaster=self._heard
        )
        self._notes = Notes(directory / "notes")
        self._tasks: set[asyncio.Task[Any]] = set()

    async def __aenter__(self) -> Self:
        """Begin to manage, and recover what another server left behind."""
        await self._manager.__aenter__()
        for card in self._notes.cards():
            self.cards[card.id] = card
        self._spawn(self._recover())
        self._spawn(self._watch())
        return self

    async def __aexit__(self, *exc: object) -> None:
        """Stop everybody; a recovery that is interrupted forces, and finishes."""
        tasks = list(self._tasks)
        await self._manager.__aexit__(*exc)
        for one in tasks:
            one.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for card in self.cards.values():
            if card.over:
                self._notes.drop(card.id)

    async def start(self, repository: str, *, deaf: bool) -> Card:
        """Start an agent.

        Args:
            repository: what it is to work on.
            deaf: whether it ignores every request to leave.

        Returns:
            What the page shows of it.

        Raises:
            OSError, ProctreeKillError: as for :meth:`SessionManager.aspawn_agent`.
        """
        card = Card(f"github-{secrets.token_hex(3)}", repository, deaf, started_at=time.time())
        self._notes.write(card)
        self.cards[card.id] = card
        self._tell(card)
        try:
            session = await self._manager.aspawn_agent(
                card.id,
                [*AGENT, *(["--deaf"] if deaf else []), "--", repository],
                tool="github",
                cwd=ROOT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
            )
        except (OSError, errors.ProctreeKillError) as error:
            card.state, card.message = "failed", str(error)
            self._notes.drop(card.id)
            self._tell(card)
            raise
        self._hear(session, card)
        return card

    def stop(self, session_id: str) -> None:
        """Begin to stop a session; a second time forces.

        Raises:
            KeyError: it is not there.
        """
        self._spawn(self._stop(self.cards[session_id]))

    def answer(self, session_id: str, answer: Mapping[str, object]) -> bool:
        """Hand an answer to the agent that asked; tell whether there was a question.

        Raises:
            KeyError: the session is not there.
        """
        card = self.cards[session_id]
        session = self._manager.sessions.get(session_id)
        process = session.process if session else None
        if card.question is None or process is None or process.stdin is None:
            return False
        card.question = None
        with contextlib.suppress(OSError, ValueError):  # it has left meanwhile: the manager tells
            process.stdin.write(json.dumps(answer).encode() + b"\n")
            process.stdin.flush()
        self._tell(card)
        return True

    async def _stop(self, card: Card) -> None:
        """Stop a session, and show what became of everybody."""
        result = await self._manager.astop_agent(card.id)
        if result.kill or not card.message:
            card.close(result.kill, result.message)
        self._tell(card)

    async def _recover(self) -> None:
        """End what a dead server left behind, and say so on the page."""
        while left := [one for one in self.cards.values() if one.state == "recovering"]:
            for card in take_in(await self._manager.arecover(), left):
                if card.over:
                    self._notes.drop(card.id)
                self._tell(card)
            await asyncio.sleep(LOOK)  # else somebody ends them just now

    async def _watch(self) -> None:
        """Look at the trees of sessions as long as anybody looks at the page."""
        while True:
            sessions = self._manager.sessions if self.feed.heard else {}
            for name, session in sessions.items():
                await self._look(session, self.cards[name])
            closely = any(card.state == "stopping" for card in self.cards.values())
            await asyncio.sleep(LOOK_CLOSELY if closely else LOOK)

    async def _look(self, session: Session, card: Card) -> None:
        """Look at one tree."""
        if session.process is None:
            return
        tree = await asyncio.to_thread(snapshot_tree, session.process.containment)
        if not card.over and card.see(tree):
            self._tell(card)

    def _hear(self, session: Session, card: Card) -> None:
        """Hear what an agent says, in a thread: pipes are files to some systems."""
        loop = asyncio.get_running_loop()

        def heard(said: dict[str, Any]) -> None:
            with contextlib.suppress(RuntimeError):  # the server has ended
                loop.call_soon_threadsafe(self._said, card, said)

        if session.process and session.process.stdout:
            hear_lines(session.process.stdout, heard)

    def _said(self, card: Card, said: dict[str, Any]) -> None:
        """Show what an agent says."""
        if not card.over:
            card.read(said)
            self._tell(card)

    async def _heard(self, event: SessionEvent) -> None:
        """Show what the manager tells; a coroutine runs on the loop of the server."""
        card = self.cards.get(event.session_id)
        if card is None:
            return
        card.hear(event)
        if card.over:
            self._notes.drop(card.id)
        self._tell(card)

    def _tell(self, card: Card) -> None:
        """Let every browser know how a session stands."""
        self.feed.tell("session", card.data())

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Do something beside; what is not referred to may be collected before it ends."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
