"""Real: owners that replace themselves (``os.execv``), and owners that only look as if."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from proctree_kill import SessionManager, identify, recover
from proctree_kill._models.identity import Image
from proctree_kill._records.report import RecordFate
from proctree_kill._systems.image import image
from support.agents import PATIENT, files
from support.images import replaced_owner
from support.pipe_holders import PipeHolders
from support.records import write
from support.times import PATIENCE
from support.vendoring import vendored

pytestmark = pytest.mark.needs("procfs")

RECOVERED = ["running", "running", "running", "no children"]
COPY = "import vendored_copy; print(vendored_copy.recover(folder).summary())"
SUBINTERPRETER = """
import sys
if sys.version_info < (3, 13):
    import _xxsubinterpreters as interpreters
    inner = interpreters.create(isolated=False)
else:
    import _interpreters as interpreters
    inner = interpreters.create("legacy")
code = "import sys; sys.path[:] = %r; sys.argv[:] = %r" % (sys.path, sys.argv[1:])
interpreters.run_string(inner, code + chr(10) + sys.argv[1])
"""
OWNER = f"""
import sys
from proctree_kill import KillPolicy, SessionManager
folder = sys.argv[1]
manager = SessionManager(folder, policy=KillPolicy(grace={PATIENCE}), guard=False)
manager.spawn_agent("a", sys.argv[2:])
{COPY}
sys.stdout.flush()
sys.stdin.readline()
print(manager.stop_agent("a").method, flush=True)
"""


def test_an_owner_that_replaced_itself_recovers_and_starts_the_same_sessions(
    tmp_path: Path,
) -> None:
    with replaced_owner(tmp_path / "records") as owner:
        detail = f"process {owner.process.pid} runs another program now"
        assert owner.resume() == ["3 ended", detail, *RECOVERED]
        assert owner.holders.all_dead()
        assert files(tmp_path / "records") == set()


@pytest.mark.needs("setarch")
def test_it_does_so_where_addresses_are_not_random(tmp_path: Path) -> None:
    with replaced_owner(tmp_path / "records", ["setarch", "-R"]) as owner:
        # Another process cannot know it, and touches nothing.
        assert recover(tmp_path / "records").summary() == "3 owned"
        assert owner.resume()[:1] == ["3 ended"]
        assert owner.holders.all_dead()


def test_another_process_recovers_what_an_owner_left_that_replaced_itself(tmp_path: Path) -> None:
    with replaced_owner(tmp_path / "records") as owner:
        command = [sys.executable, "-m", "proctree_kill", "sessions", "--json"]
        output = subprocess.check_output([*command, str(tmp_path / "records")])
        states = {session["state"] for session in json.loads(output)["sessions"]}
        assert states == {"orphaned"}
        report = recover(tmp_path / "records", policy=PATIENT)
        assert report.summary() == "3 ended"
        assert owner.holders.all_dead()
        assert owner.process.poll() is None
        assert owner.resume()[:1] == ["no records"]


def test_a_stop_by_record_needs_no_recovery_before(tmp_path: Path) -> None:
    with replaced_owner(tmp_path / "records") as owner:
        manager = SessionManager(tmp_path / "records", policy=PATIENT)
        result = manager.stop_agent("a")
        assert (result.success, result.method) == (True, "recovered_record")
        assert owner.holders.all_dead()


@pytest.mark.parametrize(
    "program",
    [
        pytest.param([OWNER], id="main interpreter"),
        pytest.param(
            [SUBINTERPRETER, OWNER],
            id="subinterpreter",
            marks=pytest.mark.needs("subinterpreters"),
        ),
    ],
)
def test_a_vendored_copy_and_a_subinterpreter_know_the_owner(
    program: list[str], tmp_path: Path
) -> None:
    folder, pipe = tmp_path / "records", subprocess.PIPE
    environment = vendored(tmp_path)
    with PipeHolders(tmp_path) as holders:
        command = [sys.executable, "-c", *program, str(folder), *holders.argv()]
        with subprocess.Popen(
            command, stdin=pipe, stdout=pipe, text=True, env=environment
        ) as owner:
            try:
                assert owner.stdout
                assert owner.stdout.readline() == "1 owned\n"
                holders.await_started()
                assert recover(folder).summary() == "1 owned"
                said, _ = owner.communicate("\n")
            finally:
                owner.kill()
                owner.wait()
                recover(folder, policy=PATIENT)
        assert said == "terminated\n"
        assert holders.all_dead()


@pytest.mark.parametrize(
    ("image", "fate"),
    [
        (image(os.getpid()), RecordFate.OWNED),
        ((), RecordFate.OWNED),
        ((None, None), RecordFate.OWNED),
        (("another",), RecordFate.GONE),
        ((None, "another"), RecordFate.GONE),
        ((*image(os.getpid()), "of a newer release"), RecordFate.OWNED),
    ],
)
@pytest.mark.parametrize("kind", ["record", "intent"])
def test_only_a_token_that_differs_is_of_another_program(
    image: Image, fate: RecordFate, kind: str, tmp_path: Path
) -> None:
    dead = subprocess.Popen(["true"])
    identity = identify(dead.pid) if kind == "record" else None
    dead.wait()
    write(tmp_path, "a", identity=identity, image=image)
    (outcome,) = recover(tmp_path, dry_run=True).outcomes
    assert outcome.fate is fate


def test_a_record_of_an_earlier_release_has_no_tokens(tmp_path: Path) -> None:
    path = write(tmp_path, "a")
    written = json.loads(path.read_text())
    del written["image"]
    path.write_text(json.dumps(written))
    assert recover(tmp_path).summary() == "1 owned"


def test_a_fork_of_the_owner_is_another_process_of_the_same_program(tmp_path: Path) -> None:
    pid = os.fork()
    if not pid:
        try:
            write(tmp_path, "a", image=image(os.getpid()))
        finally:
            os._exit(0)
    os.waitpid(pid, 0)
    assert f'"{image(os.getpid())[0]}"' in (tmp_path / "session_a.starting").read_text()
    assert recover(tmp_path).summary() == "1 gone"
