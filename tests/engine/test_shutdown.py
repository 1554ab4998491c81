"""Real: the shutdown hook of a kill, in a thread and on event loops."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import logging
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from proctree_kill import KillResult, TreePopen, akill_tree, errors, kill_tree
from support.loops import on_both
from support.nodes import chain
from support.planter import Planter
from support.times import BOUND, HASTE, LONG, PATIENCE

pytestmark = pytest.mark.needs("fork")

SLOW = [("SIGTERM", 4.0), ("SIGTERM", PATIENCE)]  # for a hook that ends; its time passes in full
BRIEF = [("SIGTERM", HASTE), ("SIGTERM", PATIENCE)]  # the hook has a quarter of the first
REFUSED = "refused"
CODE = 7  # with which the server exits when it is told to
SERVER = f"import os, sys; os.read(int(sys.argv[1]), 1); os._exit({CODE})"


class Server:
    """A process that exits when a byte arrives in a pipe of its own."""

    def __init__(self) -> None:
        reader, self.writer = os.pipe()
        command = [sys.executable, "-I", "-S", "-c", SERVER, str(reader)]
        self.process = TreePopen(command, pass_fds=[reader])
        os.close(reader)

    def shut_down(self) -> None:
        """Send the message of its own."""
        os.write(self.writer, b"x")

    def close(self) -> None:
        self.process.stop(grace=0)
        os.close(self.writer)


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.close()


@pytest.fixture
def hang() -> Iterator[Callable[[], object]]:
    """Return what returns at the end of the test only, and wait for its threads."""
    over = threading.Event()
    yield over.wait
    over.set()
    for thread in threading.enumerate():
        if thread.name == "proctree_kill shutdown":
            thread.join(BOUND)


def told(result: KillResult) -> tuple[int | None, tuple[str, ...], str | None]:
    """Return the code, the first signal and the detail of the root."""
    assert result.root
    return result.root.exit_code, result.root.signals[:1], result.root.detail


OBEYED = (CODE, (), "it left after the shutdown hook was called")


class TestInAThread:
    def test_a_server_that_obeys_is_sent_no_signal(self, server: Server) -> None:
        assert told(server.process.stop(shutdown=server.shut_down, grace=LONG)) == OBEYED

    def test_it_is_called_once_in_a_daemon_thread_with_the_context_of_the_caller(
        self, server: Server
    ) -> None:
        request = contextvars.ContextVar[str]("request")
        request.set("7")
        seen: list[object] = []

        def hook() -> None:
            seen.extend([request.get(), threading.current_thread().daemon])
            server.shut_down()

        assert kill_tree(server.process, shutdown=hook, grace=LONG).ok
        assert seen == ["7", True]

    def test_one_that_hangs_is_reported_and_the_root_is_asked(
        self, server: Server, hang: Callable[[], object]
    ) -> None:
        code, signals, detail = told(server.process.stop(shutdown=hang, teardown=BRIEF))
        assert (code, signals) == (-15, ("SIGTERM",))
        assert re.match(r"the shutdown hook was abandoned after \d+\.\d", detail or "")

    def test_one_that_raises_is_reported_and_logged(
        self, server: Server, caplog: pytest.LogCaptureFixture
    ) -> None:
        def hook() -> None:
            raise ConnectionError(REFUSED)

        result = server.process.stop(shutdown=hook, teardown=SLOW)
        problem = "the shutdown hook raised ConnectionError: refused"
        assert told(result) == (-15, ("SIGTERM",), problem)
        assert [record.exc_info is not None for record in caplog.records] == [True]

    def test_what_must_be_awaited_is_reported(self, server: Server) -> None:
        result = server.process.stop(shutdown=lambda: asyncio.sleep(0), teardown=SLOW)
        assert "which is not awaited here" in str(told(result)[2])

    def test_without_a_root_in_the_result_it_is_logged(
        self, plant: Planter, caplog: pytest.LogCaptureFixture
    ) -> None:
        tree = plant(chain("root", "child"))

        def hook() -> None:
            raise ValueError

        with caplog.at_level(logging.WARNING):
            result = kill_tree(tree.root, shutdown=hook, include_root=False, teardown=SLOW)
        assert [outcome.detail for outcome in result.outcomes] == [None]
        assert "the shutdown hook raised" in caplog.text

    def test_it_is_not_called_without_a_grace(self, server: Server) -> None:
        called: list[bool] = []
        result = server.process.stop(shutdown=lambda: called.append(True), grace=0)
        assert told(result) == (-9, ("SIGKILL",), None)
        assert called == []

    def test_an_interrupt_abandons_it_forces_and_is_raised(
        self, server: Server, hang: Callable[[], object]
    ) -> None:
        def hook() -> None:
            os.kill(os.getpid(), signal.SIGINT)
            hang()

        with pytest.raises(KeyboardInterrupt):
            server.process.stop(shutdown=hook, grace=LONG)
        assert server.process.returncode == -9

    def test_one_that_waits_for_the_exit_costs_nothing_more(self, server: Server) -> None:
        def hook() -> None:
            server.shut_down()
            server.process.wait()

        assert told(server.process.stop(shutdown=hook, grace=LONG)) == OBEYED

    def test_the_input_is_closed_after_it(self) -> None:
        text = "for line in __import__('sys').stdin: print(line.strip(), flush=True)"
        command = [sys.executable, "-I", "-S", "-c", text]
        pipe = subprocess.PIPE
        with TreePopen(command, stdin=pipe, stdout=pipe, text=True) as process:
            stdin, stdout = process.stdin, process.stdout
            assert stdin
            assert stdout

            def hook() -> None:
                print("bye", file=stdin, flush=True)
                assert stdout.readline() == "bye\n"

            assert told(process.stop(shutdown=hook, grace=LONG))[:2] == (0, ())

    def test_a_wrong_hook_is_refused_before_anything_is_touched(self, server: Server) -> None:
        async def awaited() -> None: ...

        class Hook:
            async def __call__(self) -> None: ...

        wrong: Any
        for wrong in (7, awaited, Hook(), functools.partial(awaited)):
            with pytest.raises(TypeError, match="shutdown"):
                server.process.stop(shutdown=wrong)
        assert server.process.poll() is None


class TestOnALoop:
    @on_both
    def test_a_server_that_obeys_is_sent_no_signal(
        self, loop: Callable[..., Any], server: Server
    ) -> None:
        threads: list[int] = []

        async def hook() -> None:
            await anyio.lowlevel.checkpoint()
            threads.append(threading.get_ident())
            server.shut_down()

        async def scene() -> KillResult:
            return await server.process.astop(shutdown=hook, grace=LONG)

        assert told(loop(scene)) == OBEYED
        assert threads == [threading.get_ident()]

    @on_both
    def test_a_function_is_called_in_a_thread_and_what_it_returns_is_awaited(
        self, loop: Callable[..., Any], server: Server
    ) -> None:
        threads: list[int] = []

        def hook() -> object:
            threads.append(threading.get_ident())
            return shut_down()

        async def shut_down() -> None:
            threads.append(threading.get_ident())
            server.shut_down()

        async def scene() -> KillResult:
            return await akill_tree(server.process, shutdown=hook, grace=LONG)

        assert told(loop(scene)) == OBEYED
        assert threads[0] != threads[1] == threading.get_ident()

    @on_both
    def test_a_function_that_hangs_blocks_no_loop(
        self, loop: Callable[..., Any], server: Server
    ) -> None:
        hanging = threading.Event()

        async def scene() -> KillResult:
            return await akill_tree(server.process, shutdown=hanging.wait, grace=HASTE)

        try:
            result = loop(scene)
        finally:
            hanging.set()
        assert result.ok
        assert result.root.detail.startswith("the shutdown hook was abandoned")

    @on_both
    def test_one_that_hangs_is_cancelled_and_reported(
        self, loop: Callable[..., Any], server: Server
    ) -> None:
        async def scene() -> KillResult:
            ended = anyio.Event()

            async def hook() -> None:
                try:
                    await anyio.sleep(LONG)
                finally:
                    ended.set()

            result = await akill_tree(server.process, shutdown=hook, teardown=BRIEF)
            with anyio.fail_after(BOUND):
                await ended.wait()
            return result

        code, signals, detail = told(loop(scene))
        assert (code, signals) == (-15, ("SIGTERM",))
        assert "abandoned" in str(detail)

    @on_both
    def test_one_that_raises_is_reported(self, loop: Callable[..., Any], server: Server) -> None:
        async def hook() -> None:
            await anyio.lowlevel.checkpoint()
            raise ConnectionError(REFUSED)

        async def scene() -> KillResult:
            return await akill_tree(server.process, shutdown=hook, teardown=SLOW)

        assert told(loop(scene))[2] == "the shutdown hook raised ConnectionError: refused"

    @on_both
    def test_a_cancellation_abandons_it_forces_and_stays(
        self, loop: Callable[..., Any], server: Server
    ) -> None:
        async def scene() -> bool:
            ended = anyio.Event()
            with anyio.CancelScope() as scope:

                async def hook() -> None:
                    scope.cancel()
                    try:
                        await anyio.sleep(LONG)
                    finally:
                        ended.set()

                await akill_tree(server.process, shutdown=hook, grace=LONG)
            with anyio.fail_after(BOUND):
                await ended.wait()
            return scope.cancelled_caught

        assert loop(scene)
        assert server.process.returncode == -9

    @on_both
    def test_one_that_still_runs_when_the_tree_is_gone_is_cancelled(
        self, loop: Callable[..., Any], server: Server
    ) -> None:
        async def scene() -> KillResult:
            ended = anyio.Event()

            async def hook() -> None:
                server.shut_down()
                try:
                    await anyio.sleep(LONG)
                finally:
                    ended.set()

            result = await akill_tree(server.process, shutdown=hook, grace=LONG)
            with anyio.fail_after(BOUND):
                await ended.wait()
            return result

        assert told(loop(scene)) == OBEYED

    @on_both
    def test_what_cannot_be_called_is_refused_before_anything_is_touched(
        self, loop: Callable[..., Any], server: Server
    ) -> None:
        wrong: Any = "shutdown"

        async def scene() -> None:
            with pytest.raises(TypeError, match="shutdown must be callable, not 'shutdown'"):
                await server.process.astop(shutdown=wrong)

        loop(scene)
        assert server.process.poll() is None


def test_a_target_that_is_refused_calls_no_hook() -> None:
    called: list[bool] = []
    with pytest.raises(errors.TargetRefusedError):
        kill_tree(os.getpid(), shutdown=lambda: called.append(True))
    assert called == []
