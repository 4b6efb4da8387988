"""Conversations -> token ids and labels: the only place where text becomes tokens.

Training, evaluation, preview, chat and export all ask here, so that what is shown is what is trained, and what is
trained is what the model's own `apply_chat_template` writes.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import chain, islice
from typing import Any

from trainer.dataset.chat_template import ChatTemplate, Unusable, require_tokens, special_tokens
from trainer.dataset.conversation import Conversation, Message, Row, RowProblem
from trainer.dataset.expand import Expander
from trainer.dataset.labels import (
    IGNORED,
    Aligned,
    Labelled,
    Labeller,
    Opening,
    Rendered,
    Tokens,
    TooLong,
    Written,
)
from trainer.dataset.templates import pick
from trainer.dataset.writer import Writer
from trainer.errors import UserError
from trainer.options import DataOptions

__all__ = ["IGNORED", "Rendered", "RenderedRows", "Renderer", "Tokens", "render_all"]

BATCH = 256
MOST_WORKERS = 16
LEAST_PIXELS = 28 * 28


class Renderer:
    """Renders for one tokenizer, one template and one set of data options. Threads may share it.

    `processor` is what a vision model has beside its tokenizer: its chat template is the one that counts. With `whole`
    every pixel of a row is decoded once, so that a broken file is found now and not in the middle of a run. Raises
    UserError when the template is unknown or not for this model, when a model without a template is given none, and
    when the tokenizer cannot tell which characters a token stands for.
    """

    def __init__(
        self, tokenizer: Any, template: str, data: DataOptions, processor: Any = None, whole: bool = False
    ) -> None:
        if data.mask_history and data.train_on_prompt:
            raise UserError(
                "option_twice", field="mask_history", name="mask_history", other="train_on_prompt"
            )
        if not getattr(tokenizer, "is_fast", False):
            raise UserError("data_tokenizer_slow", field="model_name_or_path")
        self._tokenizer = tokenizer
        self._data = data
        self._processor = processor
        self._expander = Expander(processor, data, whole) if processor is not None else None
        own, own_tools = own_templates(tokenizer, processor)
        self.chat_template = pick(own, template)
        self._special = special_tokens(tokenizer)
        if self.chat_template != own:
            require_tokens(template, self.chat_template, tokenizer)
            own_tools = ""
        filled = ChatTemplate(
            self.chat_template, tokenizer.special_tokens_map, _template_options(data), own_tools
        )
        try:
            self._writer = Writer(filled, self._special, tokenizer.bos_token, data, self._expander)
        except Unusable as refused:
            raise UserError("data_template_refuses", field="template", **refused.values) from None
        texts = self._writer.openings
        openings = [
            Opening(text, len(found.ids)) for text, found in zip(texts, self._encode(texts), strict=True)
        ]
        around = self.special_ids - frozenset(self._encode([self._writer.sample])[0].ids)
        self._labeller = Labeller(data, openings, around if processor is not None else frozenset())

    @property
    def cutoff(self) -> int:
        """Most tokens that a row may have."""
        return self._data.cutoff_len

    @property
    def sees(self) -> bool:
        """Whether rows may have pictures."""
        return self._expander is not None

    @property
    def expander(self) -> Expander | None:
        """What turns pictures into a model's inputs; None for a model that sees none."""
        return self._expander

    @property
    def fingerprint(self) -> str:
        """Whatever decides which tokens a conversation becomes and which of them are trained."""
        data = self._data
        options = (
            data.cutoff_len, data.train_on_prompt, data.mask_history, data.default_system, data.enable_thinking,
            data.preserve_thinking,
        )  # fmt: skip
        eyes = self._expander.fingerprint if self._expander else ""
        # The sample is there for templates that write today's date.
        return repr(
            (
                self._tokenizer.backend_tokenizer.to_str(),
                self.chat_template,
                self._writer.sample,
                options,
                eyes,
            )
        )

    @property
    def special_ids(self) -> frozenset[int]:
        """The ids of the tokens that stand for no text of a person's."""
        return frozenset(self._tokenizer.convert_tokens_to_ids(list(self._special)))

    @property
    def stop_ids(self) -> list[int]:
        """The ids after which an answer is over: the template's end of turn, and the tokenizer's end of text."""
        closing = self._writer.words.closing
        stop = self._tokenizer.convert_tokens_to_ids(closing) if closing else None
        return [each for each in dict.fromkeys((stop, self._tokenizer.eos_token_id)) if each is not None]

    @property
    def folds_system(self) -> bool:
        """Whether the template has no system turn, so that a system prompt opens the first question."""
        return self._writer.folds_system

    def folds(self, conversation: Conversation) -> bool:
        """Whether this row's system prompt is put into its first question."""
        return self.folds_system and bool(self._writer.system(conversation))

    def forgets(self, conversation: Conversation) -> bool:
        """Whether the row has thoughts that the template takes out of every answer, so that none is trained."""
        return self._writer.forgets_thoughts and any(
            each.role == "assistant" and (each.thinking or "</think>" in each.text)
            for each in conversation.messages
        )

    def render(self, conversation: Conversation) -> Rendered:
        """One conversation as tokens. Raises Unusable when the template refuses it or no token would be trained."""
        return self.explain(conversation).rendered

    def explain(self, conversation: Conversation) -> Tokens:
        """As `render`, with the text of each token."""
        written = self._writer.write(conversation)
        aligned = self._encode([written.text])[0]
        rendered, kept = self._label(conversation, written, aligned)
        offsets = aligned.offsets if kept is None else [aligned.offsets[place] for place in kept]
        return Tokens(rendered, written.text, offsets, written.places)

    def render_many(self, conversations: Iterable[Conversation]) -> Iterator[Rendered | Unusable]:
        """As `render`, in order and in batches; one that cannot be used comes as its reason.

        Several batches are under way at once (as many as there are cores, or preprocessing_num_workers): the tokenizer
        works outside of Python, so that threads are enough, and nothing has to be copied into processes. Of
        `conversations` only those of the batches under way are taken.
        """
        rest = iter(conversations)
        batches = iter(lambda: list(islice(rest, BATCH)), [])
        workers = min(self._data.preprocessing_num_workers or os.cpu_count() or 1, MOST_WORKERS)
        first, second = next(batches, None), next(batches, None)
        if second is None or workers == 1:
            for batch in chain(filter(None, (first, second)), batches):
                yield from self._render_batch(batch)
            return
        under_way: deque[Future[list[Rendered | Unusable]]] = deque()
        with ThreadPoolExecutor(workers) as pool:
            for batch in chain(filter(None, (first, second)), batches):
                under_way.append(pool.submit(self._render_batch, batch))
                if len(under_way) > workers:
                    yield from under_way.popleft().result()
            while under_way:
                yield from under_way.popleft().result()

    def prompt(
        self, messages: Sequence[Message | Mapping[str, Any]], system: str = "", tools: Sequence[Any] = ()
    ) -> list[int]:
        """The ids of a conversation that waits for an answer, up to where the model begins to write.

        Messages are ours, or mappings in OpenAI's form; `tools` are functions in that form. Raises UserError when the
        template refuses them or a picture cannot be read; the Unusable that says why is its cause.
        """
        return self._encode([self.prompt_text(messages, system, tools)])[0].ids

    def prompt_text(
        self, messages: Sequence[Message | Mapping[str, Any]], system: str = "", tools: Sequence[Any] = ()
    ) -> str:
        """The text of which `prompt` gives the ids."""
        try:
            return self._writer.prompt(messages, system, tools)
        except Unusable as refused:
            reason = refused.values.get("reason", refused.code)
            raise UserError("data_template_refuses", field="template", reason=reason) from refused

    def _render_batch(self, batch: Sequence[Conversation]) -> list[Rendered | Unusable]:
        texts = [self._try_write(each) for each in batch]
        encoded = iter(self._encode([each.text for each in texts if isinstance(each, Written)]))
        rendered: list[Rendered | Unusable] = []
        for conversation, text in zip(batch, texts, strict=True):
            try:
                if isinstance(text, Unusable):
                    raise text
                rendered.append(self._label(conversation, text, next(encoded)).rendered)
            except Unusable as unusable:
                rendered.append(unusable)
        return rendered

    def _try_write(self, conversation: Conversation) -> Written | Unusable:
        try:
            return self._writer.write(conversation)
        except Unusable as unusable:
            return unusable

    def _encode(self, texts: list[str]) -> list[Aligned]:
        if not texts:
            return []
        found = self._tokenizer(
            texts,
            add_special_tokens=False,
            return_attention_mask=False,
            return_token_type_ids=False,
            verbose=False,
        )
        encoded = zip(found.encodings, found["input_ids"], texts, strict=True)
        return [Aligned(encoding, ids, len(text)) for encoding, ids, text in encoded]

    def _label(self, conversation: Conversation, written: Written, aligned: Aligned) -> Labelled:
        try:
            return self._labeller.label(conversation, written, aligned)
        except TooLong as long:
            pixels = self._fitting_pixels(conversation, long)
            raise (Unusable("row_media_pixels", **long.values, pixels=pixels) if pixels else long) from None

    def _fitting_pixels(self, conversation: Conversation, long: TooLong) -> int:
        """An image_max_pixels with which the row can be used; 0 where none makes its pictures small enough."""
        assert self._expander
        shapes = [self._expander.shape(each) for each in conversation.media]
        pixels = max(shape.width * shape.height for shape in shapes)
        tokens = long.media_tokens
        while (pixels := int(pixels * min(0.8, self.cutoff / tokens))) >= LEAST_PIXELS:
            least = min(pixels, self._data.image_min_pixels)
            smaller = replace(self._data, image_max_pixels=pixels, image_min_pixels=least)
            try:
                written = self._writer.seen_by(Expander(self._processor, smaller)).write(conversation)
                self._labeller.label(conversation, written, self._encode([written.text])[0])
            except TooLong as still:
                if still.media_tokens >= tokens:
                    return 0
                tokens = still.media_tokens
            except Unusable:
                return 0  # too small a picture for the model
            else:
                return pixels
        return 0


