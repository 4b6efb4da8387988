"""Adapters on a model: a new one, an old one continued or merged."""

from __future__ import annotations

import warnings
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import torch
from peft import LoraConfig, OFTConfig, PeftModel, get_peft_model
from transformers.modeling_utils import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from trainer.errors import UserError
from trainer.model import oft, pissa
from trainer.model.adapter_files import WEIGHTS, adapted_layers, check_adapter, read_adapter
from trainer.model.blocks import in_expanded
from trainer.model.layers import (
    LINEAR,
    SEEING,
    choose_experts,
    choose_layers,
    choose_whole,
    linear_layers,
    shortest,
    tied_pair,
)
from trainer.model.parts import PartName
from trainer.options import LoraOptions

__all__ = [
    "LINEAR",
    "SEEING",
    "WEIGHTS",
    "check_adapter",
    "choose_layers",
    "linear_layers",
    "merge",
    "new_adapter",
    "old_adapter",
    "read_adapter",
]

Kind = Literal["lora", "oft"]


def new_adapter(
    model: PreTrainedModel,
    options: LoraOptions,
    dtype: torch.dtype,
    frozen: Collection[PartName] = SEEING,
    *,
    kind: Kind = "lora",
    whole: tuple[str, ...] = (),
    checkpoint: Path | None = None,
    expanded: int | None = None,
) -> PeftModel:
    """The model with a fresh adapter, whose weights are in `dtype`; only they are trainable.

    `whole` names modules that are trained as they are and saved beside it, as `additional_target` does. PiSSA takes
    the beginning of a run from its `checkpoint` when there is one. `expanded` of LLaMA-Pro's blocks get an adapter, and
    no other layer. Raises UserError when there is no layer outside of the frozen parts, and for names, sizes or layers
    that the method cannot have.
    """
    modules = choose_whole(model, (*options.additional_target, *whole))
    layers, experts = _where(model, options, kind, frozen, modules, expanded)
    targets = shortest(layers, [name for name, _ in model.named_modules()])
    if kind == "oft":
        oft.check(model, layers)
        config: LoraConfig | OFTConfig = oft.config_of(options, targets, modules)
    else:
        if options.pissa_init:
            pissa.check(model, layers, options)
        config = _lora(options, targets, modules, tied=bool(set(modules) & set(tied_pair(model))))
        config.target_parameters = experts or None
        config.fan_in_fan_out = any(isinstance(model.get_submodule(each), Conv1D) for each in layers)
    with quiet():
        adapted = get_peft_model(model, config, autocast_adapter_dtype=dtype == torch.float32)
    cast_trained(adapted, dtype)
    if kind == "oft":
        oft.drop_blocks(adapted)
    elif options.pissa_init:
        pissa.begin(adapted, options, checkpoint)
    return adapted


def _where(
    model: PreTrainedModel, options: LoraOptions, kind: Kind, frozen: Collection[PartName], whole: list[str],
    expanded: int | None,
) -> tuple[list[str], list[str]]:  # fmt: skip
    """The layers that get an adapter, and the weights of experts that do; none of them inside of what is trained whole."""
    wanted, field = (
        (options.oft_target, "oft_target") if kind == "oft" else (options.lora_target, "lora_target")
    )
    experts = choose_experts(model, wanted, frozen)
    both = [choose_layers(model, wanted, frozen, field, experts), experts]
    for outer in whole:
        both = [
            [each for each in names if each != outer and not each.startswith(f"{outer}.")] for names in both
        ]
    if expanded is not None:
        both = [in_expanded(model, names, expanded) for names in both]
    layers, experts = both
    if experts:
        _require_plain(kind, options)
    if not layers and not experts:
        raise UserError("nothing_trains", field="freeze_language_model")
    return layers, experts


def _require_plain(kind: Kind, options: LoraOptions) -> None:
    """Raises UserError for what PEFT cannot do on the weights of many experts at once."""
    on = {"finetuning_type oft": kind == "oft", "use_dora": options.use_dora, "pissa_init": options.pissa_init,
          "lora_dropout": options.lora_dropout > 0}  # fmt: skip
    for name, value in on.items():
        if value:
            raise UserError("experts_plain", field="lora_target", name=name)


def _lora(options: LoraOptions, targets: list[str], modules: list[str], *, tied: bool) -> LoraConfig:
    return LoraConfig(
        r=options.lora_rank,
        lora_alpha=options.lora_alpha or 2 * options.lora_rank,
        lora_dropout=options.lora_dropout,
        use_rslora=options.use_rslora,
        use_dora=options.use_dora,
        target_modules=targets,
        modules_to_save=modules or None,
        # Otherwise PEFT would train the embedding and the head that is one with it apart.
        ensure_weight_tying=tied,
        task_type="CAUSAL_LM",
    )


def cast_trained(model: PeftModel, dtype: torch.dtype) -> None:
    """Modules that are trained whole begin in the format of the frozen weights; that of the training is `dtype`."""
    for parameter in model.parameters():
        if parameter.requires_grad and parameter.dtype != dtype:
            parameter.data = parameter.data.to(dtype)


@contextmanager
def quiet() -> Iterator[None]:
    """Inside, PEFT does not warn of what is meant here: adapters on tied embeddings, and block sizes it rounds."""
    with warnings.catch_warnings():
        for words in (
            "Model has `tie_word_embeddings=True`",
            "Model with `tie_word_embeddings=True`",
            "Input and output embeddings are no longer tied",
            # GPT-2's embedding has a name by which PEFT does not know it again; the file holds both of the pair.
            "You have requested `ensure_weight_tying`",
            "Invalid `oft_block_size`",
            "Invalid `r`",
            "PiSSA changes the base weights",
            "fan_in_fan_out is set to",
        ):
            warnings.filterwarnings("ignore", message=words)
        yield


def old_adapter(model: PreTrainedModel, path: Path, dtype: torch.dtype, *, trainable: bool) -> PeftModel:
    """The model with an adapter from a folder. Raises UserError when it is none or belongs to another base."""
    check_adapter(model, path)
    with quiet():
        adapted = PeftModel.from_pretrained(
            model, str(path), is_trainable=trainable, autocast_adapter_dtype=dtype == torch.float32
        )
    if trainable:
        cast_trained(adapted, dtype)
        oft.drop_blocks(adapted)
    return adapted


def merge(model: PreTrainedModel, path: Path) -> PreTrainedModel:
    """The model with an adapter's changes added to its weights."""
    check_adapter(model, path)
    _untie(model, path)
    with quiet():
        adapted = PeftModel.from_pretrained(model, str(path))
        merged: PreTrainedModel = adapted.merge_and_unload(safe_merge=True)
    return merged


def _untie(model: PreTrainedModel, path: Path) -> None:
    """Gives the head weights of its own when an adapter sits on the embedding alone, or on the head alone.

    PEFT would add the changes to the weights that both share.
    """
    pair, config = tied_pair(model), read_adapter(path)
    if not set(pair) & adapted_layers(path) or config.get("ensure_weight_tying"):
        return
    head = model.get_output_embeddings()
    head.weight = torch.nn.Parameter(head.weight.detach().clone(), requires_grad=head.weight.requires_grad)
    for each in (model.config, model.config.get_text_config()):
        each.tie_word_embeddings = False
