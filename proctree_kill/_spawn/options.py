"""The types of what is passed on to subprocess.Popen and kill_tree. For type checkers."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from os import PathLike
from typing import IO, Any, Literal, TypedDict

from .._containment.containment import Requested
from .._engine.events import Listener
from .._engine.shutdown import Shutdown
from .._engine.spare import Spare
from .._models.limits import Limits
from .._models.policy import KillPolicy, Teardown, Terminate
from .leftovers import Choice

Path = str | bytes | PathLike[str] | PathLike[bytes]
Command = Path | Sequence[Path]
"""A program and its arguments."""
File = int | IO[Any] | None
Place = str | PathLike[str] | None
"""The path of a record."""


class KillOptions(TypedDict, total=False):
    """The options of :func:`~proctree_kill.kill_tree`."""

    grace: float | None
    settle: float | None
    terminate: Terminate | None
    teardown: Teardown | None
    include_root: bool | None
    helper_timeout: float | None
    policy: KillPolicy | None
    shutdown: Shutdown | None
    marker: str | None
    spare: Spare | None
    on_event: Listener | None


class PopenOptions(TypedDict, total=False):
    """The options of ``subprocess.Popen`` except ``text``, ``encoding`` and ``errors``."""

    bufsize: int
    executable: Path | None
    stdin: File
    stdout: File
    stderr: File
    preexec_fn: Callable[[], object] | None
    close_fds: bool
    shell: bool
    cwd: Path | None
    env: Mapping[str, Path] | Mapping[bytes, Path] | None
    universal_newlines: Literal[False] | None  # True has no overload: ``text`` is its newer name
    startupinfo: Any
    creationflags: int
    restore_signals: bool
    start_new_session: bool | None
    pass_fds: Collection[int]
    user: str | int | None
    group: str | int | None
    extra_groups: Iterable[str | int] | None
    umask: int
    pipesize: int
    process_group: int | None


class ContainedOptions(PopenOptions, total=False):
    """How a tree is contained, and the options of ``subprocess.Popen``."""

    containment: Requested
    kill_on_parent_exit: bool
    limits: Limits | None


class TreeOptions(ContainedOptions, total=False):
    """The options of :class:`~proctree_kill.TreePopen` that do not decide the type of its pipes."""

    record: Place
    leftovers: Choice
    linger: float
    spare: Spare | None


class RunOptions(TreeOptions, total=False):
    """The options of :func:`~proctree_kill.run` that do not decide the type of its output."""

    capture_output: bool
    timeout: float | None
    max_lifetime: float | None
    idle_timeout: float | None
    check: bool
    grace: float
    settle: float | None
    terminate: Terminate | None
    teardown: Teardown | None
