"""The check of requests: only this page, and only by a name of this machine."""

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


class AccessCheck:
    """Refuses other hosts, and changes without the token.

    Any domain can point at this machine; the ``Host`` header shows a page of such a domain.
    """

    def __init__(self, app: ASGIApp, hosts: Collection[str], token: str) -> None:
        """Wrap an application.

        Args:
            app: the application.
            hosts: the values that the ``Host`` header may have.
            token: the token that each request for a change must carry.
        """
        self._app = app
        self._hosts = frozenset(hosts)
        self._token = token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
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
        if headers.get("host") not in self._hosts:
            return "this host is not ours"
        token = headers.get(TOKEN_HEADER, "")
        if method not in {"GET", "HEAD"} and not secrets.compare_digest(
            token.encode(), self._token.encode()
        ):
            return "the token is missing or wrong: load the page again"
        return None
