"""What a training has changed of the base below an adapter: a longer vocabulary, stretched positions.

It stands in a small file in the adapter's folder, so that whoever loads the adapter gets the model that was trained. Of
adapters from elsewhere the sizes of their own embeddings tell.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from transformers.configuration_utils import PretrainedConfig
from transformers.modeling_utils import PreTrainedModel

from trainer.model.adapter_files import WEIGHTS
from trainer.model.parts import PEFT_PREFIX
from trainer.model.split import rows_of

FILE = "base_changes.json"
_TOKENIZERS = ("tokenizer.json", "tokenizer_config.json")
# What families of transformers call their embeddings and heads.
_WORDS = (
    "embed_tokens", "wte", "word_embeddings", "embed_in", "tok_embeddings", "embedding", "lm_head", "embed_out",
    "output",
)  # fmt: skip


@dataclass(frozen=True)
class Reshaped:
    """`tokens`: how many the tokenizer has, `rows`: how many the embeddings have; 0 where both are the base's.

    `rope` and `positions` are the rope_parameters and max_position_embeddings of the configuration; empty and 0
    likewise.
    """

    tokens: int = 0
    rows: int = 0
    rope: Mapping[str, Any] = field(default_factory=dict)
    positions: int = 0

    def __bool__(self) -> bool:
        return bool(self.tokens or self.rows or self.rope)

    def shape(self, config: PretrainedConfig) -> None:
        """Stretches the positions of a configuration as they were in the training."""
        if self.rope:
            text = config.get_text_config()
            text.rope_parameters, text.max_position_embeddings = dict(self.rope), self.positions

    def written_into(self, config: dict[str, Any]) -> dict[str, Any]:
        """The same for the contents of a config.json."""
        if not self.rope:
            return config
        name = next(
            (each for each in ("text_config", "llm_config") if isinstance(config.get(each), dict)), ""
        )
        text = dict(config[name] if name else config)
        for old in ("rope_scaling", "rope_theta"):
            text.pop(old, None)
        text |= {"rope_parameters": dict(self.rope), "max_position_embeddings": self.positions}
        return {**config, name: text} if name else text

    def write(self, folder: Path) -> None:
        """Raises OSError."""
        (folder / FILE).write_text(json.dumps(asdict(self), indent=2) + "\n", encoding="utf-8")


def reshaped(adapter: Path) -> Reshaped:
    """What an adapter expects of its base; nothing where neither a file nor its weights say so."""
    try:
        found = json.loads((adapter / FILE).read_text(encoding="utf-8"))
        return Reshaped(
            int(found["tokens"]), int(found["rows"]), dict(found["rope"]), int(found["positions"])
        )
    except (OSError, ValueError, KeyError, TypeError):
        return Reshaped(rows=_rows(adapter))


def of_all(adapters: Sequence[Path]) -> Reshaped:
    """What several adapters that act together expect: the last one that expects anything decides."""
    return next((found for path in reversed(adapters) if (found := reshaped(path))), Reshaped())


def _rows(adapter: Path) -> int:
    """The rows of an embedding that was trained whole."""
    try:
        with safe_open(adapter / WEIGHTS, framework="pt") as file:
            for key in file.keys():  # noqa: SIM118  safe_open is no mapping
                parts = key.removeprefix(PEFT_PREFIX).split(".")
                if parts[-1] == "weight" and len(parts) > 1 and parts[-2] in _WORDS:
                    return int(file.get_slice(key).get_shape()[0])
    except (SafetensorError, OSError):
        return 0
    return 0


def grow(model: PreTrainedModel, rows: int) -> None:
    """Gives the embeddings and the head `rows` rows; what is new there is to be filled by who loads something into it."""
    embedding: Any = model.get_input_embeddings()
    if rows and rows != rows_of(embedding.weight):
        model.resize_token_embeddings(rows, mean_resizing=False)


def is_grown(adapter: Path, base: Path) -> bool:
    """Whether an adapter speaks with more words, or over a longer distance, than its base."""
    found = reshaped(adapter)
    return bool(found.tokens or found.rope or (found.rows and found.rows != _words_of(base)))


def _words_of(base: Path) -> int:
    try:
        config = json.loads((base / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return 0
    text = config.get("text_config") if isinstance(config.get("text_config"), dict) else config
    return int(text.get("vocab_size") or config.get("vocab_size") or 0)


def tokenizer_folder(base: Path, adapters: Sequence[Path]) -> Path:
    """Where the tokenizer lies: with an adapter that speaks with more words than its base, else with the base."""
    for path in reversed(adapters):
        if is_grown(path, base) and all((path / name).is_file() for name in _TOKENIZERS):
            return path
    return base
