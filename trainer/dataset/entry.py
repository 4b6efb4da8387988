"""One entry of dataset_info.json: where the rows of a dataset lie, and what its columns and roles are called.

The words are LLaMA-Factory's, and so is the rule that `columns` or `tags`, where they are given, name everything that
counts. What an entry asks for and this program cannot do becomes a refusal of that dataset alone.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal, NamedTuple, cast

from trainer.dataset.fields import shown
from trainer.errors import Values

Formatting = Literal["alpaca", "sharegpt", "openai"]
FORMATTINGS = ("alpaca", "sharegpt", "openai")
Hub = Literal["huggingface", "modelscope"]
# Share of letters in common from which an unknown word is a known one misspelt.
ALIKE = 0.85


@dataclass(frozen=True)
class Columns:
    """The names that a dataset's columns go by; None: the dataset has no such column."""

    prompt: str | None = None
    query: str | None = None
    response: str | None = None
    history: str | None = None
    messages: str | None = None
    system: str | None = None
    tools: str | None = None
    images: str | None = None
    videos: str | None = None
    audios: str | None = None
    chosen: str | None = None
    rejected: str | None = None
    kto_tag: str | None = None


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
class HubSource:
    """A dataset of a hub: its id there (empty: this hub does not have it), configuration, and folder in it."""

    huggingface: str = ""
    modelscope: str = ""
    subset: str | None = None
    folder: str | None = None

    def pick(self, hub: Hub) -> tuple[Hub, str]:
        """Where the rows come from when a person prefers `hub`, and the id there."""
        if self.modelscope and (hub == "modelscope" or not self.huggingface):
            return "modelscope", self.modelscope
        return "huggingface", self.huggingface


@dataclass(frozen=True)
class DatasetInfo:
    """One dataset. `path` is its file or folder on this machine, or, with `hub`, the data folder that names it.

    `split` may be a slice such as `train[:100]`. `ranking`: rows hold two answers, of which the chosen one is the
    better. `explicit`: the entry itself names the columns, so that one that no row has is a mistake; `tagged`: it names
    the tags. `texts_only`: it is refused for want of answers, and pre-training needs none.
    """

    name: str
    path: Path
    formatting: Formatting = "alpaca"
    columns: Columns = Columns()
    tags: Tags = Tags()
    num_samples: int | None = None
    explicit: bool = False
    refusal: Refusal | None = None
    ranking: bool = False
    tagged: bool = False
    hub: HubSource | None = None
    split: str = "train"
    texts_only: bool = False

    @property
    def barred(self) -> Refusal | None:
        """The refusal of a dataset that no stage can learn from."""
        return None if self.texts_only else self.refusal


# Names where an entry has no "columns" or no "tags" at all: LLaMA-Factory's, and those that speak for themselves.
_SEEN = {"images": "images", "videos": "videos"}
COLUMNS: dict[str, Columns] = {
    "alpaca": Columns("instruction", "input", "output", "history", system="system", **_SEEN),
    "sharegpt": Columns(messages="conversations", system="system", tools="tools", **_SEEN),
    "openai": Columns(messages="messages", tools="tools", **_SEEN),
}
TAGS: dict[str, Tags] = {
    "alpaca": Tags(),
    "sharegpt": Tags("from", "value", "human", "gpt", "observation", "function_call", "system"),
    "openai": Tags("role", "content", "user", "assistant", "tool", "function", "system"),
}

_HUBS = ("hf_hub_url", "ms_hub_url", "om_hub_url")
_KEYS = (
    "file_name", "formatting", "columns", "tags", "num_samples", "ranking", "subset", "split", "folder",
    "script_url", "cloud_file_name", *_HUBS,
)  # fmt: skip
_COLUMNS = tuple(each.name for each in fields(Columns))
_TAGS = tuple(each.name for each in fields(Tags))


class _Refused(Exception):
    """An entry asks for something that cannot be done."""

    def __init__(self, code: str, **values: str | int | float) -> None:
        self.refusal = Refusal(code, values)


class _Answerless(_Refused):
    """An entry of texts without answers; `columns` are those that it names."""

    def __init__(self, columns: Columns, code: str, **values: str | int | float) -> None:
        super().__init__(code, **values)
        self.columns = columns


def parse_entry(folder: Path, name: str, entry: Any) -> DatasetInfo:
    """The dataset that an entry of the file in `folder` means; one that cannot be loaded has a refusal."""
    try:
        return _parse(folder, name, entry)
    except _Refused as refused:
        code, values = refused.refusal
        return DatasetInfo(name, folder, refusal=Refusal(code, {"name": name, **values}))


def on_hub(name: str) -> DatasetInfo:
    """The dataset of this id on whichever hub is chosen, with the names that hold without an entry."""
    hub = HubSource(name, name)
    return DatasetInfo(name, Path(), columns=COLUMNS["alpaca"], tags=TAGS["alpaca"], hub=hub)


