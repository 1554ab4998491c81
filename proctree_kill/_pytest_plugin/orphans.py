"""The search for tests and fixtures that leave processes behind: ``--orphans``."""

from __future__ import annotations

from collections.abc import Collection, Generator
from typing import Any

import pytest

from .tracker import StartTracker

KEY = "proctree_orphans"
"""The property of a test report that names the processes left; xdist transfers it."""

Wrapped = Generator[None, Any, Any]


class OrphanPlugin:
    """Tracks the processes of each test, and of each fixture with a broader scope by itself."""

    def __init__(self, *, strict: bool, ignored: Collection[str]) -> None:
        """Begin before the session.

        Args:
            strict: whether each leftover is an error, and is ended.
            ignored: patterns of command lines that are no leftovers.
        """
        self._strict = strict
        self._ignored = ignored
        self._trackers: list[StartTracker] = []
        self._fixtures: dict[pytest.FixtureDef[Any], StartTracker] = {}
        self._found: list[str] = []
        self._summary: list[str] = []

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> Wrapped:
        """Begin before the first fixture."""
        self._trackers = [StartTracker(item.nodeid, self._ignored)]
        return (yield)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_teardown(self, item: pytest.Item) -> Wrapped:
        """Search after the last fixture has ended."""
        try:
            result = yield
        except BaseException as error:
            for text in self._end_test():
                item.user_properties.append((KEY, text))
                error.add_note(text)
            raise
        if found := self._end_test():
            item.user_properties += [(KEY, text) for text in found]
            if self._strict:
                pytest.fail("\n".join(found), pytrace=False)
        return result

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_fixture_setup(self, fixturedef: pytest.FixtureDef[Any]) -> Wrapped:
        """Track a fixture that outlives the test by itself."""
        if fixturedef.scope == "function" or not self._trackers:
            return (yield)
        outer = self._trackers[-1]
        outer.pause()
        name = f"the {fixturedef.scope} fixture {fixturedef.argname!r}"
        tracker = StartTracker(name, self._ignored)
        self._trackers.append(tracker)
        self._fixtures[fixturedef] = tracker
        try:
            return (yield)
        finally:
            self._trackers.pop()
            outer.ignore(tracker.close())
            outer.resume()

    def pytest_fixture_post_finalizer(self, fixturedef: pytest.FixtureDef[Any]) -> None:
        """Search for what such a fixture left."""
        if tracker := self._fixtures.pop(fixturedef, None):
            self._end(tracker)

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Search once more: a test was interrupted, or a fixture ended after the last test."""
        late = self._end_test()
        self._summary += late
        if late and self._strict and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keep the leftovers of a report, also of one from another process (xdist)."""
        if report.when == "teardown" and not self._strict:  # else pytest shows them as errors
            self._summary += [str(text) for name, text in report.user_properties if name == KEY]

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Write all leftovers."""
        if self._summary:
            ended = ", ended by proctree_kill" if self._strict else ""
            terminalreporter.section(f"leftover processes{ended}")
            for text in self._summary:
                terminalreporter.line(text)

    def _end_test(self) -> list[str]:
        """Search for what the test left; return all leftovers since the last test."""
        for tracker in self._trackers:
            if tracker.close():  # else nothing is left, and a second scan is saved
                self._end(tracker)
        found, self._trackers, self._found = self._found, [], []
        return found

    def _end(self, tracker: StartTracker) -> None:
        if (text := tracker.end(kill=self._strict)) is not None:
            self._found.append(text)
