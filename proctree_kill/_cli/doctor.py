"""The command ``doctor``: what this machine offers, and why something is missing."""

from __future__ import annotations

import getpass
import os
import platform
from argparse import Namespace
from typing import TYPE_CHECKING

from .._containment.containment import Containment
from .._models.errors import ContainmentError
from .._models.text import Row, Table
from .._systems import offers
from .._systems.contract import Offer
from .exit_codes import Exit

if TYPE_CHECKING:
    from .screen import Screen

_MARKS = {True: "yes", False: "no", None: ""}
_STYLES = {True: "green", False: "yellow", None: ""}


def run(options: Namespace, screen: Screen) -> Exit:
    """Show what this machine offers."""
    python = f"{platform.python_implementation()} {platform.python_version()}"
    found = [
        Offer("system", f"{platform.system()} {platform.release()}, {python}"),
        _user(),
        *offers(),
        _try_kernel(),
        _try_guard(),
    ]
    if options.json:
        screen.json(
            {offer.name: {"available": offer.available, "detail": offer.detail} for offer in found}
        )
        return Exit.GONE
    rows = [
        Row((offer.name, _MARKS[offer.available], offer.detail), _STYLES[offer.available])
        for offer in found
    ]
    screen.table(Table(("WHAT", "THERE", "WHAT IT MEANS"), rows, text="WHAT IT MEANS"))
    return Exit.GONE


def _user() -> Offer:
    try:
        name = getpass.getuser()
    except (OSError, KeyError):  # a number without a name
        name = "?"
    root = hasattr(os, "geteuid") and os.geteuid() == 0
    return Offer("user", f"{name}, may signal {'all' if root else 'their own'} processes")


def _try_kernel() -> Offer:
    try:
        Containment.prepare("kernel").release()
    except ContainmentError as error:
        return Offer("containment", f"session and marker only: {error.reason}", available=False)
    detail = "by the kernel: no process can leave a tree of `run` or TreePopen"
    return Offer("containment", detail, available=True)


def _try_guard() -> Offer:
    try:
        Containment.prepare(kill_on_parent_exit=True).release()
    except ContainmentError as error:
        return Offer("guard", error.reason, available=False)
    return Offer("guard", "kill_on_parent_exit works", available=True)
