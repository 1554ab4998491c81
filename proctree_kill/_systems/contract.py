"""The contract between the engine and a system."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Literal, NamedTuple, Protocol, Self

from .member import Member


class Reply(NamedTuple):
    """What happened to a batch of signals: who is gone, and whom the system protects."""

    gone: list[Member]
    denied: list[Member]


class Live(NamedTuple):
    """What a process shows of itself now; None for what it hides.

    Args:
        user: in whose name it acts.
        command: its arguments, with spaces between them; they may hold secrets.
        seconds: how old it is.
    """

    user: str | None = None
    command: str | None = None
    seconds: float | None = None


class Trust(NamedTuple):
    """Whether a file may be acted upon, by its owner and mode.

    Args:
        why_not: why it may not; None where it may.
        uid: the user with whose rights alone it may be; None: with ours.
    """

    why_not: str | None = None
    uid: int | None = None


class UnavailableError(Exception):
    """The kernel keeps nothing together here, and why; told as the end of a sentence."""


class Cell(Protocol):
    """What the kernel itself keeps together: nobody in it can leave it unseen."""

    kind: Literal["cgroup", "job"]
    """Which evidence its members are of."""
    name: str
    """Under which name it is known outside this process."""
    creation_flags: int
    """Windows' flags for who shall be born in here: it runs once it was adopted and started."""
    dies_with_owner: bool
    """Whether everybody in here dies when the process that made it does, however it ends."""

    def spawning(self, do: Callable[[Callable[[], None]], None]) -> AbstractContextManager[None]:
        """Have what this thread starts inside the block, with the flags, born in here.

        Args:
            do: runs an act to its end, whatever a signal handler raises meanwhile.

        Raises:
            OSError: before anything ran: the kernel does not let us in.
        """

    def adopt(self, pid: int) -> None:
        """Take in a process; whom it started before that stays where it is.

        Raises:
            OSError: it is gone, or the kernel refuses.
        """

    def expel(self, pid: int) -> None:
        """Move out what has a number now that was another process's when it was taken in.

        Raises:
            OSError: the kernel refuses.
        """

    def start(self, pid: int) -> None:
        """Let a process run that the flags keep from it.

        Raises:
            OSError: it is gone, or the kernel refuses.
        """

    def pids(self) -> list[int]:
        """List who lives in here, and in whatever of this kind is inside."""

    def kill(self) -> bool:
        """Kill everybody in here at once; tell whether the kernel took the order."""

    def remove(self) -> bool:
        """Remove it, if nobody lives in it; tell whether it is gone."""

    def abandon(self) -> None:
        """Remove it as soon as that can be done by the way: now, with the next one, or at exit."""


class Offer(NamedTuple):
    """One thing that a machine has, or has not.

    Args:
        name: what it is.
        detail: what that means, or why it is not there.
        available: whether it is there; None for what is only told.
    """

    name: str
    detail: str
    available: bool | None = None


