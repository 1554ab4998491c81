"""Whether a file may be acted upon, by the owner in its security descriptor.

Access lists (DACLs) are not checked.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import importlib
from collections.abc import Iterator, Mapping
from ctypes import c_int32, c_uint32, c_void_p
from typing import Any

from ..contract import Trust
from . import win32

ADMINISTRATORS, SYSTEM = 26, 22
"""WinBuiltinAdministratorsSid and WinLocalSystemSid (WELL_KNOWN_SID_TYPE, winnt.h)."""
SE_FILE_OBJECT, OWNER_SECURITY_INFORMATION = 1, 1
TOKEN_QUERY, TOKEN_USER = 0x0008, 1
LARGEST_TOKEN_USER = 88
"""Bytes: a TOKEN_USER of 64 bits and the largest SID (SECURITY_MAX_SID_SIZE is 68)."""

_P = ctypes.POINTER
_ADVAPI32: Mapping[str, tuple[Any, ...]] = {  # the result, then the arguments
    "EqualSid": (c_int32, c_void_p, c_void_p),
    "GetSecurityInfo": (
        *(c_uint32, c_void_p, c_int32, c_uint32),
        *(_P(c_void_p), c_void_p, c_void_p, c_void_p, _P(c_void_p)),
    ),
    "GetTokenInformation": (c_int32, c_void_p, c_int32, c_void_p, c_uint32, _P(c_uint32)),
    "IsWellKnownSid": (c_int32, c_void_p, c_int32),
    "OpenProcessToken": (c_int32, c_void_p, c_uint32, _P(c_void_p)),
}


def trust(fd: int | None) -> Trust:
    """Trust files of the user of our token, of Administrators and of SYSTEM."""
    if fd is None:
        return Trust()
    with owner(fd) as sid:
        if is_ours(sid) or any(is_well_known(sid, kind) for kind in (ADMINISTRATORS, SYSTEM)):
            return Trust()
    return Trust("it belongs to another user")


@contextlib.contextmanager
def owner(fd: int) -> Iterator[int | None]:
    """Return the SID of the owner of an open file, valid inside the block; None without one."""
    msvcrt: Any = importlib.import_module("msvcrt")  # exists on Windows only
    sid, descriptor = c_void_p(), c_void_p()
    status = _advapi32().GetSecurityInfo(
        msvcrt.get_osfhandle(fd),
        SE_FILE_OBJECT,
        OWNER_SECURITY_INFORMATION,
        ctypes.byref(sid),
        None,
        None,
        None,
        ctypes.byref(descriptor),
    )
    if status:  # a file system without owners, such as FAT
        yield None
        return
    try:
        yield sid.value
    finally:
        _local_free()(descriptor)


def is_ours(sid: int | None) -> bool:
    """Whether it is the SID of the user of our token.

    Raises:
        OSError: the system does not say which user that is.
    """
    token = c_void_p()
    process = win32.kernel32().GetCurrentProcess()
    if not _advapi32().OpenProcessToken(process, TOKEN_QUERY, ctypes.byref(token)):
        raise win32.error()
    with win32.closing(token.value or 0):
        room, size = ctypes.create_string_buffer(LARGEST_TOKEN_USER), c_uint32()
        if not _advapi32().GetTokenInformation(
            token, TOKEN_USER, room, len(room), ctypes.byref(size)
        ):
            raise win32.error()
        user = c_void_p.from_buffer(room)  # TOKEN_USER begins with the pointer to the SID
        return bool(sid and _advapi32().EqualSid(sid, user))


def is_well_known(sid: int | None, kind: int) -> bool:
    """Whether it is one of the SIDs that every Windows has."""
    return bool(sid and _advapi32().IsWellKnownSid(sid, kind))


@functools.cache
def _advapi32() -> Any:  # noqa: ANN401 - untyped functions
    return win32.load("advapi32", _ADVAPI32)


@functools.cache
def _local_free() -> Any:  # noqa: ANN401 - untyped functions
    return win32.load("kernel32", {"LocalFree": (c_void_p, c_void_p)}).LocalFree
