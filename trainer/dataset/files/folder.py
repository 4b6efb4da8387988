"""A folder of data files of one type: which of its files are rows, and which only lie beside them."""

from __future__ import annotations

import stat
from collections import Counter
from pathlib import Path

from trainer.dataset.files.source import (
    SUFFIXES,
    Source,
    find_source,
    kind_by_name,
    reason_of,
    shown,
    stat_of,
)
from trainer.errors import UserError

# What hubs, exports and people put beside data. Anything else whose name says no kind is refused, lest rows be missed.
_BESIDE_NAMES = ("dataset_info.json", "dataset_infos.json", "dataset_dict.json", "state.json")
_BESIDE_STEMS = ("readme", "license", "licence", "notice", "citation", "changelog")
_BESIDE_SUFFIXES = (
    "", ".md", ".rst", ".py", ".yaml", ".yml", ".sh", ".lock", ".sha256", ".md5", ".crc",
    ".png", ".jpg", ".jpeg", ".gif", ".bmp", ".webp", ".tif", ".tiff",
    ".mp4", ".avi", ".mov", ".mkv", ".webm", ".wav", ".mp3", ".flac", ".ogg",
)  # fmt: skip


def find_sources(path: Path, field: str) -> list[Source]:
    """The file, or the files of the folder in the order of their names, all of one type.

    Left aside are folders, hidden files and names that begin with `_`, media and papers (README, LICENSE, scripts), and
    what the datasets library writes about its own files. Raises UserError for an empty folder, for several types, and
    for everything that a single file is refused for.
    """
    if not stat.S_ISDIR(stat_of(path, field)):
        return [find_source(path, field=field)]
    try:
        files = sorted(each for each in path.iterdir() if not each.is_dir() and not is_beside(each.name))
    except OSError as error:
        raise UserError("file_unreadable", field=field, path=shown(path), reason=reason_of(error)) from None
    if not files:
        raise UserError("file_folder_empty", field=field, path=shown(path), allowed=", ".join(SUFFIXES))
    _refuse_mixture(path, files, field)
    return [find_source(each, each.name, field) for each in files]


def is_beside(name: str) -> bool:
    """Whether a file of this name, in a folder of data, is no data."""
    lower = name.lower()
    if lower.startswith((".", "_")) or lower in _BESIDE_NAMES:
        return True
    file = Path(lower)
    return file.suffix in _BESIDE_SUFFIXES or (file.suffix == ".txt" and file.stem in _BESIDE_STEMS)


def _refuse_mixture(path: Path, files: list[Path], field: str) -> None:
    # json and jsonl are one type, here as for LLaMA-Factory: the contents tell them apart.
    types = Counter(kind_by_name(each.name) or each.suffix for each in files)
    groups = {"json" if kind == "jsonl" else kind for kind in types}
    unknown = [each.name for each in files if not kind_by_name(each.name)]
    if len(groups) == 1 and not unknown:
        return
    found = ", ".join(f"{count} {kind}" for kind, count in sorted(types.items()))
    examples = ", ".join(each.name for each in files[:3]) if not unknown else ", ".join(unknown[:3])
    raise UserError("file_folder_mixed", field=field, path=shown(path), found=found, examples=examples[:200])
