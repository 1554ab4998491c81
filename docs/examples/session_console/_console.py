"""The console: the actions of a user, on top of a SessionManager."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import secrets
import subprocess
import sys
import time
from collections.abc import Coroutine, Mapping
from pathlib import Path
from typing import Any, Self

from proctree_kill import (
    KillPolicy,
    Session,
    SessionEvent,
    SessionManager,
    SessionState,
    errors,
    snapshot_tree,
)

from ._agent_output import read_output
from ._cards import Card
from ._feed import Feed
from ._notes import Notes
from ._recovered import apply_report

ROOT = Path(__file__).parents[3]
AGENT = [sys.executable, "-m", f"{__package__}.agent"]
SNAPSHOT_POLL = 1.0  # seconds between two snapshots of a tree
STOPPING_POLL = 0.1  # the same during a stop
RECOVERY_POLL = 1.0  # seconds between two recoveries

_log = logging.getLogger("session_console")


class Console:
    """The sessions, with all that the page shows of them.

    Attributes:
        cards: the sessions by id, the oldest first.
        feed: the events for the browsers.
    """

    def __init__(
        self, directory: Path, policy: KillPolicy, idle_timeout: float | None = None
    ) -> None:
        """Choose the folder of the records, the policy of each stop, and when an agent is idle."""
        self.cards: dict[str, Card] = {}
        self.feed = Feed()
        self._grace = policy.grace
        self._idle_timeout = idle_timeout
        self._manager = SessionManager(
            directory / "records", policy=policy, event_broadcaster=self._on_event
        )
        self._notes = Notes(directory / "notes")
        self._sessions: dict[str, Session] = {}
        self._stopped: set[str] = set()  # by a user
        self._tasks: set[asyncio.Task[Any]] = set()

    async def __aenter__(self) -> Self:
        await self._manager.__aenter__()
        for card in self._notes.cards():
            self.cards[card.id] = card
        self._spawn(self._recover())
        self._spawn(self._update_trees())
        return self

    async def __aexit__(self, *exc: object) -> None:
        tasks = list(self._tasks)
        await self._manager.__aexit__(*exc)
        for task in tasks:
            task.cancel()  # a recovery that is cancelled forces, and finishes
        await asyncio.gather(*tasks, return_exceptions=True)
        for card in self.cards.values():
            if card.over:
                self._notes.drop(card.id)

    async def start(self, repository: str, *, stubborn: bool) -> Card:
        """Start an agent.

        Args:
            repository: its task.
            stubborn: whether it ignores each request to exit.

        Returns:
            The card of the session.

        Raises:
            OSError, ProctreeKillError: as for :meth:`SessionManager.aspawn_agent`.
        """
        card = Card(f"github-{secrets.token_hex(3)}", repository, stubborn, started_at=time.time())
        self._notes.begin(card)
        self.cards[card.id] = card
        self._send(card)
        try:
            session = await self._manager.aspawn_agent(
                card.id,
                [*AGENT, *(["--stubborn"] if stubborn else []), "--", repository],
                tool="github",
                idle_timeout=self._idle_timeout,
                cwd=ROOT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
            )
        except (OSError, errors.ProctreeKillError) as error:
            card.state, card.message = "failed", str(error)
            self._notes.drop(card.id)
            self._send(card)
            raise
        self._sessions[card.id] = session
        self._show_exit(card)  # it may have ended by now
        self._send(card)
        self._read_output(session, card)
        return card

    def stop(self, session_id: str) -> None:
        """Begin to stop a session. A second call forces.

        Raises:
            LookupError: there is no such session.
        """
        card = self._card(session_id)
        if card.state == "stopping":
            card.forced = True
            self._send(card)
        self._stopped.add(session_id)
        self._spawn(self._stop(card))

    def answer(self, session_id: str, answer: Mapping[str, object]) -> bool:
        """Send an answer to the agent; return whether there was a question.

        Raises:
            LookupError: there is no such session.
        """
        card = self._card(session_id)
        session = self._manager.sessions.get(session_id)
        process = session.process if session else None
        if card.question is None or not session or process is None or process.stdin is None:
            return False
        card.question = None
        session.touch()
        with contextlib.suppress(OSError, ValueError):  # the agent has exited: an event follows
            process.stdin.write(json.dumps(answer).encode() + b"\n")
            process.stdin.flush()
        self._send(card)
        return True

    def _card(self, session_id: str) -> Card:
        card = self.cards.get(session_id)
        if card is None:
            text = f"Session {session_id} not found"
            raise LookupError(text)
        return card

    async def _stop(self, card: Card) -> None:
        result = await self._manager.astop_agent(card.id)
        by_itself = card.state == "exited" or card.left_behind  # an event shows that
        if not by_itself and (result.kill or not card.message):
            card.close(result.kill, result.message)
        self._send(card)

    async def _recover(self) -> None:
        """End what a dead server left behind, and show it."""
        while left := [card for card in self.cards.values() if card.state == "recovering"]:
            try:
                changed = list(apply_report(await self._manager.arecover(), left))
            except (OSError, errors.ProctreeKillError) as error:
                changed = left
                for card in left:
                    card.message = f"The recovery failed and is tried again: {error}"
            for card in changed:
                if card.over:
                    self._notes.drop(card.id)
                self._send(card)
            await asyncio.sleep(RECOVERY_POLL)  # another process may be ending the rest

    async def _update_trees(self) -> None:
        while True:
            for session in self._manager.sessions.values():
                try:
                    await self._update_tree(session, self.cards[session.session_id])
                except Exception:  # noqa: BLE001 - logged; the other trees are shown
                    _log.exception("no snapshot of %s", session.session_id)
            stopping = any(card.state == "stopping" for card in self.cards.values())
            await asyncio.sleep(STOPPING_POLL if stopping else SNAPSHOT_POLL)

    async def _update_tree(self, session: Session, card: Card) -> None:
        if session.process is None:
            return
        tree = await asyncio.to_thread(snapshot_tree, session)
        if card.over:
            return
        ending = session.state is SessionState.STOPPING and card.id not in self._stopped
        if ending and card.state == "running":  # no event says that its leftovers are being ended
            card.begin_stop(self._grace, left_behind=True)
            self._send(card)
        if card.update_tree(tree):
            self._send(card)

    def _read_output(self, session: Session, card: Card) -> None:
        """Read the output of an agent in a thread: some systems cannot wait for pipes."""
        loop = asyncio.get_running_loop()

        def receive(output: dict[str, Any]) -> None:
            with contextlib.suppress(RuntimeError):  # the server has ended
                loop.call_soon_threadsafe(self._on_output, card, output)

        if session.process and session.process.stdout:
            read_output(session.process.stdout, receive)

    def _on_output(self, card: Card, output: dict[str, Any]) -> None:
        if not card.over:
            self._sessions[card.id].touch()
            card.add_output(output)
            self._send(card)

    async def _on_event(self, event: SessionEvent) -> None:
        """Show an event. As a coroutine it runs on the loop of the server."""
        card = self.cards.get(event.session_id)
        if card is None:
            return
        card.add_event(event, self._grace)
        self._show_exit(card)
        if card.over:
            self._notes.drop(card.id)
        self._send(card)

    def _show_exit(self, card: Card) -> None:
        """Show the end of an agent that no user stopped, and of what it left behind."""
        session = self._sessions.get(card.id)
        if session is None or session.result is None:
            return
        if card.state == "exited" or (card.state == "failed" and card.left_behind):
            card.close_exit(session.result, session.exit_code)
        elif card.state in {"stopped", "failed"} and session.result.method == "timed_out":
            card.close(session.result.kill, session.result.message)

    def _send(self, card: Card) -> None:
        self._notes.update(card)
        self.feed.send("session", card.data())

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)  # a task without a reference may be collected before it ends
        task.add_done_callback(self._forget)

    def _forget(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()):
            _log.error("a task failed", exc_info=error)
