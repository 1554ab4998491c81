"""Real: an idle agent of the session console."""

from __future__ import annotations

import asyncio
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from support.agents import PATIENT
from support.consoles import ROOT
from support.times import BOUND

pytestmark = pytest.mark.needs("fork")

ASK = """echo '{"kind": "question", "message": "Which?", "schema": {}}'; sleep 1000"""


def test_an_agent_whose_question_stays_open_is_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", [str(ROOT), *sys.path])  # it is not installed
    module = import_module("docs.examples.session_console._console")
    monkeypatch.setattr(module, "AGENT", ["sh", "-c", ASK])
    console = module.Console(tmp_path, PATIENT, idle_timeout=0.3)

    async def watch() -> Any:  # noqa: ANN401 - mypy does not see what is imported by name
        over = asyncio.Event()

        def note(_: str, data: dict[str, Any]) -> None:
            if data["over"]:
                over.set()

        monkeypatch.setattr(console.feed, "send", note)
        async with console:
            card = await console.start("a/repository", stubborn=False)
            async with asyncio.timeout(BOUND):
                await over.wait()
            return card

    card = asyncio.run(watch())
    console._sessions[card.id].process.close_pipes()
    names = [event["name"].rpartition(".")[2] for event in card.events]
    assert names == ["started", "timed_out", "stopping", "stopped"]
    assert (card.state, card.question, card.left_behind) == ("stopped", None, False)
    assert card.message.endswith("its idle_timeout of 0.3 s was over")
