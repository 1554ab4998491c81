"""Real: the session console in a browser, with agents that wait for an answer."""

from __future__ import annotations

import contextlib
import http.client
import re
import signal
from typing import TYPE_CHECKING

import pytest

from support.consoles import Server, listens, living
from support.pages import BOUND, Open, expect, names, shown, start, take_picture

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = [pytest.mark.needs("chromium", "fork"), pytest.mark.timeout(120)]

EVENTS = ["started", "stopping", "stopped"]


def test_stop_ends_the_tree_while_the_dialog_hangs(server: Server, page: Page) -> None:
    card = start(page)
    members, port = card.members(), card.preview()
    assert listens(port)
    assert server.written()
    card.stop.click()
    expect(card.state).to_have_text("Stopped")
    expect(card.events.last).to_contain_text("github.session.stopped")
    expect(card.message).to_contain_text("terminated")
    expect(card.rows.locator(".outcome")).to_contain_text(["terminated"] * len(members))
    expect(card.dialog).to_be_hidden()
    assert living(members) == []
    assert not listens(port)
    assert server.written() == set()


def test_a_second_click_forces_an_agent_that_ignores_everything(server: Server, page: Page) -> None:
    card = start(page, stubborn=True)
    members, port = card.members(), card.preview()
    card.stop.click()
    expect(card.state).to_have_text("Stopping")
    expect(card.stop).to_have_text("Force now")
    root = members[0]
    assert living([root]) == [root]
    card.stop.click()
    expect(card.state).to_have_text("Stopped")
    expect(card.message).to_contain_text("killed")
    expect(card.rows.first.locator(".outcome")).to_contain_text("killed")
    assert living(members) == []
    assert not listens(port)
    assert server.written() == set()


def test_a_server_that_is_asked_to_leave_stops_its_sessions(server: Server, page: Page) -> None:
    card = start(page)
    members = card.members()
    server.process.send_signal(signal.SIGTERM)
    server.process.wait()
    assert living(members) == []
    assert server.written() == set()
    expect(page.locator("#link")).to_have_text("the server is away")


def test_two_browsers_see_the_same_events(server: Server, page: Page, open_page: Open) -> None:
    other = open_page(server)
    card = start(page)
    seen = [card, shown(other)]
    expect(seen[1].dialog).to_be_visible()
    seen[1].stop.click()
    for view in seen:
        expect(view.state).to_have_text("Stopped")
        expect(view.events).to_have_text([re.compile(rf"github\.session\.{n}$") for n in EVENTS])
        expect(view.message).to_be_visible()
    late = shown(open_page(server))
    expect(late.state).to_have_text("Stopped")
    expect(late.where).to_have_text(card.where.inner_text(), use_inner_text=True)


def test_an_answer_finishes_the_task_by_the_keyboard_alone(server: Server, page: Page) -> None:
    page.keyboard.press("n")
    page.keyboard.type("example/keyboard")
    page.keyboard.press("Enter")
    card = shown(page)
    expect(card.dialog).to_be_visible()
    expect(card.names).to_have_text(names())
    members = card.members()
    card.dialog.get_by_label("30 days").focus()
    for key in ("ArrowRight", "Enter"):
        page.keyboard.press(key)
    expect(card.state).to_have_text("Ended by itself")
    expect(card.result).to_contain_text(
        "closed the issues of example/keyboard that were silent for 90 days"
    )
    expect(card.message).to_have_text("The agent ended by itself. It left no process behind.")
    expect(card.outcomes).to_have_text(["ended by itself"] * len(members))
    assert living(members) == []
    assert server.written() == set()


def test_a_session_that_ends_leaves_the_others_alone(page: Page) -> None:
    first = start(page, "example/first")
    first.stop.click()
    expect(first.state).to_have_text("Stopped")
    second = start(page, "example/second", stubborn=True)
    expect(page.locator("article")).to_have_count(2)
    expect(first.state).to_have_text("Stopped")
    assert living(second.members())
    take_picture(page, "session-console")
    second.stop.click()
    second.stop.and_(page.get_by_text("Force")).click()
    expect(second.state).to_have_text("Stopped")


def test_a_post_without_the_token_is_refused(server: Server, page: Page) -> None:
    body = {"repository": "example/foreign"}
    for path in ("sessions", "sessions/a/stop", "sessions/a/answer"):
        for headers in ({}, {"X-Console-Token": "guessed"}):
            answer = page.request.post(server.url + path, data=body, headers=headers)
            assert answer.status == 403
    expect(page.locator("article")).to_have_count(0)


def test_a_request_for_another_host_is_refused(server: Server) -> None:
    assert status(server, f"127.0.0.1:{server.port}") == 200
    for host in ("attacker.example", f"attacker.example:{server.port}", "127.0.0.1"):
        assert status(server, host) == 403


def test_an_unknown_session_is_not_found(server: Server) -> None:
    page, token = http.client.HTTPConnection("127.0.0.1", server.port, timeout=BOUND / 1000), None
    with contextlib.closing(page):
        page.request("GET", "/")
        token = re.search(r'name="token" content="([^"]+)"', page.getresponse().read().decode())
        assert token
        for path, body in (("stop", ""), ("answer", '{"action": "decline"}')):
            headers = {"X-Console-Token": token[1]}
            page.request("POST", f"/sessions/nothing/{path}", body, headers)
            answer = page.getresponse()
            assert (answer.status, answer.read()) == (404, b"Session nothing not found")


def status(server: Server, host: str) -> int:
    """Return the status of the page when this host name asks."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=BOUND / 1000)
    try:
        connection.request("GET", "/", headers={"Host": host})
        return connection.getresponse().status
    finally:
        connection.close()
