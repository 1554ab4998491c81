"""The objects that started a process: they tell how it ended, and they alone reap it.

The standard library, psutil, anyio, trio and pexpect have different names for the same things.
This file is the only one that knows them.
"""

from __future__ import annotations

import contextlib
import inspect
import io
import logging
import os
import stat
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from typing import IO, Any

from .._models.exit_code import UNKNOWN, known
from .._models.result import Fate, KillResult, ProcessOutcome
from .._running import loops
from .target import Claim, Contained

FLUSH_TIME = 0.1  # seconds in which a process must read what a buffer still holds for it
STDERR = 2  # descriptors up to this one are the caller's own, whatever they are
NOTED_WITHIN = 1.0  # seconds in which a thread that has reaped must have noted the exit code
KNOWN_WITHIN = 0.1  # the same where the code is known without it
ENDED = {Fate.ALREADY_GONE, Fate.TERMINATED, Fate.KILLED}

Codes = Mapping[int, int | None]
"""The exit codes of the dead, by their numbers; None is unknown."""
CallSoon = Callable[[Callable[[], object]], object]
"""Has a function called in the thread of an event loop."""

_log = logging.getLogger("proctree_kill")


def has_ended(owner: object) -> bool:
    """Whether the owner knows that the process has ended, so that its number is free."""
    returncode = getattr(_inner(owner), "returncode", None)
    if returncode is not None or getattr(owner, "terminated", None) is True:
        return True
    running = getattr(owner, "is_running", None)  # psutil, which compares start times
    return callable(running) and not running()


def is_our_child(owner: object) -> bool:
    """Whether an object stands for a child of this process, as all do that know its end."""
    names = ("_popen", "exitstatus")
    return hasattr(_inner(owner), "returncode") or any(hasattr(owner, name) for name in names)


def _inner(owner: object) -> object:
    """Return the object whose ``returncode`` can be read in any thread, and reaps nothing."""
    if _is_awaited(owner):
        spawned = _spawned(owner)
        return getattr(spawned, "_proc", spawned)  # trio, whose own may be read in its loop only
    return getattr(owner, "_popen", owner)  # multiprocessing, whose exitcode reaps


def _spawned(owner: object) -> object:
    """Return the process of asyncio or trio that anyio's hides, with its pipes."""
    return getattr(owner, "_process", owner)


def _is_awaited(owner: object) -> bool:
    return inspect.iscoroutinefunction(getattr(owner, "wait", None))


def poll_all(claims: Iterable[Claim], codes: Codes) -> None:
    """Let the owners see the ends of their processes, so that exit codes are true from now on."""
    for claim in claims:
        owner = claim.owner
        if _is_awaited(owner):
            continue  # only its event loop may ask it
        if not isinstance(owner, Contained):  # which keeps more than a code
            _poll_popen(owner, codes.get(claim.pid))
        poll = getattr(owner, "poll", None) or getattr(owner, "isalive", None)  # Popen; pexpect
        try:
            if callable(poll):
                poll()
            else:
                getattr(owner, "exitcode", None)  # multiprocessing: reading it polls
        except Exception:  # noqa: BLE001 - pexpect's, where another part of the program has reaped it
            _log.exception("the owner of process %s does not know its end", claim.pid)
        if claim.pid in codes:
            _correct(owner, codes[claim.pid])


def _poll_popen(owner: object, code: int | None) -> None:
    """Let a ``Popen`` look; if another part of the program has reaped, its poll() would say 0."""
    poll: Any = getattr(owner, "_internal_poll", None)
    if poll is not None:
        poll(_deadstate=UNKNOWN if code is None else code)


def _correct(owner: object, code: int | None) -> None:
    """Give the object of a dead process its exit code, where it has lost or not yet noted it."""
    popen: Any = _inner(owner)
    lock = getattr(popen, "_waitpid_lock", None)
    if lock is not None:
        # Popen's wait() in another thread notes the code before it lets go of the lock. In the
        # main thread, below the signal handler that called us, it does both later.
        until = time.monotonic() + (NOTED_WITHIN if code is None else KNOWN_WITHIN)
        while popen.returncode is None and (left := until - time.monotonic()) > 0:
            if lock.acquire(timeout=left):
                lock.release()
                _poll_popen(popen, code)
    if code is not None and getattr(popen, "returncode", code) != code:
        with contextlib.suppress(AttributeError):  # another library's, which is read only
            popen.returncode = code