class System(Protocol):
    """One system during one kill.

    No method raises for what a process does: one that vanishes or refuses is told in the answer.
    A member stands for the process that :meth:`bind` or :meth:`children` saw, never for its number:
    whatever is done to it later reaches that very process or nobody.
    An instance belongs to one thread, but for :meth:`hurry`.
    """

    polite: bool
    """Whether :meth:`ask` can reach a process without ending it by force."""

    insists: bool
    """Whether :meth:`insist` does anything."""

    force_code: int
    """The exit code of a process that :meth:`kill` ended, as ``subprocess`` says it."""

    keeps_links: bool
    """Whether the living children of a dead member can be found as well.

    Elsewhere they get another parent when theirs dies.
    """

    disturbed: bool
    """Whether a child vanished during the scan, so that a list may have hidden another."""

    unseen: int
    """The evidence, as a mask, by which processes could not be looked for where some may be."""

    hurried: bool
    """Whether :meth:`hurry` was called."""

    def now(self) -> float:
        """Return the monotonic time in seconds."""

    def begin_scan(self) -> None:
        """Forget what was read of the whole machine: another scan begins."""

    def births(self) -> int | None:
        """Return what changes whenever a process is born; None where that cannot be known."""

    def is_youngest(self, pid: int) -> bool:
        """Tell whether nobody was born since the process with this number, which still owns it.

        No is also the answer where that cannot be known.
        """

    def refusal(self, pid: int, member: Member | None) -> str | None:
        """Say why what :meth:`bind` found under a number may never be ended, or None.

        It is the system's own process, or the number is a thread's.
        """

    def bind(self, pid: int) -> Member | None:
        """Find the process that has this number now, or None; a zombie is found, with its state."""

    def children(
        self, parents: Sequence[Member], known: Mapping[int, Member]
    ) -> list[tuple[Member, Member]]:
        """Find the living children of these that are not known; return (parent, child).

        The parents live, or links are kept.
        On return each child was a child of its parent while both were alive, and is bound.
        A number is known while the member that had it owns it.
        """

    def owns_number(self, member: Member) -> bool:
        """Tell whether a member still has its number: it lives, or nobody has reaped it."""

    def holds_session(self, leader: Member) -> bool:
        """Tell whether the number of a member, dead or alive, still means the session that it led.

        The kernel keeps a number while it has a process, a group or a session.
        """

    def group_remains(self, leader: Member) -> bool:
        """Tell whether the group that a member led is known to have members besides itself."""

    def drop(self, member: Member) -> None:
        """Let go of a process that turned out to be none of ours."""

    def strays(
        self, roots: Sequence[Member], *, ours: bool, children: bool, everywhere: bool
    ) -> Iterable[int]:
        """List the numbers of processes that may be orphans of these trees.

        The roots are those of the first call; what was found out about them then is kept.
        With ``ours`` there are trees as well whose root was a child of this process.
        With ``children`` any child of this process may belong, adopted or not.
        With ``everywhere`` it is every process that we can see.
        """

    def moment(self) -> int:
        """Return the time in the unit of :attr:`Member.start`; 0 where members have none."""

    def session(self, pid: int) -> int | None:
        """Return the session of a number; None where there is none or it cannot be read."""

    def carries(self, pid: int, markers: Collection[bytes]) -> bool | None:
        """Whether the environment of a process holds one of these ``NAME=VALUE``.

        None where it hides it, perhaps only now, and this process may be allowed to end it.
        """

    def ancestors(self, pid: int) -> list[int]:
        """Return the parent of a process, its parent, and so on."""

    def ask(self, members: Iterable[Member], until: float) -> Reply:
        """Ask these to leave, in this order; a stopped one is continued, so that it can.

        Whatever helps with that is ended at this time.
        Whom nothing polite can reach is marked as deaf.
        """

    def freeze(self, members: Iterable[Member], groups: Iterable[Member]) -> Reply:
        """Stop these; ``groups`` are roots whose process groups may be stopped at once."""

    def prove_stopped(self, members: Iterable[Member], until: float) -> None:
        """Wait until each of these frozen members is stopped, or dead, at most until this time.

        It is in no fork then: the next scan finds every child of it.
        Where one still runs, descendants are :attr:`unseen` from then on.
        """

    def kill(self, members: Iterable[Member], groups: Iterable[Member]) -> Reply:
        """End these by force, in this order; ``groups`` as in :meth:`freeze`, after them."""

    def insist(self, members: Iterable[Member], until: float) -> Reply:
        """End these, whom the force left, by another way, which is ended at this time."""

    def release(self, members: Iterable[Member]) -> None:
        """Continue these."""

    def stopped(self, pid: int) -> bool:
        """Tell whether a process is stopped (job control), not merely waiting."""

    def unaware(self, pid: int) -> bool:
        """Tell whether a parent seems to be about to learn that a child of its stopped."""

    def wait(self, members: Sequence[Member], until: float) -> list[Member]:
        """Wait until one of these is dead, until this time, or for a hurry; return the dead.

        A process is dead when its last thread has ended, whether or not its parent has reaped it.
        A time that is past only looks; a wait of more than a day may end early.
        """

    def inspect(self, members: Iterable[Member]) -> None:
        """Fill in the exit codes of the dead that can be told, and reap whom nobody owns."""

    def users(self, member: Member) -> Sequence[int]:
        """Return the real and the effective uid of a process; nothing where it is not known."""

    def show(self, member: Member) -> Live:
        """Read what a person may want to see of a process; never kept."""

    def hurry(self) -> None:
        """Set :attr:`hurried` and wake one :meth:`wait`; callable from any thread."""

    def close(self) -> None:
        """Give back every descriptor and handle."""


class Terminal(Protocol):
    """The terminal that this process shares with what it starts; false where there is none."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...

    def __bool__(self) -> bool: ...

    def reaches(self, pid: int) -> bool:
        """Tell whether a key that sends us a signal sends it to this child as well."""

    def reclaim(self, *, modes: bool) -> None:
        """Take the foreground back from a group that has died, if it was ours on entry.

        Args:
            modes: whether to restore the modes of that time, too: who was killed could not.
        """
