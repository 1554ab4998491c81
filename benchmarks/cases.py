"""The cases: the tree, how it is ended, beside how many other processes, by which killers."""

from dataclasses import dataclass

from benchmarks.peers import CGROUP, LOKY, OURS, PSUTIL, TREE_KILL, WALK
from benchmarks.plant import Shape

POLITE = 2.0  # seconds: our default grace
PATIENT = 3.0  # seconds: psutil's documented grace
CROWD = 20_000
SLOW_ROUNDS = 3  # at most, for a slow killer

FORCERS = (OURS, PSUTIL, LOKY, WALK, CGROUP)
ASKERS = (OURS, PSUTIL)


@dataclass(frozen=True)
class Case:
    """A tree to end and the killers that end it, ours first.

    Attributes:
        grace: seconds; 0 is force at once.
        crowd: whether many other processes run.
        slow: the killers that get few rounds, and whose system calls are not counted.
        large: whether it runs with ``--large`` only.
        descriptors: the limit of open files for the killer; None is that of the machine.
    """

    name: str
    shape: Shape
    grace: float = 0.0
    killers: tuple[str, ...] = FORCERS
    crowd: bool = False
    slow: tuple[str, ...] = ()
    large: bool = False
    descriptors: int | None = None

    def rounds(self, killer: str, rounds: int) -> int:
        """Return the number of rounds of a killer."""
        return min(rounds, SLOW_ROUNDS) if killer in self.slow else rounds

    def is_counted(self, killer: str) -> bool:
        """Whether the system calls of a killer are counted."""
        return killer not in self.slow


def _chain(count: int) -> Shape:
    return Shape(count, depth=count - 1)


CASES = (
    Case("force 10", Shape(10), killers=(*FORCERS, TREE_KILL)),
    Case("force 100", Shape(100), killers=(*FORCERS, TREE_KILL), slow=(TREE_KILL,)),
    Case("force 1,000", Shape(1000)),
    Case("force 1,000, own session", Shape(1000, session=True), killers=(OURS, PSUTIL, WALK)),
    Case("force 1,000, 256 descriptors", Shape(1000), killers=(OURS, PSUTIL), descriptors=256),
    Case("force chain of 100", _chain(100), killers=(OURS, PSUTIL, LOKY, WALK)),
    Case(
        "force chain of 1,000",
        _chain(1000),
        killers=(OURS, PSUTIL, LOKY, WALK),
        slow=(PSUTIL, LOKY, WALK),
    ),
    Case("force 5,000", Shape(5000), slow=(PSUTIL, LOKY), large=True),
    Case("polite 10", Shape(10), POLITE, (*ASKERS, TREE_KILL)),
    Case("polite 100", Shape(100), POLITE, (*ASKERS, TREE_KILL), slow=(TREE_KILL,)),
    Case("polite 1,000", Shape(1000), POLITE, ASKERS),
    Case("polite 10, root not reaped", Shape(10, reaped=False), PATIENT, ASKERS, slow=(PSUTIL,)),
    Case("polite 1,500", Shape(1500), PATIENT, ASKERS, slow=(PSUTIL,)),
    Case("polite 1,500, gone in 0.5 s", Shape(1500, linger=500), PATIENT, (OURS,)),
    Case("polite 1,500, gone in 1.5 s", Shape(1500, linger=1500), PATIENT, ASKERS, slow=(PSUTIL,)),
    Case(
        "force 10, crowd", Shape(10), killers=(*FORCERS, TREE_KILL), crowd=True, slow=(TREE_KILL,)
    ),
    Case(
        "force 10, crowd, own session", Shape(10, session=True), killers=(OURS, PSUTIL), crowd=True
    ),
    Case("force 100, crowd", Shape(100), killers=(OURS, PSUTIL, LOKY, WALK), crowd=True),
    Case("polite 10, crowd", Shape(10), POLITE, ASKERS, crowd=True),
)
