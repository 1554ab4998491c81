"""Pure: what a tree used, as a value and as text."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from proctree_kill import Usage

GIB = 2**30


@pytest.mark.parametrize(
    ("usage", "text"),
    [
        (
            Usage(user=10.0, system=2.34, peak_memory=int(1.2 * GIB), processes=14),
            "12.3 s CPU, 1.2 GiB at most, 14 processes",
        ),
        (Usage(user=0.041, system=0.01, processes=1), "0.05 s CPU, 1 process"),
        (
            Usage(user=0, system=0, peak_memory=512, processes=0),
            "0.00 s CPU, 512 B at most, 0 processes",
        ),
        (
            Usage(user=7200, system=0, peak_memory=3 * 2**20, processes=2000, out_of_memory=True),
            "7,200.0 s CPU, 3.0 MiB at most, 2,000 processes, out of memory",
        ),
        (
            Usage(user=1, system=0, peak_memory=5000 * GIB, processes=1, complete=True),
            "1.00 s CPU, 5,000.0 GiB at most, 1 process",
        ),
    ],
)
def test_usage_is_a_short_text(usage: Usage, text: str) -> None:
    assert str(usage) == text


def test_usage_survives_json_and_its_cpu_is_the_sum() -> None:
    usage = Usage(user=1.5, system=0.25, peak_memory=1, processes=3, complete=True)
    assert Usage.model_validate_json(usage.model_dump_json()) == usage
    assert usage.cpu == 1.75


def test_usage_never_changes() -> None:
    usage = Usage(user=1, system=0, processes=1)
    with pytest.raises(ValidationError, match="frozen"):
        usage.user = 2  # type: ignore[misc] # what is refused
