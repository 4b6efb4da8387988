"""Whether a model that was written answers as the one inside: tokens, scores of tokens, and how sure both are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from trainer.dataset.conversation import Media
from trainer.export.voices import Voice

# Compared tokens of each answer; where it ends earlier, what a model would go on with is compared as well.
TOKENS = 32
# fp32 in two runtimes, or in two orders of adding: https://pytorch.org/docs/stable/notes/numerical_accuracy.html
EXACT = 1e-4


@dataclass(frozen=True)
class Reference:
    """What the model inside says to one prompt: its likeliest tokens, and the scores (tokens, vocabulary) in fp32."""

    ids: tuple[int, ...]
    tokens: tuple[int, ...]
    logits: torch.Tensor
    media: tuple[Media, ...] = ()

    @property
    def loss(self) -> float:
        """The mean loss of its own tokens."""
        return _loss(self.logits, self.tokens)


@dataclass(frozen=True)
class Heard:
    """What a written model says to one prompt.

    `same` counts the places, of `len(tokens)`, where it chooses the token of the model inside after the same words.
    `first` is the first place where it does not, `margin` how much the model inside likes its own choice better there
    (the most of all such places). `difference` is the largest one between scores. `tokens` is its own answer.
    """

    tokens: tuple[int, ...]
    same: int
    first: int | None
    margin: float
    difference: float
    loss: float


def refer(voice: Voice, ids: Sequence[int], media: Sequence[Media] = ()) -> Reference:
    """Asks the model inside."""
    tokens = voice.greedy(ids, TOKENS, media)
    return Reference(tuple(ids), tuple(tokens), voice.logits(ids, tokens, media), tuple(media))


def hear(voice: Voice, reference: Reference, expected: torch.Tensor) -> Heard:
    """Asks a written model. `expected` are the scores (tokens, vocabulary) to which its own are compared."""
    found = voice.logits(reference.ids, reference.tokens, reference.media)
    words = min(found.shape[1], expected.shape[1])
    chosen = found[:, :words].argmax(-1)
    own = torch.tensor(reference.tokens)
    others = (chosen != own).nonzero().flatten().tolist()
    tokens = reference.tokens if not others else tuple(voice.greedy(reference.ids, TOKENS, reference.media))
    margins = [float(reference.logits[at, own[at]] - reference.logits[at, chosen[at]]) for at in others]
    return Heard(
        tokens,
        len(own) - len(others),
        others[0] if others else None,
        max(margins, default=0.0),
        float((found[:, :words] - expected[:, :words]).abs().max()),
        _loss(found, reference.tokens),
    )


def round_weights(
    model: torch.nn.Module, written: Callable[[str], torch.dtype], check: Callable[[], None]
) -> None:
    """Rounds weights in place to the format in which each is written, by its name; `check` is asked for each."""
    with torch.no_grad():
        for name, weight in model.named_parameters():
            check()
            if weight.is_floating_point():
                weight.copy_(weight.to(written(name)).to(weight.dtype))


def _loss(logits: torch.Tensor, tokens: Sequence[int]) -> float:
    return float(torch.nn.functional.cross_entropy(logits, torch.tensor(list(tokens))))
