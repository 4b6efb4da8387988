"""Whether evaluated rows were among those that a checkpoint was trained on."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from trainer.config import RunConfig, read_file
from trainer.dataset.conversation import Row
from trainer.dataset.info import choose
from trainer.dataset.load import rows_of
from trainer.dataset.stream import trained_on
from trainer.errors import UserError
from trainer.evaluate.rows import fingerprint
from trainer.events import Note


def notes(rows: Sequence[Row], checkpoints: Sequence[Path], data_folder: str) -> list[Note]:
    """One note for each checkpoint that has seen some of the rows; none where its run's settings are not known.

    `data_folder` is where a run's datasets are looked for if its own folder is gone.
    """
    known = {fingerprint(row.conversation) for row in rows}
    found: list[Note] = []
    for path in checkpoints:
        config = _settings(path)
        if config is None:
            continue
        seen: set[bytes] = set()
        try:
            for row in _trained_rows(config, data_folder):
                mark = fingerprint(row.conversation)
                if mark in known:
                    seen.add(mark)
        # What the run was trained on may be gone by now.
        except (UserError, OSError):
            continue
        count = sum(fingerprint(row.conversation) in seen for row in rows) if seen else 0
        if count:
            values: dict[str, str | int | float] = {"count": count, "rows": len(rows), "path": str(path)}
            found.append(Note(code="evaluate_trained_on", values=values, level="warning"))
    return found


def _settings(checkpoint: Path) -> RunConfig | None:
    """The settings of the run that left the checkpoint: its own folder's, or that of the folder above."""
    for folder in (checkpoint, checkpoint.parent):
        file = folder / "config.yaml"
        if file.is_file():
            try:
                config = RunConfig.from_flat(read_file(file))
            except UserError:
                return None
            return config if config.task == "train" else None
    return None


def _trained_rows(config: RunConfig, data_folder: str) -> Iterable[Row]:
    data = config.data
    if not Path(data.dataset_dir, "dataset_info.json").is_file():
        data = replace(data, dataset_dir=data_folder)
    if data.val_size and not data.eval_dataset:
        return trained_on(data, config.train.seed, config.model.hub)
    return (
        row
        for info in choose(data.dataset_dir, data.dataset, data.stage)
        for row in rows_of(info, data, config.model.hub)
        if isinstance(row, Row)
    )
