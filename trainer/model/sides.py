"""What is loaded: base, tuned, or both, and on which model each of them answers."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from peft.tuners.lora import LoraLayer
from peft.tuners.tuners_utils import BaseTunerLayer

from trainer import device as accelerator
from trainer.dataset.conversation import MediaKind
from trainer.dataset.plain import TextRenderer
from trainer.dataset.render import Renderer
from trainer.errors import UserError, Values
from trainer.events import Note
from trainer.model.adapter import WEIGHTS, check_adapter, merge, quiet, read_adapter
from trainer.model.adapter_files import adds_up, changes_base
from trainer.model.catalog import check_folder, find, is_whole, resolve
from trainer.model.exported import MODELFILE, gguf_of, is_export, require_package, things_in
from trainer.model.generation import no_leftovers
from trainer.model.llama import require_usable
from trainer.model.load import PROCESSORS, choose_precision, load_model, load_processor, read_tokenizer
from trainer.model.memory import require_room
from trainer.model.quantization import Quantization, is_quantized
from trainer.model.quantization import require_usable as require_quantizer
from trainer.model.reshaped import grow, is_grown, of_all, tokenizer_folder
from trainer.model.rope import reach
from trainer.model.seeing import kinds
from trainer.model.voices import TUNED, Mode
from trainer.options import DataOptions

# PEFT's word for a row of a mixed batch that no adapter touches.
UNTOUCHED = "__base__"


@dataclass(frozen=True)
class Side:
    """One voice. `adapter` names the adapter for its rows in a mixed batch, "" where the model answers as it stands.

    `adapters_off` means that the model's adapters are switched off while this side answers. `system` is the system
    prompt of a conversation that has none. `device` and `dtype` say where and in which format it computes, empty where
    that is as the loader says.
    """

    name: str
    model: Any
    tokenizer: Any
    renderer: Renderer
    stop_ids: frozenset[int]
    context: int
    adapter: str = ""
    adapters_off: bool = False
    system: str = ""
    device: str = ""
    dtype: str = ""


@dataclass(frozen=True)
class Plan:
    """Folders of a load: the base, adapters on it, or a whole tuned model beside it or in its place.

    A GGUF file, or a folder with one, may stand for a whole model.
    """

    base: Path
    mode: Mode
    adapters: tuple[Path, ...] = ()
    whole: Path | None = None

    @property
    def models(self) -> list[Path]:
        """Folders of the models that are kept in memory."""
        if self.whole is None:
            grown = any(is_grown(path, self.base) for path in self.adapters)
            apart = self.mode == "compare" and (grown or _changes_base(self.adapters))
            return [self.base, self.base] if apart else [self.base]
        return [self.base, self.whole] if self.mode == "compare" else [self.whole]


def find_base(model: str, hub: str, checkpoints: Sequence[Path], mode: Mode) -> Path:
    """The folder or GGUF file of the base; of a tuned model that needs none, its own. Raises UserError as `resolve`."""
    if mode == "tuned" and len(checkpoints) == 1 and _stands_alone(checkpoints[0]):
        return checkpoints[0]
    path = Path(model.strip()).expanduser()
    found = path.suffix.lower() == ".gguf" or path.name == MODELFILE
    return path if found or (path.is_dir() and not find(model) and gguf_of(path)) else resolve(model, hub)


def _stands_alone(path: Path) -> bool:
    """Whether a whole model brings its tokenizer."""
    if (path / "adapter_config.json").is_file():
        return False
    return gguf_of(path) is not None if not (path / "config.json").is_file() else _has_words(path)


def _has_words(path: Path) -> bool:
    return any((path / name).is_file() for name in ("tokenizer.json", "tokenizer_config.json"))


def plan(base: Path, checkpoints: Sequence[Path], mode: Mode) -> Plan:
    """Which folders are needed. Raises UserError for a checkpoint that is missing or none, or a mix of kinds."""
    if not (base / "config.json").is_file() and mode != "tuned":
        _require_gguf(base)
    if mode == "base":
        return Plan(base, mode)
    if not checkpoints:
        raise UserError("chat_no_checkpoint", field="adapter_name_or_path")
    wholes = [path for path in checkpoints if _is_whole_model(path)]
    if not wholes:
        if not (base / "config.json").is_file():
            raise UserError("chat_adapter_on_gguf", field="adapter_name_or_path", path=str(checkpoints[0]))
        return Plan(base, mode, tuple(checkpoints))
    if len(checkpoints) > 1:
        raise UserError("chat_mixed_checkpoints", field="adapter_name_or_path", path=str(wholes[0]))
    return Plan(base, mode, whole=wholes[0])


def _require_gguf(path: Path) -> None:
    """Raises UserError unless a file or folder has a GGUF file that llama.cpp loads."""
    file = gguf_of(path)
    if file is None:
        raise UserError("gguf_file_none", field="adapter_name_or_path", path=str(path))
    require_usable(file)


def _is_whole_model(path: Path) -> bool:
    if path.is_file():
        _require_gguf(path)
        return True
    if not path.is_dir():
        raise UserError("chat_checkpoint_missing", field="adapter_name_or_path", path=str(path))
    if (path / "adapter_config.json").is_file():
        read_adapter(path)
        if not is_whole(path / WEIGHTS):
            raise UserError("chat_checkpoint_cut", field="adapter_name_or_path", path=str(path), file=WEIGHTS)
        return False
    if (path / "config.json").is_file():
        check_folder(path)
        require_package(path)
        return True
    if gguf_of(path) is not None:
        _require_gguf(path)
        return True
    found = [each.path for each in things_in(path)]
    if found:
        names = ", ".join(str(each.relative_to(path)) for each in found)
        raise UserError("chat_several_formats", field="adapter_name_or_path", path=str(path), names=names)
    steps = ", ".join(sorted(each.name for each in path.glob("checkpoint-*"))[:5]) or "—"
    raise UserError("chat_checkpoint_empty", field="adapter_name_or_path", path=str(path), steps=steps)


@dataclass(frozen=True)
class Loader:
    """How models are loaded: template name (empty: the model's own), and trust in code that comes with a model.

    `data` says how large pictures are shown, `compute` in which format is computed, `quantization` in how few bits
    weights are held that are not stored so already.
    """

    template: str
    trust: bool
    data: DataOptions
    compute: str = "auto"
    quantization: Quantization | None = None

    @property
    def device(self) -> torch.device:
        return accelerator.current()

    @property
    def dtype(self) -> torch.dtype:
        """The GPU's own half precision, in which weights are stored anyway; fp32 on a CPU."""
        return choose_precision(self.compute).frozen

    def load(self, wanted: Plan) -> tuple[Side, ...]:
        """The sides of a plan, base first. Raises UserError when they do not fit into memory, or not together."""
        if self.quantization:
            require_quantizer(self.quantization)
        require_room([*wanted.models, *wanted.adapters], self.device, self.dtype, self.quantization)
        sides = [self._side(path, wanted.base) for path in wanted.models[:-1]]
        sides.append(self._side(wanted.models[-1], wanted.base, wanted.adapters))
        if wanted.mode == "base":
            return (_as(sides[0], sides[0].model, "base"),)
        if wanted.adapters:
            sides[-1] = _as(sides[-1], attach(sides[-1].model, wanted.adapters), TUNED)
        if wanted.mode == "tuned":
            return (sides[-1],)
        if len(sides) == 2:
            return _as(sides[0], sides[0].model, "base"), sides[1]
        (both,) = sides
        if (not both.renderer.sees or _speaks_only(both.model)) and _mixes(both.model, both.stop_ids):
            return _as(both, both.model, "base", UNTOUCHED), _as(both, both.model, TUNED, TUNED)
        return _as(both, both.model, "base", adapters_off=True), both

    def _side(self, path: Path, base: Path, adapters: Sequence[Path] = ()) -> Side:
        # What has left the house must be heard with the template that it took along.
        template = "" if is_export(path) else self.template
        file = gguf_of(path)
        if file is not None:
            if self.data.stage == "pt":
                raise UserError("pretraining_gguf", field="model_name_or_path", path=str(file))
            from trainer.model.gguf_side import open_side

            return open_side(path, file, template, self.data)
        # A checkpoint that was written without a tokenizer speaks with that of its base.
        place = path if _has_words(path) else base
        processor = load_processor(place if _has_processor(place) else base, self.trust)
        spoken = tokenizer_folder(place, adapters)
        tokenizer: Any = processor.tokenizer if processor else read_tokenizer(spoken, self.trust)  # type: ignore[attr-defined]
        if processor and spoken != place:
            tokenizer = processor.tokenizer = read_tokenizer(spoken, self.trust)  # type: ignore[attr-defined]
        renderer = self._renderer(tokenizer, template, processor)
        changes = of_all(adapters)
        model = load_model(
            path, self.dtype, trust=self.trust, quantization=self.quantization, shape=changes.shape
        )
        if not is_quantized(model):
            torch.nn.Module.to(model, self.device)
        model.eval().requires_grad_(False)
        stop_ids = _stop_ids(model, tokenizer, renderer)
        return Side(TUNED, model, tokenizer, renderer, stop_ids, _context(model), dtype=_few_bits(model))

    def _renderer(self, tokenizer: Any, template: str, processor: Any) -> Renderer:
        if self.data.stage != "pt":
            return Renderer(tokenizer, template, self.data, processor)
        return TextRenderer(tokenizer, template, self.data, processor, cut=True)


def _few_bits(model: Any) -> str:
    """By what a model of few bits was made, as its settings say; empty for every other."""
    settings = getattr(model.config, "quantization_config", None)
    method = getattr(settings, "quant_method", "") if settings else ""
    return str(getattr(method, "value", method))


def _has_processor(path: Path) -> bool:
    return any((path / name).is_file() for name in PROCESSORS)


def _as(side: Side, model: Any, name: str, adapter: str = "", adapters_off: bool = False) -> Side:
    return replace(side, name=name, model=model, adapter=adapter, adapters_off=adapters_off)


def attach(model: Any, adapters: Sequence[Path]) -> Any:
    """The model with all adapters acting at once: under one name where PEFT can join them, else all but the last merged."""
    grow(model, of_all(adapters).rows)
    if not _joins(adapters):
        for path in adapters[:-1]:
            model = merge(model, path)
        adapters = adapters[-1:]
    for path in adapters:
        check_adapter(model, path)
    names = [TUNED] if len(adapters) == 1 else [f"part-{number}" for number in range(len(adapters))]
    with quiet():
        adapted = PeftModel.from_pretrained(model, str(adapters[0]), adapter_name=names[0])
        for name, path in zip(names[1:], adapters[1:], strict=True):
            adapted.load_adapter(str(path), adapter_name=name)
    if len(names) > 1:
        # PEFT 0.21 would scale the sum once more; each part has its own scale already.
        first: Any = adapted.peft_config[names[0]]
        first.use_rslora = False
        # Side by side, the matrices give exactly the sum of the changes.
        adapted.add_weighted_adapter(names, [1.0] * len(names), TUNED, combination_type="cat")
    adapted.set_adapter(TUNED)
    for name in names if len(names) > 1 else ():
        adapted.delete_adapter(name)
    adapted.requires_grad_(False)
    return adapted.eval()


def _joins(adapters: Sequence[Path]) -> bool:
    return len(adapters) < 2 or all(adds_up(read_adapter(path)) for path in adapters)


def _changes_base(adapters: Sequence[Path]) -> bool:
    """Whether the base is another one with the adapters loaded: switching them off does not bring it back."""
    return not _joins(adapters) or any(changes_base(read_adapter(path)) for path in adapters)


def _speaks_only(model: Any) -> bool:
    """Whether adapters sit on what speaks: in what sees, a batch's first dimension counts patches, not rows."""
    spoken = model.get_base_model().get_decoder()
    inside = {id(module) for module in spoken.modules()}
    adapted = [each for each in model.modules() if isinstance(each, BaseTunerLayer)]
    head = model.get_base_model().get_output_embeddings()
    return all(id(each) in inside or each is head for each in adapted)


def _mixes(model: Any, stop_ids: frozenset[int]) -> bool:
    """Whether PEFT answers base and tuned in one batch; it refuses for some kinds of adapters (DoRA for one)."""
    # Layers of other methods pass over whose row it is without a word (peft 0.21).
    if not all(isinstance(each, LoraLayer) for each in model.modules() if isinstance(each, BaseTunerLayer)):
        return False
    ids = torch.full((2, 2), min(stop_ids, default=0), device=model.device)
    try:
        with torch.inference_mode(), no_leftovers(model):
            model(input_ids=ids, adapter_names=[UNTOUCHED, TUNED])
    except (ValueError, NotImplementedError, TypeError):
        return False
    return True


def _stop_ids(model: Any, tokenizer: Any, renderer: Renderer) -> frozenset[int]:
    own = model.generation_config.eos_token_id if model.generation_config else None
    listed = own if isinstance(own, list) else [own]
    return frozenset(i for i in (*renderer.stop_ids, *listed, tokenizer.eos_token_id) if i is not None)


def _context(model: Any) -> int:
    """The longest sequence in tokens that the model was made for."""
    return reach(model.config) or 1 << 30


def seen_by(sides: Sequence[Side]) -> tuple[MediaKind, ...]:
    """The kinds of media that all sides take."""
    taken = [kinds(side.renderer) for side in sides]
    return tuple(kind for kind in taken[0] if all(kind in each for each in taken))


def notes(model: str, base: Path, adapters: Sequence[Path], sides: Sequence[Side] = ()) -> Iterator[Note]:
    """What the person should know of adapters that fit: whether their own record names another base, and whether
    they are of a kind that cannot answer in one batch with the base.
    """
    in_turn = len(sides) == 2 and sides[0].adapters_off
    for path in adapters:
        if in_turn and not adds_up(read_adapter(path)):
            yield Note(code="adapter_in_turn", values={"path": str(path)})
        recorded = str(read_adapter(path).get("base_model_name_or_path") or "")
        if recorded and not _same_model(recorded, model, base):
            values: Values = {"path": str(path), "base": recorded, "model": model}
            yield Note(code="adapter_base_differs", values=values, level="warning")


def _same_model(recorded: str, model: str, base: Path) -> bool:
    """Whether two names mean the same model; a folder that was moved keeps its last name."""
    with contextlib.suppress(OSError):
        if Path(recorded).resolve() == base.resolve():
            return True
    one, other = find(recorded), find(model)
    if one and other:
        return one == other
    return Path(recorded).name.lower() in (base.name.lower(), Path(model).name.lower())
