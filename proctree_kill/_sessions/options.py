"""The types of what is passed on to TreePopen by a session. For type checkers."""

from __future__ import annotations

from collections.abc import Callable
from typing import AnyStr, Generic

from .._engine.spare import Spare
from .._spawn.options import ContainedOptions
from .._spawn.popen import TreePopen
from .session import Session


class AgentOptions(ContainedOptions, Generic[AnyStr], total=False):
    """The options of :meth:`~proctree_kill.SessionManager.spawn_agent`.

    All but those that decide the type of its pipes.
    """

    tool: str
    shutdown: Callable[[Session[TreePopen[AnyStr]]], object] | None
    spare: Spare | None
    idle_timeout: float | None
    max_lifetime: float | None
