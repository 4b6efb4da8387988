"""How long until the page is served and how much memory the server holds, beside a peer in turn.

    python benchmarks/page.py [--rounds 3] [--peer "bash peer.sh page VENV"]

The peer's command must print `peer_page_s SECONDS` and `peer_page_rss_mib MIB`. Each round starts every contender anew;
the contender that begins changes from round to round. Prints medians and ratios as a Markdown table.
"""

from __future__ import annotations

import argparse
import os
import shlex
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import NamedTuple

import psutil

ROOT = Path(__file__).resolve().parent.parent
PATIENCE_S = 120.0


class Page(NamedTuple):
    seconds: float
    mib: float


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until_served(url: str, process: subprocess.Popen[bytes]) -> None:
    """Returns once `url` answers. Raises RuntimeError when the server ends or stays silent."""
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        if process.poll() is not None:
            raise RuntimeError(f"the server ended with status {process.returncode}")
        try:
            with urllib.request.urlopen(url, timeout=2):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.05)
    raise RuntimeError(f"nothing was served at {url} within {PATIENCE_S:.0f} s")


def tree_mib(pid: int) -> float:
    """Resident memory of a process and its children in MiB."""
    parent = psutil.Process(pid)
    return sum(each.memory_info().rss for each in (parent, *parent.children(recursive=True))) / 2**20


def ours() -> Page:
    """The time to the first answer, and the memory at that moment, as the peer's script takes it."""
    port = free_port()
    with tempfile.TemporaryDirectory() as workspace:
        begin = time.monotonic()
        process = subprocess.Popen(
            [sys.executable, "app.py", "--port", str(port), "--workspace", workspace],
            cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            env={**os.environ, "GRADIO_ANALYTICS_ENABLED": "False"},
        )  # fmt: skip
        try:
            wait_until_served(f"http://127.0.0.1:{port}/", process)
            return Page(time.monotonic() - begin, tree_mib(process.pid))
        finally:
            process.terminate()
            process.wait(30)


def peer(command: str) -> Page:
    out = subprocess.run(shlex.split(command), capture_output=True, text=True, check=True).stdout
    facts = dict(line.split() for line in out.splitlines() if line.startswith("peer_page"))
    return Page(float(facts["peer_page_s"]), float(facts["peer_page_rss_mib"]))


def median(pages: list[Page]) -> Page:
    return Page(statistics.median(p.seconds for p in pages), statistics.median(p.mib for p in pages))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--peer", default="", help="command that measures the peer's page")
    args = parser.parse_args()
    contenders = {"TuneBoard": ours, **({"peer": lambda: peer(args.peer)} if args.peer else {})}
    found: dict[str, list[Page]] = {name: [] for name in contenders}
    for turn in range(args.rounds):
        names = list(contenders)
        for name in names if turn % 2 == 0 else names[::-1]:
            found[name].append(contenders[name]())
            print(f"round {turn + 1} {name}: {found[name][-1]}", file=sys.stderr)
    medians = {name: median(pages) for name, pages in found.items()}
    base = medians.get("peer")
    print("| | page served (s) | ratio | memory (MiB) | ratio |\n|---|---|---|---|---|")
    for name, page in medians.items():
        ratios = [f"{a / b:.2f}" for a, b in zip(page, base, strict=True)] if base else ["-", "-"]
        print(f"| {name} | {page.seconds:.2f} | {ratios[0]} | {page.mib:.0f} | {ratios[1]} |")


if __name__ == "__main__":
    main()
