"""The calls: kill_tree, akill_tree, snapshot_tree."""

from __future__ import annotations

import math
from typing import Literal

from .._models.errors import TargetRefusedError
from .._models.policy import KillPolicy
from .._models.result import KillResult
from .._models.tree import TreeSnapshot
from .._running import loops, threads
from .._systems import current
from .._systems.contract import System
from . import report
from .events import Listener
from .gather import Gathered, gather, refuse_caller
from .killing import Killing
from .target import Aim, Spare, Target, aim, read_markers, sparing
from .tree import Tree


def kill_tree(
    target: Target,
    *,
    grace: float | None = None,
    settle: float | None = None,
    terminate: Literal["tree", "root"] | None = None,
    include_root: bool | None = None,
    helper_timeout: float | None = None,
    policy: KillPolicy | None = None,
    marker: str | None = None,
    spare: Spare | None = None,
    on_event: Listener | None = None,
) -> KillResult:
    """End a process and everything that it started, and say what happened to each.

    Everybody is asked first (SIGTERM, children before parents; a pipe to the root's standard input
    that the target object holds is closed before).
    Who is alive after the grace is frozen, killed and looked for again until nobody is left.
    A target that is gone already is not an error.
    An interrupt (Ctrl-C) forces at once, and is raised when the tree is gone.

    Args:
        target: a pid, a :class:`ProcessIdentity`, a :class:`TreeSnapshot`, or anything with an
            integer ``pid`` (``Popen``, ``psutil.Process``, ...); a sequence of them is ended
            together, under one deadline.
            A bare number is your word that no other process had it since.
        grace: seconds between the polite request and the force; 0 forces at once.
        settle: seconds after the force within which death must be confirmed.
        terminate: ``"tree"`` asks everybody, ``"root"`` only the root.
        include_root: whether the root itself dies.
        helper_timeout: seconds that an external helper may take (Windows only).
        policy: what holds for the options that are not given; default ``KillPolicy()``.
        marker: ``"NAME=VALUE"``: processes that were started with this in their environment
            belong to the tree.
        spare: pids, identities, or a predicate over a :class:`TreeMember`, asked once when a
            process is found; a spared process keeps its descendants.
        on_event: called with each :class:`KillEvent`, in the thread that kills, between its steps;
            its time counts against the grace.
            An exception of it is logged; one that is no :class:`Exception` (``SystemExit``,
            a cancellation), of ``spare`` as well, forces at once, and is raised when the tree is
            gone.

    Returns:
        One outcome for each process; a survivor is a value, see ``raise_for_survivors()``.

    Raises:
        TargetRefusedError: the target must not be ended; nothing was touched.
        PolicyError: an option is wrong; nothing was touched.
        TypeError, ValueError: an argument is wrong; nothing was touched.
    """
    options = (policy or KillPolicy()).but(
        grace=grace,
        settle=settle,
        terminate=terminate,
        include_root=include_root,
        helper_timeout=helper_timeout,
    )
    return threads.run(Killing(target, options, marker, spare, on_event))


async def akill_tree(
    target: Target,
    *,
    grace: float | None = None,
    settle: float | None = None,
    terminate: Literal["tree", "root"] | None = None,
    include_root: bool | None = None,
    helper_timeout: float | None = None,
    policy: KillPolicy | None = None,
    marker: str | None = None,
    spare: Spare | None = None,
    on_event: Listener | None = None,
) -> KillResult:
    """Do what :func:`kill_tree` does, without blocking the event loop.

    asyncio needs nothing more; trio goes through anyio (``pip install proctree_kill[trio]``).
    The work is done by a thread of its own, which calls ``on_event`` as well.
    Cancelled, it forces at once, finishes, and lets the cancellation through.

    Args:
        target: as for :func:`kill_tree`; the process objects of asyncio, anyio and trio as well,
            whose ``returncode`` is true on return.
        grace: as for :func:`kill_tree`.
        settle: as for :func:`kill_tree`.
        terminate: as for :func:`kill_tree`.
        include_root: as for :func:`kill_tree`.
        helper_timeout: as for :func:`kill_tree`.
        policy: as for :func:`kill_tree`.
        marker: as for :func:`kill_tree`.
        spare: as for :func:`kill_tree`.
        on_event: as for :func:`kill_tree`.

    Returns:
        As :func:`kill_tree`.

    Raises:
        TargetRefusedError: as for :func:`kill_tree`.
        PolicyError: as for :func:`kill_tree`.
        TypeError, ValueError: as for :func:`kill_tree`.
    """
    options = (policy or KillPolicy()).but(
        grace=grace,
        settle=settle,
        terminate=terminate,
        include_root=include_root,
        helper_timeout=helper_timeout,
    )
    loop = loops.running_loop()
    call_soon = None if loop is None else loop.call_soon_threadsafe
    kill = Killing(target, options, marker, spare, on_event, call_soon=call_soon)
    return await loops.run(kill, settle=kill.settle)


def snapshot_tree(
    target: Target,
    *,
    marker: str | None = None,
    spare: Spare | None = None,
    include_root: bool = True,
) -> TreeSnapshot:
    """Find out whom :func:`kill_tree` would end, in which order and why, and touch nobody.

    A snapshot is itself a target: what it names can be ended later,
    even if the root is gone by then.

    Args:
        target: as for :func:`kill_tree`.
        marker: as for :func:`kill_tree`.
        spare: as for :func:`kill_tree`.
        include_root: as for :func:`kill_tree`.

    Returns:
        The members in the order in which they would be asked;
        ``refusal`` says why :func:`kill_tree` would refuse.

    Raises:
        TypeError, ValueError: an argument is wrong.
    """
    aimed = aim(target)
    markers = read_markers(aimed.markers, marker)
    system = current()
    try:
        spared = sparing(spare)
        gathered = gather(system, aimed, spared, markers, include_root=include_root)
        refusal = _refusal(gathered)
        return report.snapshot(gathered, refusal)
    except TargetRefusedError as error:
        return report.refused(aimed.claims, str(error))
    finally:
        system.close()


def look(system: System, aimed: Aim, deadline: float = math.inf) -> Tree:
    """Return a tree as it is now.

    Raises:
        TargetRefusedError: as for :func:`kill_tree`.
    """
    markers = read_markers(aimed.markers, None)
    return gather(system, aimed, None, markers, include_root=True, deadline=deadline).tree


def signal_tree(target: Target, way: Literal["ask", "force"]) -> None:
    """Ask or kill a tree, and wait for nobody's death.

    Args:
        target: as for :func:`kill_tree`.
        way: whether to ask only or to force at once; where nobody can be asked, both do.

    Raises:
        TargetRefusedError: as for :func:`kill_tree`.
    """
    threads.run(Killing(target, KillPolicy(), way=way))


def _refusal(gathered: Gathered) -> str | None:
    """Say why a tree that was found would be refused."""
    try:
        refuse_caller(gathered)
    except TargetRefusedError as error:
        return str(error)
    return None
