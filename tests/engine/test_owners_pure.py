"""Pure, and seam where a pipe is needed: the objects that started a process, as small fakes."""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
import socket
from collections.abc import Callable, Iterator
from types import SimpleNamespace

import pytest

from proctree_kill import Fate, KillResult, ProcessIdentity, ProcessOutcome
from proctree_kill._engine import owners
from proctree_kill._engine.owners import has_ended, input_closer, is_our_child, poll_all, with_codes
from proctree_kill._engine.target import Claim
from support.capabilities import has


class Polled:
    """As Popen: poll() learns the return code."""

    returncode: int | None = None

    def __init__(self, code: int | None = -9) -> None:
        self.code = code
        self.polls = 0

    def poll(self) -> int | None:
        self.polls += 1
        self.returncode = self.code
        return self.returncode


class Worker:
    """As a multiprocessing.Process: reading exitcode reaps; the inner Popen only records."""

    def __init__(self, known: int | None = None) -> None:
        self._popen = SimpleNamespace(returncode=known)
        self.reads = 0

    @property
    def exitcode(self) -> int | None:
        self.reads += 1
        self._popen.returncode = -9
        return -9


class Expected:
    """As a pexpect.spawn: isalive() learns how it ended."""

    exitstatus: int | None = None
    signalstatus: int | None = None
    terminated = False

    def isalive(self) -> bool:
        self.terminated, self.signalstatus = True, 9
        return False


class Awaited:
    """As an asyncio process: only its loop learns of its end."""

    returncode: int | None = None

    def __init__(self, *, ends: bool = True) -> None:
        self.ends = ends

    async def wait(self) -> int:
        if not self.ends:
            await asyncio.Event().wait()
        self.returncode = -9
        return -9

    def poll(self) -> None:
        raise AssertionError


def psutil_process(*, running: bool) -> SimpleNamespace:
    return SimpleNamespace(pid=7, is_running=lambda: running)


@pytest.mark.parametrize(
    ("owner", "ended"),
    [
        (SimpleNamespace(returncode=None), False),
        (SimpleNamespace(returncode=0), True),
        (SimpleNamespace(returncode=-9), True),
        (Worker(), False),
        (Worker(known=0), True),
        (SimpleNamespace(terminated=False), False),
        (SimpleNamespace(terminated=True), True),
        (psutil_process(running=True), False),
        (psutil_process(running=False), True),
        (SimpleNamespace(pid=7), False),
        (None, False),
    ],
)
def test_whether_the_owner_knows_of_the_end(owner: object, *, ended: bool) -> None:
    assert has_ended(owner) is ended


def test_asking_whether_it_has_ended_reaps_nothing() -> None:
    popen, worker = Polled(), Worker()
    assert not has_ended(popen)
    assert not has_ended(worker)
    assert (popen.polls, worker.reads) == (0, 0)


@pytest.mark.parametrize(
    ("owner", "ours"),
    [
        (Polled(), True),
        (Worker(), True),
        (Expected(), True),
        (Awaited(), True),
        (psutil_process(running=True), False),
        (SimpleNamespace(pid=7), False),
    ],
)
def test_the_parent_knows_the_end_of_a_process(owner: object, *, ours: bool) -> None:
    assert is_our_child(owner) is ours


def test_every_owner_learns_the_end_in_its_own_way() -> None:
    popen, worker, expected = Polled(), Worker(), Expected()
    poll_all([Claim(7, owner=popen), Claim(8, owner=worker), Claim(9, owner=expected)], {})
    assert popen.returncode == -9
    assert worker._popen.returncode == -9
    assert expected.terminated


def test_an_owner_that_has_to_be_awaited_is_not_polled() -> None:
    awaited = Awaited()
    poll_all([Claim(7, owner=awaited), Claim(8, bare=True)], {7: -9})
    assert awaited.returncode is None


def test_an_owner_that_is_wrong_is_corrected() -> None:
    popen, worker = Polled(0), SimpleNamespace(exitcode=None, _popen=SimpleNamespace(returncode=0))
    poll_all([Claim(7, owner=popen), Claim(8, owner=worker)], {7: 3, 8: -9})
    assert (popen.returncode, worker._popen.returncode) == (3, -9)


def test_an_owner_is_not_corrected_where_no_code_is_known() -> None:
    popen, survivor = Polled(0), Polled(None)
    poll_all([Claim(7, owner=popen), Claim(8, owner=survivor)], {7: None})
    assert (popen.returncode, survivor.returncode) == (0, None)


