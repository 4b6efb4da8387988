"""Adapters in a run: how they are saved and put back, and a head that has one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel, get_peft_model_state_dict
from peft.tuners.tuners_utils import BaseTunerLayer

from trainer.errors import UserError
from trainer.events import Note
from trainer.model import pissa
from trainer.model.adapter_files import WEIGHTS, weight_names


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
    """Loads a checkpoint that PEFT cannot load onto a model whose base has changed; False for all others.

    Raises UserError for an adapter of another kind or with other layers, of which PEFT would load what it knows.
    """
    if isinstance(model, PeftModel):
        _require_same(model, checkpoint)
    if pissa.start_of(model) is None:
        return False
    pissa.restore(model, checkpoint)
    return True


def _require_same(model: PeftModel, checkpoint: Path) -> None:
    if not (checkpoint / WEIGHTS).is_file():
        return
    wanted = set(get_peft_model_state_dict(model, save_embedding_layers=False))
    found = weight_names(checkpoint)
    # PEFT writes the base's own embeddings beside adapters on them.
    beyond = {name for name in found - wanted if ".base_layer." not in name}
    if not (wanted - found or beyond):
        return
    name = min(wanted - found or beyond)
    reason = f"{name} is {'missing' if name in wanted else 'too much'}: the adapter is of another kind, or has other layers"
    raise UserError(
        "checkpoint_does_not_fit", field="resume_from_checkpoint", path=str(checkpoint), reason=reason
    )


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
