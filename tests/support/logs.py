"""A log that a process which the command left behind writes to its end."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

LOG = ["bash", "-c", "exec > >(gzip > log.gz); seq 100000"]


def zip_log(folder: Path, call: Callable[..., object]) -> None:
    """Call with the command and ``cwd``; fail if the log is not complete then."""
    folder.mkdir()
    call(LOG, cwd=folder)
    lines = gzip.decompress((folder / "log.gz").read_bytes()).split()
    assert len(lines) == 100000
