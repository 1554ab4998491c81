"""The targets, each with what this run measured."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from benchmarks import startup
from benchmarks.peers import CGROUP, OURS, PSUTIL, TREE_KILL

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.measure import Record
    from benchmarks.startup import Start


@dataclass
class Results:
    """Everything that one run measured: records by case and killer, and starts by program."""

    machine: str = ""
    cases: "dict[str, dict[str, Record]]" = field(default_factory=dict)
    starts: "dict[str, Start]" = field(default_factory=dict)

    def ours(self, case: str) -> "Record":
        """Return our own record of a case."""
        return self.cases[case][OURS]


@dataclass(frozen=True)
class Target:
    """A bound on something measured.

    Attributes:
        at_most: whether the bound is an upper one.
        measure: reads the value; raises KeyError where something was not measured.
    """

    text: str
    bound: float
    unit: str
    at_most: bool
    measure: "Callable[[Results], float]"

    def value(self, results: Results) -> float | None:
        """Return what was measured, or None."""
        try:
            return self.measure(results)
        except KeyError:
            return None

    def verdict(self, value: float | None) -> str:
        """Say hit or miss."""
        if value is None:
            return "not measured"
        return "hit" if (value <= self.bound if self.at_most else value >= self.bound) else "MISS"


def _faster(case: str, peer: str) -> "Callable[[Results], float]":
    return lambda results: results.cases[case][peer].wall / results.ours(case).wall


def _lighter(case: str, peer: str) -> "Callable[[Results], float]":
    return lambda results: results.cases[case][peer].cpu / results.ours(case).cpu


def _calls(results: Results, case: str) -> int:
    if not results.ours(case).calls:
        raise KeyError(case)
    return sum(results.ours(case).calls.values())


def _crowd_calls(results: Results) -> float:
    return _calls(results, "force 10, crowd") / _calls(results, "force 10")


def _unreaped(results: Results) -> float:
    record = results.ours("polite 10, root not reaped")
    return 1e3 * record.wall if record.alive == 0 else float("inf")


def _waiting_calls(results: Results) -> float:
    return _calls(results, "polite 1,500, gone in 1.5 s") / _calls(
        results, "polite 1,500, gone in 0.5 s"
    )


def _lag(results: Results) -> float:
    lag = results.ours("force 100").lag
    if lag is None:
        raise KeyError
    return 1e3 * lag


def _import(results: Results) -> float:
    return 1e3 * (results.starts[startup.IMPORT].wall - results.starts[startup.BARE].wall)


def _command(results: Results) -> float:
    return results.starts[startup.COMMAND].wall / results.starts[startup.MODEL].wall


TARGETS = (
    Target(
        "system calls, force, 1,000 processes",
        15_150,
        "calls",
        at_most=True,
        measure=lambda results: _calls(results, "force 1,000"),
    ),
    Target(
        "system calls, 10 beside the crowd, against quiet",
        1.05,
        "x",
        at_most=True,
        measure=_crowd_calls,
    ),
    Target(
        "CPU, psutil against ours, 10",
        2.5,
        "x",
        at_most=False,
        measure=_lighter("force 10", PSUTIL),
    ),
    Target(
        "CPU, psutil against ours, 1,000",
        2.5,
        "x",
        at_most=False,
        measure=_lighter("force 1,000", PSUTIL),
    ),
    Target(
        "wall, psutil against ours, 1,000",
        2.0,
        "x",
        at_most=False,
        measure=_faster("force 1,000", PSUTIL),
    ),
    Target(
        "wall, psutil against ours, 10 beside the crowd",
        150,
        "x",
        at_most=False,
        measure=_faster("force 10, crowd", PSUTIL),
    ),
    Target(
        "wall, ours against cgroup.kill in C, 1,000",
        2.5,
        "x",
        at_most=True,
        measure=lambda results: 1 / _faster("force 1,000", CGROUP)(results),
    ),
    Target(
        "wall, tree-kill against ours, 100",
        100,
        "x",
        at_most=False,
        measure=_faster("force 100", TREE_KILL),
    ),
    Target("a root that nobody reaps, reported dead", 50, "ms", at_most=True, measure=_unreaped),
    Target(
        "system calls, waiting 1.5 s against 0.5 s", 1.05, "x", at_most=True, measure=_waiting_calls
    ),
)
