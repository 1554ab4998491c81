"""Seam: a clock. Real: commands of ``run --die-with-stdin``, without and with a terminal."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest

from proctree_kill._cli import stdin
from proctree_kill._cli.stdin import READ_AHEAD, STEP, InputRelay
from support.nodes import Node
from support.planter import NODE, Planter
from support.runs import HASTE, PATIENCE, RUN, run
from support.terminal import Terminal
from support.threads import running_threads, wait_for_new_threads
from support.times import BOUND

RELAYED = [*RUN, "--die-with-stdin"]
# The same, where the first look lasts until the first byte or the end, however late they are read.
LOOKING = [
    sys.executable,
    "-c",
    f"from proctree_kill._cli import main, stdin; stdin.FIRST_LOOK = {BOUND}; exit(main())",
    *RELAYED[RELAYED.index("run") :],
]
PIPE = 1 << 16  # bytes that a pipe holds
WITH_DAEMON = Node(
    name="root",
    on_term="ignore",
    children=(
        Node(name="own session", on_term="ignore", session=True),
        Node(name="first", session=True, dies=True, children=(Node(name="daemon", session=True),)),
    ),
)

pytestmark = pytest.mark.needs("fork")


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("</dev/null", "is at its end"),
        ("<&-", "is closed"),
        ("0>/dev/null", "cannot be read"),
        (": | ", "is at its end"),
    ],
)
def test_without_an_input_nothing_is_started(given: str, told: str) -> None:
    script = f'{given} "$@"' if "|" in given else f'"$@" {given}'
    command = [*LOOKING, "--", "echo", "started"]
    done = subprocess.run(
        ["sh", "-c", script, "sh", *command],
        capture_output=True,
        text=True,
        check=False,
        timeout=BOUND,
    )
    assert (done.returncode, done.stdout) == (125, "")
    assert done.stderr == (
        f"proctree-kill: standard input {told}, and --die-with-stdin needs one that goes on; "
        "nothing was started\n"
    )


def test_an_input_without_a_thread_starts_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Seam: a thread cannot be started."""

    def refuse(_: object) -> None:
        text = "can't start new thread"
        raise RuntimeError(text)

    monkeypatch.setattr("threading.Thread.start", refuse)
    with pytest.raises(stdin.InputError, match="needs a thread"):
        InputRelay(1, lambda: None)


def test_each_byte_arrives(tmp_path: Path) -> None:
    data = os.urandom(4 << 20)
    file = tmp_path / "data"
    file.write_bytes(data)
    command = [*RELAYED, "--linger", PATIENCE, "--", "cat"]
    assert subprocess.run(command, input=data, capture_output=True, check=True).stdout == data
    with file.open("rb") as given:
        assert subprocess.run(command, stdin=given, capture_output=True, check=True).stdout == data


def test_a_command_ends_while_its_input_goes_on() -> None:
    with relayed("read a; echo $a; read b; exit 7") as command:
        say(command, b"first\n")
        assert line(command) == b"first\n"
        say(command, b"second\n")
        assert command.wait(BOUND) == 7


def test_a_tree_is_ended_by_a_signal_while_its_input_goes_on() -> None:
    with relayed("exec sleep 1000") as command:
        say(command, b"unread")
        command.terminate()
        assert command.wait(BOUND) == -signal.SIGTERM


def test_a_tree_is_ended_by_its_timeout_while_its_input_goes_on() -> None:
    argv = [*RELAYED, "--timeout", HASTE, "--", "sleep", "1000"]
    with subprocess.Popen(argv, stdin=subprocess.PIPE) as command:
        assert command.wait(BOUND) == 124


def test_a_command_may_end_by_itself_when_its_input_has_ended() -> None:
    with relayed("cat; exit 7", "--linger", PATIENCE) as command:
        out, err = command.communicate(b"all", BOUND)
    assert (command.returncode, out, err) == (7, b"all", b"")


def test_the_whole_tree_ends_with_the_input(plant: Planter) -> None:
    with plant.prepare(WITH_DAEMON, env=os.environ) as prepared:
        node = [str(NODE) if word == "-" else word for word in prepared.argv]
        options = {**prepared.options, "stdin": subprocess.PIPE, "stderr": subprocess.PIPE}
        command = subprocess.Popen(
            [*RELAYED, "-v", "--linger", "0", "--grace", HASTE, "--", *node], **options
        )
    with command:
        prepared.tree.await_started()
        _, err = command.communicate(timeout=BOUND)
        assert prepared.tree.all_dead()
    assert command.returncode == 123
    assert b"proctree-kill: standard input ended; the command went on for 0 s\n" in err
    assert b"\nproctree-kill: standard input ended after " in err


