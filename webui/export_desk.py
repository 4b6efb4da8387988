"""What the Export tab asks and does, without gradio: what can be taken home, what it will be like, and the run that makes it."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from trainer.config import RunConfig
from trainer.errors import UserError, UserErrors, problems_of
from trainer.jobs.job import Job
from trainer.jobs.workspace import Workspace
from trainer.options import options
from webui.evaluate_cards import score_name
from webui.export_words import FORMATS, name_of, size
from webui.i18n import say
from webui.partner import TOP, Top, partner
from webui.plot import number

if TYPE_CHECKING:
    from trainer.jobs.exports import Candidate, Outlook

# Settings below the formats, and those of them that only some formats have.
SHOWN = ("gguf_type", "quantized_type", "export_dir")
_OF = {"gguf_type": ("gguf", "ollama"), "quantized_type": ("quantized",)}
_PLACES = ("export_dir", "export_hub_model_id")
# A model that has not been fetched yet tells nothing of itself; the run fetches it and looks again.
_LATER = "model_not_here"
# Settings below the fold.
MORE = (
    *(name for name, info in options().items() if info.panel == "export" and name not in (*SHOWN, "export_format")),
    "overwrite_output_dir",
)  # fmt: skip


class Wanted(NamedTuple):
    """What the left column says. `whom` is a run or `TOP`, `step` one of its candidates ("": the first)."""

    whom: str
    step: str
    formats: Sequence[str]
    settings: Mapping[str, Any]
    top: Top


@dataclass(frozen=True)
class Outcome:
    """The run that a press has queued, or the mistakes because of which there is none."""

    job: Job | None = None
    problems: tuple[UserError, ...] = ()


class Forecast(NamedTuple):
    """What an export will be. `sizes` are bytes by format, of all formats; `outlook` is None where settings are wrong."""

    name: str
    formats: tuple[str, ...]
    sizes: Mapping[str, int]
    outlook: Outlook | None
    problems: tuple[UserError, ...] = ()


class ExportDesk:
    """Everything that the left column asks of a workspace."""

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace

    # What can be taken home

    def runs(self, lang: str) -> list[tuple[str, str]]:
        """Runs with something to export, newest first, then the top bar's choice. A label's first line is the name."""
        evaluated = self._evaluated()
        found = [(_label(group[0], evaluated, lang), run) for run, group in self._groups().items()]
        return [*found, at_top(lang)]

    def steps(self, whom: str, lang: str) -> list[tuple[str, str]]:
        """The states in which a run can be exported, its result first."""
        group = self._groups().get(whom, ())
        return [(_state(each, lang), each.id) for each in group] or [(say("export.step.end", lang), "")]

    def proposal(self) -> tuple[str, str]:
        """What the tab opens with: the newest run."""
        return self.suited(next(iter(self._groups()), TOP))

    def suited(self, whom: str) -> tuple[str, str]:
        """A run with the state that it is exported in, unless the person says otherwise."""
        group = self._groups().get(whom)
        return (whom, group[0].id) if group else (TOP, "")

    def still(self, whom: str) -> str:
        """The choice while it can be kept, else what the tab opens with: a run may be gone."""
        return whom if whom == TOP or whom in self._groups() else self.proposal()[0]

    def _evaluated(self) -> dict[Path, Mapping[str, float]]:
        """The scores of the newest evaluation of each folder."""
        found: dict[Path, Mapping[str, float]] = {}
        for job in self.workspace.jobs.list():
            tested = job.config.model.adapter_name_or_path
            if job.task == "eval" and job.state == "finished" and tested:
                scores = {name: value for name, value in job.facts.scores.items() if name != "eval_loss"}
                found.setdefault(Path(tested[-1]), scores)
        return found

    def _groups(self) -> dict[str, list[Candidate]]:
        """Candidates by run; a run's result stands before its checkpoints."""
        found: dict[str, list[Candidate]] = {}
        for each in self.workspace.exports.candidates():
            if each.run:
                found.setdefault(each.run, []).append(each)
        for group in found.values():
            group.sort(key=lambda each: (each.kind != "run", -(each.step or 0)))
        return found

    # What will happen

    def formats(self, forecast: Forecast | None, lang: str) -> list[tuple[str, str]]:
        """The formats, each with its purpose and the size that it will have."""
        sizes = forecast.sizes if forecast else {}
        return [(_format(each, sizes.get(each), lang), each) for each in FORMATS]

    def seen(self, wanted: Wanted) -> list[bool]:
        """Which of the settings in `SHOWN` have a purpose now."""
        return [any(each in wanted.formats for each in _OF.get(name, wanted.formats)) for name in SHOWN]

    def forecast(self, wanted: Wanted) -> Forecast:
        """What the settings lead to. Never raises: what is wrong is said when they are used."""
        formats = tuple(each for each in FORMATS if each in wanted.formats)
        # Where the files go does not change their sizes, and may be what is wrong.
        plain = {**wanted.settings, **dict.fromkeys(_PLACES, "")}
        name, sizes = "", {}
        try:
            name = self._name(wanted)
            sizes = self._sizes(wanted._replace(settings=plain))
            if not formats:
                return Forecast(name, formats, sizes, None)
            found = self.workspace.exports.outlook(self._config(wanted))
        except UserError as error:
            return Forecast(name, formats, sizes, None, problems_of(error))
        return Forecast(name, formats, sizes, found, found.problems)

    def _sizes(self, wanted: Wanted) -> dict[str, int]:
        """Bytes by format. One that cannot be made hides the sizes of none but itself."""
        together = self.workspace.exports.outlook(self._config(wanted._replace(formats=FORMATS)))
        if together.sizes:
            return _by_format(together)
        alone = (
            self.workspace.exports.outlook(self._config(wanted._replace(formats=(each,)))) for each in FORMATS
        )
        return {name: count for each in alone for name, count in _by_format(each).items()}

    def _name(self, wanted: Wanted) -> str:
        chosen = self._candidate(wanted)
        return chosen.name if chosen else partner(self.workspace.jobs, TOP, wanted.top).name

    def _candidate(self, wanted: Wanted) -> Candidate | None:
        """None for the top bar's choice. Raises UserError for a run that is gone."""
        if wanted.whom == TOP:
            return None
        return self.workspace.exports.candidate(wanted.step or self.suited(wanted.whom)[1] or wanted.whom)

    # Starting

    def start(self, wanted: Wanted, token: str) -> Outcome:
        """Queues the export. The same token gives the same run."""
        try:
            if not wanted.formats:
                raise UserError("page_no_format", field="export_format")
            config = self._config(wanted)
            problems = self.workspace.exports.outlook(config).problems
            if any(each.code != _LATER for each in problems):
                return Outcome(problems=problems)
            return Outcome(self.workspace.jobs.submit(config, token))
        except UserError as error:
            return Outcome(problems=problems_of(error))
        except Exception as error:
            logging.getLogger(__name__).exception("a press on the page failed")
            return Outcome(problems=(UserError("page_unexpected", reason=type(error).__name__),))

    def _config(self, wanted: Wanted) -> RunConfig:
        """The settings of the run. Raises UserErrors."""
        chosen = self._candidate(wanted)
        values = dict(chosen.values) if chosen else self._at_top(wanted.top)
        settings = {name: None if value in ("", []) else value for name, value in wanted.settings.items()}
        flat = {**values, **settings, "do_export": True, "export_format": list(wanted.formats)}
        try:
            config = RunConfig.from_flat({name: value for name, value in flat.items() if value is not None})
            self.workspace.jobs.require_own_places(config)
        except UserError as error:
            raise UserErrors(list(problems_of(error))) from error
        return config

    def _at_top(self, top: Top) -> dict[str, Any]:
        found = partner(self.workspace.jobs, TOP, top)
        return {
            "model_name_or_path": found.model, "adapter_name_or_path": list(found.checkpoints),
            "template": found.template, "hub": found.hub, "finetuning_type": top.method,
        }  # fmt: skip

    # The result

    def archive(self, run: str) -> Path:
        """A zip of what a run has written. Raises UserError when it is gone or the disk is too small."""
        return self.workspace.exports.archive(self.workspace.jobs.get(run).id)


