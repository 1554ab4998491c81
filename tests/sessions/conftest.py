"""Events that are waited for, and the session console in a browser, loaded when a test asks."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from proctree_kill._sessions import manager as session_manager
from support.capabilities import has
from support.consoles import Server, serving
from support.times import BOUND

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

    from support.pages import Open


@pytest.fixture(autouse=True)
def flushed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the end of a manager's block wait for all of its events, however busy the machine is."""
    monkeypatch.setattr(session_manager, "FLUSH", BOUND)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Run Debian's Chromium."""
    from support.pages import sync_api  # noqa: PLC0415 - Playwright may not be installed

    options = ["--no-sandbox"] if has("root") else []
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=options)
        yield browser
        browser.close()


@pytest.fixture
def open_page(browser: Browser) -> Iterator[Open]:
    """Open pages, each in a browser context of its own."""
    from support.pages import BOUND as MILLISECONDS  # noqa: PLC0415 - as above
    from support.pages import expect  # noqa: PLC0415 - as above

    contexts = []

    def open_page(server: Server, **options: Any) -> Page:
        context = browser.new_context(viewport={"width": 1280, "height": 800}, **options)
        contexts.append(context)
        context.set_default_timeout(MILLISECONDS)
        page = context.new_page()
        page.goto(server.url)
        expect(page.locator("#link")).to_have_text("live")
        return page

    yield open_page
    for context in contexts:
        context.close()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """Run a console whose grace only force ends."""
    with serving(tmp_path / "console") as server:
        yield server


@pytest.fixture
def page(server: Server, open_page: Open) -> Page:
    return open_page(server)
