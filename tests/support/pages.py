"""The page of the session console, as a test sees it in a browser."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from typing import TYPE_CHECKING

import psutil
import pytest

from .capabilities import has, npm_prefix
from .consoles import ROOT

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

sync_api = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
expect = sync_api.expect

BOUND = 25_000  # milliseconds that nothing takes; they bound a failure
expect.set_options(timeout=BOUND)
FAMILY = ["agent", "preview HTTP server", "GitHub-like MCP server"]
NPX = ["npx", "shell of npx", "server-everything"]

PICTURE = "PROCTREE_PICTURE"
"""The environment variable that asks for the pictures in the documentation to be taken anew."""

Open = Callable[..., "Page"]


class Card:
    """What a page shows of one session."""

    def __init__(self, page: Page, where: Locator) -> None:
        """Begin with the article of the session."""
        self.page = page
        self.where = where
        self.state = where.locator(".state")
        self.message = where.locator(".message")
        self.result = where.locator(".result")
        self.countdown = where.locator(".countdown")
        self.dialog = where.get_by_role("dialog")
        self.stop = where.locator("button.stop")
        self.events = where.locator(".events li")
        self.rows = where.locator(".tree tr")
        self.names = self.rows.locator(".name")
        self.outcomes = self.rows.locator(".outcome")
        self.log = where.locator(".log")

    def members(self) -> list[psutil.Process]:
        """Bind each process of the tree that is shown, while it lives."""
        return [psutil.Process(int(row.get_attribute("data-pid") or 0)) for row in self.rows.all()]

    def preview(self) -> int:
        """Return the port on which the agent's preview listens."""
        found = re.search(
            r"the preview listens on http://127\.0\.0\.1:(\d+)", self.log.inner_text()
        )
        assert found
        return int(found[1])


def start(page: Page, repository: str = "example/rocket", *, stubborn: bool = False) -> Card:
    """Start a session, and wait until its dialog and its whole tree are shown."""
    page.get_by_label("Repository").fill(repository)
    choice = "it ignores every signal and closed pipe" if stubborn else "it exits"
    page.get_by_label(choice).check()
    page.get_by_role("button", name="Start", exact=True).click()
    card = shown(page, repository)
    expect(card.dialog).to_be_visible()
    expect(card.names).to_have_text(names())  # a process that begins has none of these yet
    return card


def shown(page: Page, repository: str = "") -> Card:
    """Return the session of a repository."""
    return Card(page, page.locator("article").filter(has_text=repository))


def names() -> list[str]:
    """Return the names of the processes of an agent, as they are shown."""
    return [*FAMILY[:2], *(NPX if npm_prefix() and has("npx") else []), FAMILY[2]]


def take_picture(page: Page, name: str) -> None:
    """Take a picture of the documentation anew, where that is asked for."""
    if os.environ.get(PICTURE):
        page.screenshot(path=ROOT / "docs" / "images" / f"{name}.png", full_page=True)
