"""The planter: starts trees and programs, and ends them all at its own end."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple, Self

from proctree_kill._engine.markers import MARKER_PREFIX

from .cgroups import ScratchCgroup
from .nodes import Node
from .trees import Tree
from .users import Account

NODE = Path(__file__).with_name("node.py")
LAUNCH = """\
import os, sys
voice, leaf = int(os.environ["PLANT_VOICE"]), int(os.environ["PLANT_LEAF"])
if leaf >= 0:
    os.write(leaf, b"0")
    os.close(leaf)
try:
    with open("/proc/self/stat", "rb") as stat:
        start = int(stat.read().rpartition(b")")[2].split()[19])
except FileNotFoundError:
    start = 0
os.write(voice, f"root {os.getpid()} {start}\\n".encode())
os.execvp(sys.argv[1], sys.argv[1:])
"""
"""Move into the cgroup, speak, then become the program."""


class Seed(NamedTuple):
    """What a root must be given, whoever starts it.

    Args:
        tree: what grows from it; nobody yet.
        fds: the descriptors that it inherits.
        env: its whole environment.
    """

    tree: Tree
    fds: tuple[int, ...]
    env: dict[str, str]


class Planter:
    """Plants trees, and ends them all at its own end."""

    def __init__(self, *, in_cgroups: bool = True) -> None:
        """Begin with an empty garden, where each tree gets a cgroup if there is any to be had."""
        self._ends = ExitStack()
        self._in_cgroups = in_cgroups

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.end()

    def __call__(self, node: Node, *, account: Account | None = None, **options: Any) -> Tree:
        """Plant a tree of nodes, and return it when everybody in it has spoken.

        Args:
            node: the root.
            account: who runs it; None is ourselves.
            options: as for :meth:`program`.
        """
        with NODE.open("rb") as source:
            tree = self._start(node_argv(node, account), account, stdin=source, **options)
        tree.hear(node.names())
        return tree

    def program(
        self, argv: Sequence[str], *, account: Account | None = None, **options: Any
    ) -> Tree:
        """Plant a program with all that it starts; its root speaks before it becomes the program.

        Args:
            argv: the program and its arguments.
            account: who runs it; None is ourselves.
            options: ``env`` (added to a bare environment), ``marker`` and what Popen takes.
        """
        launch = [*python(account), "-c", LAUNCH, *argv]
        tree = self._start(launch, account, **options)
        tree.hear(["root"])
        return tree

    @contextmanager
    def seed(
        self, env: Mapping[str, str] | None = None, marker: str | None = None
    ) -> Iterator[Seed]:
        """Prepare a tree whose root is started inside the block, by whatever means."""
        leaf = ScratchCgroup.make() if self._in_cgroups else None
        ear, voice = os.pipe()
        entrance = leaf.entrance() if leaf else -1
        fds = (voice, entrance) if leaf else (voice,)
        tree = Tree(ear, leaf)
        names = {"PLANT_VOICE": str(voice), "PLANT_LEAF": str(entrance)}
        try:
            yield Seed(tree, fds, bare_environment(marker) | names | dict(env or {}))
        except BaseException:
            tree.close()
            raise
        finally:
            for fd in fds:
                os.close(fd)
        self._ends.callback(tree.end)

    def end(self) -> None:
        """End every tree, the last first, whatever goes wrong with another."""
        self._ends.close()

    def _start(
        self,
        argv: list[str],
        account: Account | None,
        *,
        env: Mapping[str, str] | None = None,
        marker: str | None = None,
        start_new_session: bool = True,
        **options: Any,
    ) -> Tree:
        """Start a root as our child."""
        if account and not os.geteuid():
            options.update(user=account.uid, group=account.gid, extra_groups=[])
        with self.seed(env, marker) as seed:
            seed.tree.root = subprocess.Popen(
                argv,
                pass_fds=seed.fds,
                env=seed.env,
                start_new_session=start_new_session,
                **{"stdin": subprocess.DEVNULL, "cwd": "/", **options},
            )
        return seed.tree


def node_argv(node: Node, account: Account | None = None) -> list[str]:
    """Return the command of a node that reads ``NODE`` from its standard input."""
    return [*python(account), "-", repr(node.description())]


def python(account: Account | None) -> list[str]:
    """Return an interpreter that starts fast and without coverage."""
    return [account.interpreter if account else sys.executable, "-I", "-S"]


def bare_environment(marker: str | None = None) -> dict[str, str]:
    """Return the environment of a planted root, with a marker in it if there is one.

    The markers that we carry are handed down, so that whoever stays is known by its test.
    """
    names = {name: value for name, value in os.environ.items() if name.startswith(MARKER_PREFIX)}
    names |= {"PATH": os.environ["PATH"], "LANG": "C.UTF-8"}
    if marker:
        name, _, value = marker.partition("=")
        names[name] = value
    return names
