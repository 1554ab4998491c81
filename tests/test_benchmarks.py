"""Pure and real: the figures of the benchmarks, and one short run of them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
pytestmark = pytest.mark.needs("pidfd")


@pytest.fixture(autouse=True)
def _from_the_clone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT))


def test_a_ratio_is_that_of_the_medians_with_the_middle_half_of_the_turns() -> None:
    from benchmarks.measure import Record, Sample  # noqa: PLC0415 # not on the path before

    ours, peer = (
        Record([Sample(wall, 0.0, 0.0, 0) for wall in walls])
        for walls in ((1.0, 2.0, 4.0, 2.0, 2.0), (4.0, 6.0, 8.0, 2.0, 6.0))
    )
    assert peer.against(ours, "wall") == (3.0, 2.0, 3.0)


def test_a_target_is_hit_up_to_its_bound_and_not_judged_without_a_measurement() -> None:
    from benchmarks.measure import Spread  # noqa: PLC0415 # not on the path before
    from benchmarks.targets import Results, Target  # noqa: PLC0415 # not on the path before

    def not_measured(_: Results) -> Spread:
        raise KeyError

    upper = Target("", 2.0, "x", not_measured)
    assert [upper.verdict(Spread(value, 0, 9)) for value in (2.0, 2.1)] == ["hit", "MISS"]
    assert upper.verdict(upper.value(Results())) == "not measured"


@pytest.mark.needs("cc")
@pytest.mark.timeout(100)
def test_a_short_run_prints_the_targets_and_writes_every_sample(tmp_path: Path) -> None:
    numbers = tmp_path / "numbers.json"
    words = ["force 10", "first kill of 10", "contained 10"]
    options = [f"--only={word}" for word in words] + ["--crowd=20", f"--json={numbers}"]
    printed = subprocess.run(
        [sys.executable, "-m", "benchmarks", "--quick", "--rounds=1", *options],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=90,
    ).stdout
    assert "wall, psutil against ours: force 10 " in printed
    cases = json.loads(numbers.read_text(encoding="utf-8"))["cases"]
    assert {"force 10", "first kill of 10", "own child, force 10"} <= cases.keys()
    assert all(
        len(record["samples"]) == 1 and record["samples"][0]["alive"] == 0
        for killers in cases.values()
        for record in killers.values()
    )
