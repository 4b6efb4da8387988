"""A request whose other side is gone ends without a traceback; every other failure is still seen."""

from __future__ import annotations

import asyncio
from collections.abc import MutableMapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from starlette.requests import ClientDisconnect

from webui.quiet import App, quiet


def failing(error: BaseException) -> App:
    async def app(*_: Any) -> None:
        raise error

    return app


async def receive() -> MutableMapping[str, Any]:
    return {"type": "http.disconnect"}


async def send(_: MutableMapping[str, Any]) -> None:
    raise AssertionError("nobody is there to hear an answer")


def ask(app: App) -> None:
    async def asked() -> None:
        await app({"type": "http"}, receive, send)

    # In a thread of its own: Playwright's loop may be running in this one.
    with ThreadPoolExecutor(1) as pool:
        pool.submit(lambda: asyncio.run(asked())).result()


@pytest.mark.parametrize("error", [ClientDisconnect(), asyncio.CancelledError()])
def test_who_is_gone_is_told_nothing(error: BaseException) -> None:
    ask(quiet(failing(error)))


def test_a_defect_is_still_seen() -> None:
    with pytest.raises(ValueError, match="a defect"):
        ask(quiet(failing(ValueError("a defect"))))
