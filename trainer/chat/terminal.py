"""`python -m trainer chat`: answers to given prompts, or a conversation."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, TextIO

from trainer.chat.attached import attach
from trainer.chat.engine import ChatEngine, Loaded
from trainer.chat.request import Chunk, Mode, Request, Turn
from trainer.config import RunConfig
from trainer.dataset.conversation import Media
from trainer.errors import UserError, tell
from trainer.model.quantization import wanted

STOPPED = 130
# Prompts that are answered before anything is printed: enough to sort them by length, few enough to see it move.
_BLOCK = 32


def run_chat(
    config: RunConfig,
    prompts: Sequence[str] = (),
    *,
    media: Sequence[Media] = (),
    compare: bool = False,
    as_json: bool = False,
    source: TextIO | None = None,
    out: TextIO | None = None,
) -> int:
    """Loads the model of `config` and answers `prompts`, each in a conversation of its own; without prompts it talks.

    `media` come with each prompt, or with the first question of a conversation; there a line `/image FILE` or
    `/video FILE` adds to the next question.

    Answers go to `out` (standard output), everything else to standard error. With `as_json` each answer is one JSON
    object a line: `prompt`, `answer`, with `compare` the base's answer in `base`, and with media `media` (the file, kind
    and tokens of each) and `image_tokens`, the sum. Questions of a conversation come
    from `source` (standard input), one a line; `clear` begins anew, `exit` ends. Returns the exit status: 0, or 130
    when it was interrupted. Raises UserError for a model, checkpoint or prompt that cannot be used.
    """
    out = out or sys.stdout
    engine = ChatEngine()
    try:
        _introduce(_load(engine, config, compare))
        with_media = _Attached(engine, media)
        if prompts:
            _answer(engine, config, prompts, with_media, out, as_json)
        else:
            _talk(engine, config, with_media, source or sys.stdin, out, as_json)
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
        trust_remote_code=config.model.trust_remote_code, data=config.data, quantization=wanted(config.model),
    )  # fmt: skip


def _introduce(loaded: Loaded) -> None:
    for note in loaded.notes:
        print(note.text, file=sys.stderr)
    tuned = (
        f" with {', '.join(loaded.checkpoints)}" if loaded.checkpoints not in ((), (loaded.model,)) else ""
    )
    print(f"{loaded.model}{tuned}: {loaded.dtype} on {loaded.device}", file=sys.stderr)


class _Attached:
    """The media of the next question. Raises UserError for what the loaded model does not take."""

    def __init__(self, engine: ChatEngine, media: Sequence[Media] = ()) -> None:
        self._engine = engine
        self.media: tuple[Media, ...] = ()
        self.tokens: tuple[int, ...] = ()
        for each in media:
            self.add(each)

    def add(self, media: Media) -> None:
        tokens = self._engine.cost(media)
        self.media, self.tokens = (*self.media, media), (*self.tokens, tokens)
        print(f"{media.name}: {tokens} tokens", file=sys.stderr)

    def as_json(self) -> dict[str, Any]:
        if not self.media:
            return {}
        listed = [
            {"file": str(each.path or each.name), "kind": each.kind, "tokens": tokens}
            for each, tokens in zip(self.media, self.tokens, strict=True)
        ]
        return {"media": listed, "image_tokens": sum(self.tokens)}


def _request(
    config: RunConfig, question: str, histories: dict[str, tuple[Turn, ...]], media: tuple[Media, ...] = ()
) -> Request:
    wanted = config.generate
    return Request(
        question, histories, wanted.system, wanted.temperature, wanted.top_p, wanted.max_new_tokens,
        config.train.seed, media=media,
    )  # fmt: skip


def _answer(
    engine: ChatEngine,
    config: RunConfig,
    prompts: Sequence[str],
    attached: _Attached,
    out: TextIO,
    as_json: bool,
) -> None:
    for block in _blocks(prompts):
        answers = engine.answers([_request(config, prompt, {}, attached.media) for prompt in block])
        for prompt, sides in zip(block, answers, strict=True):
            if as_json:
                print(_as_json(prompt, sides, attached), file=out, flush=True)
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


def _as_json(prompt: str, sides: dict[str, Chunk], attached: _Attached) -> str:
    line: dict[str, Any] = {"prompt": prompt, "answer": list(sides.values())[-1].text}
    if len(sides) > 1:
        line["base"] = sides["base"].text
    return json.dumps({**line, **attached.as_json()}, ensure_ascii=False)


def _heading(side: str, count: int) -> str:
    return f"{side}: " if count > 1 else ""


def _talk(
    engine: ChatEngine, config: RunConfig, attached: _Attached, source: TextIO, out: TextIO, as_json: bool
) -> None:
    """A conversation in which every side has its own history."""
    histories: dict[str, tuple[Turn, ...]] = {}
    asks = source.isatty()
    if asks:
        print(
            "`/image FILE` or `/video FILE` shows something, `clear` begins anew, `exit` ends.",
            file=sys.stderr,
        )
    while True:
        if asks:
            print("> ", end="", file=out, flush=True)
        line = source.readline()
        question = line.strip()
        if not line or question == "exit":
            return
        if question == "clear":
            histories, attached = {}, _Attached(engine)
        elif question.partition(" ")[0] in ("/image", "/video"):
            _show(attached, question)
        elif question:
            request = _request(config, question, histories, attached.media)
            after = _exchange(engine, request, attached, out, as_json)
            # After a mistake the same may be asked in other words.
            if after is not None:
                histories, attached = after, _Attached(engine)


def _show(attached: _Attached, line: str) -> None:
    word, _, name = line.partition(" ")
    try:
        attached.add(attach(Path(name.strip()).expanduser(), "video" if word == "/video" else "image"))
    except UserError as error:
        print(error, file=sys.stderr)


def _exchange(
    engine: ChatEngine, request: Request, attached: _Attached, out: TextIO, as_json: bool
) -> dict[str, tuple[Turn, ...]] | None:
    """Prints the answers as they come, one side below the other; the histories they leave, None after a mistake."""
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
        return None
    if as_json:
        print(
            _as_json(request.question, {side: newest[side] for side in sides}, attached), file=out, flush=True
        )
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
