"""Adapters in a run: how they are saved and put back, and a head that has one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel, get_peft_model_state_dict
from peft.tuners.tuners_utils import BaseTunerLayer

from trainer.events import Note
from trainer.model import pissa


def save_adapter(
    model: PeftModel, folder: Path, state: Mapping[str, torch.Tensor] | None = None, *, last: bool
) -> None:
    """Writes an adapter so that PEFT alone loads it onto the base that it was trained on, with the same answers.

    `last` says that it is the result of a run; a PiSSA adapter that is not to be converted is left as it was trained
    there, if PEFT finds its beginning again. The base's own embeddings are never written.
    """
    start = pissa.start_of(model)
    if start is None:
        model.save_pretrained(str(folder), state_dict=state, save_embedding_layers=False)
    elif last and not pissa.is_ordinary(start):
        with pissa.as_trained(model):
            model.save_pretrained(str(folder), state_dict=state, save_embedding_layers=False)
    else:
        found = get_peft_model_state_dict(model, state_dict=state, save_embedding_layers=False)
        pissa.save(model, folder, found)


def put_back(model: Any, checkpoint: Path) -> bool:
    """Loads a checkpoint that PEFT cannot load onto a model whose base has changed; False for all others."""
    if pissa.start_of(model) is None:
        return False
    pissa.restore(model, checkpoint)
    return True


def result_note(model: Any) -> Note | None:
    """What a run with PiSSA leaves in its folder."""
    start = pissa.start_of(model)
    if start is None:
        return None
    rank = int(model.peft_config[pissa.ADAPTER].r)
    if not pissa.is_ordinary(start):
        return Note(code="pissa_left", values={"rank": rank})
    code = "pissa_converted" if start.convert else "pissa_quick_converted"
    return Note(code=code, values={"rank": 2 * rank})


def adapts_head(model: Any) -> bool:
    """Whether the head has an adapter: its weights alone do not give the logits then."""
    head = model.get_output_embeddings() if hasattr(model, "get_output_embeddings") else None
    return isinstance(head, BaseTunerLayer)


@contextmanager
def hidden_head(model: Any) -> Iterator[None]:
    """Inside, a head with an adapter is not seen: TRL 1.16 refuses it for a way to compute the loss that is not taken."""
    if not adapts_head(model):
        yield
        return
    model.get_output_embeddings = lambda: None
    try:
        yield
    finally:
        del model.get_output_embeddings
