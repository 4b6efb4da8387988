"""From a press of Start in a browser to the first finished step, and to the first row of an evaluation on the page.

    python benchmarks/start.py [--rounds 3]

The server has done the same once before. Training is told by the run's log, an evaluation by what the page shows. Needs
Chromium (/usr/bin/chromium) and the packages of requirements-dev.txt. Prints the medians as a Markdown table.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

from page import free_port, wait_until_served  # noqa: E402

from trainer.events import FINAL, Event, EventLog, Step  # noqa: E402

if TYPE_CHECKING:
    from playwright.sync_api import Page

PATIENCE_S = 300.0
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
]


def newest_events(workspace: Path) -> list[Event]:
    logs = sorted(workspace.glob("saves/*/*/*/events.jsonl"), key=lambda each: each.stat().st_mtime)
    return EventLog(logs[-1]).read().events if logs else []


def wait_for(workspace: Path, kinds: tuple[type[Event], ...], after: float) -> Event:
    """The first event of these kinds that happened after a press. Raises TimeoutError."""
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        for event in newest_events(workspace):
            if isinstance(event, kinds) and event.at > after:
                return event
        time.sleep(0.05)
    raise TimeoutError(f"no {kinds[0].__name__} within {PATIENCE_S:.0f} s")


def press(page: Page, workspace: Path) -> float:
    """Seconds from the press of Start to the first step; waits until the run is over. The page is loaded anew."""
    page.reload()
    start = page.get_by_role("button", name="Start training")
    start.wait_for(timeout=PATIENCE_S * 1000)
    page.wait_for_timeout(3000)
    pressed = time.time()
    start.click()
    first = wait_for(workspace, (Step,), pressed)
    wait_for(workspace, FINAL, pressed)
    return first.at - pressed


# Rows of the run whose id is given are on the page; another run's do not count.
ROWS = """(before) => {
  const run = document.querySelector('#judged-head [data-run]')?.dataset.run || '';
  return run && run !== before && document.querySelectorAll('#evaluate-rows .tb-answers tbody').length > 0
    && Number(document.querySelector('#evaluate-rows .tb-rows')?.dataset.found) > 0;
}"""


def evaluate(page: Page, workspace: Path) -> float:
    """Seconds from the press of Start in the Evaluate tab to the first row in the table; waits until the run is over."""
    page.reload()
    page.locator("#tabs button[role='tab']").nth(1).click()
    page.locator("#say-evaluate-start").wait_for(timeout=PATIENCE_S * 1000)
    page.wait_for_timeout(3000)
    before = page.evaluate("document.querySelector('#judged-head [data-run]')?.dataset.run || ''")
    pressed = time.time()
    page.click("#say-evaluate-start")
    page.wait_for_function(ROWS, arg=before, timeout=PATIENCE_S * 1000)
    seconds = time.time() - pressed
    wait_for(workspace, FINAL, pressed)
    return seconds


def table(what: str, seconds: list[float]) -> str:
    every = ", ".join(f"{each:.2f}" for each in seconds[1:])
    return f"| {what} | {seconds[0]:.2f} | {statistics.median(seconds[1:]):.2f} | {every} |"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    from playwright.sync_api import sync_playwright

    with tempfile.TemporaryDirectory() as folder, sync_playwright() as play:
        port, workspace = free_port(), Path(folder)
        command = [sys.executable, "app.py", "--port", str(port), "--workspace", folder]
        server = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)
        try:
            wait_until_served(f"http://127.0.0.1:{port}/", server)
            browser = play.chromium.launch(executable_path="/usr/bin/chromium", args=FLAGS)
            page = browser.new_page(locale="en")
            page.goto(f"http://127.0.0.1:{port}/")
            steps = [press(page, workspace) for _ in range(rounds + 1)]
            rows = [evaluate(page, workspace) for _ in range(rounds + 1)]
            browser.close()
        finally:
            server.terminate()
            server.wait(60)
    print("| until | first press (s) | warm, median (s) | warm, all (s) |\n|---|---|---|---|")
    print(table("first training step", steps))
    print(table("first evaluated row on the page", rows))


if __name__ == "__main__":
    main()
