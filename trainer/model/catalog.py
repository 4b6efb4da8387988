"""The models that are offered by name, and the way from a name to a folder on this machine."""

from __future__ import annotations

import difflib
import errno
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

import yaml

from trainer.errors import UserError
from trainer.model.eyes import is_vision
from trainer.options import options
from trainer.paths import MODELS

Kind = Literal["chat", "base", "vision"]
KINDS: tuple[Kind, ...] = ("chat", "base", "vision")
PRESETS = ("quick", "balanced", "thorough")


@dataclass(frozen=True)
class Entry:
    """A model of the catalogue. `template` is LLaMA-Factory's name, empty for the one that comes with the model.

    `folder` is set, and the two ids are empty, for a model that ships with the repository. `proposals` holds option
    values by method.
    """

    name: str
    huggingface: str
    modelscope: str
    template: str
    family: str
    kind: Kind
    folder: str
    proposals: Mapping[str, Mapping[str, Any]]

    def hub_id(self, hub: str) -> str:
        """The id on `hub` ("huggingface" or "modelscope")."""
        return self.modelscope if hub == "modelscope" else self.huggingface


@cache
def _read() -> dict[str, Any]:
    text = Path(__file__).with_name("catalog.yaml").read_text(encoding="utf-8")
    found: dict[str, Any] = yaml.safe_load(text)
    return found


@cache
def entries() -> tuple[Entry, ...]:
    """Every model of the catalogue, in the order of the page's menu; the built-in one first."""
    proposed = _read()["proposals"]
    found = []
    for group in _read()["families"]:
        for kind in KINDS:
            for name, ids in group.get(kind, {}).items():
                huggingface, modelscope = ids if isinstance(ids, list) else (ids, ids)
                found.append(
                    Entry(
                        name, huggingface, modelscope, group["template"], group["family"], kind,
                        group.get("folder", ""), proposed.get(name, {}),
                    )
                )  # fmt: skip
    return tuple(found)


def find(name_or_path: str) -> Entry | None:
    """The entry that a name, a hub id or the built-in model's folder belongs to; None for everything else."""
    wanted = name_or_path.strip().rstrip("/")
    for entry in entries():
        if wanted and wanted in (entry.name, entry.huggingface, entry.modelscope):
            return entry
        if entry.folder and wanted and Path(wanted).resolve() == (MODELS / entry.folder).resolve():
            return entry
    return None


def proposals(name: str, method: str) -> dict[str, Any]:
    """The option values that the page proposes for a model and a method ("lora", "full"); empty for the usual ones."""
    entry = find(name)
    return dict(entry.proposals.get(method, {})) if entry else {}


def presets(name: str, method: str) -> dict[str, dict[str, Any]]:
    """For each preset ("quick", "balanced", "thorough") the values of all options that any preset touches.

    "balanced" is what the page proposes for the model and the method. Options of LoRA are left out for other methods.
    """
    proposed = proposals(name, method)
    changes: dict[str, dict[str, dict[str, Any]]] = _read()["presets"]
    touched = [each for each in options() if any(each in changes[preset] for preset in PRESETS)]
    usual = {
        each: proposed.get(each, options()[each].form_default)
        for each in touched
        if method in options()[each].when.get("finetuning_type", (method,))
    }
    return {
        preset: {each: _changed(value, changes[preset].get(each, {})) for each, value in usual.items()}
        for preset in PRESETS
    }


def _changed(value: Any, change: Mapping[str, Any]) -> Any:
    if "to" in change:
        return change["to"]
    if "times" not in change or value is None:
        return value
    changed = value * change["times"]
    # Whole numbers stay whole; three digits are enough for a rate.
    return max(1, round(changed)) if value == int(value) else float(f"{changed:.3g}")


def resolve(name_or_path: str, hub: str) -> Path:
    """The folder on this machine that holds a model: of a folder, a name of the catalogue, or a hub id.

    A model that is not on this machine is downloaded from `hub` ("huggingface" or "modelscope"), which can take long.
    Raises UserError for an unknown name, a folder that is not a whole model, and a model that cannot be fetched.
    """
    place = find_place(name_or_path, hub)
    return place if isinstance(place, Path) else _fetch(place, hub)


def resolve_here(name_or_path: str, hub: str) -> Path:
    """The same without a download. Raises UserError, too, for a model that is not on this machine yet."""
    place = find_place(name_or_path, hub)
    if isinstance(place, Path):
        return place
    try:
        return _snapshot(place, hub, only_local=True)
    except Exception:  # not here, or only half of it: the libraries have many names for this
        raise UserError("model_not_here", field="model_name_or_path", name=place) from None


def sees(name_or_path: str, hub: str) -> bool:
    """Whether a model takes pictures; True, too, where nobody can tell before it is fetched."""
    entry = find(name_or_path.strip())
    if entry and not entry.folder:
        return entry.kind == "vision"
    try:
        return is_vision(resolve_here(name_or_path, hub))
    except UserError:
        return True


