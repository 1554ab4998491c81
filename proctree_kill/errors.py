"""The exceptions of this library.

::

    ProctreeKillError
    +-- TargetRefusedError   also a ValueError: the target must not be ended; nothing was touched
    +-- SurvivorsError       a process is alive; only KillResult.raise_for_survivors() raises it
    +-- PolicyError          also a ValueError: an option or a configuration is wrong
    +-- ContainmentError     also a RuntimeError: the requested containment is not available
    +-- RecordError          also a RuntimeError: a record cannot be written, or its folder read
    +-- SessionError         also a RuntimeError: a session or its manager refuses a request
    +-- FleetError           also a RuntimeError: a fleet refuses a request
        +-- UnreachableError   a machine or the scheduler did not answer in time

A process that survives or is denied is a value (:class:`~proctree_kill.ProcessOutcome`),
never an exception.
"""

from __future__ import annotations

from ._models.errors import (
    ContainmentError,
    FleetError,
    PolicyError,
    ProctreeKillError,
    RecordError,
    SessionError,
    TargetRefusedError,
    UnreachableError,
)
from ._models.result import SurvivorsError

__all__ = [
    "ContainmentError",
    "FleetError",
    "PolicyError",
    "ProctreeKillError",
    "RecordError",
    "SessionError",
    "SurvivorsError",
    "TargetRefusedError",
    "UnreachableError",
]
