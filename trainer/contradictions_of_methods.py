"""Methods and engines that exclude each other, or need each other."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainer.options.train import REPORTERS

if TYPE_CHECKING:
    from trainer.config import RunConfig

Complain = Callable[..., None]

# Bits of a weight that each package can hold: https://huggingface.co/docs/transformers/quantization/overview
BITS = {"bnb": ("8", "4"), "hqq": ("8", "6", "5", "4", "3", "2", "1"), "eetq": ("8",)}
_LOSSES = re.compile(r"(eval_)?loss|eval_.+_loss")

# Files that come with LLaMA-Factory say their stage by their names.
_PEERS = re.compile(r"(?:^|/)ds_z([023])(?:_offload)?_config\.json$")


def complain_of_methods(config: RunConfig, complain: Complain) -> None:
    """Calls `complain(option, code, **values)` for each mistake of a training."""
    _of_stage(config, complain)
    if config.task != "train":
        return
    _of_beginning(config, complain)
    _of_adapters(config, complain)
    _of_layers(config, complain)
    _of_quantization(config, complain)
    _of_engines(config, complain)
    _of_evaluation(config, complain)
    _of_reports(config, complain)


def zero_stage(config: RunConfig) -> int | None:
    """The stage of DeepSpeed's ZeRO that is asked for; None without DeepSpeed, and for a file of somebody's own that
    cannot be read."""
    said = config.distributed
    if said.ds_stage != "none":
        return int(said.ds_stage)
    if not said.deepspeed:
        return None
    shipped = shipped_stage(said.deepspeed)
    if shipped is not None:
        return shipped
    try:
        text = said.deepspeed
        if not text.lstrip().startswith("{"):
            text = Path(text).expanduser().read_text(encoding="utf-8-sig")
        return int(json.loads(text).get("zero_optimization", {}).get("stage", 0))
    except (OSError, ValueError, TypeError, AttributeError):
        return None


def shipped_stage(path: str) -> int | None:
    """The stage of a file that comes with LLaMA-Factory and is not there: this program has one of the same meaning.
    None for every other path."""
    named = _PEERS.search(path.replace("\\", "/"))
    return int(named[1]) if named and not Path(path).expanduser().is_file() else None


def engine_of(config: RunConfig) -> str:
    """What shares the training out: `DeepSpeed`, `FSDP`, or nothing."""
    if config.distributed.ds_stage != "none" or config.distributed.deepspeed:
        return "DeepSpeed"
    return "FSDP" if config.distributed.fsdp != "none" else ""


def _of_adapters(config: RunConfig, complain: Complain) -> None:
    lora, method = config.lora, config.method.finetuning_type
    switches: dict[str, Any] = {
        "loraplus_lr_ratio": lora.loraplus_lr_ratio, "use_rslora": lora.use_rslora, "use_dora": lora.use_dora,
        "pissa_init": lora.pissa_init,
    }  # fmt: skip
    if method != "lora":
        for name, value in switches.items():
            if value:
                complain(name, "only_with_lora", name=name, method=method)
    if method == "oft" and bool(lora.oft_rank) == bool(lora.oft_block_size):
        complain("oft_block_size", "oft_size", rank=lora.oft_rank, size=lora.oft_block_size)


def _of_layers(config: RunConfig, complain: Complain) -> None:
    method = config.method
    if method.use_llama_pro and method.finetuning_type in ("full", "oft"):
        complain("use_llama_pro", "expanded_method", method=method.finetuning_type)
    if method.finetuning_type != "freeze":
        return
    if method.freeze_trainable_layers == 0 and not method.freeze_extra_modules:
        complain("freeze_trainable_layers", "freeze_nothing")


def _of_quantization(config: RunConfig, complain: Complain) -> None:
    model = config.model
    if model.quantization_bit == "none":
        return
    bits = int(model.quantization_bit)
    if config.method.finetuning_type not in ("lora", "oft"):
        complain("quantization_bit", "quantized_method", bits=bits, method=config.method.finetuning_type)
    allowed = BITS[model.quantization_method]
    if model.quantization_bit not in allowed:
        complain(
            "quantization_bit", "bits_unheld", name=model.quantization_method, bits=bits,
            allowed=", ".join(allowed),
        )  # fmt: skip
    changing: dict[str, Any] = {
        "pissa_init": config.lora.pissa_init,
        "train_from_scratch": model.train_from_scratch,
        "create_new_adapter": config.lora.create_new_adapter and model.adapter_name_or_path,
    }
    for name, value in changing.items():
        if value:
            complain(name, "quantized_with", name=name)
    if len(model.adapter_name_or_path) > 1:
        complain("adapter_name_or_path", "quantized_adapters", count=len(model.adapter_name_or_path))


def _of_engines(config: RunConfig, complain: Complain) -> None:
    said = config.distributed
    own = "deepspeed" if said.deepspeed else "ds_stage"
    if said.fsdp != "none" and engine_of(config) == "DeepSpeed":
        complain("fsdp", "engines_two", name=own, other="fsdp")
    if said.deepspeed and said.ds_stage != "none":
        complain("deepspeed", "option_twice", name="deepspeed", other="ds_stage")
    if config.lora.pissa_init and engine_of(config) == "FSDP":
        reason = "it begins with a decomposition of whole weights, of which each process holds a share"
        complain("pissa_init", "engine_excludes", name="pissa_init", engine="fsdp", reason=reason)
    if engine_of(config) and config.train.load_best_model_at_end and config.extra.get("save_only_model"):
        reason = "with save_only_model a checkpoint does not hold all that it reads back"
        complain(
            "load_best_model_at_end", "engine_excludes", name="load_best_model_at_end", engine=engine_of(config),
            reason=reason,
        )  # fmt: skip
    if zero_stage(config) != 3:
        return
    ways = {
        # bitsandbytes cannot fill weights that DeepSpeed has split up before they are read.
        "quantization_bit": (
            config.model.quantization_bit != "none", "Use ds_stage 2 or fsdp, or leave quantization_bit out."
        ),
        "pissa_init": (config.lora.pissa_init, "Use ds_stage 2, or leave pissa_init out."),
        "compute_type": (
            config.method.compute_type == "pure_bf16", "Use compute_type: bf16, which computes in 16 bits, too."
        ),
        "do_predict": (
            config.evaluate.do_predict, "Evaluate afterwards: `python -m trainer eval` with the folder of the run."
        ),
        "create_new_adapter": (
            config.lora.create_new_adapter and len(config.model.adapter_name_or_path) == 1,
            "Merge the adapter first (`python -m trainer export`), or use ds_stage 2.",
        ),
    }  # fmt: skip
    for name, (on, way) in ways.items():
        if on:
            complain(name, "zero3_with", name=name, way=way)
    if len(config.model.adapter_name_or_path) > 1:
        complain("adapter_name_or_path", "sharded_adapters", count=len(config.model.adapter_name_or_path))


def _of_evaluation(config: RunConfig, complain: Complain) -> None:
    metric = config.extra.get("metric_for_best_model")
    if metric is not None and not _LOSSES.fullmatch(str(metric)):
        complain("metric_for_best_model", "best_metric", value=str(metric)[:80])


def _of_stage(config: RunConfig, complain: Complain) -> None:
    if config.data.stage != "pt":
        return
    asking = {
        "train_on_prompt": config.data.train_on_prompt,
        "mask_history": config.data.mask_history,
        "do_predict": config.evaluate.do_predict,
    }
    for name, wanted in asking.items():
        if wanted:
            complain(name, "only_for_answers", name=name)


def _of_beginning(config: RunConfig, complain: Complain) -> None:
    if config.model.train_from_scratch and config.method.finetuning_type != "full":
        complain("train_from_scratch", "scratch_needs_full", method=config.method.finetuning_type)


def _of_reports(config: RunConfig, complain: Complain) -> None:
    for value in config.train.report_to:
        if value not in REPORTERS:
            nearest = difflib.get_close_matches(value, REPORTERS, n=1, cutoff=0.0)
            complain(
                "report_to", "report_unknown", value=value[:80], known=", ".join(REPORTERS),
                nearest=nearest[0] if nearest else "none",
            )  # fmt: skip
