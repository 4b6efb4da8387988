"""dataset_info.json: which datasets there are, where their files lie and what their columns are called.

The file is LLaMA-Factory's. What an entry asks for and this program cannot do is refused with a sentence when the
dataset is chosen; the other datasets of the file are not touched by it.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal, NamedTuple, cast

from trainer.errors import UserError, Values
from trainer.paths import REPOSITORY

FILE = "dataset_info.json"
Formatting = Literal["alpaca", "sharegpt", "openai"]
FORMATTINGS = ("alpaca", "sharegpt", "openai")
SUFFIXES = (".json", ".jsonl")


@dataclass(frozen=True)
class Columns:
    """The names that a dataset's columns go by; None: the dataset has no such column."""

    prompt: str | None = None
    query: str | None = None
    response: str | None = None
    history: str | None = None
    system: str | None = None
    messages: str | None = None


@dataclass(frozen=True)
class Tags:
    """The names inside a message, and the words for the roles; None: there is no such role."""

    role_tag: str | None = None
    content_tag: str | None = None
    user_tag: str | None = None
    assistant_tag: str | None = None
    observation_tag: str | None = None
    function_tag: str | None = None
    system_tag: str | None = None


class Refusal(NamedTuple):
    """Why a dataset cannot be loaded: a sentence's code and its values."""

    code: str
    values: Values


@dataclass(frozen=True)
class DatasetInfo:
    """One dataset. `explicit`: the entry itself names the columns, so that one that no row has is a mistake."""

    name: str
    path: Path
    formatting: Formatting = "alpaca"
    columns: Columns = Columns()
    tags: Tags = Tags()
    num_samples: int | None = None
    explicit: bool = False
    refusal: Refusal | None = None


# LLaMA-Factory's names where an entry has no "columns" or no "tags" at all.
COLUMNS: dict[str, Columns] = {
    "alpaca": Columns(prompt="instruction", query="input", response="output", history="history", system="system"),
    "sharegpt": Columns(messages="conversations", system="system"),
    "openai": Columns(messages="messages"),
}  # fmt: skip
TAGS: dict[str, Tags] = {
    "alpaca": Tags(),
    "sharegpt": Tags("from", "value", "human", "gpt", "observation", "function_call", "system"),
    "openai": Tags("role", "content", "user", "assistant", "tool", "function", "system"),
}

_SOURCES = ("hf_hub_url", "ms_hub_url", "om_hub_url", "script_url", "cloud_file_name")
_KEYS = (
    "file_name",
    "formatting",
    "columns",
    "tags",
    "num_samples",
    "ranking",
    "subset",
    "split",
    "folder",
    *_SOURCES,
)
_COLUMNS = tuple(each.name for each in fields(Columns))
_LATER_COLUMNS = ("tools", "images", "videos", "audios", "chosen", "rejected", "kto_tag")
_TAGS = tuple(each.name for each in fields(Tags))


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
    # A name that is too long, a folder that may not be entered, or "~somebody" who is nobody.
    except (OSError, RuntimeError):
        code = "data_folder_missing"
    raise UserError(code, field="dataset_dir", path=str(dataset_dir)[:200])


def load_info(dataset_dir: str | Path) -> dict[str, DatasetInfo]:
    """Every dataset of the folder by its name, in the order of the file, those that cannot be loaded included.

    Raises UserError for a missing folder, a missing file, and a file that is not a JSON object in UTF-8.
    """
    folder = find_folder(dataset_dir)
    entries = _read(folder / FILE)
    return {name: _describe(folder, name, entry) for name, entry in entries.items()}


def choose(dataset_dir: str | Path, names: Sequence[str]) -> list[DatasetInfo]:
    """The datasets of these names. Raises UserError for a name that is not registered (listing those that are), for
    what an entry asks and this program cannot do, and for a file that is not there."""
    known = load_info(dataset_dir)
    return [_checked(name, known, str(dataset_dir)) for name in names]


def _checked(name: str, known: Mapping[str, DatasetInfo], folder: str) -> DatasetInfo:
    info = known.get(name)
    if info is None:
        listed = ", ".join(known) or "-"
        raise UserError("data_unknown", field="dataset", name=name, folder=folder, names=listed)
    if info.refusal is not None:
        raise UserError(info.refusal.code, field="dataset", **info.refusal.values)
    try:
        there, folder_instead = info.path.exists(), info.path.is_dir()
    except OSError as error:
        raise UserError(
            "file_unreadable", field="dataset", path=str(info.path)[:200], reason=str(error.strerror)
        ) from None
    if not there:
        raise UserError("data_file_missing", field="dataset", name=name, path=str(info.path))
    if folder_instead:
        raise UserError("data_not_yet", field="dataset", name=name, what="file_name: a folder")
    return info


