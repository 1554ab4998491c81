"""Seam: a Windows whose answers are scripted, on every system; no process is touched."""

from __future__ import annotations

import os
import threading
from typing import Any

import psutil
import pytest

from proctree_kill import Fate, KillResult, kill_tree
from proctree_kill._engine import killing
from proctree_kill._engine import process as engine_process
from proctree_kill._engine.scan import scan
from proctree_kill._engine.target import Aim
from proctree_kill._engine.tree import Tree
from proctree_kill._systems import psutil_facts
from proctree_kill._systems.contract import Reply
from proctree_kill._systems.member import ALIVE, GONE, ZOMBIE, Member
from proctree_kill._systems.windows import handles, win32
from proctree_kill._systems.windows.system import CLOCK_STEP, WindowsSystem
from proctree_kill._systems.windows.taskkill import Answer
from support.windows import Process, Tools, Windows

WATCH = handles.WATCH
PROTECTED = 0  # the rights that a protected process grants


@pytest.fixture
def windows(monkeypatch: pytest.MonkeyPatch) -> Windows:
    windows = Windows(os.getpid())
    windows.install(monkeypatch)
    monkeypatch.setattr(handles, "POLL", 0.0)
    return windows


@pytest.fixture
def system(windows: Windows) -> WindowsSystem:
    system = WindowsSystem(5.0)
    tools: Any = Tools(windows)  # it answers as a Helper does
    system._helper = tools
    return system


@pytest.fixture
def tools(system: WindowsSystem) -> Tools:
    tools: Any = system._helper
    assert isinstance(tools, Tools)
    return tools


def bound(system: WindowsSystem, process: Process) -> Member:
    found = system.bind(process.pid)
    assert found
    return found


def under(system: WindowsSystem, *parents: Member) -> list[int]:
    """Return what a new scan finds below these."""
    system.begin_scan()
    return [child.pid for _, child in system.children(parents, {})]


def end(system: WindowsSystem, monkeypatch: pytest.MonkeyPatch, root: Process) -> KillResult:
    """End a tree by the whole engine."""
    for module in (killing, engine_process):
        monkeypatch.setattr(module, "current", lambda *_: system)
    return kill_tree(root.pid, grace=0.01, settle=0.01)


def test_a_member_is_bound_with_the_facts_of_its_handle(
    windows: Windows, system: WindowsSystem
) -> None:
    member = bound(system, process := windows.spawn(name="npx.exe"))
    assert (member.ppid, member.start, member.name) == (os.getpid(), process.start, "npx.exe")
    assert (member.state, member.create_time, member.inode, member.sid) == (ALIVE, None, None, None)
    assert member.boot_id is None  # FILETIMEs span boots


def test_a_number_that_only_looks_like_a_process_is_none(
    windows: Windows, system: WindowsSystem
) -> None:
    # OpenProcess finds the process of 1000 by 1001, 1002 and 1003 as well.
    pid = windows.spawn().pid
    windows.spawn(pid=pid + 1)
    assert system.bind(pid)
    assert system.bind(pid + 1) is None


def test_idle_and_system_are_refused(windows: Windows, system: WindowsSystem) -> None:
    assert "Idle" in (system.refusal(0, None) or "")
    assert "System process" in (system.refusal(4, None) or "")
    member = bound(system, windows.spawn())
    assert system.refusal(member.pid, member) is None


def test_the_number_of_a_thread_is_refused(windows: Windows, system: WindowsSystem) -> None:
    process = windows.spawn()
    thread = process.pid + 400
    assert system.bind(thread) is None
    assert f"process of that thread is {process.pid}" in (system.refusal(thread, None) or "")


def test_a_dead_process_with_an_open_handle_is_a_zombie(
    windows: Windows, system: WindowsSystem
) -> None:
    process = windows.spawn()
    windows.open_process(process.pid, WATCH)  # as a Popen does
    process.end(3)
    member = bound(system, process)
    assert member.state == ZOMBIE
    assert system.owns_number(member)
    system.inspect([member])
    assert member.exit_code == 3


