"""Real: each state of the session console in a browser: asking, stopping, over, server away."""

from __future__ import annotations

import re
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from support.consoles import Server, listens, living, serving
from support.pages import Open, expect, names, start, take_picture

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = [pytest.mark.needs("chromium", "fork"), pytest.mark.timeout(120)]

END = re.compile("^(already gone|died|ended|ended by itself|terminated .*|killed .*)$")


def test_a_page_says_that_an_agent_waits_and_names_its_processes(page: Page) -> None:
    card = start(page, "example/waits")
    expect(card.names).to_have_text(names())
    expect(card.state).to_have_text("Waiting for you")
    expect(page).to_have_title("Waiting for you: example/waits - Session console")
    expect(page.locator("#waiting")).to_have_text("1 waiting for you")
    announced = page.locator("#announcements")
    expect(announced).to_have_attribute("aria-live", "polite")
    expect(announced).to_contain_text("example/waits: Waiting for you: When is an issue of")
    card.stop.click()
    expect(card.state).to_have_text("Stopped")
    expect(card.names).to_have_text(names())
    expect(page).to_have_title("Session console")
    expect(page.locator("#waiting")).to_be_hidden()


def test_a_stop_counts_down_to_the_force_and_the_focus_stays(page: Page) -> None:
    card = start(page, stubborn=True)
    card.stop.press("Enter")
    expect(card.countdown).to_have_text(re.compile(r"^Asked to exit\. Force in 16 min \d+ s\.$"))
    expect(card.stop).to_be_focused()
    card.stop.press("Enter")
    expect(card.state).to_have_text("Stopped")
    expect(card.countdown).to_be_hidden()
    expect(card.where).to_be_focused()  # the button is no longer there


def test_what_a_dead_agent_left_behind_is_shown_row_by_row(page: Page) -> None:
    card = start(page, stubborn=True)
    members, port = card.members(), card.preview()
    members[0].kill()
    expect(card.countdown).to_contain_text("What it left behind was asked to exit. Force in")
    expect(card.outcomes.first).to_have_text("gone")
    card.stop.click()
    expect(card.state).to_have_text("Agent died")
    expect(card.message).to_contain_text(re.compile(r"It left \d processes behind, and no process"))
    expect(card.outcomes).to_have_text([END] * len(members))
    expect(card.outcomes.first).to_have_text("died")
    expect(card.outcomes.last).to_contain_text("killed")
    assert living(members) == []
    assert not listens(port)


@pytest.mark.parametrize("guarded", [True, False], ids=["by the guard", "by the recovery"])
def test_after_a_crash_each_row_says_what_was_ended(
    tmp_path: Path, open_page: Open, *, guarded: bool
) -> None:
    with serving(tmp_path / "console") as crashed:
        page = open_page(crashed)
        card = start(page, stubborn=True)
        members, port = card.members(), card.preview()
        log = card.log.inner_text()
        if not guarded:
            crashed.kill_guard()
        crashed.crash()
        expect(page.locator("#away")).to_be_visible()
        with serving(crashed.folder, port=crashed.port, grace=0.2) as server:
            expect(card.state).to_have_text("Recovered")
            expect(card.message).to_contain_text("The server that started it died.")
            expect(card.names).to_have_text(names())
            expect(card.outcomes).to_have_text([END] * len(members))
            if not guarded:
                expect(card.outcomes.first).to_contain_text("killed")
            expect(card.log).to_have_text(log, use_inner_text=True)
            assert living(members) == []
            assert not listens(port)
            assert server.written() == set()
            if not guarded:
                take_picture(page, "session-console-recovered")


def test_while_the_server_is_away_no_button_works(tmp_path: Path, open_page: Open) -> None:
    with serving(tmp_path / "console") as crashed:
        page = open_page(crashed)
        card = start(page)
        crashed.crash()
        card.stop.click(force=True)  # perhaps before the page knows
        away = page.locator("#away")
        expect(away).to_be_visible()
        expect(away).to_contain_text("all processes of its agents are ended as well, by its guard")
        expect(page).to_have_title("Server away - Session console")
        for button in page.get_by_role("button").all():
            expect(button).to_be_disabled()
            button.click(force=True)
        page.get_by_label("Repository").press("Enter")
        expect(page.locator("#announcements")).to_contain_text("Not now: the server is away.")
        expect(page.locator("body")).not_to_contain_text("Failed to fetch")
        expect(page.locator("#refusal")).to_be_hidden()
        with serving(crashed.folder, port=crashed.port):
            expect(away).to_be_hidden()
            expect(card.state).to_have_text("Recovered")
            expect(page.get_by_role("button", name="Start", exact=True)).to_be_enabled()
            expect(page.locator("article")).to_have_count(1)


def test_a_server_that_says_nothing_is_away_and_its_agents_go_on(
    server: Server, page: Page
) -> None:
    card = start(page)
    members = card.members()
    card.dialog.get_by_label("90 days").check()
    server.process.send_signal(signal.SIGSTOP)
    away = page.locator("#away")
    expect(away).to_be_visible()
    expect(away).to_contain_text("If only the connection is lost, the agents go on.")
    assert living(members) == members
    server.process.send_signal(signal.SIGCONT)
    expect(away).to_be_hidden()
    expect(card.state).to_have_text("Waiting for you")
    expect(card.dialog.get_by_label("90 days")).to_be_checked()
    answer = card.dialog.get_by_role("button", name="Answer")
    page.route("**/answer", lambda route: route.abort())  # a request fails, the stream does not
    answer.click()
    announced = page.locator("#announcements p")
    expect(announced.get_by_text("The server is back.")).to_have_count(2)
    expect(card.dialog).not_to_contain_text("Failed to fetch")
    page.unroute("**/answer")
    answer.click()
    expect(card.state).to_have_text("Ended by itself")


def test_the_page_fits_a_phone_and_nothing_moves_where_that_is_asked_for(
    server: Server, open_page: Open
) -> None:
    page = open_page(server, reduced_motion="reduce")
    page.set_viewport_size({"width": 390, "height": 844})
    card = start(page, "example/" + "long-" * 11, stubborn=True)
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    card.stop.click()
    expect(card.countdown).to_be_visible()
    expect(card.state).to_have_css("animation-name", "none")
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    card.stop.click()
    expect(card.state).to_have_text("Stopped")
