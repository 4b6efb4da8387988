"""Where a run may lie: names proposed, folders opened, and what may be removed from them."""

from __future__ import annotations

import json
import re
import shutil
import time
from collections.abc import Iterator
from dataclasses import replace
from fnmatch import fnmatch
from pathlib import Path
from typing import NamedTuple

from trainer.config import RunConfig, Task, require_task, write_yaml
from trainer.dataset.info import choose
from trainer.errors import UserError, UserErrors, problems_of
from trainer.events import EventLog
from trainer.jobs.owner import is_busy
from trainer.paths import DATA, RunFolder, write_atomic

RECEIPT = "receipt.json"
PROPOSED = re.compile(r"(train|eval|export)_\d{4}(-\d\d){5}")
# The deepest run below saves/: model, method, run, and one folder of the person's own.
DEEPEST = 4

# A folder with one of these was written by a training run, ours or LLaMA-Factory's; a model's folder has none of them.
_MARKS = (
    "events.jsonl", "rows.jsonl", "trainer_log.jsonl", "trainer_state.json", "training_args.bin", "training_args.yaml", "checkpoint-*",
)  # fmt: skip
# What runs write into their folder.
_OURS = (
    *_MARKS, "config.yaml", "log.txt", "manifest.json", "owner.json", "stop", ".reserve", ".ranks", "*_results.json",
    "training_*.png", "running_log.txt",
    "rows.jsonl", "side.jsonl", "report.json", "receipt.json", "files", "generated_predictions.jsonl", "llamaboard_config.yaml", "runs", "README.md", "adapter_*", "config.json",
    "generation_config.json", "model*.safetensors", "model.safetensors.index.json", "tokenizer*", "vocab.*",
    "merges.txt", "special_tokens_map.json", "added_tokens.json", "chat_template.*", "*processor_config.json",
    "optimizer.*", "scheduler.*", "rng_state*",
)  # fmt: skip


def run_name(at: float | None = None, task: Task = "train") -> str:
    """The name that is proposed for a run that begins at `at` (now)."""
    return time.strftime(f"{task}_%Y-%m-%d-%H-%M-%S", time.localtime(at))


def model_folder(model: str) -> str:
    """The folder below saves/ for a model: its name, or the last part of its path or hub id."""
    last = re.sub(r"[\x00-\x1f]", "", model.strip().replace("\\", "/").rstrip("/").rpartition("/")[2])
    return last.lstrip(".")[:80] or "model"


def make_new(parent: Path, name: str) -> Path:
    """Makes and returns `parent/name`, or `name-2`, `name-3` ... when that is taken. Raises UserError if it cannot."""
    for number in range(1, 1000):
        path = parent / (name if number == 1 else f"{name}-{number}")
        try:
            path.mkdir(parents=True)
        except FileExistsError:
            continue
        except OSError as error:
            raise not_writable(path, error) from error
        return path
    raise UserError("folder_in_use", field="output_dir", folder=str(parent / name))


def not_writable(path: Path, error: OSError) -> UserError:
    """The sentence for a folder in which nothing can be written."""
    reason = error.strerror or str(error)
    return UserError("folder_not_writable", field="output_dir", folder=str(path), reason=reason)


def open_folder(path: Path, config: RunConfig) -> RunFolder:
    """The folder of a run that is about to begin at `path`: new, empty, cleared when `overwrite_output_dir` says so, or
    with the checkpoints to resume from.

    Raises UserError when it is in use, holds what is not a run's, or cannot be written to.
    """
    folder = RunFolder(path)
    try:
        path.mkdir(parents=True, exist_ok=True)
        filled = any(path.iterdir())
    except OSError as error:
        raise not_writable(path, error) from error
    if filled:
        if is_busy(folder):
            raise UserError("run_is_on", field="output_dir", folder=str(path))
        if _resumes_in(path, config) and _is_run(path):
            return folder
        if not config.train.overwrite_output_dir:
            raise UserError("folder_in_use", field="output_dir", folder=str(path))
        _require_unused(path, config)
        clear(path)
    return folder


def _require_unused(path: Path, config: RunConfig) -> None:
    """Raises UserError when clearing `path` would remove weights that the run itself needs."""
    for needed in (config.model.model_name_or_path, *config.model.adapter_name_or_path):
        if needed and Path(needed).is_dir() and Path(needed).resolve().is_relative_to(path.resolve()):
            raise UserError("folder_needed", field="output_dir", folder=str(path), path=needed)


def _is_run(path: Path) -> bool:
    """Whether a run has left something in the folder; what lies beside it does not matter."""
    return any(fnmatch(each.name, mark) for each in path.iterdir() for mark in _MARKS)


def _resumes_in(path: Path, config: RunConfig) -> bool:
    """Whether the config goes on from a checkpoint of this folder, which therefore must not be cleared."""
    wanted = config.train.resume_from_checkpoint
    if wanted.lower() == "true":
        return True
    # A checkpoint's bare name means the one in the run's folder.
    inside = (path / wanted).is_dir() or Path(wanted).resolve().is_relative_to(path.resolve())
    return bool(wanted) and inside


