"""The proof of an export: what was written is loaded in the runtime it is for, and asked what the model inside is asked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import dataclass, fields, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from transformers import AutoProcessor, AutoTokenizer

from trainer.dataset.conversation import Media
from trainer.dataset.render import Renderer
from trainer.errors import UserError
from trainer.export.agreement import EXACT, TOKENS, Heard, Reference, hear, refer, round_weights
from trainer.export.ollama.go_words import GoError
from trainer.export.ollama.modelfile import read
from trainer.export.prompts import Prompt
from trainer.export.source import Source
from trainer.export.voices import Desk, LlamaVoice, TransformersVoice, in_few_bits, in_llama, in_transformers
from trainer.model import llama
from trainer.model.gguf_file import read as read_header
from trainer.model.stored import DTYPES
from trainer.options import DataOptions

# How large pictures are shown is no part of a template.
_SIZES = tuple(each.name for each in fields(DataOptions) if each.name.startswith(("image_", "video_")))
# A choice counts as a tie when the model inside likes its own better by less than this share of how far its scores lie
# apart: llama.cpp adds in another order, has GELU as a table, and computes with 16-bit activations where the weights
# have 16 bits. Models of random numbers come to a third of it; a wrong weight or word to ten times as much.
_TIES = {"f32": 0.01, "f16": 0.05, "bf16": 0.05}


@dataclass(frozen=True)
class Asked:
    """A prompt as the model reads it."""

    prompt: Prompt
    text: str
    ids: tuple[int, ...]

    @property
    def media(self) -> tuple[Media, ...]:
        """The pictures among its words."""
        return tuple(each for one in self.prompt.messages for each in one.media)


@dataclass(frozen=True)
class Replay:
    """What came of asking one format; without `heard` it was not asked, for the reason in `reason`. None stands for a
    prompt that its runtime was not asked.

    `limit` is the most by which scores may differ, None where they are not compared; `tie` a difference between two
    tokens that is none. `template` says for each prompt whether the runtime gives the model the same text.
    """

    runtime: str = ""
    device: str = ""
    computed_in: str = ""
    heard: tuple[Heard | None, ...] = ()
    limit: float | None = None
    tie: float = 0.0
    template: tuple[bool | None, ...] = ()
    reason: UserError | None = None


class Proof:
    """Asks the model inside once, and then every format that was written.

    `check` is called between the steps, to end them. Raises UserError when the model inside cannot be loaded.
    """

    def __init__(self, source: Source, asked: Sequence[Asked], desk: Desk, check: Callable[[], None]) -> None:
        self._source, self._asked, self._desk, self._check = source, asked, desk, check
        self.references: list[Reference] = []
        with in_transformers(source.base, source.adapters, desk, source.trust, source.renderer) as voice:
            for each in asked:
                check()
                self.references.append(refer(voice, each.ids, each.media))
            self._written = self._as_written(voice)
        pairs = zip(self._written, self.references, strict=True)
        # What the rounding of the weights alone changes.
        self._noise = max((float((one - other.logits).abs().max()) for one, other in pairs), default=0.0)
        self._spread = sum(float(each.logits.std()) for each in self.references) / max(
            len(self.references), 1
        )

    def _as_written(self, voice: TransformersVoice) -> list[torch.Tensor]:
        """The scores of the model with its adapters merged by PEFT and its weights rounded as they are written."""
        if self._source.adapters:
            voice.model = voice.model.merge_and_unload()

        def written(name: str) -> torch.dtype:
            known = self._source.has(name)
            return DTYPES[self._source.info(name).dtype] if known else getattr(torch, self._source.dtype)

        round_weights(voice.model, written, self._check)
        found = []
        for each in self.references:
            self._check()
            found.append(voice.logits(each.ids, each.tokens, each.media))
        return found

    def adapter(self, folder: Path) -> Replay:
        """The base with the adapters of `folder`, put on it by PEFT."""
        expected = [each.logits for each in self.references]
        return self._ask(self._source.base, [folder], expected, self._exact(0.0), self._tokenized(folder))

    def merged(self, folder: Path) -> Replay:
        """The model of `folder`, loaded by transformers alone."""
        return self._ask(folder, [], self._written, self._exact(self._noise), self._tokenized(folder))

    def quantized(self, folder: Path) -> Replay:
        """The model of `folder`, whose weights have few bits: its scores are not those of the model inside."""
        self._check()
        with in_few_bits(folder, self._desk) as voice:
            heard = self._hear(voice, self._written)
        return Replay(
            _transformers(), self._desk.device.type, "bfloat16", heard, template=self._tokenized(folder)
        )

    def _exact(self, noise: float) -> float | None:
        return max(EXACT, noise) if self._desk.dtype == torch.float32 else None

    def _ask(
        self, folder: Path, adapters: Sequence[Path], expected: Sequence[torch.Tensor], limit: float | None,
        template: tuple[bool | None, ...],
    ) -> Replay:  # fmt: skip
        self._check()
        with in_transformers(
            folder, adapters, self._desk, self._source.trust, self._source.renderer
        ) as voice:
            heard = self._hear(voice, expected)
        # Where two orders of adding round a weight to its two neighbours, scores differ as by any rounding.
        if limit is not None and max(each.difference for each in heard if each) <= EXACT:
            limit = EXACT
        computed = str(self._desk.dtype).removeprefix("torch.")
        tie = (
            2 * max(EXACT, self._noise) if self._desk.dtype == torch.float32 else self._spread * _TIES["bf16"]
        )
        return Replay(_transformers(), self._desk.device.type, computed, heard, limit, tie, template)

    def _hear(
        self, voice: TransformersVoice | LlamaVoice, expected: Sequence[torch.Tensor]
    ) -> tuple[Heard | None, ...]:
        found: list[Heard | None] = []
        for reference, scores in zip(self.references, expected, strict=True):
            self._check()
            blind = reference.media and isinstance(voice, LlamaVoice)
            found.append(None if blind else hear(voice, reference, scores))
        return tuple(found)

    def _tokenized(self, folder: Path) -> tuple[bool | None, ...]:
        """Whether tokenizer and chat template of a folder make the same tokens of each prompt."""
        data, trust = self._source.run_config.data, self._source.trust
        sizes = replace(DataOptions(), **{name: getattr(data, name) for name in _SIZES})
        kind: Any = AutoTokenizer if self._source.processor is None else AutoProcessor
        found = kind.from_pretrained(str(folder), trust_remote_code=trust, local_files_only=True)
        seeing = None if self._source.processor is None else found
        renderer = Renderer(found if seeing is None else found.tokenizer, "", sizes, seeing)
        return tuple(
            tuple(renderer.prompt(each.prompt.messages, each.prompt.system)) == each.ids
            for each in self._asked
        )

    def gguf(self, file: Path, kind: str) -> Replay:
        """A GGUF file in llama.cpp, asked with the texts that its own chat template makes of the prompts."""
        tokenizer = copy(self._source.tokenizer)
        tokenizer.chat_template = read_header(file).template
        renderer = Renderer(tokenizer, "", DataOptions())
        prompts = [each.prompt for each in self._asked]
        return self._in_llama(
            file, kind, [renderer.prompt_text(each.messages, each.system) for each in prompts]
        )

    def ollama(self, folder: Path, file: Path, kind: str, known: Replay | None) -> Replay:
        """A Modelfile's texts for the prompts, and the GGUF beside it; `known` is what came of the same file before."""
        made = read((folder / "Modelfile").read_text(encoding="utf-8"))
        adds, bos = _beginning(file)
        texts = []
        for each in self._asked:
            try:
                written = made.prompt(each.prompt.messages, each.prompt.system)
            except GoError:
                written = ""
            texts.append((bos if adds else "") + written)
        same = tuple(
            None if each.media else text == each.text for text, each in zip(texts, self._asked, strict=True)
        )
        replay = known or self._in_llama(file, kind, texts)
        return replace(replay, template=same)

    def _in_llama(self, file: Path, kind: str, texts: Sequence[str]) -> Replay:
        self._check()
        if not llama.installed():
            return Replay(reason=UserError("receipt_no_llama"))
        adds, bos = _beginning(file)
        with in_llama(file, max(len(each.ids) for each in self._asked) + TOKENS + 8) as voice:
            heard = self._hear(voice, self._written)
            same = tuple(
                None if each.media else tuple(_read(voice.model, text, bos if adds else "")) == each.ids
                for text, each in zip(texts, self._asked, strict=True)
            )
            device = voice.model.device
        tie = 2 * self._noise + self._spread * _TIES.get(kind, 0.0)
        return Replay(f"llama.cpp (llama-cpp-python {llama.version()})", device, kind, heard, None, tie, same)


def _transformers() -> str:
    return f"transformers {version('transformers')}"


def _beginning(file: Path) -> tuple[bool, str]:
    """Whether llama.cpp writes the token of the beginning before a text by itself, and that token."""
    header = read_header(file)
    return bool(header.metadata.get("tokenizer.ggml.add_bos_token", False)), str(header.word("bos") or "")


def _read(model: Any, text: str, bos: str) -> list[int]:
    """The tokens of a chat's text as llama.cpp's server reads it: a beginning that it adds itself is not written twice."""
    found: list[int] = model.tokenize_added(text.removeprefix(bos) if bos else text)
    return found
