"""A GGUF file as one side of a chat: it renders, draws and ends as the other sides do, and llama.cpp computes."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from trainer.dataset.chat_template import ChatTemplate, Unusable, require_tokens
from trainer.dataset.conversation import Message
from trainer.dataset.render import Renderer
from trainer.dataset.templates import pick
from trainer.dataset.writer import Writer
from trainer.errors import UserError
from trainer.model import llama
from trainer.model.decoder import Decoder
from trainer.model.exported import default_system
from trainer.model.sides import Side
from trainer.options import DataOptions

if TYPE_CHECKING:
    from trainer.model.generation import Draw, Progress, Row

# Tokens less likely than this are never drawn; sorting a whole vocabulary takes longer than a small model's step.
_LEAST = 1e-9


class Words:
    """The file's vocabulary with the few words of a tokenizer that a chat asks for."""

    def __init__(self, model: llama.Model) -> None:
        self._model = model
        self.bos_token, self.eos_token = model.bos, model.eos

    def decode(self, ids: Sequence[int], **_: Any) -> str:
        """The text of tokens without control tokens."""
        return self._model.detokenize(ids)

    def get_vocab(self) -> Mapping[str, int]:
        """Every token's text with its number."""
        words = self._model.header.metadata.get("tokenizer.ggml.tokens") or ()
        return {word: number for number, word in enumerate(words)}


class FileRenderer:
    """Prompts for a GGUF file: its own chat template, or one by name, written by the house's writer.

    It has what a chat asks of a Renderer. Raises UserError when there is no template, or one that the writer or this
    vocabulary does not take.
    """

    sees, expander = False, None

    def __init__(self, model: llama.Model, template: str, data: DataOptions) -> None:
        self._model = model
        words, header = Words(model), model.header
        self.chat_template = pick(header.template, template)
        if self.chat_template != header.template:
            require_tokens(template, self.chat_template, words)
        names = {
            "bos_token": header.word("bos"),
            "eos_token": header.word("eos"),
            "unk_token": header.word("unknown"),
        }
        tokens = {name: text for name, text in names.items() if text}
        options = {} if data.enable_thinking else {"enable_thinking": False}
        special = tuple(dict.fromkeys((*header.control_words, *tokens.values())))
        try:
            filled = ChatTemplate(self.chat_template, tokens, options)
            self._writer = Writer(filled, special, words.bos_token, data, None)
        except Unusable as refused:
            raise UserError("data_template_refuses", field="template", **refused.values) from None

    @property
    def stop_ids(self) -> list[int]:
        """The template's end of turn, where it is one token; llama.cpp knows the other ends itself."""
        closing = self._writer.words.closing
        found = self._model.tokenize(closing) if closing else []
        return found if len(found) == 1 else []

    def prompt(self, messages: Sequence[Message | Mapping[str, Any]], system: str = "") -> list[int]:
        """The ids of a conversation that waits for an answer. Raises UserError when the template refuses it."""
        try:
            text = self._writer.prompt(messages, system, ())
        except Unusable as refused:
            reason = refused.values.get("reason", refused.code)
            raise UserError("data_template_refuses", field="template", reason=reason) from refused
        return self._model.tokenize(text)


def open_side(path: Path, file: Path, template: str, data: DataOptions) -> Side:
    """The side of a GGUF file; `path` is what the person has chosen, an Ollama folder for one. Raises UserError."""
    model = llama.open_model(file)
    try:
        renderer = FileRenderer(model, template, data)
        return Side(
            "tuned", model, Words(model), cast(Renderer, renderer), frozenset(renderer.stop_ids), model.context,
            system=default_system(path), device=model.device, dtype=model.header.type_name,
        )  # fmt: skip
    except BaseException:
        model.close()
        raise


def answer(
    side: Side, rows: Sequence[Row], stop: threading.Event, report: Callable[[Progress], None]
) -> None:
    """Answers rows one after the other, and reports every new token of each; the last report of a row has an ending.

    Raises UserError when llama.cpp fails.
    """
    for place, row in enumerate(rows):
        _Answer(side, place, row, stop, report).run()


class _Answer:
    def __init__(
        self, side: Side, place: int, row: Row, stop: threading.Event, report: Callable[[Progress], None]
    ) -> None:
        self._model, self._stop_ids = side.model, side.stop_ids
        self._place, self._row, self._stop, self._report = place, row, stop, report
        self._decoder = Decoder(side.tokenizer)
        self._choose = chooser(row.draw)
        self._began = time.monotonic()

    def run(self) -> None:
        if not self._read_prompt():
            return self._tell("", "stopped")
        while True:
            token = self._choose(self._model.scores())
            if token in self._stop_ids or self._model.is_end(token):
                return self._tell(self._decoder.finish(), "end")
            text = self._decoder.push(token)
            if self._decoder.tokens >= self._row.max_new_tokens:
                return self._tell(self._decoder.finish(), "length")
            if self._stop.is_set():
                return self._tell(self._decoder.finish(), "stopped")
            self._tell(text)
            self._model.read([token])

    def _read_prompt(self) -> bool:
        """Whether the whole prompt was read before somebody stopped."""
        self._model.forget()
        prompt = self._row.prompt
        for start in range(0, len(prompt), llama.BATCH):
            if self._stop.is_set():
                return False
            self._model.read(prompt[start : start + llama.BATCH])
        return not self._stop.is_set()

    def _tell(self, text: str, ending: Any = "") -> None:
        from trainer.model.generation import Progress

        tokens = self._decoder.tokens
        seconds = max(time.monotonic() - self._began, 1e-6)
        self._report(Progress(self._place, text, tokens, tokens / seconds, ending))


def chooser(draw: Draw) -> Callable[[Any], int]:
    """Picks the next token from scores (vocabulary,): the likeliest, or drawn from those that together reach top_p."""
    import numpy

    if draw.temperature == 0:
        return lambda scores: int(scores.argmax())
    random = numpy.random.default_rng(draw.seed)

    def choose(scores: Any) -> int:
        chances = numpy.exp((scores.astype(numpy.float64) - scores.max()) / draw.temperature)
        chances /= chances.sum()
        likely = numpy.flatnonzero(chances >= _LEAST)
        order = likely[numpy.argsort(-chances[likely], kind="stable")]
        reached = numpy.cumsum(chances[order])
        kept = max(1, int((reached - chances[order] < draw.top_p).sum()))
        drawn = numpy.searchsorted(reached[:kept], random.random() * reached[kept - 1], side="right")
        return int(order[min(int(drawn), kept - 1)])

    return choose
