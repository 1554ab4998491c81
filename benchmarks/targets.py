"""The targets, each with the measured value."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from benchmarks import startup
from benchmarks.cases import CROWD
from benchmarks.peers import CGROUP, OURS, PSUTIL, TREE_KILL

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.measure import Record
    from benchmarks.startup import Start

    Measure = Callable[["Results"], float]


@dataclass
class Results:
    """The results of one run: records by case and killer, and starts by program."""

    machine: str = ""
    crowd: int = CROWD
    cases: "dict[str, dict[str, Record]]" = field(default_factory=dict)
    starts: "dict[str, Start]" = field(default_factory=dict)

    def ours(self, case: str) -> "Record":
        """Return our own record of a case."""
        return self.cases[case][OURS]

    def crowded(self) -> "dict[str, Record]":
        """Return the records beside the whole crowd. The targets do not hold for a smaller one."""
        if self.crowd != CROWD:
            raise KeyError(_CROWD)
        return self.cases[_CROWD]


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
    at_most: bool

    def value(self, results: Results) -> float | None:
        """Return the measured value, or None."""
        try:
            return self.measure(results)
        except KeyError:
            return None

    def verdict(self, value: float | None) -> str:
        """Return whether a value is a hit or a miss."""
        if value is None:
            return "not measured"
        return "hit" if (value <= self.bound if self.at_most else value >= self.bound) else "MISS"


def _wall(case: str, peer: str) -> "Measure":
    return lambda results: results.cases[case][peer].wall_against(results.ours(case))


def _cpu(case: str, peer: str) -> "Measure":
    return lambda results: results.cases[case][peer].cpu_against(results.ours(case))


def _against_cgroup(results: Results) -> float:
    return results.ours(_THOUSAND).wall_against(results.cases[_THOUSAND][CGROUP])


def _calls(results: Results, case: str) -> int:
    if not results.ours(case).calls:
        raise KeyError(case)
    return results.ours(case).total_calls


def _waiting_calls(results: Results) -> float:
    longer, shorter = "polite 1,500, gone in 1.5 s", "polite 1,500, gone in 0.5 s"
    return _calls(results, longer) / _calls(results, shorter)


def _crowd_calls(results: Results) -> float:
    results.crowded()
    return _calls(results, _CROWD) / _calls(results, "force 10")


def _crowd_wall(results: Results) -> float:
    records = results.crowded()
    return records[PSUTIL].wall_against(records[OURS])


def _unreaped(results: Results) -> float:
    record = results.ours("polite 10, root not reaped")
    return 1e3 * record.wall if record.alive == 0 else float("inf")


def _lag(results: Results) -> float:
    lag = results.ours("force 100").lag
    if lag is None:
        raise KeyError
    return 1e3 * lag


def _import(results: Results) -> float:
    return 1e3 * (results.starts[startup.IMPORT].cpu - results.starts[startup.BARE].cpu)


def _command(results: Results) -> float:
    return results.starts[startup.COMMAND].cpu / results.starts[startup.MODEL].cpu


def _at_most(text: str, bound: float, unit: str, measure: "Measure") -> Target:
    return Target(text, bound, unit, measure, at_most=True)


def _at_least(text: str, bound: float, unit: str, measure: "Measure") -> Target:
    return Target(text, bound, unit, measure, at_most=False)


_THOUSAND = "force 1,000"
_CROWD = "force 10, crowd"

TARGETS = (
    _at_most(
        "system calls, 1,000 by force", 15_150, "calls", lambda found: _calls(found, _THOUSAND)
    ),
    _at_most("system calls, crowd against quiet", 1.05, "x", _crowd_calls),
    _at_least("CPU, psutil against ours, 10", 2.5, "x", _cpu("force 10", PSUTIL)),
    _at_least("CPU, psutil against ours, 1,000", 2.5, "x", _cpu(_THOUSAND, PSUTIL)),
    _at_least("wall, psutil against ours, 1,000", 2, "x", _wall(_THOUSAND, PSUTIL)),
    _at_least("wall, psutil against ours, crowd", 150, "x", _crowd_wall),
    _at_most("wall, ours against cgroup.kill, 1,000", 2.5, "x", _against_cgroup),
    _at_least("wall, tree-kill against ours, 100", 100, "x", _wall("force 100", TREE_KILL)),
    _at_most("root not reaped, reported dead", 50, "ms", _unreaped),
    _at_most("system calls, waiting 1.5 s against 0.5 s", 1.05, "x", _waiting_calls),
    _at_most("last death to return, 100", 1, "ms", _lag),
    _at_most("CPU, import proctree_kill over a bare Python", 10, "ms", _import),
    _at_most("CPU, command line against psutil and a model", 1.15, "x", _command),
)
