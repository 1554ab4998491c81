"""Processes that use a known amount of CPU time or memory, then say so."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

SECONDS = 0.2  # of CPU time, beside the start of the interpreter
SEEN = 0.75 * SECONDS  # of it, at least: a system may count in ticks of 10 ms, or more
BURN = f"""\
import time
until = time.process_time() + {SECONDS}
while time.process_time() < until: pass
"""
HELD = 64 * 2**20  # bytes
HOLD = f"held = b'x' * {HELD}\n"
READY = "import sys\nprint('ready', flush=True)\nsys.stdin.read()\n"
PYTHON = (sys.executable, "-I", "-S", "-c")
BURN_IN_CHILD = f"import subprocess\nsubprocess.run({[*PYTHON, BURN]!r}, check=True)\n"
"""A child uses it, and is reaped."""
_MIDDLE = f"""\
import subprocess
orphan = subprocess.Popen({[*PYTHON, BURN + READY]!r}, stdout=subprocess.PIPE)
orphan.stdout.readline()
orphan.returncode = 0
"""
BURN_IN_ORPHAN = f"import subprocess\nsubprocess.run({[*PYTHON, _MIDDLE]!r}, check=True)\n"
"""An orphan uses it, and lives."""


@contextmanager
def ready(*code: str, **options: object) -> Iterator[subprocess.Popen[bytes]]:
    """Run this code in a session of its own, until it has all done and waits for its input."""
    options = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, **options}
    with subprocess.Popen(  # type: ignore[call-overload] # options of any type
        [*PYTHON, "".join(code) + READY], start_new_session=True, **options
    ) as process:
        try:
            assert process.stdout.readline().strip() == b"ready"
            yield process
        finally:
            process.kill()
