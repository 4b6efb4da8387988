"""One loaded base with any number of adapters, or two models, and everybody who talks to them.

Several pages share an engine. It answers one request at a time (a request may have several sides and, in `answers`, many
questions); who comes second waits. Conversations live with the callers: nothing of them stays here.
"""

from __future__ import annotations

import collections
import logging
import queue
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from trainer.chat.request import Chunk, Mode, Request, sight
from trainer.dataset.conversation import Media, MediaKind
from trainer.errors import UserError
from trainer.events import Note
from trainer.options import DataOptions

if TYPE_CHECKING:
    from trainer.chat.prompt import Task
    from trainer.model.quantization import Quantization
    from trainer.model.sides import Side

State = Literal["empty", "loading", "ready", "generating"]
# How long a second caller waits for the answer before its own, in seconds.
PATIENCE_S = 120.0
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Loaded:
    """What is loaded. `sides` are the names of the voices ("base", "tuned"); `context` counts tokens.

    `sees` says which kinds of media all sides take.
    """

    model: str
    checkpoints: tuple[str, ...]
    mode: Mode
    sides: tuple[str, ...]
    device: str
    dtype: str
    context: int
    notes: tuple[Note, ...] = ()
    sees: tuple[MediaKind, ...] = ()


@dataclass
class _Ticket:
    """One caller's place: its wish to stop, and its answers as they come. None in `out` is the end of all answers."""

    owner: str
    stop: threading.Event = field(default_factory=threading.Event)
    out: queue.SimpleQueue[tuple[int, Chunk] | UserError | None] = field(default_factory=queue.SimpleQueue)


class _Answer(Iterator[Chunk]):
    """One request's chunks without those that newer ones of their side have overtaken.

    Not a generator: an interrupt that arrives while somebody waits for the next chunk must not end the rest.
    """

    def __init__(self, ticket: _Ticket) -> None:
        self._ticket = ticket
        self._ready: collections.deque[Chunk] = collections.deque()
        self._over = False

    def __next__(self) -> Chunk:
        while not self._ready and not self._over:
            self._fill()
        if not self._ready:
            raise StopIteration
        return self._ready.popleft()

    def _fill(self) -> None:
        out = self._ticket.out
        items = [out.get()]
        while not out.empty():
            items.append(out.get())
        self._over = items[-1] is None
        newest: dict[str, Chunk] = {}
        for item in items:
            if isinstance(item, UserError):
                raise item
            if item is not None:
                newest[item[1].side] = item[1]
        self._ready.extend(newest.values())

    def close(self) -> None:
        """Ends the answer; nothing more comes."""
        self._ticket.stop.set()
        self._ready.clear()
        self._over = True

    def __del__(self) -> None:
        self._ticket.stop.set()


