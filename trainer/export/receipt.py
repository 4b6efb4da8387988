"""The receipt of an export: what was written, what it was asked, and whether it answers as the model inside.

Its shape is in docs/export.md. Whatever goes wrong while it is made stands in it: files that are written are not lost
because the proof could not be done.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import logging
import platform
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from trainer import __version__
from trainer.config import RunConfig
from trainer.errors import UserError, tell
from trainer.events import Event, Note
from trainer.export import serve
from trainer.export.agreement import TOKENS, Heard
from trainer.export.made import Made
from trainer.export.naming import model_name
from trainer.export.progress import ExportStopped
from trainer.export.prompts import Prompt, prompts_of
from trainer.export.replay import Asked, Proof, Replay
from trainer.export.settings import read_json
from trainer.export.source import Source
from trainer.export.verdict import Verdict, is_tie, judge
from trainer.export.voices import choose_desk
from trainer.model.adapter_files import adds_up
from trainer.model.memory import is_out_of_memory

VERSION = 1
LIBRARIES = ("torch", "transformers", "peft", "safetensors", "tokenizers", "gguf", "llama-cpp-python")
_BLOCK = 1 << 22
_log = logging.getLogger(__name__)


def make(
    config: RunConfig,
    source: Source,
    made: Sequence[Made],
    at: Path,
    target: Path,
    emit: Callable[[Event], None],
    stop: Callable[[], bool],
) -> dict[str, Any]:
    """The receipt for formats that lie in `at` and will lie in `target`. Raises ExportStopped when `stop` says so."""

    def check() -> None:
        if stop():
            raise ExportStopped

    return _Maker(config, source, made, at, target, emit, check).make()


@dataclass
class _Maker:
    config: RunConfig
    source: Source
    made: Sequence[Made]
    at: Path
    target: Path
    emit: Callable[[Event], None]
    check: Callable[[], None]
    asked: list[Asked] = field(default_factory=list)
    proof: Proof | None = None
    # What came of a GGUF file, by its hash: the same file may lie in two folders.
    known: dict[str, Replay] = field(default_factory=dict)

    def make(self) -> dict[str, Any]:
        self.emit(Note(code="receipt_prompts"))
        prompts, notes = prompts_of(self.source.run_config, self.source.processor is not None)
        reason = self._begin(prompts)
        formats, replays = [], []
        for made in self.made:
            self.check()
            key = self._key(made)
            self.emit(Note(code="receipt_replaying", values={"format": key}))
            files = [self._file(name) for name in made.files]
            replay = Replay(reason=reason) if reason else self._replay(made, files)
            verdict = judge(made.type, replay, self.proof.references if self.proof else ())
            formats.append(self._entry(key, made, files, verdict))
            replays.append((key, replay))
        ready = all(each["ready"] for each in formats)
        self.emit(Note(code="receipt_ready") if ready else self._not_ready(formats))
        return {
            "version": VERSION, "made_at": datetime.now(UTC).isoformat(timespec="seconds"), "ready": ready,
            **self._origin(), "formats": formats,
            "prompts": [self._prompt(place, each, replays) for place, each in enumerate(self.asked)],
            "template": self._template(), "system": self.source.run_config.data.default_system,
            "stop_tokens": self._stop_tokens(), "versions": dict(_versions()),
            "notes": [_note(each) for each in notes],
        }  # fmt: skip

    def _begin(self, prompts: Sequence[Prompt]) -> UserError | None:
        """Asks the model inside; the reason why it could not be asked, if so."""
        try:
            renderer = self.source.renderer
            limit = self._context() - TOKENS
            for each in prompts:
                ids = tuple(renderer.prompt(each.messages, each.system))
                if 0 < len(ids) <= limit:
                    text = renderer.prompt_text(each.messages, each.system)
                    self.asked.append(Asked(each, text, ids))
            if not self.asked:
                return UserError("receipt_context_short", limit=limit)
            desk = choose_desk([self.source.base, *self.source.adapters])
            self.proof = Proof(self.source, self.asked, desk, self.check)
        except ExportStopped:
            raise
        except Exception as error:
            return _reason(error)
        return None

    def _context(self) -> int:
        config = self.source.config
        for part in (config, *(each for each in config.values() if isinstance(each, dict))):
            if isinstance(part.get("max_position_embeddings"), int):
                return int(part["max_position_embeddings"])
        return 1 << 20

    def _replay(self, made: Made, files: Sequence[dict[str, Any]]) -> Replay:
        assert self.proof
        folder = self.at / made.folder
        try:
            if made.format == "adapter":
                return self.proof.adapter(folder)
            if made.format == "merged":
                return self.proof.merged(folder)
            if made.format == "quantized":
                return self.proof.quantized(folder)
            return self._llama(made, folder, files)
        except ExportStopped:
            raise
        except Exception as error:
            return Replay(reason=_reason(error))

    def _llama(self, made: Made, folder: Path, files: Sequence[dict[str, Any]]) -> Replay:
        assert self.proof
        name = _gguf(made)
        digest = next(str(each["sha256"]) for each in files if each["name"] == name)
        if made.format == "ollama":
            return self.proof.ollama(folder, self.at / name, made.type, self.known.get(digest))
        replay = self.proof.gguf(self.at / name, made.type)
        self.known[digest] = replay
        return replay

    def _key(self, made: Made) -> str:
        alike = [each for each in self.made if each.format == made.format]
        return made.format if made is alike[0] else f"{made.format}:{made.type}"

    def _file(self, name: str) -> dict[str, Any]:
        digest, size = hashlib.sha256(), 0
        with (self.at / name).open("rb") as file:
            while block := file.read(_BLOCK):
                self.check()
                digest.update(block)
                size += len(block)
        return {"name": name, "bytes": size, "sha256": digest.hexdigest()}

    def _entry(self, key: str, made: Made, files: list[dict[str, Any]], verdict: Verdict) -> dict[str, Any]:
        place = self.target / made.folder
        config = read_json(self.at / made.folder / "adapter_config.json")
        # Other kinds of adapters vLLM does not serve.
        ranks = [config.get("r"), *(config.get("rank_pattern") or {}).values()] if adds_up(config) else [0]
        commands = serve.commands(
            made.format, place, Path(_gguf(made)).name, model_name(self.config), min(self._context(), 8192),
            str(self.source.base), self.source.processor is not None, max((int(r) for r in ranks if r is not None), default=8),
        )  # fmt: skip
        return {
            "key": key, "format": made.format, "type": made.type or self.source.dtype, "path": str(place),
            "bytes": sum(each["bytes"] for each in files), "files": files, "ready": verdict.ready,
            "replay": verdict.facts, "commands": [each._asdict() for each in commands],
            "notes": [_note(each) for each in (*verdict.notes, *self._told(made))],
        }  # fmt: skip

    def _told(self, made: Made) -> list[Note]:
        from trainer.export import ollama

        return ollama.notes(self.source) if made.format == "ollama" else []

    def _origin(self) -> dict[str, Any]:
        model = self.config.model
        return {
            "model": model_name(self.config), "base": str(self.source.base),
            "adapters": [str(each) for each in self.source.adapters], "run": self.config.train.output_dir,
            "folder": str(self.target), "model_name_or_path": model.model_name_or_path,
            "adapter_name_or_path": list(model.adapter_name_or_path),
        }  # fmt: skip

    def _prompt(self, place: int, asked: Asked, replays: Sequence[tuple[str, Replay]]) -> dict[str, Any]:
        prompt = asked.prompt
        inside = self.proof.references[place].tokens if self.proof else ()
        outside = {
            key: self._outside(place, heard, replay)
            for key, replay in replays
            if replay.heard and (heard := replay.heard[place])
        }
        return {
            "origin": prompt.origin, "dataset": prompt.dataset, "row": prompt.row, "system": prompt.system,
            "messages": [
                {"role": each.role, "content": each.text, "media": [one.name for one in each.media]}
                for each in prompt.messages
            ],
            "tokens": len(asked.ids), "inside": {"text": self._text(inside), "tokens": len(inside)},
            "outside": outside,
        }  # fmt: skip

    def _outside(self, place: int, heard: Heard, replay: Replay) -> dict[str, Any]:
        return {
            "text": self._text(heard.tokens), "same": heard.same, "of": len(heard.tokens),
            "first_difference": heard.first, "tie": is_tie(heard, replay.tie),
            "template": replay.template[place] is not False if replay.template else True,
        }  # fmt: skip

    def _text(self, tokens: Sequence[int]) -> str:
        """The answer up to where it ends."""
        stops = self.source.stop_ids
        end = next((at for at, token in enumerate(tokens) if token in stops), len(tokens))
        return str(self.source.tokenizer.decode(list(tokens[:end]), skip_special_tokens=True))

    def _template(self) -> dict[str, str]:
        text = self.source.template
        found = ""
        for made in self.made:
            if made.format == "ollama":
                from trainer.export.ollama.modelfile import read

                found = read((self.at / made.folder / "Modelfile").read_text(encoding="utf-8")).template
        return {"text": text, "sha256": hashlib.sha256(text.encode()).hexdigest(), "ollama": found}

    def _stop_tokens(self) -> list[dict[str, Any]]:
        ids = list(self.source.stop_ids)
        texts = self.source.tokenizer.convert_ids_to_tokens(ids)
        return [{"id": token, "text": str(text)} for token, text in zip(ids, texts, strict=True)]

    def _not_ready(self, formats: Sequence[dict[str, Any]]) -> Note:
        names = ", ".join(each["key"] for each in formats if not each["ready"])
        return Note(code="receipt_not_ready", values={"names": names}, level="warning")


def _gguf(made: Made) -> str:
    """The name of a format's GGUF, seen from the export's folder; empty where it has none."""
    return next((name for name in made.files if name.endswith(".gguf") and "mmproj" not in name), "")


def _versions() -> Iterator[tuple[str, str]]:
    yield "tuneboard", __version__
    yield "python", platform.python_version()
    for name in LIBRARIES:
        try:
            yield name, importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            yield name, ""


def _reason(error: Exception) -> UserError:
    """Why something could not be asked, in a sentence; the log has the rest."""
    if isinstance(error, UserError):
        return error
    if is_out_of_memory(error):
        return UserError("receipt_memory")
    _log.error("an export could not be replayed", exc_info=error)
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return UserError("receipt_failed", reason=lines[0][:300].rstrip("."))


def _note(note: Note) -> dict[str, Any]:
    sentence = tell(note.code, note.values)
    return {
        "code": note.code, "values": note.values, "text": sentence.text, "hint": sentence.hint, "level": note.level
    }  # fmt: skip
