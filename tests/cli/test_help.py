"""Pure: help, and the advice after a mistake. Real: the examples of the help."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from proctree_kill._cli.exit_codes import Exit
from proctree_kill._cli.help import COMMANDS
from proctree_kill._cli.parser import parse
from support.times import BOUND

ROOT = Path(__file__).parents[2]


def ended(*arguments: str) -> object:
    """Return the exit code of a command line that the parser ends."""
    with pytest.raises(SystemExit) as end:
        parse([*arguments])
    return end.value.code


@pytest.mark.parametrize(
    ("said", "advice"),
    [
        ("kil 5", "'kil' is unknown; did you mean 'kill'?"),
        ("4711", "'4711' is unknown; known: kill, "),
        ("help tre", "'tre' is unknown; did you mean 'tree'?"),
        ("kill 5 --graec 3", "--graec 3; did you mean --grace?"),
        ("kill 5 --graec=3", "--graec=3; did you mean --grace?"),
        ("kill --graec 3 5", "--graec; did you mean --grace?"),
        ("--vresion", "--vresion; did you mean --version?"),
        ("--force kill 5", "--force belongs behind the command: proctree-kill kill --force"),
        ("kill -TERM 5", "-TERM; did you mean -s TERM?"),
        ("kill -SIGKILL 5", "-SIGKILL; did you mean -s SIGKILL?"),
        ("kill -9 5", "'-9' is not a pid; --force kills at once, --signal NAME asks otherwise"),
        ("kill localhost:8000", "a port is written :8000"),
        ("stop . a --forec", "--forec; did you mean --force?"),
        ("kill 5 --terminate rooot", "'rooot' is unknown; did you mean 'root'?"),
        ("kill 5 --signal INTT", "'SIGINTT' is unknown; did you mean 'SIGINT' or"),
        ("kill 5 --signal STOP", "SIGSTOP asks nothing; force follows by itself"),
    ],
)
def test_a_mistake_is_answered_with_the_nearest_name(
    said: str, advice: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ended(*said.split()) == Exit.USAGE
    assert advice in capsys.readouterr().err


def test_a_mistake_before_a_command_that_is_run_is_answered_as_well(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert ended("run", "--sginal", "INT", "--", "true") == Exit.FAILED
    assert "did you mean --signal?" in capsys.readouterr().err
    assert ended("run", "--leftovers", "ennd", "--", "true") == Exit.FAILED
    assert "did you mean 'end'?" in capsys.readouterr().err


def test_what_is_near_to_nothing_gets_no_advice(capsys: pytest.CaptureFixture[str]) -> None:
    assert ended("kill", "5", "-z", "--xyzzy") == Exit.USAGE
    assert capsys.readouterr().err.endswith("error: unrecognized arguments: -z --xyzzy\n")


def test_without_a_command_the_first_steps_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert ended() == Exit.USAGE
    told = capsys.readouterr()
    assert not told.out
    lines = told.err.splitlines()
    assert len(lines) <= 15
    assert max(map(len, lines)) < 80
    assert {"proctree-kill demo", "proctree-kill help"} <= set(
        re.findall(r"proctree-kill \w+", told.err)
    )


@pytest.mark.parametrize("command", [None, *COMMANDS])
def test_help_is_a_command_too(command: str | None, capsys: pytest.CaptureFixture[str]) -> None:
    named = [command] if command else []
    assert ended("help", *named) == 0
    told = capsys.readouterr()
    assert ended(*named, "--help") == 0
    assert told == capsys.readouterr()


@pytest.mark.parametrize("command", COMMANDS)
def test_every_exit_code_in_the_help_is_in_the_table(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ended(command, "--help") == 0
    codes = {int(code) for code in re.findall(r"^  (\d+)  ", capsys.readouterr().out, re.MULTILINE)}
    assert codes
    assert codes <= {*Exit, 128, 130}


SAFE = re.compile(
    r"(sleep \d+ & proctree-kill \w+ \$!"
    r"|proctree-kill (demo|doctor|help \w+|tree \$\$|run .* -- sleep \d+"
    r"|(sessions|stop|recover) \.( [^|]+?)?( \|\| echo .*)?))"
)
"""The examples that touch nothing but what they start, and need no program that may be missing."""


def examples(command: str) -> list[str]:
    """Return the examples of a command that can be run anywhere."""
    _, _, listed = COMMANDS[command].epilog.partition("examples:\n")
    lines = [re.split(r" {2,}", line.strip())[0] for line in listed.splitlines()]
    return [line for line in lines if SAFE.fullmatch(line)]


@pytest.mark.needs("fork")
@pytest.mark.parametrize("command", [*COMMANDS.keys() - {"fleet"}])  # it needs a cluster
def test_the_examples_of_a_command_work_when_they_are_pasted(command: str, tmp_path: Path) -> None:
    assert examples(command), "add an example that matches SAFE: it works when it is pasted"
    program = f"{shlex.quote(sys.executable)} -m proctree_kill"  # it may not be installed
    for example in examples(command):
        done = subprocess.run(
            ["sh", "-c", example.replace("proctree-kill", program)],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=False,
            timeout=BOUND,
        )
        assert "usage:" not in done.stderr
        assert "error:" not in done.stderr
        codes = {"run": Exit.TIMEOUT, "tree": Exit.REFUSED}
        assert done.returncode == codes.get(command, Exit.GONE), done.stderr
        assert done.stdout or command == "run"
