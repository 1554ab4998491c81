"""Pure: arguments. Seam: given results. Real: processes, end to end."""

from __future__ import annotations

import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import psutil
import pytest

from proctree_kill import (
    Evidence,
    Fate,
    KillPolicy,
    KillResult,
    ProcessIdentity,
    ProcessOutcome,
    TreeSnapshot,
    __version__,
    identify,
    kill_tree,
)
from proctree_kill._cli import main, screen
from proctree_kill._cli.parser import parse
from proctree_kill._cli.signals import interrupt_code, interruptible
from proctree_kill._cli.target_text import Inode, Name, Port
from proctree_kill._engine import kill
from proctree_kill._engine.process import details
from proctree_kill._systems.contract import Details
from support import daemons
from support.callers import apart, unprivileged
from support.commands import Invoke
from support.nodes import Node, chain
from support.planter import Planter
from support.socket_planter import SocketPlanter
from support.threads import other_thread
from support.times import BOUND
from support.trees import Tree
from support.users import ordinary_user

PATIENCE = "60"  # seconds of grace; never pass in full
HASTE = "0.2"  # seconds of grace; pass in full
ASKED = r"proctree-kill: asked to exit; force in [0-9.]+ s\n"
GRACE = re.compile(rf"{ASKED}proctree-kill: all exited after [0-9.]+ s\n")
STUBBORN = Node(name="root", on_term="ignore", children=(Node(name="child", on_term="ignore"),))


