"""What a run changes of its base before anything is trained: the vocabulary, and how far positions reach."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from transformers.configuration_utils import PretrainedConfig
from transformers.modeling_utils import PreTrainedModel

from trainer.config import RunConfig
from trainer.errors import UserError, Values
from trainer.events import Note
from trainer.model.reshaped import Reshaped, grow, of_all
from trainer.model.rope import require_stretched, stretch
from trainer.model.split import rows_of
from trainer.model.vocabulary import Words, grow_words, word_modules

_RECORD = "tuneboard_reshaped"


class Shaping:
    """The changes that a config asks for, beside those that come with the adapters that are trained further.

    `notes` say what was done. Without `words` the vocabulary stays as the adapters have it.
    """

    def __init__(self, config: RunConfig, words: Words | None) -> None:
        adapters = [Path(each) for each in config.model.adapter_name_or_path]
        self._options = config.model
        self._length = config.data.cutoff_len
        self._words = words
        self._brought = of_all(adapters)
        # An adapter that is trained further keeps its own embeddings.
        self._goes_on = bool(adapters) and not config.lora.create_new_adapter
        self._whole = config.method.finetuning_type not in ("lora", "oft")
        self.notes: list[Note] = []
        if config.model.train_from_scratch:
            self.notes.append(Note(code="scratch_begun"))

    def positions(self, config: PretrainedConfig) -> None:
        """Changes the configuration with which the base is loaded. Raises UserError as `stretch`."""
        self._brought.shape(config)
        if self._options.rope_scaling != "none":
            self.notes.append(stretch(config, self._options.rope_scaling, self._length))

    def vocabulary(self, model: PreTrainedModel) -> tuple[str, ...]:
        """Grows the loaded base, and names the modules that have to be trained whole for it.

        Raises UserError for a model that cannot be changed so, and for new words where an adapter has older ones.
        """
        kind = self._options.rope_scaling
        stretched = any(note.code in ("rope_stretched", "rope_dynamic") for note in self.notes)
        if stretched:
            require_stretched(model, kind, model.config.model_type)
        grow(model, self._brought.rows)
        wanted = self._words is not None and self._options.fits_words
        if self._words is not None and wanted:
            if self._words.new and self._goes_on:
                raise UserError("vocabulary_continued", field="add_tokens", words=len(self._words.new))
            self.notes.append(grow_words(model, self._words, self._options.init_special_tokens))
            self._tell_of_descriptions(self._words)
        record = self._brought
        if self._words is not None and self._words.new:
            embedding: Any = model.get_input_embeddings()
            rows = rows_of(embedding.weight)
            record = replace(record, tokens=len(self._words.tokenizer), rows=rows)
        if stretched:
            text = model.config.get_text_config()
            record = replace(record, rope=text.rope_parameters, positions=text.max_position_embeddings)
        if record and not self._whole:
            setattr(model, _RECORD, record)
        return word_modules(model) if wanted else ()

    def _tell_of_descriptions(self, words: Words) -> None:
        options = self._options
        if options.init_special_tokens != "noise_init" and words.new and not any(words.new.values()):
            values: Values = {"value": options.init_special_tokens}
            self.notes.append(Note(code="vocabulary_undescribed", values=values, level="warning"))
        if options.new_special_tokens_config and options.add_special_tokens:
            self.notes.append(Note(code="vocabulary_file_first", level="warning"))


def train_words(model: PreTrainedModel, modules: Sequence[str], dtype: torch.dtype) -> None:
    """Makes embedding and head trainable in `dtype` where only some layers are, so that new words are learned."""
    for name in modules:
        for parameter in model.get_submodule(name).parameters():
            parameter.data = parameter.data.to(dtype)
            parameter.requires_grad_(True)


def save_record(model: Any, folder: Path) -> None:
    """Writes what was changed of the base into the folder of an adapter. Raises OSError."""
    base = model.get_base_model() if hasattr(model, "get_base_model") else model
    record = getattr(base, _RECORD, None)
    if isinstance(record, Reshaped):
        record.write(folder)
