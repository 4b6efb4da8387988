"""The form without its components: values <-> settings, what was changed, what is hidden, the command.

Values are what the controls hold, by option name. Two names more belong to the form alone: `model_path` (used when the
model menu says `CUSTOM`) and `extra` (any other argument, as JSON).
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from trainer.config import RunConfig
from trainer.errors import UserError, UserErrors, problems_of
from trainer.events import Note
from trainer.model import catalog
from trainer.options import WHOLE_METHODS, OptionInfo, options
from trainer.values import checked, is_optional, plain_kind
from webui.controls import show

Values = dict[str, Any]
CUSTOM = "Custom"
# Panels of the Train tab that are folded up at first, in their order.
FOLDED = (
    "rows", "multimodal", "lora", "freeze", "learning", "evaluation", "saving", "memory", "devices", "optimizer", "vocabulary",
    "advanced",
)  # fmt: skip
SHOWN = ("top", "data", "basics", *FOLDED)
# Options that the page shows elsewhere than their panel says: by what a person looks for, seldom touched ones folded up.
ELSEWHERE = {
    "stage": "data",
    "ddp_timeout": "devices",
    **dict.fromkeys(
        (
            "dataset_dir", "mix_strategy", "interleave_probs", "streaming", "buffer_size", "tokenized_path",
            "train_on_prompt", "mask_history", "disable_shuffling", "default_system", "enable_thinking", "preserve_thinking",
            "preprocessing_num_workers", "overwrite_cache",
        ),
        "rows",
    ),
}  # fmt: skip
# The order of these panels is that of a person's decisions, with switches last; elsewhere it is that of the declarations.
ORDERED = {
    "data": ("dataset", "stage", "max_samples", "identity_name", "identity_author"),
    "basics": (
        "num_train_epochs", "learning_rate", "per_device_train_batch_size", "gradient_accumulation_steps", "cutoff_len",
        "lr_scheduler_type", "compute_type", "output_dir",
    ),
    "lora": (
        "lora_rank", "lora_alpha", "lora_dropout", "loraplus_lr_ratio", "lora_target", "oft_rank", "oft_block_size",
        "oft_target", "module_dropout", "use_rslora", "use_dora", "pissa_init", "pissa_iter", "pissa_convert",
    ),
    "rows": (
        "dataset_dir", "default_system", "preprocessing_num_workers", "tokenized_path", "mix_strategy", "interleave_probs",
        "streaming", "buffer_size", "disable_shuffling", "overwrite_cache",
    ),
    "memory": (
        "flash_attn", "gradient_checkpointing", "quantization_bit", "quantization_method", "quantization_type",
        "double_quantization", "packing", "auto_find_batch_size",
    ),
    "devices": ("devices", "nproc_per_node", "ds_stage", "ds_offload", "fsdp"),
    "vocabulary": ("rope_scaling", "new_special_tokens_config", "add_tokens", "add_special_tokens", "init_special_tokens"),
    "saving": (
        "logging_steps", "save_steps", "save_total_limit", "report_to", "project", "swanlab_mode", "plot_loss",
        "include_num_input_tokens_seen",
    ),
    "advanced": (
        "max_steps", "seed", "warmup_steps", "warmup_ratio", "weight_decay", "max_grad_norm", "neftune_noise_alpha",
        "moe_aux_loss_coef",
    ),
}  # fmt: skip


def panel_of(name: str) -> str:
    """The panel of the page that holds a control."""
    if name not in options():
        return "extra"
    return ELSEWHERE.get(name, options()[name].panel)


def names_in(panel: str) -> tuple[str, ...]:
    """The controls of a panel from top to bottom."""
    first = ORDERED.get(panel, ())
    return (*first, *(name for name in options() if panel_of(name) == panel and name not in first))


FIELDS: tuple[str, ...] = tuple(name for name in options() if panel_of(name) in SHOWN)
NAMES: tuple[str, ...] = (*FIELDS, "model_path", "extra")
PRESETS = catalog.PRESETS
# What there is to learn without questions and answers.
TEXTS = ("text_demo",)
# What it learns is shown from the first run on: these questions are for `identity`, the dataset that the page opens with.
FIRST_QUESTIONS = ("你是谁？", "Who are you?")
# A model that sees is asked about the pictures of the data's first rows.
FIRST_ROWS = ("row:1", "row:2")


def named(given: Sequence[Any]) -> Values:
    """The controls' values, in the order of `NAMES`, by name."""
    return dict(zip(NAMES, given, strict=False))


