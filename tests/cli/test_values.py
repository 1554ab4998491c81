"""Pure: durations and signals, as timeout(1) reads them."""

from __future__ import annotations

import signal
from collections.abc import Sequence

import pytest

from proctree_kill import KillPolicy
from proctree_kill._cli.kill import policy_of
from proctree_kill._cli.parser import parse

EXPECTED = "expected seconds, or a unit: 0.5, 5s, 1m, 2h, 5d"
PLACES = [
    *(("run", option, "true") for option in ("--timeout", "--linger", "--grace", "--settle")),
    *(("kill", option, "7") for option in ("-k", "--grace", "--settle")),
    *(("stop", option, ". chat") for option in ("-k", "--grace", "--settle")),
    *(("recover", option, ".") for option in ("-k", "--grace", "--settle")),
    ("demo", "--grace", ""),
    ("wait", "--timeout", "7"),
]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("5", 5),
        ("5s", 5),
        ("1m", 60),
        ("2h", 7200),
        ("5d", 432_000),
        ("0.5", 0.5),
        (".5m", 30),
        ("5.", 5),
        ("+1e2", 100),
        (" 1", 1),
    ],
)
def test_a_duration_is_read_as_timeout_reads_it(text: str, seconds: float) -> None:
    assert parse(["run", "--timeout", text, "true"]).timeout == seconds


@pytest.mark.parametrize(("command", "option", "rest"), PLACES)
def test_every_option_that_takes_a_time_takes_a_unit(command: str, option: str, rest: str) -> None:
    options = vars(parse([command, option, "2m", *rest.split()]))
    assert 120 in options.values()


@pytest.mark.parametrize(("command", "option", "rest"), PLACES)
@pytest.mark.parametrize(
    "text", ["soon", "5 s", "5S", "5ss", "-1", "1_0", "1,5", "nan", "inf", "1e400", "", "\u0665"]
)
def test_a_wrong_duration_is_named_with_what_was_expected(
    command: str, option: str, rest: str, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        parse([command, option, text, *rest.split()])
    assert ended.value.code == (125 if command == "run" else 2)
    assert f"{text!r} is not a duration; {EXPECTED}" in capsys.readouterr().err


def test_a_timeout_of_0_is_no_limit_and_a_grace_of_0_forces() -> None:
    options = parse(["run", "--timeout", "0", "-k", "0", "true"])
    assert options.timeout is None
    assert policy_of(options).grace == 0


@pytest.mark.parametrize(
    ("said", "policy"),
    [
        (["-s", "2"], KillPolicy(teardown=["INT 2"])),
        (["-s", "int", "-k", "1m"], KillPolicy(teardown=["INT 60"])),
        (["--signal", "SIGHUP"], KillPolicy(teardown=["HUP 2"])),
        (["-s", "KILL"], KillPolicy(grace=0)),
        (["-s", "sigkill", "-k", "5"], KillPolicy(grace=0)),
        (["--teardown", "INT 3s, 15 0.5m"], KillPolicy(teardown=["INT 3", "TERM 30"])),
        (["--terminate", "tree"], KillPolicy(terminate="tree")),
    ],
)
@pytest.mark.parametrize("command", ["run", "stop . ", "kill", "recover"])
def test_signals_are_names_or_numbers(
    command: str, said: Sequence[str], policy: KillPolicy
) -> None:
    rest = {"kill": ["7"], "run": ["true"], "recover": ["."]}.get(command, ["chat"])
    assert policy_of(parse([*command.split(), *said, *rest])) == policy


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL, and so no number of it")
def test_the_number_of_sigkill_forces() -> None:
    assert policy_of(parse(["kill", "-s", "9", "7"])).grace == 0


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (["-s", "99"], "no signal has the number 99; expected one of `kill -l`, or a name"),
        (["-s", "INTT"], "did you mean 'SIGINT'"),
        (["-s", "STOP"], "SIGSTOP asks nothing"),
        (["--teardown", "INT 3,"], "'' is not a signal and its duration; expected steps as 'INT"),
        (["--teardown", "INT"], "'INT' is not a signal and its duration"),
        (["--teardown", "INT 3x"], f"'3x' is not a duration; {EXPECTED}"),
        (["--teardown", "99 3"], "no signal has the number 99"),
        (["--spare", "12"], "'12' is not the name of a program"),
        (["--spare", "adb,java"], "'adb,java' is not the name of a program; repeat the option"),
        (["--containment", "jail"], "'jail' is unknown; known: auto, session, kernel"),
    ],
)
def test_what_was_wrong_is_named(
    said: Sequence[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        parse(["run", *said, "true"])
    assert ended.value.code == 125
    assert told in capsys.readouterr().err
