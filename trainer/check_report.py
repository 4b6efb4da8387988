"""What a file of settings comes to, found out without weights, without torch and without a run.

`look(...)` returns plain values under keys that stay:

file            the file that was read, or null for flags alone
ok              whether a run may be begun: nothing is refused and nothing is wrong
task            train, eval or export
stage, method   sft or pt; lora, oft, freeze or full
model           given (as written), from (catalogue, folder or hub), place (folder or hub id), here (on this machine)
adapters        place and here of each
datasets        name, use (train or evaluation), from (file or hub), place, here, rows (null where that is not cheap)
template        its name, empty for the model's own
run             engine (one, ddp, deepspeed, fsdp), processes (on each machine), nodes
batch           rows of one step: per_device, accumulation, processes (in all), together
steps           total, null where rows must be counted first; exact is false where some rows may yet be left out
settings        options that differ from their defaults
arguments       arguments of SFTConfig that are passed on by their own names
renamed         name (as written), option, value
harmless        name, why (speed, report, off ... or the switch that it belongs to)
refused, wrong  name, code, text, hint
warnings        code, text, hint
"""

from __future__ import annotations

import difflib
import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from trainer import compat
from trainer.config import Reading, RunConfig, known_optimizers, read_settings, require_task
from trainer.contradictions_of_methods import shipped_stage
from trainer.dataset.entry import DatasetInfo
from trainer.dataset.files.reading import look_into, read_items
from trainer.dataset.info import ONLINE, REMOTE, choose
from trainer.dataset.templates import OWN_ONLY, names
from trainer.errors import UserError, problems_of, tell
from trainer.jobs.place import locate, locate_data
from trainer.model import catalog

# Rows of larger files are not counted: the answer is wanted at once.
COUNTED_BYTES = 8_000_000
REFUSALS = ("option_refused", "option_extra_own")
# Not wrong, only not here yet.
ABSENT = ("data_file_missing", "data_folder_missing", "data_info_missing", "data_remote_file")
# What a folder that the file names may lack on this machine.
FILES = (
    "deepspeed",
    "fsdp_config",
    "new_special_tokens_config",
    "media_dir",
    "tokenized_path",
    "llama_cpp_dir",
)


class Place(NamedTuple):
    """By what a run is done: `processes` on each of `nodes` machines."""

    engine: str = "one"
    processes: int = 1
    nodes: int = 1


Planned = Callable[[RunConfig], Place]
_T = TypeVar("_T")


class _Findings:
    """What there is to say beside the facts."""

    def __init__(self) -> None:
        self.refused: list[dict[str, str]] = []
        self.wrong: list[dict[str, str]] = []
        self.warnings: list[dict[str, str]] = []

    def add(self, error: UserError) -> None:
        for problem in problems_of(error):
            said = {"name": problem.field, "code": problem.code, "text": problem.text, "hint": problem.hint}
            (self.refused if problem.code in REFUSALS else self.wrong).append(said)

    def warn(self, code: str, **values: str | int | float) -> None:
        text, hint = tell(code, values)
        self.warnings.append({"code": code, "text": text, "hint": hint})


def look(mapping: Mapping[str, Any], file: str | None, base: Path, planned: Planned) -> dict[str, Any]:
    """The report (see above) on the settings `mapping`, with paths as seen from `base`."""
    reading = read_settings(mapping)
    config = reading.config
    found = _Findings()
    for problem in reading.problems:
        found.add(problem)
    _look_for(lambda: require_task(config), found)
    model = _model(config, found)
    datasets = _datasets(config, base, found)
    _template(config, found)
    _optimizer(config, found)
    run = _look_for(lambda: planned(config), found) or Place()
    _absent(config, base, found)
    return {
        "file": file,
        "ok": not (found.refused or found.wrong),
        "task": config.task,
        "stage": config.data.stage,
        "method": config.method.finetuning_type,
        "model": model,
        "adapters": [
            {"place": each, "here": Path(locate(each, base)).expanduser().is_dir()}
            for each in config.model.adapter_name_or_path
        ],
        "datasets": datasets,
        "template": config.data.template,
        "run": run._asdict(),
        "batch": _batch(config, run),
        "steps": _steps(config, run, datasets),
        "settings": {name: value for name, value in config.to_flat().items() if name not in config.extra},
        "arguments": dict(config.extra),
        **_words(reading),
        "refused": found.refused,
        "wrong": found.wrong,
        "warnings": found.warnings,
    }


def unreadable(file: str | None, error: UserError) -> dict[str, Any]:
    """The report on a file that holds no settings that could be read: only what is wrong with it."""
    found = _Findings()
    found.add(error)
    return {"file": file, "ok": False, "refused": [], "wrong": found.wrong, "warnings": []}


def _look_for(question: Callable[[], _T], found: _Findings) -> _T | None:
    """What `question` answers, or None when it raises, which is noted."""
    try:
        return question()
    except UserError as error:
        found.add(error)
        return None


def _words(reading: Reading) -> dict[str, Any]:
    return {
        "renamed": [{"name": name, "option": own, "value": value} for name, own, value in reading.renamed],
        "harmless": [{"name": name, "why": compat.why_harmless(name)} for name in reading.harmless],
    }


