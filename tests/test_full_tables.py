"""Real and seam: what a full table of descriptors leaves open, and what it must not teach."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from proctree_kill._platform import _machine, _pidfd, _pidfd_grip, _posix, _procfs, current
from proctree_kill._platform._pidfd_grip import PidfdGrip
from support.kqueue import FakeKqueue

pytestmark = pytest.mark.needs("procfs")


def full(*_: object, **__: object) -> Any:  # noqa: ANN401 - it never returns
    raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))


def open_files() -> int:
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - one descriptor, closed at once
