"""Pure: which state may follow which. Real: sessions from their start to their end."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from proctree_kill import (
    KillPolicy,
    Session,
    SessionEvent,
    SessionManager,
    SessionState,
    StopResult,
    TreePopen,
    errors,
    identify,
)
from proctree_kill import _starts as starts
from proctree_kill._agents import Agent
from proctree_kill._records import record_path
from proctree_kill._session_models import MOVES
from support.agents import HASTY, PATIENT, files, options, start
from support.callers import apart
from support.churn import churn
from support.counts import CHURN, HUNG
from support.nodes import Node, chain
from support.papers import dead_owner, new_marker, write
from support.planter import Planter, node_argv
from support.trees import BOUND

pytestmark = pytest.mark.needs("fork")

POLITE = chain("root", "child")
DEAF = Node(name="root", on_term="ignore", children=(Node(name="child", on_term="ignore"),))
FOREVER = KillPolicy(grace=1000.0)
"""For whom never leaves: only force ends the grace."""


class Ear:
    """Hears the events of a manager, and waits for one."""

    def __init__(self) -> None:
        self.events: list[SessionEvent] = []
        self._heard = threading.Condition()

    def __call__(self, event: SessionEvent) -> None:
        with self._heard:
            self.events.append(event)
            self._heard.notify_all()

    def wait(self, name: str, session_id: str = "a") -> SessionEvent:
        def found() -> SessionEvent | None:
            same = (one for one in self.events if one.session_id == session_id)
            return next((one for one in same if one.event.endswith(f".{name}")), None)

        with self._heard:
            event = self._heard.wait_for(found, BOUND)
        assert event, f"{name} of {session_id} never came: {self.events}"
        return event

    def names(self, session_id: str = "a") -> list[str]:
        same = (one for one in self.events if one.session_id == session_id)
        return [one.event.rpartition(".")[2] for one in same]


@pytest.fixture
def ear() -> Ear:
    return Ear()


@pytest.fixture
def manager(tmp_path: Path, ear: Ear) -> Iterator[SessionManager]:
    with SessionManager(tmp_path, policy=PATIENT, event_broadcaster=ear) as manager:
        yield manager


def in_thread(call: Callable[[], Any]) -> Callable[[], Any]:
    """Begin a call in another thread; return what waits for its result."""
    results: list[Any] = []
    thread = threading.Thread(target=lambda: results.append(call()))
    thread.start()

    def result() -> object:
        thread.join(BOUND)
        assert results, "it did not return"
        return results[0]

    return result


class TestStates:
    """Pure."""

    @pytest.mark.parametrize(("before", "after"), list(product(SessionState, SessionState)))
    def test_no_state_follows_but_those_of_the_table(
        self, before: SessionState, after: SessionState
    ) -> None:
        agent = Agent("a", "mcp")
        agent.state = before
        if after in MOVES[before]:
            agent.ended(after)
            assert agent.state is after
        else:
            with pytest.raises(errors.SessionError, match=f"cannot become {after}"):
                agent.ended(after)
            assert agent.state is before

    def test_what_is_over_stays_over(self) -> None:
        for state in (SessionState.STOPPED, SessionState.EXITED):
            assert not MOVES[state]


class TestStops:
    def test_a_session_from_its_start_to_its_end(
        self, manager: SessionManager, plant: Planter, tmp_path: Path, ear: Ear
    ) -> None:
        session, tree = start(manager, plant, "a", POLITE, tool="claude")
        assert (session.id, session.tool, session.state) == ("a", "claude", "running")
        assert session.identity == identify(tree.pids["root"])
        assert session.process
        assert session.process.pid == tree.pids["root"]
        assert session.exit_code is None
        assert session.started_at
        assert not session.recovered
        assert manager.sessions["a"].identity == session.identity
        assert files(tmp_path) == {"session_a.pid"}
        result = manager.stop_agent("a")
        assert (result.success, result.method, result.error) == (True, "terminated", None)
        assert result.kill
        assert result.kill.verified
        assert tree.all_dead()
        assert (session.state, session.exit_code) == ("stopped", -15)
        assert dict(manager.sessions) == {}
        assert files(tmp_path) == set()
        last = ear.wait("stopped")
        assert ear.names() == ["started", "stopping", "stopped"]
        assert (last.event, last.state) == ("claude.session.stopped", "stopped")
        assert (last.pid, last.method) == (tree.pids["root"], "terminated")
        assert StopResult.model_validate_json(result.model_dump_json()) == result

    def test_one_that_ignores_everything_is_killed(
        self, plant: Planter, tmp_path: Path, ear: Ear
    ) -> None:
        manager = SessionManager(tmp_path, policy=HASTY, event_broadcaster=ear)
        session, tree = start(manager, plant, "a", DEAF)
        result = manager.stop_agent("a")
        assert (result.success, result.method) == (True, "killed")
        assert tree.all_dead()
        assert session.exit_code == -9

    def test_one_that_leaves_when_its_input_is_closed(self, manager: SessionManager) -> None:
        session = manager.spawn_agent("a", ["cat"], stdin=subprocess.PIPE)
        assert manager.stop_agent("a").method == "closed_stdin"
        assert session.exit_code == 0
        assert session.process
        assert session.process.stdin
        session.process.stdin.close()

    def test_a_daemon_of_a_session_is_ended_with_it(
        self, manager: SessionManager, plant: Planter
    ) -> None:
        first = Node(name="first", session=True, dies=True, children=(Node(name="daemon"),))
        _, tree = start(manager, plant, "a", Node(name="root", children=(first,)))
        assert manager.stop_agent("a").success
        assert tree.all_dead()

    def test_an_id_can_be_used_again(self, manager: SessionManager, plant: Planter) -> None:
        for _ in range(2):
            _, tree = start(manager, plant, "a", POLITE)
            assert manager.stop_agent("a").success
            assert tree.all_dead()

    def test_a_second_stop_forces_and_both_return_the_same(
        self, plant: Planter, tmp_path: Path, ear: Ear
    ) -> None:
        manager = SessionManager(tmp_path, policy=FOREVER, event_broadcaster=ear)
        _, tree = start(manager, plant, "a", DEAF)
        first = in_thread(lambda: manager.stop_agent("a"))
        ear.wait("stopping")
        second = manager.stop_agent("a")
        assert second.method == "killed"
        assert first() == second
        assert tree.all_dead()
        ear.wait("stopped")
        assert ear.names() == ["started", "stopping", "stopped"]

    def test_an_interrupt_forces_and_is_raised_when_the_session_is_over(
        self, plant: Planter, tmp_path: Path
    ) -> None:
        def interrupt(event: SessionEvent) -> None:
            if event.event.endswith("stopping"):
                os.kill(os.getpid(), signal.SIGINT)

        manager = SessionManager(tmp_path, policy=FOREVER, event_broadcaster=interrupt)
        session, tree = start(manager, plant, "a", DEAF)
        with pytest.raises(KeyboardInterrupt):
            manager.stop_agent("a")
        assert tree.all_dead()
        assert session.state is SessionState.STOPPED

    def test_hung_sessions_are_stopped_in_the_time_of_one(
        self, plant: Planter, tmp_path: Path
    ) -> None:
        manager = SessionManager(tmp_path, policy=KillPolicy(grace=1.0))
        trees = [start(manager, plant, str(one), DEAF)[1] for one in range(HUNG)]
        before = time.monotonic()
        results = manager.stop_all()
        assert time.monotonic() - before < HUNG / 2
        assert results.keys() == {str(one) for one in range(HUNG)}
        assert all(one.success and one.method == "killed" for one in results.values())
        assert all(tree.all_dead() for tree in trees)
        assert manager.stop_all() == {}

    def test_a_hung_session_delays_no_other(self, plant: Planter, tmp_path: Path, ear: Ear) -> None:
        manager = SessionManager(tmp_path, policy=FOREVER, event_broadcaster=ear)
        hung, tree = start(manager, plant, "a", DEAF)
        others = [start(manager, plant, f"b{one}", POLITE)[1] for one in range(4)]
        stopping = in_thread(lambda: manager.stop_agent("a"))
        ear.wait("stopping")
        for index, other in enumerate(others):
            assert manager.stop_agent(f"b{index}").method == "terminated"
            assert other.all_dead()
        start(manager, plant, "c", POLITE)
        assert hung.state is SessionState.STOPPING
        assert {*manager.sessions} == {"a", "c"}
        assert {one.method for one in manager.stop_all().values()} == {"killed", "terminated"}
        assert stopping().success
        assert tree.all_dead()

    def test_a_stop_waits_for_a_start_that_is_under_way(
        self,
        manager: SessionManager,
        plant: Planter,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        entered, go_on = threading.Event(), threading.Event()

        def slowly(*args: Any, **given: Any) -> TreePopen[Any]:
            entered.set()
            assert go_on.wait(BOUND)
            return TreePopen(*args, **given)

        monkeypatch.setattr(starts, "TreePopen", slowly)
        with options(plant) as (seed, given):
            starting = in_thread(
                lambda: manager.spawn_agent("a", node_argv(Node(name="root")), **given)
            )
            assert entered.wait(BOUND)
            assert manager.sessions["a"].state is SessionState.STARTING
            stopping = in_thread(lambda: manager.stop_agent("a"))
            go_on.set()
            session, result = starting(), stopping()
        assert isinstance(session, Session)
        assert result.success
        assert seed.tree.all_dead()
        assert session.state is SessionState.STOPPED


class TestWhatIsNotKnown:
    def test_nothing_is_there(self, manager: SessionManager) -> None:
        result = manager.stop_agent("a")
        assert (result.success, result.method, result.kill) == (True, "nothing_to_stop", None)
        assert "has no record" in result.message

    def test_a_lost_session_is_ended_by_its_record_whoever_owns_it(
        self, manager: SessionManager, plant: Planter, tmp_path: Path, ear: Ear
    ) -> None:
        other = SessionManager(tmp_path, policy=PATIENT)
        session, tree = start(other, plant, "a", POLITE, tool="claude")
        result = manager.stop_agent("a")
        assert (result.success, result.method) == (True, "recovered_record")
        assert tree.all_dead()
        assert files(tmp_path) == set()
        assert ear.wait("stopped").event == "claude.session.stopped"
        assert session.process
        session.process.wait()
        assert other.stop_agent("a").method == "nothing_to_stop"

    def test_a_recycled_pid_is_not_touched_and_it_is_said(
        self, manager: SessionManager, plant: Planter, tmp_path: Path
    ) -> None:
        tree = plant(POLITE)
        another = identify(tree.root.pid).model_copy(update={"start": 1, "inode": 1})
        if another.weak:
            another = another.model_copy(update={"create_time": 1.0})
        write(tmp_path, "a", owner=dead_owner(plant), identity=another)
        result = manager.stop_agent("a")
        assert (result.success, result.method) == (True, "nothing_to_stop")
        assert "was not touched" in result.message
        assert tree.root.poll() is None
        assert files(tmp_path) == set()

    @pytest.mark.parametrize(
        ("text", "words"), [(b"4711", "another program"), (b"7\n{", "no JSON object")]
    )
    def test_what_may_not_be_acted_upon_is_a_failure_that_says_why(
        self, manager: SessionManager, tmp_path: Path, ear: Ear, text: bytes, words: str
    ) -> None:
        path = record_path(tmp_path, "a")
        path.write_bytes(text)
        result = manager.stop_agent("a")
        assert (result.success, result.method) == (False, "nothing_to_stop")
        assert words in str(result.error)
        assert path.read_bytes() == text
        assert ear.wait("stop_failed").error == result.error
        assert dict(manager.sessions) == {}

    def test_a_second_stop_of_a_lost_session_forces_too(
        self, plant: Planter, tmp_path: Path, ear: Ear
    ) -> None:
        manager = SessionManager(tmp_path, policy=FOREVER, event_broadcaster=ear)
        marker = new_marker()
        tree = plant(DEAF, marker=marker)
        write(tmp_path, "a", identity=identify(tree.root.pid), marker=marker)
        first = in_thread(lambda: manager.stop_agent("a"))
        ear.wait("stopping")
        assert manager.sessions["a"].recovered
        assert manager.stop_agent("a") == first()
        assert tree.all_dead()

    def test_the_manager_recovers_and_tells(
        self, manager: SessionManager, plant: Planter, tmp_path: Path, ear: Ear
    ) -> None:
        marker = new_marker()
        tree = plant(POLITE, marker=marker)
        identity = identify(tree.root.pid)
        write(tmp_path, "a", owner=dead_owner(plant), identity=identity, marker=marker)
        kept, alive = start(manager, plant, "b", POLITE)
        assert manager.recover(dry_run=True).summary() == "would be: 1 reaped, 1 owned"
        assert manager.recover().summary() == "1 reaped, 1 owned"
        event = ear.wait("recovered")
        assert (event.event, event.pid) == ("mcp.session.recovered", identity.pid)
        assert ear.names() == ["recovered"]
        assert tree.all_dead()
        assert kept.state is SessionState.RUNNING
        assert not alive.all_dead()


class TestExits:
    def test_an_agent_that_leaves_by_itself_is_noticed(
        self, manager: SessionManager, tmp_path: Path, ear: Ear
    ) -> None:
        session = manager.spawn_agent("a", ["sh", "-c", "exit 7"])
        event = ear.wait("exited")
        assert (event.state, event.error) == ("exited", None)
        assert (session.state, session.exit_code) == ("exited", 7)
        assert dict(manager.sessions) == {}
        assert files(tmp_path) == set()
        assert ear.names() == ["started", "exited"]

    def test_whoever_it_left_behind_is_ended(
        self, plant: Planter, tmp_path: Path, ear: Ear
    ) -> None:
        manager = SessionManager(tmp_path, policy=HASTY, event_broadcaster=ear)
        left = Node(name="root", dies=True, children=(Node(name="deaf", on_term="ignore"),))
        session, tree = start(manager, plant, "a", left)
        ear.wait("exited")
        assert tree.all_dead()
        assert session.exit_code == 0
        assert ear.names() == ["started", "exited"]

    def test_it_is_noticed_whoever_reaps_it(self, manager: SessionManager, ear: Ear) -> None:
        session = manager.spawn_agent("a", ["true"])
        assert session.process
        assert session.process.wait() == 0
        ear.wait("exited")

    def test_nothing_is_watched_when_nobody_is_there(
        self, manager: SessionManager, ear: Ear
    ) -> None:
        for name in "abc":
            manager.spawn_agent(name, ["true"])
            ear.wait("exited", name)
        assert manager.stop_all() == {}
        wait_for_threads({threading.main_thread().name, "proctree_kill events"})

    def test_a_stop_hurries_the_end_of_what_an_exit_left(
        self, plant: Planter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        manager = SessionManager(tmp_path, policy=FOREVER)
        begun = threading.Event()
        leave = Agent.leave

        def noted(agent: Agent) -> object:
            found = leave(agent)
            begun.set()
            return found

        monkeypatch.setattr(Agent, "leave", noted)
        left = Node(name="root", dies=True, children=(Node(name="deaf", on_term="ignore"),))
        _, tree = start(manager, plant, "a", left)
        assert begun.wait(BOUND)
        assert manager.stop_agent("a").success
        assert tree.all_dead()


class TestRefusals:
    @pytest.mark.parametrize("name", ["../x", "", "x" * 300, "a\0", "CON", "a."])
    def test_an_id_that_is_none_touches_nothing(
        self, manager: SessionManager, tmp_path: Path, name: str
    ) -> None:
        with pytest.raises(errors.SessionError):
            manager.spawn_agent(name, ["true"])
        with pytest.raises(errors.SessionError):
            manager.stop_agent(name)
        assert files(tmp_path) == set()

    def test_a_session_that_is_there_is_not_started_again(
        self, manager: SessionManager, plant: Planter
    ) -> None:
        session, _ = start(manager, plant, "a", POLITE)
        with pytest.raises(errors.SessionError, match="there already, and running"):
            manager.spawn_agent("a", ["true"])
        assert session.state is SessionState.RUNNING

    def test_an_id_with_a_record_is_not_started(
        self, manager: SessionManager, tmp_path: Path
    ) -> None:
        write(tmp_path, "a")
        with pytest.raises(errors.RecordError, match="recover it or stop it first"):
            manager.spawn_agent("a", ["true"])
        assert files(tmp_path) == {"session_a.starting"}
        assert dict(manager.sessions) == {}

    def test_what_cannot_be_started_leaves_nothing(
        self, manager: SessionManager, tmp_path: Path, ear: Ear
    ) -> None:
        with pytest.raises(FileNotFoundError):
            manager.spawn_agent("a", ["no-such-program"])
        with pytest.raises(errors.ContainmentError):
            manager.spawn_agent("a", ["true"], containment="kernel", start_new_session=False)
        assert files(tmp_path) == set()
        assert dict(manager.sessions) == {}
        assert ear.events == []

    def test_a_tool_has_a_name(self, manager: SessionManager) -> None:
        with pytest.raises(errors.SessionError, match="a tool is a name"):
            manager.spawn_agent("a", ["true"], tool="")

    def test_a_manager_that_was_left_starts_nothing(self, tmp_path: Path) -> None:
        with SessionManager(tmp_path) as manager:
            pass
        with pytest.raises(errors.SessionError, match="starts nothing any more"):
            manager.spawn_agent("a", ["true"])
        with manager:
            assert manager.spawn_agent("a", ["cat"], stdin=subprocess.DEVNULL)

    def test_a_forked_child_is_refused_and_stops_nobody(
        self, manager: SessionManager, plant: Planter
    ) -> None:
        session, _ = start(manager, plant, "a", POLITE)

        def scene() -> list[str]:
            said = []
            calls: list[Callable[[], object]] = [
                lambda: manager.sessions,
                lambda: manager.spawn_agent("b", ["true"]),
                lambda: manager.stop_agent("a"),
                manager.stop_all,
                manager.recover,
                manager.__enter__,
            ]
            for call in calls:
                try:
                    call()
                except errors.SessionError as error:
                    said.append(error.reason)
            manager.__exit__(None, None, None)
            return said

        said = apart(scene)
        assert len(said) == 6
        assert all("a fork" in one for one in said)
        assert session.state is SessionState.RUNNING

    def test_a_broadcaster_has_to_be_callable(self, tmp_path: Path) -> None:
        with pytest.raises(TypeError, match="event_broadcaster"):
            SessionManager(tmp_path, event_broadcaster="mqtt")  # type: ignore[arg-type] # the point

    @pytest.mark.parametrize("where", ["started", "settle"])
    def test_an_interrupted_start_leaves_nobody(
        self,
        manager: SessionManager,
        plant: Planter,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        where: str,
    ) -> None:
        real = getattr(Agent, where)

        def interrupted(agent: Agent, *args: object) -> None:
            monkeypatch.undo()
            if where == "settle":
                real(agent, *args)
            raise KeyboardInterrupt

        monkeypatch.setattr(Agent, where, interrupted)
        with options(plant) as (seed, given), pytest.raises(KeyboardInterrupt):
            manager.spawn_agent("a", node_argv(POLITE), **given)
        assert seed.tree.all_dead()
        assert files(tmp_path) == set()
        assert dict(manager.sessions) == {}


def test_leaving_the_block_stops_everybody(plant: Planter, tmp_path: Path) -> None:
    with SessionManager(tmp_path, policy=PATIENT) as manager:
        trees = [start(manager, plant, str(one), POLITE)[1] for one in range(3)]
    assert all(tree.all_dead() for tree in trees)
    assert files(tmp_path) == set()


def test_a_policy_never_spares_the_root(plant: Planter, tmp_path: Path) -> None:
    manager = SessionManager(tmp_path, policy=KillPolicy(grace=10.0, include_root=False))
    _, tree = start(manager, plant, "a", POLITE)
    assert manager.stop_agent("a").success
    assert tree.all_dead()


def test_many_sessions_from_many_threads_leave_nothing(tmp_path: Path) -> None:
    known = Counter(type(one).__name__ for one in gc.get_objects())["Agent"]
    ear = Ear()
    with SessionManager(tmp_path, policy=PATIENT, event_broadcaster=ear) as manager:
        churn(manager, CHURN)
        assert dict(manager.sessions) == {}
    assert files(tmp_path) == set()
    for number in range(CHURN):
        assert ear.names(str(number)) == ["started", "stopping", "stopped"]
    wait_for_threads({threading.main_thread().name})
    gc.collect()
    assert Counter(type(one).__name__ for one in gc.get_objects())["Agent"] == known


RECIPE = """\
import atexit, os, signal, sys
from proctree_kill import KillPolicy, SessionManager
manager = SessionManager(sys.argv[1], policy=KillPolicy(grace=0.2))
voice = int(os.environ["PLANT_VOICE"])
def begin():
    manager.spawn_agent("a", ["sh", "-c", "trap '' TERM; sleep 1000"], pass_fds=[voice])
    print("ready", flush=True)