def test_one_table_serves_a_whole_scan(windows: Windows, system: WindowsSystem) -> None:
    root = windows.spawn()
    middle = windows.spawn(root)
    windows.spawn(middle)
    system.begin_scan()
    before = windows.tables
    [(_, found)] = system.children([bound(system, root)], {})
    assert len(system.children([found], {})) == 1
    assert windows.tables == before + 1


def test_a_child_older_than_its_parent_had_another_parent(
    windows: Windows, system: WindowsSystem
) -> None:
    root = windows.spawn()
    windows.spawn(root, start=root.start - 1)
    young = windows.spawn(root)
    assert under(system, bound(system, root)) == [young.pid]


def test_a_process_replaced_since_the_table_was_read_is_not_bound(
    windows: Windows, system: WindowsSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = windows.spawn()
    windows.spawn(root)
    monkeypatch.setattr(win32, "created", lambda handle: windows.handles[handle].start + 7)
    held = len(windows.handles)
    member = Member(root.pid)
    member.start = root.start
    assert under(system, member) == []
    assert len(windows.handles) == held


def test_the_children_of_a_dead_member_are_found(windows: Windows, system: WindowsSystem) -> None:
    root = bound(system, process := windows.spawn())
    orphan = windows.spawn(process)
    process.end(0)
    assert system.wait([root], 0.0) == [root]
    assert under(system, root) == [orphan.pid]


def test_the_children_of_a_vanished_process_are_found(
    windows: Windows, system: WindowsSystem
) -> None:
    root = windows.spawn()
    middle = windows.spawn(root, dead=True)  # listed, and dead before it could be held
    orphan = windows.spawn(middle)
    assert under(system, bound(system, root)) == [orphan.pid]


def test_the_host_of_a_console_belongs_to_no_tree(windows: Windows, system: WindowsSystem) -> None:
    root = windows.spawn()
    host = windows.spawn(root, name="ConHost.exe")
    started = windows.spawn(host)
    assert under(system, bound(system, root)) == [started.pid]
    assert host.pid not in system.candidates([], ours=False, children=False, everywhere=True)


def test_a_process_that_may_not_be_watched_is_known_by_the_table(
    windows: Windows, system: WindowsSystem
) -> None:
    root = windows.spawn()
    guarded = windows.spawn(root, opens=PROTECTED, name="guard.exe")
    [(_, child)] = system.children([bound(system, root)], {})
    again = bound(system, guarded)
    assert (child.handle, child.start, child.name) == (None, guarded.start, "guard.exe")
    assert (again.handle, again.start, again.ppid) == (None, guarded.start, root.pid)
    assert system.owns_number(child)
    assert under(system, child) == [windows.spawn(guarded).pid] or under(system, child)
    guarded.end(0)
    assert not system.owns_number(child)
    assert child.state == GONE
    assert system.wait([child], 0.0) == [child]
    assert under(system, child) == []


def test_a_known_number_with_a_new_owner_is_found_again(
    windows: Windows, system: WindowsSystem
) -> None:
    root = windows.spawn()
    guarded = windows.spawn(root, opens=PROTECTED)
    known = bound(system, guarded)
    guarded.end(0)
    later = windows.spawn(root, pid=guarded.pid)
    [(_, found)] = system.children([bound(system, root)], {known.pid: known})
    assert (found.pid, found.start, known.state) == (later.pid, later.start, GONE)
    assert system.children([bound(system, root)], {found.pid: found}) == []


def test_ancestors_are_older_than_their_children(windows: Windows, system: WindowsSystem) -> None:
    top = windows.spawn(ppid=0)
    middle = windows.spawn(top)
    low = windows.spawn(middle)
    assert system.ancestors(low.pid) == [middle.pid, top.pid]
    middle.start = low.start + 1  # the parent's number has another owner
    system.begin_scan()
    assert system.ancestors(low.pid) == []


def test_the_name_of_a_marker_has_no_case_and_its_value_has(
    system: WindowsSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(psutil.Process, "environ", lambda _: {"PLANTED": "a=B"})
    assert system.carries(os.getpid(), [b"Planted=a=B"])
    assert not system.carries(os.getpid(), [b"Planted=a=b"])
    assert not system.carries(os.getpid(), [b"Plant=a=B"])


def test_the_environment_of_a_process_that_is_older_than_the_tree_is_not_read(
    windows: Windows, system: WindowsSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    older, set_back, younger = windows.spawn(), windows.spawn(), windows.spawn()
    older.start = younger.start - 2 * CLOCK_STEP
    set_back.start = younger.start - CLOCK_STEP // 2
    read: list[int] = []

    def environment(pid: int, **_: bool) -> dict[str, str]:
        read.append(pid)
        return {}

    monkeypatch.setattr(psutil_facts, "environment", environment)
    scan(Tree(system, Aim([], [b"PLANTED=1"], since=younger.start)))
    assert read == [set_back.pid, younger.pid]


def test_processes_without_a_handle_are_looked_up_in_one_table(
    windows: Windows, system: WindowsSystem
) -> None:
    processes = [windows.spawn(opens=PROTECTED) for _ in range(3)]
    members = [bound(system, process) for process in processes]
    processes[1].end(0)
    before = windows.tables
    assert system.wait(members, system.now()) == [members[1]]
    assert windows.tables == before + 1


def test_what_a_hidden_environment_holds_is_unknown_where_it_matters(
    windows: Windows, system: WindowsSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(process: psutil.Process) -> dict[str, str]:
        raise psutil.AccessDenied(process.pid)

    monkeypatch.setattr(psutil.Process, "__init__", lambda self, pid: setattr(self, "_pid", pid))
    monkeypatch.setattr(psutil.Process, "environ", refuse)
    plain, protected = windows.spawn(), windows.spawn(opens=PROTECTED)
    assert system.carries(plain.pid, [b"PLANTED=1"]) is None
    assert system.carries(protected.pid, [b"PLANTED=1"]) is False


@pytest.mark.parametrize("name", ["sccache", "SCCACHE", "sccache.EXE"])
def test_a_name_has_no_case_and_needs_no_suffix(
    windows: Windows, system: WindowsSystem, name: str
) -> None:
    member = bound(system, windows.spawn(name="sccache.exe"))
    assert system.name_among(member, ["adb", name]) == name
    assert system.name_among(member, ["sccach", "adb.exe"]) == ""


def test_there_are_no_sessions(system: WindowsSystem) -> None:
    assert system.session(os.getpid()) is None
    assert not system.group_remains(Member(os.getpid()))


def test_only_what_we_suspended_counts_as_stopped(windows: Windows, system: WindowsSystem) -> None:
    member = bound(system, process := windows.spawn())
    system.release([member])
    assert not system.stopped(member.pid)
    assert system.freeze([member], []) == Reply([], [])
    assert system.stopped(member.pid)
    assert process.suspended == 1
    system.release([member])
    assert process.suspended == 0
    assert member.signals == ["NtSuspendProcess", "NtResumeProcess"]


def test_force_is_reported_in_the_words_of_windows(windows: Windows, system: WindowsSystem) -> None:
    member = bound(system, windows.spawn())
    assert system.kill([member], []) == Reply([], [])
    assert system.wait([member], 0.0) == [member]
    assert member.signals == ["TerminateProcess"]
    system.inspect([member])
    assert member.exit_code == system.force_code
    assert system.kill([member], []) == Reply([member], [])


def test_a_dying_process_refuses_and_is_not_called_denied(
    windows: Windows, system: WindowsSystem
) -> None:
    member = bound(system, process := windows.spawn(dying=True))
    assert system.kill([member], []) == Reply([], [])
    process.end(0)
    assert system.wait([member], 0.0) == [member]


@pytest.mark.parametrize("rights", [{"opens": WATCH, "grants": WATCH}, {"grants": WATCH}])
def test_a_process_that_cannot_be_ended_is_denied(
    windows: Windows, system: WindowsSystem, rights: dict[str, object]
) -> None:
    member = bound(system, windows.spawn(**rights))
    assert system.freeze([member], []) == Reply([], [member])
    assert system.kill([member], []) == Reply([], [member])
    assert member.signals == []


def test_taskkill_is_asked_where_force_was_denied(
    windows: Windows, system: WindowsSystem, tools: Tools
) -> None:
    denied = bound(system, windows.spawn(grants=WATCH))
    guarded = bound(system, windows.spawn(opens=PROTECTED))
    tools.force_answers[guarded.pid] = Answer.REFUSED
    system.kill([denied, guarded], [])
    assert system.insist([denied, guarded], 1.0) == Reply([denied], [guarded])
    assert denied.signals == ["taskkill /F"]
    assert guarded.signals == []
    assert guarded.note == (
        "TerminateProcess was refused; taskkill /F: it was refused; tasklist lists it"
    )
    assert tools.asked[0] == ("force", [denied.pid, guarded.pid])  # then each alone


def test_what_taskkill_says_decides_nothing(
    windows: Windows, system: WindowsSystem, tools: Tools
) -> None:
    liar = bound(system, windows.spawn(grants=WATCH))
    tools.force_answers[liar.pid] = Answer.DONE  # and it lives
    assert system.insist([liar], 1.0) == Reply([], [])
    assert system.wait([liar], 0.0) == []
    gone = bound(system, process := windows.spawn())
    process.end(0)
    assert system.insist([gone], 1.0) == Reply([gone], [])


def test_a_denied_process_is_reported_with_all_that_was_tried(
    windows: Windows, system: WindowsSystem, tools: Tools, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = windows.spawn()
    guarded = windows.spawn(root, opens=PROTECTED)
    tools.force_answers[guarded.pid] = Answer.HUNG
    result = end(system, monkeypatch, root)
    low, top = result.outcomes
    assert (low.fate, top.fate) == (Fate.DENIED, Fate.KILLED)
    assert "taskkill /F: it took too long and was ended" in (low.detail or "")
    assert windows.handles == {}


def test_a_process_that_taskkill_ends_counts_as_killed(
    windows: Windows, system: WindowsSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = end(system, monkeypatch, windows.spawn(grants=WATCH))
    assert [outcome.fate for outcome in result.outcomes] == [Fate.KILLED]
    assert result.forced


def test_a_group_is_asked_and_the_others_say_why_not(
    windows: Windows, system: WindowsSystem
) -> None:
    leader = windows.spawn()
    leader.group = leader.pid
    follower = windows.spawn(leader, group=leader.pid)
    ours = windows.spawn(group=os.getpid())
    far = windows.spawn()
    members = [bound(system, process) for process in (follower, leader, ours, far)]
    reply = system.ask(members, "SIGTERM", 1.0, [])
    assert windows.breaks == [leader.pid]
    assert [member.signals for member in members] == [["CTRL_BREAK"], ["CTRL_BREAK"], [], []]
    assert reply == Reply([], [])
    assert [member.unreachable for member in members] == [False, False, True, True]
    assert members[2].note == "it could not be asked: it is in the caller's own console group"
    assert members[3].note == "it could not be asked: it does not share the caller's console"


def test_a_member_that_a_later_request_reaches_is_awaited(
    windows: Windows, system: WindowsSystem
) -> None:
    process = windows.spawn()
    member = bound(system, process)
    system.ask([member], "SIGTERM", 1.0, [])
    assert member.unreachable
    process.group = process.pid  # it shares the console by now
    system.ask([member], "SIGBREAK", 1.0, [])
    assert not member.unreachable


def test_windows_are_closed_by_taskkill(
    windows: Windows, system: WindowsSystem, tools: Tools
) -> None:
    members = [bound(system, windows.spawn(window=True)) for _ in range(2)]
    assert system.ask(members, "SIGTERM", 1.0, []) == Reply([], [])
    assert tools.asked == [("close", [member.pid for member in members])]
    assert {tuple(member.signals) for member in members} == {("WM_CLOSE",)}


def test_one_window_that_cannot_be_closed_does_not_hide_the_others(
    windows: Windows, system: WindowsSystem, tools: Tools
) -> None:
    members = [bound(system, windows.spawn(window=True)) for _ in range(3)]
    tools.close[members[1].pid] = Answer.REFUSED
    system.ask(members, "SIGTERM", 1.0, [])
    assert [member.unreachable for member in members] == [False, True, False]
    assert members[1].note == "it could not be asked: taskkill: it was refused"
    assert [member.signals for member in members] == [["WM_CLOSE"], [], ["WM_CLOSE"]]


def test_a_member_that_has_left_is_not_asked(
    windows: Windows, system: WindowsSystem, tools: Tools
) -> None:
    member = bound(system, process := windows.spawn(window=True))
    process.end(0)
    assert system.ask([member], "SIGTERM", 1.0, []) == Reply([member], [])
    assert tools.asked == []


def test_more_handles_are_waited_for_than_one_wait_holds(
    windows: Windows, system: WindowsSystem
) -> None:
    processes = [windows.spawn() for _ in range(200)]
    members = [bound(system, process) for process in processes]
    assert system.wait(members, 0.0) == []
    last = [0, 62, 63, 64, 127, 199]
    for index in last:
        processes[index].end(0)
    assert system.wait(members, system.now() + 1) == [members[index] for index in last]


@pytest.mark.parametrize("count", [1, 100])
def test_a_hurry_wakes_a_wait_once(windows: Windows, system: WindowsSystem, count: int) -> None:
    members = [bound(system, windows.spawn()) for _ in range(count)]
    hasty = threading.Thread(target=system.hurry)
    hasty.start()
    hasty.join()
    assert system.wait(members, system.now() + 1000) == []
    assert system.hurried
    assert system.wait(members, 0.0) == []


@pytest.mark.parametrize("hurried", [False, True])
def test_only_a_hurry_ends_the_wait_for_a_helper(
    system: WindowsSystem, monkeypatch: pytest.MonkeyPatch, *, hurried: bool
) -> None:
    answers = iter([False, True])
    monkeypatch.setattr(system._handles, "wait_for", lambda *_: next(answers))
    system.hurried = hurried
    assert system._wait_for_tool(8, system.now() + 1000) is not hurried


def test_every_handle_is_given_back(windows: Windows, system: WindowsSystem) -> None:
    members = [bound(system, windows.spawn()) for _ in range(3)]
    system.drop(members[0])
    assert members[0].handle is None
    assert len(windows.handles) == 3  # two members, and the event that wakes
    system.close()
    assert windows.handles == {}


def test_a_command_line_that_cannot_be_read_yet_is_not_reported(
    windows: Windows, system: WindowsSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_process: psutil.Process) -> list[str]:
        raise OSError(22, "ERROR_INVALID_PARAMETER")

    monkeypatch.setattr(psutil.Process, "cmdline", refuse)
    member = Member(os.getpid())
    member.start = windows.spawn().start
    monkeypatch.setattr(win32, "now", lambda: (member.start or 0) + 30_000_000)
    shown = system.details(member)
    assert (shown.command, shown.seconds) == (None, 3.0)


def test_the_times_of_the_dead_are_asked_for_as_well(
    system: WindowsSystem, windows: Windows
) -> None:
    members = [bound(system, windows.spawn(used=(5 * 10**6, 10**6))) for _ in range(2)]
    windows.processes[0].end(0)
    assert system.cpu_used(members) == (1.0, 0.2)
    assert system.cpu_used([Member(4)]) is None
