"""The real server in a temporary workspace, and a headless Chromium that looks at it."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from trainer.paths import REPOSITORY

# The time limits are for a slow and noisy machine; on a quiet one everything waits for conditions only.
PATIENCE_S = 240.0
FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip
LOCALES = {"en": "en-US", "zh": "zh-CN", "ru": "ru-RU", "ko": "ko-KR", "ja": "ja-JP"}


def free_port() -> int:
    with socket.socket() as trial:
        trial.bind(("127.0.0.1", 0))
        return int(trial.getsockname()[1])


class Server:
    """`python app.py` in a folder of its own. `workspace` is that folder, `url` the page; `script` may stand in for app.py."""

    def __init__(self, workspace: Path, script: Path = REPOSITORY / "app.py") -> None:
        self.workspace = workspace
        self._script = script
        self._process: subprocess.Popen[bytes] | None = None
        self.url = ""

    @property
    def log(self) -> str:
        return (self.workspace / "server.log").read_text(encoding="utf-8", errors="replace")

    def start(self) -> None:
        """Serves at a free port; another one is tried when somebody else took it in between."""
        for _ in range(3):
            port = free_port()
            with (self.workspace / "server.log").open("ab") as log:
                self._process = subprocess.Popen(
                    [sys.executable, str(self._script), "--port", str(port), "--workspace", str(self.workspace)],
                    cwd=self.workspace, stdout=log, stderr=subprocess.STDOUT,
                    env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"},
                )  # fmt: skip
            self.url = f"http://127.0.0.1:{port}"
            if self._answers():
                return
        raise RuntimeError(f"the page was not served:\n{self.log}")

    def _answers(self) -> bool:
        assert self._process is not None
        until = time.monotonic() + PATIENCE_S
        while time.monotonic() < until and self._process.poll() is None:
            try:
                with urllib.request.urlopen(self.url, timeout=10):
                    return True
            except OSError:
                time.sleep(0.2)
        return False

    def kill(self) -> None:
        """Ends it as a power cut would: without a word to it."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def stop(self) -> None:
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(60)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server for the tests of a file."""
    made = Server(tmp_path_factory.mktemp("workspace"))
    made.start()
    yield made
    made.stop()


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    path = shutil.which("chromium")
    if path is None:
        pytest.skip("no browser: install Debian's chromium (apt-get install chromium)")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=path, args=FLAGS)
        yield chromium
        chromium.close()


Open = Callable[..., Any]


@pytest.fixture
def open_page(server: Server, browser: Any) -> Iterator[Open]:
    """Opens the page in a browser of its own: `open_page(lang="zh", width=390)`, and waits until it can be used.

    After the test the console of every page must be clean and nothing may have been asked of other machines.
    """
    contexts: list[Any] = []
    complaints: list[str] = []

    def open_one(lang: str = "en", *, width: int = 1440, height: int = 900, dark: bool = False) -> Any:
        context = browser.new_context(
            viewport={"width": width, "height": height}, locale=LOCALES[lang], accept_downloads=True,
            color_scheme="dark" if dark else "light",
        )  # fmt: skip
        contexts.append(context)
        context.set_default_timeout(PATIENCE_S * 1000)
        page = context.new_page()
        page.on(
            "console",
            lambda said: complaints.append(said.text) if said.type in ("error", "warning") else None,
        )
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on(
            "request",
            lambda asked: complaints.append(asked.url) if _is_outside(asked.url, server.url) else None,
        )
        page.goto(server.url)
        page.wait_for_selector("#say-train-start")
        # The first answer of the server: the sentence beside Start.
        page.wait_for_function("() => /\\d/.test(document.querySelector('#sentence')?.innerText || '')")
        return page

    yield open_one
    for context in contexts:
        context.close()
    assert complaints == []


def _is_outside(url: str, own: str) -> bool:
    return not url.startswith((own, "data:", "blob:"))