def clear(path: Path) -> None:
    """Removes what a run left in `path`. Raises UserError for a folder that is no run's, or holds other files too."""
    names = sorted(each.name for each in path.iterdir())
    if not _is_run(path):
        raise UserError("folder_not_run", field="output_dir", folder=str(path))
    foreign = [name for name in names if not any(fnmatch(name, own) for own in _OURS)]
    if foreign:
        listed = ", ".join(foreign[:5])
        raise UserError("folder_foreign", field="output_dir", folder=str(path), names=listed)
    try:
        for each in list(path.iterdir()):
            remove(each)
    except OSError as error:
        raise not_writable(path, error) from error


def remove(path: Path) -> None:
    """Removes a file or a folder; of a link only the link."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def write_settings(folder: RunFolder, config: RunConfig) -> None:
    """Writes `config.yaml`, which repeats the run in a new folder, and the notes on how the settings were read.

    Where the run lies is said by where the file lies: the file itself names no output folder.
    """
    resume = "" if _resumes_in(folder.path, config) else config.train.resume_from_checkpoint
    kept = config.with_values(
        output_dir="", overwrite_output_dir=_replaces(config), resume_from_checkpoint=resume
    )
    try:
        write_atomic(folder.config, write_yaml(kept))
        log = EventLog(folder.events)
        for note in config.notes:
            log.append(note)
    except OSError as error:
        raise not_writable(folder.path, error) from error


def _replaces(config: RunConfig) -> bool:
    """Whether an export may replace an earlier one at its target; a run's own folder is cleared once, when it begins."""
    return config.task == "export" and config.train.overwrite_output_dir


def newest_checkpoint(folder: RunFolder) -> Path | None:
    """The last checkpoint that was written to its end: the trainer's state is what is written last."""
    for path in reversed(folder.checkpoints()):
        try:
            json.loads((path / "trainer_state.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        return path
    return None


def ready(config: RunConfig, folder: RunFolder, base: Path) -> RunConfig:
    """The config with which `folder` is trained: its folders as seen from `base`, and from where it goes on.

    A folder in which a run has begun goes on from its newest whole checkpoint, or from the beginning without one.
    """
    wanted = config.train.resume_from_checkpoint
    begun = folder.checkpoints() or folder.trainer_log.exists() or folder.rows.exists()
    own = newest_checkpoint(folder) is not None
    resume = wanted if wanted and (_resumes_in(folder.path, config) or not own) else "true" if begun else ""
    settled = config.with_values(
        output_dir=str(folder.path),
        overwrite_output_dir=_replaces(config),
        resume_from_checkpoint=resume,
        dataset_dir=locate_data(config.data.dataset_dir, base),
        adapter_name_or_path=tuple(locate(each, base) for each in config.model.adapter_name_or_path),
        export_dir=str(base / Path(config.export.export_dir).expanduser())
        if config.export.export_dir
        else "",
    )
    # The notes stand in the log already, since the run was submitted.
    return replace(settled, notes=())


def require_usable(config: RunConfig, base: Path) -> None:
    """Raises UserErrors with all that keeps a run from being begun: no model, no data, data that is not registered."""
    problems: list[UserError] = []
    try:
        require_task(config)
    except UserError as error:
        problems += problems_of(error)
    for name in ("dataset", "eval_dataset"):
        if not getattr(config.data, name):
            continue
        try:
            choose(locate_data(config.data.dataset_dir, base), getattr(config.data, name), config.data.stage)
        except UserError as error:
            problems.append(UserError(error.code, field=error.field and name, **error.values))
    if problems:
        raise UserErrors(problems)


def locate_data(name: str, base: Path) -> str:
    """The data folder as seen from `base`; the default one is the program's own where `base` has none."""
    path = base / name
    return str(DATA if name == "data" and not path.is_dir() else path if path.is_dir() else name)


def locate(name: str, base: Path) -> str:
    """A folder as seen from `base`; a name that is no folder there stays as it is."""
    return str(base / name) if (base / name).is_dir() else name


class Found(NamedTuple):
    """A run below saves/; `id` is its path there."""

    id: str
    folder: RunFolder


def find_runs(saves: Path) -> Iterator[Found]:
    """Every folder with a config.yaml below `saves`, at most four levels down, hidden folders and links left out."""
    waiting = [(saves, 0)]
    while waiting:
        path, depth = waiting.pop()
        try:
            inner = [each for each in path.iterdir() if not each.name.startswith(".")]
        except OSError:
            continue
        for each in inner:
            if depth >= DEEPEST or each.is_symlink() or not each.is_dir():
                continue
            if (each / "config.yaml").is_file():
                yield Found(each.relative_to(saves).as_posix(), RunFolder(each))
            else:
                waiting.append((each, depth + 1))
