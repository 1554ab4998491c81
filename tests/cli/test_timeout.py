"""Real: ``run`` beside timeout(1) of coreutils, with the same arguments."""

from __future__ import annotations

import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from support.runs import RUN
from support.signal_masks import blocked
from support.times import BOUND

TIMEOUT = shutil.which("timeout") or ""
pytestmark = [
    pytest.mark.needs("fork"),
    pytest.mark.skipif(
        not TIMEOUT or b"coreutils" not in subprocess.check_output([TIMEOUT, "--version"]),
        reason="no timeout(1) of coreutils",
    ),
]
STAY = "exec sleep 1000"
# SIGTERM is blocked in what the tests run: the first never takes it, the second once it can.
STUBBORN = ["sleep", "1000"]
TRAP = """\
import os, signal
signal.signal(signal.SIGTERM, lambda *_: os._exit(9))
signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])
signal.pause()
"""
TRAPPED = [sys.executable, "-I", "-S", "-c", TRAP]


def programs(limit: str, options: str) -> list[str]:
    """Return both programs with the same options and limit, as words of a shell."""
    ours = [*RUN, *shlex.split(options), "--timeout", limit, "--"]
    return [shlex.join([TIMEOUT, *shlex.split(options), limit]), shlex.join(ours)]


def shown(script: str, folder: Path) -> tuple[int, str]:
    """Return the exit code as a shell shows it, and what was written to standard output."""
    done = subprocess.run(
        ["sh", "-c", script],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd=folder,
        text=True,
        check=False,
        timeout=BOUND,
        start_new_session=True,
    )
    return done.returncode, done.stdout


def with_sigterm_blocked(program: str, command: list[str]) -> int:
    """Return the exit code as a shell shows it; no shell is between, for dash has its own mask."""
    with blocked(signal.SIGTERM):
        done = subprocess.run([*shlex.split(program), *command], check=False, timeout=BOUND)
    return done.returncode if done.returncode >= 0 else 128 - done.returncode


@pytest.mark.parametrize(
    ("limit", "options", "command", "code"),
    [
        ("1m", "", "sh -c 'exit 7'", 7),
        ("1m", "", "sh -c 'kill -KILL $$'", 137),
        ("1m", "", "sh -c 'kill -TERM $$'", 143),
        ("1m", "", "sh -c 'kill -INT $$'", 130),
        ("1m", "", "sh -c 'ulimit -c 0; kill -SEGV $$'", 139),
        ("1m", "--foreground", "sh -c 'exit 7'", 7),
        ("0", "", "sh -c 'exit 7'", 7),
        ("0.0d", "", "sh -c 'exit 7'", 7),
        ("1m", "", "/nowhere/to-be-found", 127),
        ("1m", "", "./text", 126),
        ("1m", "", ".", 126),
        ("soon", "", "true", 125),
        ("-1", "", "true", 125),
        ("1m", "-s NONE", "true", 125),
        ("1m", "-k soon", "true", 125),
        ("0.2s", "", f"sh -c '{STAY}'", 124),
        ("0.2", "--foreground", f"sh -c '{STAY}'", 124),
        ("0.2", "-s INT", f"sh -c '{STAY}'", 124),
        ("0.2", "-s 2 -k 1m", f"sh -c '{STAY}'", 124),
        ("0.2", "", "sh -c 'kill -STOP $$'", 124),
        ("0.2", "--preserve-status", f"sh -c '{STAY}'", 143),
        ("0.2", "--preserve-status -s INT", f"sh -c '{STAY}'", 130),
        ("0.2", "--preserve-status -s KILL", f"sh -c '{STAY}'", 137),
        ("0.2", "--preserve-status", "sh -c 'kill -STOP $$'", 143),
    ],
)
def test_the_exit_code_is_that_of_timeout(
    limit: str, options: str, command: str, code: int, tmp_path: Path
) -> None:
    (tmp_path / "text").write_text("no program")
    for program in programs(limit, options):
        script = f"{program} {command}; exit $?"  # the shell stays, and shows it
        assert shown(script, tmp_path) == (code, ""), program


@pytest.mark.parametrize(
    ("options", "command", "code"), [("", TRAPPED, 9), ("-k 0.1", STUBBORN, 137)]
)
def test_what_handles_or_ignores_the_signal_has_the_exit_code_of_timeout(
    options: str, command: list[str], code: int
) -> None:
    for program in programs("0.2", f"--preserve-status {options}"):
        assert with_sigterm_blocked(program, command) == code, program


@pytest.mark.parametrize("options", ["-k 0.1", "-s KILL"])
def test_after_force_the_code_is_124_where_timeout_has_137(options: str) -> None:
    theirs, ours = programs("0.2", options)
    assert with_sigterm_blocked(theirs, STUBBORN) == 137
    assert with_sigterm_blocked(ours, STUBBORN) == 124


@pytest.mark.parametrize(
    ("script", "out"),
    [
        ("printf 'b\\na\\n' | {} sort | head -n 1", "a\n"),
        ("{} sh -c 'echo left; exit 3' & wait $!; echo $?", "left\n3\n"),
    ],
)
def test_it_takes_the_place_of_timeout_in_a_shell(script: str, out: str, tmp_path: Path) -> None:
    for program in programs("1m", ""):
        assert shown(script.format(program), tmp_path) == (0, out), program


@pytest.mark.needs("procfs")
@pytest.mark.parametrize(("name", "code"), [("TERM", 143), ("INT", 130)])
def test_a_signal_ends_the_command_too(name: str, code: int, tmp_path: Path) -> None:
    # Before it waits timeout(1) may not know its child yet: a signal ends it, and leaves the child.
    waits = "while read -r _ _ state _ </proc/$PPID/stat; [ $state != S ]; do :; done"
    for program in programs("1m", ""):
        script = f"{program} sh -c '{waits}; kill -{name} $PPID; exec sleep 1000'; echo $?"
        assert shown(script, tmp_path) == (0, f"{code}\n"), program


@pytest.mark.parametrize("name", ["INT", "TERM", "HUP", "PIPE"])
def test_it_ends_by_the_signal_that_ended_the_command(name: str) -> None:
    for program in programs("1m", ""):
        done = subprocess.run(
            [*shlex.split(program), "sh", "-c", f"kill -{name} $$"], check=False, timeout=BOUND
        )
        assert done.returncode == -getattr(signal, f"SIG{name}"), program
