"""Requests that end because their other side is gone are no defects: nothing is written to the log about them."""

from __future__ import annotations

from asyncio import CancelledError
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from starlette.requests import ClientDisconnect

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


def quiet(app: App) -> App:
    """The same ASGI application, which does not fail when an upload is broken off, or the server ends under a page."""

    async def served(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await app(scope, receive, send)
        except (ClientDisconnect, CancelledError):
            # uvicorn cancels a request only when it ends itself; for both it would write a traceback.
            return

    return served
