"""The tables, ratios first, then absolute numbers; and all of it as JSON."""

from itertools import chain
from typing import TYPE_CHECKING, Any

from benchmarks.measure import Spread, spread
from benchmarks.peers import OURS
from benchmarks.targets import TARGETS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from benchmarks.measure import Record
    from benchmarks.targets import Results, Target

    Table = list[list[str]]

MANY, VERY_MANY = 10, 100  # from here on a figure needs a decimal less
_START = ("wall", "cpu")


def render(results: "Results") -> str:
    """Return the whole report as plain text."""
    killers = list(dict.fromkeys(chain.from_iterable(results.cases.values())))
    peers = [killer for killer in killers if killer != OURS]
    parts = {
        "Wall time against ours (higher: we are faster)": _ratios(results, peers, "wall"),
        "CPU against ours (higher: we are lighter)": _ratios(results, peers, "cpu"),
        "Targets": [_target(target, results) for target in TARGETS],
        "Wall time, ms": _absolutes(results, killers, _milliseconds("wall")),
        "CPU, ms": _absolutes(results, killers, _milliseconds("cpu")),
        "System calls": _absolutes(results, killers, _calls),
        "Memory that the caller grew by, KiB": _absolutes(results, killers, _memory),
        "Last death to return, ms (negative: it did not wait)": _absolutes(
            results, killers, _milliseconds("lag")
        ),
        "Not all dead: kills that left a process, and how many the killer reports": _alive(results),
        "Starts, ms: wall and CPU": _starts(results),
    }
    tables = [f"{title}\n{_align(rows)}" for title, rows in parts.items() if rows]
    return "\n\n".join(["Each figure: the median (middle half of the samples)", *tables])


def as_json(results: "Results") -> dict[str, Any]:
    """Return all samples, all counts of system calls and all targets."""
    return {
        "machine": results.machine,
        "cases": {
            case: {
                killer: {"samples": [*map(vars, record.samples)], "calls": record.calls}
                for killer, record in records.items()
            }
            for case, records in results.cases.items()
        },
        "starts": {name: [*map(vars, starts)] for name, starts in results.starts.items()},
        "cold": results.cold and vars(results.cold),
        "targets": [_target(target, results) for target in TARGETS],
    }


def _align(rows: "Table") -> str:
    """Align the first column to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]).rstrip()
        for row in rows
    )


def _ratios(results: "Results", peers: "Sequence[str]", what: str) -> "Table":
    """Compare the peers with us by an attribute of their samples."""
    rows = [
        [case, *(_ratio(records, peer, what) for peer in peers)]
        for case, records in results.cases.items()
    ]
    known = [row for row in rows if any(row[1:])]
    return [["", *peers], *known] if known else []


def _ratio(records: "dict[str, Record]", peer: str, what: str) -> str:
    if peer not in records or OURS not in records:
        return ""
    return _figure(records[peer].against(records[OURS], what))


def _figure(figure: Spread) -> str:
    """Return the median and the middle half of the samples, if there is more than one value."""
    middle, low, high = (f"{value:,.{_decimals(value)}f}" for value in figure)
    return middle if low == high else f"{middle} ({low}-{high})"


def _decimals(value: float) -> int:
    return 2 if abs(value) < MANY else 1 if abs(value) < VERY_MANY else 0


def _calls(record: "Record") -> str:
    return f"{record.total_calls:,}" if record.calls else ""


def _absolutes(
    results: "Results", killers: "Sequence[str]", show: "Callable[[Record], str]"
) -> "Table":
    rows = [
        [case, *(show(records[killer]) if killer in records else "" for killer in killers)]
        for case, records in results.cases.items()
    ]
    known = [row for row in rows if any(row[1:])]
    return [["", *killers], *known] if known else []


def _milliseconds(what: str) -> "Callable[[Record], str]":
    return lambda record: _figure(spread([1e3 * value for value in record.values(what)]))


def _memory(record: "Record") -> str:
    return _figure(spread(record.values("memory"))) if any(record.values("memory")) else ""


def _target(target: "Target", results: "Results") -> list[str]:
    value = target.value(results)
    bound = f"{'at most' if target.at_most else 'at least'} {target.bound:,g} {target.unit}"
    measured = "" if value is None else f"{_figure(value)} {target.unit}"
    return [target.text, bound, measured, target.verdict(value)]


def _alive(results: "Results") -> "Table":
    return [
        [f"{case}: {killer}", str(record.survivors), str(record.alive)]
        for case, records in results.cases.items()
        for killer, record in records.items()
        if record.survivors or record.alive
    ]


def _starts(results: "Results") -> "Table":
    return [
        [name]
        + [_figure(spread([1e3 * getattr(start, what) for start in starts])) for what in _START]
        for name, starts in results.starts.items()
    ]
