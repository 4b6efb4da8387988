"""What the buttons of the Train tab do, without gradio: each takes the form's values and returns what to show."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from trainer.config import RunConfig, read_file, require_training, write_yaml
from trainer.dataset import templates
from trainer.dataset.doctor import Page
from trainer.dataset.gate import Hold
from trainer.dataset.info import load_info
from trainer.dataset.ingest.task import Progress
from trainer.dataset.statistics import Totals
from trainer.errors import UserError, UserErrors, problems_of
from trainer.jobs.place import PROPOSED, locate_data, model_folder
from trainer.jobs.sight import Sight
from trainer.jobs.workspace import Workspace
from trainer.model import catalog
from trainer.model.fit import Fit, fit
from webui import form
from webui.outlook import Look, Outlook
from webui.room import asked

MOST_FILE_KB = 256
ROWS_A_PAGE = 5
Choice = tuple[str, str]


class Lists(NamedTuple):
    """Choices of menus."""

    datasets: list[str]
    checkpoints: list[Choice]
    templates: list[str]


class Outcome(NamedTuple):
    """The answer to a press: a result, or the problems, or the reasons to hold it back, because of which there is none."""

    result: Any
    problems: tuple[UserError, ...] = ()
    holds: tuple[Hold, ...] = ()


class Counts(NamedTuple):
    """Counts over all rows, or over the first ones while the others are being counted (`progress`)."""

    totals: Totals
    progress: Progress | None = None


class Seen(NamedTuple):
    """A page of rows and the counts."""

    page: Page
    counts: Counts


class Desk:
    """Everything that is asked on behalf of a form."""

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace
        self._outlook = Outlook(workspace.jobs)
        self._sight = Sight(workspace.root, trust_remote_code=workspace.trust_remote_code)

    def look(self, values: Mapping[str, Any]) -> Look:
        """Rows, steps and time of the run that the values describe."""
        return self._outlook.look(values)

    def room(self, values: Mapping[str, Any]) -> Fit | None:
        """Whether the run that the values describe fits; None where nobody knows, or they describe none."""
        try:
            return fit(form.read_leniently(values)[0])
        except (UserError, OSError, ValueError):
            return None

    def make_fit(self, values: Mapping[str, Any], press: Any) -> dict[str, Any]:
        """What to put into the form for the change that was pressed; nothing when it is not offered any more."""
        wanted = asked(self.room(values), press)
        config, _ = form.read_leniently(values)
        written = form.write(config.with_values(**wanted))
        return {name: written[name] for name in wanted if name in written}

    def lists(self, model: str, method: str, dataset_dir: str) -> Lists:
        """What the menus offer now for a model, a method and a data folder."""
        return Lists(self._datasets(dataset_dir), self._checkpoints(model, method), list(templates.names()))

    def _datasets(self, dataset_dir: str) -> list[str]:
        try:
            return list(load_info(locate_data(str(dataset_dir) or "data", self.workspace.root)))
        except UserError:
            return []

    def _checkpoints(self, model: str, method: str) -> list[Choice]:
        found: list[Choice] = []
        for job in self.workspace.jobs.list():
            if job.task != "train" or job.model != model_folder(model) or job.method != method:
                continue
            if job.state == "finished":
                found.append((job.name, str(job.folder.path)))
            steps = job.folder.checkpoints()
            found += [(f"{job.name} · {step.name}", str(step)) for step in reversed(steps)]
        return found

    def sees(self, model: str | None, path: str | None, hub: str) -> bool:
        """Whether the chosen model takes pictures, so that their settings are worth showing; False before one is named.

        The box for a model of one's own holds None until it is drawn for the first time.
        """
        name = (path if model == form.CUSTOM else model) or ""
        return bool(name.strip()) and catalog.sees(name, hub)

    def next_name(self, values: Mapping[str, Any]) -> str:
        """The output folder to propose for the next run."""
        return self.workspace.jobs.propose_name(values["model_name_or_path"], values["finetuning_type"])

    def start(self, values: Mapping[str, Any], token: str, insist: bool = False) -> Outcome:
        """Submits the run; its job. The same token gives the same job.

        A run of which nothing good can come is held back with the reasons; a person may `insist` where that makes sense.
        """
        read = _try(lambda: form.read(values))
        if read.result is None:
            return read
        checked = _try(lambda: self._check(read.result, values))
        if checked.problems:
            return checked
        reasons = self._holds(read.result)
        if reasons and not (insist and all(each.insist for each in reasons)):
            return Outcome(None, holds=reasons)
        return _try(lambda: self.workspace.jobs.submit(read.result, token))

    def _holds(self, config: RunConfig) -> tuple[Hold, ...]:
        """Reasons to hold the run back. What cannot be known before the model is fetched holds nothing back."""
        try:
            return self._sight.holds(config)
        except UserError:
            return ()

    def _check(self, config: RunConfig, values: Mapping[str, Any]) -> None:
        """Raises UserErrors for a model and for data that a run would fail on at once."""
        require_training(config)
        problem = self._outlook.look(values).problem
        problems = [problem] if problem else []
        try:
            catalog.find_place(config.model.model_name_or_path, config.model.hub)
        except UserError as error:
            problems += problems_of(error)
        if problems:
            raise UserErrors(problems)

    def preview(self, values: Mapping[str, Any], page: int) -> Outcome:
        """A page of rows with the counts (`Seen`)."""

        def see() -> Seen:
            config = form.read(values)
            require_training(config)
            return Seen(self._sight.preview(config, page, ROWS_A_PAGE), self._count(config))

        return _try(see)

    def counts(self, values: Mapping[str, Any]) -> Outcome:
        """How far the counting of an open preview is (`Counts`)."""
        return _try(lambda: self._count(form.read(values)))

    def _count(self, config: RunConfig) -> Counts:
        """The first rows at once; where there are more, all of them in the background."""
        sample = self._sight.sample(config)
        if not sample.sampled or config.data.streaming:
            return Counts(sample)
        whole = self._sight.counting(config)
        if whole.done and whole.result is not None:
            return Counts(whole.result)
        return Counts(sample, None if whole.done else whole.progress)

    def command(self, values: Mapping[str, Any]) -> Outcome:
        """The command line that starts the same run."""
        return _try(lambda: form.command(self._from_here(_complete(values))))

    def _from_here(self, config: RunConfig) -> RunConfig:
        """With the folders as a shell in the server's working directory has to name them."""
        name = config.train.output_dir.strip()
        if name and not name.startswith("saves/") and not Path(name).is_absolute():
            parent = (
                Path("saves") / model_folder(config.model.model_name_or_path) / config.method.finetuning_type
            )
            name = str(parent / name)
        data = config.data.dataset_dir
        here = Path.cwd() == self.workspace.root
        if not here:
            data = locate_data(data, self.workspace.root)
            name = name and str(self.workspace.root / name)
        return config.with_values(output_dir=name, dataset_dir=data)

    def save(self, values: Mapping[str, Any]) -> Outcome:
        """The settings as a YAML file. A proposed output folder is left out: the next run needs another one."""
        return _try(lambda: write_yaml(_without_proposal(_complete(values))))

    def load(self, path: Path) -> Outcome:
        """The settings in a file, TuneBoard's own or LLaMA-Factory's."""
        return _try(lambda: _load(path))


def _complete(values: Mapping[str, Any]) -> RunConfig:
    config = form.read(values)
    require_training(config)
    return config


def _without_proposal(config: RunConfig) -> RunConfig:
    return config.with_values(output_dir="") if PROPOSED.fullmatch(config.train.output_dir) else config


def _load(path: Path) -> RunConfig:
    if path.stat().st_size > MOST_FILE_KB * 1024:
        raise UserError("page_file_large", name=path.name, most=MOST_FILE_KB)
    return RunConfig.from_flat(read_file(path))


def _try(act: Callable[[], Any]) -> Outcome:
    try:
        return Outcome(act())
    except UserError as error:
        return Outcome(None, problems_of(error))
    except Exception as error:
        logging.getLogger(__name__).exception("a press on the page failed")
        return Outcome(None, (UserError("page_unexpected", reason=type(error).__name__),))
