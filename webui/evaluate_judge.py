"""From the files of an evaluation to what the page shows of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from trainer.errors import UserError
from trainer.events import Finished, Note, Stopped
from trainer.jobs.job import Job
from trainer.jobs.results import LOSS, Bin, Results
from trainer.jobs.workspace import Workspace
from webui import evaluate_head
from webui.evaluate_cards import SIDES, Judged, Verdict, cards_html
from webui.panel import Scene

# The dataset that ships for seeing what was forgotten.
GUARD = "guard"
# Sentences about base against tuned begin so: those of the scores, and those of the judge.
SCORES, JUDGE = "evaluated_", "judged_"
SAID = (SCORES, JUDGE)


class Judge:
    """Draws the body of the run panel for evaluations of a workspace."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace

    def body(self, scene: Scene, lang: str) -> str:
        """The cards of the evaluation that the scene shows."""
        return cards_html(self.judged(scene), lang)

    def judged(self, scene: Scene) -> Judged:
        """What is known of an evaluation now; a run without rows has nothing."""
        results = self._workspace.results
        try:
            report = results.report(scene.id)
            bins = _lengths(report)
            if bins is None:
                bins = results.by_length(scene.id)
            means = results.means(scene.id) if report is None else {}
        except (UserError, OSError):
            return Judged(0, 0, False, "", {}, notes=scene.story.notes)
        story = scene.story
        done, total = evaluate_head.progress(story)
        notes = tuple(note for note in story.notes if not note.code.startswith(SAID))
        if report is None:
            told = story.predicted
            main = _main(results, scene.id) or next(
                (name for scores in (told.scores if told else {}).values() for name in scores), ""
            )
            return Judged(done, total, False, main, _sides(means), notes=notes, bins=bins)
        forgot, guard = self._forgot(scene)
        return Judged(
            int(report.get("rows", done)), int(report.get("of", total)), _is_over(scene), str(report.get("main", "")),
            _sides(report.get("sides") or _losses(report)), verdict_of(report), report.get("loss"),
            report.get("perplexity"), report.get("table"), _together(notes, notes_of(report)), bins, forgot, guard,
            verdict_of(report, "judge", JUDGE),
        )  # fmt: skip

    def _forgot(self, scene: Scene) -> tuple[Verdict | None, str]:
        """The newest verdict over the guard set for the same checkpoint, and the run that gave it."""
        if is_guard(scene):
            return None, ""
        checkpoints = scene.config.model.adapter_name_or_path
        for job in self._workspace.jobs.list():
            if job.task != "eval" or job.state != "finished" or not is_guard(job):
                continue
            if job.config.model.adapter_name_or_path != checkpoints or job.model != _model(scene, job):
                continue
            report = self._workspace.results.report(job.id) or {}
            verdict = verdict_of(report)
            if verdict is not None:
                return verdict, job.id
        return None, ""


def is_guard(run: Scene | Job) -> bool:
    """Whether an evaluation asks the questions of the guard set and nothing else."""
    return evaluate_head.datasets(run.config) == (GUARD,)


def _model(scene: Scene, job: Job) -> str:
    """The folder name of the other's model when both name the same one, else nothing."""
    same = scene.config.model.model_name_or_path == job.config.model.model_name_or_path
    return job.model if same else ""


def _is_over(scene: Scene) -> bool:
    return isinstance(scene.story.final, (Finished, Stopped))


def _main(results: Results, run: str) -> str:
    try:
        return results.counts(run).main
    except (UserError, OSError):
        return ""


def _losses(report: Mapping[str, Any]) -> dict[str, Mapping[str, float | None]]:
    """What stands for the scores of rows that were only measured."""
    found = report.get(LOSS)
    if not isinstance(found, Mapping) or report.get("main") != LOSS:
        return {}
    return {side: {LOSS: loss} for side, loss in found.items()}


def _lengths(report: Mapping[str, Any] | None) -> tuple[Bin, ...] | None:
    """The scores by length in a report, so that no row has to be read for them; None where it has none."""
    found = (report or {}).get("lengths")
    if not isinstance(found, list):
        return None
    try:
        return tuple(
            Bin(int(each["low"]), int(each["high"]), int(each["rows"]), dict(each["means"])) for each in found
        )
    except (KeyError, TypeError, ValueError):
        return None


def _sides(sides: Mapping[Any, Mapping[str, float | None]]) -> dict[str, Mapping[str, float | None]]:
    return {side: sides[side] for side in SIDES if sides.get(side)}


def verdict_of(report: Mapping[str, Any], name: str = "verdict", begins: str = SCORES) -> Verdict | None:
    """The verdict in a report, or that of the judge; one that another version wrote otherwise is none."""
    found = report.get(name)
    if not isinstance(found, Mapping):
        return None
    told = next((note.code for note in notes_of(report) if note.code.startswith(begins)), "")
    try:
        found_out = "better" if float(found["difference"]) > 0 else "worse"
        code = told or begins + (found_out if found["shown"] else "no_difference")
        return Verdict(
            str(found["score"]), int(found["better"]), int(found["equal"]), int(found["worse"]),
            float(found["difference"]), float(found["low"]), float(found["high"]), bool(found["shown"]), code,
        )  # fmt: skip
    except (KeyError, TypeError, ValueError):
        return None


def notes_of(report: Mapping[str, Any]) -> tuple[Note, ...]:
    """The notes in a report."""
    reported = report.get("notes")
    found = reported if isinstance(reported, list) else ()
    return tuple(
        Note(
            code=str(each["code"]),
            values=dict(each.get("values") or {}),
            level=str(each.get("level", "warning")),
        )
        for each in found
        if isinstance(each, Mapping) and "code" in each
    )


def _together(told: tuple[Note, ...], reported: tuple[Note, ...]) -> tuple[Note, ...]:
    """The notes of the run and those of its report, each once, without the verdict, which stands above them."""
    known = [(note.code, note.values) for note in told]
    found = (*told, *(note for note in reported if (note.code, note.values) not in known))
    return tuple(note for note in found if not note.code.startswith(SAID))
