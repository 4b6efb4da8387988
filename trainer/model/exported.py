"""What lies in an exported folder: a model, an adapter, a GGUF file, or what Ollama takes. Only names are looked at."""

from __future__ import annotations

import json
import re
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal, NamedTuple

from trainer.errors import UserError
from trainer.model.gguf_file import parts

Kind = Literal["adapter", "merged", "quantized", "gguf", "ollama"]
MODELFILE = "Modelfile"
# What transformers needs beside itself to load models of few bits; called as their config.json calls them.
PACKAGES = ("bitsandbytes", "torchao")
RECEIPT = "receipt.json"
_FROM = re.compile(r'^[ \t]*FROM[ \t]+(?:"([^"\n]+)"|(\S[^\n]*?))[ \t]*$', re.MULTILINE | re.IGNORECASE)
_SYSTEM = re.compile(
    r'^[ \t]*SYSTEM[ \t]+(?:"""(.*?)"""|"([^"\n]*)"|([^\n]*?))[ \t]*$',
    re.MULTILINE | re.DOTALL | re.IGNORECASE,
)
# Ends of names that are files and not models of Ollama's library.
_FILE = re.compile(r"[/\\]|\.gguf$|^\.")


class Thing(NamedTuple):
    """Something that can be asked: a folder, or a GGUF file."""

    kind: Kind
    path: Path


def things_in(folder: Path) -> tuple[Thing, ...]:
    """What a folder holds, itself or in the folders right below it, as an export of several formats does."""
    own = _own(folder)
    if own:
        return own
    below = sorted(each for each in _listed(folder) if each.is_dir() and not each.name.startswith("."))
    return tuple(thing for each in below for thing in _own(each))


def _own(folder: Path) -> tuple[Thing, ...]:
    if (folder / "adapter_config.json").is_file():
        return (Thing("adapter", folder),)
    if (folder / "config.json").is_file():
        return (Thing("quantized" if _is_quantized(folder) else "merged", folder),)
    if (folder / MODELFILE).is_file():
        return (Thing("ollama", folder),)
    return tuple(Thing("gguf", path) for path in gguf_files(folder))


def _listed(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError:
        return []


def _is_quantized(folder: Path) -> bool:
    return bool(quantization_of(folder))


def quantization_of(folder: Path) -> dict[str, Any]:
    """What config.json says of weights in few bits; empty for ordinary ones and where there is no config.json."""
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    found = config.get("quantization_config") if isinstance(config, dict) else None
    return found if isinstance(found, dict) else {}


def require_package(folder: Path) -> None:
    """Raises UserError when a model of few bits was made by a package that is not installed."""
    method = str(quantization_of(folder).get("quant_method", ""))
    if method in PACKAGES and find_spec(method) is None:
        raise UserError("chat_needs_package", field="adapter_name_or_path", path=str(folder), package=method)


def gguf_files(folder: Path) -> list[Path]:
    """The GGUF files of a folder that may be models: of a split one the first part, and none that only sees."""
    found = sorted(each for each in _listed(folder) if each.suffix.lower() == ".gguf" and each.is_file())
    models = [each for each in found if not each.name.lower().startswith("mmproj")]
    return [each for each in models if parts(each)[0].name == each.name]


def gguf_of(path: Path) -> Path | None:
    """The GGUF file that is meant by a file, a folder with one, or an Ollama folder; None for everything else.

    Raises UserError for a folder with several, and for a Modelfile without a file that is there.
    """
    if path.is_file():
        return _from(path) if path.name == MODELFILE else path
    if (path / "config.json").is_file() or (path / "adapter_config.json").is_file():
        return None
    if (path / MODELFILE).is_file():
        return _from(path / MODELFILE)
    found = gguf_files(path)
    if len(found) > 1:
        names = ", ".join(each.name for each in found)
        raise UserError("gguf_file_several", field="adapter_name_or_path", path=str(path), names=names)
    return found[0] if found else None


def _from(modelfile: Path) -> Path:
    folder = str(modelfile.parent)
    found = _FROM.search(modelfile.read_text(encoding="utf-8", errors="replace"))
    name = (found[1] or found[2]).strip() if found else ""
    if not name:
        raise UserError("modelfile_broken", path=folder)
    path = modelfile.parent / Path(name).expanduser()
    if path.is_dir():
        inside = gguf_of(path)
        if inside is None:
            raise UserError("modelfile_broken", path=folder)
        return inside
    if path.is_file():
        return path
    raise UserError("modelfile_gone" if _FILE.search(name) else "modelfile_name", path=folder, name=name)


def default_system(path: Path) -> str:
    """The system prompt that an Ollama folder gives a conversation without one."""
    file = path if path.name == MODELFILE else path / MODELFILE
    if not file.is_file():
        return ""
    found = _SYSTEM.search(file.read_text(encoding="utf-8", errors="replace"))
    return next((each for each in found.groups() if each is not None), "") if found else ""


def is_export(path: Path) -> bool:
    """Whether a folder or file was written by an export: its own template is then the one that counts."""
    folder = path if path.is_dir() else path.parent
    return any((each / RECEIPT).is_file() for each in (folder, folder.parent))
