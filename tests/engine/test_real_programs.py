"""Real: programs that people run, with all that they start."""

from __future__ import annotations

import multiprocessing
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from proctree_kill import Evidence, KillResult, kill_tree, snapshot_tree
from support.callers import Caller
from support.capabilities import npm_prefix
from support.planter import Planter
from support.times import HASTE, PATIENCE
from support.trees import Tree

pytestmark = pytest.mark.needs("fork")

GRACES = pytest.mark.parametrize("grace", [PATIENCE, 0], ids=["asked", "forced"])
PYTHON_PARENT = "import subprocess, sys; subprocess.run(sys.argv[1:], check=False)"
SERVER = "mcp-server-everything"
CHROMIUM = (
    "chromium",
    "--headless",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--remote-debugging-port=0",
)
# The process that prints "ready" starts last: a later one would be awaited, not asked.
JOBS = {
    "background": "sleep 1000 & sleep 1000 & echo ready; wait",
    "nohup": "nohup sleep 1000 & echo ready; wait",
    "disown": "sleep 1000 & disown; echo ready; exec sleep 1000",
    "pipeline": "sleep 1000 | sleep 1000 | { echo ready; exec sleep 1000; }",
    "background pipeline": "sleep 1000 | sleep 1000 & sleep 1000 | sleep 1000 & echo ready; wait",
    "orphan": "(sleep 1000 & sleep 1000 &); echo ready; exec sleep 1000",
    "job control": "set -m; sleep 1000 & sleep 1000 | sleep 1000 & echo ready; wait",
    "coprocess": "coproc sleep 1000; echo ready; wait",
    "process substitution": "exec 3< <(sleep 1000); echo ready; exec sleep 1000",
    "trap": "trap '' TERM; sleep 1000 & echo ready; while :; do wait; done",
    "new session": "setsid sleep 1000 & echo ready; wait",
}
POOL = """\
import multiprocessing, signal, sys
with multiprocessing.get_context(sys.argv[1]).Pool(3) as pool:
    pool.map(abs, range(9))
    print("ready", flush=True)
    signal.pause()
"""
MAKEFILE = """\
all: a b c d
a b c d:
\t@sleep 1000 | { echo ready; exec sleep 1000; }
"""


