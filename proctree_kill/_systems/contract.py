"""The contract between the engine and a system."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol, Self

from .member import Member

if TYPE_CHECKING:
    from .._models.limits import Limits


class Reply(NamedTuple):
    """What happened to a batch of signals.

    Args:
        gone: members that are gone.
        denied: members that the system protects.
        asked: more members, which the request has reached as well.
    """

    gone: list[Member]
    denied: list[Member]
    asked: Sequence[Member] = ()


class Details(NamedTuple):
    """What a process shows of itself now; None for what it hides.

    Args:
        user: the user that it runs as.
        command: its arguments, with spaces between them; they may hold secrets.
        seconds: how old it is.
    """

    user: str | None = None
    command: str | None = None
    seconds: float | None = None


class Listener(NamedTuple):
    """A socket that waits on a port.

    Args:
        protocol: ``tcp``, ``tcp6``, ``udp`` or ``udp6``.
        stranger: the user that made it, if this process has not all rights of that user.
        pids: the processes that are seen to have it open.
    """

    protocol: str
    stranger: str | None
    pids: tuple[int, ...]


class Trust(NamedTuple):
    """Whether a file may be acted upon, by its owner and mode.

    Args:
        why_not: why it may not; None where it may.
        uid: the user with whose rights alone it may be; None: with ours.
    """

    why_not: str | None = None
    uid: int | None = None


class CellUsage(NamedTuple):
    """What the processes that were ever in a cell used; None for what is not known here.

    Args:
        user: CPU seconds in programs.
        system: CPU seconds in the kernel on their behalf.
        peak_memory: the bytes that they had at most.
        processes: how many there were at most at one time.
        out_of_memory: whether one was ended, or refused memory, for want of memory.
    """

    user: float
    system: float
    peak_memory: int | None = None
    processes: int | None = None
    out_of_memory: bool | None = None


class CpuSeconds(NamedTuple):
    """The CPU time that processes used, in programs and in the kernel on their behalf."""

    user: float
    system: float


class UnavailableError(Exception):
    """There is no cell here, and why; the message is the end of a sentence."""


class Cell(Protocol):
    """A cgroup on Linux, a job object on Windows: the kernel keeps the members of a tree in it.

    What a process in it starts is in it as well. No process can leave it unseen.
    """

    kind: Literal["cgroup", "job"]
    """The evidence of its members."""
    name: str
    """Its name outside this process."""
    creation_flags: int = 0
    """Windows' flags for the root, which then runs after :meth:`adopt` and :meth:`start`."""
    is_whole: bool = True
    """Whether its tree was born in it, so that :meth:`usage` misses nothing."""
    dies_with_owner: bool = False
    """Whether its processes die when the process that made it ends, for whatever reason."""

    def spawning(self, do: Callable[[Callable[[], None]], None]) -> AbstractContextManager[None]:  # noqa: ARG002 - the flags suffice
        """Have what this thread starts inside the block, with the flags, born in here.

        Args:
            do: runs an act to its end, whatever a signal handler raises meanwhile.

        Raises:
            OSError: the kernel refuses, before anything was started.
        """
        return nullcontext()

    def adopt(self, pid: int) -> None:
        """Move a process in; the children that it has already stay where they are.

        Raises:
            OSError: it is gone, or the kernel refuses.
        """

    def move_back(self, pid: int) -> None:
        """Move out a process that was adopted because it got the number of another one.

        Raises:
            OSError: the kernel refuses.
        """

    def start(self, pid: int) -> None:
        """Let a process run that the flags suspended.

        Raises:
            OSError: it is gone, or the kernel refuses.
        """

    def pids(self) -> list[int]:
        """List the living processes in here, also those in cells inside."""

    def kill(self) -> bool:
        """Kill all processes in here at once; return whether the kernel accepted it."""

    def remove(self) -> bool:
        """Remove it if it is empty; return whether it is gone."""

    def abandon(self) -> None:
        """Remove it now, when the next one is made, or at exit: as soon as it is empty."""

    def usage(self) -> CellUsage:
        """Return what the processes that were ever in here used.

        Raises:
            OSError: it is gone.
            UnavailableError: this system does not tell.
        """
        text = "this system does not tell what a tree used"
        raise UnavailableError(text)

    def limit(self, limits: Limits) -> None:
        """Limit what all processes in here use together; None lifts a limit that was set here.

        Nothing is changed where it raises.

        Raises:
            UnavailableError: this machine cannot limit that, and why.
        """