def flat(values: Mapping[str, Any]) -> dict[str, Any]:
    """Option names with values for `RunConfig.from_flat`, what is hidden left out. An emptied box is None."""
    unused = hidden(values)
    found = {
        name: _given(options()[name], values[name])
        for name in FIELDS
        if name in values and name not in unused
    }
    if values.get("model_name_or_path") == CUSTOM:
        found["model_name_or_path"] = str(values.get("model_path") or "").strip()
    checkpoints = found.get("adapter_name_or_path")
    if values.get("finetuning_type") in WHOLE_METHODS and checkpoints:
        # These methods go on from a whole model; its runs still lie below the model's own name.
        folder, method = Path(found["model_name_or_path"]).name, values["finetuning_type"]
        found["output_dir"] = f"saves/{folder}/{method}/{found.get('output_dir') or ''}"
        found["model_name_or_path"] = checkpoints[0]
        del found["adapter_name_or_path"]
    if values.get("extra"):
        found["extra"] = values["extra"]
    return found


def _given(info: OptionInfo, value: Any) -> Any:
    return None if value == "" and plain_kind(info.kind) in (int, float) else value


def read(values: Mapping[str, Any]) -> RunConfig:
    """The settings that the form shows. Raises UserErrors with every problem at once."""
    found = flat(values)
    empty = [
        UserError("option_not_float", field=name, name=name, value="")
        for name, value in found.items()
        if value is None and name in FIELDS and not is_optional(options()[name].kind)
    ]
    for problem in empty:
        del found[problem.field]
    try:
        config = RunConfig.from_flat(found)
    except UserError as error:
        raise UserErrors([*empty, *problems_of(error)]) from error
    if empty:
        raise UserErrors(empty)
    return config


def read_leniently(values: Mapping[str, Any]) -> tuple[RunConfig, bool]:
    """The settings without those that are wrong, and whether nothing is."""
    try:
        return read(values), True
    except UserError as error:
        wrong = {problem.field for problem in problems_of(error)}
    try:
        return read(
            {name: value for name, value in values.items() if name in FIELDS and name not in wrong}
        ), False
    except UserError:
        return RunConfig(), False


def write(config: RunConfig) -> Values:
    """What the controls hold for these settings."""
    values = {name: show(info, getattr(getattr(config, info.section), name)) for name, info in _fields()}
    named = values["model_name_or_path"]
    known = named in {entry.name for entry in catalog.entries()}
    values["model_name_or_path"], values["model_path"] = (named, "") if known else (CUSTOM, named)
    values["extra"] = json.dumps(dict(config.extra), ensure_ascii=False) if config.extra else ""
    return values


def left_out(config: RunConfig) -> list[str]:
    """Names of settings that the form has no control for and that differ from their defaults."""
    named = [name for name in config.to_flat() if name not in config.extra]
    return [name for name in named if name not in FIELDS]


def _fields() -> list[tuple[str, OptionInfo]]:
    return [(name, options()[name]) for name in FIELDS]


def proposed(model: str, method: str, preset: str = "balanced", stage: str = "sft") -> Values:
    """What the page proposes for a model of the catalogue (or `CUSTOM`), a method, a preset and a stage."""
    found: Values = {name: info.form_default for name, info in _fields()}
    entry = catalog.find(model)
    asked = FIRST_ROWS if entry and entry.kind == "vision" else FIRST_QUESTIONS
    found |= {"learn_prompts": asked, "finetuning_type": method, "model_name_or_path": model}
    found |= {"template": entry.template if entry else "", "stage": stage}
    if stage == "pt":
        # Texts of any length follow one another until a row is full, as LLaMA-Factory's page has it, too.
        found |= {"packing": True, "dataset": TEXTS}
    found |= _known(catalog.proposals(model, method))
    found |= _known(catalog.presets(model, method).get(preset, {}))
    values = {name: show(info, found[name]) for name, info in _fields()}
    return {**values, "model_path": "", "extra": ""}


def proposed_for(values: Mapping[str, Any], preset: str) -> Values:
    """What the page proposes for the model, the method and the stage that the form shows."""
    return proposed(values["model_name_or_path"], values["finetuning_type"], preset, values["stage"])


def _known(proposals: Mapping[str, Any]) -> Values:
    return {name: value for name, value in proposals.items() if name in FIELDS}


