"""Whom a person talks with: runs, their checkpoints, or what the top bar says, as folders that the chat loads."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from trainer.errors import UserError
from trainer.jobs.job import Job
from trainer.jobs.jobs import Jobs
from trainer.options import DataOptions
from webui.form import CUSTOM
from webui.i18n import say

TOP = ""
# Folders of an export, which are called alike in every export.
FORMATS = ("files", "adapter", "merged", "gguf", "ollama", "quantized")
_MOST_RUNS = 100


class Partner(NamedTuple):
    """What to load. `name` is for people; `checkpoints` are folders that act together, none for the base alone.

    `data` are the options under which the run has seen pictures.
    """

    name: str
    model: str
    checkpoints: tuple[str, ...]
    template: str
    hub: str
    data: DataOptions = DataOptions()


class Top(NamedTuple):
    """The values of the top bar, in the order of its `inputs`."""

    model: str
    path: str
    hub: str
    method: str
    checkpoints: Sequence[str]
    template: str


def choices(jobs: Jobs, lang: str) -> list[tuple[str, str]]:
    """Labels and values of the menu: the top bar's choice, then every run that has something to load, newest first."""
    found = [(say("chat.top", lang), TOP)]
    for job in jobs.list()[:_MOST_RUNS]:
        if job.result is None or job.task != "train":
            continue
        about = f"{job.name} · {job.model} · {job.method} · {', '.join(job.datasets)}"
        if job.state == "finished":
            found.append((about, job.id))
        for folder in reversed(job.folder.checkpoints()):
            step = say("chat.checkpoint", lang, step=folder.name.removeprefix("checkpoint-"))
            found.append((f"{about} · {step}", f"{job.id}@{folder.name}"))
    return found


def value_of(job: Job) -> str:
    """The menu's value for what a run has to offer: its result, or its newest checkpoint. Raises UserError if nothing."""
    if job.result is None:
        raise UserError("chat_no_checkpoint", field="adapter_name_or_path")
    return job.id if job.result == job.folder.path else f"{job.id}@{job.result.name}"


def examined(jobs: Jobs, job: Job) -> str:
    """The menu's value for the run or checkpoint that an evaluation has tested; the top bar's choice where it is gone."""
    folders = job.config.model.adapter_name_or_path
    last = Path(folders[-1]).resolve() if folders else None
    for each in jobs.list() if last else ():
        if each.folder.path.resolve() == last:
            return each.id
        if last is not None and last.parent == each.folder.path.resolve():
            return f"{each.id}@{last.name}"
    return TOP


def partner(jobs: Jobs, whom: str, top: Top) -> Partner:
    """What a value of the menu stands for. Raises UserError for a run or a checkpoint that is gone."""
    if whom == TOP:
        model = model_of(top)
        return Partner(model, model, tuple(top.checkpoints or ()), top.template or "", top.hub)
    run, _, step = whom.partition("@")
    job = jobs.get(run)
    folder = _checkpoint(job, step) if step else job.folder.path
    config = job.config
    # With create_new_adapter the new adapter stands on those it was trained on top of; otherwise it replaces them.
    below = config.model.adapter_name_or_path if config.lora.create_new_adapter else ()
    name = f"{job.name} · {step}" if step else job.name
    return Partner(
        name, config.model.model_name_or_path, (*below, str(folder)), config.data.template, config.model.hub,
        config.data,
    )  # fmt: skip


def model_of(top: Top) -> str:
    """The name or folder of the model that is chosen at the top."""
    return top.path if top.model == CUSTOM else top.model


def short_name(path: str) -> str:
    """The last part of a run's folder or a file; of a checkpoint, and of one format of an export, the part before too."""
    parts = path.rstrip("/").split("/")
    return "/".join(parts[-2:]) if parts[-1].startswith("checkpoint-") or parts[-1] in FORMATS else parts[-1]


def _checkpoint(job: Job, step: str) -> Path:
    for folder in job.folder.checkpoints():
        if folder.name == step:
            return folder
    raise UserError("chat_checkpoint_missing", field="adapter_name_or_path", path=str(job.folder.path / step))
