"""One row of a file -> one conversation, or the reason why it is none."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from trainer.dataset.alpaca import read_alpaca
from trainer.dataset.chat import ChatReader
from trainer.dataset.conversation import Conversation, Row, RowProblem
from trainer.dataset.documents import read_document
from trainer.dataset.entry import DatasetInfo, Hub
from trainer.dataset.fields import Bad, Texts, kind, wrong
from trainer.dataset.files import Broken, Item, Tell
from trainer.dataset.info import find_folder
from trainer.dataset.media_paths import Finder, Gallery
from trainer.dataset.shelves import open_items
from trainer.dataset.tools import read_tools
from trainer.errors import UserError
from trainer.options import DataOptions
from trainer.paths import REPOSITORY


@dataclass(frozen=True)
class Reading:
    """How rows are read, the same for all datasets of a run.

    `names` gives what `{{name}}` and the like become. Media lie beside the file of their row, else below `media_dir`,
    else below `dataset_dir`. `hub` decides where a dataset comes from that two hubs have; with `streaming` it is not
    downloaded first. With `awaited` the last answer of a row may be missing: it is empty then. `plain`: rows are texts
    for pre-training.
    """

    names: Mapping[str, str] = field(default_factory=dict)
    media_dir: str = ""
    dataset_dir: str = ""
    hub: Hub = "huggingface"
    streaming: bool = False
    awaited: bool = False
    plain: bool = False

    @classmethod
    def of(cls, data: DataOptions, hub: Hub = "huggingface", awaited: bool = False) -> Reading:
        """As the options say."""
        names = {"name": data.identity_name, "author": data.identity_author}
        return cls(names, data.media_dir, data.dataset_dir, hub, data.streaming, awaited, data.stage == "pt")

    @property
    def folders(self) -> tuple[Path, ...]:
        """Where media are looked for, the folder of the row's file left out."""
        try:
            data = [find_folder(self.dataset_dir).absolute()] if self.dataset_dir else []
        except UserError:
            data = _folders(self.dataset_dir, Path())
        # A media folder is named as the data folder is, or as seen from it.
        return tuple(dict.fromkeys(_folders(self.media_dir, Path(), *data, REPOSITORY) + data))


def _folders(name: str, *bases: Path) -> list[Path]:
    """The first folder of this name, below one of `bases`; none when there is none."""
    try:
        own = Path(name).expanduser()
        return [path.absolute() for base in bases if name and (path := base / own).is_dir()][:1]
    except (OSError, RuntimeError, ValueError):
        return []


def read_rows(
    info: DatasetInfo,
    reading: Reading | None = None,
    limit: int | None = None,
    skip: int = 0,
    tell: Tell | None = None,
) -> Iterator[Row | RowProblem]:
    """`limit` rows of a dataset after the first `skip`, usable or not, in the order of its files.

    Files are read as far as needed; `tell` hears of it (bytes read, bytes in all). Raises UserError when a file as a
    whole cannot be read, and, after the last row, when a column that the entry names was in none.
    """
    reading = reading or Reading()
    reader = RowReader(info, reading)
    unseen = {name for name in asdict(info.columns).values() if name} if info.explicit and not skip else set()
    with closing(open_items(info, reading.hub, skip, tell, reading.streaming)) as items:
        for item in items if limit is None else islice(items, limit):
            unseen.difference_update(item.value if isinstance(item.value, dict) else ())
            yield reader.read(item)
        if unseen and (limit is None or next(items, None) is None):
            raise UserError(
                "data_column_nowhere", field="dataset", name=info.name, columns=", ".join(sorted(unseen))
            )


class RowReader:
    """Reads rows of one dataset, each by itself."""

    def __init__(self, info: DatasetInfo, reading: Reading) -> None:
        self._info = info
        self._texts = Texts(reading.names)
        self._chat = ChatReader(info, self._texts, reading.awaited) if info.formatting != "alpaca" else None
        self._awaited, self._plain = reading.awaited, reading.plain
        self._finder = Finder(reading.folders)
        self._base = info.path.absolute()
        if info.hub:
            from trainer.dataset.hub import local_folder

            self._base = local_folder(info, info.hub, reading.hub) or self._base
        self._in_folder = not info.hub and self._base.is_dir()

    def read(self, item: Item) -> Row | RowProblem:
        """The row, or why it cannot be used. Never raises."""
        name = self._info.name
        try:
            if isinstance(item.value, Broken):
                raise Bad(item.value.code, **item.value.values)
            if not isinstance(item.value, dict):
                raise Bad("row_not_object", found=kind(item.value))
            return Row(name, item.number, self._conversation(item.value, item.file), item.file)
        except Bad as bad:
            return RowProblem(name, item.number, bad.code, bad.values, item.file)
        except RecursionError:
            return RowProblem(name, item.number, "row_too_deep", {}, item.file)

    def _conversation(self, row: dict[str, Any], file: str) -> Conversation:
        info, columns = self._info, self._info.columns
        if self._plain:
            return read_document(info, row)
        system = self._texts.text(row.get(columns.system), columns.system) if columns.system else ""
        gallery = Gallery(self._finder, columns, row, info.explicit, self._beside(file))
        if self._chat is None:
            messages = read_alpaca(info, self._texts, row, gallery, self._awaited)
        else:
            messages, said = self._chat.read(row, gallery)
            system = system if said is None else said
        tools = read_tools(row.get(columns.tools), columns.tools) if columns.tools else ""
        if columns.kto_tag:
            _require_desired(row.get(columns.kto_tag), columns.kto_tag)
        return Conversation(gallery.placed(messages), system, tools)

    def _beside(self, file: str) -> Path:
        """The folder of the file that a row stands in."""
        if self._info.hub:
            return self._base
        return (self._base / file).parent if self._in_folder else self._base.parent


def _require_desired(value: Any, column: str) -> None:
    """An answer that people did not want is nothing to learn from by example. A table may spell the tag as a text."""
    if isinstance(value, str) and value.strip().lower() in ("true", "false"):
        value = value.strip().lower() == "true"
    if value is None:
        raise Bad("row_missing", field=column)
    if value not in (True, False):
        raise wrong(column, value, "true or false")
    if not value:
        raise Bad("row_undesired", field=column)
