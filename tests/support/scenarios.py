"""The trees that the usual tools end in part only, and the fates of their members."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest

from proctree_kill import Fate

from .forcing import forced_after
from .nodes import Node, chain
from .times import HASTE, PATIENCE


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """A tree, and what becomes of those whose end is determined.

    Args:
        name: how it appears in the names of tests.
        node: the tree.
        grace: seconds until the force.
        mixed: whether the force begins when those have left that leave when they are asked.
        needs: what the machine must have.
        fates: the fates by the names of the nodes.
        codes: with what they leave, by the same names.
        marker: whether only a marker leads to all members.
        by_session: whether only the session leads to all members.
    """

    name: str
    node: Node
    grace: float = PATIENCE
    mixed: bool = False
    needs: str = "fork"
    fates: dict[str, Fate] = field(default_factory=dict)
    codes: dict[str, int] = field(default_factory=dict)
    marker: bool = False
    by_session: bool = False

    @contextmanager
    def forcing(self, pids: Mapping[str, int]) -> Iterator[None]:
        """Let the force of a kill begin on time, given the pids by the names of the nodes."""
        if not self.mixed:
            yield
            return
        with forced_after(pids[name] for name, fate in self.fates.items() if fate is LEFT):
            yield


LEFT, KILLED = Fate.TERMINATED, Fate.KILLED
SCENARIOS = [
    Scenario(
        name="plain tree of four",
        node=chain("root", "child", "grandchild", "last"),
        fates=dict.fromkeys(("root", "child", "grandchild", "last"), LEFT),
        codes=dict.fromkeys(("root", "child", "grandchild", "last"), -15),
    ),
    Scenario(
        name="one ignores SIGTERM",
        node=Node(name="root", children=(Node(name="stubborn", on_term="ignore"), chain("a", "b"))),
        grace=HASTE,
        fates={"stubborn": KILLED},
        codes={"stubborn": -9},
    ),
    Scenario(
        name="one is stopped and would exit on SIGTERM",
        node=Node(
            name="root", children=(Node(name="stopped", stopped=True, on_term="exit", exit_code=7),)
        ),
        fates={"root": LEFT, "stopped": LEFT},
        codes={"stopped": 7},
    ),
    Scenario(
        name="an orphan whose parent died, same session",
        by_session=True,
        node=Node(
            name="root",
            children=(Node(name="middle", dies=True, children=(chain("orphan", "x"),)),),
        ),
        fates={"root": LEFT, "orphan": LEFT, "x": LEFT},
    ),
    Scenario(
        name="a child with a session of its own",
        node=Node(
            name="root", children=(Node(name="leader", session=True, children=(chain("x"),)),)
        ),
        fates={"root": LEFT, "leader": LEFT, "x": LEFT},
    ),
    Scenario(
        name="a daemon with a marker",
        node=Node(
            name="root",
            children=(
                Node(name="first", session=True, dies=True, children=(Node(name="daemon"),)),
                Node(name="child"),
            ),
        ),
        fates={"root": LEFT, "child": LEFT, "daemon": LEFT},
        marker=True,
    ),
    Scenario(
        name="one forks a child in its SIGTERM handler and exits",
        by_session=True,
        node=Node(name="root", children=(Node(name="forker", on_term="fork", exit_code=3),)),
        mixed=True,
        fates={"forker": LEFT},
        codes={"forker": 3},
    ),
    Scenario(
        name="a middle ignores SIGTERM and restarts its worker",
        node=Node(
            name="root",
            children=(
                Node(
                    name="middle", on_term="ignore", restarts=True, children=(Node(name="worker"),)
                ),
            ),
        ),
        mixed=True,
        fates={"middle": KILLED, "worker": LEFT},
    ),
    Scenario(
        name="one forks every 4 ms",
        node=Node(
            name="root",
            children=(Node(name="forker", on_term="ignore", forks_every=0.004, at_most=60),),
        ),
        grace=HASTE,
        fates={"forker": KILLED},
    ),
    Scenario(
        name="a live middle that never reaps",
        node=Node(
            name="root",
            children=(Node(name="middle", reaps=False, children=(chain("a"), chain("b"))),),
        ),
        fates=dict.fromkeys(("root", "middle", "a", "b"), LEFT),
    ),
    Scenario(
        name="a dead root with a child in its session",
        by_session=True,
        node=Node(name="root", dies=True, children=(chain("child", "x"),)),
        fates={"child": LEFT, "x": LEFT},
    ),
    Scenario(
        name="a leader whose main thread ended",
        needs="procfs",
        node=Node(name="root", children=(Node(name="threads", main_thread_ends=True),)),
        fates={"root": LEFT, "threads": LEFT},
    ),
    Scenario(
        name="a leader whose main thread ended and that ignores SIGTERM",
        needs="procfs",
        node=Node(
            name="root", children=(Node(name="threads", main_thread_ends=True, on_term="ignore"),)
        ),
        grace=HASTE,
        fates={"threads": KILLED},
    ),
]
SCENARIO_PARAMS = [
    pytest.param(scenario, id=scenario.name, marks=pytest.mark.needs(scenario.needs))
    for scenario in SCENARIOS
]
