"""A picture of the numbers of one run: ``python -m benchmarks.plot numbers.json picture.svg``."""

import argparse
import json
from pathlib import Path
from statistics import median
from typing import Any

import matplotlib as mpl

mpl.use("svg")
from matplotlib import pyplot as plt
from matplotlib.axes import Axes

from benchmarks.measure import Sample

SIZES = {10: "force 10", 100: "force 100", 1000: "force 1,000", 5000: "force 5,000"}
PLACES = {"alone": "force 10", "beside 20,000 others": "force 10, crowd"}
COLOURS = {
    "ours": "#0b6e4f",
    "psutil": "#c0392b",
    "loky": "#8e44ad",
    "tree-kill": "#d68910",
    "C walk": "#7f8c8d",
    "cgroup.kill": "#34495e",
}
FLOORS = ("C walk", "cgroup.kill")

Cases = dict[Any, dict[str, Any]]


def main() -> None:
    """Draw the cost against the size of the tree, and against the number of other processes."""
    options = _parse()
    cases: Cases = json.loads(options.numbers.read_text(encoding="utf-8"))["cases"]
    mpl.rcParams.update({"font.size": 9, "svg.fonttype": "none", "svg.hashsalt": "benchmarks"})
    figure, (sizes, places) = plt.subplots(1, 2, figsize=(9, 3.8), layout="constrained")
    for killer, colour in COLOURS.items():
        style = {"color": colour, "label": killer, "marker": "o", "markersize": 3}
        style |= {"linestyle": "--", "linewidth": 1} if killer in FLOORS else {}
        style |= {"linewidth": 2.5} if killer == "ours" else {}
        _draw(sizes, {size: cases.get(case, {}) for size, case in SIZES.items()}, killer, style)
        _draw(places, {place: cases.get(case, {}) for place, case in PLACES.items()}, killer, style)
    sizes.set(xscale="log", yscale="log", xlabel="processes in the tree", ylabel="milliseconds")
    sizes.set_title("The size of the tree, by force")
    places.set(yscale="log", xmargin=0.3)
    places.set_title("The size of the machine, a tree of 10")
    for axes in (sizes, places):
        axes.grid(visible=True, which="major", alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
    sizes.legend(frameon=False)
    figure.savefig(options.picture, metadata={"Date": None})


def _draw(axes: Axes, records: Cases, killer: str, style: dict[str, Any]) -> None:
    """Draw the medians of one killer in the cases in which it was measured."""
    known = {place: record[killer] for place, record in records.items() if killer in record}
    walls = [
        1e3 * median(Sample(**sample).wall for sample in record["samples"])
        for record in known.values()
    ]
    if walls:
        axes.plot([*known], walls, **style)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.plot", description=__doc__)
    parser.add_argument("numbers", type=Path, help="what `python -m benchmarks --json` wrote")
    parser.add_argument("picture", type=Path, help="the SVG file to write")
    return parser.parse_args()


if __name__ == "__main__":
    main()
