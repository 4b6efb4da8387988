"""An evaluation: what is answered, scored and compared."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from trainer.options.declare import option


@dataclass(frozen=True)
class EvaluateOptions:
    do_predict: bool = option(
        False, "Answer the rows of an evaluation and score the answers.", label="Answers and scores", panel="predict",
        form=True,
    )  # fmt: skip
    do_eval: bool = option(
        False, "Measure loss and perplexity on the same rows; after a training, too.", label="Loss and perplexity",
        panel="predict", form=True,
    )  # fmt: skip
    compare_base: bool = option(
        True, "Evaluate the base model beside the tuned one.", label="Compare with the base", panel="predict",
    )  # fmt: skip
    score_as: Literal["auto", "text", "labels", "json"] = option(
        "auto", "Which scores suit the answers; auto recognises it from the references.", label="Answers are",
        panel="predict",
    )  # fmt: skip
    judge: bool = option(
        False, "Another model, named at the start of the program, also says which answer is better.",
        label="Ask the judge", panel="predict",
    )  # fmt: skip
    held_seed: int | None = option(
        None, "Seed with which a training has held back the rows that are evaluated; empty means `seed`.",
        label="Seed of the held back", panel="none", min=0, step=1,
    )  # fmt: skip
    held_samples: int | None = option(
        None, "max_samples of that training, 0 for none; max_samples then counts the rows that it has held back.",
        label="Max samples of the training", panel="none", min=0, step=1,
    )  # fmt: skip