def test_an_owner_that_cannot_be_corrected_is_left_alone() -> None:
    class ReadOnly:
        returncode = property(lambda _: 255)

    owner = ReadOnly()
    poll_all([Claim(7, owner=owner)], {7: -9})
    assert owner.returncode == 255


def test_an_owner_that_raises_hides_no_result(caplog: pytest.LogCaptureFixture) -> None:
    def isalive() -> bool:
        raise LookupError

    expected = Expected()
    claims = [Claim(7, owner=SimpleNamespace(isalive=isalive)), Claim(9, owner=expected)]
    poll_all(claims, {})
    assert expected.terminated
    assert "the owner of process 7 does not know its end" in caplog.text


class Waited:
    """As Popen, while its wait() in another thread has reaped, and has not noted the code yet."""

    def __init__(self, code: int | None) -> None:
        self.returncode: int | None = None
        self._waitpid_lock = self
        self._code = code

    def acquire(self, timeout: float) -> bool:
        self.returncode = self._code
        return timeout > 0

    def release(self) -> None:
        """Do nothing: no thread waits for it."""

    def _internal_poll(self, _deadstate: int) -> None:
        if self._code is None:
            self.returncode = _deadstate


@pytest.mark.parametrize(("noted", "code"), [(7, 7), (None, None)])
def test_what_another_thread_has_reaped_is_waited_for(noted: int | None, code: int | None) -> None:
    owner = Waited(noted)
    poll_all([Claim(7, owner=owner)], {7: None})
    assert owner.returncode is not None
    assert code_from(owner) == code


def result(fate: Fate, code: int | None = None) -> KillResult:
    outcome = ProcessOutcome(identity=ProcessIdentity(pid=7), fate=fate, exit_code=code)
    return KillResult(target=(ProcessIdentity(pid=7),), outcomes=(outcome,), seconds=1.0)


def code_from(owner: object, fate: Fate = Fate.KILLED, known: int | None = None) -> int | None:
    """Return the exit code in a result after the owner was asked."""
    (outcome,) = with_codes(result(fate, known), [Claim(7, owner=owner)]).outcomes
    return outcome.exit_code


@pytest.mark.parametrize(
    ("owner", "code"),
    [
        (SimpleNamespace(returncode=-15), -15),
        (SimpleNamespace(returncode=0), 0),
        (SimpleNamespace(returncode=None), None),
        (SimpleNamespace(exitcode=3), 3),
        (SimpleNamespace(exitstatus=None, signalstatus=9), -9),
        (SimpleNamespace(exitstatus=4, signalstatus=None), 4),
        (SimpleNamespace(pid=7), None),
        (None, None),
    ],
)
def test_the_owners_exit_code_fills_a_gap(owner: object, code: int | None) -> None:
    assert code_from(owner) == code


def test_what_is_known_already_stays() -> None:
    assert code_from(SimpleNamespace(returncode=0), known=-9) == -9


@pytest.mark.parametrize("fate", Fate)
def test_only_the_dead_get_an_exit_code(fate: Fate) -> None:
    dead = fate in (Fate.ALREADY_GONE, Fate.TERMINATED, Fate.KILLED)
    assert code_from(SimpleNamespace(returncode=5), fate) == (5 if dead else None)


def test_a_result_to_which_no_owner_adds_anything_is_the_same() -> None:
    before = result(Fate.KILLED)
    assert with_codes(before, [Claim(7, bare=True)]) is before


def settled(fate: Fate, owner: object, *, deadline: float = math.inf) -> int | None:
    """Return the exit code in a result after the owner was awaited."""
    claims = [Claim(7, owner=owner), Claim(8, bare=True)]
    (outcome,) = asyncio.run(owners.settle(result(fate), claims, deadline)).outcomes
    return outcome.exit_code


def test_an_owner_that_has_to_be_awaited_is() -> None:
    assert settled(Fate.KILLED, Awaited()) == -9


def test_an_owner_whose_pipes_stay_open_is_awaited_until_the_deadline_only() -> None:
    assert settled(Fate.KILLED, Awaited(ends=False), deadline=0) is None


def test_a_survivor_is_not_awaited() -> None:
    owner = Awaited()
    assert settled(Fate.SURVIVED, owner) is None
    assert owner.returncode is None


def test_the_code_of_another_process_is_not_taken() -> None:
    before = result(Fate.KILLED)
    claims = [Claim(8, owner=SimpleNamespace(returncode=1))]
    assert with_codes(before, claims).outcomes[0].exit_code is None


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """Open a pipe and close it in the end; what wraps the writing end closes that."""
    if not has("reading what is there"):
        pytest.skip("this machine reads no pipe without waiting")
    reading, writing = os.pipe()
    yield reading, writing
    os.close(reading)


