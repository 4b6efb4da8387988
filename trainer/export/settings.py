"""config.json and generation_config.json of an exported model."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from trainer.errors import UserError

# Says where the model lay once, which is nobody's business.
_PRIVATE = ("_name_or_path",)


def read_json(path: Path) -> dict[str, Any]:
    """The mapping in a small file; empty where there is none, or no mapping."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def model_config(base: Path, dtype: str, untied: bool, words: int | None) -> dict[str, Any]:
    """The base's config.json for weights in `dtype`, with a head of its own if `untied`, and `words` rows of embedding."""
    found = {name: value for name, value in read_json(base / "config.json").items() if name not in _PRIVATE}
    named = "torch_dtype" if "torch_dtype" in found and "dtype" not in found else "dtype"
    found[named] = dtype
    text = next((each for each in ("text_config", "llm_config") if isinstance(found.get(each), dict)), "")
    if text:
        # transformers puts the format there, too, and believes the inner one.
        found[text] = {
            name: dtype if name in ("dtype", "torch_dtype") else value for name, value in found[text].items()
        }
    for part in [found, *([found[text]] if text else [])]:
        if untied and (part is found or "tie_word_embeddings" in part):
            part["tie_word_embeddings"] = False
        if words is not None and ("vocab_size" in part or (part is found and not text)):
            part["vocab_size"] = words
    return found


def generation_config(base: Path, stop_ids: Iterable[int], pad_id: int | None) -> dict[str, Any]:
    """The base's generation_config.json, with every id that ends an answer."""
    found = {
        name: value
        for name, value in read_json(base / "generation_config.json").items()
        if name not in _PRIVATE
    }
    ids = list(stop_ids)
    if ids:
        found["eos_token_id"] = ids[0] if len(ids) == 1 else ids
    if found.get("pad_token_id") is None and pad_id is not None:
        found["pad_token_id"] = pad_id
    return found


def stop_ids(base: Path, spoken: Iterable[int], eos_id: int | None) -> tuple[int, ...]:
    """Every id that ends an answer here: the template's, the tokenizer's, and those that the model's own files name.

    As in transformers config.json is asked only where there is no generation_config.json.
    """
    found: list[int] = [*spoken, *([] if eos_id is None else [eos_id])]
    config = read_json(base / "generation_config.json") or read_json(base / "config.json")
    text = config.get("text_config")
    for each in (config, text if isinstance(text, dict) else {}):
        listed = each.get("eos_token_id")
        found += [i for i in (listed if isinstance(listed, list) else [listed]) if isinstance(i, int)]
    return tuple(dict.fromkeys(found))


def require_castable(base: Path, changed: bool) -> None:
    """Raises UserError for a model in 4 or 8 bits of which the numbers would be changed: the steps are too coarse."""
    wanted = read_json(base / "config.json").get("quantization_config")
    if changed and isinstance(wanted, dict):
        kind = str(wanted.get("quant_method") or "?")
        raise UserError("export_base_quantized", field="model_name_or_path", path=str(base), kind=kind)
