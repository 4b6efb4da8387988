"""Which tokens of a conversation stay when it is longer than the cutoff.

The budget is shared between question and answer as LLaMA-Factory's `infer_seqlen` does when an answer has to be cut.
What differs protects what is trained: a question gives way before its answer does, it is cut before its end, so that
the words which open the answer stay, and an answer that fits keeps its end-of-turn token. The tokens of a picture stay
or go together, and a question without its picture is not asked: its words give way first.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


class Turn(NamedTuple):
    """Positions of tokens: the question from `start`, the answer from `answer` to `end` (exclusive).

    `opening` counts the last tokens of the question that open the answer ("<|im_start|>assistant"). `blocks` are the
    ranges of tokens that cannot be divided, in order; none of them reaches into the opening.
    """

    start: int
    answer: int
    end: int
    opening: int
    trained: bool
    blocks: tuple[range, ...] = ()

    @property
    def held(self) -> int:
        """Tokens of the question's pictures."""
        return sum(len(block) for block in self.blocks if block.stop <= self.answer)


class Kept(NamedTuple):
    """What stays of one turn."""

    parts: list[range]

    @property
    def tokens(self) -> int:
        return sum(map(len, self.parts))


def keep(turns: Sequence[Turn], budget: int) -> list[range]:
    """The ranges of tokens that stay, in order, at most `budget` tokens together; empty when no answer would be left.

    Turns after the last trained one go first: nothing is learned from them. Then whole turns go, from the end, or from
    the beginning where the first answer is not trained and is only there to be read.
    """
    while turns and not turns[-1].trained:
        turns = turns[:-1]
    if not turns:
        return []
    forward = turns[0].trained
    kept: list[Kept] = []
    for turn in turns if forward else reversed(turns):
        one = _keep_turn(turn, budget - sum(each.tokens for each in kept), whole_answer=bool(kept))
        if one is None:
            break
        kept.append(one)
        if one.parts[-1].stop < turn.end:
            break
    ordered = kept if forward else kept[::-1]
    return [part for each in ordered for part in each.parts if part]


def _keep_turn(turn: Turn, budget: int, whole_answer: bool) -> Kept | None:
    question, answer = turn.answer - turn.start, turn.end - turn.answer
    needed = turn.opening + turn.held
    asked, said = share(question, answer, needed, budget)
    if turn.held and said < answer <= budget - turn.opening:
        return None  # short enough to be whole: rather no row than one that never ends, or is not about its picture
    if asked < needed:
        asked, said = needed, budget - needed
    said = _before_blocks(turn, said)
    if said < 1 or (whole_answer and said < answer):
        return None
    head = _head(turn, asked - needed)
    return Kept([*head, range(turn.answer - turn.opening, turn.answer + said)])


def _before_blocks(turn: Turn, said: int) -> int:
    """How many tokens of the answer can stay, at most `said`, without dividing a block."""
    for block in turn.blocks:
        if block.start < turn.answer + said < block.stop:
            return max(0, block.start - turn.answer)
    return said


def _head(turn: Turn, words: int) -> list[range]:
    """The question before the opening: all its blocks, and its first `words` tokens beside them."""
    parts: list[range] = []
    at = turn.start
    limit = turn.answer - turn.opening
    for block in (*(each for each in turn.blocks if each.stop <= turn.answer), range(limit, limit)):
        taken = min(words, block.start - at)
        words -= taken
        parts += [range(at, at + taken), block]
        at = block.stop
    return [part for part in parts if part]


def share(question: int, answer: int, opening: int, budget: int) -> tuple[int, int]:
    """How many tokens of a question and of its answer fit into `budget` tokens.

    `opening` tokens of the question have to stay beside an answer that stays whole.
    """
    if question + answer <= budget:
        return question, answer
    if answer + opening <= budget:
        return budget - answer, answer
    said = budget - question if 2 * question < budget else budget * answer // (question + answer)
    return min(question, budget - said), said
