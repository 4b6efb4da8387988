"""`python -m trainer chat`: answers to given prompts, or a conversation."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import TextIO

from trainer.chat.engine import ChatEngine, Loaded
from trainer.chat.request import Chunk, Mode, Request, Turn
from trainer.config import RunConfig
from trainer.errors import UserError, tell

STOPPED = 130
# Prompts that are answered before anything is printed: enough to sort them by length, few enough to see it move.
_BLOCK = 32


def run_chat(
    config: RunConfig,
    prompts: Sequence[str] = (),
    *,
    compare: bool = False,
    as_json: bool = False,
    source: TextIO | None = None,
    out: TextIO | None = None,
) -> int:
    """Loads the model of `config` and answers `prompts`, each in a conversation of its own; without prompts it talks.

    Answers go to `out` (standard output), everything else to standard error. With `as_json` each answer is one JSON
    object a line: `prompt`, `answer`, and with `compare` the base's answer in `base`. Questions of a conversation come
    from `source` (standard input), one a line; `clear` begins anew, `exit` ends. Returns the exit status: 0, or 130
    when it was interrupted. Raises UserError for a model, checkpoint or prompt that cannot be used.
    """
    out = out or sys.stdout
    engine = ChatEngine()
    try:
        _introduce(_load(engine, config, compare))
        if prompts:
            _answer(engine, config, prompts, out, as_json)
        else:
            _talk(engine, config, source or sys.stdin, out, as_json)
    except KeyboardInterrupt:
        return STOPPED
    finally:
        engine.unload()
    return 0


def _load(engine: ChatEngine, config: RunConfig, compare: bool) -> Loaded:
    adapters = config.model.adapter_name_or_path
    mode: Mode = "compare" if compare else "tuned" if adapters else "base"
    return engine.load(
        config.model.model_name_or_path, adapters, mode, template=config.data.template, hub=config.model.hub,
        trust_remote_code=config.model.trust_remote_code,
    )  # fmt: skip


def _introduce(loaded: Loaded) -> None:
    for note in loaded.notes:
        print(note.text, file=sys.stderr)
    tuned = f" with {', '.join(loaded.checkpoints)}" if loaded.checkpoints else ""
    print(f"{loaded.model}{tuned}: {loaded.dtype} on {loaded.device}", file=sys.stderr)


def _request(config: RunConfig, question: str, histories: dict[str, tuple[Turn, ...]]) -> Request:
    wanted = config.generate
    return Request(
        question, histories, wanted.system, wanted.temperature, wanted.top_p, wanted.max_new_tokens,
        config.train.seed,
    )  # fmt: skip


def _answer(
    engine: ChatEngine, config: RunConfig, prompts: Sequence[str], out: TextIO, as_json: bool
) -> None:
    for block in _blocks(prompts):
        answers = engine.answers([_request(config, prompt, {}) for prompt in block])
        for prompt, sides in zip(block, answers, strict=True):
            if as_json:
                print(_as_json(prompt, sides), file=out, flush=True)
                continue
            if len(prompts) > 1:
                print(f"> {prompt}", file=out)
            for chunk in sides.values():
                print(f"{_heading(chunk.side, len(sides))}{chunk.text}", file=out, flush=True)
        for chunk in (chunk for sides in answers for chunk in sides.values()):
            _warn(chunk)


def _blocks(prompts: Iterable[str]) -> Iterator[list[str]]:
    rest = iter(prompts)
    while block := list(islice(rest, _BLOCK)):
        yield block


def _as_json(prompt: str, sides: dict[str, Chunk]) -> str:
    line = {"prompt": prompt, "answer": list(sides.values())[-1].text}
    if len(sides) > 1:
        line["base"] = sides["base"].text
    return json.dumps(line, ensure_ascii=False)


def _heading(side: str, count: int) -> str:
    return f"{side}: " if count > 1 else ""


def _talk(engine: ChatEngine, config: RunConfig, source: TextIO, out: TextIO, as_json: bool) -> None:
    """A conversation in which every side has its own history."""
    histories: dict[str, tuple[Turn, ...]] = {}
    asks = source.isatty()
    if asks:
        print("`clear` begins anew, `exit` ends.", file=sys.stderr)
    while True:
        if asks:
            print("> ", end="", file=out, flush=True)
        line = source.readline()
        question = line.strip()
        if not line or question == "exit":
            return
        if question == "clear":
            histories = {}
        elif question:
            histories = _exchange(engine, _request(config, question, histories), out, as_json)


def _exchange(
    engine: ChatEngine, request: Request, out: TextIO, as_json: bool
) -> dict[str, tuple[Turn, ...]]:
    """Prints the answers as they come, one side below the other, and returns the histories they leave."""
    newest: dict[str, Chunk] = {}
    sides = engine.loaded.sides if engine.loaded else ()
    printer = _Printer(out, sides)
    try:
        for chunk in _until_stopped(engine, request):
            newest[chunk.side] = chunk
            if not as_json:
                printer.show(newest)
    except UserError as error:
        print(error, file=sys.stderr)
        return dict(request.histories)
    if as_json:
        print(_as_json(request.question, {side: newest[side] for side in sides}), file=out, flush=True)
    for chunk in newest.values():
        _warn(chunk)
    return {side: chunk.history for side, chunk in newest.items()}


def _until_stopped(engine: ChatEngine, request: Request) -> Iterator[Chunk]:
    """The chunks of an answer; an interrupt ends the answer, not the conversation."""
    chunks = engine.stream(request)
    while True:
        try:
            yield next(chunks)
        except StopIteration:
            return
        except KeyboardInterrupt:
            engine.stop()


class _Printer:
    """Prints growing texts one below the other: the first as it grows, the next when the one above is complete."""

    def __init__(self, out: TextIO, sides: Sequence[str]) -> None:
        self._out = out
        self._sides = sides
        self._place = 0
        self._shown = ""
        self._begun = False

    def show(self, newest: dict[str, Chunk]) -> None:
        while self._place < len(self._sides) and (chunk := newest.get(self._sides[self._place])):
            if not self._begun:
                self._write(_heading(chunk.side, len(self._sides)))
                self._begun = True
            same = chunk.text.startswith(self._shown)
            self._write(chunk.text[len(self._shown) :] if same else f"\n{chunk.text}")
            self._shown = chunk.text
            if not chunk.done:
                return
            self._write("\n")
            self._place, self._shown, self._begun = self._place + 1, "", False

    def _write(self, text: str) -> None:
        print(text, end="", file=self._out, flush=True)


def _warn(chunk: Chunk) -> None:
    if chunk.left_out:
        told = tell("chat_note_left_out", {"count": chunk.left_out})
        print(f"({chunk.side}) {told.text}", file=sys.stderr)
    if chunk.ending == "stopped":
        print(f"({chunk.side}) stopped", file=sys.stderr)