# What says which run is meant is nobody's change of a setting.
CHOICES = frozenset(
    {
        "model_name_or_path",
        "model_path",
        "finetuning_type",
        "stage",
        "adapter_name_or_path",
        "hub",
        "template",
        "output_dir",
    }
)


def same(name: str, one: Any, other: Any) -> bool:
    """Whether two values of a control mean the same: 3 and 3.0, nothing and an empty box."""
    if name not in options():
        return str(one or "").strip() == str(other or "").strip()
    info = options()[name]
    if (one in ("", None, [])) != (other in ("", None, [])):
        return False
    try:
        return bool(checked(info, _given(info, one)) == checked(info, _given(info, other)))
    except UserError:
        return bool(one == other)


def changed(values: Mapping[str, Any], proposals: Mapping[str, Any]) -> list[str]:
    """Names of the settings that a person has set otherwise than the page proposes, hidden ones left out."""
    unused = hidden(values)
    return [
        name
        for name in NAMES
        if name in values
        and name not in CHOICES
        and name not in unused
        and not same(name, values[name], proposals[name])
    ]


def hidden(values: Mapping[str, Any]) -> set[str]:
    """Options whose condition is not met by the other values. What is hidden has its default in conditions."""
    found: set[str] = set()
    while True:
        seen = {name: options()[name].default if name in found else value for name, value in values.items()
                if name in FIELDS}  # fmt: skip
        more = {
            name
            for name, info in _fields()
            if any(
                _words_of(seen[other]).isdisjoint(allowed)
                for other, allowed in info.when.items()
                if other in seen
            )
        }
        # An option is never shown again because another one is hidden: this ends.
        if more <= found:
            return found
        found |= more


def _words_of(value: Any) -> set[str]:
    if isinstance(value, (list, tuple)):
        return {str(each) for each in value}
    return {str(value).lower() if isinstance(value, bool) else str(value)}


class Filling(NamedTuple):
    """New values for controls, and the names of those that a person had set and that were left alone."""

    values: Values
    kept: list[str]


def fill(values: Mapping[str, Any], before: Mapping[str, Any], after: Mapping[str, Any]) -> Filling:
    """What to put into the form when the proposals change from `before` to `after`."""
    new: Values = {}
    kept: list[str] = []
    for name in NAMES:
        if name in CHOICES or same(name, before[name], after[name]):
            continue
        if same(name, values[name], before[name]):
            new[name] = after[name]
        elif not same(name, values[name], after[name]):
            kept.append(name)
    if after["model_name_or_path"] != before["model_name_or_path"]:
        # The template follows the model, and checkpoints belong to one.
        new |= {"template": after["template"], "adapter_name_or_path": []}
    if after["finetuning_type"] != before["finetuning_type"]:
        new["adapter_name_or_path"] = []
    return Filling(new, kept)


class Change(NamedTuple):
    name: str
    before: Any
    after: Any


def preset_changes(model: str, method: str, preset: str) -> list[Change]:
    """What a preset sets otherwise than the balanced one, in the order of the options."""
    found = catalog.presets(model, method)
    usual, chosen = found.get("balanced", {}), found.get(preset, {})
    named = [name for name in usual if name in chosen]
    return [Change(name, usual[name], chosen[name]) for name in named if chosen[name] != usual[name]]


def command(config: RunConfig) -> str:
    """A line for a POSIX shell that starts this run, with every text quoted where it must be."""
    words = ["python", "-m", "trainer", "train"]
    for name, value in config.to_flat().items():
        word = _word(name, value)
        # A value that looks like a flag has to be tied to its own.
        tie = f"--{name}=" if word.startswith("--") else f"--{name} "
        words.append(tie + shlex.quote(word))
    return " ".join(words)


def _word(name: str, value: Any) -> str:
    if name not in options():
        return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    if isinstance(value, list):
        return ("\n" if name == "learn_prompts" else ",").join(value)
    return str(value).lower() if isinstance(value, bool) else str(value)


def model_name(values: Mapping[str, Any]) -> str:
    """What to call the chosen model."""
    if values.get("model_name_or_path") != CUSTOM:
        return str(values.get("model_name_or_path") or "")
    return Path(str(values.get("model_path") or "").strip()).name or CUSTOM


def notes_of(config: RunConfig) -> tuple[Note, ...]:
    """What a person should know after a file was loaded: names read otherwise, and what the form cannot show."""
    unseen = left_out(config)
    more = (Note(code="page_left_out", values={"names": ", ".join(unseen)}),) if unseen else ()
    return (*config.notes, *more)