"""
RECIPES = {
    "SIGTERM": """\
signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
with manager:
    begin()
    signal.pause()
""",
    "atexit": """\
atexit.register(manager.stop_all)
begin()
sys.stdin.read()
""",
    "exception": """\
with manager:
    begin()
    sys.stdin.read()
    raise SystemExit(3)
""",
    "lifespan": """\
import asyncio, contextlib
from starlette.applications import Starlette
@contextlib.asynccontextmanager
async def lifespan(app):
    async with manager:
        begin()
        yield {"sessions": manager}
app = Starlette(lifespan=lifespan)
async def serve():
    async with app.router.lifespan_context(app):
        await asyncio.to_thread(sys.stdin.read)
asyncio.run(serve())
""",
}


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_recipe_ends_the_agents_with_the_program(
    plant: Planter, tmp_path: Path, recipe: str
) -> None:
    if recipe == "lifespan":
        pytest.importorskip("starlette")
    path = os.pathsep.join(sys.path)
    with plant.seed({"PYTHONPATH": path}) as seed:
        seed.tree.root = subprocess.Popen(
            [sys.executable, "-c", RECIPE + RECIPES[recipe], str(tmp_path / "sessions")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            pass_fds=seed.fds,
            env=seed.env,
            start_new_session=True,
        )
    program = seed.tree.root
    assert program.stdin
    assert program.stdout
    assert program.stdout.readline() == b"ready\n"
    assert files(tmp_path / "sessions") == {"session_a.pid"}
    if recipe == "SIGTERM":
        program.terminate()
    else:
        program.stdin.close()
    code = program.wait(BOUND)
    assert code == {"SIGTERM": 143, "exception": 3}.get(recipe, 0)
    assert seed.tree.all_dead()
    assert files(tmp_path / "sessions") == set()


def wait_for_threads(names: set[str]) -> None:
    """Wait until the only threads of this process are these."""
    for one in threading.enumerate():
        if one.name not in names:
            one.join(BOUND)
    assert {one.name for one in threading.enumerate()} <= names


def test_the_record_of_a_session_names_no_command(
    manager: SessionManager, plant: Planter, tmp_path: Path
) -> None:
    start(manager, plant, "a", POLITE)
    told = record_path(tmp_path, "a").read_bytes()
    assert sys.executable.encode() not in told
    assert b"argv_digest" in told