def _by_format(outlook: Outlook) -> dict[str, int]:
    sizes: dict[str, int] = {}
    for each in outlook.sizes:
        sizes[each.format] = sizes.get(each.format, 0) + each.bytes
    return sizes


def at_top(lang: str) -> tuple[str, str]:
    """The choice that stands for what the top bar says."""
    return f"{say('export.from.top', lang)}\n{say('export.from.top_line', lang)}", TOP


def _label(each: Candidate, evaluated: Mapping[Path, Mapping[str, float]], lang: str) -> str:
    when = time.strftime("%Y-%m-%d %H:%M", time.localtime(each.at))
    facts = [when, each.model, each.method, ", ".join(each.datasets)]
    tested = evaluated.get(Path(str(each.values["adapter_name_or_path"][-1])), {})
    scores = _scores({**each.scores, **tested}, lang)
    lines = [_name(each), " · ".join(fact for fact in facts if fact), " · ".join(scores)]
    return "\n".join(line for line in lines if line)


def _name(each: Candidate) -> str:
    """The run's own name: that of a checkpoint names its step, too."""
    return each.run.rpartition("/")[2] or each.name


def _scores(scores: Mapping[str, float], lang: str) -> list[str]:
    """Losses, then the scores of evaluations, those of the base before an arrow."""
    found = [
        say(f"export.from.{key}", lang, loss=number(scores[name]))
        for name, key in (("train_loss", "loss"), ("eval_loss", "eval_loss"))
        if name in scores
    ]
    for name, value in scores.items():
        if name in ("train_loss", "eval_loss") or name.startswith("base_"):
            continue
        base = scores.get(f"base_{name}")
        found.append(f"{score_name(name, lang)} {'' if base is None else f'{base:.1f} → '}{value:.1f}")
    return found


def _state(each: Candidate, lang: str) -> str:
    if each.kind == "run":
        return say("export.step.end", lang)
    return say("export.step.checkpoint", lang, step=each.step)


def _format(kind: str, count: int | None, lang: str) -> str:
    about = f"\n{say('export.formats.about', lang, size=size(count))}" if count else ""
    return f"{name_of(kind, lang)}\n{say(f'export.formats.{kind}.for', lang)}{about}"
