"""Programs in a job object."""

from __future__ import annotations

import subprocess
import sys

from proctree_kill._systems.windows.job import TreeJob

from .times import BOUND


def run_in(job: TreeJob, code: str) -> bytes:
    """Run a Python program in a job, and return what it prints."""
    # The python.exe of a virtual environment would be one process more.
    python = getattr(sys, "_base_executable", sys.executable)
    command = [python, "-I", "-S", "-c", code]
    with subprocess.Popen(
        command, creationflags=job.creation_flags, stdout=subprocess.PIPE
    ) as process:
        job.adopt(process.pid)
        job.start(process.pid)
        return process.communicate(timeout=BOUND)[0].strip()
