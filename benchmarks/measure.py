"""Measures kills: a worker for each killer, a new tree for each kill, the killers in turn."""

import os
import resource
import select
import shutil
import signal
import subprocess
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import IO, TYPE_CHECKING, Self, cast

from benchmarks.plant import PlantedTree, Shape

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from benchmarks.cases import Case
    from benchmarks.peers import Peer

BOUND = 300.0  # seconds; a longer kill is a failure
AFTERMATH = 5.0  # seconds by which a tree may outlive the return of a killer that does not wait


@dataclass(frozen=True)
class Sample:
    """One kill, in seconds.

    Attributes:
        returned: from the call to its return.
        gone: from the call to the last death; None if a process outlived the killer.
        cpu: the CPU time of the killer and its children.
        alive: how many processes the killer reports as alive.
    """

    returned: float
    gone: float | None
    cpu: float
    alive: int

    @property
    def wall(self) -> float:
        """The time until the call had returned and all were dead."""
        return max(self.returned, self.gone or 0.0)


@dataclass
class Record:
    """All kills of one killer in one case, and the system calls of one more."""

    samples: list[Sample] = field(default_factory=list)
    calls: dict[str, int] = field(default_factory=dict)

    @property
    def wall(self) -> float:
        """The median wall time."""
        return median(sample.wall for sample in self.samples)

    @property
    def cpu(self) -> float:
        """The median CPU time."""
        return median(sample.cpu for sample in self.samples)

    @property
    def total_calls(self) -> int:
        """The number of system calls; 0 if they were not counted."""
        return sum(self.calls.values())

    def wall_against(self, other: Self) -> float:
        """Return the median of the ratios to the other's wall time, turn by turn."""
        pairs = zip(self.samples, other.samples, strict=False)
        return median(mine.wall / theirs.wall for mine, theirs in pairs)

    def cpu_against(self, other: Self) -> float:
        """Return the median of the ratios to the other's CPU time, turn by turn."""
        pairs = zip(self.samples, other.samples, strict=False)
        return median(mine.cpu / theirs.cpu for mine, theirs in pairs)

    def calls_against(self, other: Self) -> float:
        """Return the ratio to the other's system calls; 0 if these were not counted."""
        return self.total_calls / other.total_calls if other.calls else 0.0

    @property
    def lag(self) -> float | None:
        """The median from the last death to the return; negative if it did not wait."""
        lags = [sample.returned - sample.gone for sample in self.samples if sample.gone is not None]
        return median(lags) if lags else None

    @property
    def survivors(self) -> int:
        """The number of kills that left a process alive."""
        return sum(sample.gone is None for sample in self.samples)

    @property
    def alive(self) -> int:
        """The largest number of processes that the killer reported as alive."""
        return max(sample.alive for sample in self.samples)


@dataclass(frozen=True)
class PlantTools:
    """The compiled planter and, for killers that need it, an empty cgroup."""

    plant: Path
    cgroup: Path | None


class WorkerError(Exception):
    """A killer's process ended or hangs."""


