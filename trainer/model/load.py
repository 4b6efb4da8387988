"""A model folder -> tokenizer and model in memory. Only safetensors are read, and no code that comes with a model."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForImageTextToText,
    AutoProcessor,
    AutoTokenizer,
)
from transformers.configuration_utils import PretrainedConfig
from transformers.modeling_utils import PreTrainedModel
from transformers.models.auto.modeling_auto import (
    MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
    MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES,
)
from transformers.processing_utils import ProcessorMixin
from transformers.tokenization_utils_base import PreTrainedTokenizerBase
from transformers.utils import logging

from trainer import device
from trainer.errors import UserError
from trainer.model.catalog import check_folder, weight_files
from trainer.model.eyes import is_vision
from trainer.model.parts import parts_of
from trainer.model.quantization import Quantization, keep_layout, settings_for

# Without any of these some families make up a tokenizer that knows no word.
VOCABULARIES = ("tokenizer.json", "*.model", "vocab.*", "*.tiktoken", "tekken.json")
PROCESSORS = ("preprocessor_config.json", "processor_config.json")


@dataclass(frozen=True)
class Precision:
    """The number formats of a run: of the frozen and the trainable weights, and of autocast (None: no autocast)."""

    name: str
    frozen: torch.dtype
    trainable: torch.dtype
    autocast: torch.dtype | None


PRECISIONS = {
    "fp32": Precision("fp32", torch.float32, torch.float32, None),
    # Frozen weights lie in the format of the computation, so that autocast has nothing to convert at each step.
    "bf16": Precision("bf16", torch.bfloat16, torch.float32, torch.bfloat16),
    "fp16": Precision("fp16", torch.float16, torch.float32, torch.float16),
    "pure_bf16": Precision("pure_bf16", torch.bfloat16, torch.bfloat16, None),
}


def choose_precision(compute_type: str) -> Precision:
    """The precision for an option's value; `auto` is bf16 on a GPU that has it, fp16 on an older one, fp32 on a CPU.

    fp32 on a CPU keeps the mathematics: whether bf16 is faster there depends on the processor and on the rows.
    Raises UserError for a format that this machine cannot compute with.
    """
    gpu, gpu_bf16 = device.is_accelerated(), device.has_bf16()
    if compute_type == "auto":
        return PRECISIONS["bf16" if gpu_bf16 else "fp16" if gpu else "fp32"]
    if compute_type == "fp16" and not gpu:
        raise UserError("fp16_needs_gpu", field="compute_type")
    if compute_type in ("bf16", "pure_bf16") and gpu and not gpu_bf16:
        raise UserError("bf16_not_on_this_gpu", field="compute_type", name=compute_type, device=device.name())
    return PRECISIONS[compute_type]


def load_tokenizer(path: Path, trust: bool = False) -> PreTrainedTokenizerBase:
    """The tokenizer of a model folder. Raises UserError when it has none that can be read."""
    check_folder(path)
    return read_tokenizer(path, trust)


def read_tokenizer(path: Path, trust: bool = False) -> PreTrainedTokenizerBase:
    """The tokenizer of a folder that need not hold a model, such as an adapter's. Raises UserError likewise."""
    _require_vocabulary(path)
    try:
        return AutoTokenizer.from_pretrained(str(path), trust_remote_code=trust, local_files_only=True)
    except Exception as error:  # a dozen kinds, by tokenizer family; the reason is in the text
        raise UserError("tokenizer_missing", path=str(path), reason=_first_line(error)) from error


def load_processor(path: Path, trust: bool = False) -> ProcessorMixin | None:
    """What turns pictures into a model's inputs, its tokenizer included; None for a model that does not see.

    Raises UserError when the model sees and its processor is missing or broken.
    """
    check_folder(path)
    if not is_vision(path):
        return None
    _require_vocabulary(path)
    if not any((path / name).is_file() for name in PROCESSORS):
        raise _no_processor(path, f"there is neither {PROCESSORS[0]} nor {PROCESSORS[1]}")
    try:
        processor = AutoProcessor.from_pretrained(str(path), trust_remote_code=trust, local_files_only=True)
    except Exception as error:  # as with tokenizers
        raise _no_processor(path, _first_line(error).rstrip(".")) from error
    # For a kind without a processor of its own transformers hands out the tokenizer alone, and says nothing.
    if getattr(processor, "image_processor", None) is None or getattr(processor, "tokenizer", None) is None:
        raise _no_processor(path, f"transformers finds only {type(processor).__name__}")
    return cast(ProcessorMixin, processor)


