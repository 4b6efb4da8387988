"""The numbers of an evaluation under LLaMA-Factory's names; the base's stand beside the tuned one's as base_*."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from trainer.evaluate.passes import Work
from trainer.evaluate.records import speed
from trainer.model.voices import BASE, TUNED
from trainer.options import EvaluateOptions

Numbers = dict[str, float | None]


def results_of(
    evaluate: EvaluateOptions, found: Mapping[str, Any], work: Work, rows: int
) -> dict[str, Numbers]:
    """What stands in predict_results.json and eval_results.json, as far as each was asked for."""
    parts: dict[str, Numbers] = {}
    spent, compares = work.spent, BASE in work.sides
    preparation = round(work.preparation_s, 4)
    if evaluate.do_predict:
        parts["predict"] = {
            **_named("predict", found["sides"].get(TUNED, {})),
            **(_named("base", found["sides"].get(BASE, {})) if compares else {}),
            **speed("predict", spent.answering_s, rows, spent.batches),
            "predict_model_preparation_time": preparation,
        }
    if evaluate.do_eval:
        parts["eval"] = {
            **_losses("eval", TUNED, found),
            **(_losses("base", BASE, found) if compares else {}),
            **speed("eval", spent.measuring_s, rows, spent.batches),
            "eval_model_preparation_time": preparation,
        }
    return parts


def _named(prefix: str, means: Mapping[str, float]) -> Numbers:
    return {f"{prefix}_{name}": round(value, 4) for name, value in means.items()}


def _losses(prefix: str, side: str, found: Mapping[str, Any]) -> Numbers:
    return {f"{prefix}_{name}": found[name][side] for name in ("loss", "perplexity")}
