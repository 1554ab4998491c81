"""Real: completion scripts, in the shells that read them. Pure: no script without shtab."""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from proctree_kill._cli.help import COMMANDS
from proctree_kill._cli.parser import make_parser, parse
from support.times import BOUND

SHELLS = ("bash", "fish", "zsh")
BASH = """\
(( BASH_VERSINFO >= 4 )) || exit 77
source "$1"
shift
COMP_WORDS=("$@")
COMP_CWORD=$(( $# - 1 ))
_shtab_proctree_kill
printf '%s\\n' "${COMPREPLY[@]}"
"""

Complete = Callable[..., set[str]]


@pytest.fixture(params=["bash", "fish"])
def complete(
    request: pytest.FixtureRequest, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> Complete:
    """Return what a shell offers for the last word of a command line."""
    shell: str = request.param
    script = script_for(shell, tmp_path, capsys)

    def call(*words: str) -> set[str]:
        if shell == "bash":
            argv = ["-c", BASH, "bash", str(script), "proctree-kill", *words]
        else:
            line = " ".join(("proctree-kill", *words))
            argv = ["--no-config", "-c", f"source {script}; complete -C '{line}'"]
        done = subprocess.run(
            [shell, *argv], capture_output=True, text=True, check=False, timeout=BOUND, cwd=tmp_path
        )
        if done.returncode == 77:
            pytest.skip("this bash is older than 4")
        assert done.stderr == ""
        return {line.partition("\t")[0] for line in done.stdout.splitlines()}

    return call


def script_for(shell: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    """Write the script of a shell that is installed."""
    pytest.importorskip("shtab")
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    with pytest.raises(SystemExit) as ended:
        parse(["--print-completion", shell])
    assert not ended.value.code
    script = folder / "_proctree-kill"
    script.write_text(capsys.readouterr().out, encoding="utf-8", newline="\n")
    return script


def test_each_command_is_offered(complete: Complete) -> None:
    assert complete("") == set(COMMANDS)
    assert complete("help", "") == set(COMMANDS)
    assert complete("re") == {"recover"}


@pytest.mark.parametrize("command", COMMANDS)
def test_each_option_of_a_command_is_offered(command: str, complete: Complete) -> None:
    options = {
        option
        for action in make_parser().commands[command].actions
        for option in action.option_strings
        if option.startswith("--") and action.help != argparse.SUPPRESS
    }
    assert complete(command, "--") == options


def test_choices_and_signals_are_offered(complete: Complete) -> None:
    assert complete("kill", "--terminate", "") == {"top-down", "tree", "root"}
    assert {"INT", "TERM", "KILL"} <= complete("run", "--signal", "")
    assert complete("--print-completion", "") == set(SHELLS)


def test_folders_are_offered_for_records(complete: Complete, tmp_path: Path) -> None:
    (tmp_path / "sessions").mkdir()
    (tmp_path / "sessions.txt").touch()
    assert {name.rstrip("/") for name in complete("stop", "sess")} == {"sessions"}


@pytest.mark.skipif(shutil.which("ps") is None, reason="ps is not installed")
def test_pids_and_names_are_offered_for_targets(complete: Complete) -> None:
    process = psutil.Process()
    assert str(process.pid) in complete("kill", str(process.pid)[:-1])
    assert process.name() in complete("tree", process.name()[:3])
    assert str(process.pid) in complete("tree", str(process.pid), "--spare", "")


@pytest.mark.needs("procfs")
def test_the_name_of_a_process_is_never_evaluated(complete: Complete, tmp_path: Path) -> None:
    code = "open('/proc/self/comm', 'w').write('$(touch x)'); print(flush=True); input()"
    command = [sys.executable, "-I", "-S", "-c", code]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stdout.readline()
        assert str(process.pid) in complete("kill", "")
        process.communicate(b"\n")
    assert not (tmp_path / "x").exists()


def test_a_command_and_its_files_are_offered_for_run(complete: Complete, tmp_path: Path) -> None:
    (tmp_path / "a file").touch()
    (tmp_path / "afile").touch()
    for words in (["run"], ["run", "--"], ["run", "--timeout", "5"], ["run", "--force", "--"]):
        assert "printf" in complete(*words, "print")
        assert "afile" in complete(*words, "cat", "afi")


def test_zsh_offers_commands_and_options(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pexpect = pytest.importorskip("pexpect")
    script = script_for("zsh", tmp_path, capsys)
    environment = {
        "PATH": os.environ["PATH"],
        "TERM": "dumb",
        "HOME": str(tmp_path),
        "PS1": "ready> ",
    }
    child = pexpect.spawn(
        "zsh", ["-f", "-i"], env=environment, encoding="utf-8", timeout=BOUND, cwd=tmp_path
    )
    try:
        child.expect("ready> ")
        child.sendline(f'autoload -U compinit; compinit -u -D; eval "$(< {script})"')
        child.expect("ready> ")
        for typed, completed in (
            ("reco", "ver"),
            ("kill --termi", "nate"),
            ("run -- printe", "nv"),
        ):
            child.send(f"proctree-kill {typed}\t")
            child.expect_exact(completed)
            child.sendcontrol("u")
        child.sendline("exit")
        child.expect(pexpect.EOF)
        child.wait()
    finally:
        child.close(force=True)


def test_without_shtab_it_is_said_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "shtab", None)
    monkeypatch.delitem(sys.modules, "proctree_kill._cli.completion", raising=False)
    with pytest.raises(SystemExit) as ended:
        parse(["--print-completion", "bash"])
    assert ended.value.code == 2
    told = capsys.readouterr()
    assert not told.out
    assert "pip install 'proctree_kill[cli]'" in told.err
