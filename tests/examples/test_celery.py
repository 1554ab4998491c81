"""Real: the Celery worker, and commands of its tasks that do not end by themselves."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from support.examples import command, options
from support.snippets import ROOT

pytest.importorskip("celery", reason="celery is not installed")

pytestmark = [pytest.mark.needs("fork", "mkfifo"), pytest.mark.timeout(60)]

# Ends tasks in each way, and prints what ended them when their commands have gone.
ENDS = """\
import os
from celery_worker import LONGEST, build, start_worker

def begin(name, **limits):
    os.mkfifo(name)
    script = f"exec > {os.path.abspath(name)}; echo begun; sleep 1000 & sleep 1000"
    task = build.apply_async([["sh", "-c", script]], **limits)
    if limits:  # on a busy machine they may end it before its command begins
        output = os.open(name, os.O_RDONLY | os.O_NONBLOCK)
        os.set_blocking(output, True)
        return task, open(output)
    output = open(name)
    assert output.readline() == "begun\\n"
    return task, output

def end(task, output):
    task.get(timeout=LONGEST, propagate=False)
    output.read()  # ends when the command and its child are dead
    print(type(task.result).__name__)

with start_worker() as worker:
    soft, asked = begin("soft", soft_time_limit=1), begin("asked")
    asked[0].revoke(terminate=True, signal="SIGUSR1")
    asked[1].read()
    end(*soft)
    # the last: the worker kills the processes of these tasks
    killed, hard = begin("killed"), begin("hard", time_limit=1)
    killed[0].revoke(terminate=True)
    end(*killed)
    end(*hard)
    worker.stop(grace=0)
"""


def test_no_task_is_lost_and_no_command_outlives_its_task(tmp_path: Path) -> None:
    way = options(CELERY_FOLDER=str(tmp_path))
    done = subprocess.run(command("celery_worker"), check=True, **way)
    assert "TimeoutExpired(" in done.stdout
    assert "3 terminated" in done.stdout  # the worker and its pool: the command had gone
    counts = re.search(r"(\d) tasks were done, (\d) wait", done.stdout)
    assert counts  # on a busy machine none may wait any more
    assert len(saved(tmp_path)) == int(counts[1])

    # another worker on the same folder, with the tasks that are left
    path = os.pathsep.join([way["env"]["PYTHONPATH"], str(ROOT / "docs" / "examples")])
    another = {**way, "cwd": tmp_path, "env": {**way["env"], "PYTHONPATH": path}}
    done = subprocess.run([sys.executable, "-c", ENDS], check=True, **another)
    ends = re.findall(r"^\w+(?:Exceeded|Error)$", done.stdout, re.MULTILINE)
    assert ends == ["SoftTimeLimitExceeded", "TaskRevokedError", "TimeLimitExceeded"]
    assert saved(tmp_path) == [*"01234567"]


def saved(folder: Path) -> list[str]:
    """Return the numbers of the tasks that are done."""
    return sorted((folder / "saved").read_text().split())
