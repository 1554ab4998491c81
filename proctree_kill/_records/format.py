"""Intents and records: what they hold, how files are named after them, and how they are read."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from .._engine.markers import MARKER_PATTERN
from .._engine.spare import SPARED_PATTERN
from .._models.errors import SessionError
from .._models.identity import Image, ProcessIdentity

VERSION = 1
"""The layout of entries that this release writes, and the only one that it acts upon."""
PREFIX, RECORD, INTENT = "session_", ".pid", ".starting"
LONGEST_ID = 128
LATEST = 1e11
"""Seconds since the epoch, some thousand years from now; what is shown of a record is bounded."""
DEFAULT_TOOL = "mcp"
_NAME = re.compile(rf"(?s){PREFIX}(.*)(?:{re.escape(RECORD)}|{re.escape(INTENT)})")
_ID = re.compile(rf"[A-Za-z0-9_](?:[A-Za-z0-9._-]{{0,{LONGEST_ID - 2}}}[A-Za-z0-9_-])?")
_DEVICES = re.compile(r"(?i)(?:con|prn|aux|nul|com[0-9]|lpt[0-9])(?:\..*)?")
_NUMBER = re.compile(rb"\s*([0-9]{1,10})\s*")


class Intent(BaseModel):
    """What is known before a tree is started.

    Args:
        version: of this layout.
        session_id: the session whose tree it is.
        tool: the kind of its agent, and the first part of its events' names.
        marker: the ``NAME=VALUE`` in the environment of each member.
        cgroup: the folder of the tree's own cgroup, where it has one.
        spare: names and markers of processes that are left alone.
        owner: the process that writes this.
        image: the program that it runs now; empty where that has no tokens, as in release 0.1.0.
        machine_id: a digest of the machine's id, where it has one.
        pid_namespace: the inode of the pid namespace that numbers belong to, where there are any.
        argv_digest: SHA-256 of the command, which itself may hold secrets.
        created_at: seconds since the epoch.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True, allow_inf_nan=False)

    version: Literal[1] = 1
    session_id: str
    tool: str
    marker: str = Field(pattern=rf"^{MARKER_PATTERN}$")
    cgroup: str | None = None
    spare: tuple[Annotated[str, Field(pattern=SPARED_PATTERN)], ...] = ()
    owner: ProcessIdentity
    image: Image = ()
    machine_id: str | None
    pid_namespace: int | None
    argv_digest: str
    created_at: float = Field(ge=0, le=LATEST)


class Record(Intent):
    """What is known once the root of the tree runs.

    Args:
        identity: the root.
        session: whether it leads a session of its own.
        create_time: when it started, in seconds since the epoch; shown, but no evidence.
    """

    identity: ProcessIdentity
    session: bool
    create_time: float | None


class Bare(NamedTuple):
    """A bare number, which another program wrote."""

    pid: int


Entry = Intent | Record | Bare
"""What a file holds."""


class UnreadableError(ValueError):
    """A file holds nothing that could be acted upon."""


def check_id(session_id: object) -> str:
    """Return the id of a session, if it can be a part of a file's name on every system.

    Raises:
        SessionError: it cannot.
    """
    if not isinstance(session_id, str):
        reason = f"an id is a string, not {type(session_id).__name__}"
        raise SessionError(repr(session_id), reason)
    if _ID.fullmatch(session_id) is None:
        reason = (
            f"an id is 1 to {LONGEST_ID} of A-Z, a-z, 0-9, '.', '_' and '-', "
            "and neither begins with '.' or '-' nor ends with '.'"
        )
        raise SessionError(session_id[: LONGEST_ID + 1], reason)
    if _DEVICES.fullmatch(session_id):
        raise SessionError(session_id, "Windows has a device of that name")
    return session_id


def record_path(folder: Path, session_id: str) -> Path:
    """Return the path of the record of a session."""
    return folder / f"{PREFIX}{session_id}{RECORD}"


def intent_path(record: Path) -> Path:
    """Return the path of the intent that comes before a record."""
    return record.with_name(record.name.removesuffix(RECORD) + INTENT)


def id_of(path: Path) -> str:
    """Return the session whose record or intent a file is, by its name.

    Raises:
        UnreadableError: it is no name of a record or an intent.
    """
    if (name := _NAME.fullmatch(path.name)) is None:
        text = f"its name is not of the form {PREFIX}ID{RECORD}"
        raise UnreadableError(text)
    try:
        return check_id(name[1])
    except SessionError as error:
        raise UnreadableError(error.reason) from None


def entries(names: Iterable[str]) -> list[str]:
    """Return the names of records and intents, sorted."""
    return sorted(filter(_NAME.fullmatch, names))


def encode(entry: Intent) -> bytes:
    """Return an entry as bytes: a record begins with the bare number, for tools that read that."""
    line = json.dumps(entry.model_dump(mode="json"), separators=(",", ":")) + "\n"
    number = f"{entry.identity.pid}\n" if isinstance(entry, Record) else ""
    return (number + line).encode("ascii")


def parse(path: Path, data: bytes) -> Entry:
    """Read an entry.

    An unknown key comes from a newer writer and does no harm; a newer version may mean anything.

    Raises:
        UnreadableError: it is no entry of this version, or not the one of this name.
    """
    session_id = id_of(path)
    is_record = path.name.endswith(RECORD)
    if is_record and (number := _NUMBER.fullmatch(data)):
        return Bare(int(number[1]))
    first, _, rest = data.partition(b"\n") if is_record else (b"", b"", data)
    try:
        entry = (Record if is_record else Intent).model_validate_json(rest)
    except ValidationError as error:
        raise UnreadableError(_reason(error)) from None
    if isinstance(entry, Record) and first.strip() != str(entry.identity.pid).encode():
        text = "its two lines name different processes"
        raise UnreadableError(text)
    if entry.session_id != session_id:
        text = f"it is of session {entry.session_id!r}, under another name"
        raise UnreadableError(text)
    return entry


def digest(args: object) -> str:
    """Return the SHA-256 of a command, which itself is never written down."""
    parts: Iterable[Any] = (
        args if isinstance(args, Sequence) and not isinstance(args, str | bytes) else [args]
    )
    return hashlib.sha256(b"\0".join(map(os.fsencode, parts))).hexdigest()


def _reason(error: ValidationError) -> str:
    """Return what is wrong with an entry, without its values, which may be secrets."""
    problem = error.errors()[0]  # in the order of the fields: the version comes first
    name, value = ".".join(map(str, problem["loc"])), problem["input"]
    if not name:
        return "it holds no JSON object"
    if name == "version" and isinstance(value, int) and value > VERSION:
        return "its version is of a newer release"
    return f"{name} is {'missing' if problem['type'] == 'missing' else 'not valid'}"
