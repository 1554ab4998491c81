"""The options that are handed on: to subprocess.Popen, and to kill_tree. For type checkers."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from os import PathLike
from typing import IO, Any, Literal, TypedDict

from .._containment.containment import Requested
from .._engine.events import Listener
from .._engine.target import Spare
from .._models.policy import KillPolicy

Path = str | bytes | PathLike[str] | PathLike[bytes]
File = int | IO[Any] | None


class KillOptions(TypedDict, total=False):
    """The options of :func:`~proctree_kill.kill_tree`."""

    grace: float | None
    settle: float | None
    terminate: Literal["tree", "root"] | None
    include_root: bool | None
    helper_timeout: float | None
    policy: KillPolicy | None
    marker: str | None
    spare: Spare | None
    on_event: Listener | None


class PopenOptions(TypedDict, total=False):
    """What ``subprocess.Popen`` takes beside its command and how text is read."""

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
    universal_newlines: bool | None
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


class RunOptions(PopenOptions, total=False):
    """What :func:`~proctree_kill.run` takes beside its command, its input and how text is read."""

    containment: Requested
    kill_on_parent_exit: bool
    capture_output: bool
    timeout: float | None
    check: bool
    grace: float


class AgentOptions(PopenOptions, total=False):
    """What a :class:`~proctree_kill.SessionManager` takes beside an agent's command."""

    containment: Requested
    kill_on_parent_exit: bool
    text: bool | None
    encoding: str | None
    errors: str | None
