"""The targets, each with the measured figure."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from benchmarks import startup
from benchmarks.cases import CASES, CROWD
from benchmarks.measure import Spread, spread
from benchmarks.peers import CGROUP, LOKY, OURS, PROCESSKIT, PSUTIL, WALK

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.measure import Record
    from benchmarks.startup import ColdKill, Start

    Measure = Callable[["Results"], Spread]


@dataclass
class Results:
    """The results of one run: records by case and killer, and starts by program."""

    machine: str = ""
    crowd: int = CROWD
    cases: "dict[str, dict[str, Record]]" = field(default_factory=dict)
    starts: "dict[str, list[Start]]" = field(default_factory=dict)
    cold: "ColdKill | None" = None

    def record(self, case: str, killer: str = OURS) -> "Record":
        """Return a record; KeyError too for a smaller crowd, for which no target holds."""
        if case == _CROWD and self.crowd != CROWD:
            raise KeyError(case)
        return self.cases[case][killer]


@dataclass(frozen=True)
class Target:
    """A bound on a measured value.

    Attributes:
        at_most: whether the bound is an upper one.
        measure: reads the value; raises KeyError if it was not measured.
    """

    text: str
    bound: float
    unit: str
    measure: "Measure"
    at_most: bool = True

    def value(self, results: Results) -> Spread | None:
        """Return the measured value, or None."""
        try:
            return self.measure(results)
        except KeyError:
            return None

    def verdict(self, value: Spread | None) -> str:
        """Return whether a value is a hit or a miss."""
        if value is None:
            return "not measured"
        middle = value.middle
        return "hit" if (middle <= self.bound if self.at_most else middle >= self.bound) else "MISS"


def _peer(what: str, peer: str, case: str, bound: float) -> Target:
    """Return the bound on how much more a peer costs than we do."""

    def measure(results: Results) -> Spread:
        return results.record(case, peer).against(results.record(case), what)

    return Target(f"{what}, {peer} against ours: {case}", bound, "x", measure, at_most=False)


def _ours(peer: str, case: str, bound: float) -> Target:
    """Return the bound on how much longer we take than a peer."""

    def measure(results: Results) -> Spread:
        return results.record(case).against(results.record(case, peer), "wall")

    return Target(f"wall, ours against {peer}: {case}", bound, "x", measure)


def _lag(case: str, bound: float) -> Target:
    return Target(
        f"last death to return: {case}",
        bound,
        "ms",
        lambda results: spread([1e3 * lag for lag in results.record(case).values("lag")]),
    )


def _exactly(value: float) -> Spread:
    return Spread(value, value, value)


def _calls(results: Results, case: str) -> int:
    if not results.record(case).calls:
        raise KeyError(case)
    return results.record(case).total_calls


def _calls_ratio(longer: str, shorter: str) -> "Measure":
    return lambda results: _exactly(_calls(results, longer) / _calls(results, shorter))


def _unreaped(results: Results) -> Spread:
    record = results.record("polite 10, root not reaped")
    return spread([1e3 * wall for wall in record.values("wall")] if not record.alive else [1e9])


def _import(results: Results) -> Spread:
    pairs = zip(results.starts[startup.IMPORT], results.starts[startup.BARE], strict=True)
    return spread([1e3 * (ours.cpu - bare.cpu) for ours, bare in pairs])


def _command(results: Results) -> Spread:
    pairs = zip(results.starts[startup.COMMAND], results.starts[startup.MODEL], strict=True)
    return spread([ours.cpu / model.cpu for ours, model in pairs])


def _cold(what: str) -> "Measure":
    def measure(results: Results) -> Spread:
        if results.cold is None:
            raise KeyError(what)
        return _exactly(getattr(results.cold, what))

    return measure


_CROWD = "force 10, crowd"
_SIZES = {"10": 1.4, "100": 1.6, "1,000": 1.7, "5,000": 1.7}

TARGETS = (
    *(_peer("wall", PSUTIL, f"force {size}", bound) for size, bound in _SIZES.items()),
    *(_peer("wall", PSUTIL, f"first kill of {size}", bound) for size, bound in _SIZES.items()),
    _peer("wall", PSUTIL, _CROWD, 60),
    *(_peer("wall", LOKY, case.name, 1) for case in CASES if LOKY in case.killers),
    _peer("cpu", PSUTIL, "force 10", 1.5),
    _peer("cpu", PSUTIL, "force 1,000", 1.9),
    _ours(WALK, "force 1,000", 2),
    _ours(CGROUP, "contained 10", 3.5),
    _ours(CGROUP, "contained 1,000", 2),
    _ours(PROCESSKIT, "contained 1,000", 1.4),
    Target(
        "system calls: force 1,000",
        15 * 1000 + 400,
        "calls",
        lambda results: _exactly(_calls(results, "force 1,000")),
    ),
    Target("system calls, crowd against quiet", 1.05, "x", _calls_ratio(_CROWD, "force 10")),
    Target("root not reaped, reported dead", 50, "ms", _unreaped),
    Target(
        "system calls, waiting 1.5 s against 0.5 s",
        1.05,
        "x",
        _calls_ratio("polite 1,500, gone in 1.5 s", "polite 1,500, gone in 0.5 s"),
    ),
    _lag("force 100", 1),
    _lag("force 1,000", 5),
    Target("cpu, import proctree_kill over a bare Python", 10, "ms", _import),
    Target("cpu, command line against psutil and a model", 1.15, "x", _command),
    Target("cold first kill: modules that it loads", 0, "modules", _cold("modules")),
    Target(
        "cold first kill with 3 free descriptors: all dead",
        1,
        "kills",
        _cold("ended"),
        at_most=False,
    ),
    Target(
        "cold first kill with 2: OSError, none touched",
        1,
        "kills",
        _cold("refused"),
        at_most=False,
    ),
)
