"""Real: ports, names and inodes as targets."""

from __future__ import annotations

import io
import json
import os
import signal
import socket
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import psutil
import pytest

from proctree_kill import KillResult, TreeSnapshot, identify
from proctree_kill._cli import main, targets
from proctree_kill._engine import kill
from proctree_kill._systems import listeners, named, psutil_lookup
from proctree_kill._systems.contract import Listener
from support.callers import apart, in_namespace, unprivileged
from support.capabilities import NPM_PACKAGE, npm_prefix
from support.commands import Invoke
from support.nodes import chain
from support.planter import Planter
from support.ports import free_port
from support.recycling import Stranger, StrangerMaker, recycle
from support.servers import STAY, plant_program, script, serve, unique_name
from support.terminal import Terminal
from support.times import BOUND
from support.users import ordinary_user

FORCE = ("--force",)


@pytest.mark.needs("fork", "procfs")
class TestPorts:
    @pytest.mark.parametrize(
        ("family", "kind"),
        [
            ("AF_INET", "SOCK_STREAM"),
            ("AF_INET6", "SOCK_STREAM"),
            ("AF_INET", "SOCK_DGRAM"),
            ("AF_INET6", "SOCK_DGRAM"),
        ],
    )
    def test_the_holder_is_ended(
        self, family: str, kind: str, plant: Planter, invoke: Invoke
    ) -> None:
        server = serve(plant, family=family, kind=kind)
        done = invoke("kill", f":{server.port}", *FORCE)
        assert (done.returncode, done.stderr) == (0, "")
        assert "1 killed" in done.stdout
        assert server.tree.all_dead()

    def test_of_workers_that_share_a_socket_the_master_is_meant(
        self, plant: Planter, invoke: Invoke
    ) -> None:
        server = serve(plant, workers=3)
        shown = invoke("tree", f":{server.port}", "--json")
        snapshot = TreeSnapshot.model_validate_json(shown.stdout)
        assert snapshot.target == (identify(server.pid),)
        assert len(snapshot.members) == 4
        assert invoke("kill", f":{server.port}", *FORCE).returncode == 0
        assert server.tree.all_dead()

    def test_a_master_that_has_closed_the_socket_is_not_meant(
        self, plant: Planter, invoke: Invoke
    ) -> None:
        server = serve(plant, "closes", workers=1)
        assert invoke("kill", f":{server.port}", *FORCE).returncode == 0
        assert not listeners(server.port)
        assert server.lives()

    def test_unrelated_holders_are_listed_and_not_touched(
        self, plant: Planter, invoke: Invoke
    ) -> None:
        first = serve(plant, "shares")
        second = serve(plant, "shares", port=first.port)
        for command in ("kill", "tree", "wait"):
            done = invoke(command, f":{first.port}")
            assert done.returncode == 2
            assert f"port {first.port}: 2 unrelated processes hold it" in done.stderr
            assert "nothing was touched" in done.stderr
            assert {str(first.pid), str(second.pid)} <= set(done.stdout.split())
        assert first.lives()
        assert second.lives()

    def test_an_undecided_target_leaves_the_others_alone(
        self, plant: Planter, invoke: Invoke
    ) -> None:
        first = serve(plant, "shares", workers=1)
        serve(plant, "shares", port=first.port)
        other = plant(chain("root"))
        assert invoke("kill", other.root.pid, f":{first.port}", *FORCE).returncode == 2
        assert not other.all_dead()

    def test_a_port_on_which_no_process_listens_leaves_nothing_to_do(self, invoke: Invoke) -> None:
        with socket.socket() as bound:  # bound, and not listening
            bound.bind(("127.0.0.1", 0))
            port = bound.getsockname()[1]
            done = invoke("kill", f":{port}")
            answer = json.loads(invoke("kill", f":{port}", "--json").stdout)
            assert invoke("wait", f":{port}").returncode == 0
            assert invoke("tree", f":{port}").returncode == 0
        said = f"nothing listens on port {port} in this network namespace\n"
        assert (done.returncode, done.stdout, done.stderr) == (0, said, "")
        assert answer == {"ok": True, "results": [], "refused": []}

    def test_a_process_whose_main_thread_has_ended_is_found(self, plant: Planter) -> None:
        server = serve(plant, "ends main thread")
        while b") Z " not in Path(f"/proc/{server.pid}/stat").read_bytes():
            os.sched_yield()
        (found,) = listeners(server.port)
        assert found.pids == (server.pid,)

    def test_a_service_manager_is_left_alone(
        self, plant: Planter, invoke: Invoke, tmp_path: Path
    ) -> None:
        code = (
            "import os, signal, socket\n"
            "listener = socket.create_server(('127.0.0.1', 0))\n"
            "if os.fork():\n"
            "    os.write(1, b'%d\\n' % listener.getsockname()[1])\n"
            "signal.pause()"
        )
        manager = plant_program(plant, [script(tmp_path, "systemd", code), "--user"])
        done = invoke("kill", f":{manager.port}", *FORCE)
        assert done.returncode == 2
        assert f"systemd ({manager.pid}) is a service manager" in done.stderr
        assert manager.lives()

    @pytest.mark.needs("pid namespace")
    def test_init_is_left_alone(self) -> None:
        def call() -> tuple[int, str]:
            out = io.StringIO()
            with socket.create_server(("127.0.0.1", 0)) as listener:
                with redirect_stdout(out), redirect_stderr(out):
                    code = main(["kill", f":{listener.getsockname()[1]}", *FORCE])
                return code, out.getvalue()

        code, said = in_namespace(call)
        assert code == 2
        assert "(1) is init, and may hold it for what it starts; nothing was touched" in said

    def test_the_caller_s_own_port_is_refused(self, invoke: Invoke) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            done = invoke("kill", f":{listener.getsockname()[1]}", *FORCE)
        assert done.returncode == 3
        assert "it is the caller itself" in done.stderr

    @pytest.mark.needs("root", "ordinary user")
    def test_root_ends_another_user_s_process_by_its_pid_only(
        self, plant: Planter, invoke: Invoke
    ) -> None:
        server = serve(plant, account=ordinary_user())
        done = invoke("kill", f":{server.port}", *FORCE)
        assert done.returncode == 2
        assert f"({server.pid}) belongs to nobody; name its pid to end it" in done.stderr
        assert str(server.pid) in done.stdout.split()
        assert server.lives()
        assert invoke("kill", server.pid, *FORCE).returncode == 0

    @pytest.mark.needs("root", "ordinary user")
    def test_workers_that_gave_up_root_are_their_master_s(
        self, plant: Planter, invoke: Invoke
    ) -> None:
        account = ordinary_user()
        assert account
        server = serve(plant, "workers give up root", uid=account.uid, workers=2)
        assert invoke("kill", f":{server.port}", *FORCE).returncode == 0
        assert server.tree.all_dead()

    @pytest.mark.needs("root", "ordinary user")
    def test_another_user_s_process_is_not_touched(self, plant: Planter) -> None:
        server = serve(plant)
        code, err = as_ordinary_user("kill", f":{server.port}", *FORCE)
        assert code == 2
        assert f"port {server.port}: root has opened it" in err
        assert server.lives()

    @pytest.mark.needs("root", "ordinary user")
    def test_a_socket_of_root_stays_root_s_in_the_hands_of_a_user(self, plant: Planter) -> None:
        account = ordinary_user()
        assert account
        server = serve(plant, "gives up root", uid=account.uid)
        assert as_ordinary_user("kill", f":{server.port}", *FORCE)[0] == 2
        assert server.lives()

    @pytest.mark.needs("ordinary user")
    def test_an_ordinary_user_frees_a_port(self, plant: Planter) -> None:
        server = serve(plant, account=ordinary_user(), workers=2)
        assert as_ordinary_user("kill", f":{server.port}", *FORCE) == (0, "")
        assert server.tree.all_dead()

    @pytest.mark.needs("node")
    def test_a_cluster_of_node_is_ended_by_its_port(
        self, plant: Planter, invoke: Invoke, tmp_path: Path
    ) -> None:
        code = (
            "const cluster = require('cluster');"
            "if (cluster.isPrimary) { cluster.fork(); cluster.on('listening', (worker, address) =>"
            " process.stdout.write(address.port + '\\n')) }"
            "else require('http').createServer().listen(0, '127.0.0.1')"
        )
        (tmp_path / "server.js").write_text(code)
        server = plant_program(plant, ["node", str(tmp_path / "server.js")])
        assert server.pid in named("node")
        assert invoke("kill", f":{server.port}", *FORCE).returncode == 0
        assert server.tree.all_dead()

    @pytest.mark.needs("npm package", "npx")
    def test_a_server_under_npx_is_ended_by_its_port(
        self, plant: Planter, invoke: Invoke, tmp_path: Path
    ) -> None:
        home = {"HOME": str(tmp_path), "npm_config_update_notifier": "false"}
        with free_port() as port:
            tree = plant.program(
                ["npx", "--no-install", NPM_PACKAGE, "streamableHttp"],
                cwd=npm_prefix(),
                env={**home, "PORT": str(port)},
                stderr=subprocess.PIPE,
            )
            assert tree.root.stderr
            assert any(f"port {port}".encode() in line for line in tree.root.stderr)
        assert tree.root.pid in named("node")
        assert invoke("kill", f":{port}", *FORCE).returncode == 0
        assert not listeners(port)
        tree.root.wait(BOUND)  # npx ends with its server

    @pytest.mark.parametrize(
        ("found", "said"),
        [
            (Listener("tcp", None, ()), "a process holds it that is not visible here"),
            (Listener("udp", "alice", ()), "alice has opened it; this user may not see which"),
        ],
    )
    def test_an_unseen_holder_is_said(
        self, found: Listener, said: str, invoke: Invoke, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(targets, "listeners", lambda *_: [found])
        done = invoke("kill", ":8000")
        assert (done.returncode, done.stdout) == (2, "")
        assert f"port 8000: {said}" in done.stderr

    @pytest.mark.needs("root", "ordinary user")
    def test_a_holder_of_another_user_that_can_be_seen_is_named(
        self, plant: Planter, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        tree = plant(chain("root"))
        found = Listener("tcp", None, (tree.root.pid,))
        monkeypatch.setattr(targets, "listeners", lambda *_: [found])
        code, err = as_ordinary_user("kill", ":8000", *FORCE)
        assert code == 2
        assert f"({tree.root.pid}) belongs to root; name its pid to end it" in err

    def test_a_holder_that_leaves_during_the_look_is_not_ended(
        self, plant: Planter, invoke: Invoke, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        server = serve(plant)
        answers = [[Listener("tcp", None, (server.pid,))], []]
        monkeypatch.setattr(targets, "listeners", lambda *_: answers.pop(0))
        done = invoke("kill", f":{server.port}", *FORCE)
        assert (done.returncode, server.lives()) == (0, True)
        assert "nothing listens" in done.stdout

    def test_what_is_found_is_bound_by_its_identity(
        self, plant: Planter, invoke: Invoke, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        server = serve(plant)
        program = plant_program(plant, [script(tmp_path, name := unique_name())])
        given: list[object] = []

        def call(target: object, **_: object) -> KillResult:
            given.append(target)
            return KillResult(target=(), outcomes=(), seconds=0)

        monkeypatch.setattr(kill, "kill_tree", call)
        assert invoke("kill", f":{server.port}", name, "--yes").returncode == 0
        assert given == [[identify(server.pid), identify(program.pid)]]

    def test_psutil_names_a_holder_too(self, plant: Planter) -> None:
        server = serve(plant)
        assert psutil_lookup.listeners(server.port) == [Listener("tcp", None, (server.pid,))]
        assert not psutil_lookup.listeners(server.port, [os.getpid()])

    def test_psutil_asks_each_process_where_it_may_not_ask_for_all(
        self, plant: Planter, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refuse(_: str) -> object:
            raise psutil.AccessDenied

        monkeypatch.setattr(psutil, "net_connections", refuse)
        server = serve(plant, family="AF_INET6", kind="SOCK_DGRAM")
        assert psutil_lookup.listeners(server.port) == [Listener("udp6", None, (server.pid,))]


@pytest.mark.needs("holders of ports")
def test_a_port_is_freed_on_every_system(capsys: pytest.CaptureFixture[str]) -> None:
    code = (
        "import socket\n"
        "listener = socket.create_server(('127.0.0.1', 0))\n"
        "print(listener.getsockname()[1], flush=True)\n"
        "listener.accept()"
    )
    argv = [getattr(sys, "_base_executable", sys.executable), "-I", "-S", "-c", code]
    with subprocess.Popen(argv, stdout=subprocess.PIPE) as server:
        try:
            assert server.stdout
            port = int(server.stdout.readline())
            assert main(["kill", f":{port}", *FORCE]) == 0
            assert server.wait(BOUND)
        finally:
            server.kill()
    assert "1 killed" in capsys.readouterr().out


@pytest.mark.needs("fork", "procfs")
class TestNames:
    @pytest.mark.parametrize("length", [14, 15, 16, 40])
    def test_a_name_is_exact_though_the_kernel_cuts_it(
        self, length: int, plant: Planter, invoke: Invoke, tmp_path: Path
    ) -> None:
        name = unique_name(length)
        wanted = plant_program(plant, [script(tmp_path, name)])
        others = [plant_program(plant, [script(tmp_path, name + "x")])]
        if length > 15:
            others.append(plant_program(plant, [script(tmp_path, name[:15])]))
        assert named(name) == [wanted.pid]
        if length < 15:
            assert psutil_lookup.named(name) == [wanted.pid]
        assert invoke("kill", name, "--yes", *FORCE).returncode == 0
        assert wanted.tree.all_dead()
        assert all(other.lives() for other in others)

    def test_a_name_is_also_that_of_the_interpreter_and_of_the_file(
        self, plant: Planter, tmp_path: Path
    ) -> None:
        name = unique_name()
        (tmp_path / name).symlink_to(sys.executable)
        program = plant_program(plant, [str(tmp_path / name), "-I", "-S", "-c", STAY])
        file = Path(sys.executable).resolve().name
        for found in (name, file):
            assert program.pid in named(found)

    @pytest.mark.parametrize(("name", "matches"), [("node", 1), ("Node.EXE", 1), ("nod", 0)])
    def test_the_name_of_a_windows_program_has_a_suffix(
        self, name: str, matches: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(psutil.Process, "name", lambda _: "node.exe")
        assert psutil_lookup.named(name, [os.getpid()]) == [os.getpid()] * matches

    def test_a_name_of_no_process_leaves_nothing_to_do(self, invoke: Invoke) -> None:
        name = unique_name()
        done = invoke("kill", name)
        said = f"no process is named '{name}'\n"
        assert (done.returncode, done.stdout, done.stderr) == (0, said, "")

    def test_a_zombie_has_no_name(self, plant: Planter, tmp_path: Path) -> None:
        program = plant_program(plant, [script(tmp_path, name := unique_name())])
        os.kill(program.pid, signal.SIGKILL)
        os.waitid(os.P_PID, program.pid, os.WEXITED | os.WNOWAIT)
        assert named(name) == psutil_lookup.named(name) == []

    @pytest.mark.parametrize("how", [[], ["--json"], ["--quiet"]])
    def test_without_a_terminal_a_name_needs_yes(
        self, how: list[str], plant: Planter, invoke: Invoke, tmp_path: Path
    ) -> None:
        program = plant_program(plant, [script(tmp_path, name := unique_name())])
        done = invoke("kill", name, *how)
        assert done.returncode == 2
        assert f"1 process is named '{name}'; name a pid, or end all with --yes" in done.stderr
        assert (str(program.pid) in done.stdout) is not bool(how)
        assert program.lives()

    def test_a_tree_needs_no_yes(self, plant: Planter, invoke: Invoke, tmp_path: Path) -> None:
        program = plant_program(plant, [script(tmp_path, name := unique_name())])
        done = invoke("tree", name, "--json")
        assert TreeSnapshot.model_validate_json(done.stdout).target == (identify(program.pid),)

    def test_a_match_in_the_tree_of_another_is_part_of_it(
        self, plant: Planter, invoke: Invoke, tmp_path: Path
    ) -> None:
        code = (
            "import os, signal\n"
            "if not os.fork():\n"  # a child, and an orphan in the session
            "    if os.fork():\n"
            "        os._exit(0)\n"
            "    signal.pause()\n"
            "os.wait()\n"
            "if not os.fork():\n"
            "    signal.pause()\n" + STAY
        )
        program = plant_program(plant, [script(tmp_path, name := unique_name(), code)])
        assert len(named(name)) == 3
        assert invoke("kill", name).stderr.startswith("proctree-kill: 1 process is named")
        assert invoke("kill", name, "--yes", *FORCE).returncode == 0
        assert program.tree.all_dead()

    def test_the_own_line_is_never_meant(self, plant: Planter, tmp_path: Path) -> None:
        name = unique_name()
        shell = tmp_path / name
        command = f"{sys.executable} -m proctree_kill kill {name} --yes --force"
        shell.write_text(f'#!/bin/sh\n{command}\necho "code $?"\n')
        shell.chmod(0o755)
        other = plant_program(plant, [script(tmp_path / "..", name)])
        for said in ("1 killed", f"no other process is named '{name}'"):
            done = subprocess.run([shell], capture_output=True, text=True, check=True)
            assert said in done.stdout
            assert done.stdout.endswith("code 0\n")
            assert other.tree.all_dead()

    @pytest.mark.needs("root", "ordinary user")
    def test_another_user_s_processes_are_left_alone(
        self, plant: Planter, open_folder: Path
    ) -> None:
        (open_folder / (name := unique_name())).symlink_to("/bin/sleep")
        tree = plant.program([str(open_folder / name), "1000"])
        while not named(name):
            os.sched_yield()  # it has reported, and becomes the program
        assert as_ordinary_user("kill", name, "--yes", *FORCE)[0] == 0
        assert not tree.all_dead()


@pytest.mark.needs("fork", "procfs")
class TestQuestions:
    @pytest.mark.parametrize(("answer", "code"), [("y\n", 0), ("n\n", 2), ("\n", 2), ("\4", 2)])
    def test_a_name_asks_on_a_terminal(
        self, answer: str, code: int, plant: Planter, terminal: Terminal, tmp_path: Path
    ) -> None:
        program = plant_program(plant, [script(tmp_path, name := unique_name())])
        terminal.run(sys.executable, "-m", "proctree_kill", "kill", name, *FORCE)
        terminal.expect(str(program.pid))
        terminal.expect(f"({program.pid}) and all that it started? [y/N]")
        terminal.type(answer)
        assert terminal.wait() == code
        assert program.lives() is (code == 2)

    def test_ctrl_c_is_an_answer(self, plant: Planter, terminal: Terminal, tmp_path: Path) -> None:
        program = plant_program(plant, [script(tmp_path, name := unique_name())])
        terminal.run(sys.executable, "-m", "proctree_kill", "kill", name, *FORCE)
        terminal.expect("[y/N]")
        terminal.press_ctrl_c()
        terminal.expect("interrupted; nothing was touched")
        assert terminal.wait() == 130
        assert program.lives()

    @pytest.mark.needs("questionary")
    @pytest.mark.parametrize(("keys", "code"), [(" \r", 0), ("\r", 2), ("\3", 130)])
    def test_several_are_picked_from(
        self, keys: str, code: int, plant: Planter, terminal: Terminal, tmp_path: Path
    ) -> None:
        path = script(tmp_path, name := unique_name())
        programs = [plant_program(plant, [path]) for _ in range(2)]
        terminal.run(sys.executable, "-m", "proctree_kill", "kill", name, *FORCE)
        terminal.expect("End which")
        for program in programs:
            terminal.expect(str(program.pid))
        terminal.type(keys)
        assert terminal.wait() == code
        assert [program.lives() for program in programs] == [code != 0, True]

    @pytest.mark.parametrize("term", ["xterm", "dumb"])
    def test_without_a_picker_several_are_listed(
        self, term: str, plant: Planter, terminal: Terminal, tmp_path: Path
    ) -> None:
        path = script(tmp_path, name := unique_name())
        programs = [plant_program(plant, [path]) for _ in range(2)]
        hide = "sys.modules['questionary'] = None;" if term == "xterm" else ""
        code = f"import sys; {hide} from proctree_kill._cli import main; sys.exit(main())"
        env = {**os.environ, "TERM": term, "COLUMNS": "200"}
        terminal.run(sys.executable, "-c", code, "kill", name, *FORCE, env=env)
        for program in programs:
            terminal.expect(str(program.pid))
        terminal.expect("2 processes are named")
        advice = "to pick some" if term == "xterm" else "or end all with --yes; nothing"
        terminal.expect(advice)
        assert terminal.wait() == 2
        assert all(program.lives() for program in programs)


@pytest.mark.needs("fork", "pidfd inode")
class TestInodes:
    def test_the_inode_of_a_pidfd_is_compared(self, plant: Planter, invoke: Invoke) -> None:
        tree = plant(chain("root", "child"))
        inode = identify(tree.root.pid).inode
        assert inode
        done = invoke("kill", f"{tree.root.pid}:{inode + 1}", *FORCE)
        assert done.returncode == 3
        assert f"its inode is {inode}, not {inode + 1}; nothing was touched" in done.stderr
        assert invoke("wait", f"{tree.root.pid}:{inode + 1}").returncode == 3
        assert not tree.all_dead()
        assert invoke("kill", f"{tree.root.pid}:{inode}", *FORCE).returncode == 0
        assert tree.all_dead()
        os.waitpid(tree.root.pid, 0)
        done = invoke("kill", f"{tree.root.pid}:{inode}", *FORCE)
        assert done.returncode == 0
        assert "was gone already" in done.stdout

    def test_the_inode_is_the_one_that_the_system_shows(self, plant: Planter) -> None:
        tree = plant(chain("root"))
        descriptor = os.pidfd_open(tree.root.pid)
        inode = os.fstat(descriptor).st_ino
        os.close(descriptor)
        assert identify(tree.root.pid).inode == inode


@pytest.mark.needs("pid namespace", "next pid", "pidfd inode")
@pytest.mark.parametrize("way", ["port", "inode"])
def test_a_number_that_is_recycled_after_the_look_is_not_touched(way: str) -> None:
    code, said, harm = in_namespace(lambda: end_recycled(way))
    assert (code, harm) == (0, "")
    assert "was gone already" in said


def end_recycled(way: str) -> tuple[int, str, str]:
    """End a process whose number is another's by then; return what was said, and the harm."""
    out, end, strangers = io.StringIO(), kill.kill_tree, list[Stranger]()
    with StrangerMaker() as maker, socket.create_server(("127.0.0.1", 0)) as listener:
        child = os.fork()
        if not child:
            signal.pause()
        port = listener.getsockname()[1]
        listener.close()
        target = f":{port}" if way == "port" else f"{child}:{identify(child).inode}"

        def call(target: Any, **options: Any) -> KillResult:  # noqa: ANN401 - as kill_tree
            strangers.append(recycle(child, maker))
            return end(target, **options)

        kill.kill_tree = call
        with redirect_stdout(out), redirect_stderr(out):
            code = main(["kill", target, *FORCE])
        harm = strangers[0].harm()
        strangers[0].end()
    return code, out.getvalue(), harm


@pytest.mark.needs("fork", "procfs")
class TestSeveral:
    def test_a_refused_target_hides_no_other(self, plant: Planter, invoke: Invoke) -> None:
        tree, server = plant(chain("root", "child")), serve(plant)
        given = (1, tree.root.pid, f":{server.port}", os.getpid(), 0)
        done = invoke("tree", "--", *given)
        assert done.returncode == 3
        assert {str(tree.root.pid), str(server.pid)} <= set(done.stdout.split())
        done = invoke("kill", "--json", *FORCE, "--", *given)
        assert done.returncode == 3
        answer = json.loads(done.stdout)
        assert (answer["ok"], len(answer["results"][0]["outcomes"])) == (False, 3)
        for refused, text in zip((1, os.getpid(), 0), answer["refused"], strict=True):
            assert text.startswith(f"process {refused} is refused: ")
            assert f"{text}; it was not touched" in done.stderr
        assert tree.all_dead()
        assert server.tree.all_dead()

    def test_several_that_are_refused_all_say_why(self, invoke: Invoke) -> None:
        done = invoke("kill", 1, os.getpid())
        assert done.returncode == 3
        assert done.stderr.count("nothing was touched") == 2


def as_ordinary_user(*arguments: object) -> tuple[int, str]:
    """Run a command without any privilege; return its exit code and its errors."""

    def call() -> tuple[int, str]:
        err = io.StringIO()
        with unprivileged(ordinary_user()), redirect_stdout(io.StringIO()), redirect_stderr(err):
            return main([str(argument) for argument in arguments]), err.getvalue()

    return apart(call)
