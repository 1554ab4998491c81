"""Measures kills: a worker for each killer, a new tree for each kill, the killers in turn."""

import json
import math
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
from statistics import median, quantiles
from tempfile import TemporaryDirectory
from typing import IO, TYPE_CHECKING, NamedTuple, Self, cast

from benchmarks.plant import OwnTree, PlantedTree, Shape, Tree

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from benchmarks.cases import Case
    from benchmarks.peers import Peer

BOUND = 300.0  # seconds; a longer kill is a failure
AFTERMATH = 5.0  # seconds by which a tree may outlive the return of a killer that does not wait


class Spread(NamedTuple):
    """A figure, and the range of the middle half of its samples."""

    middle: float
    low: float
    high: float


def spread(values: "Sequence[float]") -> Spread:
    """Return the median and the quartiles."""
    low, _, high = quantiles(values, method="inclusive") if len(values) > 1 else [*values] * 3
    return Spread(median(values), low, high)


@dataclass(frozen=True)
class Sample:
    """One kill, in seconds.

    Attributes:
        returned: from the call to its return.
        gone: from the call to the last death; None if a process outlived the killer.
        cpu: the CPU time of the killer and its children.
        alive: how many processes the killer reports as alive.
        memory: the KiB by which the killer grew; 0 if it is not written in Python.
    """

    returned: float
    gone: float | None
    cpu: float
    alive: int
    memory: int = 0

    @property
    def wall(self) -> float:
        """The time until the call had returned and all were dead."""
        return max(self.returned, self.gone or 0.0)

    @property
    def lag(self) -> float:
        """From the last death to the return: negative if it did not wait, infinite if one lives."""
        return self.returned - (-math.inf if self.gone is None else self.gone)


@dataclass
class Record:
    """All kills of one killer in one case, and the system calls of one more."""

    samples: list[Sample] = field(default_factory=list)
    calls: dict[str, int] = field(default_factory=dict)

    def values(self, what: str) -> list[float]:
        """Return an attribute of each sample."""
        return [getattr(sample, what) for sample in self.samples]

    @property
    def total_calls(self) -> int:
        """The number of system calls; 0 if they were not counted."""
        return sum(self.calls.values())

    def against(self, other: Self, what: str) -> Spread:
        """Return the ratio of our median to the other's, and the spread of the ratios by turn."""
        pairs = [*zip(self.values(what), other.values(what), strict=False)]
        mine, theirs = zip(*pairs, strict=True)
        ratios = spread([mine / theirs for mine, theirs in pairs])
        return ratios._replace(middle=median(mine) / median(theirs))

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
    """The compiled programs and, for killers that need it, an empty cgroup."""

    plant: Path
    reap: Path
    cgroup: Path | None


class WorkerError(Exception):
    """A killer's process ended or hangs."""