class TestArguments:
    """Pure."""

    @pytest.mark.parametrize(
        "text",
        [
            *("", "+5", "%1", "--5", "-", "9" * 30, str(2**31)),
            *(":", ":0", ":65536", ":-1", ":http", ":\u0661", "12:", "12:x", "12:3:4", "12:-3"),
            *("/usr/bin/node", "-1", "-9", "localhost:8000", "[::1]:80", "4711,4712"),
        ],
    )
    def test_what_is_no_target_is_a_usage_error(
        self, text: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        with pytest.raises(SystemExit) as ended:
            parse(["kill", "--", text])
        assert ended.value.code == 2
        assert text in capsys.readouterr().err

    def test_a_target_is_a_pid_a_port_a_name_or_a_pid_with_an_inode(self) -> None:
        targets = parse(["tree", "7", ":8000", "node", "7:99", "7zip", "Web Content"]).targets
        names = (Name("node"), Inode(7, 99), Name("7zip"), Name("Web Content"))
        assert targets == [7, Port(8000), *names]

    @pytest.mark.parametrize("number", [0, 1, 2**31 - 1])
    def test_which_numbers_are_refused_is_the_library_s_business(self, number: int) -> None:
        assert parse(["kill", str(number)]).targets == [number]

    @pytest.mark.parametrize(
        "said",
        [
            ["kill", "7", "--spare", "8", "--spare", "9"],
            ["kill", "--spare", "8,9", "7"],
            ["kill", "--spare", "8", "7", "--spare", "9"],
            ["tree", "--spare=8,9", "7"],
        ],
    )
    def test_several_may_be_spared_before_and_after_the_targets(self, said: list[str]) -> None:
        options = parse(said)
        assert (options.targets, options.spare) == ([7], [8, 9])

    def test_pids_programs_and_markers_may_be_spared(self) -> None:
        said = ["kill", "7", "--spare", "8,9", "--spare", "adb", "--spare", "A=b,c"]
        assert parse(said).spare == [8, 9, "adb", "A=b,c"]

    @pytest.mark.parametrize(
        "said",
        [
            ["kill"],
            ["kill", "--spare", "8"],
            ["kill", "7", "--spare", "8", "9"],
            ["kill", "7", "--spare", "8,"],
            ["kill", "7", "--spare", "8,adb"],
            ["kill", "7", "--spare", "adb,watchman"],
            ["kill", "7", "--spare", "/usr/bin/adb"],
            ["kill", "7", "--spare", "=1"],
            ["kill", "7", "--spare", ""],
            ["kill", "7", "--grace", "soon"],
            ["kill", "7", "--grace", "1", "--force"],
            ["kill", "7", "--for"],
            ["kill", "7", "-q", "-v"],
            ["kill", "7", "--marker", "NAME"],
            ["kill", "7", "--marker", "=value"],
            ["kill", "7", "--terminate", "half"],
            ["kill", "7", "--teardown", "INT 3", "--grace", "1"],
            ["kill", "-KILL", "7"],
            ["tree"],
            ["tree", "7", "--grace", "1"],
            ["demo", "7"],
            ["doctor", "7"],
            ["grow", "7"],
            ["--frobnicate"],
        ],
        ids=" ".join,
    )
    def test_wrong_arguments_are_a_usage_error(
        self, said: list[str], capsys: pytest.CaptureFixture[str]
    ) -> None:
        with pytest.raises(SystemExit) as ended:
            parse(said)
        assert ended.value.code == 2
        assert "usage: proctree-kill" in capsys.readouterr().err

    @pytest.mark.parametrize("command", [[], ["kill"], ["tree"], ["demo"], ["doctor"]])
    def test_help_lists_the_exit_codes(
        self, command: list[str], capsys: pytest.CaptureFixture[str]
    ) -> None:
        with pytest.raises(SystemExit) as ended:
            parse([*command, "--help"])
        assert not ended.value.code
        told = capsys.readouterr().out
        assert "exit codes:" in told
        assert max(map(len, told.splitlines())) < 80

    def test_the_version_is_printed(self, capsys: pytest.CaptureFixture[str]) -> None:
        with pytest.raises(SystemExit) as ended:
            parse(["--version"])
        assert not ended.value.code
        assert capsys.readouterr().out == f"proctree-kill {__version__}\n"


class TestGivenResults:
    """Seam: the call is replaced, its report is not."""

    @pytest.mark.parametrize(
        ("fate", "code"),
        [
            (Fate.ALREADY_GONE, 0),
            (Fate.TERMINATED, 0),
            (Fate.KILLED, 0),
            (Fate.SPARED, 0),
            (Fate.DENIED, 1),
            (Fate.SURVIVED, 1),
        ],
    )
    @pytest.mark.parametrize("how", [[], ["--json"], ["--quiet"]])
    def test_the_exit_code_says_whether_a_process_survived(
        self,
        fate: Fate,
        code: int,
        how: list[str],
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        given = result(ProcessOutcome(identity=ProcessIdentity(pid=7), name="it", fate=fate))
        monkeypatch.setattr(kill, "kill_tree", lambda *_, **__: given)
        assert main(["kill", "7", *how]) == code
        told = capsys.readouterr()
        assert ("may not end processes of" in told.err) == (fate is Fate.DENIED)
        assert (f"1 still alive: it (7, {fate})" in told.err) == (how == ["--quiet"] and code == 1)
        assert code or not told.err
        if how == ["--quiet"]:
            assert not told.out
        if how == ["--json"]:
            said = json.loads(told.out)
            assert said.keys() == {"ok", "results", "refused"}
            assert (said["ok"], said["refused"]) == (given.ok, [])
            assert [
                KillResult.model_validate_json(json.dumps(result)) for result in said["results"]
            ] == [given]

    def test_every_option_reaches_the_call(self, monkeypatch: pytest.MonkeyPatch) -> None:
        calls: list[tuple[Any, dict[str, Any]]] = []

        def call(target: Any, **options: Any) -> KillResult:  # noqa: ANN401 - as kill_tree
            calls.append((target, options))
            return result()

        monkeypatch.setattr(kill, "kill_tree", call)
        said = "7 8 --grace 1.5 --settle 3 --marker A=b=c --spare 9 --terminate root --keep-root"
        assert main(["kill", *said.split()]) == 0
        assert main(["kill", "7", "--force"]) == 0
        (target, options), (_, forced) = calls
        assert target == [7, 8]
        policy = KillPolicy(grace=1.5, settle=3.0, terminate="root", include_root=False)
        assert options == {"policy": policy, "marker": "A=b=c", "spare": [9]}
        assert forced == {"policy": KillPolicy(grace=0.0), "marker": None, "spare": None}

    @pytest.mark.parametrize(
        ("said", "requests"),
        [
            ("--signal INT", (("SIGINT", 2.0),)),
            ("--signal sighup --grace 3", (("SIGHUP", 3.0),)),
            ("--teardown=INT 3, TERM 2", (("SIGINT", 3.0), ("SIGTERM", 2.0))),
        ],
    )
    def test_the_requests_can_be_chosen(
        self, said: str, requests: object, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        policies: list[KillPolicy] = []

        def call(_: object, **options: Any) -> KillResult:
            policies.append(options["policy"])
            return result()

        monkeypatch.setattr(kill, "kill_tree", call)
        arguments = [said] if "=" in said else said.split()
        assert main(["kill", "7", *arguments]) == 0
        assert [policy.requests for policy in policies] == [requests]

    @pytest.mark.parametrize(
        ("arguments", "words"),
        [
            (["--signal", "INT", "--force"], "--signal is 'INT', but force at once"),
            (["--signal", "INT", "--teardown", "INT 3"], "name each signal in --teardown"),
            (["--teardown", "INT 0"], "is no number of seconds above 0"),
        ],
    )
    def test_wrong_requests_are_named(
        self, arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert main(["kill", str(os.getpid()), *arguments]) == 2
        assert words in capsys.readouterr().err

    def test_an_interrupt_before_the_call_touched_nothing(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        def call(*_: object, **__: object) -> KillResult:
            raise KeyboardInterrupt

        monkeypatch.setattr(kill, "kill_tree", call)
        assert main(["kill", "7"]) == 130
        assert capsys.readouterr().err == "proctree-kill: interrupted; nothing was touched\n"

    def test_a_name_of_broken_bytes_is_printed_as_json_and_as_text(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        given = result(
            ProcessOutcome(identity=ProcessIdentity(pid=7), name="a\udcff", fate=Fate.KILLED)
        )
        monkeypatch.setattr(kill, "kill_tree", lambda *_, **__: given)
        assert main(["kill", "7"]) == 0
        assert "a\\xff" in capsys.readouterr().out
        assert main(["kill", "7", "--json"]) == 0
        said = json.loads(capsys.readouterr().out)
        assert said["results"][0]["outcomes"][0]["name"] == "a\udcff"

    def test_a_command_line_is_shortened_to_the_width_of_a_terminal(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
        monkeypatch.setenv("COLUMNS", "40")
        monkeypatch.setenv("TERM", "dumb")
        monkeypatch.setattr(screen, "details", lambda _: Details("me", "a word " * 9))
        member = ProcessOutcome(identity=ProcessIdentity(pid=7), name="x" * 15, fate=Fate.KILLED)
        screen.Screen().tree(TreeSnapshot(target=(), members=(member,)))
        lines = capsys.readouterr().out.splitlines()
        assert len(lines) == 2
        assert max(map(len, lines)) <= 40
        assert lines[1].endswith(" …")


def result(*outcomes: ProcessOutcome) -> KillResult:
    target = (ProcessIdentity(pid=7),)
    return KillResult(target=target, outcomes=outcomes, seconds=0.1, verified=(Evidence.ROOT,))


def test_signals_that_are_not_ignored_become_interrupts() -> None:
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        with interruptible():
            assert signal.getsignal(signal.SIGTERM) is signal.SIG_IGN
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        with pytest.raises(KeyboardInterrupt) as interrupt, interruptible():
            signal.raise_signal(signal.SIGTERM)
        assert interrupt_code(interrupt.value) == 128 + signal.SIGTERM
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    finally:
        signal.signal(signal.SIGTERM, before)


@pytest.mark.parametrize("command", [["--help"], ["kill", ":abc"]])
def test_help_and_usage_errors_do_not_load_the_engine(command: list[str]) -> None:
    assert imported(command).isdisjoint({"pydantic", "psutil", "rich", "shtab", "difflib"})


@pytest.mark.needs("fork", "procfs", "pidfd")
def test_a_tree_is_drawn_without_what_takes_long_to_import(plant: Planter) -> None:
    tree = plant(chain("root"))
    assert imported(["tree", str(tree.root.pid)]).isdisjoint({"psutil", "rich", "asyncio"})


def imported(arguments: list[str]) -> set[str]:
    """Return the modules that a command imports."""
    code = (
        "import sys\n"
        "from proctree_kill._cli import main\n"
        "try:\n"
        "    main(sys.argv[1:])\n"
        "finally:\n"
        "    print(*sys.modules, file=sys.stderr)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False
    )
    return set(done.stderr.split())


def test_a_tree_is_ended_on_every_system() -> None:
    with SocketPlanter() as planter:
        root = planter.plant(chain("root", "child"))
        done = run("kill", root.pid, "--force")
        assert (done.returncode, done.stderr) == (0, "")
        assert planter.all_dead()


@pytest.mark.needs("fork")
class TestKill:
    """Real."""

    def test_a_tree_is_ended_and_each_outcome_printed(self, plant: Planter) -> None:
        tree = plant(chain("root", "child", "last"))
        done = run("kill", tree.root.pid, "--grace", PATIENCE)
        assert done.returncode == 0
        assert GRACE.fullmatch(done.stderr)
        assert tree.all_dead()
        head, *rows, summary = done.stdout.splitlines()
        assert head.split()[:3] == ["PID", "NAME", "FATE"]
        pids = [int(row.split()[0]) for row in rows]
        assert pids == [tree.pids[name] for name in ("last", "child", "root")]
        assert summary.startswith("3 terminated in ")

    def test_json_is_the_whole_result(self, plant: Planter) -> None:
        tree = plant(chain("root", "child"))
        done = run("kill", tree.root.pid, "--grace", PATIENCE, "--json")
        assert done.returncode == 0
        assert GRACE.fullmatch(done.stderr)
        said = json.loads(done.stdout)
        assert said.keys() == {"ok", "results", "refused"}
        assert said["ok"] is True
        (told,) = (KillResult.model_validate_json(json.dumps(result)) for result in said["results"])
        assert {outcome.identity.pid for outcome in told.outcomes} == set(tree.pids.values())
        assert tree.all_dead()

    def test_several_trees_share_one_result(self, plant: Planter, invoke: Invoke) -> None:
        trees = [plant(chain("root", "child")) for _ in range(2)]
        done = invoke("kill", *(tree.root.pid for tree in trees), "--grace", PATIENCE, "--json")
        (told,) = json.loads(done.stdout)["results"]
        assert len(told["outcomes"]) == 4
        assert all(tree.all_dead() for tree in trees)

    def test_what_is_gone_leaves_nothing_to_do(self, plant: Planter, invoke: Invoke) -> None:
        tree = plant(chain("root"))
        os.kill(tree.root.pid, signal.SIGKILL)
        os.waitid(os.P_PID, tree.root.pid, os.WEXITED | os.WNOWAIT)
        done = invoke("kill", tree.root.pid)
        assert done.returncode == 0
        assert done.stdout == f"nothing to do: process {tree.root.pid} was gone already\n"

    def test_force_asks_no_process(self, plant: Planter, invoke: Invoke) -> None:
        tree = plant(STUBBORN)
        done = invoke("kill", tree.root.pid, "--force")
        assert done.returncode == 0
        assert "TERM" not in done.stdout
        assert tree.all_dead()

    def test_the_spared_keep_their_descendants(self, plant: Planter, invoke: Invoke) -> None:
        tree = plant(
            Node(name="root", children=(chain("child"), chain("spared", "its own"))),
        )
        done = invoke("kill", tree.root.pid, "--grace", PATIENCE, "--spare", tree.pids["spared"])
        assert done.returncode == 0
        assert "2 terminated, 2 spared in " in done.stdout
        assert lives(tree, "spared", "its own")

    @pytest.mark.needs("procfs")
    @pytest.mark.parametrize("spare", ["planted-daemon", daemons.MARKER])
    def test_programs_and_markers_are_spared(
        self, plant: Planter, invoke: Invoke, tmp_path: Path, spare: str
    ) -> None:
        tree = plant.program(daemons.command(tmp_path))
        tree.await_started("daemon")
        given = (tree.root.pid, "--spare", "no-such-program", "--spare", spare)
        what = "marker" if "=" in spare else "name"
        assert f"spared: by its {what} {spare}" in invoke("tree", *given).stdout
        done = invoke("kill", *given, "--force")
        assert done.returncode == 0
        assert f"by its {what} {spare}" in done.stdout
        assert daemons.daemon_lives(tree)

    def test_keep_root_ends_the_descendants_only(self, plant: Planter, invoke: Invoke) -> None:
        tree = plant(chain("root", "child"))
        done = invoke("kill", tree.root.pid, "--grace", PATIENCE, "--keep-root")
        assert done.returncode == 0
        assert lives(tree, "root")
        done = invoke("kill", tree.root.pid, "--keep-root")
        assert (done.returncode, done.stdout) == (
            0,
            "nothing to do: no process to end\n",
        )

    def test_a_marker_leads_to_a_daemon(self, plant: Planter, invoke: Invoke) -> None:
        marker = f"CLI_{os.urandom(8).hex()}=1"
        daemon = Node(
            name="first", session=True, dies=True, children=(Node(name="daemon", session=True),)
        )
        tree = plant(Node(name="root", children=(daemon,)), marker=marker)
        done = invoke("kill", tree.root.pid, "--grace", PATIENCE, "--marker", marker)
        assert done.returncode == 0
        assert tree.all_dead()

    def test_verbose_prints_each_step_on_stderr(self, plant: Planter, invoke: Invoke) -> None:
        tree = plant(STUBBORN)
        done = invoke("kill", tree.root.pid, "--grace", HASTE, "--verbose")
        assert done.returncode == 0
        steps = [line.split("s  ")[1] for line in done.stderr.splitlines()]
        assert steps[0] == "asked to exit, 2 left"
        assert steps[1] == "force, 2 left"
        assert steps[-1] == "settled, 0 left"
        assert f"{tree.pids['child']} is gone" in done.stderr

    def test_quiet_prints_nothing(self, plant: Planter, invoke: Invoke) -> None:
        tree = plant(chain("root"))
        done = invoke("kill", tree.root.pid, "--grace", PATIENCE, "--quiet")
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
        assert tree.all_dead()

    @pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
    def test_an_interrupt_forces_and_is_reported(self, name: str, plant: Planter) -> None:
        tree = plant(STUBBORN)
        with started("kill", tree.root.pid, "--grace", PATIENCE, "-v") as command:
            assert command.stderr
            assert "asked" in command.stderr.readline()
            command.send_signal(getattr(signal, name))
            out, err = command.communicate(timeout=BOUND)
        assert tree.all_dead()
        assert (command.returncode, out) == (-getattr(signal, name), "")
        assert err.splitlines()[-1] == "proctree-kill: interrupted; forced, no process is left"

    def test_a_reader_that_leaves_stops_nothing(self, plant: Planter) -> None:
        tree = plant(chain("root", "child"))
        reading, writing = os.pipe()
        os.close(reading)
        try:
            done = run("kill", tree.root.pid, "--grace", PATIENCE, stdout=writing)
        finally:
            os.close(writing)
        assert done.returncode == 0
        assert GRACE.fullmatch(done.stderr)
        assert tree.all_dead()

    def test_a_full_disk_is_reported_and_stops_nothing(self, plant: Planter) -> None:
        if not Path("/dev/full").exists():
            pytest.skip("this machine has no /dev/full")
        tree = plant(chain("root"))
        with open("/dev/full", "wb") as full:  # noqa: PTH123 - a device
            done = run("kill", tree.root.pid, "--grace", PATIENCE, stdout=full)
        assert done.returncode == 0
        assert done.stderr.endswith("proctree-kill: cannot write: No space left on device\n")
        assert tree.all_dead()

    def test_without_a_standard_output_the_tree_is_ended(self, plant: Planter) -> None:
        tree = plant(chain("root"))
        script = '"$@" >&-'
        done = subprocess.run(
            ["sh", "-c", script, "sh", *command("kill", tree.root.pid, "--grace", PATIENCE)],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0
        assert GRACE.fullmatch(done.stderr)
        assert tree.all_dead()

    @pytest.mark.needs("root", "ordinary user")
    def test_what_the_system_protects_lives_and_is_reported(self, plant: Planter) -> None:
        tree = plant(chain("root"))
        code, out, err = as_ordinary_user(
            "kill", tree.root.pid, "--grace", HASTE, "--settle", HASTE
        )
        assert code == 1
        reason = "proctree-kill: this user may not end processes of root\n"
        assert re.fullmatch(f"{ASKED}proctree-kill: force, 1 left after [0-9.]+ s\n{reason}", err)
        assert "denied" in out
        assert not tree.all_dead()
        code, out, err = as_ordinary_user("kill", tree.root.pid, "--force", "--quiet")
        assert (code, out) == (1, "")
        assert re.search(f"1 still alive: .*{tree.root.pid}, denied", err)

    @pytest.mark.needs("ordinary user")
    def test_an_ordinary_user_ends_his_own(self, plant: Planter) -> None:
        tree = plant(chain("root", "child"), account=ordinary_user())
        code, out, err = as_ordinary_user("kill", tree.root.pid, "--grace", PATIENCE)
        assert code == 0
        assert GRACE.fullmatch(err)
        assert "2 terminated in " in out
        assert tree.all_dead()


@pytest.mark.needs("fork", "procfs")
class TestRefusals:
    """Real: nothing is touched, and the reason is printed."""

    @pytest.mark.parametrize(
        ("pid", "reason"),
        [
            (0, "process 0 is refused: "),
            (1, "process 1 is refused: it is init"),
        ],
    )
    @pytest.mark.parametrize("verb", ["kill", "tree"])
    def test_a_number_that_is_no_ordinary_process(
        self, invoke: Invoke, pid: int, reason: str, verb: str
    ) -> None:
        done = invoke(verb, pid)
        assert done.returncode == 3
        assert reason in done.stdout + done.stderr

    @pytest.mark.parametrize("verb", ["kill", "tree"])
    def test_a_tree_that_holds_the_command_itself(self, verb: str) -> None:
        done = run(verb, os.getpid())
        assert done.returncode == 3
        assert "its tree holds the caller" in done.stdout + done.stderr
        assert done.stderr.endswith("runs inside that tree; call it from another terminal\n")

    def test_a_thread(self, invoke: Invoke) -> None:
        with other_thread() as tid:
            done = invoke("kill", tid)
        assert done.returncode == 3
        assert f"the process of that thread is {os.getpid()}" in done.stderr

    def test_a_marker_that_the_command_itself_carries(self, plant: Planter) -> None:
        tree = plant(chain("root"))
        marker = f"CLI_{os.urandom(8).hex()}=1"
        name, _, value = marker.partition("=")
        done = run("kill", tree.root.pid, "--marker", marker, env={**os.environ, name: value})
        assert done.returncode == 3
        assert "carries the marker" in done.stderr
        assert not tree.all_dead()


@pytest.mark.needs("fork")
class TestTree:
    """Real."""

    def test_a_tree_is_drawn_in_its_order_and_nothing_is_touched(self, plant: Planter) -> None:
        tree = plant(
            Node(name="root", children=(chain("child", "last"), chain("spared"))),
        )
        done = run("tree", tree.root.pid, "--spare", tree.pids["spared"])
        assert (done.returncode, done.stderr) == (0, "")
        head, *rows = [line.split() for line in done.stdout.splitlines()]
        assert head == ["ORDER", "PROCESS", "EVIDENCE", "USER", "AGE", "COMMAND"]
        names = {str(pid): name for name, pid in tree.pids.items()}
        places = {names[word]: row[0] for row in rows for word in row if word in names}
        assert places == {"last": "1", "child": "2", "root": "3", "spared": "-"}
        assert "spared: by the caller" in done.stdout
        assert "-I -S -" in done.stdout
        assert lives(tree, *tree.pids)

    def test_the_snapshot_as_json_is_a_target_and_holds_no_command_line(
        self, plant: Planter, invoke: Invoke
    ) -> None:
        tree = plant(chain("root", "child"))
        done = invoke("tree", tree.root.pid, "--json")
        assert (done.returncode, done.stderr) == (0, "")
        assert "-I" not in done.stdout
        snapshot = TreeSnapshot.model_validate_json(done.stdout)
        assert kill_tree(snapshot, grace=float(PATIENCE)).ok
        assert tree.all_dead()

    def test_an_empty_tree_is_reported_as_empty(self, plant: Planter, invoke: Invoke) -> None:
        tree = plant(chain("root"))
        done = invoke("tree", tree.root.pid, "--keep-root")
        assert (done.returncode, done.stdout) == (0, "no process to end\n")

    @pytest.mark.needs("fork", "procfs")
    def test_broken_names_do_not_break_a_poor_encoding(self, plant: Planter) -> None:
        tree = plant.program(
            ["bash", "-c", r'printf "\377\033[1m\303\244" > /proc/$$/comm; echo x; read line'],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert tree.root.stdout
        assert tree.root.stdout.readline() == b"x\n"
        done = run("tree", tree.root.pid, env={**os.environ, "PYTHONIOENCODING": "ascii:strict"})
        assert (done.returncode, done.stderr) == (0, "")
        assert "\x1b" not in done.stdout
        assert "\\x1b[1m\\xe4" in done.stdout


@pytest.mark.needs("fork")
class TestTerminal:
    """Real: a terminal of our own."""

    def test_outcomes_have_colours(self, plant: Planter) -> None:
        tree = plant(chain("root"))
        out = on_terminal("kill", tree.root.pid, "--grace", PATIENCE)
        assert "\x1b[32m" in out
        assert "1 terminated in" in out
        assert tree.all_dead()

    def test_no_color_is_respected(self, plant: Planter) -> None:
        tree = plant(chain("root"))
        out = on_terminal("kill", tree.root.pid, "--grace", PATIENCE, NO_COLOR="1")
        assert "\x1b[32m" not in out
        assert "1 terminated in" in out


class TestLive:
    """Real: the facts of a process while it is shown."""

    def test_a_process_shows_what_psutil_shows(self) -> None:
        process = psutil.Process()
        before = time.time()
        seen = details(identify(process.pid))
        after = time.time()
        assert seen.user == process.username()
        assert seen.command == " ".join(process.cmdline())
        assert seen.seconds is not None
        started = process.create_time()
        assert before - 5 <= started + seen.seconds <= after + 5  # psutil rounds the boot time

    @pytest.mark.needs("fork")
    def test_a_zombie_shows_no_command_line(self, plant: Planter) -> None:
        tree = plant(Node(name="root", dies=True))
        os.waitid(os.P_PID, tree.root.pid, os.WEXITED | os.WNOWAIT)
        assert details(identify(tree.root.pid)).command is None

    def test_a_later_owner_of_the_number_is_not_shown(self) -> None:
        now = identify(os.getpid())
        if now.start is not None:
            before = now.model_copy(update={"start": now.start - 1})
        else:
            before = now.model_copy(update={"create_time": (now.create_time or 0) - 60})
        assert details(before) == Details()

    @pytest.mark.needs("fork", "procfs")
    def test_a_process_without_a_name_is_shown_by_number(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        import pwd  # noqa: PLC0415 - not on every system

        def unknown(_: int) -> None:
            raise KeyError

        monkeypatch.setattr(pwd, "getpwuid", unknown)
        assert details(identify(os.getpid())).user == str(os.geteuid())

    def test_a_process_that_is_gone_shows_nothing(self) -> None:
        child = subprocess.Popen([sys.executable, "-I", "-S", "-c", ""])
        identity = identify(child.pid)
        child.wait()
        assert details(identity) == Details()


def lives(tree: Tree, *names: str) -> bool:
    """Whether all of these are alive."""
    return psutil.STATUS_ZOMBIE not in {tree.state(name) for name in names}


def command(*arguments: object) -> list[str]:
    """Return the command line of a command."""
    return [sys.executable, "-m", "proctree_kill", *map(str, arguments)]


def run(*arguments: object, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
    return subprocess.run(
        command(*arguments), text=True, check=False, timeout=BOUND, encoding="utf-8", **options
    )


@contextmanager
def started(*arguments: object) -> Iterator[subprocess.Popen[str]]:
    """Run a command beside us, and end it if the test does not."""
    with subprocess.Popen(
        command(*arguments), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def as_ordinary_user(*arguments: object) -> tuple[int, str, str]:
    """Run a command without any privilege; return its exit code and its output."""

    def call() -> tuple[int, str, str]:
        out, err = io.StringIO(), io.StringIO()
        with unprivileged(ordinary_user()), redirect_stdout(out), redirect_stderr(err):
            code = main([str(argument) for argument in arguments])
        return code, out.getvalue(), err.getvalue()

    return apart(call)


def on_terminal(*arguments: object, **env: str) -> str:
    """Run a command on a terminal, and return what appeared there."""
    pexpect = pytest.importorskip("pexpect")
    names = {name: value for name, value in os.environ.items() if name != "NO_COLOR"}
    first, *rest = command(*arguments)
    child = pexpect.spawn(
        first,
        rest,
        env={**names, "TERM": "xterm-256color", **env},
        encoding="utf-8",
        timeout=BOUND,
        dimensions=(40, 120),
    )
    try:
        said: str = child.read()
        child.wait()  # its terminal is closed before it can be seen dead
    finally:
        child.close()
    assert child.exitstatus == 0, said
    return said
