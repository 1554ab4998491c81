"""Binding the model of an identity to what the system says."""

from __future__ import annotations

from .._models.identity import ProcessIdentity
from .._systems import current
from .._systems.member import Member
from ..errors import TargetRefusedError

LARGEST = 2**32 - 1
"""Windows' process ids are 32 bits wide; other systems have smaller ones."""


def identify(pid: int) -> ProcessIdentity:
    """Tell which process a number means now.

    Args:
        pid: the number of a process, alive or a zombie.

    Raises:
        TypeError: it is no integer.
        TargetRefusedError: it is no number of a process, or a thread's.
        ProcessLookupError: there is no such process.
    """
    check_pid(pid)
    system = current()
    try:
        member = system.bind(pid)
        if member is None:
            if (reason := system.refusal(pid, None)) is not None:
                raise TargetRefusedError(pid, reason)
            text = f"there is no process {pid}"
            raise ProcessLookupError(text)
        return identity_of(member, system.boot_id)
    finally:
        system.close()


def check_pid(pid: object) -> int:
    """Return a number that may be a process's.

    Raises:
        TypeError: it is no integer.
        TargetRefusedError: no process has such a number (zero and less mean groups).
    """
    if isinstance(pid, bool) or not isinstance(pid, int):
        text = f"a pid must be an int, not {type(pid).__name__} ({pid!r})"
        raise TypeError(text)
    if not 0 < pid <= LARGEST:
        raise TargetRefusedError(pid, f"the numbers of processes are from 1 to {LARGEST}")
    return pid


def identity_of(member: Member, boot_id: str | None) -> ProcessIdentity:
    """Build the model of a member's identity."""
    return ProcessIdentity.model_validate(identity_fields(member, boot_id))


def identity_fields(member: Member, boot_id: str | None) -> dict[str, int | float | str | None]:
    """Return what :class:`~proctree_kill.ProcessIdentity` is made of; a boot to start or inode."""
    return {
        "pid": member.pid,
        "boot_id": boot_id if (member.start, member.inode) != (None, None) else None,
        "start": member.start,
        "inode": member.inode,
        "create_time": member.create_time,
    }
