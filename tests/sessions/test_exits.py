"""Real: agents that leave by themselves, and many that come and go."""

from __future__ import annotations

import errno
import gc
import subprocess
import threading
import weakref
from pathlib import Path
from typing import Any

import pytest

from proctree_kill import SessionManager, TreePopen
from proctree_kill._sessions.session import ManagedSession
from proctree_kill._systems import current
from support.agents import FOREVER, HASTY, PATIENT, files, start
from support.churn import churn
from support.counts import CHURN
from support.listener import Listener
from support.nodes import Node
from support.planter import Planter
from support.threads import in_thread, running_threads, wait_for_new_threads
from support.times import BOUND

pytestmark = pytest.mark.needs("fork")

FULL = OSError(errno.EMFILE, "Too many open files")
with current() as system:
    SYSTEM = type(system)


def failing_in_the_watch(
    monkeypatch: pytest.MonkeyPatch,
    kind: type[object],
    method: str,
    times: int = 1,
    error: Exception = FULL,
) -> threading.Event:
    """Have the first calls of a method fail in the thread that watches; return when they have."""
    left = times
    over = threading.Event()
    real = getattr(kind, method)

    def scarce(*args: Any, **options: Any) -> Any:  # noqa: ANN401 - what the method returns
        nonlocal left
        if left and threading.current_thread().name == "proctree_kill watch":
            left -= 1
            if not left:
                over.set()
            raise error
        return real(*args, **options)

    monkeypatch.setattr(kind, method, scarce)
    return over


def test_an_agent_that_leaves_by_itself_is_noticed(
    manager: SessionManager, tmp_path: Path, listener: Listener
) -> None:
    session = manager.spawn_agent("a", ["sh", "-c", "exit 7"])
    event = listener.wait("exited")
    assert (event.state, event.error) == ("exited", None)
    assert (session.state, session.exit_code) == ("exited", 7)
    assert dict(manager.sessions) == {}
    assert files(tmp_path) == set()
    assert listener.names() == ["started", "exited"]


def test_what_it_left_behind_is_ended(plant: Planter, tmp_path: Path, listener: Listener) -> None:
    manager = SessionManager(tmp_path, policy=HASTY, event_broadcaster=listener)
    left = Node(name="root", dies=True, children=(Node(name="stubborn", on_term="ignore"),))
    session, tree = start(manager, plant, "a", left)
    listener.wait("exited")
    assert tree.all_dead()
    assert session.exit_code == 0
    assert listener.names() == ["started", "exited"]
    assert session.result
    assert session.result.kill
    fates = [outcome.fate for outcome in session.result.kill.outcomes]
    assert "killed" in fates


def test_the_result_of_a_session_is_known_to_code_that_did_not_stop_it(
    manager: SessionManager, listener: Listener
) -> None:
    left = manager.spawn_agent("left", ["true"])
    listener.wait("exited", "left")
    assert left.result
    assert left.result.method == "nothing_to_stop"
    stopped = manager.spawn_agent("stopped", ["sleep", "1000"])
    assert stopped.result is None
    assert manager.stop_agent("stopped") == stopped.result


def test_an_exit_is_noticed_whichever_code_reaps_it(
    manager: SessionManager, listener: Listener
) -> None:
    session = manager.spawn_agent("a", ["true"])
    assert session.process.wait() == 0
    listener.wait("exited")


@pytest.mark.parametrize("method", ["bind", "wait"])
def test_exits_are_noticed_though_descriptors_were_used_up_for_a_while(
    manager: SessionManager, listener: Listener, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    over = failing_in_the_watch(monkeypatch, SYSTEM, method, times=3)
    first = manager.spawn_agent("a", ["sh", "-c", "read line"], stdin=subprocess.PIPE)
    assert over.wait(BOUND)
    assert first.process.stdin
    first.process.stdin.close()
    listener.wait("exited")
    manager.spawn_agent("b", ["true"])
    listener.wait("exited", "b")


def test_a_look_at_one_agent_that_goes_wrong_hides_no_other(
    manager: SessionManager, listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    over = failing_in_the_watch(monkeypatch, SYSTEM, "bind", error=ValueError("no number"))
    manager.spawn_agent("a", ["sleep", "1000"])
    assert over.wait(BOUND)
    manager.spawn_agent("b", ["true"])
    listener.wait("exited", "b")


@pytest.mark.parametrize("method", ["bind", "wait"])
def test_a_lifetime_is_over_though_descriptors_were_used_up_for_a_while(
    manager: SessionManager, listener: Listener, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    over = failing_in_the_watch(monkeypatch, SYSTEM, method)
    manager.spawn_agent("a", ["sleep", "1000"], max_lifetime=0.3)
    listener.wait("stopped")
    assert over.is_set()


@pytest.mark.parametrize("method", ["poll", "usage"])
def test_what_an_exit_left_is_ended_though_it_could_not_be_looked_at(
    manager: SessionManager, listener: Listener, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    over = failing_in_the_watch(monkeypatch, TreePopen, method)
    manager.spawn_agent("a", ["true"])
    listener.wait("exited")
    assert over.is_set()
    assert in_thread(lambda: manager.stop_agent("a").method)() == "nothing_to_stop"


def test_nothing_is_watched_when_there_is_no_process(
    manager: SessionManager, listener: Listener
) -> None:
    threads = running_threads()
    for name in "abc":
        manager.spawn_agent(name, ["true"])
        listener.wait("exited", name)
    assert manager.stop_all() == {}
    wait_for_new_threads(threads, besides="proctree_kill events")


def test_a_stop_hurries_the_end_of_what_an_exit_left(
    plant: Planter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manager = SessionManager(tmp_path, policy=FOREVER)
    begun = threading.Event()
    begin_stop = ManagedSession.begin_stop

    def noted(session: ManagedSession) -> object:
        found = begin_stop(session)
        begun.set()
        return found

    monkeypatch.setattr(ManagedSession, "begin_stop", noted)
    left = Node(name="root", dies=True, children=(Node(name="stubborn", on_term="ignore"),))
    _, tree = start(manager, plant, "a", left)
    assert begun.wait(BOUND)
    assert manager.stop_agent("a").success
    assert tree.all_dead()


def test_many_sessions_from_many_threads_leave_nothing(tmp_path: Path) -> None:
    known = weakref.WeakSet(managed_sessions())  # those of earlier tests may go meanwhile
    threads, listener = running_threads(), Listener()
    with SessionManager(tmp_path, policy=PATIENT, event_broadcaster=listener) as manager:
        churn(manager, CHURN)
        assert dict(manager.sessions) == {}
    assert files(tmp_path) == set()
    for number in range(CHURN):
        assert listener.names(str(number)) == ["started", "stopping", "stopped"]
    wait_for_new_threads(threads)
    assert managed_sessions() <= {*known}


def managed_sessions() -> set[ManagedSession]:
    """Return the sessions that are still referred to."""
    gc.collect()
    return {item for item in gc.get_objects() if type(item) is ManagedSession}