def own_templates(tokenizer: Any, processor: Any) -> tuple[str, str]:
    """The model's own chat template, and the one that it has for conversations with tools, if that is another."""
    seen = getattr(processor, "chat_template", None)
    if seen:
        return (str(seen.get("default", "")), "") if isinstance(seen, dict) else (str(seen), "")
    if not tokenizer.chat_template:
        return "", ""
    own = str(tokenizer.get_chat_template())
    other = tokenizer.chat_template.get("tool_use", "") if isinstance(tokenizer.chat_template, dict) else ""
    return own, str(other)


def _template_options(data: DataOptions) -> dict[str, Any]:
    """What templates of reasoning models are asked: their own default wherever the person wants nothing else."""
    options: dict[str, Any] = {}
    if not data.enable_thinking:
        options["enable_thinking"] = False
    if data.preserve_thinking:
        # GLM's templates have the word the other way round.
        options |= {"preserve_thinking": True, "clear_thinking": False}
    return options


_TOO_LONG = ("row_cut", "row_media_long", "row_media_pixels")


@dataclass(frozen=True)
class RenderedRows:
    """Rows as tokens, in order; every row that was given is in `rows` or in `problems`."""

    rows: list[Rendered]
    problems: list[RowProblem]

    @property
    def cut(self) -> int:
        """How many rows are longer than the cutoff and were cut."""
        return sum(row.cut for row in self.rows)

    @property
    def longest(self) -> int:
        """Tokens of the longest row before cutting; 0 without rows."""
        return max((row.length for row in self.rows), default=0)

    @property
    def trained(self) -> int:
        """Tokens that are trained in one epoch."""
        return sum(row.trained for row in self.rows)


