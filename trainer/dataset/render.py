"""Conversations -> token ids and labels: the only place where text becomes tokens.

Training, evaluation, preview, chat and export all ask here, so that what is shown is what is trained, and what is
trained is what the model's own `apply_chat_template` writes.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import Any, NamedTuple

from trainer.dataset.chat_template import ChatTemplate, Unusable, require_tokens, special_tokens
from trainer.dataset.conversation import Conversation, Message, Row, RowProblem
from trainer.dataset.cut import Turn, keep
from trainer.dataset.spans import Said, Span, ask, found_spans, marked_spans
from trainer.dataset.templates import pick
from trainer.errors import UserError
from trainer.options import DataOptions

IGNORED = -100
BATCH = 512
MOST_WORKERS = 16


@dataclass(frozen=True, slots=True)
class Rendered:
    """One row as tokens. `labels` are the ids of trained tokens and -100 elsewhere.

    `trained` counts the labels that teach something: the first token of a row is never predicted. `length` is the
    number of tokens before cutting, `cut` whether there were more than the cutoff allows, `whole` whether at least one
    trained answer kept its end.
    """

    input_ids: list[int]
    labels: list[int]
    trained: int
    length: int
    cut: bool
    whole: bool


class Text(NamedTuple):
    """A conversation as the template writes it, and the characters that the model would write itself."""

    text: str
    spans: list[Span]


class Tokens(NamedTuple):
    """A rendered row with the text of its tokens: characters `offsets[i]` of `text` became `rendered.input_ids[i]`."""

    rendered: Rendered
    text: str
    offsets: list[tuple[int, int]]


class Renderer:
    """Renders for one tokenizer, one template and one set of data options. Threads may share it.

    Raises UserError when the template is unknown or not for this model, when a model without a template is given none,
    and when the tokenizer cannot tell which characters a token stands for.
    """

    def __init__(self, tokenizer: Any, template: str, data: DataOptions) -> None:
        if data.mask_history and data.train_on_prompt:
            raise UserError(
                "option_twice", field="mask_history", name="mask_history", other="train_on_prompt"
            )
        if not getattr(tokenizer, "is_fast", False):
            raise UserError("data_tokenizer_slow", field="model_name_or_path")
        self._tokenizer = tokenizer
        self._data = data
        own = tokenizer.get_chat_template() if tokenizer.chat_template else ""
        self.chat_template = pick(own, template)
        self._special = special_tokens(tokenizer)
        if self.chat_template != own:
            require_tokens(template, self.chat_template, tokenizer)
        self._template = ChatTemplate(self.chat_template, tokenizer.special_tokens_map)
        before_answer = [each for each in self._special if each != tokenizer.bos_token]
        self._end_mark = re.compile(r"\s*(?:" + ("|".join(map(re.escape, before_answer)) or r"\b\B") + ")")
        self._opening, self._closing = self._turn_marks()

    @property
    def cutoff(self) -> int:
        """Most tokens that a row may have."""
        return self._data.cutoff_len

    @property
    def fingerprint(self) -> str:
        """Whatever decides which tokens a conversation becomes and which of them are trained."""
        options = (self._data.cutoff_len, self._data.train_on_prompt, self._data.mask_history)
        return repr((self._tokenizer.backend_tokenizer.to_str(), self.chat_template, options))

    @property
    def special_ids(self) -> frozenset[int]:
        """The ids of the tokens that stand for no text of a person's."""
        return frozenset(self._tokenizer.convert_tokens_to_ids(list(self._special)))

    @property
    def stop_ids(self) -> list[int]:
        """The ids after which an answer is over: the template's end of turn, and the tokenizer's end of text."""
        closing = self._tokenizer.convert_tokens_to_ids(self._closing) if self._closing else None
        return [each for each in dict.fromkeys((closing, self._tokenizer.eos_token_id)) if each is not None]

    def render(self, conversation: Conversation) -> Rendered:
        """One conversation as tokens. Raises Unusable when the template refuses it or no token would be trained."""
        return self.explain(conversation).rendered

    def explain(self, conversation: Conversation) -> Tokens:
        """As `render`, with the text of each token."""
        text = self._write(conversation)
        ids, offsets = self._encode([text.text])[0]
        return self._label(conversation, text, ids, offsets)

    def render_many(self, conversations: Iterable[Conversation]) -> Iterator[Rendered | Unusable]:
        """As `render`, in order and in batches; one that cannot be used comes as its reason.

        With preprocessing_num_workers several batches are under way at once: the tokenizer works outside of Python, so
        that threads are enough, and nothing has to be copied into processes.
        """
        rest = iter(conversations)
        batches = iter(lambda: list(islice(rest, BATCH)), [])
        workers = min(self._data.preprocessing_num_workers or 1, MOST_WORKERS)
        if workers == 1:
            for batch in batches:
                yield from self._render_batch(batch)
            return
        with ThreadPoolExecutor(workers) as pool:
            for rendered in pool.map(self._render_batch, batches):
                yield from rendered

    def prompt(self, messages: Sequence[Message | Mapping[str, str]], system: str = "") -> list[int]:
        """The ids of a conversation that waits for an answer, up to where the model begins to write.

        Messages are ours, or mappings with `role` and `content`. Raises UserError when the template refuses them.
        """
        said: Said = [{"role": "system", "content": system}] if system else []
        said += [_as_said(each) for each in messages]
        try:
            text = ask(self._template.write, said)
        except Unusable as refused:
            raise UserError("data_template_refuses", field="template", **refused.values) from None
        return self._encode([text])[0][0]

    def _render_batch(self, batch: Sequence[Conversation]) -> list[Rendered | Unusable]:
        texts = [self._try_write(each) for each in batch]
        encoded = iter(self._encode([each.text for each in texts if isinstance(each, Text)]))
        rendered: list[Rendered | Unusable] = []
        for conversation, text in zip(batch, texts, strict=True):
            try:
                if isinstance(text, Unusable):
                    raise text
                rendered.append(self._label(conversation, text, *next(encoded)).rendered)
            except Unusable as unusable:
                rendered.append(unusable)
        return rendered

    def _try_write(self, conversation: Conversation) -> Text | Unusable:
        try:
            return self._write(conversation)
        except Unusable as unusable:
            return unusable

    def _encode(self, texts: list[str]) -> list[tuple[list[int], list[tuple[int, int]]]]:
        if not texts:
            return []
        found = self._tokenizer(
            texts,
            add_special_tokens=False,
            return_offsets_mapping=True,
            return_attention_mask=False,
            verbose=False,
        )
        return list(zip(found["input_ids"], found["offset_mapping"], strict=True))

    def _write(self, conversation: Conversation) -> Text:
        said: Said = [{"role": "system", "content": conversation.system}] if conversation.system else []
        said += [_as_said(each) for each in conversation.messages]
        text, marks = self._template.write_marked(said)
        answers = [each["content"] for each in said if each["role"] == "assistant"]
        spans = marked_spans(text, marks, answers) if marks else None
        if spans is not None:
            spans = [self._closed(text, span) for span in spans]
        else:
            spans = found_spans(self._template.write, said, text, self._end_mark)
        if spans is None:
            raise Unusable("row_answers_unclear")
        return Text(text, spans)

    def _closed(self, text: str, span: Span) -> Span:
        """A template's mark may leave out the end of the turn, without which no answer would ever end."""
        if text[span.start : span.end].rstrip().endswith(self._special):
            return span
        mark = self._end_mark.match(text, span.end)
        return span._replace(end=mark.end()) if mark else span

    def _label(
        self, conversation: Conversation, text: Text, ids: list[int], offsets: list[tuple[int, int]]
    ) -> Tokens:
        wanted = self._wanted(conversation)
        ranges = [
            (bisect_left(offsets, span.start + 1, key=_stop), bisect_left(offsets, span.end, key=_start))
            for span in text.spans
        ]
        labels = list(ids) if self._data.train_on_prompt else [IGNORED] * len(ids)
        for span, (first, end) in zip(text.spans, ranges, strict=True):
            labels[first:end] = ids[first:end] if wanted[span.answer] else [IGNORED] * (end - first)
        if not any(wanted):
            raise Unusable("row_untrained")
        turns = self._turns(text, ranges, wanted)
        length = len(ids)
        whole = True
        if cut := length > self._data.cutoff_len:
            kept = keep(turns, self._data.cutoff_len)
            places = [place for part in kept for place in part]
            inside = set(places)
            whole = any(turn.trained and turn.end - 1 in inside for turn in turns)
            ids, labels, offsets = ([each[place] for place in places] for each in (ids, labels, offsets))  # type: ignore[assignment]
        trained = len(labels) - labels.count(IGNORED) - (labels[:1] not in ([], [IGNORED]))
        if not trained:
            raise Unusable("row_cut", length=length, cutoff=self._data.cutoff_len)
        return Tokens(Rendered(ids, labels, trained, length, cut, whole), text.text, offsets)

    def _wanted(self, conversation: Conversation) -> list[bool]:
        """Which answers are trained."""
        answers = [each.train for each in conversation.messages if each.role == "assistant"]
        if self._data.mask_history:
            answers[:-1] = [False] * (len(answers) - 1)
        return answers

    def _turns(self, text: Text, ranges: Sequence[tuple[int, int]], wanted: Sequence[bool]) -> list[Turn]:
        """Question and answer of each turn as positions of tokens."""
        turns: list[Turn] = []
        for span, (first, end) in zip(text.spans, ranges, strict=True):
            if turns and len(turns) == span.answer + 1:
                turns[-1] = turns[-1]._replace(end=end)
                continue
            start = turns[-1].end if turns else 0
            opens = text.text.endswith(self._opening.text, 0, span.start)
            opening = min(self._opening.tokens, first - start) if opens else 0
            turns.append(Turn(start, first, end, opening, wanted[span.answer]))
        return turns

    def _turn_marks(self) -> tuple[_Opening, str]:
        """The words that open an answer, and the token that closes it, from a conversation made up for the purpose."""
        question, answer = "\ue0a1?\ue0a1", "\ue0a1!\ue0a1"
        said = [{"role": "user", "content": question}]
        try:
            asked = ask(self._template.write, said)
            told = self._template.write(
                [*said, {"role": "assistant", "content": answer}, {"role": "user", "content": question}],
                False,
            )
        except Unusable as refused:
            raise UserError("data_template_refuses", field="template", **refused.values) from None
        opening = asked.rpartition(question)[2]
        closing = self._end_mark.match(told, told.rfind(answer) + len(answer)) if answer in told else None
        count = len(self._encode([opening])[0][0]) if opening else 0
        return _Opening(opening, count), closing.group().strip() if closing else ""


def _as_said(message: Message | Mapping[str, str]) -> dict[str, str]:
    if isinstance(message, Message):
        return {"role": message.role, "content": message.text}
    return dict(message)


class _Opening(NamedTuple):
    text: str
    tokens: int


def _start(offset: tuple[int, int]) -> int:
    return offset[0]


def _stop(offset: tuple[int, int]) -> int:
    return offset[1]


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
            problems.append(RowProblem(row.dataset, row.number, found.code, found.values))
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
    lengths += [int(problem.values["length"]) for problem in rendered.problems if problem.code == "row_cut"]
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
