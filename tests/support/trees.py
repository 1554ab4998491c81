"""Plant trees of real processes whose birth and death are events.

**Birth**: each node writes its pid to an inherited pipe after it has installed its handlers,
and the planter reads until all have spoken.
**Death**: the kernel closes the last write end of that pipe when the last who inherited it dies,
and it does so before that process can be seen dead.

What was planted ends with its planter, by ways that owe nothing to the library:
a cgroup where there is one, pidfds that were opened at birth, and a sweep over who holds the pipe.
"""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal, Self

import psutil

from .capabilities import has
from .leaf import Leaf
from .users import Account

BOUND = 30.0
"""Seconds after which something that should have happened counts as a failure."""
NODE = Path(__file__).with_name("node.py")
LAUNCH = """\
import os, sys
voice, leaf, argv = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]
if leaf >= 0:
    os.write(leaf, b"0")
    os.close(leaf)
os.write(voice, f"root {os.getpid()} 0\\n".encode())
os.execvp(argv[0], argv)
"""
"""Move into the cgroup, speak, then become the program."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One process of a tree, as it shall behave.

    Args:
        name: what its pid is filed under.
        children: whom it forks.
        on_term: what SIGTERM does: the default, nothing, an exit, or a new child and an exit.
        exit_code: what it exits with on SIGTERM, if it exits.
        session: whether it leads a session of its own.
        dies: whether it exits once its children are forked.
        stopped: whether it stops itself once it has spoken.
        reaps: whether it reaps its dead children.
        restarts: whether it replaces a child that died.
        main_thread_ends: whether another thread goes on alone.
        forks_every: seconds between the births of more children, or 0.
        at_most: how many children it then has at once.
    """

    name: str
    children: tuple[Node, ...] = ()
    on_term: Literal["die", "ignore", "exit", "fork"] = "die"
    exit_code: int = 0
    session: bool = False
    dies: bool = False
    stopped: bool = False
    reaps: bool = True
    restarts: bool = False
    main_thread_ends: bool = False
    forks_every: float = 0
    at_most: int = 0

    def names(self) -> Iterator[str]:
        """Yield the names of the whole tree."""
        yield self.name
        for child in self.children:
            yield from child.names()

    def description(self) -> dict[str, Any]:
        """Return what ``node.py`` reads: everything but the defaults."""
        said = {one.name: getattr(self, one.name) for one in fields(self)}
        said["children"] = [child.description() for child in self.children]
        return {
            one.name: said[one.name]
            for one in fields(self)
            if said[one.name] not in (one.default, [])
        }


def chain(*names: str) -> Node:
    """Describe a tree in which each name is the only child of the one before."""
    first, *rest = names
    return Node(name=first, children=(chain(*rest),) if rest else ())


class Grip:
    """A hold on one planted process that a later owner of its number cannot inherit."""

    def __init__(self, pid: int) -> None:
        """Take hold of the process that has this number now.

        Raises:
            ProcessLookupError: nobody has it.
        """
        self.pid = pid
        self.fd = os.pidfd_open(pid) if has("pidfd") else None
        try:
            self.process = psutil.Process(pid)
        except psutil.NoSuchProcess as error:
            self.close()
            raise ProcessLookupError(pid) from error

    def send(self, number: signal.Signals) -> None:
        """Send a signal, to nobody if it is dead."""
        with suppress(ProcessLookupError, psutil.NoSuchProcess):
            if self.fd is None:
                self.process.send_signal(number)
            else:
                signal.pidfd_send_signal(self.fd, number)

    def close(self) -> None:
        """Let go."""
        if self.fd is not None:
            os.close(self.fd)
            self.fd = None


