"""The tables, ratios first, then absolute numbers; and all of it as JSON."""

from itertools import chain
from typing import TYPE_CHECKING, Any

from benchmarks.peers import OURS
from benchmarks.targets import TARGETS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from benchmarks.measure import Record
    from benchmarks.targets import Results, Target

    Table = list[list[str]]

MANY = 10  # from here on a ratio needs no decimals
LONG_MS = 100  # from here on milliseconds need no decimals


def render(results: "Results") -> str:
    """Return the whole report as plain text."""
    killers = list(dict.fromkeys(chain.from_iterable(results.cases.values())))
    peers = [killer for killer in killers if killer != OURS]
    parts = {
        "Wall time against ours (higher: we are faster)": _ratios(results, peers, "wall_against"),
        "CPU against ours (higher: we are lighter)": _ratios(results, peers, "cpu_against"),
        "System calls against ours (higher: we make fewer)": _ratios(
            results, peers, "calls_against"
        ),
        "Targets": [_target(target, results) for target in TARGETS],
        "Wall time, ms": _absolutes(results, killers, lambda record: _ms(record.wall)),
        "CPU, ms": _absolutes(results, killers, lambda record: _ms(record.cpu)),
        "System calls": _absolutes(results, killers, _calls),
        "Last death to return, ms (negative: it did not wait)": _absolutes(results, killers, _lag),
        "Not all dead: kills that left a process, and how many the killer reports": _alive(results),
        "Starts, ms: wall and CPU": _starts(results),
    }
    return "\n\n".join(f"{title}\n{_align(rows)}" for title, rows in parts.items() if rows)


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
        "starts": {name: vars(start) for name, start in results.starts.items()},
        "targets": [_target(target, results) for target in TARGETS],
    }


def _align(rows: "Table") -> str:
    """Align the first column to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]).rstrip()
        for row in rows
    )


def _ratios(results: "Results", peers: "Sequence[str]", against: str) -> "Table":
    """Compare the peers with us by a method of their records."""
    rows = [
        [case, *(_ratio(records, peer, against) for peer in peers)]
        for case, records in results.cases.items()
    ]
    known = [row for row in rows if any(row[1:])]
    return [["", *peers], *known] if known else []


def _ratio(records: "dict[str, Record]", peer: str, against: str) -> str:
    if peer not in records or OURS not in records:
        return ""
    ratio: float = getattr(records[peer], against)(records[OURS])
    return f"{ratio:.2f}" if 0 < ratio < MANY else f"{ratio:,.0f}" if ratio else ""


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


def _ms(seconds: float) -> str:
    milliseconds = 1e3 * seconds
    return f"{milliseconds:,.0f}" if milliseconds >= LONG_MS else f"{milliseconds:.2f}"


def _lag(record: "Record") -> str:
    return "" if record.lag is None else _ms(record.lag)


def _target(target: "Target", results: "Results") -> list[str]:
    value = target.value(results)
    bound = f"{'at most' if target.at_most else 'at least'} {target.bound:,g} {target.unit}"
    measured = "" if value is None else f"{value:,.5g} {target.unit}"
    return [target.text, bound, measured, target.verdict(value)]


def _alive(results: "Results") -> "Table":
    return [
        [f"{case}: {killer}", str(record.survivors), str(record.alive)]
        for case, records in results.cases.items()
        for killer, record in records.items()
        if record.survivors or record.alive
    ]


def _starts(results: "Results") -> "Table":
    return [[name, _ms(start.wall), _ms(start.cpu)] for name, start in results.starts.items()]
