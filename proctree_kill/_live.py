"""What is read of a process while it is shown, and kept nowhere: user, command line, age."""

from __future__ import annotations

import os
import time
from typing import NamedTuple

from ._models import ProcessIdentity


class Live(NamedTuple):
    """What a process shows of itself now; None for what it hides.

    Args:
        user: in whose name it acts.
        command: its arguments, with spaces between them; they may hold secrets.
        seconds: how old it is.
    """

    user: str | None = None
    command: str | None = None
    seconds: float | None = None


def live(identity: ProcessIdentity) -> Live:
    """Look at a process; nothing is told where its number means another one by now.

    A start that counts within a boot is Linux's (:class:`~proctree_kill.ProcessIdentity`),
    where ``/proc`` tells all of it and psutil need not be imported.
    """
    return _from_proc(identity) if identity.boot_id is not None else _from_psutil(identity)


def _from_proc(identity: ProcessIdentity) -> Live:
    """Read ``/proc``."""
    from ._platform import _procfs  # noqa: PLC0415 - Linux only

    found = _procfs.stat(identity.pid)
    if found is None or found.start != identity.start:
        return Live()
    arguments = b""
    if found.state != b"D":  # the read needs the lock of a memory that its sleep may hold
        arguments = _procfs.read(f"/proc/{identity.pid}/cmdline")
    return Live(
        _user(_procfs.read(f"/proc/{identity.pid}/status")),
        os.fsdecode(arguments.rstrip(b"\0").replace(b"\0", b" ")) or None,
        (_procfs.ticks() - found.start) / os.sysconf("SC_CLK_TCK"),
    )


def _user(status: bytes) -> str | None:
    """Return the effective user of a ``status`` (proc_pid_status(5)), nameless by number."""
    import pwd  # noqa: PLC0415 - not on every system

    uids = next((line for line in status.splitlines() if line.startswith(b"Uid:")), None)
    if uids is None:
        return None
    uid = int(uids.split()[2])
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _from_psutil(identity: ProcessIdentity) -> Live:
    """Ask psutil."""
    import psutil  # noqa: PLC0415 - its import takes as long as everything else here

    from ._platform._psutil_facts import told  # noqa: PLC0415 - for the same reason

    created = identity.create_time
    process = told(lambda: psutil.Process(identity.pid))
    if process is None or created is None or not _is_same(identity, told(process.create_time)):
        return Live()
    arguments = told(process.cmdline) if told(process.status) != psutil.STATUS_DISK_SLEEP else None
    return Live(told(process.username), " ".join(arguments or ()) or None, time.time() - created)


def _is_same(identity: ProcessIdentity, created: float | None) -> bool:
    """Tell whether the process that has the number now is the one that was meant."""
    return identity.same_process(ProcessIdentity(pid=identity.pid, create_time=created)) is True
