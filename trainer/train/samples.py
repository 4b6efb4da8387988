"""What it learns: the person's questions, answered greedily by the model as it is now."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from transformers import GenerationConfig, StoppingCriteria, StoppingCriteriaList, TrainerCallback
from transformers.modeling_utils import PreTrainedModel
from transformers.trainer_callback import TrainerControl, TrainerState
from transformers.training_args import TrainingArguments

from trainer.dataset.render import Renderer
from trainer.events import Event, Sample
from trainer.train.asking import Question
from trainer.train.attention import switches, using
from trainer.train.seeing import Eyes, Seen

# Enough to see what it learns; a model that has not learned to stop yet would hold up the training.
MOST_TOKENS = 128


@contextmanager
def undisturbed(model: PreTrainedModel) -> Iterator[None]:
    """Inside, `model` answers; afterwards mode and random numbers are as before, so that training goes on unchanged."""
    modes = [(module, module.training) for module in model.modules()]
    # Where the tokens after a picture stand, which models keep for the next word of the same answer.
    places = [(module, module.rope_deltas) for module in model.modules() if hasattr(module, "rope_deltas")]
    devices = [model.device] if model.device.type != "cpu" else []
    model.eval()
    try:
        with torch.random.fork_rng(devices), torch.no_grad():
            yield
    finally:
        for module, training in modes:
            module.training = training
        for module, kept in places:
            module.rope_deltas = kept


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


class _Stopping(StoppingCriteria):
    """Ends an answer when the run is to end."""

    def __init__(self, stop: Callable[[], bool]) -> None:
        self._stop = stop

    def __call__(self, input_ids: torch.Tensor, scores: Any, **_: Any) -> torch.Tensor:
        return torch.full((len(input_ids),), self._stop(), device=input_ids.device)


def answer_seeing(
    model: PreTrainedModel,
    eyes: Eyes,
    seen: Seen,
    stop_ids: Sequence[int],
    limit: int,
    stop: Callable[[], bool],
) -> list[int]:
    """As `answer`, to a question with pictures. Raises UserError when one cannot be read any more."""
    # Where tokens stand the model finds out itself when it writes; how they are laid side by side is the training's.
    own = {name: value for name, value in eyes.inputs([seen], flattened=False).items() if name not in _LAID}
    given = torch.tensor([list(seen.ids)], device=model.device)
    wanted = GenerationConfig(
        max_new_tokens=limit, do_sample=False, num_beams=1, use_cache=True, eos_token_id=list(stop_ids) or None,
        pad_token_id=min(stop_ids, default=0),
    )  # fmt: skip
    # transformers' stubs take a mixin's method for a tensor.
    found = model.generate(  # type: ignore[operator]
        input_ids=given, attention_mask=torch.ones_like(given), generation_config=wanted,
        stopping_criteria=StoppingCriteriaList([_Stopping(stop)]),
        **{name: _placed(value, model) for name, value in own.items()},
    )  # fmt: skip
    said: list[int] = found[0, given.shape[1] :].tolist()
    return said[:-1] if said and said[-1] in stop_ids else said


_LAID = ("position_ids", "row_blocks")


def _placed(value: Any, model: PreTrainedModel) -> Any:
    if not isinstance(value, torch.Tensor):
        return value
    return value.to(model.device, model.dtype) if value.is_floating_point() else value.to(model.device)


class Sampler(TrainerCallback):
    """Emits a Sample for each question before the first step, every `every` steps, and after the last one."""

    def __init__(
        self,
        emit: Callable[[Event], None],
        stop: Callable[[], bool],
        model: torch.nn.Module,
        renderer: Renderer,
        decode: Callable[[list[int]], str],
        questions: Sequence[Question],
        every: int,
        limit: int,
        eyes: Eyes | None = None,
    ) -> None:
        self._emit = emit
        self._stop = stop
        # While training, attention goes by row; answers need a cache, as outside of training.
        self._switches = switches(model)
        self._attention = [config._attn_implementation for config in self._switches]
        self._stop_ids = renderer.stop_ids
        self._decode = decode
        self._eyes = eyes
        self._questions = questions
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
            for question in self._questions:
                said = self._answer(model, question)
                if self._stop():
                    return
                self._emit(_sample(step, question, self._decode(said)))

    def _answer(self, model: PreTrainedModel, question: Question) -> list[int]:
        if not question.message.media or self._eyes is None:
            return answer(model, question.ids, self._stop_ids, self._limit, self._stop)
        seen = Seen(question.ids, question.message.media)
        with undisturbed(model):
            return answer_seeing(model, self._eyes, seen, self._stop_ids, self._limit, self._stop)


def _sample(step: int, question: Question, said: str) -> Sample:
    own = question.message.text
    asked = "" if own == question.prompt else own
    return Sample(step=step, prompt=question.prompt, answer=said, question=asked, media=question.shown)
