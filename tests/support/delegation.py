"""A subtree of cgroups that belongs to an ordinary user, as a user manager of systemd gives one."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from proctree_kill import TreePopen

from .callers import apart, unprivileged
from .cgroups import new_name, usable_cgroup
from .users import Account

T = TypeVar("T")

# What is handed over (cgroups(7), "Delegation"), beside the files below.
FILES = ("", "cgroup.procs", "cgroup.threads", "cgroup.subtree_control")


@contextmanager
def delegated(account: Account | None) -> Iterator[Path]:
    """Make a cgroup, give it to an account, and remove it with everything below it."""
    parent = usable_cgroup()
    assert parent
    folder = parent / new_name()
    folder.mkdir()
    try:
        if account is not None:
            for name in FILES:
                os.chown(folder / name, account.uid, account.gid)
        yield folder
    finally:
        for path, _, _ in os.walk(folder, topdown=False):
            Path(path).rmdir()


def enter(folder: Path) -> None:
    (folder / "cgroup.procs").write_text("0")


def as_delegate(account: Account | None, scene: Callable[[], T]) -> T:
    """Play a scene as a user with a delegated subtree."""
    warm_up()
    with delegated(account) as folder:

        def call() -> T:
            enter(folder)
            return as_user(account, scene)()

        return apart(call)


def as_user(account: Account | None, scene: Callable[[], T]) -> Callable[[], T]:
    """Return the scene as an ordinary user plays it."""

    def call() -> T:
        with unprivileged(account):
            return scene()

    return call


def warm_up() -> None:
    """Import everything: an ordinary user may not look where our packages are."""
    with TreePopen(["true"]) as process:
        process.snapshot()
