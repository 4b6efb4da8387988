"""What an adapter changes: for each weight of the base the steps from the old numbers to the new ones.

The mathematics is that of PEFT's `merge_and_unload`, in fp32 and a few rows at a time.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch

from trainer.errors import UserError
from trainer.export.rotation import rotated
from trainer.model.adapter_files import CHANGES_BASE, WEIGHTS, kind_of, read_adapter
from trainer.model.parts import PEFT_PREFIX
from trainer.model.stored import Place, places, read

_PART = re.compile(
    r"(?P<layer>.+)\.(?:(?P<side>lora_(?:embedding_)?[AB])(?:\.(?P<what>weight|bias))?"
    r"|(?P<magnitude>lora_magnitude_vector)(?:\.weight)?|(?P<turn>oft_(?:embedding_)?R)\.weight|token_adapter\.(?P<rows>trainable_tokens_delta))"
)


# Rows of a weight in fp32, and the number of the first of them -> the same rows changed.
Step = Callable[[torch.Tensor, int], torch.Tensor]


class Change(Protocol):
    """One step, whose own numbers are in memory only from `open` on."""

    def open(self, device: torch.device) -> Step: ...


@dataclass(frozen=True)
class LowRank:
    """LoRA on a matrix: `scale` times B·A is added, and with a `magnitude` each row gets that length (DoRA).

    `turned` says that the base keeps the matrix the other way round: embeddings, and GPT-2's layers.
    """

    a: Place
    b: Place
    scale: float
    turned: bool
    magnitude: Place | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the weight that it fits."""
        outer, inner = self.b.shape[0], self.a.shape[1]
        return (inner, outer) if self.turned else (outer, inner)

    def open(self, device: torch.device) -> Step:
        a, b = read(self.a).float().to(device), read(self.b).float().to(device)
        left, right = (a.T, b.T) if self.turned else (b, a)
        lengths = read(self.magnitude).float().flatten().to(device) if self.magnitude else None

        def add(rows: torch.Tensor, first: int) -> torch.Tensor:
            last = first + len(rows)
            rows = torch.addmm(rows, left[first:last], right, alpha=self.scale)
            if lengths is None:
                return rows
            longer: torch.Tensor = lengths[first:last] / torch.linalg.norm(rows, dim=1)
            return rows * longer.unsqueeze(1)

        return add


@dataclass(frozen=True)
class Shift:
    """The bias of a LoRA layer, added to the base's."""

    bias: Place
    scale: float

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the bias that it fits."""
        return self.bias.shape

    def open(self, device: torch.device) -> Step:
        bias = read(self.bias).float().to(device)
        return lambda rows, first: rows + self.scale * bias[first : first + len(rows)]


@dataclass(frozen=True)
class Replaced:
    """A weight that was trained whole; it may have other rows than the base's, after new words."""

    place: Place

    def open(self, device: torch.device) -> Step:
        return lambda rows, first: read(self.place, first, first + len(rows)).float().to(device)


@dataclass(frozen=True)
class Tokens:
    """Single rows of an embedding that were trained."""

    place: Place
    indices: tuple[int, ...]

    def open(self, device: torch.device) -> Step:
        trained = read(self.place).float().to(device)

        def put(rows: torch.Tensor, first: int) -> torch.Tensor:
            inside = [
                (at, row - first) for at, row in enumerate(self.indices) if 0 <= row - first < len(rows)
            ]
            rows = rows.clone()
            for at, row in inside:
                rows[row] = trained[at]
            return rows

        return put


@dataclass(frozen=True)
class Adapter:
    """The changes of one adapter by the full name of the model's parameter.

    `keeps_tie`: a head that shares its weights with the embedding shares their changes, too.
    """

    path: Path
    changes: Mapping[str, tuple[Change, ...]]
    keeps_tie: bool


