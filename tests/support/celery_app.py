"""A Celery application whose tasks tell when they begin, and save when they are done."""

from __future__ import annotations

import os
import time
from pathlib import Path

from celery import Celery

folder = Path(os.environ["TASKS_FOLDER"])
app = Celery(
    "celery_app",
    broker="filesystem://",
    broker_transport_options={
        "data_folder_in": str(folder / "queue"),
        "data_folder_out": str(folder / "queue"),
        "control_folder": str(folder / "control"),
    },
)


@app.task
def work(number: int, seconds: float) -> None:
    """Say that it begins, take so many seconds, save."""
    with (folder / "begun").open("w") as begun:
        begun.write(f"{number}\n")
    time.sleep(seconds)
    (folder / f"done {number}").touch()
