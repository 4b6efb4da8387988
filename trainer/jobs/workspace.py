"""The only thing that lives as long as the server: its folder, its runs and its chat."""

from __future__ import annotations

import threading
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from trainer.jobs import launch
from trainer.jobs.exports import Exports
from trainer.jobs.jobs import Jobs
from trainer.jobs.results import Results
from trainer.jobs.shelf import Limits, Shelf
from trainer.jobs.survey import Survey
from trainer.jobs.work import Run, run_stage

if TYPE_CHECKING:
    from trainer.chat.engine import ChatEngine
    from trainer.evaluate.judge import Judge


class Workspace:
    """Everything of one server below the folder `root`.

    `trust_remote_code` and `judge` are the word of the person at the terminal; no page can give them. `run` trains
    (tests put a quick one in its place). `limits` is what may be uploaded.
    """

    def __init__(
        self,
        root: Path,
        *,
        trust_remote_code: bool = False,
        run: Run | None = None,
        limits: Limits | None = None,
        judge: Judge | None = None,
    ) -> None:
        self.root = root.resolve()
        self.trust_remote_code = trust_remote_code
        self.has_judge = judge is not None
        self._chat: ChatEngine | None = None
        self._making_chat = threading.Lock()
        self.shelf = Shelf(self.root, limits)
        self.shelf.tidy()
        self.jobs = Jobs(
            self.root, run=run or partial(run_stage, judge=judge), trust_remote_code=trust_remote_code
        )
        self.results = Results(self.jobs, self.shelf)
        self.exports = Exports(self.jobs)
        self.survey = Survey()
        # Hundreds of runs are looked through for it, while the page is served.
        threading.Thread(target=self.exports.tidy, name="tidy-exports", daemon=True).start()

    @property
    def saves(self) -> Path:
        """Where the runs lie."""
        return self.jobs.saves

    @property
    def data_dir(self) -> Path:
        """The data folder of this workspace, or the one that comes with the program."""
        return self.shelf.folder

    @property
    def chat(self) -> ChatEngine:
        """The chat, made when it is first asked for."""
        with self._making_chat:
            if self._chat is None:
                from trainer.chat.engine import ChatEngine

                self._chat = ChatEngine(warm_up=launch.warm_up)
            return self._chat

    def close(self) -> None:
        """Stops a run of this server, which keeps its checkpoint; what waits goes on at the next start."""
        self.shelf.close()
        self.jobs.close()
