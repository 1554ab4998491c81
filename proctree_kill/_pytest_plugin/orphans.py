"""Finding the test, or the fixture, that leaves processes behind."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import pytest

from .watch import Watch

KEY = "proctree_orphans"
"""The property of a test under which its report says whom it left, through xdist as well."""

Wrapped = Generator[None, Any, Any]


class Orphans:
    """A plugin that watches each test, and each fixture of a broader scope for itself."""

    def __init__(self, *, strict: bool) -> None:
        """Begin before the session; ``strict`` makes an error of what is left."""
        self._strict = strict
        self._watches: list[Watch] = []
        self._fixtures: dict[pytest.FixtureDef[Any], Watch] = {}
        self._found: list[str] = []
        self._told: list[str] = []

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> Wrapped:
        """Watch from before the first fixture."""
        self._watches = [Watch(item.nodeid)]
        return (yield)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_teardown(self, item: pytest.Item) -> Wrapped:
        """Look when the last fixture has ended."""
        try:
            result = yield
        except BaseException as error:
            for one in self._end_test():
                item.user_properties.append((KEY, one))
                error.add_note(one)
            raise
        if found := self._end_test():
            item.user_properties += [(KEY, one) for one in found]
            if self._strict:
                pytest.fail("\n".join(found), pytrace=False)
        return result

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_fixture_setup(self, fixturedef: pytest.FixtureDef[Any]) -> Wrapped:
        """Watch a fixture that outlives the test for itself."""
        if fixturedef.scope == "function" or not self._watches:
            return (yield)
        outer = self._watches[-1]
        outer.pause()
        watch = Watch(f"the {fixturedef.scope} fixture {fixturedef.argname!r}")
        self._watches.append(watch)
        self._fixtures[fixturedef] = watch
        try:
            return (yield)
        finally:
            self._watches.pop()
            outer.leave(watch.close())
            outer.resume()

    def pytest_fixture_post_finalizer(self, fixturedef: pytest.FixtureDef[Any]) -> None:
        """Look whom such a fixture left."""
        if watch := self._fixtures.pop(fixturedef, None):
            self._end(watch)

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Look once more: an interrupted test, or fixtures after it, may have left somebody."""
        late = self._end_test()
        self._told += late
        if late and self._strict and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keep what a report says, also one that comes from another process (xdist).

        What became an error is told as one.
        """
        if report.when == "teardown" and not self._strict:
            self._told += [str(text) for name, text in report.user_properties if name == KEY]

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Say all of it together."""
        if self._told:
            terminalreporter.section("leftover processes, ended by proctree_kill")
            for one in self._told:
                terminalreporter.line(one)

    def _end_test(self) -> list[str]:
        """End the test's own watch, and return what was found since the last test."""
        for watch in self._watches:
            if watch.close():  # else the second look could find no more
                self._end(watch)
        found, self._watches, self._found = self._found, [], []
        return found

    def _end(self, watch: Watch) -> None:
        """End whom a watch finds, and note it."""
        if (text := watch.end()) is not None:
            self._found.append(text)