@pytest.mark.needs("procfs")
def test_a_command_that_never_reads_does_not_hide_the_end() -> None:
    with relayed("echo $$; exec sleep 1000", "--linger", HASTE) as command:
        pid = int(line(command))
        # the relay has read so much of it that it reads no further
        say(command, bytes(PIPE + READ_AHEAD + PIPE))
        with open(f"/proc/{pid}/fd/0", "rb") as pipe:  # noqa: PTH123 - no path
            wait_until_full(pipe.fileno())
        _, err = command.communicate(timeout=BOUND)
    assert command.returncode == 123
    told = f"the command went on for {HASTE} s and did not read the last {PIPE * 2} bytes of it\n"
    assert err.decode().endswith(told)


def test_input_for_a_command_that_closed_its_own_is_dropped() -> None:
    with relayed("exec <&-; exec sleep 1000", "--linger", HASTE) as command:
        _, err = command.communicate(bytes(1 << 20), BOUND)
    assert command.returncode == 123
    assert b"did not read" not in err


def test_all_that_was_left_is_awaited_until_the_input_ends() -> None:
    left = "(while kill -0 $$ 2>/dev/null; do sleep 0.01; done; echo reaped; exec sleep 1000)"
    options = ["--leftovers", "wait", "--linger", HASTE]
    with relayed(f"{left} & exit 3", *options) as command:
        assert line(command) == b"reaped\n"
        _, err = command.communicate(timeout=BOUND)
    assert (command.returncode, err) == (3, b"")


def test_what_is_left_keeps_its_own_time_when_the_input_ends(tmp_path: Path) -> None:
    script = "mkfifo go; (read word <go; echo done >log) & exec 3>go"
    options = ["--die-with-stdin", "--linger", PATIENCE]
    done = run("sh", "-c", script, options=options, cwd=tmp_path, input="word\n")
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "log").read_text() == "done\n"


def test_the_time_counts_anew_whenever_more_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Seam: each wait of the relay takes as long as it asked for, and a little is read in it."""
    taken: list[int] = []
    threads = running_threads()
    given, end = os.pipe()
    over = threading.Event()
    now = [0.0]

    def sleep(seconds: float) -> None:
        now[0] += seconds
        if len(taken) < 3:
            before = held()
            taken.append(len(os.read(relay.reader, STEP)))
            while held() == before:
                os.sched_yield()

    def held() -> int:
        with relay._changed:
            return len(relay._held)

    monkeypatch.setattr(stdin, "STDIN", given)
    monkeypatch.setattr(stdin, "time", SimpleNamespace(monotonic=lambda: now[0], sleep=sleep))
    relay = InputRelay(1.0, over.set)
    os.write(end, bytes(PIPE))
    os.write(end, bytes(READ_AHEAD))
    wait_until_full(relay.reader)
    while held() > READ_AHEAD:  # what it has just written it still holds, for a moment
        os.sched_yield()
    os.close(end)
    assert over.wait(BOUND)
    assert (len(taken), now[0]) == (3, 4.0)
    relay.close_reader()
    wait_for_new_threads(threads)
    relay._watcher.close()
    os.close(given)


class TestTerminal:
    """Real: standard input is a terminal."""

    def test_ctrl_d_ends_the_input(self, terminal: Terminal) -> None:
        terminal.run(*RELAYED, "--linger", PATIENCE, "--", "sh", "-c", "echo there; cat; exit 7")
        terminal.expect("there")
        terminal.type("a line\r")
        terminal.expect("a line\r\na line\r\n")
        terminal.type("\4")
        assert terminal.wait() == 7

    def test_a_hangup_ends_the_tree(self, terminal: Terminal) -> None:
        script = "trap '' HUP; echo there; sleep 1000"
        terminal.run(*RELAYED, "--grace", HASTE, "--", "sh", "-c", script)
        terminal.expect("there")
        terminal.hang_up()
        assert terminal.wait() == 128 + signal.SIGHUP


@contextmanager
def relayed(script: str, *options: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run a shell, and yield it when it has started."""
    with subprocess.Popen(
        [*RELAYED, *options, "--", "sh", "-c", f"echo there; {script}"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    ) as command:
        try:
            assert line(command) == b"there\n"
            yield command
        finally:
            command.kill()


def line(command: subprocess.Popen[bytes]) -> bytes:
    """Return the next line of its output."""
    assert command.stdout
    return command.stdout.readline()


def wait_until_full(pipe: int) -> None:
    """Wait until a pipe holds all that it can (ioctl_pipe(2))."""
    import fcntl  # noqa: PLC0415 - not on every system
    import termios  # noqa: PLC0415 - not on every system

    while int.from_bytes(fcntl.ioctl(pipe, termios.FIONREAD, bytes(4)), sys.byteorder) < PIPE:
        os.sched_yield()


def say(command: subprocess.Popen[bytes], data: bytes) -> None:
    """Write to its input."""
    assert command.stdin
    command.stdin.write(data)
    command.stdin.flush()
