"""The machine and the pid namespace of this process: a record must belong to both."""

from __future__ import annotations

import functools
import hashlib
import importlib
import os
import platform
from pathlib import Path
from typing import Any

ID_FILES = ("/etc/machine-id", "/var/lib/dbus/machine-id", "/etc/hostid")
"""Where Linux (machine-id(5)) and FreeBSD (hostid(1)) keep an id."""
REGISTRY_KEY, REGISTRY_VALUE = r"SOFTWARE\Microsoft\Cryptography", "MachineGuid"
"""Where Windows keeps an id."""
APPLICATION = b"proctree_kill"
_NOT_THERE = (FileNotFoundError, NotADirectoryError, PermissionError, IsADirectoryError)
"""Errors where there is no id; any other error is raised, and the answer is not cached."""


@functools.cache
def machine_id() -> str | None:
    """Return an id of this machine, None where it has none.

    It is a digest: the machine's own id must not be published (machine-id(5)).
    """
    found = _from_files() or _from_registry() or platform.node()
    return digest(found.encode()) if found else None


def digest(secret: bytes) -> str:
    """Return what distinguishes bytes that must not be published themselves."""
    return hashlib.sha256(APPLICATION + secret).hexdigest()[:32]


def pid_namespace() -> int | None:
    """Return the inode of the pid namespace (pid_namespaces(7)); None where there are none."""
    try:
        return os.stat("/proc/self/ns/pid").st_ino
    except _NOT_THERE:
        return None


def optional(name: str) -> Any:  # noqa: ANN401 - a module that type checkers know elsewhere only
    """Import a module of the standard library that not every system has; None without it."""
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


def _from_files() -> str:
    for name in ID_FILES:
        try:
            found = Path(name).read_bytes().decode(errors="replace").strip()
        except _NOT_THERE:
            continue
        if found and found != "uninitialized":
            return found
    return ""


def _from_registry() -> str:
    registry = optional("winreg")
    if registry is None:
        return ""
    try:
        access = registry.KEY_READ | registry.KEY_WOW64_64KEY
        with registry.OpenKey(registry.HKEY_LOCAL_MACHINE, REGISTRY_KEY, access=access) as key:
            value, _ = registry.QueryValueEx(key, REGISTRY_VALUE)
    except _NOT_THERE:
        return ""
    return str(value)
