"""What pictures take while a vision model is trained, in bytes."""

from __future__ import annotations

from trainer.model.fit.activations import Batch
from trainer.model.fit.choice import Chosen


def pixels_bytes(chosen: Chosen, batch: Batch) -> int:
    """The pictures of a micro-batch as numbers: in 32 bits as they come, and in the format of the computation."""
    eyes = chosen.shape.eyes
    if eyes is None:
        return 0
    numbers = batch.patches * eyes.channels * eyes.frames * eyes.patch**2
    return numbers * (4 + (chosen.formats.compute if chosen.formats.compute < 4 else 0))


def seeing_bytes(chosen: Chosen, batch: Batch) -> int:
    """What the tower keeps for its backward pass; nothing where it is not trained."""
    eyes = chosen.shape.eyes
    tower = [each for each in chosen.trained if each.weight.part == "vision_tower"]
    between = [each for each in chosen.trained if each.weight.part == "multi_modal_projector"]
    if eyes is None or not (tower or between):
        return 0
    size = chosen.formats.compute
    merged = batch.patches * eyes.width * (4 + 3 * size)
    if not tower:
        return merged
    # Two norms' inputs in 32 bits, the inputs of both attention layers, queries, keys and values before and after they
    # are turned, their sum twice, and the MLP, whose quick GELU keeps one more.
    inner = (4 if eyes.gated else 3 if eyes.quick else 2) * eyes.inner
    each = 2 * eyes.width * 4 + (2 + 5 + 2) * eyes.width * size + inner * size
    return batch.patches * eyes.depth * each + merged
