"""A web application that starts and stops agents, and leaves none behind."""

from __future__ import annotations

import logging
import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Annotated

from fastapi import Depends, FastAPI, HTTPException, Path, Request
from fastapi.responses import JSONResponse

from proctree_kill import SessionEvent, SessionManager, SessionState, StopResult, errors

FOLDER = os.environ.get("AGENTS_FOLDER", "agents")  # each server needs its own
AGENT = ["sh", "-c", "sleep 1000 & sleep 1000"]  # yours, with the servers that it starts

log = logging.getLogger("uvicorn.error")  # uvicorn shows it


async def broadcast(event: SessionEvent) -> None:
    """Tell what happens; a coroutine function runs on the loop of the application."""
    log.info("%s %s %s", event.event, event.session_id, event.error or "")


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncGenerator[None]:
    """End what a crash has left; at the end, stop all agents."""
    async with SessionManager(FOLDER, event_broadcaster=broadcast) as manager:
        await manager.arecover()
        app.state.manager = manager
        yield


def of_application(request: Request) -> SessionManager:
    """Return the manager of the application."""
    manager: SessionManager = request.app.state.manager
    return manager


Manager = Annotated[SessionManager, Depends(of_application)]
AgentId = Annotated[str, Path(pattern=r"^[a-z]+-[0-9]{1,9}$")]  # like chat-7; else 422
app = FastAPI(lifespan=lifespan)


@app.exception_handler(errors.SessionError)
async def conflict(_: Request, error: Exception) -> JSONResponse:
    """Answer that the id is in use, or that the application is about to exit."""
    return JSONResponse({"detail": str(error)}, status_code=409)


@app.get("/agents")
async def show(manager: Manager) -> dict[str, SessionState]:
    """List the agents that are not over."""
    return {name: session.state for name, session in manager.sessions.items()}


@app.post("/agents/{agent_id}", status_code=201)
async def start(agent_id: AgentId, manager: Manager) -> int | None:
    """Start an agent; return its pid."""
    session = await manager.aspawn_agent(agent_id, AGENT, tool="agent")
    return session.pid


@app.delete("/agents/{agent_id}")
async def stop(agent_id: AgentId, manager: Manager) -> StopResult:
    """Stop an agent, and say what became of each of its processes."""
    result = await manager.astop_agent(agent_id)
    if not result.success:
        raise HTTPException(404 if result.method == "not_found" else 500, result.error)
    return result