def _read(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8-sig"))
    except UnicodeDecodeError as error:
        raise UserError("file_not_utf8", field="dataset_dir", path=str(path), position=error.start) from None
    except json.JSONDecodeError as error:
        raise UserError(
            "json_broken", field="dataset_dir", path=str(path), line=error.lineno, column=error.colno, reason=error.msg
        ) from None  # fmt: skip
    except RecursionError:
        raise UserError("data_too_deep", field="dataset_dir", path=str(path)) from None
    except OSError as error:
        raise UserError(
            "file_unreadable", field="dataset_dir", path=str(path), reason=str(error.strerror)
        ) from None
    if not isinstance(found, dict):
        raise UserError("data_info_not_object", field="dataset_dir", path=str(path))
    return cast(dict[str, Any], found)


class _Refused(Exception):
    """An entry asks for something that cannot be done."""

    def __init__(self, code: str, **values: str | int | float) -> None:
        self.refusal = Refusal(code, values)


def _describe(folder: Path, name: str, entry: Any) -> DatasetInfo:
    try:
        return _parse(folder, name, entry)
    except _Refused as refused:
        code, values = refused.refusal
        return DatasetInfo(name, folder, refusal=Refusal(code, {"name": name, **values}))


def _parse(folder: Path, name: str, entry: Any) -> DatasetInfo:
    if not isinstance(entry, dict):
        raise _Refused("data_entry_wrong", key=name, found=type(entry).__name__, allowed="an object")
    _refuse_later(entry)
    formatting = entry.get("formatting", "alpaca")
    if formatting not in FORMATTINGS:
        raise _Refused("data_formatting_unknown", value=str(formatting), allowed=", ".join(FORMATTINGS))
    columns = _columns(entry.get("columns"), formatting)
    return DatasetInfo(
        name=name,
        path=folder / _file_name(entry),
        formatting=cast(Formatting, formatting),
        columns=columns,
        tags=_tags(entry.get("tags"), formatting),
        num_samples=_count(entry.get("num_samples")),
        explicit=entry.get("columns") is not None,
    )


def _refuse_later(entry: Mapping[str, Any]) -> None:
    for key in _SOURCES:
        if entry.get(key):
            raise _Refused("data_not_yet", what=key)
    if entry.get("ranking"):
        raise _Refused("data_not_yet", what="ranking")
    if entry.get("split") not in (None, "", "train"):
        raise _Refused("data_not_yet", what=f"split: {entry['split']}")
    for key in ("subset", "folder"):
        if entry.get(key):
            raise _Refused("data_not_yet", what=key)
    for key in entry:
        near = difflib.get_close_matches(str(key), _KEYS, n=1, cutoff=0.8)
        if key not in _KEYS and near:
            raise _Refused("data_entry_key", key=str(key), nearest=near[0])


def _file_name(entry: Mapping[str, Any]) -> str:
    file_name = entry.get("file_name")
    if not isinstance(file_name, str) or not file_name.strip() or "\0" in file_name:
        raise _Refused("data_no_file_name")
    suffix = Path(file_name).suffix.lower()
    if suffix and suffix not in SUFFIXES:
        raise _Refused("data_not_yet", what=f"{suffix} files")
    return file_name


def _count(value: Any) -> int | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise _Refused(
            "data_entry_wrong", key="num_samples", found=str(value), allowed="a whole number from 1"
        )
    return value


def _columns(given: Any, formatting: str) -> Columns:
    if given is None:
        return COLUMNS[formatting]
    names = _names(given, "columns", (*_COLUMNS, *_LATER_COLUMNS))
    for key in _LATER_COLUMNS:
        if names.get(key):
            raise _Refused("data_not_yet", what=key)
    columns = Columns(**{key: names.get(key) or None for key in _COLUMNS})
    if formatting == "alpaca" and not (columns.prompt or columns.query):
        raise _Refused("data_entry_lacks", key="columns", what="prompt")
    needed = "response" if formatting == "alpaca" else "messages"
    if getattr(columns, needed) is None:
        raise _Refused("data_entry_lacks", key="columns", what=needed)
    return columns


def _tags(given: Any, formatting: str) -> Tags:
    if given is None or formatting == "alpaca":
        return TAGS[formatting]
    names = _names(given, "tags", _TAGS)
    for key in ("role_tag", "content_tag", "user_tag", "assistant_tag"):
        if not names.get(key):
            raise _Refused("data_entry_lacks", key="tags", what=key)
    return Tags(**names)


def _names(given: Any, key: str, allowed: Sequence[str]) -> dict[str, str | None]:
    """The object under `columns` or `tags`: known names with texts."""
    if not isinstance(given, dict):
        raise _Refused("data_entry_wrong", key=key, found=type(given).__name__, allowed="an object")
    for name, value in given.items():
        if name not in allowed:
            raise _Refused("data_entry_wrong", key=key, found=str(name), allowed=", ".join(allowed))
        if value is not None and not isinstance(value, str):
            raise _Refused("data_entry_wrong", key=f"{key}.{name}", found=str(value)[:80], allowed="a text")
    return given
