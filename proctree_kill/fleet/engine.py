"""What a fleet uses of distributed, typed, and the calls between its three parts.

The calls are handlers of distributed's own servers: its connections, its encryption.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeVar

from .._models.errors import FleetError, UnreachableError
from .._models.policy import KillPolicy

if TYPE_CHECKING:

    class SchedulerPlugin:
        """The base of a scheduler's plugin; distributed types it in part only."""

    class WorkerPlugin:
        """The base of a worker's plugin."""

    def dumps(value: object) -> bytes:
        """Pickle a value, functions of the main program included."""

    def loads(data: bytes) -> Any:  # noqa: ANN401 - any value travels
        """Return a pickled value."""

else:
    from distributed import SchedulerPlugin, WorkerPlugin
    from distributed.protocol.pickle import dumps, loads

__all__ = ["SchedulerPlugin", "WorkerPlugin", "dumps", "loads"]

ANSWER_TIME = 10.0  # seconds that a scheduler has to answer; it is busy, stopped or lost
SCHEDULER = "the scheduler"
NO_FLEET = "it has no fleet; Fleet(client, DIRECTORY) makes it"
NAME = "proctree_kill_fleet"  # of the plugins, the handlers and the topic of the events

_T = TypeVar("_T")


class Remote(Protocol):
    """The handler of a fleet in another process."""

    def proctree_kill_fleet(self, *, call: str, data: bytes) -> Coroutine[Any, Any, bytes | None]:
        """Call it; None where that process has no fleet."""


class Scheduler(Protocol):
    """A scheduler of distributed."""

    handlers: dict[str, Any]

    @property
    def rpc(self) -> Callable[[str], Remote]:
        """Returns the handlers of another process, by its address."""

    def subscribe_topic(self, topic: str, client: str) -> None:
        """Send the events of a topic to a client."""

    def set_metadata(self, keys: list[str], value: object) -> None:
        """Keep a value for all clients."""

    def log_event(self, topic: str, msg: object) -> None:
        """Send an event to the subscribers of a topic."""

    def register_worker_plugin(
        self, comm: None, plugin: bytes, name: str, *, idempotent: bool
    ) -> Coroutine[Any, Any, Mapping[str, Mapping[str, Any]]]:
        """Set a plugin up on all workers, and on those that come later."""


class Worker(Protocol):
    """A worker process of distributed."""

    address: str
    handlers: dict[str, Any]
    scheduler: Remote


class Client(Protocol):
    """A client of distributed."""

    @property
    def id(self) -> str:
        """Names it to the scheduler."""

    @property
    def asynchronous(self) -> object:
        """Whether this thread runs its event loop."""

    @property
    def scheduler(self) -> object:
        """Its connections to the scheduler, a :class:`Remote`; None once it is closed."""

    @property
    def sync(self) -> Callable[..., Any]:
        """Runs a coroutine function on its event loop, and waits."""

    @property
    def register_plugin(self) -> Callable[..., Any]:
        """Sets a plugin up."""

    @property
    def get_metadata(self) -> Callable[..., Any]:
        """Returns what a scheduler was told by a name."""

    @property
    def subscribe_topic(self) -> Callable[..., Any]:
        """Calls a function with each event of a topic."""


class Settings(NamedTuple):
    """What all processes of a fleet agree on."""

    directory: str
    policy: KillPolicy

    @property
    def stop_time(self) -> float:
        """The longest time of a stop, in seconds."""
        return self.policy.grace + self.policy.settle


Call = Callable[..., Coroutine[Any, Any, object]]


async def answer(calls: Mapping[str, Call], call: str, data: bytes) -> bytes:
    """Do what another process asks; what it raises travels as a value."""
    try:
        reply = (True, await calls[call](**loads(data)))
    except Exception as error:  # noqa: BLE001 - raised by ask() in the process that asked
        reply = (False, error)
    try:
        return dumps(reply)
    except Exception as error:  # noqa: BLE001 - any class may refuse to be pickled
        return dumps((False, RuntimeError(f"{reply[1]!r} cannot be sent: {error}")))


async def ask(remote: Remote, address: str, seconds: float, call: str, **arguments: object) -> Any:  # noqa: ANN401 - any value travels
    """Ask the part of a fleet in another process.

    Raises:
        UnreachableError: it did not answer in time, or its connection broke.
        FleetError: it has no part of a fleet.
    """
    data = dumps(arguments)
    try:
        reply = await within(remote.proctree_kill_fleet(call=call, data=data), seconds)
    except TimeoutError:
        raise UnreachableError(address, f"it did not answer within {seconds:g} s") from None
    except (OSError, RuntimeError) as error:  # RuntimeError: our own end is closed
        raise UnreachableError(address, f"its connection broke: {error}") from error
    if reply is None:
        raise FleetError(address, NO_FLEET)
    is_value, value = loads(reply)
    if not is_value:
        raise value
    return value


async def within(work: Coroutine[Any, Any, _T], seconds: float) -> _T:
    """Await work for so many seconds at most.

    Raises:
        TimeoutError: the time is over; the work is cancelled, and nothing waits for that:
            the close of a connection to a stopped process may take for ever.
    """
    task = asyncio.ensure_future(work)
    try:
        done, _ = await asyncio.wait({task}, timeout=seconds)
    except asyncio.CancelledError:
        task.cancel()
        raise
    if not done:
        task.cancel()
        raise TimeoutError
    return task.result()