def load_model(
    path: Path,
    dtype: torch.dtype,
    *,
    attention: str = "sdpa",
    trust: bool = False,
    shape: Callable[[PretrainedConfig], None] | None = None,
    scratch: bool = False,
    quantization: Quantization | None = None,
) -> PreTrainedModel:
    """The language model of a folder, on the CPU, with weights in `dtype`; with `quantization` in few bits, and those
    on the accelerator where there is one.

    `shape` changes the configuration before; with `scratch` the weights are random numbers, and no file is read.

    Raises UserError for a folder that is no model, a kind that transformers does not know, and weights that are
    missing, cut short or incomplete: a model is never filled up with random numbers.
    """
    check_folder(path)
    if not scratch:
        weight_files(path)
    config = _read_config(path, trust)
    if shape is not None:
        shape(config)
    loader = _loader(config, path, trust)
    skipped = _left_alone(outline(path, trust)) if quantization else []
    squeezed = settings_for(path, quantization, dtype, skipped)
    model: PreTrainedModel
    if scratch:
        return _begin(loader, config, dtype, _attention(attention, config, loader), trust)
    try:
        with no_progress_bar():
            model, report = loader.from_pretrained(
                str(path), config=config, dtype=dtype, attn_implementation=_attention(attention, config, loader),
                trust_remote_code=trust, local_files_only=True, use_safetensors=True, output_loading_info=True,
                **squeezed,
            )  # fmt: skip
    except (MemoryError, UserError):
        raise
    except ImportError as error:
        raise UserError("model_needs_package", path=str(path), reason=_first_line(error)) from error
    except (OSError, ValueError, KeyError, json.JSONDecodeError) as error:
        raise UserError("model_weights_broken", path=str(path), reason=_first_line(error)) from error
    missing = sorted(report["missing_keys"])
    if missing:
        names = ", ".join(missing[:3])
        raise UserError("model_weights_missing", path=str(path), count=len(missing), names=names)
    keep_layout(model)
    _mend_generation(model)
    return model


def _begin(
    loader: Any, config: PretrainedConfig, dtype: torch.dtype, attention: str | None, trust: bool
) -> PreTrainedModel:
    """A model with random weights, as its family begins."""
    options = {"trust_remote_code": True} if trust else {}
    model: PreTrainedModel = loader.from_config(config, dtype=dtype, attn_implementation=attention, **options)
    _mend_generation(model)
    return model


def outline(path: Path, trust: bool = False) -> PreTrainedModel:
    """The model of a folder without its weights: its layers' names and shapes only, which takes no memory.

    Raises UserError for a kind that transformers does not know.
    """
    check_folder(path)
    config = _read_config(path, trust)
    loader = _loader(config, path, trust)
    options = {"trust_remote_code": True} if trust else {}
    with torch.device("meta"):
        model: PreTrainedModel = loader.from_config(config, **options)
    return model


def _left_alone(model: PreTrainedModel) -> list[str]:
    """The layers that are never squeezed: what sees and hands over, and the head, on whose numbers words depend."""
    parts, head = parts_of(model), model.get_output_embeddings()
    return [
        name
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.Linear) and (module is head or parts.part_of(name) != "language_model")
    ]


def require_known(path: Path, trust: bool = False) -> None:
    """Raises UserError when transformers has no model of the kind in `path`; no weight is read."""
    _loader(_read_config(path, trust), path, trust)


def _no_processor(path: Path, reason: str) -> UserError:
    return UserError("processor_broken", field="model_name_or_path", path=str(path), reason=reason)


def _require_vocabulary(path: Path) -> None:
    if not any(found for pattern in VOCABULARIES for found in path.glob(pattern)):
        raise UserError("tokenizer_missing", path=str(path), reason="there is no tokenizer.json")


def _mend_generation(model: PreTrainedModel) -> None:
    """Some models come with values for sampling while sampling is off; transformers refuses to save that."""
    settings = model.generation_config
    if settings is None or settings.do_sample:
        return
    drawn = (settings.temperature, settings.top_p, settings.typical_p)
    if any(value not in (None, 1.0) for value in drawn) or settings.top_k not in (None, 50):
        settings.do_sample = True


def _read_config(path: Path, trust: bool) -> PretrainedConfig:
    try:
        config: PretrainedConfig = AutoConfig.from_pretrained(
            str(path), trust_remote_code=trust, local_files_only=True
        )
        return config
    except (OSError, ValueError, KeyError, ImportError) as error:
        kind = json.loads((path / "config.json").read_text(encoding="utf-8")).get("model_type", "?")
        raise UserError("model_unknown_kind", path=str(path), kind=str(kind)) from error


def _loader(config: PretrainedConfig, path: Path, trust: bool) -> Any:
    # Some kinds stand in both lists, and there only the part that speaks would be loaded.
    sees = config.model_type in MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES
    if sees and (is_vision(path) or config.model_type not in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES):
        return AutoModelForImageTextToText
    if config.model_type in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES:
        return AutoModelForCausalLM
    if trust and "AutoModelForCausalLM" in (getattr(config, "auto_map", None) or {}):
        return AutoModelForCausalLM
    raise UserError("model_unknown_kind", path=str(path), kind=config.model_type)


@contextmanager
def no_progress_bar() -> Iterator[None]:
    """Inside, transformers draws no bars on the terminal of a server or into a log."""
    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()


def _attention(wanted: str, config: PretrainedConfig, loader: Any) -> str | None:
    """None lets transformers choose what the model's family supports, which not all do of flash attention."""
    if wanted.startswith("flash") and not _knows_flash(config, loader):
        return None
    return None if wanted == "sdpa" else wanted


def _knows_flash(config: PretrainedConfig, loader: Any) -> bool:
    kind = type(config)
    return kind not in loader._model_mapping or bool(loader._model_mapping[kind]._supports_flash_attn)


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return (lines[0] if lines else type(error).__name__)[:300]
