"""Pure: which console groups may be asked. Seam: a console that hangs."""

from __future__ import annotations

import math
import sys
import threading
import time
from collections.abc import Mapping
from typing import Any

import pytest

from proctree_kill._systems.windows import console
from proctree_kill._systems.windows.console import ConsoleGroups

CALLER, SHELL, LEADER, CHILD, OTHER = 100, 104, 108, 112, 116
GROUPS = {CALLER: SHELL, SHELL: SHELL, LEADER: LEADER, CHILD: LEADER}


def test_a_group_is_reached_when_all_of_it_is_asked() -> None:
    reached, reasons = ConsoleGroups(CALLER, GROUPS).reach([LEADER, CHILD])
    assert {group: sorted(pids) for group, pids in reached.items()} == {LEADER: [LEADER, CHILD]}
    assert reasons == {}


def test_a_group_outlives_its_leader() -> None:
    groups = {CALLER: SHELL, CHILD: LEADER, OTHER: LEADER}
    for asked, others in ([CHILD, OTHER], []), ([CHILD], [OTHER]), ([CHILD, LEADER], [OTHER]):
        reached, _ = ConsoleGroups(CALLER, groups).reach(asked, others)
        assert {group: sorted(pids) for group, pids in reached.items()} == {LEADER: [CHILD, OTHER]}
    reached, reasons = ConsoleGroups(CALLER, groups).reach([CHILD])
    assert (reached, reasons) == ({}, {CHILD: "its console group has others in it"})


def test_each_obstacle_is_named() -> None:
    def reason(groups: Mapping[int, int | None], *asked: int) -> str:
        reached, reasons = ConsoleGroups(CALLER, groups).reach(asked)
        assert reached == {}
        return reasons[asked[0]]

    assert reason({}, LEADER) == "the caller has no console"
    assert reason(GROUPS, OTHER) == "it does not share the caller's console"
    assert reason({**GROUPS, LEADER: None}, LEADER) == "its console group cannot be read"
    assert reason({**GROUPS, CALLER: None}, LEADER) == "its console group cannot be read"
    assert reason({**GROUPS, LEADER: SHELL}, LEADER) == "it is in the caller's own console group"
    assert reason(GROUPS, CHILD) == "the leader of its console group is not asked"
    assert reason({**GROUPS, LEADER: 0}, LEADER) == "the leader of its console group is not asked"
    assert (
        reason({**GROUPS, LEADER: OTHER}, CHILD) == "the leader of its console group is not asked"
    )
    assert reason(GROUPS, LEADER) == "its console group has others in it"


def test_a_process_that_hides_its_group_could_be_in_any() -> None:
    reached, reasons = ConsoleGroups(CALLER, {**GROUPS, OTHER: None}).reach([LEADER, CHILD])
    assert reached == {}
    assert set(reasons.values()) == {"its console group has others in it"}


@pytest.mark.parametrize(("mode", "reads"), [(None, True), (0x1F7, True), (0x1F1, False)])
def test_a_console_reads_lines_or_keys(
    monkeypatch: pytest.MonkeyPatch, mode: int | None, *, reads: bool
) -> None:
    """Seam: None is an input that is no console."""

    class Kernel:
        def GetStdHandle(self, _which: int) -> int:  # noqa: N802 - Windows' name
            return 3

        def GetConsoleMode(self, _handle: int, found: Any) -> bool:  # noqa: ANN401, N802 - Windows' name
            if mode is not None:
                found._obj.value = mode
            return mode is not None

    monkeypatch.setattr(console, "_kernel32", Kernel)
    assert console.reads_lines() is reads


@pytest.mark.parametrize(("mode", "acts"), [(None, False), (0x3, True)])
def test_a_console_acts_on_escape_codes_once_they_are_on(
    monkeypatch: pytest.MonkeyPatch, mode: int | None, *, acts: bool
) -> None:
    """Seam: None is a descriptor that is no console."""
    modes: list[int] = []

    class Kernel:
        def GetConsoleMode(self, _handle: int, found: Any) -> bool:  # noqa: ANN401, N802 - Windows' name
            found._obj.value = mode or 0
            return mode is not None

        def SetConsoleMode(self, _handle: int, mode: int) -> bool:  # noqa: N802 - Windows' name
            modes.append(mode)
            return True

    library = type("Library", (), {"get_osfhandle": staticmethod(lambda fd: fd + 100)})
    monkeypatch.setitem(sys.modules, "msvcrt", library)
    monkeypatch.setattr(console, "_kernel32", Kernel)
    assert console.switch_escapes_on(2) is acts
    assert modes == ([0x7] if acts else [])


def test_a_console_that_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    free = threading.Event()
    monkeypatch.setattr(console, "send_break", lambda group: group == CHILD or free.wait())
    try:
        assert console.send_breaks([LEADER, CHILD], time.monotonic() + 0.2) == {CHILD: True}
    finally:
        free.set()


def test_at_the_exit_of_the_interpreter_no_thread_is_needed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(_thread: threading.Thread) -> None:
        raise RuntimeError

    monkeypatch.setattr(threading.Thread, "start", refuse)
    monkeypatch.setattr(console, "send_break", lambda group: group == CHILD)
    assert console.send_breaks([LEADER, CHILD], math.inf) == {LEADER: False, CHILD: True}