def render_all(renderer: Renderer, rows: Sequence[Row]) -> RenderedRows:
    """All rows as tokens. Raises UserError when none can be used, or when all are cut and no answer is whole."""
    good: list[Rendered] = []
    problems: list[RowProblem] = []
    for row, found in zip(rows, renderer.render_many(row.conversation for row in rows), strict=True):
        if isinstance(found, Unusable):
            problems.append(RowProblem(row.dataset, row.number, found.code, found.values, row.file))
        else:
            good.append(found)
    rendered = RenderedRows(good, problems)
    _require_some(rendered, renderer, rows)
    return rendered


def _require_some(rendered: RenderedRows, renderer: Renderer, rows: Sequence[Row]) -> None:
    from trainer.dataset.load import no_rows

    if any(row.whole for row in rendered.rows) or not rows:
        return
    lengths = [row.length for row in rendered.rows]
    lengths += [int(problem.values["length"]) for problem in rendered.problems if problem.code in _TOO_LONG]
    if not lengths:
        raise no_rows(sorted({row.dataset for row in rows}), rendered.problems)
    raise UserError(
        "data_all_cut",
        field="cutoff_len",
        rows=len(lengths),
        cutoff=renderer.cutoff,
        shortest=min(lengths),
        longest=max(lengths),
    )
