"""Real: the environment of a process that becomes another program while it is read."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from support.capabilities import has

if not has("procfs"):
    pytest.skip("this machine has no procfs", allow_module_level=True)

from proctree_kill._systems.linux import memory, procfs  # it cannot be imported elsewhere


def test_the_marker_is_read_of_the_new_program(monkeypatch: pytest.MonkeyPatch) -> None:
    read = procfs.read
    pipe = subprocess.PIPE
    with subprocess.Popen(
        ["sh", "-c", "read line; exec sh -c 'echo up; read line'"],
        env={**os.environ, "MARK": "1"},
        stdin=pipe,
        stdout=pipe,
    ) as process:
        stdin, stdout = process.stdin, process.stdout
        assert stdin
        assert stdout
        files = [f"/proc/{process.pid}/environ"]

        def read_late(path: str) -> bytes:
            """Read from memory that execve(2) has replaced since the file was opened."""
            if path not in files:
                return read(path)
            with Path(files.pop()).open("rb", buffering=0) as file:
                stdin.write(b"\n")
                stdin.flush()
                stdout.readline()
                return file.read()

        monkeypatch.setattr(procfs, "read", read_late)
        assert memory.carries(process.pid, [b"MARK=1"])
        process.communicate(b"\n")
    assert not files


def test_the_environment_of_a_process_that_is_older_than_the_marker_is_not_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    paths: list[str] = []
    read = procfs.read

    def noted(path: str) -> bytes:
        paths.append(path)
        return read(path)

    monkeypatch.setattr(procfs, "read", noted)
    found = procfs.stat(os.getpid())
    assert found is not None
    marker = next(iter(os.environb.items()))
    for since, environment_is_read in ((found.start, True), (found.start + 1, False)):
        paths.clear()
        memory.carries(os.getpid(), [b"=".join(marker)], since)
        assert (f"/proc/{os.getpid()}/environ" in paths) is environment_is_read