class Worker:
    """A process of a killer; on entry it has ended a tree already, except for first kills."""

    def __init__(self, peer: "Peer", tools: PlantTools, case: "Case") -> None:
        """Choose the killer, the tools for its trees, and the case."""
        self._peer, self._tools, self._case = peer, tools, case
        self._starts = case.started and peer.python
        self._cgroup = tools.cgroup if peer.contained else None

    def __enter__(self) -> Self:
        """Start the killer and let it end a small tree, so that imports do not count."""
        # the orphans of its own trees need a reaper that does not depend on the machine's init
        reaper = [self._tools.reap] if self._starts else []
        threads = [str(self._case.threads)] if self._peer.python else []
        # in a session of its own: Ctrl-C must reach only us, and we clean up
        self._process = subprocess.Popen(
            [*reaper, *self._peer.command, *threads],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=self._peer.variables,
            start_new_session=True,
        )
        try:
            # a Python has imported everything when it writes its number
            self._pid = int(self._answer()) if self._peer.python else self._process.pid
            if self._case.descriptors:
                limits = (self._case.descriptors, self._case.descriptors)
                resource.prlimit(self._pid, resource.RLIMIT_NOFILE, limits)
            if not self._case.first:
                self._kill(Shape(3), 0)
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """End the killer, even within a kill."""
        self._end()

    def kill(self) -> Sample:
        """Plant a tree, have it ended, and measure; for a first kill, end the killer as well."""
        sample = self._kill(self._case.shape, self._case.grace)
        if self._case.first:
            self._end()
            self.__enter__()
        return sample

    def count_calls(self) -> dict[str, int]:
        """Return the system calls of one kill by name; empty if they cannot be counted."""
        with self._tree(self._case.shape) as tree, strace(self._pid) as calls:
            self._request(tree, self._case.grace)
        return calls

    def _kill(self, shape: Shape, grace: float) -> Sample:
        with self._tree(shape) as tree:
            died, answer = self._request(tree, grace)
            start, end, cpu, alive, *memory = map(float, answer.split())
            died = died or tree.death(AFTERMATH)
            gone = died - start if died else None
            return Sample(end - start, gone, cpu, int(alive), *map(int, memory))

    def _tree(self, shape: Shape) -> Tree:
        if self._starts:
            return OwnTree(self._tools.plant, shape, self._start_tree)
        return PlantedTree(self._tools.plant, shape, self._cgroup)

    def _start_tree(self, argv: list[str]) -> int:
        self._send(f"{'contained' if self._case.contained else 'child'} {json.dumps(argv)}\n")
        return int(self._answer())

    def _request(self, tree: Tree, grace: float) -> tuple[float | None, bytes]:
        """Have a tree ended; return the time of its death, if before the answer, and the answer."""
        self._send(f"{tree.root} {grace} {self._cgroup or '-'}\n")
        pipe, output = tree.fileno(), cast("IO[bytes]", self._process.stdout)
        readable, _, _ = select.select([pipe, output.fileno()], [], [], BOUND)
        died = time.monotonic() if pipe in readable else None
        return died, self._answer()

    def _send(self, line: str) -> None:
        os.write(cast("IO[bytes]", self._process.stdin).fileno(), line.encode())

    def _answer(self) -> bytes:
        output = cast("IO[bytes]", self._process.stdout)
        in_time = select.select([output], [], [], BOUND)[0]
        answer = output.readline() if in_time else b""
        if not answer:
            message = f"the worker of {self._peer.name} {'ended' if in_time else 'hangs'}"
            raise WorkerError(message)
        return answer

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
    case: "Case", peers: "Sequence[Peer]", tools: PlantTools, rounds: int, *, quick: bool
) -> tuple[dict[str, Record], list[str]]:
    """Run one case: the killers in turn, then each once more under strace.

    Returns:
        The record of each killer, and why a killer has failed and was left out.
    """
    records: dict[str, Record] = {}
    failures: list[str] = []
    with ExitStack() as stack:
        workers: dict[str, Worker] = {}
        for peer in peers:
            try:
                workers[peer.name] = stack.enter_context(Worker(peer, tools, case))
            except WorkerError as error:
                failures.append(str(error))
        for name, act in _turns(case, list(workers), rounds, quick=quick):
            if name in workers:
                try:
                    act(workers[name], records.setdefault(name, Record()))
                except WorkerError as error:
                    failures.append(str(error))
                    del workers[name]
    return {name: record for name, record in records.items() if record.samples}, failures


def _turns(
    case: "Case", names: list[str], rounds: int, *, quick: bool
) -> "Iterator[tuple[str, Callable[[Worker, Record], None]]]":
    """Yield the name of the next killer, and what to do."""

    def measure(worker: Worker, record: Record) -> None:
        record.samples.append(worker.kill())

    def count(worker: Worker, record: Record) -> None:
        record.calls = worker.count_calls()

    for turn in range(rounds):
        yield from ((name, measure) for name in names if turn < case.rounds(name, rounds))
    yield from ((name, count) for name in names if case.is_counted(name, quick=quick))