def read_changes(path: Path) -> Adapter:
    """What the adapter in `path` changes. Raises UserError for one that cannot be merged, or is broken."""
    config = read_adapter(path)
    _require_plain(path, config)
    found = places(path / WEIGHTS)
    layers: dict[str, dict[str, Place]] = {}
    changes: dict[str, list[Change]] = {}
    tokens: dict[str, Place] = {}
    for key, place in found.items():
        name = key.removeprefix(PEFT_PREFIX)
        part = _PART.fullmatch(name)
        if part and part["rows"]:
            tokens[part["layer"]] = place
        elif part and part["turn"]:
            turned = rotated(config, place, embedding="embedding" in part["turn"])
            changes.setdefault(f"{part['layer']}.weight", []).append(turned)
        elif part:
            what = (
                "magnitude"
                if part["magnitude"]
                else part["side"] + ("_bias" if part["what"] == "bias" else "")
            )
            layers.setdefault(part["layer"], {})[what] = place
        elif "lora_" in name or "oft_" in name:
            raise _unmergeable(path, f"there is a weight {name} of an unknown kind")
        else:
            changes.setdefault(name.replace(".base_layer.", "."), []).append(Replaced(place))
    for layer, sides in layers.items():
        for name, change in _layer(path, config, layer, sides):
            changes.setdefault(name, []).append(change)
    for layer, place in tokens.items():
        changes.setdefault(f"{layer}.weight", []).append(Tokens(place, _indices(path, config, layer)))
    tied = bool(config.get("ensure_weight_tying")) or bool(tokens)
    return Adapter(path, {name: tuple(each) for name, each in changes.items()}, tied)


def _layer(
    path: Path, config: Mapping[str, Any], layer: str, sides: Mapping[str, Place]
) -> list[tuple[str, Change]]:
    embedding = "lora_embedding_A" in sides
    prefix = "lora_embedding_" if embedding else "lora_"
    a, b, magnitude = sides.get(f"{prefix}A"), sides.get(f"{prefix}B"), sides.get("magnitude")
    if a is None or b is None:
        raise _unmergeable(path, f"half of the matrices of {layer} is missing")
    turned = embedding or bool(config.get("fan_in_fan_out"))
    if len(a.shape) != 2 or len(b.shape) != 2 or (turned and magnitude):
        raise _unmergeable(
            path, f"{layer} is of a kind that is merged by the program it was trained with only"
        )
    if a.shape[0] != b.shape[1]:
        raise _unmergeable(path, f"the matrices of {layer} do not fit each other")
    scale = _scale(config, layer)
    found: list[tuple[str, Change]] = [(f"{layer}.weight", LowRank(a, b, scale, turned, magnitude))]
    if bias := sides.get(f"{prefix}B_bias"):
        found.append((f"{layer}.bias", Shift(bias, scale)))
    return found


def _scale(config: Mapping[str, Any], layer: str) -> float:
    """alpha / rank (/ √rank with rsLoRA), both of which may be given for single layers by patterns."""
    alpha = _patterned(config.get("alpha_pattern"), layer, config.get("lora_alpha", 8))
    rank = _patterned(config.get("rank_pattern"), layer, config.get("r", 8))
    return alpha / math.sqrt(rank) if config.get("use_rslora") else alpha / rank


def _patterned(patterns: Any, layer: str, usual: Any) -> float:
    """PEFT: the first pattern that the end of the layer's name matches."""
    for pattern, value in (patterns or {}).items():
        if re.fullmatch(rf"(.*\.)?({pattern})", layer):
            return float(value)
    return float(usual)


def _indices(path: Path, config: Mapping[str, Any], layer: str) -> tuple[int, ...]:
    wanted = config.get("trainable_token_indices")
    if isinstance(wanted, Mapping):
        wanted = next(
            (each for name, each in wanted.items() if layer == name or layer.endswith(f".{name}")), None
        )
    if not isinstance(wanted, Sequence):
        raise _unmergeable(path, f"it does not say which rows of {layer} are trained")
    return tuple(int(each) for each in wanted)


def _require_plain(path: Path, config: Mapping[str, Any]) -> None:
    kind = kind_of(config)
    if kind not in ("LORA", "OFT"):
        raise UserError("export_adapter_kind", field="export_format", path=str(path), kind=kind)
    if config.get("coft"):
        raise _unmergeable(path, "its rotations are held small (coft), which only PEFT does")
    start = str(config.get("init_lora_weights") or "").lower()
    if start == "pissa":
        raise UserError("export_adapter_pissa", field="adapter_name_or_path", path=str(path))
    if start.startswith(CHANGES_BASE):
        raise _unmergeable(path, f"it began as {start} on weights that were changed beforehand")
    for name in ("layer_replication", "target_parameters", "megatron_config"):
        if config.get(name):
            raise _unmergeable(path, f"it uses {name}")


def _unmergeable(path: Path, reason: str) -> UserError:
    return UserError(
        "export_adapter_unmergeable", field="adapter_name_or_path", path=str(path), reason=reason
    )
