"""What it learns: the person's prompts, answered greedily by the model as it is now."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from transformers import TrainerCallback
from transformers.modeling_utils import PreTrainedModel
from transformers.trainer_callback import TrainerControl, TrainerState
from transformers.training_args import TrainingArguments

from trainer.dataset.conversation import message
from trainer.dataset.render import Renderer
from trainer.events import Event, Sample
from trainer.train.attention import switches, using

# Enough to see what it learns; a model that has not learned to stop yet would hold up the training.
MOST_TOKENS = 128


@contextmanager
def undisturbed(model: PreTrainedModel) -> Iterator[None]:
    """Inside, `model` answers; afterwards mode and random numbers are as before, so that training goes on unchanged."""
    modes = [(module, module.training) for module in model.modules()]
    devices = [model.device] if model.device.type == "cuda" else []
    model.eval()
    try:
        with torch.random.fork_rng(devices), torch.no_grad():
            yield
    finally:
        for module, training in modes:
            module.training = training


def answer(
    model: PreTrainedModel, ids: Sequence[int], stop_ids: Sequence[int], limit: int, stop: Callable[[], bool]
) -> list[int]:
    """The likeliest next tokens after `ids`, up to a stop token (left out), `limit` tokens, or `stop`."""
    given = torch.tensor([list(ids)], device=model.device)
    cache: Any = None
    answered: list[int] = []
    while len(answered) < limit and not stop():
        output = model(input_ids=given, past_key_values=cache, use_cache=True)
        cache = output.past_key_values
        token = int(output.logits[0, -1].argmax())
        if token in stop_ids:
            break
        answered.append(token)
        given = torch.tensor([[token]], device=model.device)
    return answered


class Sampler(TrainerCallback):
    """Emits a Sample for each prompt before the first step, every `every` steps, and after the last one."""

    def __init__(
        self,
        emit: Callable[[Event], None],
        stop: Callable[[], bool],
        model: torch.nn.Module,
        renderer: Renderer,
        decode: Callable[[list[int]], str],
        prompts: Sequence[str],
        system: str,
        every: int,
        limit: int,
    ) -> None:
        self._emit = emit
        self._stop = stop
        # While training, attention goes by row; answers need a cache, as outside of training.
        self._switches = switches(model)
        self._attention = [config._attn_implementation for config in self._switches]
        self._stop_ids = renderer.stop_ids
        self._decode = decode
        self._prompts = [(prompt, renderer.prompt((message("user", prompt),), system)) for prompt in prompts]
        self._every = every
        self._limit = min(limit, MOST_TOKENS)

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **given: Any
    ) -> None:
        if state.global_step == 0:
            self._ask(given["model"], 0)

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **given: Any
    ) -> None:
        if state.global_step % self._every == 0 or state.global_step >= state.max_steps:
            self._ask(given["model"], state.global_step)

    def _ask(self, model: PreTrainedModel, step: int) -> None:
        with undisturbed(model), using(self._switches, self._attention):
            for prompt, ids in self._prompts:
                said = answer(model, ids, self._stop_ids, self._limit, self._stop)
                if self._stop():
                    return
                self._emit(Sample(step=step, prompt=prompt, answer=self._decode(said)))
