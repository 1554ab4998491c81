"""Real: a stat line that is read again tells what a process used since."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator

import pytest

from proctree_kill._systems import current
from proctree_kill._systems.member import Member
from support.burning import BURN, PYTHON, READY, SEEN
from support.times import BOUND, LONG

pytestmark = pytest.mark.needs("procfs", "fork")

TOLD = "import sys\nsys.stdin.readline()\n"


@pytest.fixture
def process() -> Iterator[subprocess.Popen[bytes]]:
    """Run what burns when it is told to."""
    command = [*PYTHON, f"{TOLD}{BURN}{READY}"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        yield process
        process.kill()


def test_a_process_that_is_frozen_later_is_looked_at_again(
    process: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    from proctree_kill._systems.linux import system as linux_system  # noqa: PLC0415 - as the marker

    with current() as system:
        member = system.bind(process.pid)
        assert member
        before = cpu(member)
        burn(process)
        system.freeze([member], [])
        monkeypatch.setattr(linux_system, "FRESH", LONG)
        system.prove_stopped([member], system.now() + BOUND)
        assert cpu(member) == before
        monkeypatch.setattr(linux_system, "FRESH", -LONG)
        system.prove_stopped([member], system.now() + BOUND)
        assert cpu(member) >= before + SEEN


def test_the_next_process_with_its_number_tells_nothing_of_it(
    process: subprocess.Popen[bytes],
) -> None:
    with current() as system:
        member = system.bind(process.pid)
        assert member
        assert member.start
        burn(process)
        found, member.start = member.used, member.start - 1
        system.look_again([member])
        assert member.used == found


def burn(process: subprocess.Popen[bytes]) -> None:
    assert process.stdin
    assert process.stdout
    process.stdin.write(b"\n")
    process.stdin.flush()
    assert process.stdout.readline() == b"ready\n"


def cpu(member: Member) -> float:
    with current() as system:
        return sum(system.cpu_used([member]) or ())