def find_place(name_or_path: str, hub: str) -> Path | str:
    """The folder that is meant, or the id on `hub`; nothing is downloaded or read beyond config.json and the index.

    Raises UserError for an unknown name and for a folder that is not a whole model.
    """
    wanted = name_or_path.strip()
    if not wanted:
        raise UserError("no_model", field="model_name_or_path")
    path = Path(wanted).expanduser()
    entry = find(wanted)
    if entry and entry.folder:
        path = MODELS / entry.folder
    # A folder that merely has the name of a model of the catalogue is not that model.
    if (path / "config.json").is_file() or (path.is_dir() and not entry) or (entry and entry.folder):
        check_folder(path)
        return path
    if entry:
        return entry.hub_id(hub)
    # owner/name, the form of an id on both hubs; more slashes, a dot or a tilde in front can only be a folder.
    if re.fullmatch(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", wanted) and not path.exists():
        return wanted
    if path.is_absolute() or "/" in wanted or "\\" in wanted or path.exists():
        raise UserError("model_folder_missing", field="model_name_or_path", path=wanted)
    known = [each.name for each in entries()]
    lowered = {each.lower(): each for each in known}
    near = difflib.get_close_matches(wanted.lower(), lowered, n=1, cutoff=0.0)
    raise UserError("model_unknown", field="model_name_or_path", name=wanted, nearest=lowered[near[0]])


def check_folder(path: Path) -> None:
    """Raises UserError unless `path` holds a readable config.json and every weight file that its index names."""
    config = path / "config.json"
    if not config.is_file():
        code = "model_is_adapter" if (path / "adapter_config.json").is_file() else "model_without_config"
        raise UserError(code, field="model_name_or_path", path=str(path))
    try:
        if not isinstance(json.loads(config.read_text(encoding="utf-8")), dict):
            raise ValueError
    except (ValueError, OSError):
        raise UserError("model_config_broken", field="model_name_or_path", path=str(config)) from None
    missing = [name for name in _listed_weights(path) if not is_whole(path / name)]
    if missing:
        raise UserError(
            "model_half", field="model_name_or_path", path=str(path), count=len(missing), name=missing[0]
        )


def weight_files(path: Path) -> list[Path]:
    """The safetensors files of a model folder. Raises UserError when there are none, or only weights in pickle."""
    listed = [path / name for name in _listed_weights(path)]
    found = listed or sorted(path.glob("*.safetensors"))
    if found:
        return found
    pickled = any(path.glob("*.bin")) or any(path.glob("*.pt*"))
    code = "model_only_pickle" if pickled else "model_without_weights"
    raise UserError(code, field="model_name_or_path", path=str(path))


def _listed_weights(path: Path) -> list[str]:
    index = path / "model.safetensors.index.json"
    if not index.is_file():
        return [each.name for each in [path / "model.safetensors"] if each.exists() or each.is_symlink()]
    try:
        return sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
    except (ValueError, KeyError, AttributeError, OSError):
        raise UserError("model_config_broken", field="model_name_or_path", path=str(index)) from None


def is_whole(file: Path) -> bool:
    """Whether a safetensors file is as long as its header says: 8 bytes, the header, then the tensors.

    Layout: https://github.com/huggingface/safetensors#format
    """
    try:
        with file.open("rb") as opened:
            length = int.from_bytes(opened.read(8), "little")
            header = json.loads(opened.read(length)) if 0 < length < 100_000_000 else {}
        ends = [tensor["data_offsets"][1] for name, tensor in header.items() if name != "__metadata__"]
        return bool(ends) and file.stat().st_size >= 8 + length + max(ends)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False


# What a model needs to be loaded here: no weights in pickle, no second format of the same weights.
_WANTED = ["*.json", "*.safetensors", "*.model", "*.txt", "*.jinja", "*.py"]
_UNWANTED = ["original/*", "onnx/*", "*/onnx/*", "consolidated*.safetensors"]


def _fetch(hub_id: str, hub: str) -> Path:
    """The folder of a hub's model: the copy on this machine when it is whole, else a download."""
    if not hub_id:
        raise UserError("model_not_on_hub", field="hub", hub=hub)
    try:
        return _snapshot(hub_id, hub, only_local=True)
    except UserError as error:
        if error.code == "hub_missing":
            raise
    except Exception:  # not here yet, or only half of it: the libraries have many names for this
        pass
    try:
        return _snapshot(hub_id, hub, only_local=False)
    except UserError:
        raise
    except Exception as error:
        raise _unfetched(hub_id, hub, error) from error


def _snapshot(hub_id: str, hub: str, *, only_local: bool) -> Path:
    wanted = {"allow_patterns": _WANTED, "ignore_patterns": _UNWANTED, "local_files_only": only_local}
    if hub == "modelscope":
        try:
            from modelscope import snapshot_download as download
        except ImportError:
            raise UserError("hub_missing", field="hub", name=hub_id) from None
    else:
        from huggingface_hub import snapshot_download as download
    path = Path(download(hub_id, **wanted))
    check_folder(path)
    weight_files(path)
    return path


def _unfetched(hub_id: str, hub: str, error: Exception) -> UserError:
    """The sentence for what a hub's library raised. Both libraries name the cause in the class or the text."""
    said = f"{type(error).__name__} {error}"
    reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
    place = "modelscope.cn" if hub == "modelscope" else "huggingface.co"
    code = next((code for code, pattern in _CAUSES.items() if re.search(pattern, said)), "model_not_fetched")
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        code = "model_disk_full"
    return UserError(code, field="model_name_or_path", name=hub_id, hub=place, reason=reason)


# In this order: a gated model's error is also one of not found, and huggingface.co answers 401 for a name it does not know.
_CAUSES = {
    "model_gated": r"Gated|\b403\b",
    "model_not_found": r"RepositoryNotFound|NotExist|\b404\b",
    "model_no_network": r"LocalEntryNotFound|Offline|Connect|Timeout|timed out|resolve",
}
