"""Seam: what the doctor says of limits, beside a stand-in for the jobs of Windows.

Real, where Windows has them: that it is true.
"""

from __future__ import annotations

import pytest

from proctree_kill._systems.contract import UnavailableError
from proctree_kill._systems.windows.job import TreeJob
from proctree_kill._systems.windows.offers import offers
from support.capabilities import has
from support.job_kernel import JobKernel


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> JobKernel:
    return JobKernel(monkeypatch)


@pytest.mark.usefixtures("kernel")
def test_a_job_can_have_all_limits() -> None:
    found = {offer.name: offer.available for offer in offers()}
    names = ("handles", "limits: memory", "limits: processes", "limits: cpu")
    assert found == dict.fromkeys(names, True)


@pytest.mark.usefixtures("kernel")
def test_a_refused_limit_is_told_with_its_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        text = "Windows refuses a limit"
        raise UnavailableError(text)

    monkeypatch.setattr(TreeJob, "limit", refuse)
    told = {offer.name: offer.detail for offer in offers() if not offer.available}
    assert told == {
        f"limits: {name}": "Windows refuses a limit" for name in ("memory", "processes", "cpu")
    }


@pytest.mark.needs("job objects")
def test_it_agrees_with_the_jobs_of_this_machine() -> None:
    found = {offer.name: offer.available for offer in offers()}
    limits = [found[f"limits: {name}"] for name in ("memory", "processes", "cpu")]
    assert all(limits) == has("limits of a job")