def _parse(folder: Path, name: str, entry: Any) -> DatasetInfo:
    if not isinstance(entry, dict):
        raise _Refused("data_entry_wrong", key=name, found=type(entry).__name__, allowed="an object")
    _refuse_misspelt(entry, _KEYS, "data_entry_key")
    formatting = entry.get("formatting") or "alpaca"
    if formatting not in FORMATTINGS:
        raise _Refused("data_formatting_unknown", value=shown(formatting), allowed=", ".join(FORMATTINGS))
    hub = _hub(entry)
    ranking = _flag(entry, "ranking")
    refusal = None
    try:
        columns = _columns(entry.get("columns"), formatting, ranking)
    except _Answerless as refused:
        columns = refused.columns
        refusal = Refusal(refused.refusal.code, {"name": name, **refused.refusal.values})
    return DatasetInfo(
        name=name,
        path=folder if hub else folder / _file_name(entry),
        formatting=cast(Formatting, formatting),
        columns=columns,
        refusal=refusal,
        texts_only=refusal is not None,
        tags=_tags(entry.get("tags"), formatting),
        num_samples=_count(entry.get("num_samples")),
        explicit=entry.get("columns") is not None,
        ranking=ranking,
        tagged=entry.get("tags") is not None,
        hub=hub,
        split=_word(entry, "split") or "train",
    )


def _refuse_misspelt(given: Mapping[Any, Any], known: Sequence[str], code: str, **values: str) -> None:
    """A word that nothing reads does no harm, unless somebody meant one that is read and is not there."""
    for key in given:
        if key in known:
            continue
        near = difflib.get_close_matches(str(key).lower(), known, n=1, cutoff=ALIKE)
        if near and near[0] not in given:
            raise _Refused(code, key=shown(key), nearest=near[0], **values)


def _hub(entry: Mapping[str, Any]) -> HubSource | None:
    """The hub that an entry names. It comes before a file, as it does for LLaMA-Factory."""
    huggingface, modelscope, openmind = (_word(entry, key) for key in _HUBS)
    if huggingface or modelscope:
        return HubSource(
            huggingface, modelscope, _word(entry, "subset") or None, _word(entry, "folder") or None
        )
    if openmind:
        raise _Refused("data_openmind")
    if _word(entry, "script_url"):
        raise _Refused("data_script")
    if _word(entry, "cloud_file_name"):
        raise _Refused("data_cloud")
    return None


def _word(entry: Mapping[str, Any], key: str) -> str:
    value = entry.get(key)
    if value is None:
        return ""
    if not isinstance(value, str) or "\0" in value:
        raise _Refused("data_entry_wrong", key=key, found=shown(value), allowed="a text")
    return value.strip()


def _flag(entry: Mapping[str, Any], key: str) -> bool:
    value = entry.get(key)
    if value not in (None, True, False):
        raise _Refused("data_entry_wrong", key=key, found=shown(value), allowed="true or false")
    return bool(value)


def _file_name(entry: Mapping[str, Any]) -> str:
    file_name = entry.get("file_name")
    if not isinstance(file_name, str) or not file_name.strip() or "\0" in file_name:
        raise _Refused("data_no_file_name")
    return file_name


def _count(value: Any) -> int | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise _Refused(
            "data_entry_wrong", key="num_samples", found=shown(value), allowed="a whole number from 1"
        )
    return value


def _columns(given: Any, formatting: str, ranking: bool) -> Columns:
    if given is None:
        both = {"chosen": "chosen", "rejected": "rejected"} if ranking else {}
        return replace(COLUMNS[formatting], **both)
    columns = Columns(**_names(given, "columns", _COLUMNS))
    if columns.audios:
        raise _Refused("data_audios", column=columns.audios)
    if formatting == "alpaca" and not ranking and _only(columns) == ["prompt"]:
        raise _Answerless(columns, "data_entry_text", column=shown(columns.prompt))
    pair = ("chosen", "rejected") if ranking else ()
    # An alpaca answer without a question is a text to learn as it is.
    for each in (pair or ("response",)) if formatting == "alpaca" else ("messages", *pair):
        if getattr(columns, each) is None:
            if each == "response" and columns.prompt:
                raise _Answerless(columns, "data_entry_lacks", key="columns", what=each)
            raise _Refused("data_entry_lacks", key="columns", what=each)
    return columns


def _only(columns: Columns) -> list[str]:
    return [name for name, column in asdict(columns).items() if column]


def _tags(given: Any, formatting: str) -> Tags:
    if given is None or formatting == "alpaca":
        return TAGS[formatting]
    tags = Tags(**_names(given, "tags", _TAGS))
    for key in ("role_tag", "content_tag", "user_tag", "assistant_tag"):
        if getattr(tags, key) is None:
            raise _Refused("data_entry_lacks", key="tags", what=key)
    return tags


def _names(given: Any, key: str, allowed: Sequence[str]) -> dict[str, str | None]:
    """The object under `columns` or `tags`: its known names with their texts."""
    if not isinstance(given, dict):
        raise _Refused("data_entry_wrong", key=key, found=type(given).__name__, allowed="an object")
    _refuse_misspelt(given, allowed, "data_entry_word", where=key)
    for name in allowed:
        value = given.get(name)
        if value is not None and not isinstance(value, str):
            raise _Refused("data_entry_wrong", key=f"{key}.{name}", found=shown(value), allowed="a text")
    return {name: given.get(name) or None for name in allowed}
