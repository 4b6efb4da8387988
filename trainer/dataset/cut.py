"""Which tokens of a conversation stay when it is longer than the cutoff.

The budget is shared between question and answer as LLaMA-Factory's `infer_seqlen` does when an answer has to be cut.
What differs protects what is trained: a question gives way before its answer does, it is cut before its end, so that
the words which open the answer stay, and an answer that fits keeps its end-of-turn token.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


class Turn(NamedTuple):
    """Positions of tokens: the question from `start`, the answer from `answer` to `end` (exclusive).

    `opening` counts the last tokens of the question that open the answer ("<|im_start|>assistant").
    """

    start: int
    answer: int
    end: int
    opening: int
    trained: bool


class Kept(NamedTuple):
    """What stays of one turn: its first tokens, and the tokens around the start of the answer."""

    head: range
    rest: range

    @property
    def tokens(self) -> int:
        return len(self.head) + len(self.rest)


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
        if one.rest.stop < turn.end:
            break
    ordered = kept if forward else kept[::-1]
    return [part for each in ordered for part in (each.head, each.rest) if part]


def _keep_turn(turn: Turn, budget: int, whole_answer: bool) -> Kept | None:
    question, answer = turn.answer - turn.start, turn.end - turn.answer
    asked, said = share(question, answer, turn.opening, budget)
    if said < 1 or asked < turn.opening or (whole_answer and said < answer):
        return None
    first = turn.start + asked - turn.opening
    return Kept(range(turn.start, first), range(turn.answer - turn.opening, turn.answer + said))


def share(question: int, answer: int, opening: int, budget: int) -> tuple[int, int]:
    """How many tokens of a question and of its answer fit into `budget` tokens."""
    if question + answer <= budget:
        return question, answer
    if answer + opening <= budget:
        return budget - answer, answer
    said = budget - question if 2 * question < budget else budget * answer // (question + answer)
    return min(question, budget - said), said
