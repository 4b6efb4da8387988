"""A conversation's tokens -> labels, and the part of both that stays below the cutoff."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

from trainer.dataset.chat_template import Unusable
from trainer.dataset.conversation import Conversation, Media
from trainer.dataset.cut import Turn, keep
from trainer.dataset.spans import Span
from trainer.options import DataOptions

IGNORED = -100

Ids = list[int]
Offsets = list[tuple[int, int]]


@dataclass(frozen=True, slots=True)
class Rendered:
    """One row as tokens. `labels` are the ids of trained tokens and -100 elsewhere.

    `trained` counts the labels that teach something: the first token of a row is never predicted. `length` is the
    number of tokens before cutting, `cut` whether there were more than the cutoff allows, `whole` whether at least one
    trained answer kept its end. `media` are the pictures and videos whose tokens are there, in order.
    """

    input_ids: list[int]
    labels: list[int]
    trained: int
    length: int
    cut: bool
    whole: bool
    media: tuple[Media, ...] = ()


class Written(NamedTuple):
    """A conversation as the template writes it: the characters that the model would write, those of each medium."""

    text: str
    spans: list[Span]
    media: tuple[Media, ...] = ()
    places: tuple[tuple[int, int], ...] = ()


class Tokens(NamedTuple):
    """A rendered row with the text of its tokens: characters `offsets[i]` of `text` became `rendered.input_ids[i]`.

    `places` are the characters of each picture and video of the row, those among them that were cut out.
    """

    rendered: Rendered
    text: str
    offsets: Offsets
    places: tuple[tuple[int, int], ...] = ()


class Labelled(NamedTuple):
    """A rendered row, and which tokens of the whole text it kept; None: all of them."""

    rendered: Rendered
    kept: list[int] | None


class Aligned:
    """The tokens of a text, and which characters of it each stands for.

    `encoding` is what the tokenizer gives for a text of `size` characters. It is asked about single places: a list of the characters of all tokens costs
    more than all the rest of labelling.
    """

    def __init__(self, encoding: Any, ids: Ids, size: int) -> None:
        self._encoding = encoding
        self._size = size
        self.ids = ids

    @cached_property
    def offsets(self) -> Offsets:
        """The characters of each token."""
        found: Offsets = self._encoding.offsets
        return found

    def between(self, start: int, end: int) -> tuple[int, int]:
        """The tokens that characters `start` to `end` became, the last one exclusive."""
        return self._first_after(start), self._first_from(end)

    def _first_after(self, start: int) -> int:
        """The first token of which a part lies behind `start`."""
        found = self._encoding.char_to_token(start) if start < self._size else None
        # No token stands for the character, as for one that the tokenizer leaves out.
        return bisect_left(self.offsets, start + 1, key=_stop) if found is None else found

    def _first_from(self, end: int) -> int:
        """The first token that begins at `end` or later."""
        found = self._encoding.char_to_token(end) if end < self._size else None
        if found is None:
            return bisect_left(self.offsets, end, key=_start) if end < self._size else len(self.ids)
        if self._begins(found) < end:
            return int(found) + 1
        # Blanks that a tokenizer does not count are tokens without a character, before the one that is found.
        while found and self._begins(found - 1) >= end:
            found -= 1
        return int(found)

    def _begins(self, token: int) -> int:
        begins: int = self._encoding.token_to_chars(token)[0]
        return begins


class Opening(NamedTuple):
    """The words that stand between a question and its answer, and how many tokens they are."""

    text: str
    tokens: int


class TooLong(Unusable):
    """A row whose media leave no room for an answer. `media_tokens` are those of its pictures and videos."""

    def __init__(self, length: int, cutoff: int, media_tokens: int) -> None:
        super().__init__("row_media_long", length=length, cutoff=cutoff, tokens=media_tokens)
        self.media_tokens = media_tokens


class Labeller:
    """Labels and cuts for one set of data options.

    `openings` are the words that a template opens answers with, the longest first; `around` the ids of marks that may
    only stand beside their picture.
    """

    def __init__(
        self, data: DataOptions, openings: Sequence[Opening], around: frozenset[int] = frozenset()
    ) -> None:
        self._data = data
        self._openings = openings
        self._around = around

    def label(self, conversation: Conversation, written: Written, aligned: Aligned) -> Labelled:
        """The row's tokens. Raises Unusable when no token would be trained."""
        ids = aligned.ids
        wanted = self._wanted(conversation)
        if not any(wanted):
            raise Unusable("row_untrained")
        ranges = [aligned.between(span.start, span.end) for span in written.spans]
        blocks = [aligned.between(*place) for place in written.places]
        labels = list(ids) if self._data.train_on_prompt else [IGNORED] * len(ids)
        for span, (first, end) in zip(written.spans, ranges, strict=True):
            labels[first:end] = ids[first:end] if wanted[span.answer] else [IGNORED] * (end - first)
        for first, end in blocks:
            labels[first:end] = [IGNORED] * (end - first)
        length, whole, media = len(ids), True, written.media
        kept: list[int] | None = None
        if cut := length > self._data.cutoff_len:
            undivided = _merged([self._widened(ids, block) for block in blocks])
            turns = self._turns(written, ranges, wanted, undivided)
            kept = [place for part in keep(turns, self._data.cutoff_len) for place in part]
            inside = set(kept)
            whole = any(turn.trained and turn.end - 1 in inside for turn in turns)
            ids, labels = ([each[place] for place in kept] for each in (ids, labels))
            media = tuple(
                each for each, (first, _) in zip(written.media, blocks, strict=True) if first in inside
            )
        trained = len(labels) - labels.count(IGNORED) - (labels[:1] not in ([], [IGNORED]))
        if not trained and blocks:
            raise TooLong(length, self._data.cutoff_len, sum(end - first for first, end in blocks))
        if not trained:
            raise Unusable("row_cut", length=length, cutoff=self._data.cutoff_len)
        return Labelled(Rendered(ids, labels, trained, length, cut, whole, media), kept)

    def _wanted(self, conversation: Conversation) -> list[bool]:
        """Which answers are trained."""
        answers = [each.train for each in conversation.messages if each.role == "assistant"]
        if self._data.mask_history:
            answers[:-1] = [False] * (len(answers) - 1)
        return answers

    def _widened(self, ids: Ids, block: tuple[int, int]) -> range:
        """A medium's tokens with the marks directly around them."""
        first, end = block
        first -= first > 0 and ids[first - 1] in self._around
        end += end < len(ids) and ids[end] in self._around
        return range(first, end)

    def _turns(
        self,
        written: Written,
        ranges: Sequence[tuple[int, int]],
        wanted: Sequence[bool],
        blocks: Sequence[range],
    ) -> list[Turn]:
        """Question and answer of each turn as positions of tokens."""
        turns: list[Turn] = []
        for span, (first, end) in zip(written.spans, ranges, strict=True):
            if turns and len(turns) == span.answer + 1:
                turns[-1] = turns[-1]._replace(end=end)
                continue
            start = turns[-1].end if turns else 0
            opens = (
                each.tokens for each in self._openings if written.text.endswith(each.text, 0, span.start)
            )
            opening = min(next(opens, 0), first - start)
            turns.append(Turn(start, first, end, opening, wanted[span.answer]))
        return [_with_blocks(turn, blocks) for turn in turns] if blocks else turns


def _merged(blocks: Sequence[range]) -> list[range]:
    """Pictures side by side may share a token, such as the empty lines between them: they stay or go together."""
    merged: list[range] = []
    for block in blocks:
        if merged and block.start < merged[-1].stop:
            merged[-1] = range(merged[-1].start, max(merged[-1].stop, block.stop))
        else:
            merged.append(block)
    return merged


def _with_blocks(turn: Turn, blocks: Sequence[range]) -> Turn:
    own = tuple(block for block in blocks if turn.start <= block.start and block.stop <= turn.end)
    # A picture that reaches into the words before the answer: those are not kept apart from it.
    reaching = max((block.stop for block in own if block.stop <= turn.answer), default=turn.start)
    return turn._replace(blocks=own, opening=min(turn.opening, turn.answer - reaching))


def _start(offset: tuple[int, int]) -> int:
    return offset[0]


def _stop(offset: tuple[int, int]) -> int:
    return offset[1]
