"""From requests to batches of prompts, and from rows of a batch back to the answers of each side."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from trainer.chat.attached import is_about_media, parts, refusal, require_readable
from trainer.chat.request import Chunk, Request, Turn
from trainer.chat.seeing import look, require_seen
from trainer.dataset.chat_template import Unusable
from trainer.dataset.conversation import Message, message
from trainer.errors import UserError
from trainer.model import gguf_side, llama
from trainer.model.generation import Draw, Progress, Row, generate
from trainer.model.sides import Side

# Questions answered at once in `answers`; more cost memory for keys and values.
MOST_AT_ONCE = 8


@dataclass(frozen=True)
class Task:
    """One side's part in one request: `number` is the request's place among all that were put together."""

    number: int
    request: Request
    side: Side
    row: Row
    history: tuple[Turn, ...]
    left_out: int

    def chunk(self, progress: Progress) -> Chunk:
        """What the caller sees of the row's progress."""
        history: tuple[Turn, ...] = ()
        if progress.ending:
            # An answer that was stopped before its first word is none.
            said = progress.text or progress.ending != "stopped"
            turn = Turn(self.request.question, progress.text, self.request.media)
            history = (*self.history, turn) if said else self.history
        return Chunk(
            self.side.name, progress.text, progress.ending, progress.tokens, progress.tokens_per_s, self.left_out,
            history,
        )  # fmt: skip


def prepare(sides: Sequence[Side], requests: Sequence[Request]) -> list[Task]:
    """The prompts of all sides for all requests. Raises UserError for an empty or over-long question."""
    tasks = []
    for number, request in enumerate(requests):
        if not request.question.strip() and not request.media:
            raise UserError("chat_no_question")
        for side in sides:
            require_seen(side.renderer, request.media)
        require_readable(request.media)
        seed = secrets.randbits(63) if request.seed is None else request.seed
        draw = Draw(request.temperature, request.top_p, seed)
        tasks += [_task(number, request, side, draw) for side in sides]
    return tasks


def _task(number: int, request: Request, side: Side, draw: Draw) -> Task:
    history = tuple(request.histories.get(side.name, ()))
    require_seen(side.renderer, [media for turn in history for media in turn.media] + list(request.media))
    # Half the context may be filled with the past when the answer could be longer than the other half.
    room = min(request.max_new_tokens, side.context // 2)
    for left_out in range(len(history) + 1):
        messages = _messages([*history[left_out:], Turn(request.question, "", request.media)])
        prompt = _prompt(side, messages, _whole(request.system or side.system))
        if len(prompt) + room <= side.context:
            break
    most = min(request.max_new_tokens, side.context - len(prompt))
    if most < 1:
        raise UserError("chat_question_long", tokens=len(prompt), limit=side.context)
    media = tuple(each for one in messages for each in one.media)
    return Task(number, request, side, Row(tuple(prompt), side.adapter, draw, most, media), history, left_out)


def _prompt(side: Side, messages: Sequence[Message], system: str) -> list[int]:
    try:
        return side.renderer.prompt(messages, system)
    except UserError as error:
        why = error.__cause__
        if isinstance(why, Unusable) and is_about_media(why):
            raise refusal(why) from None
        if isinstance(why, Unusable) and any(each.media for each in messages):
            # Templates of plain words trip over a message that is not only text.
            raise UserError("chat_media_template", field="template") from None
        raise


def _messages(turns: Sequence[Turn]) -> list[Message]:
    """Questions and answers in turn; the last turn's answer is awaited."""
    said = []
    for turn in turns:
        said.append(Message("user", parts(_whole(turn.question), turn.media)))
        said.append(message("assistant", _whole(turn.answer)))
    return said[:-1]


def _whole(text: str) -> str:
    """The text without halves of surrogate pairs, which a browser can send and no tokenizer takes."""
    return text.encode(errors="replace").decode()


def run(
    sides: Sequence[Side], tasks: Sequence[Task], stop: threading.Event, report: Callable[[int, Chunk], None]
) -> None:
    """Answers all tasks: sides of one model in one batch or in turn, different models at the same time."""
    by_model: dict[int, list[Task]] = {id(side.model): [] for side in sides}
    for task in tasks:
        by_model[id(task.side.model)].append(task)

    def answer(own: list[Task]) -> None:
        for batch in _batches(own):
            _answer(batch, stop, report)

    with ThreadPoolExecutor(len(by_model), thread_name_prefix="chat") as pool:
        running = [pool.submit(answer, own) for own in by_model.values()]
        for each in running:
            # When one model fails, the other must not talk on.
            each.add_done_callback(lambda done: stop.set() if done.exception() else None)
    for each in running:
        each.result()


def _batches(tasks: Sequence[Task]) -> list[list[Task]]:
    """One model's tasks, by what can be answered in one pass: few questions of like length, adapters on or off."""
    longest: dict[int, int] = {}
    for task in tasks:
        longest[task.number] = max(longest.get(task.number, 0), len(task.row.prompt))
    order = sorted(longest, key=lambda number: longest[number])
    return [
        batch
        for start in range(0, len(order), MOST_AT_ONCE)
        for off in (True, False)
        if (
            batch := [
                task
                for task in tasks
                if task.number in order[start : start + MOST_AT_ONCE] and task.side.adapters_off is off
            ]
        )
    ]


def _answer(batch: Sequence[Task], stop: threading.Event, report: Callable[[int, Chunk], None]) -> None:
    side = batch[0].side

    def pass_on(progress: Progress) -> None:
        task = batch[progress.row]
        report(task.number, task.chunk(progress))

    if stop.is_set():
        for row in range(len(batch)):
            pass_on(Progress(row, "", 0, 0.0, "stopped"))
        return
    rows = [task.row for task in batch]
    if isinstance(side.model, llama.Model):
        gguf_side.answer(side, rows, stop, pass_on)
        return
    seen = look(side.renderer, side.model, rows)
    generate(
        side.model, side.tokenizer, rows, side.stop_ids, stop, pass_on, adapters_off=side.adapters_off, seen=seen
    )  # fmt: skip
