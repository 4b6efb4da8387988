"""The words of the HTML report, in the page's language."""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path

from trainer.jobs.job import Job
from trainer.jobs.results import REPORT_WORDS, ReportText
from trainer.jobs.workspace import Workspace
from webui import evaluate_head
from webui.evaluate_cards import number, score_name, sentence
from webui.evaluate_judge import JUDGE, SAID, notes_of, verdict_of
from webui.i18n import say
from webui.panel import spoken

# What a browser calls the languages of the page where it calls them otherwise.
_TAGS = {"zh": "zh-CN"}


def report_text(workspace: Workspace, job: Job, lang: str) -> ReportText:
    """Everything that the report of an evaluation says beside its rows."""
    found = workspace.results.report(job.id) or {}
    counts = workspace.results.counts(job.id)
    verdicts = [verdict_of(found), verdict_of(found, "judge", JUDGE)]
    checkpoints = [Path(each).name for each in job.config.model.adapter_name_or_path]
    facts = [
        (_say("model", lang), job.config.model.model_name_or_path),
        *([(_say("checkpoint", lang), ", ".join(checkpoints))] if checkpoints else []),
        (_say("data", lang), ", ".join(evaluate_head.datasets(job.config))),
        (_say("date", lang), time.strftime("%Y-%m-%d %H:%M", time.localtime(job.created_at))),
    ]
    notes = [
        spoken(note.code, note.values, lang) for note in notes_of(found) if not note.code.startswith(SAID)
    ]
    return ReportText(
        lang=_TAGS.get(lang, lang),
        words={key: say(f"evaluate.report.{key}", lang) for key in REPORT_WORDS},
        sentence=" ".join(sentence(each, lang) for each in verdicts if each),
        notes=[f"{each.text} {each.hint}".strip() for each in notes],
        scores={name: score_name(name, lang) for name in counts.scores},
        number=partial(number, score=counts.main),
        title=_say("title", lang).format(name=job.name),
        facts=facts,
    )


def _say(key: str, lang: str) -> str:
    return say(f"evaluate.report.{key}", lang)
