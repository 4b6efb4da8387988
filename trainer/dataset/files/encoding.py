"""Bytes -> text, piece by piece: UTF-8, UTF-16, UTF-32 and GB18030 are told apart while reading.

A file is read as UTF-8 until a byte says otherwise. GB18030 agrees with UTF-8 on ASCII, so the change is right as long as
only ASCII went before it; after that a wrong byte is a wrong byte. No file is read twice to find out.
"""

from __future__ import annotations

import codecs
import gzip
import re
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

from trainer.dataset.files.source import GZIP, Progress, Source, find_source

CHUNK_BYTES = 1 << 20
_UTF8_MARK = codecs.BOM_UTF8
# The longer marks first: UTF-32's begins with UTF-16's.
_MARKS = (
    (codecs.BOM_UTF32_LE, "UTF-32 LE"),
    (codecs.BOM_UTF32_BE, "UTF-32 BE"),
    (codecs.BOM_UTF16_LE, "UTF-16 LE"),
    (codecs.BOM_UTF16_BE, "UTF-16 BE"),
)
# Every third character or so of any Chinese text, simplified or traditional; by chance one of a hundred would be.
_FREQUENT = frozenset(
    "的一是不了人我在有他这這个個上们們来來到时時大地为為子中你说說生国國年着著就那和要她出也得里裡后後自以会會家可下"
    "而过過天去能对對小多然于於心学學么麼之都好看起发發当當没沒成只如事把还還用第样樣道想作种種开開问問题題回答请請文"
    "什怎与與及或同本从從由其所因法方日月分新间間三二两兩十高见見现現知理定动動实實行进進语語数數据據模型机機器公司"
)
_GB_CHARACTER = re.compile(rb"[\x81-\xfe][0-9][\x81-\xfe][0-9]|[\x81-\xfe][\x40-\x7e\x80-\xfe]")


class TextStream:
    """The text of a file in pieces of about a megabyte, without a byte order mark.

    `encoding` is the name of what was found so far; it is final when all pieces are read. Iterating raises UserError,
    with line and byte, where the bytes are no text, and when a gzip file is damaged.
    """

    def __init__(self, source: Source, file: BinaryIO, progress: Progress) -> None:
        self._source = source
        self._file = file
        self._progress = progress
        self.encoding = "UTF-8"
        self._offset = 0  # of the first byte that the decoder has not seen
        self._lines = 0
        self._ascii = True

    def __iter__(self) -> Iterator[str]:
        with self._unpacked() as file:
            chunk = _read(file)
            mark = self._begin(chunk)
            self._offset = mark
            chunk = chunk[mark:]
            while True:
                following = _read(file)
                text = self._decode(chunk, final=not following)
                self._progress.at(self._file.tell())
                if text:
                    yield text
                if not following:
                    return
                chunk = following

    @contextmanager
    def _unpacked(self) -> Iterator[BinaryIO]:
        start = self._file.read(len(GZIP))
        self._file.seek(0)
        try:
            if start == GZIP:
                with gzip.GzipFile(fileobj=self._file) as file:
                    yield cast(BinaryIO, file)
            else:
                yield self._file
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            reason = str(error)[:200]
            raise self._source.error("file_damaged", kind="gzip", reason=reason) from None
        except OSError as error:
            raise self._source.error("file_unreadable", reason=str(error.strerror or error)) from None

    def _begin(self, head: bytes) -> int:
        """Choose how to begin; returns the length of the mark."""
        if head.startswith(_UTF8_MARK):
            self._use("UTF-8 with BOM")
            return len(_UTF8_MARK)
        for mark, name in _MARKS:
            if head.startswith(mark):
                self._use(name)
                return len(mark)
        self._use(_unmarked(head))
        return 0

    def _use(self, encoding: str) -> None:
        self.encoding = encoding
        codec = "utf-8" if encoding.startswith("UTF-8") else encoding.lower().replace(" ", "-")
        self._decoder = codecs.getincrementaldecoder(codec)()

    def _decode(self, chunk: bytes, final: bool) -> str:
        pending = self._decoder.getstate()[0]
        try:
            text = self._decoder.decode(chunk, final)
        except UnicodeDecodeError as error:
            data = pending + chunk
            if self.encoding != "UTF-8" or not self._ascii or not _is_chinese(data):
                raise self._wrong(error, self._offset - len(pending), data) from None
            self._use("GB18030")
            self._offset -= len(pending)
            return self._decode(data, final)
        self._offset += len(chunk)
        self._lines += text.count("\n")
        self._ascii = self._ascii and text.isascii()
        return text

    def _wrong(self, error: UnicodeDecodeError, start: int, data: bytes) -> Exception:
        good = data[: error.start].decode(error.encoding, errors="ignore")
        unmarked = self.encoding == "UTF-8" and self._ascii
        return self._source.error(
            "file_encoding",
            encoding="UTF-8, GB18030" if unmarked else self.encoding,
            line=self._lines + good.count("\n") + 1,
            byte=start + error.start,
        )


def _read(file: BinaryIO) -> bytes:
    return file.read(CHUNK_BYTES)


def _unmarked(head: bytes) -> str:
    """UTF-16 without a mark shows in its NULs: ASCII has one at every second place, and UTF-8 has none at all."""
    head = head[: 4096 & ~1]
    even, odd = head[::2].count(0), head[1::2].count(0)
    if max(even, odd) * 5 >= len(head) // 2 and max(even, odd) > 0:
        if even * 5 <= odd:
            return "UTF-16 LE"
        if odd * 5 <= even:
            return "UTF-16 BE"
    return "UTF-8"


def _is_chinese(data: bytes) -> bool:
    """Whether bytes that are no UTF-8 are Chinese in GB18030, and not a Western, Russian, Korean or Japanese code page.

    All of them fill the same byte pairs. Simplified Chinese uses the 3,755 characters of GB 2312's first level and its
    signs for nearly everything, spreads over that whole level (Korean stops at 0xC8) and needs no kana (rows 0xA4 and
    0xA5). Traditional Chinese lies elsewhere; it shows in the frequent characters that every text is made of.
    """
    try:
        text = codecs.getincrementaldecoder("gb18030")().decode(data)
    except UnicodeDecodeError:
        return False
    found = [each for each in _GB_CHARACTER.findall(data) if len(each) == 2]
    if not found:
        return True  # only characters of four bytes, which no other code page spells
    high = [each for each in found if each[1] >= 0xA1]
    level = [each[0] for each in high if 0xB0 <= each[0] <= 0xD7]
    kana = sum(each[0] in (0xA4, 0xA5) for each in high)
    signs = sum(0xA1 <= each[0] <= 0xA9 for each in high)
    korean = len(level) >= 10 and max(level) <= 0xC8
    if korean or kana * 5 > len(found):
        return False
    frequent = sum(each in _FREQUENT for each in text)
    return len(level) + signs >= 0.6 * len(found) or frequent >= 0.15 * len(found)


def read_text(path: Path, field: str = "dataset") -> str:
    """The whole text of a small file in any of the encodings. Raises UserError as reading rows does."""
    source = find_source(path, field=field)
    with source.opened() as file:
        return "".join(TextStream(source, file, Progress(None, 0)))