class Tree:
    """A planted tree, from the root's birth to everybody's death.

    Attributes:
        root: the process that the planter started.
        pids: who was born under which name.
    """

    def __init__(self, root: subprocess.Popen[bytes], ear: int, leaf: Leaf | None) -> None:
        """Take over what the planter made."""
        self.root = root
        self.pids: dict[str, int] = {}
        self._grips: list[Grip] = []
        self._ear = ear
        self._leaf = leaf
        self._heard = b""

    def all_dead(self, within: float = 0) -> bool:
        """Tell whether everybody is dead, at the latest after ``within`` seconds.

        Nothing is lost by asking at once: a process closes its files before it can be seen dead.
        """
        dead = self._listen_until(lambda: False, within)
        return dead and (self._leaf is None or self._leaf.is_empty(BOUND))

    def state(self, name: str) -> str:
        """Return what psutil calls the state of a node."""
        return psutil.Process(self.pids[name]).status()

    def hear(self, names: Iterator[str]) -> None:
        """Wait until all of these have spoken."""
        missing = set(names)

        def complete() -> bool:
            self._file_births()
            return missing <= self.pids.keys()

        self._listen_until(complete, BOUND)
        silent = missing - self.pids.keys()
        assert not silent, f"these nodes never spoke: {sorted(silent)}"

    def end(self) -> None:
        """End everybody who is left, and give everything back."""
        try:
            self._kill()
            self.root.wait(BOUND)
            assert self.all_dead(BOUND), "a planted tree cannot be ended"
        finally:
            self._close()

    def _listen_until(self, enough: Callable[[], bool], within: float) -> bool:
        """Read the pipe until it is enough, or for so many seconds; tell whether it ended."""
        deadline = time.monotonic() + within
        poll = select.poll()
        poll.register(self._ear)
        while not enough():
            left = max(0.0, deadline - time.monotonic())
            if not poll.poll(left * 1000):
                return False
            said = os.read(self._ear, 1 << 16)
            if not said:
                return True
            self._heard += said
        return False

    def _file_births(self) -> None:
        """Take hold of everybody who has spoken since."""
        *births, self._heard = self._heard.split(b"\n")
        for name, pid, start in (one.rsplit(maxsplit=2) for one in births):
            self.pids[name.decode()] = int(pid)
            with suppress(ProcessLookupError):
                self._take_hold(int(pid), int(start))

    def _take_hold(self, pid: int, start: int) -> None:
        """Keep a grip on a process, if it is still the one that spoke; the root is our child."""
        grip = Grip(pid)
        if pid == self.root.pid or start_ticks(pid) == start:
            self._grips.append(grip)
        else:
            grip.close()

    def _kill(self) -> None:
        """Kill everybody, without the library."""
        if self.root.stdin:
            self.root.stdin.close()
        if self._leaf:
            self._leaf.kill()
        for grip in self._grips:
            grip.send(signal.SIGKILL)
        self.root.kill()
        if has("procfs") and not self._leaf:
            self._sweep()

    def _sweep(self) -> None:
        """Freeze, then kill, whoever can still write to the pipe, until nobody can."""
        deadline = time.monotonic() + BOUND
        while not self.all_dead() and time.monotonic() < deadline:
            frozen: set[int] = set()
            while found := set(self._writers()) - frozen:
                frozen |= found
                self._send_writers(found, signal.SIGSTOP)
            self._send_writers(frozen, signal.SIGKILL)

    def _send_writers(self, pids: set[int], number: signal.Signals) -> None:
        """Send a signal to those of these processes that still hold the pipe."""
        for pid in pids:
            with suppress(ProcessLookupError):
                grip = Grip(pid)
                if self._writes(pid):
                    grip.send(number)
                grip.close()

    def _writers(self) -> Iterator[int]:
        """Yield every process that holds a writing end of the pipe."""
        return (pid for pid in psutil.pids() if self._writes(pid))

    def _writes(self, pid: int) -> bool:
        """Tell whether a process holds a writing end of the pipe."""
        pipe = f"pipe:[{os.fstat(self._ear).st_ino}]"
        try:
            files = list(Path(f"/proc/{pid}/fd").iterdir())
            return any(str(one.readlink()) == pipe and one.lstat().st_mode & 0o200 for one in files)
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            return False

    def _close(self) -> None:
        """Close every descriptor and remove the cgroup."""
        for grip in self._grips:
            grip.close()
        for stream in (self.root.stdin, self.root.stdout, self.root.stderr):
            if stream:
                stream.close()
        os.close(self._ear)
        if self._leaf:
            self._leaf.remove()


def start_ticks(pid: int) -> int:
    """Return when a process started, in clock ticks, or 0 where nobody says so."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return int(stat.rpartition(b")")[2].split()[19])


class Planter:
    """Plants trees, and ends them all at its own end."""

    def __init__(self) -> None:
        """Begin with an empty garden."""
        self.trees: list[Tree] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.end()

    def __call__(self, node: Node, *, account: Account | None = None, **options: Any) -> Tree:
        """Plant a tree of nodes, and return it when everybody in it has spoken.

        Args:
            node: the root.
            account: who runs it; None is ourselves.
            options: as for :meth:`program`.
        """
        interpreter = account.interpreter if account else sys.executable
        with NODE.open("rb") as source:
            tree = self._start(
                lambda pipe, leaf: [
                    interpreter,
                    "-I",
                    "-S",
                    "-",
                    pipe,
                    leaf,
                    json.dumps(node.description()),
                ],
                account=account,
                stdin=source,
                **options,
            )
        tree.hear(node.names())
        return tree

    def program(
        self, argv: Sequence[str], *, account: Account | None = None, **options: Any
    ) -> Tree:
        """Plant a program with all that it starts; nobody speaks there, but a death is heard.

        Args:
            argv: the program and its arguments.
            account: who runs it; None is ourselves.
            options: ``env`` (added to a bare environment), ``marker`` and what Popen takes.
        """
        python = account.interpreter if account else sys.executable
        launch = [python, "-I", "-S", "-c", LAUNCH]
        tree = self._start(
            lambda pipe, leaf: [*launch, pipe, leaf, *argv], account=account, **options
        )
        tree.hear(iter(["root"]))
        return tree

    def end(self) -> None:
        """End every tree, the last first."""
        while self.trees:
            self.trees.pop().end()

    def _start(
        self,
        argv: Callable[[str, str], list[str]],
        *,
        account: Account | None = None,
        env: Mapping[str, str] | None = None,
        marker: str | None = None,
        start_new_session: bool = True,
        **options: Any,
    ) -> Tree:
        """Start the root, which inherits the pipe and the way into the cgroup."""
        if account and not os.geteuid():
            options.update(user=account.uid, group=account.gid, extra_groups=[])
        leaf = Leaf.make()
        ear, voice = os.pipe()
        entrance = leaf.entrance() if leaf else -1
        given = (voice, entrance) if leaf else (voice,)
        try:
            root = subprocess.Popen(
                argv(str(voice), str(entrance)),
                pass_fds=given,
                env=bare_environment(marker) | {"PLANT_VOICE": str(voice)} | dict(env or {}),
                start_new_session=start_new_session,
                **{"stdin": subprocess.DEVNULL, "cwd": "/", **options},
            )
        except BaseException:
            os.close(ear)
            if leaf:
                leaf.remove()
            raise
        finally:
            for one in given:
                os.close(one)
        tree = Tree(root, ear, leaf)
        self.trees.append(tree)
        return tree


def bare_environment(marker: str | None = None) -> dict[str, str]:
    """Return the environment of a planted root, with a marker in it if there is one."""
    names = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8"}
    if marker:
        name, _, value = marker.partition("=")
        names[name] = value
    return names
