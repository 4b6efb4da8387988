"""The curve of a run, handed to other programs as it grows."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from transformers import TrainerCallback
from transformers.trainer_callback import TrainerControl, TrainerState
from transformers.training_args import TrainingArguments

from trainer.config import RunConfig
from trainer.errors import UserError, Values
from trainer.events import Note
from trainer.train.trackers import KINDS, Card, Tracker

logger = logging.getLogger(__name__)


def programs(names: tuple[str, ...]) -> list[str]:
    """The programs that `report_to` means; `all` are those that are installed.

    Raises UserError for one that is not known or not installed.
    """
    wanted = list(dict.fromkeys(name.strip().lower() for name in names if name.strip().lower() != "none"))
    if "all" in wanted:
        return [name for name, kind in KINDS.items() if kind.is_installed()]
    for name in wanted:
        if name not in KINDS:
            raise UserError("tracker_unknown", field="report_to", name=name, known=", ".join(KINDS))
        if not KINDS[name].is_installed():
            raise UserError("tracker_missing", field="report_to", name=name, package=KINDS[name].package)
    return wanted


@contextmanager
def curves(config: RunConfig, emit: Callable[[Note], None], first: bool = True) -> Iterator[Curves]:
    """What hands on the curve of a run; closed at the end of the block, whatever happened in it."""
    folder = Path(config.train.output_dir)
    name = str(config.extra.get("run_name") or folder.resolve().name)
    card = Card(
        folder, config.train.project, name, config.to_flat(), online=config.train.swanlab_mode == "cloud"
    )
    # Of several processes the first one hands it on.
    found = Curves(programs(config.train.report_to) if first else [], card, emit)
    try:
        yield found
    finally:
        found.close()


class Curves(TrainerCallback):
    """Hands losses, rates and evaluations to the programs that `names` names, under transformers' names for them.

    They are opened when the first step begins. One that fails is told, closed and not asked again.
    """

    def __init__(self, names: list[str], card: Card, emit: Callable[[Note], None]) -> None:
        self._names = names
        self._card = card
        self._emit = emit
        self._open: dict[str, Tracker] = {}

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        if not state.is_world_process_zero:
            return
        card = replace(self._card, step=state.global_step)
        for name in self._names:
            self._try(name, lambda name=name: self._open.update({name: KINDS[name].open(card, self._tell)}))  # type: ignore[misc]

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, Any] | None = None,
        **_: Any,
    ) -> None:
        values = _named(logs or {})
        for name, tracker in list(self._open.items()):
            self._try(name, lambda tracker=tracker: tracker.log(values, state.global_step))  # type: ignore[misc]

    def close(self) -> None:
        """Ends what is open, so that the next run of this process begins a new one."""
        for name in list(self._open):
            self._try(name, self._open.pop(name).close)

    def _try(self, name: str, act: Callable[[], None]) -> None:
        try:
            act()
        # Libraries that cannot go on may call sys.exit().
        except (Exception, SystemExit) as error:
            logger.warning("%s failed", name, exc_info=True)
            reason = " ".join(str(error).split())[:200] or type(error).__name__
            self._emit(Note(code="tracker_failed", values={"name": name, "reason": reason}, level="warning"))
            if failed := self._open.pop(name, None):
                self._try(name, failed.close)

    def _tell(self, code: str, values: Values) -> None:
        self._emit(Note(code=code, values=values))


def _named(logs: dict[str, Any]) -> dict[str, float]:
    """`loss` as train/loss and `eval_loss` as eval/loss, which the pages of these programs group by."""
    numbers = {name: float(value) for name, value in logs.items() if isinstance(value, (int, float))}
    return {
        f"eval/{name.removeprefix('eval_')}" if name.startswith("eval_") else f"train/{name}": value
        for name, value in numbers.items()
    }
