"""Plants trees and programs that are forked, and ends them all at its own end."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple, Self

from proctree_kill import TreePopen
from proctree_kill._engine.markers import MARKER_PREFIX

from .cgroups import ScratchCgroup
from .nodes import Node
from .trees import Tree
from .users import Account

NODE = Path(__file__).with_name("pipe_node.py")
# Enters the cgroup, writes to the planter, then becomes the program.
LAUNCH = """\
import os, sys
pipe, procs = int(os.environ["PLANT_PIPE"]), int(os.environ["PLANT_CGROUP"])
if procs >= 0:
    os.write(procs, b"0")
    os.close(procs)
try:
    with open("/proc/self/stat", "rb") as stat:
        start = int(stat.read().rpartition(b")")[2].split()[19])
except FileNotFoundError:
    start = 0
os.write(pipe, f"root {os.getpid()} {start}\\n".encode())
os.execvp(sys.argv[1], sys.argv[1:])
"""


class Prepared(NamedTuple):
    """What a root must be given by the code that starts it.

    Args:
        tree: what grows from it; empty until the root starts.
        argv: the command of a node; empty where the caller has a program of its own.
        fds: the descriptors that it inherits.
        options: what Popen takes: ``pass_fds``, ``env`` and ``cwd``, and ``stdin`` for a node.
    """

    tree: Tree
    argv: list[str]
    fds: tuple[int, ...]
    options: dict[str, Any]


class Planter:
    """Plants trees, and ends them all at its own end."""

    def __init__(self, *, in_cgroups: bool = True) -> None:
        """Begin without a tree; each tree gets a cgroup where the machine has one to give."""
        self._ends = ExitStack()
        self._in_cgroups = in_cgroups

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.end()

    def __call__(self, node: Node, *, account: Account | None = None, **options: Any) -> Tree:
        """Plant a tree of nodes, and return it when all of them have started.

        Args:
            node: the root.
            account: the user that runs it; None is ourselves.
            options: as for :meth:`program`.
        """
        return self._start(None, node, account, **options)

    def program(
        self, argv: Sequence[str], *, account: Account | None = None, **options: Any
    ) -> Tree:
        """Plant a program with all that it starts; its root reports before it becomes the program.

        Args:
            argv: the program and its arguments.
            account: the user that runs it; None is ourselves.
            options: ``env`` (added to a bare environment), ``marker`` and what Popen takes.
        """
        return self._start([*python(account), "-c", LAUNCH, *argv], None, account, **options)

    def contained(self, node: Node, **options: Any) -> tuple[TreePopen[bytes], Tree]:
        """Plant a tree of nodes by TreePopen, in this process."""
        with self.prepare(node) as prepared:
            process = TreePopen(prepared.argv, **{**prepared.options, **options})
            prepared.tree.root = process
        prepared.tree.await_started()
        return process, prepared.tree

    @contextmanager
    def prepare(
        self,
        node: Node | None = None,
        account: Account | None = None,
        *,
        env: Mapping[str, str] | None = None,
        marker: str | None = None,
    ) -> Iterator[Prepared]:
        """Prepare a tree whose root is started inside the block, by whatever means.

        Args:
            node: the root; None is a program.
            account: the user that runs the node; None is ourselves.
            env: added to a bare environment.
            marker: put into the environment.
        """
        cgroup = ScratchCgroup.make() if self._in_cgroups else None
        reader, pipe = os.pipe()
        procs = cgroup.open_procs() if cgroup else -1
        names = {"PLANT_PIPE": str(pipe), "PLANT_CGROUP": str(procs)}
        options: dict[str, Any] = {"env": bare_environment(marker) | names | dict(env or {})}
        tree = Tree(reader, cgroup, node.names() if node else {"root"})
        with ExitStack() as files:
            fds = (pipe, procs) if cgroup else (pipe,)
            for fd in fds:
                files.callback(os.close, fd)
            options |= {"pass_fds": fds, "cwd": "/"}
            argv = []
            if node:
                argv = [*python(account), "-", repr(node.description())]
                options["stdin"] = files.enter_context(NODE.open("rb"))
            try:
                yield Prepared(tree, argv, fds, options)
            except BaseException:
                tree.close()
                raise
        self._ends.callback(tree.end)

    def end(self) -> None:
        """End every tree, the last first, even if another cannot be ended."""
        self._ends.close()

    def _start(
        self,
        argv: list[str] | None,
        node: Node | None,
        account: Account | None,
        *,
        env: Mapping[str, str] | None = None,
        marker: str | None = None,
        **options: Any,
    ) -> Tree:
        """Start a root as our child."""
        if account and not os.geteuid():
            options.update(user=account.uid, group=account.gid, extra_groups=[])
        with self.prepare(node, account, env=env, marker=marker) as prepared:
            given = {"stdin": subprocess.DEVNULL, "start_new_session": True, **prepared.options}
            prepared.tree.root = subprocess.Popen(argv or prepared.argv, **{**given, **options})
        prepared.tree.await_started()
        return prepared.tree


def python(account: Account | None) -> list[str]:
    """Return an interpreter that starts fast and without coverage."""
    return [account.interpreter if account else sys.executable, "-I", "-S"]


def bare_environment(marker: str | None = None) -> dict[str, str]:
    """Return the environment of a planted root, with a marker in it if there is one.

    The markers that this process carries are handed down: a leftover is known by its test.
    """
    names = {name: value for name, value in os.environ.items() if name.startswith(MARKER_PREFIX)}
    names |= {"PATH": os.environ["PATH"], "LANG": "C.UTF-8"}
    if marker:
        name, _, value = marker.partition("=")
        names[name] = value
    return names