@GRACES
@pytest.mark.needs("npm package", "npx")
def test_an_mcp_server_under_npx_under_python(plant: Planter, tmp_path: Path, grace: float) -> None:
    tree = plant.program(
        [sys.executable, "-c", PYTHON_PARENT, "npx", "--no-install", SERVER],
        cwd=npm_prefix(),
        env={"HOME": str(tmp_path), "npm_config_update_notifier": "false"},
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    await_line(tree, "Starting default (STDIO) server")
    names = [member.name for member in reversed(snapshot_tree(tree.root.pid).members)]
    assert len(names) >= len(["python", "npm", "sh", "node"])
    assert "sh" in names
    assert all_are_gone(tree, kill_tree(tree.root.pid, grace=grace))


@pytest.mark.needs("npm package", "node")
def test_an_mcp_server_started_by_path_ends_with_its_input(plant: Planter) -> None:
    prefix = npm_prefix()
    assert prefix
    tree = plant.program(
        ["node", str(prefix / "node_modules" / ".bin" / SERVER)],
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    await_line(tree, "Starting default (STDIO) server")
    assert all_are_gone(tree, kill_tree(tree.root, grace=PATIENCE))
    assert tree.root.returncode is not None


@GRACES
@pytest.mark.needs("chromium")
@pytest.mark.parametrize(
    "caller",
    [
        pytest.param(Caller(name="root"), marks=pytest.mark.needs("root")),
        pytest.param(Caller(name="user", ordinary=True), marks=pytest.mark.needs("ordinary user")),
    ],
    ids=["root", "ordinary user"],
)
def test_headless_chromium_with_its_zygotes_and_its_crash_handler(
    plant: Planter, public_folder: Path, caller: Caller, grace: float
) -> None:
    marker = new_marker()
    sandbox = [] if caller.ordinary else ["--no-sandbox"]
    tree = plant.program(
        [*CHROMIUM, *sandbox, f"--user-data-dir={public_folder / 'profile'}", "about:blank"],
        account=caller.account,
        marker=marker,
        env={"HOME": str(public_folder)},
        stderr=subprocess.PIPE,
    )
    await_line(tree, "DevTools listening on")
    result = caller.kill(tree.root.pid, marker=marker, grace=grace)
    assert all_are_gone(tree, result)
    handlers = [
        outcome for outcome in result.outcomes if str(outcome.name).startswith("chrome_crashpad")
    ]
    assert {handler.evidence for handler in handlers} == {(Evidence.MARKER,)}


@GRACES
@pytest.mark.needs("bash")
@pytest.mark.parametrize("job", JOBS)
def test_a_shell_with_jobs(plant: Planter, job: str, grace: float) -> None:
    tree = plant.program(["bash", "-c", JOBS[job]], stdout=subprocess.PIPE)
    await_line(tree, "ready")
    short = min(grace, HASTE) if job == "trap" else grace
    assert all_are_gone(tree, kill_tree(tree.root.pid, grace=short))


@pytest.mark.needs("bash")
def test_the_jobs_of_a_shell_that_is_gone(plant: Planter) -> None:
    script = "sleep 1000 & sleep 1000 | sleep 1000 & nohup sleep 1000 & disown -a; echo ready"
    tree = plant.program(["bash", "-c", script], stdout=subprocess.PIPE)
    await_line(tree, "ready")
    tree.root.wait()
    result = kill_tree(tree.root.pid, grace=PATIENCE)
    assert all_are_gone(tree, result)
    found = [outcome for outcome in result.outcomes if outcome.evidence == (Evidence.SESSION,)]
    assert len(found) == 4


@GRACES
@pytest.mark.needs("tmux", "mkfifo")
def test_a_tmux_server_that_was_started_inside_is_found_by_the_marker(
    plant: Planter, tmp_path: Path, grace: float
) -> None:
    marker = new_marker()
    pane = "echo up > up; exec sleep 1000"
    script = 'mkfifo up; $TMUX_COMMAND new-session -d "$PANE"; cat up; exec sleep 1000'
    tree = plant.program(
        ["sh", "-c", script],
        cwd=tmp_path,
        marker=marker,
        env={
            "PANE": pane,
            "SHELL": "/bin/sh",
            "TMUX_COMMAND": f"tmux -L {uuid.uuid4().hex} -f /dev/null",
            "TMUX_TMPDIR": str(tmp_path),
        },
        stdout=subprocess.PIPE,
    )
    await_line(tree, "up")
    result = kill_tree(tree.root.pid, marker=marker, grace=grace)
    assert all_are_gone(tree, result)
    servers = [outcome for outcome in result.outcomes if str(outcome.name).startswith("tmux")]
    assert (Evidence.MARKER,) in {server.evidence for server in servers}


@GRACES
@pytest.mark.parametrize("method", multiprocessing.get_all_start_methods())
def test_a_multiprocessing_pool(plant: Planter, method: str, grace: float) -> None:
    tree = plant.program([sys.executable, "-c", POOL, method], stdout=subprocess.PIPE)
    await_line(tree, "ready")
    # A pool replaces a worker that died, if it still can: the new one is not asked.
    result = kill_tree(tree.root.pid, grace=min(grace, HASTE))
    assert all_are_gone(tree, result)
    assert len(result.outcomes) >= len(["parent", *range(3)])


@GRACES
@pytest.mark.needs("make")
def test_a_parallel_make(plant: Planter, tmp_path: Path, grace: float) -> None:
    (tmp_path / "Makefile").write_text(MAKEFILE)
    tree = plant.program(["make", "-j4"], cwd=tmp_path, stdout=subprocess.PIPE, bufsize=0)
    for _ in range(4):
        await_line(tree, "ready")
    result = kill_tree(tree.root.pid, grace=grace)
    assert all_are_gone(tree, result)


@pytest.fixture
def public_folder(open_folder: Path) -> Iterator[Path]:
    """Make a folder that every user may write to."""
    with tempfile.TemporaryDirectory(dir=open_folder) as name:
        folder = Path(name)
        folder.chmod(0o777)
        yield folder


def await_line(tree: Tree, expected: str) -> None:
    """Read what the root says until a line holds this."""
    stream = tree.root.stdout or tree.root.stderr
    assert stream
    said = []
    for line in stream:
        said.append(line)
        if expected.encode() in line:
            return
    raise AssertionError(b"".join(said))


def all_are_gone(tree: Tree, result: KillResult) -> bool:
    """Whether a result is good, and true."""
    assert result.ok, result.summary()
    return tree.all_dead()


def new_marker() -> str:
    """Return a marker that no other process carries."""
    return f"PLANTED_{uuid.uuid4().hex}=1"