class Worker:
    """A process of a killer; on entry it has ended a tree already."""

    def __init__(self, peer: "Peer", tools: PlantTools, descriptors: int | None = None) -> None:
        """Choose the killer, the tools for its trees, and its limit of descriptors."""
        self._peer, self._plant, self._descriptors = peer, tools.plant, descriptors
        self._cgroup = tools.cgroup if peer.contained else None

    def __enter__(self) -> Self:
        """Start the killer and let it end a small tree, so that imports do not count."""
        # in a session of its own: Ctrl-C must reach only us, and we clean up
        self._process = subprocess.Popen(
            self._peer.command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=self._peer.variables,
            start_new_session=True,
        )
        try:
            if self._descriptors:
                limits = (self._descriptors, self._descriptors)
                resource.prlimit(self._process.pid, resource.RLIMIT_NOFILE, limits)
            self.kill(Shape(3), 0)
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """End the killer, even within a kill."""
        self._end()

    def kill(self, shape: Shape, grace: float) -> Sample:
        """Plant a tree, have it ended, and measure."""
        with PlantedTree(self._plant, shape, self._cgroup) as tree:
            died, answer = self._request(tree, grace)
            start, end, cpu, alive = map(float, answer.split())
            died = died or tree.death(AFTERMATH)
            return Sample(end - start, died - start if died else None, cpu, int(alive))

    def count_calls(self, shape: Shape, grace: float) -> dict[str, int]:
        """Return the system calls of one kill by name; empty if they cannot be counted."""
        with (
            PlantedTree(self._plant, shape, self._cgroup) as tree,
            strace(self._process.pid) as calls,
        ):
            self._request(tree, grace)
        return calls

    def _request(self, tree: PlantedTree, grace: float) -> tuple[float | None, bytes]:
        """Have a tree ended; return the time of its death, if before the answer, and the answer."""
        line = f"{tree.root} {grace} {self._cgroup or '-'}\n"
        os.write(cast("IO[bytes]", self._process.stdin).fileno(), line.encode())
        pipe, output = tree.fileno(), cast("IO[bytes]", self._process.stdout)
        readable, _, _ = select.select([pipe, output.fileno()], [], [], BOUND)
        died = time.monotonic() if pipe in readable else None
        in_time = select.select([output], [], [], BOUND)[0]
        answer = output.readline() if in_time else b""
        if not answer:
            message = f"the worker of {self._peer.name} {'ended' if in_time else 'hangs'}"
            raise WorkerError(message)
        return died, answer

    def _end(self) -> None:
        self._process.kill()
        self._process.communicate()


@contextmanager
def strace(pid: int) -> "Iterator[dict[str, int]]":
    """Count the system calls of a process and its children, known after the block."""
    calls: dict[str, int] = {}
    program = shutil.which("strace")
    if program is None:
        yield calls
        return
    with TemporaryDirectory() as folder:
        table = Path(folder) / "calls"
        command = [program, "-c", "-f", "-U", "calls,name", "-o", str(table), "-p", str(pid)]
        tracer = subprocess.Popen(command, stderr=subprocess.PIPE, start_new_session=True)
        # "strace: Process N attached", or why it may not
        attached = b"attached" in cast("IO[bytes]", tracer.stderr).readline()
        try:
            yield calls
        finally:
            tracer.send_signal(signal.SIGINT)
            tracer.communicate()
        if attached:
            calls.update(_read_calls(table.read_text(encoding="ascii")))


def _read_calls(table: str) -> dict[str, int]:
    """Read the rows "CALLS NAME" between the two rulers."""
    _, ruler, body = table.partition("\n---")
    rows = body.partition("\n---")[0].splitlines()[1:] if ruler else []
    return {name: int(calls) for calls, name in map(str.split, rows)}


def run(
    case: "Case", peers: "Sequence[Peer]", tools: PlantTools, rounds: int
) -> tuple[dict[str, Record], list[str]]:
    """Run one case: the killers in turn, then each once more under strace.

    Returns:
        The record of each killer, and why a killer has failed and was left out.
    """
    records: dict[str, Record] = {}
    failures: list[str] = []
    with ExitStack() as stack:
        workers = {
            peer.name: stack.enter_context(Worker(peer, tools, case.descriptors)) for peer in peers
        }
        for name, act in _turns(case, list(workers), rounds):
            if name in workers:
                try:
                    act(workers[name], records.setdefault(name, Record()))
                except WorkerError as error:
                    failures.append(str(error))
                    del workers[name]
    return {name: record for name, record in records.items() if record.samples}, failures


def _turns(
    case: "Case", names: list[str], rounds: int
) -> "Iterator[tuple[str, Callable[[Worker, Record], None]]]":
    """Yield the name of the next killer, and what to do."""

    def measure(worker: Worker, record: Record) -> None:
        record.samples.append(worker.kill(case.shape, case.grace))

    def count(worker: Worker, record: Record) -> None:
        record.calls = worker.count_calls(case.shape, case.grace)

    for turn in range(rounds):
        yield from ((name, measure) for name in names if turn < case.rounds(name, rounds))
    yield from ((name, count) for name in names if case.is_counted(name))
