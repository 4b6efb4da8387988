"""training_loss.png: the loss of a run, raw and smoothed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure


def smooth(values: Sequence[float]) -> list[float]:
    """A running mean that weighs older values less, the less the more values there are."""
    weight = max(0.0, min(0.9, 1 - 10 / max(len(values), 1)))
    smoothed: list[float] = []
    for value in values:
        smoothed.append(weight * smoothed[-1] + (1 - weight) * value if smoothed else value)
    return smoothed


def plot_loss(history: Sequence[dict[str, Any]], path: Path) -> bool:
    """Draws the losses of a trainer's log history into a PNG file; False when there is nothing to draw."""
    trained = [(entry["step"], entry["loss"]) for entry in history if "loss" in entry]
    evaluated = [(entry["step"], entry["eval_loss"]) for entry in history if "eval_loss" in entry]
    if not trained:
        return False
    # Figure and canvas by hand: pyplot keeps state for the whole process, and this is a thread of a server.
    figure = Figure(figsize=(8, 5), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    steps, losses = zip(*trained, strict=True)
    axes.plot(steps, losses, color="#9bb7d4", label="loss")
    axes.plot(steps, smooth(losses), color="#1f4e79", label="smoothed")
    if evaluated:
        axes.plot(*zip(*evaluated, strict=True), color="#c0504d", marker="o", label="evaluation")
    axes.set_xlabel("step")
    axes.set_ylabel("loss")
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(path)
    return True
