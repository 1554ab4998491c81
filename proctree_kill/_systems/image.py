"""Which program a process runs; ctypes is slow to import, and a kill needs none of this."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if sys.platform == "linux":
    from .linux import image as linux_image
elif sys.platform != "win32":
    from .posix import image as posix_image

if TYPE_CHECKING:
    from .._models.identity import Image


def image(pid: int) -> Image:
    """Return the tokens of the program image that a process runs now."""
    if sys.platform == "linux":
        return linux_image.image(pid)
    elif sys.platform == "win32":  # noqa: RET505 - type checkers see one branch only
        return ()  # os.execv starts another process there
    else:
        return posix_image.image(pid)
