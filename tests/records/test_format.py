"""Pure: what records and intents look like, what may be their names, and what is doubted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from proctree_kill import ProcessIdentity, errors
from proctree_kill._records.format import (
    LATEST,
    Bare,
    Intent,
    Record,
    UnreadableError,
    check_id,
    digest,
    encode,
    entries,
    id_of,
    intent_path,
    parse,
    record_path,
)

MARKER = f"PROCTREE_MARK_{'0' * 32}=1"
INTENT: dict[str, Any] = {
    "session_id": "a",
    "tool": "mcp",
    "marker": MARKER,
    "owner": ProcessIdentity(pid=7, boot_id="boot", start=1, inode=2),
    "machine_id": "machine",
    "pid_namespace": 3,
    "argv_digest": digest(["true"]),
    "created_at": 1.5,
}
RECORD: dict[str, Any] = {
    **INTENT,
    "identity": ProcessIdentity(pid=8, boot_id="boot", start=4),
    "session": True,
    "create_time": 1.25,
}
unhurried = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
A_RECORD, AN_INTENT = Path("session_a.pid"), Path("session_a.starting")
numbers = st.none() | st.integers(0, 2**63 - 1)
seconds = st.floats(allow_nan=False, allow_infinity=False)
identities = st.builds(
    ProcessIdentity,
    pid=st.integers(1, 2**32 - 1),
    boot_id=st.none() | st.text(),
    start=numbers,
    inode=numbers,
    create_time=st.none() | seconds,
)
ids = st.from_regex(r"[A-Za-z0-9_]{1,64}", fullmatch=True).filter(
    lambda name: not name.lower().startswith(("con", "prn", "aux", "nul", "com", "lpt"))
)
common: dict[str, Any] = {
    "session_id": ids,
    "tool": st.text(),
    "marker": st.from_regex(r"PROCTREE_MARK_[0-9a-f]{32}=1", fullmatch=True),
    "cgroup": st.none() | st.text(),
    "owner": identities,
    "image": st.tuples() | st.tuples(st.none() | st.text(), st.none() | st.text()),
    "machine_id": st.none() | st.text(),
    "pid_namespace": numbers,
    "argv_digest": st.text(),
    "created_at": st.floats(0, LATEST),
}


def changed(**fields: object) -> bytes:
    """Return a record of which some fields are different; None takes one away."""
    number, line = encode(Record(**RECORD)).split(b"\n", 1)
    values = {**json.loads(line), **fields}
    kept = {
        name: value for name, value in values.items() if value is not None or name not in fields
    }
    return number + b"\n" + json.dumps(kept).encode()


@unhurried
@given(st.builds(Intent, **common))
def test_an_intent_is_what_was_written(intent: Intent) -> None:
    path = intent_path(record_path(Path(), intent.session_id))
    assert parse(path, encode(intent)) == intent


@unhurried
@given(
    st.builds(
        Record,
        **common,
        identity=identities,
        session=st.booleans(),
        create_time=st.none() | seconds,
    )
)
def test_a_record_is_what_was_written(record: Record) -> None:
    assert parse(record_path(Path(), record.session_id), encode(record)) == record


def test_the_first_line_of_a_record_is_the_pid_for_tools_that_read_no_more() -> None:
    first, second, rest = encode(Record(**RECORD)).split(b"\n")
    assert first == b"8"
    assert json.loads(second)["identity"]["pid"] == 8
    assert rest == b""


@pytest.mark.parametrize("text", [b"4711", b"4711\n", b" 4711 \r\n"])
def test_a_number_alone_is_another_program_s(text: bytes) -> None:
    assert parse(A_RECORD, text) == Bare(4711)


def test_an_unknown_key_is_a_newer_writer_s_and_does_no_harm() -> None:
    assert parse(A_RECORD, changed(colour="red")) == Record(**RECORD)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"", "no JSON object"),
        (b"\xff\xfe\x00", "no JSON object"),
        (b"8\n{", "no JSON object"),
        (b"8\n[]", "no JSON object"),
        (b"8\n" + b"[" * 50_000, "no JSON object"),
        (b"-8\n", "no JSON object"),
        (b"99999999999\n", "no JSON object"),
        (changed(version=2), "version is of a newer release"),
        (changed(created_at=-1e308), "created_at is not valid"),
        (changed(created_at=1e308), "created_at is not valid"),
        (changed(version="1"), "^version is not valid$"),
        (changed(marker="PATH=/usr/bin"), "marker"),
        (changed(marker=MARKER + "\n"), "marker"),
        (changed(owner=None), "^owner is missing$"),
        (changed(owner=7), "^owner is not valid$"),
        (changed(identity={"pid": 8, "colour": "red"}), "colour"),
        (changed(identity={"pid": 9}), "different processes"),
        (changed(session_id="b"), "of session 'b', under another name"),
        (encode(Record(**RECORD)).replace(b"8\n", b"9\n", 1), "different processes"),
    ],
)
def test_what_is_in_doubt_is_unreadable(text: bytes, words: str) -> None:
    with pytest.raises(UnreadableError, match=words):
        parse(A_RECORD, text)


@unhurried
@given(st.binary(max_size=200))
def test_no_bytes_are_worse_than_unreadable(text: bytes) -> None:
    for path in (A_RECORD, AN_INTENT):
        try:
            parse(path, text)
        except UnreadableError:
            continue


def test_no_command_is_written_down() -> None:
    encoded = encode(Intent(**{**INTENT, "argv_digest": digest(["a", "--key=hunter2"])}))
    assert b"hunter2" not in encoded
    assert digest(["a", "b"]) != digest(["a b"])
    assert digest("a") == digest(b"a") == digest(Path("a")) == digest(["a"])


@pytest.mark.parametrize(
    "name", ["a", "A-1_b.c", "0", "_", "x" * 128, "a.b", "console", "nullable", "550e8400-e29b"]
)
def test_an_id_that_can_be_a_part_of_a_name_is_taken(name: str) -> None:
    assert check_id(name) == name
    assert id_of(record_path(Path("folder"), name)) == name
    assert record_path(Path("folder"), name).parent == Path("folder")


@pytest.mark.parametrize(
    "name",
    [
        *("", ".", "..", "../x", "a/b", "/a", "a\\b", "..\\x", "C:a", "a:b", "a\0", "a\n", "\n"),
        *("x" * 129, "x" * 300, "a.", "a..", ".a", "-a", "a b", " a", "a ", "\u00e4", "a*", "~"),
        *("CON", "con", "nul", "Aux", "prn.txt", "COM1", "lpt9.log", "com0"),
        *(None, 5, b"a", Path("a")),
    ],
    ids=repr,
)
def test_an_id_that_could_leave_the_folder_is_refused(name: object) -> None:
    with pytest.raises(errors.SessionError):
        check_id(name)


@unhurried
@given(st.text())
def test_no_id_leads_out_of_the_folder(name: str) -> None:
    try:
        check_id(name)
    except errors.SessionError:
        return
    folder = Path("/somewhere/else").resolve()
    assert record_path(folder, name).resolve().parent == folder


@pytest.mark.parametrize(
    "name", ["a.pid", "session_.pid", "session_a", "session_..pid", "session_con.pid", ".pid"]
)
def test_other_names_belong_to_no_record(name: str) -> None:
    with pytest.raises(UnreadableError):
        id_of(Path(name))


def test_only_what_has_such_a_name_is_listed() -> None:
    names = ["session_b.pid", "session_a.starting", "a.pid", ".session_a.pid.1.tmp", "session_c"]
    assert entries(names) == ["session_a.starting", "session_b.pid"]
