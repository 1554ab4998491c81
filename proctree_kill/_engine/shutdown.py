"""The caller's shutdown hook: called beside the kill, and abandoned when its share is over."""

from __future__ import annotations

import contextvars
import inspect
import logging
import threading
import time
from collections.abc import Awaitable, Callable, Collection

from .._running.loops import LoopCall, LoopCaller, close_unawaited
from .._running.threads import blocked_signals, blocking
from .steps import HookState

Shutdown = Callable[[], object]

_log = logging.getLogger("proctree_kill")


class ShutdownHook:
    """One call of a hook, in a daemon thread: it may hang.

    Attributes:
        state: what became of it; None before its call.
        problem: what is reported of it; None if it was not called, or returned in time.
        woken: called in its thread when it has ended, unless it was abandoned before.
    """

    def __init__(
        self,
        call: Shutdown,
        loop: LoopCaller | None = None,
        blocked: Collection[int] | None = None,
    ) -> None:
        """Call nothing yet.

        Args:
            call: the hook.
            loop: calls a coroutine function on an event loop, and awaits what any other hook
                returns; that one is called in the thread, for it could block the loop.
            blocked: the signals that the thread blocks, and what the hook starts in it; default
                those of the thread that calls this.

        Raises:
            TypeError: it cannot be called, or must be awaited and there is no loop.
        """
        check_hook(call, awaited=loop is not None)
        self.state: HookState | None = None
        self.problem: str | None = None
        self.woken: Callable[[], object] = _nothing
        self._loop = loop
        self._loop_call: LoopCall | None = None
        if loop is not None and is_coroutine_function(call):
            self._loop_call = loop(call)
        self._call = call
        self._blocked = blocked_signals() if blocked is None else blocked
        self._changing = threading.Lock()
        self._start = 0.0

    def start(self) -> None:
        """Begin the call, and do not wait for it."""
        self.state = "running"
        self._start = time.monotonic()
        context = contextvars.copy_context()
        thread = threading.Thread(
            target=context.run, args=[self._run], name="proctree_kill shutdown", daemon=True
        )
        try:
            with blocking(self._blocked):
                thread.start()
        except RuntimeError as error:  # the system has no thread left, or the interpreter exits
            self._end(error)

    def abandon(self) -> None:
        """Wait for it no longer, and report that."""
        seconds = time.monotonic() - self._start
        if self.close():
            self.problem = f"the shutdown hook was abandoned after {seconds:.2f} s"
            _log.warning("%s", self.problem)

    def close(self) -> bool:
        """Cancel what still runs on the event loop; return whether the call was under way."""
        with self._changing:
            if self.state != "running":
                return False
            self.state = "abandoned"
        if self._loop_call is not None:
            self._loop_call.cancel()
        return True

    def _run(self) -> None:
        try:
            if self._loop_call is not None:
                self._loop_call.run()
            elif isinstance(returned := self._call(), Awaitable):
                self._await(returned)
        except BaseException as error:  # noqa: BLE001 - it is reported; no caller could catch it
            self._end(error)
        else:
            self._end(None)

    def _await(self, returned: Awaitable[object]) -> None:
        with self._changing:
            abandoned = self.state != "running"
            if self._loop is not None and not abandoned:
                self._loop_call = self._loop(returned)
        if self._loop_call is not None:
            self._loop_call.run()
            return
        close_unawaited(returned)
        if not abandoned:
            text = f"it returned {returned!r}, which is not awaited here"
            raise TypeError(text)

    def _end(self, error: BaseException | None) -> None:
        with self._changing:
            if self.state != "running":
                return
            if error is not None:
                words = f"{type(error).__name__}: {error}".removesuffix(": ")
                self.problem = f"the shutdown hook raised {words}"
            self.state = "returned" if error is None else "raised"
        if error is not None:
            _log.warning("the shutdown hook raised", exc_info=error)
        self.woken()


def check_hook(call: object, *, awaited: bool) -> None:
    """Check a hook, whatever its arguments.

    Raises:
        TypeError: it cannot be called, or must be awaited and is not.
    """
    if not callable(call):
        text = f"shutdown must be callable, not {call!r}"
        raise TypeError(text)
    if not awaited and is_coroutine_function(call):
        text = (
            f"shutdown is a coroutine function, {call!r}: "
            "akill_tree, astop and aspawn_agent take it, the others a function"
        )
        raise TypeError(text)


def is_coroutine_function(call: object) -> bool:
    """Whether a call of it gives a coroutine, which is always true."""
    method = getattr(call, "__call__", None)  # noqa: B004 - of an object that can be called
    return any(map(inspect.iscoroutinefunction, (call, method)))


def _nothing() -> None:
    pass
