"""Real: programs that pass a request on are asked once, from the top, and finish their work."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import psutil
import pytest

from proctree_kill import Fate, KillResult, TreePopen, kill_tree
from support.counts import SAVES, TASKS
from support.times import BOUND, PATIENCE

pytestmark = [pytest.mark.needs("fork", "procfs"), pytest.mark.timeout(90)]

SUPPORT = Path(__file__).parents[1] / "support"
WORKER = (
    f"{sys.executable} -m celery -A celery_app worker --concurrency={TASKS} --loglevel=ERROR "
    "--without-gossip --without-mingle --without-heartbeat"
)
SEND = "import sys, celery_app; [celery_app.work.delay(n, 1.0) for n in range(int(sys.argv[1]))]"
SHAPES = {
    "alone": ["sh", "-c", f"exec {WORKER}"],
    "below a shell": ["sh", "-c", f"{WORKER}; true"],
    "below make": ["make", "-s", "-f", "Makefile"],
}
# The child saves for a while, and loses its state if it is asked again meanwhile.
CHILD = """\
import os, pathlib, signal, sys, time
asked = []
def save(*_):
    asked.append(1)
    if len(asked) > 1:
        os._exit(3)
    time.sleep(0.4)
    pathlib.Path(sys.argv[1]).touch()
    os._exit(0)
signal.signal(signal.SIGTERM, save)
print("ready", flush=True)
while True:
    signal.pause()
"""
# It says a line when it knows its child, which says one when it can be asked.
ENTRYPOINT = 'trap "kill \\$c" TERM; "$@" & c=$!; echo up; wait $c; wait $c'


@pytest.fixture
def tasks(tmp_path: Path) -> Iterator[IO[str]]:
    """Make the folder of a broker; tasks write to its pipe when they begin."""
    if importlib.util.find_spec("celery") is None:
        pytest.skip("celery is not installed")
    for name in ("queue", "control"):
        (tmp_path / name).mkdir()
    (tmp_path / "Makefile").write_text(f"all:\n\t{WORKER}\n")
    os.mkfifo(tmp_path / "begun")
    # for both, so that neither this open waits nor a read ends before the first task
    with os.fdopen(os.open(tmp_path / "begun", os.O_RDWR)) as begun:
        yield begun


def celery(folder: Path) -> dict[str, Any]:
    """Return the options of Popen for a program that uses the application."""
    variables = {"TASKS_FOLDER": str(folder), "C_FORCE_ROOT": "1", "PYTHONPATH": str(SUPPORT)}
    env = {"PATH": os.environ["PATH"], **variables}
    return {"cwd": folder, "env": env, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}


@pytest.mark.parametrize(
    "shape",
    [
        "alone",
        "below a shell",
        pytest.param("below make", marks=[pytest.mark.soak, pytest.mark.needs("make")]),
    ],
)
def test_a_celery_worker_finishes_its_tasks(shape: str, tmp_path: Path, tasks: IO[str]) -> None:
    options = celery(tmp_path)
    with TreePopen(SHAPES[shape], containment="session", **options) as worker:
        subprocess.run([sys.executable, "-c", SEND, str(TASKS)], check=True, **options)
        for _ in range(TASKS):
            tasks.readline()
        result = kill_tree(worker.pid, grace=30)
    assert len(list(tmp_path.glob("done *"))) == TASKS
    assert {outcome.fate for outcome in result.outcomes} == {Fate.TERMINATED}
    details = {outcome.detail for outcome in result.outcomes if not outcome.signals}
    assert details == {"it left after a process above it was asked"}


@pytest.mark.parametrize("caller", ["kill_tree", "TreePopen.stop"])
@pytest.mark.parametrize("count", [SAVES, pytest.param(20, marks=pytest.mark.soak)])
@pytest.mark.needs("bash")
def test_the_child_of_a_wrapper_is_asked_once_and_saves(
    caller: str, count: int, tmp_path: Path
) -> None:
    for number in range(count):
        saved = tmp_path / f"saved {number}"
        command = [sys.executable, "-I", "-S", "-c", CHILD, str(saved)]
        argv = ["bash", "-c", ENTRYPOINT, "entrypoint", *command]
        with TreePopen(argv, stdout=subprocess.PIPE, containment="session") as wrapper:
            assert wrapper.stdout
            for _ in range(2):
                wrapper.stdout.readline()
            await_sleep(wrapper.pid)
            result = end(wrapper, caller)
        assert saved.exists()
        assert {outcome.fate for outcome in result.outcomes} == {Fate.TERMINATED}
        signals = [outcome.signals for outcome in result.outcomes]
        assert signals == [(), ("SIGTERM", "SIGCONT")], result


def await_sleep(pid: int) -> None:
    """Wait until bash sleeps in its ``wait``: a signal just before that is not passed on."""
    deadline = time.monotonic() + BOUND
    while psutil.Process(pid).status() != psutil.STATUS_SLEEPING:
        assert time.monotonic() < deadline
        time.sleep(0.001)


def end(process: TreePopen[Any], caller: str) -> KillResult:
    """End a tree that was started by this process, or that another one might have started."""
    if caller == "kill_tree":
        return kill_tree(process.pid, grace=PATIENCE)
    return process.stop(grace=PATIENCE)
