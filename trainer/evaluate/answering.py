"""Rows answered and measured by all sides: base and tuned in one batch where one model holds both, else in turn."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

from trainer.evaluate.items import Item
from trainer.evaluate.losses import Loss, losses, shares
from trainer.model.decoding import decode
from trainer.model.generation import Draw, Row
from trainer.model.mixed import Untouched, can_mix, mixed
from trainer.model.seeing import look
from trainer.model.sides import UNTOUCHED, Side
from trainer.model.voices import Ending
from trainer.options import GenerateOptions


class Answer(NamedTuple):
    """One side's answer; `tokens` without the one that ended it."""

    text: str
    tokens: int
    ending: Ending


class Group(NamedTuple):
    """Sides that answer in one batch: their numbers, the base first. `off`: with the adapters switched off."""

    sides: tuple[int, ...]
    model: Any
    mixes: bool
    off: bool


def groups_of(sides: Sequence[Side]) -> list[Group]:
    """Which sides share a batch; the tuned one answers first where they do not."""
    mixes = [hasattr(side.model, "get_base_model") and can_mix(side.model) for side in sides]
    if len(sides) == 2 and sides[0].model is sides[1].model and sides[0].adapter == UNTOUCHED and mixes[0]:
        return [Group((0, 1), sides[0].model, True, False)]
    return [
        Group((number,), side.model, mixes[number] and not _off(side), _off(side))
        for number, side in reversed(list(enumerate(sides)))
    ]


def _off(side: Side) -> bool:
    return side.adapters_off or side.adapter == UNTOUCHED


class Answerer:
    """Answers with loaded sides. `report` hears of each answer as it is there: item, number of the side, answer."""

    def __init__(self, sides: Sequence[Side], options: GenerateOptions, seed: int) -> None:
        self.sides = tuple(sides)
        self._groups = groups_of(sides)
        self._options = options
        self._seed = seed

    def answer(
        self, items: Sequence[Item], stop: Callable[[], bool], report: Callable[[Item, int, Answer], None]
    ) -> None:
        """All items in one batch. Returns early when `stop` says so. Raises what the model raises."""
        for group in self._groups:
            if not stop():
                self._answer(group, items, stop, report)

    def _answer(
        self,
        group: Group,
        items: Sequence[Item],
        stop: Callable[[], bool],
        report: Callable[[Item, int, Answer], None],
    ) -> None:
        side = self.sides[group.sides[0]]
        pairs = [(item, number) for number in group.sides for item in items]
        rows = [self._row(item, number) for item, number in pairs]

        def take(place: int, ids: list[int], ending: Ending) -> None:
            item, number = pairs[place]
            text = self.sides[number].tokenizer.decode(
                ids, skip_special_tokens=True, clean_up_tokenization_spaces=False
            )
            report(item, number, Answer(text, len(ids), ending))

        with _acting(group, len(items)) as untouched:
            seen = look(side.renderer, side.model, rows)
            decode(
                side.model, rows, _pad(side), side.stop_ids, stop, take, untouched, seen, fixed=side.renderer.sees
            )  # fmt: skip

    def _row(self, item: Item, number: int) -> Row:
        side, options = self.sides[number], self._options
        prompt = item.spoken[number].prompt
        seed = hashlib.sha256(f"{self._seed} {item.place}".encode()).digest()
        draw = Draw(options.temperature, options.top_p, int.from_bytes(seed[:7]))
        most = min(options.max_new_tokens, side.context - len(prompt))
        return Row(prompt, "", draw, max(most, 1), item.media)

    def measure(self, items: Sequence[Item]) -> dict[tuple[int, int], Loss]:
        """The losses of all items that can be measured, by place and number of the side. Raises what the model raises."""
        found: dict[tuple[int, int], Loss] = {}
        for group in self._groups:
            side = self.sides[group.sides[0]]
            vocabulary = side.model.config.get_text_config().vocab_size * len(group.sides)
            own = [item for item in items if all(item.spoken[number].rendered for number in group.sides)]
            rendered = [each for item in own if (each := item.spoken[group.sides[-1]].rendered)]
            for part in shares(rendered, vocabulary):
                self._measure(group, own[part.start : part.stop], found)
        return found

    def _measure(self, group: Group, items: Sequence[Item], found: dict[tuple[int, int], Loss]) -> None:
        side = self.sides[group.sides[0]]
        pairs = [(item, number) for number in group.sides for item in items]
        whole = [each for item, number in pairs if (each := item.spoken[number].rendered)]
        rows = [Row(tuple(each.input_ids), "", Draw(0, 1, 0), 1, each.media) for each in whole]
        with _acting(group, len(items)):
            seen = look(side.renderer, side.model, rows)
            for (item, number), loss in zip(pairs, losses(side.model, whole, _pad(side), seen), strict=True):
                found[item.place, number] = loss


def _pad(side: Side) -> int:
    pad = side.tokenizer.pad_token_id
    return int(pad) if pad is not None else min(side.stop_ids, default=0)


@contextmanager
def _acting(group: Group, count: int) -> Iterator[Untouched]:
    """The group's model, with its adapters on the rows for which they are meant."""
    untouched = Untouched(count if len(group.sides) == 2 else 0)
    with contextlib.ExitStack() as stack:
        if group.off:
            stack.enter_context(group.model.disable_adapter())
        if group.mixes:
            stack.enter_context(mixed(group.model, untouched))
        yield untouched
