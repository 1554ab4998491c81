"""Real: programs that end their agents when they end."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from support.agents import files
from support.planter import Planter
from support.times import BOUND

pytestmark = pytest.mark.needs("fork")


RECIPE = """\
import atexit, os, signal, sys
from proctree_kill import KillPolicy, SessionManager
manager = SessionManager(sys.argv[1], policy=KillPolicy(grace=0.2))
pipe = int(os.environ["PLANT_PIPE"])
def begin():
    manager.spawn_agent("a", ["sh", "-c", "trap '' TERM; sleep 1000"], pass_fds=[pipe])
    print("ready", flush=True)
"""
RECIPES = {
    "SIGTERM": """\
import socket
signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
waiting, waking = socket.socketpair()
waking.setblocking(False)
signal.set_wakeup_fd(waking.fileno())  # a signal just before a pause() would be lost
with manager:
    begin()
    waiting.recv(1)
""",
    "atexit": """\
atexit.register(manager.stop_all)
begin()
sys.stdin.read()
""",
    "exception": """\
with manager:
    begin()
    sys.stdin.read()
    raise SystemExit(3)
""",
    "lifespan": """\
import asyncio, contextlib
from starlette.applications import Starlette
@contextlib.asynccontextmanager
async def lifespan(app):
    async with manager:
        begin()
        yield {"sessions": manager}
app = Starlette(lifespan=lifespan)
async def serve():
    async with app.router.lifespan_context(app):
        await asyncio.to_thread(sys.stdin.read)
asyncio.run(serve())
""",
}


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_recipe_ends_the_agents_with_the_program(
    plant: Planter, tmp_path: Path, recipe: str
) -> None:
    if recipe == "lifespan":
        pytest.importorskip("starlette")
    path = os.pathsep.join(sys.path)
    with plant.prepare(env={"PYTHONPATH": path}) as prepared:
        prepared.tree.root = program = subprocess.Popen(
            [sys.executable, "-c", RECIPE + RECIPES[recipe], str(tmp_path / "sessions")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
            **prepared.options,
        )
    assert program.stdin
    assert program.stdout
    assert program.stdout.readline() == b"ready\n"
    assert files(tmp_path / "sessions") == {"session_a.pid"}
    if recipe == "SIGTERM":
        program.terminate()
    else:
        program.stdin.close()
    code = program.wait(BOUND)
    assert code == {"SIGTERM": 143, "exception": 3}.get(recipe, 0)
    assert prepared.tree.all_dead()
    assert files(tmp_path / "sessions") == set()