def close_now(owner: object) -> bool:
    """Close the input that an owner holds; return whether it held one."""
    close = input_closer([owner], None)
    if close is not None:
        close()
    return close is not None


def is_at_its_end(reading: int) -> bool:
    """Whether the last writing end of a pipe is closed."""
    os.set_blocking(reading, False)
    try:
        while os.read(reading, 65536):
            pass
    except BlockingIOError:
        return False
    return True


def fill(writing: int) -> None:
    """Write until a pipe takes no more."""
    os.set_blocking(writing, False)
    with contextlib.suppress(BlockingIOError):
        while os.write(writing, b"x" * 65536):
            pass
    os.set_blocking(writing, True)


def test_the_pipe_is_closed_and_the_file_object_stays_usable(pipe: tuple[int, int]) -> None:
    with os.fdopen(pipe[1], "wb", buffering=0) as stdin:
        assert close_now(SimpleNamespace(stdin=stdin))
        assert is_at_its_end(pipe[0])
        assert stdin.write(b"no reader") == len(b"no reader")
        assert not os.get_inheritable(stdin.fileno())


def test_a_full_pipe_does_not_block_the_closing(pipe: tuple[int, int]) -> None:
    fill(pipe[1])
    with os.fdopen(pipe[1], "wb") as stdin:
        stdin.write(b"what close() would write first, and wait")
        assert close_now(SimpleNamespace(stdin=stdin))
        while os.read(pipe[0], 65536):  # a late reader comes to the end
            pass


def test_a_text_stream_is_closed_as_well(pipe: tuple[int, int]) -> None:
    with os.fdopen(pipe[1], "w", encoding="utf-8") as stdin:
        assert close_now(SimpleNamespace(stdin=stdin))
        assert is_at_its_end(pipe[0])


@pytest.mark.needs("fork")  # on Windows a socket is no file
def test_a_socket_is_an_input_too() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        assert close_now(SimpleNamespace(stdin=ours))
        assert theirs.recv(1) == b""


@pytest.mark.needs("reading what is there")
def test_every_input_is_closed() -> None:
    pipes = [os.pipe() for _ in range(2)]
    inputs = [os.fdopen(writing, "wb", buffering=0) for _, writing in pipes]
    close = input_closer([SimpleNamespace(stdin=stdin) for stdin in inputs], None)
    assert close
    close()
    for (reading, _), stdin in zip(pipes, inputs, strict=True):
        assert is_at_its_end(reading)
        os.close(reading)
        stdin.close()


def test_nothing_happens_before_the_closing_is_called(pipe: tuple[int, int]) -> None:
    with os.fdopen(pipe[1], "wb", buffering=0) as stdin:
        assert input_closer([SimpleNamespace(stdin=stdin)], None)
        assert not is_at_its_end(pipe[0])


def test_where_no_input_is_held_there_is_nothing_to_close(pipe: tuple[int, int]) -> None:
    closed = os.fdopen(pipe[1], "wb")
    closed.close()
    assert not close_now(None)
    assert not close_now(SimpleNamespace(pid=7))
    assert not close_now(SimpleNamespace(stdin=None))
    assert not close_now(SimpleNamespace(stdin=closed))


def test_an_input_without_a_descriptor_is_left_alone() -> None:
    class Odd:
        def fileno(self) -> int:
            raise OSError

    assert not close_now(SimpleNamespace(stdin=Odd()))


def test_the_callers_own_streams_are_never_closed(
    pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    with os.fdopen(pipe[1], "wb", buffering=0) as stdin:
        monkeypatch.setattr(owners, "STDERR", stdin.fileno())
        assert not close_now(SimpleNamespace(stdin=stdin))
        assert not is_at_its_end(pipe[0])


def test_a_file_is_no_input_that_its_closing_would_end() -> None:
    with open(os.devnull, "wb") as stdin:  # noqa: PTH123 - the null device has no Path
        assert not close_now(SimpleNamespace(stdin=stdin))


def test_a_stream_of_an_event_loop_is_closed_by_its_loop() -> None:
    calls: list[Callable[[], object]] = []
    closings: list[str] = []
    stream = SimpleNamespace(is_closing=lambda: False, close=lambda: closings.append("closed"))
    close = input_closer([SimpleNamespace(stdin=stream)], calls.append)
    assert close
    close()
    assert closings == []
    calls[0]()
    assert closings == ["closed"]


def test_a_stream_of_an_event_loop_is_left_alone_where_no_loop_runs() -> None:
    stream = SimpleNamespace(is_closing=lambda: False, close=lambda: None)
    assert not close_now(SimpleNamespace(stdin=stream))
