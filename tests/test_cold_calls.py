"""Real: the first call of a cold program imports nothing and loads no file."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

pytestmark = pytest.mark.needs("fork", "pidfd")

PROGRAM = """
import os, subprocess, sys
sys.path[:] = json_path
def start(**options):
    command = ["sh", "-c", "sleep 1000 & echo; exec sleep 1000"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, **options)
    process.stdout.readline()
    process.stdout.close()
    return process
{setup}
loaded = []
def note(event, arguments):
    if event == "import":
        loaded.append(arguments[0])
    elif event == "open" and str(arguments[0]).endswith((".pyc", ".so")):
        loaded.append(str(arguments[0]))
sys.addaudithook(note)
{call}
print(loaded[:])
"""

NO_PIDFD = "from proctree_kill._systems.linux import system; system.PIDFD = False"
NO_CHILDREN_FILE = "from proctree_kill._systems.linux import system; system.CHILDREN_FILE = False"
POSIX = (
    "from proctree_kill import _systems; from proctree_kill._systems.posix import system as p; "
    "from proctree_kill._systems.linux import system as l; l.LinuxSystem = p.PosixSystem"
)
KILL = "from proctree_kill import kill_tree; root = start()"
SESSION = "from proctree_kill import kill_tree; root = start(start_new_session=True)"
LEADERLESS = f"{SESSION}; root.kill(); root.wait()"
AWAITED = "import asyncio; from proctree_kill import akill_tree; root = start()"
TRIO = "import trio; from proctree_kill import akill_tree; root = start()"
STARTED = "from proctree_kill import TreePopen"
RUN = "from proctree_kill import run"
DIRECTORY = "import tempfile; directory = tempfile.TemporaryDirectory(); name = directory.name"
MANAGER = f"from proctree_kill import SessionManager; {DIRECTORY}"
MANAGED = """
with SessionManager(name) as manager:
    manager.spawn_agent("a", ["sleep", "1000"], shutdown=lambda session: None)
    assert manager.stop_agent("a").success
    assert manager.stop_all() == {}
"""
ASYNC_MANAGED = """
async def main():
    async with SessionManager(name, event_broadcaster=told) as manager:
        await manager.aspawn_agent("a", ["sleep", "1000"], shutdown=asked)
        assert (await manager.astop_agent("a")).success
asyncio.run(main())
"""
RECOVER = f"from proctree_kill import recover; {DIRECTORY}; root = start()"
RECORDED = """
with open(name + "/session_a.pid", "w") as record:
    record.write(str(root.pid))
with open(name + "/session_b.pid", "w") as record:
    record.write("7\\n{")
recover(name, bare=True)
assert root.poll() is not None
"""

CALLS = {
    "kill": (KILL, "kill_tree(root.pid)"),
    "kill an object by force": (KILL, "kill_tree(root, grace=0)"),
    "kill a session": (SESSION, "kill_tree(root.pid)"),
    "kill a session without a leader": (LEADERLESS, "kill_tree(root.pid)"),
    "kill a stopped tree": (f"{KILL}; root.send_signal(19)", "kill_tree(root.pid)"),
    "kill with a marker": (KILL, "kill_tree(root.pid, marker='PROCTREE_TEST=7c1e')"),
    "kill with a hook": (KILL, "kill_tree(root.pid, shutdown=lambda: None)"),
    "kill with a hook that raises": (KILL, "kill_tree(root.pid, shutdown=lambda: 1 / 0)"),
    "kill with events": (KILL, "kill_tree(root.pid, on_event=print)"),
    "kill and look at the result": (
        KILL,
        (
            "result = kill_tree(root.pid, terminate='tree', teardown=['SIGINT 1', 'SIGTERM 1'])\n"
            "result.raise_for_survivors().summary(), str(result), result.model_dump_json()"
        ),
    ),
    "kill without pidfd": (f"{KILL}; {NO_PIDFD}", "kill_tree(root)"),
    "kill without the children file": (f"{SESSION}; {NO_CHILDREN_FILE}", "kill_tree(root)"),
    "kill as other systems do": (f"{SESSION}; {POSIX}", "kill_tree(root)"),
    "refuse": (KILL, "try: kill_tree(1)\nexcept ValueError: kill_tree(root)"),
    "kill on asyncio": (AWAITED, "asyncio.run(akill_tree(root, shutdown=list))"),
    "kill on trio": (TRIO, "trio.run(akill_tree, root)"),
    "snapshot": (
        f"from proctree_kill import snapshot_tree, kill_tree; {KILL}",
        "snapshot = snapshot_tree(root); snapshot.render(); kill_tree(snapshot)",
    ),
    "identify": (
        f"from proctree_kill import identify; {KILL}",
        "kill_tree(identify(root.pid))",
    ),
    "start": (STARTED, "TreePopen(['sleep', '1000']).stop(shutdown=list)"),
    "start in a session": (STARTED, "TreePopen(['sleep', '9'], containment='session').stop()"),
    "start with a guard": (STARTED, "TreePopen(['sleep', '9'], kill_on_parent_exit=True).stop()"),
    "start with a record": (
        f"{STARTED}; {DIRECTORY}",
        "TreePopen(['sleep', '9'], record=name + '/session_a.pid').stop()",
    ),
    "a with block": (
        STARTED,
        (
            "with TreePopen('sleep 9 >&- & cat >&2', shell=True, stdin=-1, linger=0) as tree:\n"
            "    tree.communicate(b'in')"
        ),
    ),
    "run": (RUN, "run('sleep 9 & cat', shell=True, input='a', text=True, linger=0, stdout=-1)"),
    "run to its timeout": (
        RUN,
        (
            "try: run('sleep 9 & sleep 9', shell=True, timeout=0.1)\n"
            "except subprocess.TimeoutExpired as error: str(error)"
        ),
    ),
    "run on asyncio": (
        "import asyncio; from proctree_kill import arun",
        "asyncio.run(arun(['true'], capture_output=True))",
    ),
    "contain": (
        "from proctree_kill import Containment, kill_tree",
        (
            "containment = Containment.prepare()\n"
            "containment.attach(start(**containment.popen_kwargs()))\n"
            "assert kill_tree(containment).ok"
        ),
    ),
    "manage": (MANAGER, MANAGED),
    "manage on asyncio": (
        f"import asyncio; {MANAGER}\nasync def told(*_): pass\nasked = told",
        ASYNC_MANAGED,
    ),
    "recover": (RECOVER, RECORDED),
}


@pytest.mark.parametrize("kind", CALLS)
def test_the_first_call_imports_nothing(kind: str) -> None:
    if "trio" in kind:
        pytest.importorskip("trio")
    setup, call = CALLS[kind]
    program = PROGRAM.replace("{setup}", setup).replace("{call}", call)
    program = program.replace("json_path", json.dumps(sys.path))
    command = [sys.executable, "-I", "-S", "-c", program]
    ran = subprocess.run(command, capture_output=True, check=False, text=True)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.splitlines()[-1] == "[]"