async def settle(result: KillResult, claims: Iterable[Claim], deadline: float) -> KillResult:
    """Await the owners whose ``wait`` is a coroutine function; add the exit codes they know."""
    alive = {survivor.identity.pid for survivor in result.survivors}
    codes = {outcome.identity.pid: outcome.exit_code for outcome in result.outcomes}
    for claim in claims:
        if claim.pid not in alive and _is_awaited(claim.owner):
            _poll_popen(_inner(claim.owner), codes.get(claim.pid))  # trio's
            # asyncio's waits for the pipes as well (cpython#119710), so it needs a bound.
            await loops.wait_within(claim.owner.wait, max(deadline - time.monotonic(), 0))
    return with_codes(result, claims)


def with_codes(result: KillResult, claims: Iterable[Claim]) -> KillResult:
    """Fill in exit codes that only the owners know, for they reaped first."""
    codes = {claim.pid: _code(claim.owner) for claim in claims}

    def fill(outcome: ProcessOutcome) -> ProcessOutcome:
        code = codes.get(outcome.identity.pid)
        if outcome.exit_code is None and outcome.fate in ENDED and code is not None:
            return outcome.model_copy(update={"exit_code": code})
        return outcome

    if not any(code is not None for code in codes.values()):
        return result
    return result.model_copy(update={"outcomes": tuple(map(fill, result.outcomes))})


def _code(owner: object) -> int | None:
    for code in (getattr(_inner(owner), "returncode", None), getattr(owner, "exitcode", None)):
        if isinstance(code, int):
            return known(code)
    signal = getattr(owner, "signalstatus", None)  # pexpect
    return -signal if isinstance(signal, int) else getattr(owner, "exitstatus", None)


def input_closer(owners: Iterable[object], call_soon: CallSoon | None) -> Callable[[], None] | None:
    """Return what closes the standard inputs that this process holds; None if it holds none."""
    closers = [closer for owner in owners if (closer := _closer(owner, call_soon)) is not None]

    def close() -> None:
        for closer in closers:
            closer()

    return close if closers else None


def _closer(owner: object, call_soon: CallSoon | None) -> Callable[[], object] | None:
    stdin: Any = getattr(_spawned(owner) if _is_awaited(owner) else owner, "stdin", None)
    if call_soon is not None and callable(getattr(stdin, "is_closing", None)):  # asyncio
        return lambda: call_soon(stdin.close)
    with contextlib.suppress(AttributeError, OSError, ValueError):  # nothing, no file, closed
        fd = stdin.fileno()
        mode = os.fstat(fd).st_mode  # pexpect's stdin is the caller's own terminal
        if fd > STDERR and (stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)):
            return lambda: _flush_and_cut(stdin, fd)
    return None


def _flush_and_cut(stdin: IO[Any], fd: int) -> None:
    """Write what a file of Python still holds, if the process reads it soon; then cut the pipe.

    ``close()`` could wait for ever: for a process that does not read, or for a thread that writes.
    So the null device takes the place of the pipe. A thread that waits in a write returns when
    the reader dies.
    """
    if callable(getattr(stdin, "flush", None)) and not isinstance(stdin, io.RawIOBase):
        writer = threading.Thread(target=_flush, args=[stdin], name="proctree_kill", daemon=True)
        with contextlib.suppress(RuntimeError):  # at the exit of the interpreter none starts
            writer.start()
            writer.join(FLUSH_TIME)
    null = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(null, fd, inheritable=False)
    finally:
        os.close(null)


def _flush(stdin: IO[Any]) -> None:
    with contextlib.suppress(OSError, ValueError):  # the reader is dead, or the file closed
        stdin.flush()
