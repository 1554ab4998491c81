"""A fleet: sessions on many machines, over the cluster of a ``distributed.Client``.

Each worker process of the cluster holds a :class:`~proctree_kill.SessionManager`; the scheduler
holds which session is where.
"""

from __future__ import annotations

try:
    import distributed  # noqa: F401 - the message below says what is missing
except ImportError as error:
    text = f"{error}; pip install 'proctree_kill[fleet]' installs it"
    raise ImportError(text) from error

from .client import Fleet
from .models import FleetEvent, FleetRecovery, FleetSession, HostRecovery

__all__ = ["Fleet", "FleetEvent", "FleetRecovery", "FleetSession", "HostRecovery"]
