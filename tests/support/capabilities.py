"""What this machine can do: probed, never concluded from its name."""

from __future__ import annotations

import ctypes
import functools
import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

from proctree_kill._systems.lock import lock

from . import seccomp
from .cgroups import can_limit, usable_cgroup
from .sshd import can_serve
from .users import ordinary_user

# The private modules that make subinterpreters, until and since Python 3.13.
SUBINTERPRETERS = ("_xxsubinterpreters", "_interpreters")
NPM_PACKAGE = "@modelcontextprotocol/server-everything"
# The environment variable that names the folder into which the npm package was installed.
NPM_PREFIX = "PROCTREE_NPM_PREFIX"


@functools.cache
def has(capability: str) -> bool:
    """Whether this machine has a capability: one of the probes, or a program of that name."""
    probe = PROBES.get(capability)
    return shutil.which(capability) is not None if probe is None else probe()


def npm_prefix() -> Path | None:
    """Return the folder that holds the npm package."""
    prefix = os.environ.get(NPM_PREFIX)
    if prefix and (Path(prefix) / "node_modules" / NPM_PACKAGE).is_dir():
        return Path(prefix)
    return None


def _pidfd() -> bool:
    """Probe pidfd_open (Linux 5.3) and pidfd_send_signal (Linux 5.1)."""
    try:
        fd = os.pidfd_open(os.getpid())
    except (AttributeError, OSError):
        return False
    try:
        signal.pidfd_send_signal(fd, 0)
    except OSError:
        return False
    finally:
        os.close(fd)
    return True


def _pidfd_inode() -> bool:
    """Probe pidfds with an inode each (Linux 6.9): these differ for processes of one tick."""
    if not _pidfd():
        return False
    fds = [os.pidfd_open(os.getpid()), os.pidfd_open(os.getppid())]
    try:
        return os.fstat(fds[0]).st_ino != os.fstat(fds[1]).st_ino
    finally:
        for fd in fds:
            os.close(fd)


def _exit_status_of_the_reaped() -> bool:
    """Probe a pidfd that tells how a process ended which was reaped (Linux 6.15)."""
    if not _pidfd():
        return False
    from proctree_kill._systems.linux import pidfd  # noqa: PLC0415 - not on every system

    pid = os.posix_spawnp("true", ["true"], {})
    fd = os.pidfd_open(pid)
    try:
        os.waitpid(pid, 0)
        found = pidfd.info(fd)
        return found is not None and found.status == 0
    finally:
        os.close(fd)


def _pid_namespace() -> bool:
    """Probe a pid namespace with its own ``/proc``."""
    if not has("unshare"):
        return False
    command = ["unshare", "--pid", "--fork", "--mount-proc", "true"]
    if os.geteuid():
        command.insert(1, "--map-root-user")
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def _trio() -> bool:
    """Probe trio: Wine's sockets do not do for it."""
    try:
        import trio  # noqa: PLC0415 - an extra

        trio.run(trio.sleep, 0)
    except (ImportError, OSError):
        return False
    return True


def _file_locks() -> bool:
    """Probe locks whose refusal has its own errno: Wine's has not."""
    first, name = tempfile.mkstemp()
    fds = [first, os.open(name, os.O_RDONLY)]
    locked = [lock(fd) for fd in fds]
    for fd in fds:
        os.close(fd)
    Path(name).unlink()
    return locked == [True, False]


def _holders_of_ports() -> bool:
    """Probe whether the system says which process listens: Wine's may not."""
    import psutil  # noqa: PLC0415 - slow to import

    from proctree_kill._systems import listeners  # noqa: PLC0415 - as above

    with socket.create_server(("127.0.0.1", 0)) as listener:
        try:
            found = listeners(listener.getsockname()[1])
        except (psutil.Error, OSError, RuntimeError):
            return False
        return any(os.getpid() in holders.pids for holders in found)


def _limits_of_a_job() -> bool:
    """Probe whether a job keeps its limits: Wine's does not."""
    if not has("job objects"):
        return False
    from proctree_kill import Limits  # noqa: PLC0415 - slow to import
    from proctree_kill._systems.contract import UnavailableError  # noqa: PLC0415 - as above
    from proctree_kill._systems.windows.job import TreeJob  # noqa: PLC0415 - as above

    job = TreeJob.make(dies_with_owner=False)
    try:
        job.limit(Limits(memory="1G", processes=100, cpu=0.5))
    except UnavailableError:
        return False
    finally:
        job.abandon()
    return True


PROBES: dict[str, Callable[[], bool]] = {
    "pidfd": _pidfd,
    "pidfd inode": _pidfd_inode,
    "exit status of the reaped": _exit_status_of_the_reaped,
    "cgroup": lambda: usable_cgroup() is not None,
    "limits": can_limit,
    "fork": lambda: hasattr(os, "fork"),
    "console events": lambda: hasattr(signal, "CTRL_BREAK_EVENT"),
    "windows": lambda: hasattr(ctypes, "WinDLL"),
    "job objects": lambda: hasattr(ctypes, "WinDLL"),
    "limits of a job": _limits_of_a_job,
    "subinterpreters": lambda: any(map(importlib.util.find_spec, SUBINTERPRETERS)),
    "waitid": lambda: hasattr(os, "waitid"),
    "procfs": lambda: has("fork") and Path("/proc/self/stat").exists(),
    "children file": lambda: Path(f"/proc/self/task/{os.getpid()}/children").exists(),
    "root": lambda: hasattr(os, "geteuid") and os.geteuid() == 0,
    "ordinary user": lambda: has("fork") and ordinary_user() is not None,
    "pid namespace": _pid_namespace,
    "next pid": lambda: has("fork") and Path("/proc/sys/kernel/ns_last_pid").exists(),
    "reading what is there": lambda: hasattr(os, "set_blocking"),  # on Windows from Python 3.12 on
    "holders of ports": _holders_of_ports,
    "seccomp": seccomp.is_supported,
    "trio": _trio,
    "names of open files": lambda: hasattr(
        os, "O_DIRECTORY"
    ),  # which no user may change on Windows
    "file locks": _file_locks,
    "questionary": lambda: importlib.util.find_spec("questionary") is not None,
    "sshd": lambda: has("fork") and can_serve(),
    "npm package": lambda: npm_prefix() is not None,
}
