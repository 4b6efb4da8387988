"""A path -> its rows, whatever the file's kind."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from trainer.dataset.files.encoding import TextStream
from trainer.dataset.files.folder import find_sources
from trainer.dataset.files.item import Item, Tell
from trainer.dataset.files.json_file import read_json
from trainer.dataset.files.lines import read_text_lines
from trainer.dataset.files.source import TEXTS, Progress, Skip, Source, shown
from trainer.dataset.files.table import read_table
from trainer.errors import UserError

_TEXT_READERS: dict[str, Callable[[Source, Iterable[str], Skip], Iterator[Item]]] = {
    "json": read_json,
    "jsonl": read_json,
    "csv": read_table,
    "tsv": read_table,
    "txt": read_text_lines,
}


class FileFacts(NamedTuple):
    """`kind`: json, jsonl, csv, tsv, parquet, arrow, txt or xlsx; `encoding`: UTF-8, UTF-8 with BOM, UTF-16 LE, UTF-16 BE,
    GB18030 (several, with commas, where files differ; empty for parquet, arrow and xlsx); `bytes`: of all files
    together; `files`: their names."""

    kind: str
    encoding: str
    bytes: int
    files: tuple[str, ...]


def read_items(path: Path, skip: int = 0, tell: Tell | None = None, field: str = "dataset") -> Iterator[Item]:
    """The rows of a file, or of a folder's files in the order of their names, without the first `skip`.

    Files are read as streams: memory holds a megabyte and the row at hand. `tell(bytes_done, bytes_total)` is called now
    and then. A row that cannot be read comes as `Broken`. Raises UserError (`field` names the option the path came from)
    when there is nothing to read, and where a file is so broken that its further rows cannot be found.
    """
    sources = find_sources(path, field)
    progress = Progress(tell, sum(source.size for source in sources))
    left = Skip(skip)
    found = False
    for source in sources:
        for item in _read(source, progress, left):
            found = True
            yield item
        progress.next_file(source.size)
    if not found and left.left == skip:
        raise UserError("data_file_empty", field=field, path=shown(path))


def _read(source: Source, progress: Progress, skip: Skip) -> Iterator[Item]:
    if source.kind in TEXTS:
        with source.opened() as file:
            yield from _TEXT_READERS[source.kind](source, TextStream(source, file, progress), skip)
    elif not source.size:
        return
    elif source.kind == "xlsx":
        # openpyxl and pyarrow take a second to load: only those wait who read such a file.
        from trainer.dataset.files.sheet import read_sheet

        yield from read_sheet(source, progress, skip)
    else:
        from trainer.dataset.files.columnar import read_arrow, read_parquet

        yield from (read_parquet if source.kind == "parquet" else read_arrow)(source, progress, skip)


def look_into(path: Path, whole: bool = False, field: str = "dataset") -> FileFacts:
    """What kind of file, or folder of files, this is, read from its first megabyte.

    A file that begins in ASCII counts as UTF-8, though Chinese in another encoding may follow; `whole` reads the texts
    to their ends (about a second a gigabyte) and is sure. Raises UserError as `read_items` does.
    """
    sources = find_sources(path, field)
    encodings = {_encoding(source, whole) for source in sources if source.kind in TEXTS}
    return FileFacts(
        kind=sources[0].kind,
        encoding=", ".join(sorted(encodings)),
        bytes=sum(source.size for source in sources),
        files=tuple(source.path.name for source in sources),
    )


def _encoding(source: Source, whole: bool) -> str:
    with source.opened() as file:
        stream = TextStream(source, file, Progress(None, 0))
        for _ in stream:
            if not whole:
                break
        return stream.encoding