class ChatEngine:
    """Loads, answers, stops, unloads; safe to call from any thread. torch is imported with the first load.

    `warm_up` is called before that: a server imports its libraries in one thread at a time.
    """

    def __init__(self, patience_s: float = PATIENCE_S, warm_up: Callable[[], None] = lambda: None) -> None:
        self._patience_s = patience_s
        self._warm_up = warm_up
        self._changed = threading.Condition()
        self._state: State = "empty"
        self._sides: tuple[Side, ...] = ()
        self._loaded: Loaded | None = None
        self._tickets: list[_Ticket] = []

    @property
    def state(self) -> State:
        return self._state

    @property
    def loaded(self) -> Loaded | None:
        """What is loaded, None while the engine is empty or loading."""
        return self._loaded

    def load(
        self,
        model: str,
        adapters: Sequence[str] = (),
        mode: Mode = "base",
        *,
        template: str = "",
        hub: str = "huggingface",
        trust_remote_code: bool = False,
        data: DataOptions | None = None,
        quantization: Quantization | None = None,
    ) -> Loaded:
        """Loads `model` (catalogue name, folder or hub id) and takes the place of whatever was loaded.

        `adapters` are folders with adapters, which act together, or one whole tuned model: its folder, a GGUF file, or
        a folder with one, such as Ollama's. `model`, too, may be a GGUF file. `mode` says who answers: "base", "tuned",
        or "compare" for both. `data` says how large pictures are shown. Weights are fp32 on a CPU and in the GPU's half
        precision there, with `quantization` in few bits; those of a GGUF file are as it holds them.
        Raises UserError for a model or checkpoint that cannot be used, for too little memory (the old model is gone by
        then), and while the engine loads or answers.
        """
        self._take("loading")
        try:
            how = (template, trust_remote_code, sight(data or DataOptions()), "auto", quantization)
            return self._replace(model, adapters, mode, hub, *how)
        except Exception as error:
            problem = _explain(error, "chat_load_failed")
        finally:
            self._settle()
        # Outside the handler: what was loaded by half must not live on in the frames of an error that somebody keeps.
        self._give_back()
        raise problem

    def _replace(self, model: str, adapters: Sequence[str], mode: Mode, hub: str, *how: Any) -> Loaded:
        self._warm_up()
        from trainer.model.sides import Loader, find_base, notes, plan, seen_by

        # Mistakes in names must not cost the model that is loaded: it goes only then.
        checkpoints = [Path(each).expanduser() for each in adapters]
        base = find_base(model, hub, checkpoints, mode)
        wanted = plan(base, checkpoints, mode)
        self._drop()
        loader = Loader(*how)
        sides = loader.load(wanted)
        # A tuned model that needs no base is named itself.
        shown = str(base) if base in checkpoints else model
        self._sides, self._loaded = sides, Loaded(
            shown, tuple(adapters) if mode != "base" else (), mode, tuple(side.name for side in sides),
            _all(side.device or loader.device.type for side in sides),
            _all(side.dtype or str(loader.dtype).removeprefix("torch.") for side in sides),
            min(side.context for side in sides),
            tuple(notes(model, base, wanted.adapters, sides)), seen_by(sides),
        )  # fmt: skip
        return self._loaded

    def unload(self) -> None:
        """Stops what is being answered and gives all memory back. Raises UserError while a model is being loaded."""
        self.stop()
        with self._changed:
            if not self._changed.wait_for(lambda: self._state != "generating", self._patience_s):
                raise UserError("chat_busy")
        self._take("loading")
        try:
            self._drop()
        finally:
            self._settle()

    def stop(self, owner: str = "") -> None:
        """Ends the answers of one owner after the token at hand, those that still wait too; without owner, everybody's."""
        with self._changed:
            for ticket in self._tickets:
                if not owner or ticket.owner == owner:
                    ticket.stop.set()
            self._changed.notify_all()

    def stream(self, request: Request) -> Iterator[Chunk]:
        """The answers of all sides as they grow; each side ends with a chunk that is `done`.

        A slow caller gets fewer and longer steps. Dropping the iterator stops the answer. Raises UserError at once
        when nothing is loaded or the message cannot be answered, and while iterating when the model fails.
        """
        return _Answer(self._begin([request]))

    def answers(self, requests: Sequence[Request]) -> list[dict[str, Chunk]]:
        """The final chunks of all sides for each request, answered in batches. Raises UserError as `stream` does."""
        found: list[dict[str, Chunk]] = [{} for _ in requests]
        for number, chunk in self._each(self._begin(requests)):
            if chunk.done:
                found[number][chunk.side] = chunk
        # Base first, whichever of two models was done first.
        return [dict(sorted(sides.items())) for sides in found]

    def cost(self, media: Media) -> int:
        """The tokens that a picture or video takes in a prompt of what is loaded.

        Raises UserError when nothing is loaded, when a side reads only text, and for a file that cannot be used.
        """
        sides = self._sides
        if not sides:
            raise UserError("chat_empty")
        from trainer.chat.seeing import cost

        return max(cost(side.renderer, media) for side in sides)

    def _begin(self, requests: Sequence[Request]) -> _Ticket:
        """Waits for its turn and starts answering in a thread of its own."""
        ticket = _Ticket(requests[0].owner if requests else "")
        with self._changed:
            self._tickets.append(ticket)
        try:
            if not self._wait_for_turn(ticket):
                self._give_up(ticket, requests)
                return ticket
        except BaseException:
            self._forget(ticket)
            raise
        try:
            from trainer.chat.prompt import prepare

            tasks = prepare(self._sides, requests)
            sides = self._sides
            threading.Thread(target=self._work, args=(ticket, sides, tasks), name="chat", daemon=True).start()
        except Exception as error:
            self._forget(ticket)
            self._settle()
            raise _explain(error, "chat_failed") from None
        return ticket

    def _wait_for_turn(self, ticket: _Ticket) -> bool:
        """Whether it is the caller's turn; False when the caller has stopped waiting."""

        def over() -> bool:
            return self._state != "generating" or ticket.stop.is_set()

        with self._changed:
            self._changed.wait_for(over, self._patience_s)
            if ticket.stop.is_set():
                return False
            if self._state == "empty":
                raise UserError("chat_empty")
            if self._state != "ready":
                raise UserError("chat_loading" if self._state == "loading" else "chat_busy")
            self._state = "generating"
            return True

    def _give_up(self, ticket: _Ticket, requests: Sequence[Request]) -> None:
        """Ends answers that never began; their histories stay as they were."""
        self._forget(ticket)
        for number, request in enumerate(requests):
            for side in self._loaded.sides if self._loaded else ():
                kept = tuple(request.histories.get(side, ()))
                ticket.out.put((number, Chunk(side, ending="stopped", history=kept)))
        ticket.out.put(None)

    def _work(self, ticket: _Ticket, sides: tuple[Side, ...], tasks: list[Task]) -> None:
        problem: UserError | None = None
        try:
            from trainer.chat.prompt import run

            run(sides, tasks, ticket.stop, lambda number, chunk: ticket.out.put((number, chunk)))
        except BaseException as error:
            problem = _explain(error, "chat_failed")
        finally:
            # The frames of this thread must not keep an unloaded model alive.
            del sides, tasks
            self._forget(ticket)
            self._settle()
            if problem:
                ticket.out.put(problem)
            ticket.out.put(None)

    def _each(self, ticket: _Ticket) -> Iterator[tuple[int, Chunk]]:
        try:
            while (item := ticket.out.get()) is not None:
                if isinstance(item, UserError):
                    raise item
                yield item
        finally:
            ticket.stop.set()

    def _take(self, state: State) -> None:
        with self._changed:
            if self._state in ("loading", "generating"):
                raise UserError("chat_loading" if self._state == "loading" else "chat_busy")
            self._state = state

    def _settle(self) -> None:
        with self._changed:
            self._state = "ready" if self._sides else "empty"
            self._changed.notify_all()

    def _forget(self, ticket: _Ticket) -> None:
        with self._changed:
            if ticket in self._tickets:
                self._tickets.remove(ticket)

    def _drop(self) -> None:
        held = bool(self._sides)
        self._sides, self._loaded = (), None
        if held:
            self._give_back()

    @staticmethod
    def _give_back() -> None:
        from trainer.model.memory import give_back

        give_back()


def _all(words: Iterable[str]) -> str:
    return " / ".join(dict.fromkeys(words))


def _explain(error: BaseException, code: str) -> UserError:
    """The sentence for what broke a load or an answer, without the frames that hold models; the log keeps the rest."""
    if isinstance(error, UserError):
        error.__cause__ = error.__context__ = None
        return error.with_traceback(None)
    reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
    if isinstance(error, MemoryError) or "memory" in str(error).lower():
        return UserError("chat_memory", reason=reason)
    _log.error("the model could not be used", exc_info=error)
    return UserError(code, reason=reason)
