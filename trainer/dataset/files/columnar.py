"""parquet and arrow files (IPC files and streams, those of the datasets library too), a batch of rows at a time."""

from __future__ import annotations

import datetime
import decimal
import math
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from trainer.dataset.files import cells
from trainer.dataset.files.item import Broken, Item
from trainer.dataset.files.source import Progress, Skip, Source

if TYPE_CHECKING:
    import pyarrow as pa

# Rows of pictures weigh megabytes: a batch of them must still fit.
_BATCH = 128


def read_parquet(source: Source, progress: Progress, skip: Skip) -> Iterator[Item]:
    """Rows as objects; row groups that `skip` passes over are not read. Raises UserError for a damaged file."""
    with _damages(source):
        import pyarrow.parquet as pq

        # Read page by page: mapped or fetched whole, a row group of pictures takes gigabytes.
        file = pq.ParquetFile(source.path, buffer_size=1 << 20, pre_buffer=False)
    with file:
        total = max(1, file.metadata.num_rows)
        cells.require_once(source, file.schema_arrow.names)
        first = 0
        for group in range(file.num_row_groups):
            rows = file.metadata.row_group(group).num_rows
            if not skip.takes_all(rows):
                batches = _guarded(source, _group(file, group))
                yield from _items(source, batches, first, skip)
            first += rows
            progress.at(source.size * first // total)


def _group(file: Any, group: int) -> Iterator[pa.RecordBatch]:
    yield from file.iter_batches(batch_size=_BATCH, row_groups=[group], use_threads=False)


def read_arrow(source: Source, progress: Progress, skip: Skip) -> Iterator[Item]:
    """As `read_parquet`; the file is mapped, so that only the pages at hand take memory."""
    with _damages(source):
        import pyarrow as pa

        mapped = pa.memory_map(str(source.path))
    with mapped:
        with _damages(source):
            is_file = mapped.read(6) == b"ARROW1"
            mapped.seek(0)
            reader = pa.ipc.open_file(mapped) if is_file else pa.ipc.open_stream(mapped)
        cells.require_once(source, reader.schema.names)
        batches = _batches(reader) if is_file else iter(reader)
        first = 0
        for batch in _guarded(source, batches):
            if not skip.takes_all(batch.num_rows):
                yield from _items(source, _guarded(source, _slices(batch)), first, skip)
            first += batch.num_rows
            progress.at(source.size if is_file else mapped.tell())


def _batches(reader: Any) -> Iterator[pa.RecordBatch]:
    for place in range(reader.num_record_batches):
        yield reader.get_batch(place)


def _slices(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    # Of a mapped file nothing has been looked at yet; a wrong offset would end the process.
    batch.validate()
    for start in range(0, batch.num_rows, _BATCH):
        piece = batch.slice(start, _BATCH)
        piece.validate(full=True)
        yield piece


def _items(source: Source, batches: Iterator[pa.RecordBatch], first: int, skip: Skip) -> Iterator[Item]:
    number = first
    for batch in batches:
        if skip.takes_all(batch.num_rows):
            number += batch.num_rows
            continue
        for row in _rows(batch):
            number += 1
            if not skip.takes():
                yield Item(number, row, source.label)


def _rows(batch: pa.RecordBatch) -> list[dict[str, Any] | Broken]:
    """Each row, or why that one cannot be read: text that is no UTF-8, a date that Python does not know."""
    try:
        return [_plain(row) for row in batch.to_pylist(maps_as_pydicts="lossy")]
    except (ValueError, TypeError, OverflowError, KeyError, ImportError) as error:
        if batch.num_rows == 1:
            return [Broken("row_unreadable", {"reason": str(error)[:200]})]
        return [row for place in range(batch.num_rows) for row in _rows(batch.slice(place, 1))]


def _plain(value: Any) -> Any:
    """What JSON could have held, and bytes: dates and exact decimals as text, "not a number" as nothing."""
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(each) for each in value]
    if isinstance(value, float):
        return None if math.isnan(value) else value
    if isinstance(value, (datetime.date, datetime.time)):
        return value.isoformat()
    if isinstance(value, (datetime.timedelta, decimal.Decimal, uuid.UUID)):
        return str(value)
    return value


@contextmanager
def _damages(source: Source) -> Iterator[None]:
    import pyarrow as pa

    try:
        yield
    except (pa.ArrowException, OSError, ValueError, MemoryError) as error:
        reason = str(error).split("\n", 1)[0][:200] or type(error).__name__
        raise source.error("file_damaged", kind=source.kind, reason=reason) from None


def _guarded(source: Source, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    while True:
        with _damages(source):
            batch = next(batches, None)
        if batch is None:
            return
        yield batch
