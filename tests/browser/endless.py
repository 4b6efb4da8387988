"""app.py with a chat in which two sides answer, word by word, until they are stopped. Not a test: a server for one."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import app
from trainer.chat.engine import Loaded
from trainer.chat.request import Chunk, Mode, Request, Turn
from trainer.errors import UserError
from trainer.jobs.workspace import Workspace

SIDES = ("base", "tuned")


class EndlessChat:
    """Speaks like the engine. Each answer repeats how many turns went before it, so that histories can be seen."""

    def __init__(self) -> None:
        self.state = "empty"
        self.loaded: Loaded | None = None
        self._stops: dict[str, threading.Event] = {}

    def load(self, model: str, adapters: Sequence[str] = (), mode: Mode = "base", **_: object) -> Loaded:
        self.loaded = Loaded(model, ("tuned",), "compare", SIDES, "cpu", "float32", 2048)
        self.state = "ready"
        return self.loaded

    def unload(self) -> None:
        self.state, self.loaded = "empty", None

    def stop(self, owner: str = "") -> None:
        for name, stop in self._stops.items():
            if not owner or name == owner:
                stop.set()

    def stream(self, request: Request) -> Iterator[Chunk]:
        if self.loaded is None:
            raise UserError("chat_empty")
        stop = self._stops[request.owner] = threading.Event()
        texts = {side: f"<b>{side}</b> {len(request.histories.get(side, ()))}" for side in SIDES}
        count = 0
        while not stop.wait(0.02):
            count += 1
            for side in SIDES:
                texts[side] += f" {side}-{count}"
                yield Chunk(side, texts[side], "", count, 50.0)
        for side in SIDES:
            turn = Turn(request.question, texts[side])
            history = (*request.histories.get(side, ()), turn)
            yield Chunk(side, texts[side], "stopped", count, 50.0, history=history)


if __name__ == "__main__":
    chat = EndlessChat()
    Workspace.chat = property(lambda workspace: chat)  # type: ignore[assignment,method-assign]
    sys.exit(app.main())
