"""What this machine offers, and why not more."""

from __future__ import annotations

import getpass
import os
import platform

from .._containment.containment import Containment
from .._models.errors import ContainmentError
from .._systems import offers
from .._systems.contract import Offer
from .tables import Row, Table

_MARKS = {True: "yes", False: "no", None: ""}
_STYLES = {True: "green", False: "yellow", None: ""}


def examine() -> list[Offer]:
    """Look at everything; a cgroup is made and removed, and a guard started and ended."""
    return [_system(), _user(), *offers(), _kernel(), _guard()]


def table(found: list[Offer]) -> Table:
    """Show what was found."""
    rows = [
        Row((one.name, _MARKS[one.available], one.detail), _STYLES[one.available]) for one in found
    ]
    return Table(("WHAT", "THERE", "WHAT IT MEANS"), rows)


def as_json(found: list[Offer]) -> dict[str, dict[str, bool | str | None]]:
    """Return what was found by its name, for programs."""
    return {one.name: {"available": one.available, "detail": one.detail} for one in found}


def _system() -> Offer:
    """Name the system and the Python."""
    python = f"{platform.python_implementation()} {platform.python_version()}"
    return Offer("system", f"{platform.system()} {platform.release()}, {python}")


def _user() -> Offer:
    """Name the user, and say what follows."""
    try:
        name = getpass.getuser()
    except (OSError, KeyError):  # a number without a name
        name = "?"
    uid = os.geteuid() if hasattr(os, "geteuid") else None
    if uid == 0:
        return Offer("user", f"{name}, who may signal everybody")
    return Offer("user", f"{name}, who may signal processes of the same user")


def _kernel() -> Offer:
    """Try to contain a tree."""
    try:
        contained = Containment.prepare("kernel")
    except ContainmentError as error:
        return Offer("containment", f"session and marker only: {error.reason}", available=False)
    contained.release()
    return Offer(
        "containment", "by the kernel: nobody can leave a tree of TreePopen", available=True
    )


def _guard() -> Offer:
    """Try to have a tree ended with this process."""
    try:
        contained = Containment.prepare(kill_on_parent_exit=True)
    except ContainmentError as error:
        return Offer("guard", error.reason, available=False)
    contained.release()
    return Offer("guard", "kill_on_parent_exit works", available=True)
