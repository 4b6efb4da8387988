"""dataset_info.json: which datasets there are.

The file is LLaMA-Factory's. What an entry asks for and this program cannot do is refused with a sentence when the
dataset is chosen; the other datasets of the file are not touched by it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from trainer.dataset.entry import Columns, DatasetInfo, Hub, HubSource, Refusal, Tags, on_hub, parse_entry
from trainer.dataset.files import read_text
from trainer.dataset.shelves import require_split
from trainer.errors import UserError, UserErrors
from trainer.paths import REPOSITORY

__all__ = [
    "FILE", "Columns", "DatasetInfo", "Hub", "HubSource", "Refusal", "Tags", "choose", "find_folder", "load_info",
    "parse_entry",
]  # fmt: skip

FILE = "dataset_info.json"
# Instead of a folder: names of datasets are ids of a hub; the file is that of a repository on the hub.
ONLINE = "ONLINE"
REMOTE = "REMOTE:"


def find_folder(dataset_dir: str | Path) -> Path:
    """The folder that `dataset_dir` means: as it is given, else inside the repository (the default `data`).

    Raises UserError when neither holds a dataset_info.json.
    """
    try:
        given = Path(dataset_dir).expanduser()
        candidates = (given, REPOSITORY / given)
        for folder in candidates:
            if (folder / FILE).is_file():
                return folder
        code = "data_info_missing" if any(folder.is_dir() for folder in candidates) else "data_folder_missing"
    # A name that is too long or holds a NUL, a folder that may not be entered, or "~somebody" who is nobody.
    except (OSError, RuntimeError, ValueError):
        code = "data_folder_missing"
    raise UserError(code, field="dataset_dir", path=str(dataset_dir)[:200])


def load_info(dataset_dir: str | Path) -> dict[str, DatasetInfo]:
    """Every dataset of the folder by its name, in the order of the file, those that cannot be loaded included.

    `ONLINE` lists none: there any id of a hub is a name. `REMOTE:owner/name` fetches the file of a dataset repository.
    Raises UserError for a missing folder, a missing file, and a file that is not a JSON object.
    """
    if str(dataset_dir) == ONLINE:
        return {}
    if str(dataset_dir).startswith(REMOTE):
        from trainer.dataset.hub import fetch_file

        path = fetch_file(str(dataset_dir).removeprefix(REMOTE), FILE)
    else:
        path = find_folder(dataset_dir) / FILE
    return {name: parse_entry(path.parent, name, entry) for name, entry in _read(path).items()}


def choose(dataset_dir: str | Path, names: Sequence[str], stage: str = "sft") -> list[DatasetInfo]:
    """The datasets of these names, for a training of this stage. Raises UserError, for all of them at once, for a name that is not registered (listing those that are), for
    what an entry asks and this program cannot do, and for a file that is not there."""
    if str(dataset_dir) == ONLINE:
        return [on_hub(name) for name in names]
    known = load_info(dataset_dir)
    found: list[DatasetInfo] = []
    problems: list[UserError] = []
    for name in names:
        try:
            found.append(_checked(name, known, str(dataset_dir), stage))
        except UserError as error:
            problems.append(error)
    if problems:
        raise UserErrors(problems) if len(problems) > 1 else problems[0]
    return found


def are_texts(dataset_dir: str | Path, names: Sequence[str]) -> bool:
    """Whether all of these datasets are texts without answers, so that only pre-training can learn from them."""
    known = load_info(dataset_dir)
    return bool(names) and all(name in known and known[name].texts_only for name in names)


def _checked(name: str, known: Mapping[str, DatasetInfo], folder: str, stage: str) -> DatasetInfo:
    info = known.get(name)
    if info is None:
        listed = ", ".join(known) or "-"
        raise UserError("data_unknown", field="dataset", name=name, folder=folder, names=listed)
    if info.refusal is not None and not (stage == "pt" and info.texts_only):
        raise UserError(info.refusal.code, field="dataset", **info.refusal.values)
    if stage == "pt" and info.formatting != "alpaca":
        raise UserError("pretraining_conversations", field="dataset", name=name, formatting=info.formatting)
    if info.hub is None:
        _require_file(info, folder)
    return info


def _require_file(info: DatasetInfo, folder: str) -> None:
    if folder.startswith(REMOTE):
        raise UserError("data_remote_file", field="dataset", name=info.name, folder=folder)
    try:
        there = info.path.exists()
    except OSError as error:
        raise UserError(
            "file_unreadable", field="dataset", path=str(info.path)[:200], reason=str(error.strerror)
        ) from None
    if not there:
        raise UserError("data_file_missing", field="dataset", name=info.name, path=str(info.path))
    require_split(info)


def _read(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(read_text(path, "dataset_dir"))
    except json.JSONDecodeError as error:
        raise UserError(
            "json_broken", field="dataset_dir", path=str(path), line=error.lineno, column=error.colno, reason=error.msg
        ) from None  # fmt: skip
    except (RecursionError, ValueError):
        raise UserError("data_too_deep", field="dataset_dir", path=str(path)) from None
    except OSError as error:
        raise UserError(
            "file_unreadable", field="dataset_dir", path=str(path), reason=str(error.strerror)
        ) from None
    if not isinstance(found, dict):
        raise UserError("data_info_not_object", field="dataset_dir", path=str(path))
    return cast(dict[str, Any], found)