class Offer(NamedTuple):
    """One feature of this machine.

    Args:
        name: what it is.
        detail: what that means, or why it is not there.
        available: whether it is there; None for a mere fact.
    """

    name: str
    detail: str
    available: bool | None = None


class System(Protocol):
    """One operating system during one kill; a context manager that closes it.

    No method raises for what a process does: one that vanishes or refuses is in the answer.
    A member is the process that :meth:`bind` or :meth:`children` saw, not its number:
    later acts reach that process or none.
    An instance belongs to one thread, but for :meth:`hurry` and :meth:`wake`.
    """

    insists: bool = False
    """Whether :meth:`insist` does anything."""

    force_code: int = -9
    """The exit code of a process that :meth:`kill` ended, as ``subprocess`` has it."""

    keeps_links: bool = False
    """Whether the living children of a dead member can be found as well.

    Elsewhere they get another parent when theirs dies.
    """

    sums_reaped: bool = True
    """Whether the CPU time of a process has that of the children that it reaped."""

    disturbed: bool = False
    """Whether a child vanished during the scan, so that a list may have missed another."""

    unseen: int = 0
    """The evidence, as a mask, that could not be looked for where some may be."""

    hurried: bool = False
    """Whether :meth:`hurry` was called."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def now(self) -> float:
        """Return the monotonic time in seconds."""
        return time.monotonic()

    def start_clock(self) -> int:
        """Return the time in the unit of :attr:`Member.start`; 0 where members have none."""
        return 0

    def begin_scan(self) -> None:
        """Forget what was read of the whole machine: another scan begins."""

    def last_start(self) -> int | None:
        """Return a number that changes whenever a process starts; None where there is none."""
        return None

    def is_youngest(self, pid: int) -> bool:  # noqa: ARG002 - nothing counts starts here
        """Whether no process has started since the one that has this number still.

        False also where that cannot be known.
        """
        return False

    def refusal(self, pid: int, member: Member | None) -> str | None:
        """Say why what :meth:`bind` found under a number may never be ended, or None.

        It is a process of the system itself, or the number is a thread's.
        """

    def bind(self, pid: int) -> Member | None:
        """Find the process that has this number now, or None; a zombie is found, with its state."""

    def bind_all(self, pids: Iterable[int]) -> list[Member]:
        """Find the processes that have these numbers now, as :meth:`bind` does."""
        return [member for pid in pids if (member := self.bind(pid)) is not None]

    def children(
        self, parents: Sequence[Member], known: Mapping[int, Member]
    ) -> list[tuple[Member, Member]]:
        """Find the living children of these that are not known; return (parent, child).

        The parents live, or links are kept.
        Each child was a child of its parent while both were alive, and is bound.
        A number is known while the member that had it owns it.
        """

    def owns_number(self, member: Member) -> bool:
        """Whether a member still has its number: it lives, or was not reaped."""

    def holds_session(self, leader: Member) -> bool:
        """Whether the number of a member, dead or alive, still means what it led.

        The kernel keeps a number while it has a process, a group or a session.
        """
        return self.owns_number(leader)

    def group_remains(self, leader: Member) -> bool:  # noqa: ARG002 - nothing tells a group from a later one
        """Whether the group that a member led is known to have other members."""
        return False

    def drop(self, member: Member) -> None:
        """Let go of a process that does not belong to the tree."""

    def candidates(
        self, roots: Sequence[Member], *, ours: bool, children: bool, everywhere: bool
    ) -> Iterable[int]:
        """List the numbers of processes that may be orphans of these trees.

        Args:
            roots: those of the first call count; what was found out about them is kept.
            ours: whether there are also trees whose root was a child of this process.
            children: whether any child of this process may belong, adopted or not.
            everywhere: whether every visible process may.
        """

    def session(self, pid: int) -> int | None:  # noqa: ARG002 - sessions are not known here
        """Return the session of a number; None where there is none or it cannot be read."""
        return None

    def group(self, pid: int) -> int | None:  # noqa: ARG002 - process groups are not known here
        """Return the process group of a number; None where there is none or it cannot be read."""
        return None

    def lives(self, member: Member) -> bool:
        """Whether a process lives, so that what it started had no other parent until now."""
        return not self.wait([member], self.now())

    def carries(self, pid: int, markers: Collection[bytes], since: int = 0) -> bool | None:
        """Whether the environment of a process holds one of these ``NAME=VALUE``.

        None where the process hides it, perhaps for a moment, and we may be allowed to end it.
        Where the system knows it at no cost, False for a process that started before ``since``,
        in the unit of :attr:`Member.start`.
        """

    def ancestors(self, pid: int) -> Iterable[int]:
        """Yield the parent of a process, its parent, and so on."""

    def read_responses(self, members: Iterable[Member], signal_name: str) -> None:  # noqa: ARG002 - none shows it
        """Fill in how these respond to a signal, where the system shows it."""
        for member in members:
            member.response = None

    def ask(
        self, members: Iterable[Member], signal_name: str, until: float, others: Sequence[Member]
    ) -> Reply:
        """Ask these to end, in this order; a stopped one is continued, so that it can.

        A member that the request cannot reach is marked as unreachable.

        Args:
            members: the processes that are asked.
            signal_name: as ``"SIGTERM"``.
            until: when what helps with that is ended.
            others: members that the request may reach as well.
        """

    def freeze(self, members: Iterable[Member], groups: Iterable[Member]) -> Reply:
        """Stop these; ``groups`` are roots whose process groups may be stopped at once."""

    def prove_stopped(self, members: Iterable[Member], until: float) -> None:
        """Wait until each of these frozen members is stopped or dead, at most until this time.

        None is in a fork then: the next scan finds all their children.
        If one still runs, descendants are :attr:`unseen` from then on.
        """

    def kill(self, members: Iterable[Member], groups: Iterable[Member]) -> Reply:
        """End these by force, in this order; then ``groups``, as in :meth:`freeze`."""

    def insist(self, members: Iterable[Member], until: float) -> Reply:  # noqa: ARG002 - no other way
        """End these, which survived the force, by another way, which is ended at this time."""
        return Reply([], [])

    def release(self, members: Iterable[Member]) -> None:
        """Continue these."""

    def stopped(self, pid: int) -> bool:
        """Whether a process is stopped (job control), not merely waiting."""

    def is_about_to_notice(self, pid: int) -> bool:  # noqa: ARG002 - nothing shows that here
        """Whether a parent seems to be about to learn that a child of its stopped."""
        return False

    def wait(self, members: Sequence[Member], until: float) -> list[Member]:
        """Wait until one of these is dead, until this time, or until woken; return the dead.

        A process is dead when its last thread has ended, whether or not its parent has reaped it.
        A past time only looks; a wait of more than a day may end early.
        """

    def explain(self, members: Iterable[Member]) -> None:  # noqa: ARG002 - nothing shows it here
        """Note why these live although they were killed, where the system shows it."""
        return

    def inspect(self, members: Iterable[Member]) -> None:
        """Fill in the exit codes that can be read; reap the dead that have no owner."""

    def look_again(self, members: Iterable[Member]) -> None:  # noqa: ARG002 - none tells after its death
        """Read again what these used, dead or alive, where they still tell."""
        return

    def cpu_used(self, members: Iterable[Member]) -> CpuSeconds | None:  # noqa: ARG002 - none tells
        """Return what these used when they were looked at, and the children that they had reaped.

        A child is counted once: those that died later are not among the reaped.
        None where none of them told.
        """
        return None

    def zombies_of(self, parents: Iterable[Member]) -> list[Member]:  # noqa: ARG002 - none tells
        """Return the children of these that were found dead and not reaped, if they tell of use."""
        return []

    def memory_used(self, members: Iterable[Member]) -> int | None:  # noqa: ARG002 - none tells
        """Return the bytes that these had in memory when they were looked at; None if unknown."""
        return None

    def holds(self, member: Member, files: Collection[tuple[int, int]]) -> bool:  # noqa: ARG002 - not shown here
        """Whether a process has one of these files open, each a device and an inode.

        True also where that cannot be known.
        """
        return True

    def uids(self, member: Member) -> Sequence[int]:  # noqa: ARG002 - there are none here
        """Return the real and the effective uid of a process; nothing where they are not known."""
        return ()

    def arguments(self, member: Member) -> Sequence[str]:  # noqa: ARG002 - not shown here
        """Return the arguments of a process; nothing where they are hidden or a read may block."""
        return ()

    def name_among(self, member: Member, names: Collection[str]) -> str | None:
        """Return which of these exact names the program of a process has; "" where it has none.

        A name is that of its file, of its script, or as it was called; on Windows in any case, and
        without ``.exe`` too. None where it cannot be read of a process that may be signalled.
        """
        return None if member.name is None else member.name if member.name in names else ""

    def details(self, member: Member) -> Details:
        """Read what may be shown of a process to a person; it is never stored."""

    def hurry(self) -> None:
        """Set :attr:`hurried` and wake one :meth:`wait`; callable from any thread."""
        self.hurried = True
        self.wake()

    def wake(self) -> None:
        """Wake one :meth:`wait`, the present or the next; callable from any thread."""

    def close(self) -> None:
        """Close every descriptor and handle."""


class Launch(NamedTuple):
    """How a command is started so that it keeps the terminal.

    Args:
        args: the program and its arguments.
        new_session: whether it leads a session of its own; on Windows a group in the console.
    """

    args: Sequence[str]
    new_session: bool


class Terminal(Protocol):
    """The terminal that this process shares with what it starts; false where there is none."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...

    def __bool__(self) -> bool: ...

    @property
    def is_canonical(self) -> bool:
        """Whether its input is read in lines; else keys belong to the program in front."""

    def starting(self, command: Sequence[str]) -> AbstractContextManager[Launch]:
        """Start a command inside the block, so that it gets the keys and can be asked.

        The end of the block waits until it runs.

        Raises:
            OSError: it cannot be started.
        """

    def reaches(self, pid: int) -> bool:
        """Whether a key that sends this process a signal sends it to this child as well."""

    def reclaim(self, *, modes: bool) -> None:
        """Take the foreground back from a dead group, if this process had it on entry.

        Args:
            modes: whether to restore the modes of that time too: a killed program could not.
                Those that another program may have set stay as they are.
        """


class PipeWatcher(Protocol):
    """Waits for pipes of this process, in one thread; each file is a descriptor.

    Attributes:
        writes_block: whether :meth:`write` may block, so that it needs a thread of its own.
    """

    writes_block: bool

    def ready(
        self, readable: Sequence[int], writable: Sequence[int], ended: Sequence[int] = ()
    ) -> Collection[int]:
        """Wait until one of these can be read or written without blocking, or for :meth:`wake`.

        A pipe at its end can be read. Where writes block, ``writable`` does not count.
        One in ``ended`` is ready when no process can write to it any more, whatever it holds;
        on Windows never.
        """

    def held(self, fd: int) -> int:
        """Return how many bytes can be read now."""

    def write(self, fd: int, data: memoryview) -> int:
        """Write some of this to a pipe that is ready, and return how much."""

    def wake(self) -> None:
        """End a wait, now or as soon as it begins; callable from any thread."""

    def close(self) -> None:
        """Close what the watcher opened."""
