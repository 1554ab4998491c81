"""Real: the web application, served by uvicorn as a process of its own."""

from __future__ import annotations

import re
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import psutil
import pytest

from proctree_kill import TreePopen
from support.examples import command, guard_of, options
from support.times import BOUND

httpx = pytest.importorskip("httpx", reason="httpx is not installed")
pytest.importorskip("fastapi", reason="FastAPI is not installed")
pytest.importorskip("uvicorn", reason="uvicorn is not installed")

pytestmark = pytest.mark.needs("fork")


class Server:
    """A running application.

    Attributes:
        process: its tree, which holds its agents too.
        started: what it has printed until it was ready.
        client: sends requests to it.
    """

    def __init__(self, process: TreePopen[str]) -> None:
        """Wait until it is ready."""
        self.process = process
        self.started = ""
        while not (found := re.search(r"running on (http://[\d.:]+)", self.started)):
            self.started += self.read_line()
        self.client = httpx.Client(base_url=found[1], timeout=BOUND)

    @property
    def output(self) -> IO[str]:
        """What it prints; its agents hold it too, so the end shows that all are dead."""
        assert self.process.stdout
        return self.process.stdout

    def read_line(self) -> str:
        """Return the next line that it prints."""
        line = self.output.readline()
        assert line, self.started
        return line

    def start(self, *names: str) -> list[int]:
        """Start agents; return their pids."""
        return [self.client.post(f"/agents/{name}").json() for name in names]

    def agents(self) -> object:
        """Return the agents that are not over, with their states."""
        return self.client.get("/agents").json()


@contextmanager
def serving(folder: Path) -> Iterator[Server]:
    """Serve the application on any port, and end it with all that it started."""
    argv = [*command("fastapi_app"), "--port=0"]
    with TreePopen(argv, **options(AGENTS_FOLDER=str(folder))) as process:
        try:
            server = Server(process)
            with server.client:
                yield server
        finally:
            process.stop(grace=0)


def test_an_agent_is_started_listed_and_stopped(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        started = server.client.post("/agents/chat-7")
        assert started.status_code == 201
        assert server.agents() == {"chat-7": "running"}
        again = server.client.post("/agents/chat-7")
        assert (again.status_code, again.json()["detail"]) == (
            409,
            "session 'chat-7': it is there already, and running",
        )
        stopped = server.client.delete("/agents/chat-7")
        assert stopped.status_code == 200
        outcomes = stopped.json()["kill"]["outcomes"]
        assert started.json() in [outcome["identity"]["pid"] for outcome in outcomes]
        assert server.client.delete("/agents/chat-7").json()["method"] == "nothing_to_stop"
        assert server.agents() == {}


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("chat-8", 404),
        ("chat", 422),
        ("con", 422),
        ("chat-7%0A", 422),
        ("chat-٣", 422),
        ("..%2Fchat-7", 404),
    ],
)
def test_an_unknown_or_malformed_id_is_no_error_of_the_server(
    path: str, status: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    testclient = pytest.importorskip("fastapi.testclient")
    monkeypatch.setenv("AGENTS_FOLDER", str(tmp_path))
    from docs.examples.fastapi_app import app  # noqa: PLC0415 - FastAPI may be absent

    with testclient.TestClient(app) as client:  # raises what the application does
        assert client.delete(f"/agents/{path}").status_code == status


def test_a_server_that_is_asked_to_exit_stops_its_agents(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        server.start("chat-1", "chat-2")
        server.process.send_signal(signal.SIGTERM)
        log = server.output.read()
        assert server.process.wait() in {0, -signal.SIGTERM}  # a newer uvicorn raises it again
    assert {*re.findall(r"agent\.session\.stopped (\S+)", log)} == {"chat-1", "chat-2"}
    assert list(tmp_path.iterdir()) == []


def test_after_a_crash_the_guard_ends_the_agents(tmp_path: Path) -> None:
    with serving(tmp_path) as crashed:
        crashed.start("chat-1")
        crashed.process.send_signal(signal.SIGKILL)
        crashed.output.read()
        crashed.process.wait()


def test_where_the_guard_dies_too_the_next_start_ends_the_agents(tmp_path: Path) -> None:
    with serving(tmp_path) as crashed:
        agent = psutil.Process(*crashed.start("chat-1"))
        guard_of(crashed.process.pid).kill()
        crashed.process.send_signal(signal.SIGKILL)
        crashed.process.wait()
        assert agent.is_running()
        with serving(tmp_path) as server:
            # a thread of its own tells it, before or after the server says that it runs
            while "agent.session.recovered chat-1" not in server.started:
                server.started += server.read_line()
            crashed.output.read()
            assert server.agents() == {}
            assert server.client.post("/agents/chat-1").status_code == 201
