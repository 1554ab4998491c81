"""Records that are written by hand, about planted trees."""

from __future__ import annotations

import os
import secrets
import time
from pathlib import Path
from typing import Any

from proctree_kill import ProcessIdentity, identify
from proctree_kill._records.files import create
from proctree_kill._records.format import Intent, Record, encode, intent_path, record_path
from proctree_kill._systems.machine import machine_id, pid_namespace

from .nodes import Node
from .planter import Planter


def new_marker() -> str:
    """Return a marker as the library makes them."""
    return f"PROCTREE_MARK_{secrets.token_hex(16)}=1"


def write(
    folder: Path,
    session_id: str,
    *,
    owner: ProcessIdentity | None = None,
    identity: ProcessIdentity | None = None,
    marker: str | None = None,
    **changes: Any,
) -> Path:
    """Write a record, or an intent where there is no root.

    Args:
        folder: the folder of records.
        session_id: the session.
        owner: the process that wrote it; default this process.
        identity: the root.
        marker: the marker of its tree; default a marker that no process carries.
        changes: other fields that shall differ.
    """
    common: dict[str, Any] = {
        "session_id": session_id,
        "tool": "mcp",
        "marker": marker or new_marker(),
        "owner": owner or identify(os.getpid()),
        "machine_id": machine_id(),
        "pid_namespace": pid_namespace(),
        "argv_digest": "",
        "created_at": time.time(),
    }
    path = record_path(folder, session_id)
    if identity is None:
        path = intent_path(path)
        create(path, encode(Intent(**{**common, **changes})))
        return path
    root = {"identity": identity, "session": True, "create_time": None}
    create(path, encode(Record(**{**common, **root, **changes})))
    return path


def dead_owner(plant: Planter) -> ProcessIdentity:
    """Return the identity of a process that is dead and reaped."""
    root = plant(Node(name="owner")).root
    identity = identify(root.pid)
    root.kill()
    root.wait()
    return identity