def _model(config: RunConfig, found: _Findings) -> dict[str, Any]:
    given, hub = config.model.model_name_or_path, config.model.hub
    facts: dict[str, Any] = {"given": given, "from": "", "place": "", "here": False}
    if not given.strip():
        return facts
    entry = catalog.find(given)
    try:
        place = catalog.find_place(given, hub)
    except UserError as error:
        # A folder of another machine is not wrong there.
        if error.code == "model_folder_missing":
            found.warn("check_folder_absent", name="model_name_or_path", path=given)
            return {**facts, "from": "folder", "place": given}
        found.add(error)
        return facts
    facts |= {
        "from": "catalogue" if entry else "folder" if isinstance(place, Path) else "hub",
        "place": str(place),
    }
    if isinstance(place, Path):
        return {**facts, "here": True}
    try:
        return {**facts, "place": str(catalog.resolve_here(given, hub)), "here": True}
    except UserError:
        where = "modelscope.cn" if hub == "modelscope" else "huggingface.co"
        found.warn("check_model_absent", name=str(place), hub=where)
        return facts


def _datasets(config: RunConfig, base: Path, found: _Findings) -> list[dict[str, Any]]:
    if config.task == "export":
        return []
    if config.data.tokenized_path and (base / Path(config.data.tokenized_path).expanduser()).is_dir():
        return [
            {"name": config.data.tokenized_path, "use": "train", "from": "rendered", "place": "", "here": True, "rows": None}
        ]  # fmt: skip
    uses = {"train": config.data.dataset, "evaluation": config.data.eval_dataset}
    return [
        _dataset(name, use, config, base, found) for use, each in uses.items() for name in dict.fromkeys(each)
    ]


def _dataset(name: str, use: str, config: RunConfig, base: Path, found: _Findings) -> dict[str, Any]:
    facts: dict[str, Any] = {"name": name, "use": use, "from": "", "place": "", "here": False, "rows": None}
    folder = config.data.dataset_dir
    if folder.startswith(REMOTE):
        found.warn("check_data_hub", name=name)
        return {**facts, "from": "hub", "place": folder}
    try:
        (info,) = choose(folder if folder == ONLINE else locate_data(folder, base), [name])
    except UserError as error:
        if error.code in ABSENT:
            found.warn("check_data_absent", name=name, reason=error.text)
        else:
            found.add(
                UserError(error.code, field="dataset" if use == "train" else "eval_dataset", **error.values)
            )
        return facts
    if info.hub is not None:
        found.warn("check_data_hub", name=name)
        return {**facts, "from": "hub", "place": info.hub.pick(config.model.hub)[1]}
    rows = _rows(info)
    return {**facts, "from": "file", "place": str(info.path), "here": True, "rows": rows}


def _rows(info: DatasetInfo) -> int | None:
    """How many rows a dataset has; None where it would take long to say, and for a part of them."""
    if info.split != "train":
        return None
    if info.num_samples is not None:
        return info.num_samples
    try:
        if look_into(info.path).bytes > COUNTED_BYTES:
            return None
        return sum(1 for _ in read_items(info.path))
    except UserError:
        return None


def _template(config: RunConfig, found: _Findings) -> None:
    name = config.data.template.strip()
    if name and name not in names() and name not in OWN_ONLY:
        found.add(UserError("data_template_unknown", field="template", name=name, names=", ".join(names())))


def _optimizer(config: RunConfig, found: _Findings) -> None:
    name, known = config.train.optim, known_optimizers()
    if config.task == "train" and known and name not in known:
        nearest = difflib.get_close_matches(name.lower(), known, n=1, cutoff=0.0)[0]
        found.add(UserError("optim_unknown", field="optim", name=name, nearest=nearest))


def _absent(config: RunConfig, base: Path, found: _Findings) -> None:
    """Folders and files that the settings name and this machine does not have."""
    flat = config.to_flat()
    for name in FILES:
        path = str(flat.get(name, ""))
        written_out = path.lstrip().startswith("{")
        if not path or written_out or (base / Path(path).expanduser()).exists():
            continue
        if name == "deepspeed" and shipped_stage(path) is not None:
            found.warn("check_deepspeed_shipped", path=path)
        else:
            found.warn("check_folder_absent", name=name, path=path)
    resume = config.train.resume_from_checkpoint
    folders = [("adapter_name_or_path", each) for each in config.model.adapter_name_or_path]
    if resume and resume.lower() != "true":
        folders.append(("resume_from_checkpoint", resume))
    for name, path in folders:
        if not (base / Path(path).expanduser()).is_dir():
            found.warn("check_folder_absent", name=name, path=path)


def _batch(config: RunConfig, run: Place) -> dict[str, int]:
    train, processes = config.train, run.processes * run.nodes
    each, times = train.per_device_train_batch_size, train.gradient_accumulation_steps
    return {
        "per_device": each,
        "accumulation": times,
        "processes": processes,
        "together": each * times * processes,
    }


def _steps(config: RunConfig, run: Place, datasets: list[dict[str, Any]]) -> dict[str, Any]:
    """How many steps a training has: transformers' own count, of the rows that the files hold."""
    train, data = config.train, config.data
    if config.task != "train":
        return {"total": None, "exact": False}
    if train.max_steps > 0:
        return {"total": train.max_steps, "exact": True}
    counts = [each["rows"] for each in datasets if each["use"] == "train"]
    mixed = len(counts) > 1 and data.mix_strategy != "concat"
    if not counts or None in counts or mixed or data.packing or data.streaming:
        return {"total": None, "exact": False}
    rows = sum(min(each, data.max_samples or each) for each in counts)
    rows -= round(rows * data.val_size) if data.val_size < 1 else int(data.val_size)
    if rows <= 0:
        return {"total": None, "exact": False}
    batches = math.ceil(rows / (train.per_device_train_batch_size * run.processes * run.nodes))
    updates = math.ceil(batches / train.gradient_accumulation_steps)
    return {"total": math.ceil(train.num_train_epochs * updates), "exact": False}


def as_json(report: Mapping[str, Any]) -> str:
    return json.dumps(report, ensure_ascii=False, indent=2, default=str)
