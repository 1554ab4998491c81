"""What is read of a process while it is shown, and kept nowhere."""

from __future__ import annotations

from contextlib import closing

from .._models.identity import ProcessIdentity
from .._systems import current
from .._systems.contract import Live
from .process import identity_of


def live(identity: ProcessIdentity) -> Live:
    """Look at a process; nothing is told where its number means another one by now."""
    with closing(current()) as system:
        member = system.bind(identity.pid)
        if member is None or not identity.same_process(identity_of(member, system.boot_id)):
            return Live()
        shown = system.show(member)
        return shown if system.owns_number(member) else Live()
