"""The calls: kill_tree, akill_tree, snapshot_tree."""

from __future__ import annotations

import math
from typing import Literal

from .._models.errors import TargetRefusedError
from .._models.policy import KillPolicy, Teardown, Terminate, policy_or_default
from .._models.result import KillResult
from .._models.tree import TreeSnapshot
from .._running import loops, threads
from .._systems import current
from .._systems.contract import System
from . import report
from .events import Listener
from .gather import gather, refuse_caller
from .killing import Killing
from .shutdown import Shutdown, ShutdownHook
from .spare import Spare
from .target import Aim, Target, aim
from .tree import Tree


def kill_tree(
    target: Target,
    *,
    grace: float | None = None,
    settle: float | None = None,
    terminate: Terminate | None = None,
    teardown: Teardown | None = None,
    include_root: bool | None = None,
    helper_timeout: float | None = None,
    policy: KillPolicy | None = None,
    shutdown: Shutdown | None = None,
    marker: str | None = None,
    spare: Spare | None = None,
    on_event: Listener | None = None,
) -> KillResult:
    """End a process and everything that it started, and return what happened to each.

    First ``shutdown`` is called, if it is given, then a pipe to the root's standard input is
    closed, if the target object holds it. Then all processes are asked to leave (SIGTERM, parents
    before children). What is alive after the grace is frozen and killed, until no process of the
    tree is found.
    A target that is gone already is not an error.
    An interrupt (Ctrl-C) forces at once, and is raised when the tree is gone.

    Args:
        target: a pid, a :class:`ProcessIdentity`, a :class:`TreeSnapshot`, or anything with an
            integer ``pid`` (``Popen``, ``psutil.Process``, ...); a sequence of them is ended
            together, under one deadline.
            A bare number is your word that no other process had it since.
        grace: seconds between the polite request and the force, default 2; 0 forces at once.
        settle: seconds after the force within which death must be confirmed, default 5.
        terminate: ``"top-down"`` (the default) asks a child after its parent, which may pass the
            request on; ``"tree"`` asks all processes at once, ``"root"`` only the root.
        teardown: the requests instead of SIGTERM, each a signal and its seconds, as
            ``[("SIGINT", 3), ("SIGTERM", 2)]``; they take the place of ``grace``.
        include_root: whether the root itself dies; default true.
        helper_timeout: seconds that an external helper may take (Windows only), default 5.
        policy: the options that are not given; default ``KillPolicy()``.
        shutdown: called first, without arguments, to ask in the application's own way; default
            none. It has a quarter of the time of the first request (0.5 s of the default grace),
            with the closing of the standard input after it. It runs in a daemon thread, which is
            abandoned when that time is over. Not called with ``grace=0``. What it raises, or
            that it was abandoned, is in the root's ``detail``.
        marker: ``"NAME=VALUE"``: processes that were started with this in their environment
            belong to the tree.
        spare: what is left alone, with its descendants: a list of pids, identities, exact names
            of programs and ``"NAME=VALUE"`` of an environment, which are compared again right
            before a process is signalled; or a predicate over a :class:`SpareCandidate`, called
            once when a process is found.
        on_event: called with each :class:`KillEvent`, in the thread that kills, between its steps;
            its time counts against the grace.
            An exception that it raises is logged. One that is no :class:`Exception`
            (``SystemExit``, a cancellation), of ``spare`` as well, forces at once, and is raised
            when the tree is gone.

    Returns:
        One outcome for each process; a survivor is a value, see ``raise_for_survivors()``.

    Raises:
        TargetRefusedError: the target must not be ended; nothing was touched.
        PolicyError: an option is wrong; nothing was touched.
        TypeError, ValueError: an argument is wrong; nothing was touched.
    """
    options = policy_or_default(policy).but(
        grace=grace,
        settle=settle,
        terminate=terminate,
        teardown=teardown,
        include_root=include_root,
        helper_timeout=helper_timeout,
    )
    hook = None if shutdown is None else ShutdownHook(shutdown)
    return threads.run(Killing(target, options, marker, spare, on_event, hook=hook))


async def akill_tree(
    target: Target,
    *,
    grace: float | None = None,
    settle: float | None = None,
    terminate: Terminate | None = None,
    teardown: Teardown | None = None,
    include_root: bool | None = None,
    helper_timeout: float | None = None,
    policy: KillPolicy | None = None,
    shutdown: Shutdown | None = None,
    marker: str | None = None,
    spare: Spare | None = None,
    on_event: Listener | None = None,
) -> KillResult:
    """Like :func:`kill_tree`, awaited.

    The target may also be a process object of asyncio, anyio or trio; its ``returncode`` is true
    on return. ``shutdown`` is a coroutine function, called on this event loop, and cancelled when
    its time is over; a plain function is called in a thread.
    The event loop is not blocked: a thread does the work, and calls ``on_event``.
    A cancellation or an interrupt (Ctrl-C) forces at once, and is raised when the tree is gone.
    trio needs its extra (``pip install proctree_kill[trio]``).
    """
    options = policy_or_default(policy).but(
        grace=grace,
        settle=settle,
        terminate=terminate,
        teardown=teardown,
        include_root=include_root,
        helper_timeout=helper_timeout,
    )
    loop = loops.running_loop()
    call_soon = None if loop is None else loop.call_soon_threadsafe
    hook = None if shutdown is None else ShutdownHook(shutdown, loops.caller_here())
    kill = Killing(target, options, marker, spare, on_event, hook=hook, call_soon=call_soon)
    return await loops.run(kill, settle=kill.settle)


def snapshot_tree(
    target: Target,
    *,
    marker: str | None = None,
    spare: Spare | None = None,
    include_root: bool = True,
) -> TreeSnapshot:
    """Find what :func:`kill_tree` would end, in which order and why, and touch no process.

    A snapshot is itself a target: what it names can be ended later,
    even if the root is gone by then.

    Args:
        target: as for :func:`kill_tree`.
        marker: as for :func:`kill_tree`.
        spare: as for :func:`kill_tree`.
        include_root: whether the root itself would die; default true.

    Returns:
        The members, children before parents;
        ``refusal`` says why :func:`kill_tree` would refuse.

    Raises:
        TypeError, ValueError: an argument is wrong.
    """
    aimed = aim(target, marker, spare)
    refusal = None
    with current() as system:
        try:
            gathered = gather(system, aimed, include_root=include_root)
        except TargetRefusedError as error:
            named = tuple(claim.known for claim in aimed.claims)
            return TreeSnapshot(target=named, members=(), refusal=str(error))
        try:
            refuse_caller(gathered)
        except TargetRefusedError as error:
            refusal = str(error)
        return report.snapshot(gathered, refusal)


def look(system: System, aimed: Aim, deadline: float = math.inf) -> Tree:
    """Return a tree as it is now.

    Raises:
        TargetRefusedError: as for :func:`kill_tree`.
    """
    return gather(system, aimed, include_root=True, deadline=deadline).tree


def signal_tree(target: Target, way: Literal["ask", "force"]) -> None:
    """Ask or kill a tree, without waiting for a death.

    Args:
        target: as for :func:`kill_tree`.
        way: whether to ask only or to force at once; where no process can be asked, both do.

    Raises:
        TargetRefusedError: as for :func:`kill_tree`.
    """
    threads.run(Killing(target, KillPolicy(), way=way))
