"""What lies beside the weights: settings, tokenizer, processor, chat template."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from trainer.export.settings import read_json
from trainer.export.source import Source
from trainer.paths import write_atomic

TEMPLATE = "chat_template.jinja"
TOKENIZER = (
    "tokenizer*.json", "*.model", "*.tiktoken", "vocab.*", "merges.txt", "special_tokens_map.json",
    "added_tokens.json", "tekken.json",
)  # fmt: skip
PROCESSOR = ("preprocessor_config.json", "processor_config.json", "video_preprocessor_config.json")


def write_model_settings(source: Source, folder: Path) -> None:
    """config.json and generation_config.json; and the code of a model that comes with its own."""
    _write_json(folder / "config.json", source.config)
    write_generation(source, folder)
    if source.config.get("auto_map"):
        for file in source.base.glob("*.py"):
            shutil.copyfile(file, folder / file.name)


def write_generation(source: Source, folder: Path) -> None:
    """generation_config.json, with every id that ends an answer."""
    _write_json(folder / "generation_config.json", source.generation)


def write_voice(source: Source, folder: Path) -> None:
    """Tokenizer, processor and the chat template with which the model was trained."""
    for file in _voice_files(source):
        if file.name == "tokenizer_config.json":
            # The template is said once: some programs read it here, others in its own file, and they must agree.
            _write_json(folder / file.name, _without(read_json(file), "chat_template"))
        else:
            shutil.copyfile(file, folder / file.name)
    write_atomic(folder / TEMPLATE, source.template)


def words_of(source: Source) -> int:
    """The number of words, by the highest id, that the tokenizer's files hold.

    The loaded one may have more: for some families transformers adds words by itself, which nobody has ever used.
    """
    written = read_json(source.folder / "tokenizer.json")
    vocabulary = (written.get("model") or {}).get("vocab")
    if not isinstance(vocabulary, dict):
        return max(source.tokenizer.get_vocab().values(), default=-1) + 1
    added = [int(each["id"]) for each in written.get("added_tokens") or ()]
    return max([*map(int, vocabulary.values()), *added], default=-1) + 1


def _voice_files(source: Source) -> Iterator[Path]:
    found: dict[str, Path] = {}
    for patterns, places in ((TOKENIZER, (source.folder,)), (PROCESSOR, (source.base, source.folder))):
        for place in places:
            for pattern in patterns:
                found.update({file.name: file for file in place.glob(pattern) if file.is_file()})
    yield from found.values()


def _without(found: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in found.items() if key != name}


def _write_json(path: Path, found: dict[str, Any]) -> None:
    write_atomic(path, json.dumps(found, indent=2, ensure_ascii=False) + "\n")
