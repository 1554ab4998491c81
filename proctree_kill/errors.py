"""What this library refuses or reports by an exception.

::

    ProctreeKillError
    +-- TargetRefusedError   also a ValueError: nothing was touched
    +-- SurvivorsError       raised by KillResult.raise_for_survivors() only
    +-- PolicyError          also a ValueError: an option or a configuration is wrong
    +-- ContainmentError     also a RuntimeError: what was asked for is not to be had
    +-- RecordError          also a RuntimeError: a record cannot be written, or its folder read
    +-- SessionError         also a RuntimeError: a session cannot do what was asked of it

A process that survives or is denied is a value (:class:`~proctree_kill.ProcessOutcome`),
never an exception.
"""

from __future__ import annotations

from ._models.errors import (
    ContainmentError,
    PolicyError,
    ProctreeKillError,
    RecordError,
    SessionError,
    TargetRefusedError,
)
from ._models.result import SurvivorsError

__all__ = [
    "ContainmentError",
    "PolicyError",
    "ProctreeKillError",
    "RecordError",
    "SessionError",
    "SurvivorsError",
    "TargetRefusedError",
]
