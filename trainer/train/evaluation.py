"""What a run measured, in the words of transformers: the losses of an evaluation, and the numbers of the whole run."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

from transformers.trainer_callback import TrainerState
from transformers.trainer_utils import speed_metrics

from trainer.train.checkpoints import Progress

# The exponential of more is too large for a number.
MOST_LOSS = 700.0


class Sums(NamedTuple):
    """One part of an evaluation: the summed loss, and how many trained tokens, rows and batches it has."""

    loss: float
    trained: int
    rows: int
    batches: int


def perplexity(loss: float) -> float:
    """Among how many tokens the model is as good as undecided; a loss beyond all reason stays a number of JSON."""
    return math.exp(min(loss, MOST_LOSS))


def metrics_of(parts: Mapping[str, Sums], prefix: str, begun: float) -> dict[str, float]:
    """`<prefix>_loss`, the mean over the trained tokens of all parts, and `<prefix>_<name>_loss` of those with a name.

    Beside each stands the perplexity, which is its exponential. `begun` is the clock's time at which the evaluation began, in seconds.
    """
    loss, trained, rows, batches = (sum(each) for each in zip(*parts.values(), strict=True))
    means = {f"{prefix}_": loss / max(trained, 1)}
    means |= {f"{prefix}_{name}_": part.loss / max(part.trained, 1) for name, part in parts.items() if name}
    metrics = {f"{name}loss": mean for name, mean in means.items()}
    metrics |= {f"{name}perplexity": perplexity(mean) for name, mean in means.items()}
    metrics.update(speed_metrics(prefix, begun, num_samples=int(rows), num_steps=int(batches)))
    return metrics


def results_of(
    state: TrainerState, progress: Progress, samples: float, mean_loss: float, elapsed_s: float
) -> dict[str, float]:
    """The numbers of a run that trained `samples` rows in `elapsed_s` seconds, with those of its last evaluation."""
    evaluated = [entry for entry in state.log_history if "eval_loss" in entry]
    last = evaluated[-1] if evaluated else {}
    seconds = max(elapsed_s, 1e-9)
    return {
        **{name: value for name, value in last.items() if name.startswith("eval_")},
        "epoch": state.epoch or 0.0,
        "total_flos": state.total_flos,
        "train_loss": mean_loss,
        "train_runtime": round(elapsed_s, 4),
        "train_samples_per_second": round(samples / seconds, 3),
        "train_steps_per_second": round(state.global_step / seconds, 3),
        "train_tokens_per_second": round(progress.trained_tokens / seconds, 3),
    }
