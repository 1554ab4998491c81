"""The web application: a page, a stream of events, and three things that a user may do."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from html import escape
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from proctree_kill import errors

from ._console import Console
from ._gate import Gate

STATIC = Path(__file__).with_name("static")


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Task(_Body):
    """What an agent is to do."""

    repository: str = Field(pattern=r"^[\w.-]{1,60}/[\w.-]{1,60}$")
    deaf: bool = False


class Answer(_Body):
    """What a user says to a question."""

    action: Literal["accept", "decline"]
    content: dict[str, str | int | float | bool] | None = Field(default=None, max_length=20)


class Application:
    """The requests that are answered, on one console."""

    def __init__(self, console: Console) -> None:
        """Begin with a new token."""
        self._console = console
        self._token = secrets.token_urlsafe(32)
        self._instance = secrets.token_hex(8)

    def starlette(self, hosts: list[str]) -> Starlette:
        """Return it for a server that answers to these hosts."""
        return Starlette(
            routes=[
                Route("/", self.page),
                Route("/events", self.events),
                Route("/sessions", self.start, methods=["POST"]),
                Route("/sessions/{id}/stop", self.stop, methods=["POST"]),
                Route("/sessions/{id}/answer", self.answer, methods=["POST"]),
                Mount("/static", StaticFiles(directory=STATIC)),
            ],
            middleware=[Middleware(Gate, hosts=hosts, token=self._token)],
            exception_handlers={
                ValidationError: _failing(422),
                KeyError: _failing(404),
                OSError: _failing(500),
                errors.ProctreeKillError: _failing(500),
            },
            lifespan=self._lifespan,
        )

    async def page(self, _: Request) -> Response:
        """Give the page, with the token in it: no other page can read that."""
        text = (STATIC / "index.html").read_text(encoding="utf-8")
        text = text.replace("{{token}}", escape(self._token))
        return HTMLResponse(text.replace("{{instance}}", escape(self._instance)))

    async def events(self, _: Request) -> Response:
        """Tell how every session stands, and then whatever changes."""

        def first() -> list[tuple[str, object]]:
            cards = self._console.cards.values()
            return [("hello", self._instance), *(("session", one.data()) for one in cards)]

        stream = self._console.feed.listen(first)
        return StreamingResponse(stream, media_type="text/event-stream")

    async def start(self, request: Request) -> Response:
        """Start an agent."""
        task = Task.model_validate_json(await request.body())
        card = await self._console.start(task.repository, deaf=task.deaf)
        return PlainTextResponse(card.id, status_code=201)

    async def stop(self, request: Request) -> Response:
        """Stop a session, the second time by force; what comes of it is told by events."""
        self._console.stop(request.path_params["id"])
        return Response(status_code=202)

    async def answer(self, request: Request) -> Response:
        """Answer the question of an agent."""
        answer = Answer.model_validate_json(await request.body())
        asked = self._console.answer(request.path_params["id"], answer.model_dump())
        return Response(status_code=204 if asked else 409)

    @asynccontextmanager
    async def _lifespan(self, _: Starlette) -> AsyncIterator[None]:
        """Manage sessions as long as the server runs."""
        async with self._console:
            yield


def _failing(status: int) -> Callable[[Request, Exception], Response]:
    """Return a handler that says why a request failed."""

    def handle(_: Request, error: Exception) -> Response:
        return PlainTextResponse(str(error), status_code=status)

    return handle
