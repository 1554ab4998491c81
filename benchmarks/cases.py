"""The cases: the tree, how it is ended, beside how many other processes, by which killers."""

from dataclasses import dataclass

from benchmarks.peers import CGROUP, LOKY, OURS, PROCESSKIT, PSUTIL, TREE_KILL, WALK
from benchmarks.plant import Shape

POLITE = 2.0  # seconds: our default grace
PATIENT = 3.0  # seconds: psutil's documented grace
CROWD = 20_000
DESK = 300  # processes, as many as a desktop runs
SLOW_ROUNDS = 3  # at most, for a slow killer
THREADS = 8

FORCERS = (OURS, PSUTIL, LOKY, WALK, CGROUP)
PYTHONS = (OURS, PSUTIL, LOKY)
CONTAINERS = (OURS, CGROUP, PROCESSKIT)
ASKERS = (OURS, PSUTIL)


@dataclass(frozen=True)
class Case:
    """A tree to end and the killers that end it, ours first.

    Attributes:
        grace: seconds; 0 is force at once.
        others: how many other processes run beside; for ``CROWD`` the command line has the say.
        slow: the killers that get few rounds, and whose system calls are not counted.
        quick: whether ``--quick`` runs it.
        descriptors: the limit of open files for the killer; None is that of the machine.
        first: whether each kill is the first of its process, which did nothing but import.
        threads: how many idle threads the killer has.
        started: whether the killer starts the tree itself.
        contained: whether it contains the tree as well.
    """

    name: str
    shape: Shape
    grace: float = 0.0
    killers: tuple[str, ...] = FORCERS
    others: int = 0
    slow: tuple[str, ...] = ()
    quick: bool = True
    descriptors: int | None = None
    first: bool = False
    threads: int = 0
    started: bool = False
    contained: bool = False

    def rounds(self, killer: str, rounds: int) -> int:
        """Return the number of rounds of a killer."""
        return min(rounds, SLOW_ROUNDS) if killer in self.slow else rounds

    def is_counted(self, killer: str, *, quick: bool) -> bool:
        """Whether the system calls of a killer are counted."""
        return killer == OURS if quick else killer not in self.slow


def _first(name: str, count: int, *, quick: bool = True) -> Case:
    return Case(f"first kill of {name}", Shape(count), killers=PYTHONS, first=True, quick=quick)


def _contained(name: str, count: int) -> Case:
    return Case(f"contained {name}", Shape(count), killers=CONTAINERS, started=True, contained=True)


CASES = (
    Case("force 10", Shape(10), killers=(*FORCERS, TREE_KILL)),
    Case("force 100", Shape(100), killers=(*FORCERS, TREE_KILL), slow=(TREE_KILL,)),
    Case("force 1,000", Shape(1000)),
    Case("force 5,000", Shape(5000), quick=False),
    _first("10", 10),
    _first("100", 100),
    _first("1,000", 1000),
    _first("5,000", 5000, quick=False),
    Case("8 threads, force 10", Shape(10), killers=PYTHONS, threads=THREADS),
    Case("8 threads, force 1,000", Shape(1000), killers=PYTHONS, threads=THREADS),
    Case("own child, force 10", Shape(10), killers=PYTHONS, started=True),
    Case("own child, force 1,000", Shape(1000), killers=PYTHONS, started=True),
    Case("force 1,000, own session", Shape(1000, session=True), quick=False),
    Case(
        "force 1,000, 256 descriptors", Shape(1000), killers=PYTHONS, descriptors=256, quick=False
    ),
    Case("force chain of 1,000", Shape(1000, depth=999)),
    Case("force 100 interpreters", Shape(100, python=True), quick=False),
    _contained("10", 10),
    _contained("100", 100),
    _contained("1,000", 1000),
    Case("polite 10", Shape(10), POLITE, (*ASKERS, TREE_KILL), quick=False),
    Case("polite 100", Shape(100), POLITE, ASKERS, quick=False),
    Case("polite 1,000", Shape(1000), POLITE, ASKERS, quick=False),
    Case("polite 10, root not reaped", Shape(10, reaped=False), PATIENT, ASKERS, slow=(PSUTIL,)),
    Case("polite 1,500, gone in 0.5 s", Shape(1500, linger=500), PATIENT, (OURS,)),
    Case("polite 1,500, gone in 1.5 s", Shape(1500, linger=1500), PATIENT, ASKERS, slow=(PSUTIL,)),
    Case("force 10, desk", Shape(10), others=DESK),
    Case("force 100, desk", Shape(100), others=DESK),
    Case("force 1,000, desk", Shape(1000), others=DESK),
    Case(
        "force 10, crowd", Shape(10), killers=(*FORCERS, TREE_KILL), others=CROWD, slow=(TREE_KILL,)
    ),
    Case(
        "force 10, crowd, own session",
        Shape(10, session=True),
        killers=PYTHONS,
        others=CROWD,
        quick=False,
    ),
)
