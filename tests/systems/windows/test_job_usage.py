"""Seam: what a job object says of its processes. Real, where Windows has them: what it knows."""

from __future__ import annotations

from ctypes import c_int32, c_size_t, c_uint32, c_void_p

import pytest

from proctree_kill import Limits
from proctree_kill._systems.contract import CellUsage, UnavailableError
from proctree_kill._systems.windows import job_usage, win32
from proctree_kill._systems.windows.job import TreeJob
from proctree_kill._systems.windows.job_limits import EXTENDED_LIMITS
from proctree_kill._systems.windows.job_usage import (
    ACCOUNTING,
    BATCH,
    JOB_MEMORY_LIMIT,
    Accounting,
    Refusals,
)
from support.capabilities import has
from support.job_kernel import JobKernel
from support.jobs import run_in

NEW_PROCESS, EXIT_PROCESS, ACTIVE_PROCESS_LIMIT = 6, 7, 3


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> JobKernel:
    kernel = JobKernel(monkeypatch)
    kernel.used = Accounting(user=15_000_000, kernel=2_500_000, processes=9, living=2)
    kernel.peak = 3 << 20
    return kernel


def test_the_accounting_is_given_in_seconds_and_bytes(kernel: JobKernel) -> None:
    job = TreeJob.make(dies_with_owner=False)
    assert job.usage() == CellUsage(user=1.5, system=0.25, peak_memory=3 << 20)
    kernel.peak = 0
    assert job.usage().peak_memory is None


def test_an_empty_job_has_used_nothing(kernel: JobKernel) -> None:
    kernel.used, kernel.peak = Accounting(), 0
    assert TreeJob.make(dies_with_owner=False).usage() == CellUsage(0.0, 0.0)


def test_a_system_that_only_counts_processes_tells_nothing(kernel: JobKernel) -> None:
    kernel.used, kernel.peak = Accounting(processes=1), 0  # as under Wine
    with pytest.raises(UnavailableError, match="does not tell"):
        TreeJob.make(dies_with_owner=False).usage()


@pytest.mark.parametrize("kind", [ACCOUNTING, EXTENDED_LIMITS])
def test_a_refusal_is_an_error(kernel: JobKernel, kind: int) -> None:
    job = TreeJob.make(dies_with_owner=False)
    kernel.refuses = {kind}
    with pytest.raises(OSError, match="the kernel refuses"):
        job.usage()


@pytest.mark.usefixtures("kernel")
def test_a_closed_job_says_nothing() -> None:
    job = TreeJob.make(dies_with_owner=False)
    assert job.usage()
    job.abandon()
    with pytest.raises(OSError, match="closed"):
        job.usage()


class TestRefusedMemory:
    """The messages of a job that has a limit of memory."""

    def test_without_a_limit_it_is_not_known(self, kernel: JobKernel) -> None:
        job = TreeJob.make(dies_with_owner=False)
        job.limit(Limits(processes=3))
        assert kernel.queue is None
        assert job.usage().out_of_memory is None

    def test_a_message_is_remembered(self, kernel: JobKernel) -> None:
        job = TreeJob.make(dies_with_owner=False)
        job.limit(Limits(memory="1M"))
        kernel.send(NEW_PROCESS, ACTIVE_PROCESS_LIMIT, EXIT_PROCESS)
        assert job.usage().out_of_memory is False
        kernel.send(NEW_PROCESS, JOB_MEMORY_LIMIT, EXIT_PROCESS)
        assert job.usage().out_of_memory is True
        assert job.usage().out_of_memory is True

    def test_it_is_remembered_when_the_limit_is_lifted(self, kernel: JobKernel) -> None:
        job = TreeJob.make(dies_with_owner=False)
        job.limit(Limits(memory="1M"))
        kernel.send(JOB_MEMORY_LIMIT)
        job.limit(Limits())
        job.limit(Limits(memory="2M"))
        assert job.usage().out_of_memory is True

    def test_all_messages_are_read_at_once(self, kernel: JobKernel) -> None:
        job = TreeJob.make(dies_with_owner=False)
        job.limit(Limits(memory="1M"))
        kernel.send(*[NEW_PROCESS] * (3 * BATCH), JOB_MEMORY_LIMIT, *[EXIT_PROCESS] * BATCH)
        assert job.usage().out_of_memory is True
        assert not kernel.queue

    def test_reading_ends_although_messages_keep_coming(
        self, kernel: JobKernel, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        class Endless:
            def __len__(self) -> int:
                return 10**9

            def popleft(self) -> int:
                return NEW_PROCESS

        monkeypatch.setattr(job_usage, "MAX_BATCHES", 3)
        job = TreeJob.make(dies_with_owner=False)
        job.limit(Limits(memory="1M"))
        monkeypatch.setattr(kernel, "queue", Endless())
        assert job.usage().out_of_memory is False

    def test_a_queue_that_cannot_be_read_is_an_error(
        self, kernel: JobKernel, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        job = TreeJob.make(dies_with_owner=False)
        job.limit(Limits(memory="1M"))
        monkeypatch.setattr(kernel, "queue", None)
        with pytest.raises(OSError, match="the kernel refuses"):
            job.usage()

    @pytest.mark.parametrize("dies", [False, True])
    def test_the_queue_is_closed_with_the_job(self, kernel: JobKernel, dies: bool) -> None:  # noqa: FBT001 - a case
        job = TreeJob.make(dies_with_owner=dies)
        job.limit(Limits(memory="1M"))
        assert len(kernel.open) == 2
        assert job.remove()
        assert kernel.open == set()
        assert kernel.queue is None  # the job does not hold it any more

    def test_without_memory_for_a_queue_there_is_no_limit(
        self, kernel: JobKernel, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(kernel, "CreateIoCompletionPort", lambda *_: None)
        job = TreeJob.make(dies_with_owner=False)
        with pytest.raises(UnavailableError, match=r"memory cannot be limited: .*refuses"):
            job.limit(Limits(memory="1M"))
        assert kernel.limits.job_memory == 0


@pytest.mark.needs("job objects")
def test_what_a_job_used_is_known_or_said_to_be_unknown() -> None:
    job = TreeJob.make(dies_with_owner=False)
    empty = job.usage()
    assert (empty.user, empty.system) == (0, 0)
    run_in(job, "import time\nwhile time.process_time() < 0.1: pass")
    if has("limits of a job"):
        assert job.usage().user + job.usage().system >= 0.09
    else:
        with pytest.raises(UnavailableError, match="does not tell"):
            job.usage()
    assert job.remove()


@pytest.mark.needs("job objects")
def test_the_messages_of_a_job_are_read_without_waiting() -> None:
    job = TreeJob.make(dies_with_owner=False)
    handle = job._handle
    assert handle
    refusals = Refusals(handle)
    assert not refusals.seen()
    run_in(job, "")
    assert not refusals.seen()  # a start and an exit
    result = (c_int32, c_void_p, c_uint32, c_size_t, c_void_p)
    kernel32 = win32.load("kernel32", {"PostQueuedCompletionStatus": result})
    assert kernel32.PostQueuedCompletionStatus(refusals.port.value, JOB_MEMORY_LIMIT, 0, None)
    assert refusals.seen()
    refusals.close(handle)
    job.abandon()
