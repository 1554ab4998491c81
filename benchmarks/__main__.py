"""The command ``python -m benchmarks``."""

import argparse
import json
import sys
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks import startup
from benchmarks.cases import CASES, CROWD, DESK, Case
from benchmarks.measure import PlantTools, run
from benchmarks.peers import OURS, Peer, available
from benchmarks.plant import PlantedTree, Shape
from benchmarks.report import as_json, render
from benchmarks.targets import Results
from benchmarks.toolchain import build, describe, empty_cgroup, missing_room

STARTS = "starts"
ROUNDS, QUICK_ROUNDS = 9, 5


def main() -> None:
    """Measure, and print the report."""
    options = _parse()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="proctree-benchmarks-")))
        tools = PlantTools(
            build("plant", folder), build("reap", folder), stack.enter_context(empty_cgroup())
        )
        peers, missing = available(folder, tools.cgroup)
        for reason in missing:
            _note(f"left out: {reason}")
        bench = Bench(options, tools, peers)
        bench.run_all()
    print(bench.results.machine, render(bench.results), sep="\n\n")
    if options.json:
        options.json.write_text(json.dumps(as_json(bench.results), indent=1), encoding="utf-8")


class Bench:
    """One run: the chosen cases, first alone, then beside ever more other processes."""

    def __init__(
        self, options: argparse.Namespace, tools: PlantTools, peers: dict[str, Peer]
    ) -> None:
        """Choose the cases."""
        self.results = Results(f"{describe()}, crowd of {options.crowd:,}", options.crowd)
        self._options, self._tools, self._peers = options, tools, peers
        self._cases = [
            case
            for case in CASES
            if self._is_chosen(case.name)
            and (case.quick or not options.quick)
            and (tools.cgroup or not case.contained)
        ]

    def run_all(self) -> None:
        """Run all that was chosen."""
        for others, count in ((0, 0), (DESK, DESK), (CROWD, self._options.crowd)):
            self._run_beside(count, [case for case in self._cases if case.others == others])
        if self._is_chosen(STARTS):
            _note(STARTS)
            with PlantedTree(self._tools.plant, Shape(1)) as tree:
                self.results.starts = startup.measure(self._options.rounds, tree.root)
            self.results.cold = startup.kill_cold(self._tools.plant)

    def _is_chosen(self, name: str) -> bool:
        return not self._options.only or any(word in name for word in self._options.only)

    def _takes_part(self, name: str) -> bool:
        return name in self._peers and (not self._options.killer or name in self._options.killer)

    def _run(self, cases: list[Case]) -> None:
        for case in cases:
            _note(case.name)
            peers = [self._peers[name] for name in case.killers if self._takes_part(name)]
            options = self._options
            records, failures = run(case, peers, self._tools, options.rounds, quick=options.quick)
            self.results.cases[case.name] = records
            for reason in failures:
                _note(f"left out: {reason}")

    def _run_beside(self, count: int, cases: list[Case]) -> None:
        if not count:
            self._run(cases)
        elif cases and (reason := missing_room(count)):
            _note(f"left out: all cases beside {count:,} others: {reason}")
        elif cases:
            others = Shape(count, depth=1, below_init=self._options.below_init)
            with PlantedTree(self._tools.plant, others):
                self._run(cases)


def _parse() -> argparse.Namespace:
    names = ", ".join(case.name for case in CASES)
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=__doc__,
        epilog=f"Cases: {names}, {STARTS}.",
    )
    parser.add_argument(
        "--rounds",
        type=int,
        help=f"kills of each killer in each case (default: {ROUNDS}, with --quick {QUICK_ROUNDS})",
    )
    parser.add_argument(
        "--quick",
        action="store_true",
        help="about two minutes: what the targets need, without trees of 5,000",
    )
    parser.add_argument(
        "--crowd", type=int, default=CROWD, help=f"how many others run beside (default: {CROWD})"
    )
    parser.add_argument(
        "--below-init", action="store_true", help="hang the others below init, as daemons do"
    )
    parser.add_argument(
        "--only", action="append", metavar="WORD", help="only the cases whose name holds this word"
    )
    parser.add_argument(
        "--killer", action="append", metavar="NAME", help=f"only this killer ({OURS} is one)"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every sample into a file")
    options = parser.parse_args()
    options.rounds = options.rounds or (QUICK_ROUNDS if options.quick else ROUNDS)
    return options


def _note(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
