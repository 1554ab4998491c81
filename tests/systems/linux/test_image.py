"""Real: what is known of a program image, and what another user sees of it."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys

import pytest

pytest.importorskip("fcntl", reason="what is for Linux needs POSIX to be imported")

from proctree_kill._systems.image import image
from proctree_kill._systems.linux import image as linux_image
from support.callers import PR_SET_DUMPABLE, apart, in_foreign_proc, unprivileged, without_proc
from support.users import ordinary_user

pytestmark = pytest.mark.needs("procfs")

REPLACED = """
import os, sys
from proctree_kill._systems.image import image
print(*image(os.getpid()), flush=True)
input()
if sys.argv[1:]:
    os.execv(sys.executable, sys.orig_argv[:-1])
"""


def test_other_processes_see_its_addresses_until_it_replaces_itself() -> None:
    command = [sys.executable, "-c", REPLACED, "once"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as process:
        assert process.stdin
        assert process.stdout
        first = process.stdout.readline().split()
        assert image(process.pid) == (first[0], None)
        process.stdin.write("\n")
        process.stdin.flush()
        second = process.stdout.readline().split()
        assert image(process.pid) == (second[0], None)
        process.communicate("\n")
    assert not set(first) & set(second)
    assert len({*first, *second}) == 4


def test_a_fork_has_the_same() -> None:
    assert apart(lambda: image(os.getpid())) == image(os.getpid())


def test_a_dead_process_has_none() -> None:
    process = subprocess.Popen(["true"])
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert image(process.pid) == (None, None)
    process.wait()
    assert image(process.pid) == (None, None)


def test_a_program_without_ctypes_has_its_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(linux_image, "_ctypes", None)
    addresses, random = image(os.getpid())
    assert addresses
    assert random is None


@pytest.mark.needs("root", "ordinary user")
def test_another_user_sees_nothing() -> None:
    ours = os.getpid()

    def seen() -> list[object]:
        with unprivileged(ordinary_user()):
            before = image(os.getpid())  # as it read its own while it might
            ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)  # as a change of users does
            linux_image._own_addresses.cache_clear()
            return [image(ours), before, image(os.getpid())]

    assert apart(seen) == [(None, None), image(ours), (None, image(ours)[1])]


@pytest.mark.needs("root")
def test_a_process_without_a_proc_of_its_own_asks_no_other() -> None:
    parent = os.getppid()

    def seen() -> tuple[object, object]:
        linux_image._own_addresses.cache_clear()
        return image(parent)[0], image(os.getpid())[0]

    assert apart(lambda: without_proc(seen)) == (None, None)
    assert in_foreign_proc(seen) == (None, image(os.getpid())[0])
