"""A GGUF file in memory, through llama-cpp-python: words to tokens, tokens to the scores of the next.

llama.cpp ends the whole process over some broken files, so that each file is loaded in a process of its own first.
"""

from __future__ import annotations

import ctypes
import importlib.metadata
import logging
import os
import re
import subprocess
import sys
import weakref
from collections.abc import Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from trainer.errors import UserError
from trainer.model.gguf_file import Header, read, require_speaker
from trainer.paths import REPOSITORY

# Tokens for which keys and values are kept: a model's own context can be a hundred thousand, and takes gigabytes then.
MOST_CONTEXT = 8192
# Tokens read at once.
BATCH = 512
# A large file from a slow disk; a hang in native code would otherwise never end.
TRIAL_S = 900.0
_TRIAL = "import sys; sys.path.insert(0, sys.argv[1]); from trainer.model.llama import attempt; attempt(sys.argv[2])"
_REASON = re.compile(
    r"error loading model(?: \w+)?: (.+)|GGML_ASSERT\((.+)\) failed|terminate called.*: (.+)|error: (.+)"
)


def installed() -> bool:
    """Whether llama-cpp-python is there; nothing is loaded."""
    return find_spec("llama_cpp") is not None


def version() -> str:
    """llama-cpp-python's version, empty when it is not installed."""
    try:
        return importlib.metadata.version("llama-cpp-python")
    except importlib.metadata.PackageNotFoundError:
        return ""


def open_model(path: Path, context: int = 0, *, trial: bool = True, exact: bool = False) -> Model:
    """The model of a GGUF file; `context` counts tokens, 0 for the file's own, at most MOST_CONTEXT.

    `exact` keeps keys and values in fp32 instead of llama.cpp's fp16, for comparisons of answers token by token.

    Raises UserError when llama-cpp-python is missing or the file is none, broken, cut short, or ends llama.cpp, which
    is found out in another process unless `trial` is off.
    """
    header = require_usable(path) if trial else read(path)
    return Model(header, context or min(own_context(header), MOST_CONTEXT), exact)


def require_usable(path: Path) -> Header:
    """The header of a file that llama.cpp has loaded once, in another process. Raises UserError for every other."""
    header = read(path)
    require_speaker(header)
    library()
    _try(path)
    return header


def own_context(header: Header) -> int:
    """The longest sequence in tokens that the model of a file was made for."""
    return header.number("context_length") or MOST_CONTEXT


def library() -> Any:
    """The module llama_cpp, which says nothing on the terminal. Raises UserError when it is missing or broken."""
    if not installed():
        raise UserError("llama_missing")
    return _library()


@cache
def _library() -> Any:
    try:
        import llama_cpp
    except Exception as error:  # a missing shared library comes as OSError, RuntimeError or AttributeError
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise UserError("llama_library", reason=lines[0][:200].rstrip(".")) from None
    logging.getLogger("llama-cpp-python").setLevel(logging.CRITICAL + 1)
    llama_cpp.llama_backend_init()
    return llama_cpp


def attempt(path: str) -> None:
    """Loads a file and asks for one token, for a process that may be lost; llama.cpp's reasons go to standard error."""
    library()
    # Its levels are shifted by one against llama.cpp's: errors come as what is least important.
    logging.getLogger("llama-cpp-python").setLevel(logging.DEBUG)
    model = Model(read(Path(path)), 64)
    model.logits((model.tokenize_added("a") or [0])[:8])


