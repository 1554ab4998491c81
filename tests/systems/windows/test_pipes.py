"""Seam: Windows' looks at pipes, with a PeekNamedPipe that is made of FIONREAD."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterator
from types import SimpleNamespace

import pytest

from proctree_kill import run
from proctree_kill._systems.contract import PipeWatcher
from proctree_kill._systems.windows.pipes import WindowsPipeWatcher

pytestmark = pytest.mark.needs("fork")


@pytest.fixture
def watcher(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], PipeWatcher]]:
    """Return what makes a watcher, over the pipes of this system."""
    from proctree_kill._systems.posix.pipes import PosixPipeWatcher  # noqa: PLC0415 - not on Windows

    posix = PosixPipeWatcher()

    def peek(fd: int, _size: int) -> tuple[int, int]:
        held = posix.held(fd)
        ended = not held and select_says_readable(fd)
        if ended:
            raise BrokenPipeError
        return held, 0

    monkeypatch.setitem(sys.modules, "_winapi", SimpleNamespace(PeekNamedPipe=peek))
    monkeypatch.setitem(sys.modules, "msvcrt", SimpleNamespace(get_osfhandle=lambda fd: fd))
    yield WindowsPipeWatcher
    posix.close()


def select_says_readable(fd: int) -> bool:
    """Whether a read would not block."""
    import select  # noqa: PLC0415 - for pipes on POSIX only

    return bool(select.select([fd], [], [], 0)[0])


def test_a_pipe_is_ready_when_it_holds_something_and_at_its_end(
    watcher: Callable[[], PipeWatcher],
) -> None:
    looks = watcher()
    reading, writing = os.pipe()
    threading.Timer(0.05, os.write, [writing, b"four"]).start()
    assert looks.ready([reading], []) == [reading]
    assert looks.held(reading) == 4
    os.read(reading, 4)
    assert looks.held(reading) == 0
    os.close(writing)
    assert looks.ready([reading], []) == [reading]
    assert looks.held(reading) == 0
    os.close(reading)


def test_a_look_can_be_ended(watcher: Callable[[], PipeWatcher]) -> None:
    looks = watcher()
    reading, writing = os.pipe()
    threading.Timer(0.05, looks.wake).start()
    assert looks.ready([reading], []) == []
    os.close(reading)
    os.close(writing)


def test_run_transfers_much_in_both_directions(
    watcher: Callable[[], PipeWatcher], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("proctree_kill._spawn.transfer.pipe_watcher", watcher)
    much = os.urandom(1 << 20)
    assert run(["cat"], input=much, capture_output=True).stdout == much


def test_run_leaves_a_reader_of_its_input_alone(
    watcher: Callable[[], PipeWatcher], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("proctree_kill._spawn.transfer.pipe_watcher", watcher)
    script = "echo early; sleep 1000 & echo late"
    done = run(["sh", "-c", script], input=bytes(1 << 20), linger=0, capture_output=True)
    assert done.stdout == b"early\nlate\n"
    assert done.kill
