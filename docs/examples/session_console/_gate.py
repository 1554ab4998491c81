"""Who may ask: this page only, by the name of this machine only."""

from __future__ import annotations

import secrets
from collections.abc import Collection

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

TOKEN_HEADER = "X-Console-Token"  # noqa: S105 - the name of a header
HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'self'; frame-ancestors 'none'; form-action 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


class Gate:
    """Refuses foreign hosts, and requests without the token.

    Any name can be made to point at this machine: a page of that name is known by its host.
    """

    def __init__(self, app: ASGIApp, hosts: Collection[str], token: str) -> None:
        """Stand before an application.

        Args:
            app: the application.
            hosts: what the ``Host`` header may be.
            token: what a request that changes anything must bring.
        """
        self._app = app
        self._hosts = frozenset(hosts)
        self._token = token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request pass, or refuse it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        refusal = self._refusal(scope["method"], Headers(scope=scope))
        if refusal:
            await PlainTextResponse(refusal, status_code=403)(scope, receive, send)
            return

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                extra = [(name.lower().encode(), text.encode()) for name, text in HEADERS.items()]
                message["headers"] = [*message.get("headers", ()), *extra]
            await send(message)

        await self._app(scope, receive, with_headers)

    def _refusal(self, method: str, headers: Headers) -> str | None:
        """Say why a request is refused, if it is."""
        if headers.get("host") not in self._hosts:
            return "this host is not ours"
        brought = headers.get(TOKEN_HEADER, "")
        if method not in {"GET", "HEAD"} and not secrets.compare_digest(
            brought.encode(), self._token.encode()
        ):
            return "the token is missing or wrong: load the page again"
        return None
