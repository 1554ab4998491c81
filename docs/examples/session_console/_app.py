"""The web application: a page, a stream of events, and the requests of a user."""

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

from ._access import AccessCheck
from ._console import Console

STATIC = Path(__file__).with_name("static")


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Task(_Body):
    """The task of a new agent."""

    repository: str = Field(pattern=r"^[\w.-]{1,60}/[\w.-]{1,60}$")
    stubborn: bool = False


class Answer(_Body):
    """The answer of a user to a question."""

    action: Literal["accept", "decline"]
    content: dict[str, str | int | float | bool] | None = Field(default=None, max_length=20)


class Application:
    """The handlers of the requests, on one console."""

    def __init__(self, console: Console) -> None:
        """Begin with a new token."""
        self._console = console
        self._token = secrets.token_urlsafe(32)
        self._instance = secrets.token_hex(8)

    def starlette(self, hosts: list[str]) -> Starlette:
        """Return the application for a server with these hosts."""
        return Starlette(
            routes=[
                Route("/", self.page),
                Route("/events", self.events),
                Route("/sessions", self.start, methods=["POST"]),
                Route("/sessions/{id}/stop", self.stop, methods=["POST"]),
                Route("/sessions/{id}/answer", self.answer, methods=["POST"]),
                Mount("/static", StaticFiles(directory=STATIC)),
            ],
            middleware=[Middleware(AccessCheck, hosts=hosts, token=self._token)],
            exception_handlers={
                ValidationError: _invalid,
                LookupError: _failing(404),
                OSError: _failing(500),
                errors.ProctreeKillError: _failing(500),
            },
            lifespan=self._lifespan,
        )

    async def page(self, _: Request) -> Response:
        """Return the page with the token in it. Pages of other origins cannot read it."""
        text = (STATIC / "index.html").read_text(encoding="utf-8")
        text = text.replace("{{token}}", escape(self._token))
        return HTMLResponse(text.replace("{{instance}}", escape(self._instance)))

    async def events(self, _: Request) -> Response:
        """Send the state of each session, then all changes."""

        def first() -> list[tuple[str, object]]:
            cards = self._console.cards.values()
            return [("hello", self._instance), *(("session", card.data()) for card in cards)]

        stream = self._console.feed.stream(first)
        return StreamingResponse(stream, media_type="text/event-stream")

    async def start(self, request: Request) -> Response:
        """Start an agent."""
        task = Task.model_validate_json(await request.body())
        card = await self._console.start(task.repository, stubborn=task.stubborn)
        return PlainTextResponse(card.id, status_code=201)

    async def stop(self, request: Request) -> Response:
        """Stop a session; the second time by force. Events report the outcome."""
        self._console.stop(request.path_params["id"])
        return Response(status_code=202)

    async def answer(self, request: Request) -> Response:
        """Answer the question of an agent."""
        answer = Answer.model_validate_json(await request.body())
        delivered = self._console.answer(request.path_params["id"], answer.model_dump())
        if not delivered:
            return PlainTextResponse("this question is over", status_code=409)
        return Response(status_code=204)

    @asynccontextmanager
    async def _lifespan(self, _: Starlette) -> AsyncIterator[None]:
        async with self._console:
            yield


def _invalid(_: Request, error: Exception) -> Response:
    wrong = error.errors() if isinstance(error, ValidationError) else []
    texts = [f"{'.'.join(map(str, part['loc']))}: {part['msg']}" for part in wrong]
    return PlainTextResponse("; ".join(texts), status_code=422)


def _failing(status: int) -> Callable[[Request, Exception], Response]:
    def handle(_: Request, error: Exception) -> Response:
        return PlainTextResponse(str(error), status_code=status)

    return handle
