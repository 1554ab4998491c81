"""Celery tasks, and a program that starts their worker and stops it without losing a task."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from celery import Celery

from proctree_kill import TreePopen, run

# A folder serves as the broker, so that nothing else must run.
FOLDER = Path(os.environ.get("CELERY_FOLDER") or tempfile.mkdtemp(prefix="celery-"))
WORKER = [
    *[sys.executable, "-m", "celery", "--quiet", "--app=celery_worker", "worker"],
    *["--concurrency=2", "--loglevel=ERROR"],
    *["--without-gossip", "--without-mingle", "--without-heartbeat"],  # there is one worker
]
LONGEST = 60.0  # seconds: longer than any task

app = Celery("celery_worker", broker="filesystem://", backend=f"file://{FOLDER}")
app.conf.broker_transport_options = {
    "data_folder_in": FOLDER / "queue",
    "data_folder_out": FOLDER / "queue",
    "control_folder": FOLDER / "control",
    "polling_interval": 0.1,  # seconds
}


@app.task
def save(number: int) -> None:
    """Do something that must not be lost."""
    time.sleep(0.5)
    with (FOLDER / "saved").open("a") as saved:
        saved.write(f"{number}\n")


@app.task(throws=(subprocess.TimeoutExpired,))
def build(command: list[str], timeout: float | None = None) -> int:
    """Run a command, and leave none of its processes, however the task ends."""
    # A guard ends the command where the worker kills the process of the task.
    return run(command, timeout=timeout, kill_on_parent_exit=True).returncode


def start_worker() -> TreePopen[bytes]:
    """Start a worker; the processes of its pool belong to its tree."""
    for name in ("queue", "control"):
        (FOLDER / name).mkdir(exist_ok=True)
    env = {**os.environ, "CELERY_FOLDER": str(FOLDER)}
    return TreePopen(WORKER, cwd=Path(__file__).parent, env=env)


def main() -> None:
    """Stop a worker in the middle of its work."""
    with start_worker() as worker:
        hanging = build.delay(["sh", "-c", "sleep 1000 & sleep 1000"], timeout=0.3)
        tasks = [save.delay(number) for number in range(8)]
        print(repr(hanging.get(timeout=LONGEST, propagate=False)))
        print(worker.stop(grace=LONGEST))
    done = [task.state for task in tasks].count("SUCCESS")
    print(f"{done} tasks were done, {len(tasks) - done} wait in {FOLDER} for another worker")


if __name__ == "__main__":
    main()
