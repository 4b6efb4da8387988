"""Which folders an export is made from, and whether they belong together."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trainer.config import RunConfig, read_file
from trainer.errors import UserError
from trainer.events import Note
from trainer.export.settings import read_json
from trainer.model.adapter import WEIGHTS, read_adapter
from trainer.model.catalog import check_folder, find, is_whole, resolve, weight_files
from trainer.model.fingerprint import fingerprint
from trainer.model.sides import notes as base_notes
from trainer.model.sides import plan
from trainer.options import options
from trainer.paths import DATA, RunFolder

_CHECKPOINT = re.compile(r"checkpoint-\d+")
_TOKENIZERS = ("tokenizer.json", "tokenizer_config.json")
# What of a training run decides how its model is spoken to, and by which rows it can be asked.
INHERITED = (
    "template", "dataset", "dataset_dir", "eval_dataset", "val_size", "max_samples", "cutoff_len", "default_system",
    "enable_thinking", "preserve_thinking", "media_dir", "identity_name", "identity_author", "image_max_pixels",
    "image_min_pixels", "video_max_pixels", "video_min_pixels", "video_fps", "video_maxlen", "seed", "system",
    "finetuning_type", "stage", "mix_strategy", "interleave_probs", "streaming",
)  # fmt: skip


@dataclass(frozen=True)
class Subject:
    """`model` holds the weights, the base's or those of a full fine-tune; `adapters` are put on it in this order.

    `voice` has the tokenizer. `notes` are what a person should know of how these belong together.
    """

    model: Path
    adapters: tuple[Path, ...]
    voice: Path
    notes: tuple[Note, ...] = ()


def run_of(folder: Path) -> Path:
    """The folder of the run that left a checkpoint or result."""
    return folder.parent if _CHECKPOINT.fullmatch(folder.name) else folder


def inherit(config: RunConfig) -> RunConfig:
    """`config` with what it leaves open taken from the run whose result it exports: the base, template and data."""
    results = [Path(each) for each in config.model.adapter_name_or_path] or [
        Path(config.model.model_name_or_path)
    ]
    settings = run_of(results[-1]) / "config.yaml"
    try:
        run = RunConfig.from_flat(read_file(settings)) if settings.is_file() else None
    except UserError:
        run = None
    trained = run is not None and run.task == "train"
    if not config.model.model_name_or_path and config.model.adapter_name_or_path:
        named = run.model.model_name_or_path if run and trained else ""
        config = config.with_values(model_name_or_path=_base_of(results[-1], named))
    if run is None or not trained:
        return config
    changes: dict[str, Any] = {}
    for name in INHERITED:
        info = options()[name]
        given, was = (getattr(getattr(each, info.section), name) for each in (config, run))
        if given == info.default and was != info.default:
            changes[name] = was
    if "dataset" not in changes and "eval_dataset" in changes and config.data.dataset:
        changes.pop("eval_dataset")
    if "dataset_dir" in changes or config.data.dataset_dir == options()["dataset_dir"].default:
        changes["dataset_dir"] = _data_folder(settings.parent, run.data.dataset_dir)
    return config.with_values(**changes)


def _data_folder(run: Path, name: str) -> str:
    """The run's data folder as seen from where it was trained: somewhere above the run, else the program's own."""
    for above in run.absolute().parents:
        if (above / name / "dataset_info.json").is_file():
            return str(above / name)
    return str(DATA) if name == "data" else name


def _base_of(result: Path, named: str) -> str:
    """The base of a result: as its run named it if that is a name or a whole path, else where it lay then."""
    if named and (find(named) or Path(named).is_absolute()):
        return named
    return str(read_json(run_of(result) / "manifest.json").get("base") or _recorded_base(result))


def _recorded_base(adapter: Path) -> str:
    known = (adapter / "adapter_config.json").is_file()
    return str(read_adapter(adapter).get("base_model_name_or_path") or "") if known else ""


def subject_of(config: RunConfig) -> Subject:
    """The folders that a config names. Raises UserError for a missing or half one, and for those that do not belong
    together.
    """
    base = resolve(config.model.model_name_or_path, config.model.hub)
    results = [Path(each) for each in config.model.adapter_name_or_path]
    if not results:
        weight_files(base)
        return Subject(base, (), base)
    wanted = plan(base, results, "tuned")
    if wanted.whole is not None:
        check_folder(wanted.whole)
        weight_files(wanted.whole)
        return Subject(wanted.whole, (), _voice((wanted.whole,), base))
    told = [
        *_belonging(base, wanted.adapters),
        *base_notes(config.model.model_name_or_path, base, wanted.adapters),
    ]
    return Subject(base, wanted.adapters, _voice(wanted.adapters, base), tuple(told))


def _voice(results: Sequence[Path], base: Path) -> Path:
    """The last of the folders that brings a tokenizer: what was trained speaks as it was spoken to in training."""
    for path in reversed(results):
        if all((path / name).is_file() for name in _TOKENIZERS):
            return path
    return base


def _belonging(base: Path, adapters: Sequence[Path]) -> list[Note]:
    """Raises UserError when an adapter was trained on other weights than those of `base` with the adapters before it."""
    found: list[Note] = []
    mark = ""
    for place, path in enumerate(adapters):
        if not is_whole(path / WEIGHTS):
            raise UserError("chat_checkpoint_cut", field="adapter_name_or_path", path=str(path), file=WEIGHTS)
        record = _record(path)
        wanted = str(record.get("base_fingerprint") or "")
        if not wanted:
            found.append(Note(code="export_base_unproved", values={"path": str(path)}))
        else:
            mark = mark or fingerprint(base)
            if wanted != mark:
                trained = str(record.get("base") or _recorded_base(path) or "?")
                raise UserError(
                    "export_other_base",
                    field="adapter_name_or_path",
                    path=str(path),
                    base=str(base),
                    trained=trained,
                )
        _require_merged(record, path, adapters[:place])
    return found


def _record(adapter: Path) -> dict[str, Any]:
    """What the run that trained an adapter has written down; empty for one from elsewhere."""
    return read_json(RunFolder(run_of(adapter)).manifest)


def _require_merged(record: dict[str, Any], path: Path, before: Sequence[Path]) -> None:
    """Raises UserError when the adapter was trained on top of others that are not merged before it."""
    merged = [Path(each) for each in record.get("adapters", [])[: int(record.get("merged_adapters") or 0)]]
    known = {each.resolve() for each in before}
    missing = [str(each) for each in merged if each.resolve() not in known]
    if missing:
        raise UserError(
            "export_adapters_before", field="adapter_name_or_path", path=str(path), missing=", ".join(missing)
        )