def _try(path: Path) -> None:
    """Loads the file and asks for one token in another process. Raises UserError when that ends badly."""
    try:
        done = subprocess.run(
            [sys.executable, "-c", _TRIAL, str(REPOSITORY), str(path.resolve())], capture_output=True,
            timeout=TRIAL_S, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise UserError("llama_died", file=path.name, reason=f"no answer in {TRIAL_S:.0f} s") from None
    if done.returncode:
        said = done.stderr.decode("utf-8", errors="replace")
        values = {"file": path.name, "reason": _reason(said, done.returncode)}
        if done.returncode < 0:
            raise UserError("llama_died", **values)
        raise UserError("llama_refuses", version=version(), **values)


def _reason(said: str, status: int) -> str:
    """What llama.cpp wrote before it gave up, without the paths of its sources."""
    for line in said.splitlines():
        found = _REASON.search(line)
        if found:
            words: str = next(filter(None, found.groups()))
            return words.strip().rstrip(".")[:200]
    return f"signal {-status}" if status < 0 else f"status {status}"


class Model:
    """One loaded file; for one thread at a time. `context` counts tokens, `header` is what the file says of itself.

    Raises UserError when llama.cpp does not load it.
    """

    def __init__(self, header: Header, context: int, exact: bool = False) -> None:
        self._c = library()
        self.header, self.context = header, context
        settings = self._c.llama_model_default_params()
        settings.n_gpu_layers = -1
        self._model = self._c.llama_model_load_from_file(str(header.path).encode(), settings)
        if not self._model:
            raise self._refusal("it gives no reason")
        self._context = self._c.llama_init_from_model(self._model, self._settings(exact))
        self._free = weakref.finalize(self, _free, self._c, self._model, self._context)
        if not self._context:
            self.close()
            raise self._refusal("there is no memory for a conversation")
        self._vocabulary = self._c.llama_model_get_vocab(self._model)

    def _settings(self, exact: bool) -> Any:
        settings = self._c.llama_context_default_params()
        settings.n_ctx, settings.n_batch, settings.n_ubatch = self.context, BATCH, BATCH
        settings.n_threads = settings.n_threads_batch = usable_cores()
        if exact:
            settings.type_k = settings.type_v = self._c.GGML_TYPE_F32
            settings.flash_attn_type = self._c.LLAMA_FLASH_ATTN_TYPE_DISABLED
        return settings

    def _refusal(self, reason: str) -> UserError:
        return UserError("llama_refuses", file=self.header.path.name, reason=reason, version=version())

    @property
    def device(self) -> str:
        """ "gpu" where llama.cpp was built for one, else "cpu"."""
        return "gpu" if self._c.llama_supports_gpu_offload() else "cpu"

    @property
    def size(self) -> int:
        """How many tokens the vocabulary has."""
        return int(self._c.llama_vocab_n_tokens(self._vocabulary))

    @property
    def template(self) -> str:
        """The file's chat template, empty where it has none."""
        return self.header.template

    @property
    def bos(self) -> str | None:
        """The text of the token that begins a text."""
        return self.header.word("bos")

    @property
    def eos(self) -> str | None:
        """The text of the token that ends a text."""
        return self.header.word("eos")

    def tokenize(self, text: str, special: bool = True) -> list[int]:
        """Without a token before or after the text; with `special`, marks such as <|im_end|> become their token."""
        return self._tokens(text, False, special)

    def tokenize_added(self, text: str) -> list[int]:
        """As llama.cpp begins a text by itself: with the token that the file wants before it."""
        return self._tokens(text, True, True)

    def _tokens(self, text: str, added: bool, special: bool) -> list[int]:
        given = text.encode("utf-8", errors="replace")
        room = len(given) + 16
        while True:
            # What does not fit is answered by the room that it needs, as a negative number.
            found = (self._c.llama_token * room)()
            count = self._c.llama_tokenize(self._vocabulary, given, len(given), found, room, added, special)
            if count >= 0:
                return list(found[:count])
            room = -count

    def detokenize(self, ids: Sequence[int], special: bool = False) -> str:
        """The text of tokens, of control tokens only with `special`; half characters become U+FFFD."""
        count = len(ids)
        given, room = (self._c.llama_token * max(count, 1))(*ids), 16 * count + 16
        while True:
            text = ctypes.create_string_buffer(room)
            length = self._c.llama_detokenize(self._vocabulary, given, count, text, room, False, special)
            if length >= 0:
                return text.raw[:length].decode("utf-8", errors="replace")
            room = -length

    def is_end(self, token: int) -> bool:
        """Whether llama.cpp itself would end an answer here."""
        return bool(self._c.llama_vocab_is_eog(self._vocabulary, token))

    def forget(self) -> None:
        """Begins anew: nothing has been read."""
        self._c.llama_memory_clear(self._c.llama_get_memory(self._context), True)

    def read(self, ids: Sequence[int]) -> None:
        """Reads at most BATCH tokens after those before. Raises UserError when llama.cpp fails."""
        given = (self._c.llama_token * len(ids))(*ids)
        self._require(self._c.llama_decode(self._context, self._c.llama_batch_get_one(given, len(ids))))

    def _require(self, status: int) -> None:
        if status:
            # 1 says that the context is full: https://github.com/ggml-org/llama.cpp/blob/master/include/llama.h
            reason = f"the context of {self.context} tokens is full" if status == 1 else f"status {status}"
            raise UserError("llama_failed", reason=reason)

    def scores(self) -> Any:
        """The scores (vocabulary,) of the token after all that was read, as numpy fp32."""
        return self._row(-1)

    def _row(self, place: int) -> Any:
        import numpy

        pointer = self._c.llama_get_logits_ith(self._context, place)
        # A copy: the next step writes into the same memory.
        return numpy.ctypeslib.as_array(pointer, shape=(self.size,)).copy()

    def logits(self, ids: Sequence[int]) -> Any:
        """The scores (vocabulary,) of the token after `ids` alone."""
        self.forget()
        for start in range(0, len(ids), BATCH):
            self.read(ids[start : start + BATCH])
        return self.scores()

    def logits_of(self, ids: Sequence[int], start: int = 0) -> Any:
        """The scores (len(ids) - start, vocabulary) of the tokens after each of `ids` from place `start` on."""
        import numpy

        self.forget()
        found = [self._predictions(ids[at : at + BATCH], at, start) for at in range(0, len(ids), BATCH)]
        return numpy.concatenate(found) if found else numpy.zeros((0, self.size), numpy.float32)

    def _predictions(self, ids: Sequence[int], at: int, start: int) -> Any:
        """Reads the tokens that stand at the places from `at` on; the scores after those from `start` on."""
        import numpy

        wanted = [at + place >= start for place in range(len(ids))]
        batch = self._c.llama_batch_init(len(ids), 0, 1)
        try:
            batch.n_tokens = len(ids)
            for place, token in enumerate(ids):
                batch.token[place], batch.pos[place] = token, at + place
                batch.n_seq_id[place], batch.seq_id[place][0] = 1, 0
                batch.logits[place] = wanted[place]
            self._require(self._c.llama_decode(self._context, batch))
            rows = [self._row(place) for place, each in enumerate(wanted) if each]
        finally:
            self._c.llama_batch_free(batch)
        return numpy.stack(rows) if rows else numpy.zeros((0, self.size), numpy.float32)

    def greedy(
        self, ids: Sequence[int], count: int, stops: Sequence[int] = (), *, ends: bool = True
    ) -> list[int]:
        """The `count` likeliest tokens after `ids`, fewer where the answer ends; with `ends` off it never does."""
        found: list[int] = []
        scores = self.logits(ids)
        while len(found) < count:
            token = int(scores.argmax())
            if ends and (token in stops or self.is_end(token)):
                break
            found.append(token)
            if len(found) < count:
                self.read([token])
                scores = self.scores()
        return found

    def close(self) -> None:
        """Gives the memory back; nothing can be asked afterwards."""
        self._free()


def _free(library: Any, model: Any, context: Any) -> None:
    if context:
        library.llama_free(context)
    library.llama_model_free(model)


def usable_cores() -> int:
    """Cores for which it pays: all of this process, at most 16."""
    return max(
        1, min(16, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)
    )
