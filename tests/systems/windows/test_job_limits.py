"""Seam: the limits of a job object. Real, where Windows has them: what it accepts."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator

import pytest

from proctree_kill import Limits
from proctree_kill._systems.contract import UnavailableError
from proctree_kill._systems.windows.job import TreeJob
from proctree_kill._systems.windows.job_limits import (
    ACTIVE_PROCESS,
    CPU_RATE,
    EXTENDED_LIMITS,
    JOB_MEMORY,
    KILL_ON_JOB_CLOSE,
)
from proctree_kill._systems.windows.job_usage import COMPLETION_PORT
from support.capabilities import has
from support.job_kernel import PROCESSORS, JobKernel
from support.jobs import run_in

ENABLE_AND_HARD_CAP = 5
ALL = Limits(memory="64M", processes=3, cpu=1)


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> JobKernel:
    return JobKernel(monkeypatch)


@pytest.fixture
def real_job() -> Iterator[TreeJob]:
    job = TreeJob.make(dies_with_owner=False)
    yield job
    job.abandon()


def state(kernel: JobKernel) -> tuple[int, int, int, int, int]:
    limits = kernel.limits
    return (
        *(limits.basic.flags, limits.job_memory, limits.basic.processes),
        *(kernel.rate.flags, kernel.rate.rate),
    )


def test_all_limits_are_set(kernel: JobKernel) -> None:
    TreeJob.make(dies_with_owner=False).limit(ALL)
    flags = JOB_MEMORY | ACTIVE_PROCESS
    assert state(kernel) == (flags, 64 << 20, 3, ENABLE_AND_HARD_CAP, 10_000 // PROCESSORS)


@pytest.mark.parametrize("dies", [False, True], ids=["lives", "dies"])
def test_limits_keep_what_ends_the_tree_with_its_owner(
    kernel: JobKernel,
    dies: bool,  # noqa: FBT001 - a case of the test
) -> None:
    job = TreeJob.make(dies_with_owner=dies)
    kept = KILL_ON_JOB_CLOSE if dies else 0
    job.limit(ALL)
    assert state(kernel)[0] == kept | JOB_MEMORY | ACTIVE_PROCESS
    job.limit(Limits(processes=5))
    assert state(kernel) == (kept | ACTIVE_PROCESS, 0, 5, 0, 0)
    job.limit(Limits())
    assert state(kernel) == (kept, 0, 0, 0, 0)


def test_only_what_changes_is_written(kernel: JobKernel) -> None:
    job = TreeJob.make(dies_with_owner=False)
    job.limit(Limits())
    assert kernel.written == []
    job.limit(Limits(cpu=1))
    assert kernel.written == [CPU_RATE]
    job.limit(Limits(cpu=1, processes=4))
    assert kernel.written == [CPU_RATE, EXTENDED_LIMITS]
    job.limit(Limits(processes=4))
    assert kernel.written == [CPU_RATE, EXTENDED_LIMITS, CPU_RATE]


@pytest.mark.parametrize(
    ("cores", "rate"), [(0.01, 25), (0.5, 1250), (1.5, 3750), (PROCESSORS - 0.0001, 10_000)]
)
def test_cores_are_a_share_of_the_machine(kernel: JobKernel, cores: float, rate: int) -> None:
    TreeJob.make(dies_with_owner=False).limit(Limits(cpu=cores))
    assert state(kernel)[3:] == (ENABLE_AND_HARD_CAP, rate)


def test_a_share_of_a_large_machine_is_not_nothing(
    kernel: JobKernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kernel, "GetActiveProcessorCount", lambda _: 2048)
    TreeJob.make(dies_with_owner=False).limit(Limits(cpu=0.01))
    assert state(kernel)[3:] == (ENABLE_AND_HARD_CAP, 1)  # Windows takes no rate of 0


@pytest.mark.parametrize("cores", [PROCESSORS, PROCESSORS + 0.5, 1000])
def test_more_cores_than_there_are_is_no_limit(kernel: JobKernel, cores: float) -> None:
    job = TreeJob.make(dies_with_owner=False)
    job.limit(Limits(cpu=cores))
    assert kernel.written == []
    job.limit(Limits(cpu=1))
    job.limit(Limits(cpu=cores))
    assert state(kernel)[3:] == (0, 0)


def test_what_is_accepted_but_not_kept_is_unavailable(kernel: JobKernel) -> None:
    kernel.keeps_limits = False  # as under Wine
    job = TreeJob.make(dies_with_owner=True)
    for limits in (Limits(memory="1G"), Limits(processes=3), Limits(memory="1G", processes=3)):
        names = " and ".join(limits.given)
        with pytest.raises(UnavailableError, match=f"^{names} cannot be limited: .* not keep it"):
            job.limit(limits)


@pytest.mark.parametrize("kind", [EXTENDED_LIMITS, CPU_RATE, COMPLETION_PORT])
def test_after_a_refusal_all_is_as_before(kernel: JobKernel, kind: int) -> None:
    job = TreeJob.make(dies_with_owner=True)
    job.limit(Limits(processes=7, cpu=2))
    before = state(kernel)
    kernel.refuses = {kind}
    with pytest.raises(UnavailableError, match="the kernel refuses"):
        job.limit(ALL)
    assert state(kernel) == before
    assert len(kernel.open) == 1  # no queue
    kernel.refuses.clear()
    job.limit(ALL)  # a refusal is not remembered as a limit
    assert state(kernel)[1:3] == (64 << 20, 3)


def test_what_is_not_kept_takes_nothing_else_along(kernel: JobKernel) -> None:
    job = TreeJob.make(dies_with_owner=False)
    job.limit(Limits(cpu=2))
    kernel.keeps_limits = False
    with pytest.raises(UnavailableError):
        job.limit(Limits(cpu=1, processes=2))
    kernel.keeps_limits = True
    job.limit(Limits(cpu=1))
    assert state(kernel)[4] == 2500


def test_a_number_that_is_too_wide_for_python_is_refused(
    kernel: JobKernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("proctree_kill._systems.windows.job_limits.c_size_t", ctypes.c_uint32)
    job = TreeJob.make(dies_with_owner=False)
    with pytest.raises(UnavailableError, match="4294967296 bytes need a Python of 64 bits"):
        job.limit(Limits(memory="4G", cpu=1))
    assert kernel.written == []


@pytest.mark.parametrize("refuses", [False, True])
def test_dying_processes_have_the_whole_machine_if_windows_allows_it(
    kernel: JobKernel,
    refuses: bool,  # noqa: FBT001 - a case of the test
) -> None:
    job = TreeJob.make(dies_with_owner=False)
    job.limit(ALL)
    kernel.refuses = {CPU_RATE} if refuses else set()
    assert job.kill()
    assert kernel.rate_of_the_dying == (10_000 // PROCESSORS if refuses else 0)
    kernel.refuses.clear()
    job.limit(ALL)  # a process that starts meanwhile is limited again
    assert state(kernel)[3:] == (ENABLE_AND_HARD_CAP, 10_000 // PROCESSORS)


def test_a_closed_job_takes_no_limits(kernel: JobKernel) -> None:
    job = TreeJob.make(dies_with_owner=False)
    job.limit(ALL)
    job.abandon()
    assert kernel.open == set()
    with pytest.raises(UnavailableError, match="closed"):
        job.limit(ALL)


@pytest.mark.needs("job objects")
@pytest.mark.skipif(has("limits of a job"), reason="the jobs of this machine have limits")
@pytest.mark.parametrize(
    "limits", [Limits(memory="1G"), Limits(processes=50), Limits(cpu=0.5)], ids=str
)
def test_a_system_without_limits_says_so(real_job: TreeJob, limits: Limits) -> None:
    with pytest.raises(UnavailableError, match=r"refuses it|does not keep it"):
        real_job.limit(limits)
    real_job.limit(Limits())


@pytest.mark.needs("limits of a job")
def test_an_allocation_over_the_limit_fails(real_job: TreeJob) -> None:
    code = "try: bytearray(1 << 30)\nexcept MemoryError: print('refused')"
    real_job.limit(Limits(memory="256M"))
    assert run_in(real_job, code) == b"refused"
    assert real_job.usage().out_of_memory


@pytest.mark.needs("limits of a job")
def test_a_process_over_the_limit_does_not_start(real_job: TreeJob) -> None:
    code = (
        "import subprocess, sys\n"
        "try: subprocess.call([sys.executable, '-c', ''])\n"
        "except OSError: print('refused')"
    )
    real_job.limit(Limits(processes=1))
    assert run_in(real_job, code) == b"refused"
    real_job.limit(Limits())
    assert run_in(real_job, code) == b""
