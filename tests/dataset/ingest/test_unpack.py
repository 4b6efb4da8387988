"""Uploads that are meant to do harm, and uploads that are only unusual."""

from __future__ import annotations

import os
import random
import stat
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.dataset.ingest.staging import jsonl, pack, picture, staged
from trainer.dataset.ingest.archive import Limits
from trainer.dataset.ingest.naming import DEVICES, plain_source
from trainer.dataset.ingest.sniff import sniff
from trainer.dataset.ingest.unpack import look_at, stage
from trainer.errors import UserError

TABLE = jsonl([{"question": "What is it?", "answer": "A thing."}])


def zipped(
    name: str, data: bytes = TABLE, *, mode: int = 0, flags: int = 0, more: bool = True
) -> Callable[[Path], None]:
    """Writes a zip with a file of this name, mode and flags, beside a good table."""

    def write(path: Path) -> None:
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            if more:
                archive.writestr("good.jsonl", TABLE)
            info = zipfile.ZipInfo(name)
            info.compress_type = zipfile.ZIP_DEFLATED
            info.external_attr = mode << 16
            archive.writestr(info, data)
        if flags:
            content = bytearray(path.read_bytes())
            at = content.rfind(b"PK\x01\x02")
            content[at + 8] |= flags
            path.write_bytes(bytes(content))

    return write


def many(*names: str) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        with zipfile.ZipFile(path, "w") as archive:
            for name in names:
                archive.writestr(name, TABLE)

    return write


def overlapping(path: Path) -> None:
    """Two hundred entries that share one stretch of compressed bytes."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.jsonl", os.urandom(1 << 16) + b" " * (1 << 22))
    data = path.read_bytes()
    at = data.rfind(b"PK\x01\x02")
    end = data.rfind(b"PK\x05\x06")
    entry = data[at:end]
    entries = b"".join(entry.replace(b"a.jsonl", f"{number:03d}.txt".encode()) for number in range(200))
    tail = bytearray(data[end:])
    struct.pack_into("<HHL", tail, 8, 200, 200, len(entries))
    path.write_bytes(data[:at] + entries + bytes(tail))


def cut(path: Path) -> None:
    zipped("a.jsonl", TABLE * 200)(path)
    path.write_bytes(path.read_bytes()[:-40])


def corrupt(path: Path) -> None:
    zipped("a.jsonl", os.urandom(5000))(path)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(bytes(data))


def other_name_inside(path: Path) -> None:
    """The directory says one name, the entry itself another."""
    zipped("a.jsonl")(path)
    data = path.read_bytes()
    path.write_bytes(data.replace(b"a.jsonl", b"b.jsonl", 1))


def huge_directory(path: Path) -> None:
    many("a.jsonl")(path)
    data = bytearray(path.read_bytes())
    struct.pack_into("<L", data, data.rfind(b"PK\x05\x06") + 12, 0x7FFFFFFF)
    path.write_bytes(bytes(data))


def nested(path: Path) -> None:
    inner = path.with_suffix(".inner")
    many("a.jsonl")(inner)
    zipped("inner.zip", inner.read_bytes(), more=False)(path)


HOSTILE: dict[str, tuple[Callable[[Path], None], str]] = {
    "dots": (zipped("../evil.jsonl"), "archive_outside"),
    "dots inside": (zipped("a/../../evil.jsonl"), "archive_outside"),
    "dots of Windows": (zipped("..\\evil.jsonl"), "archive_outside"),
    "absolute": (zipped("/etc/evil.jsonl"), "archive_outside"),
    "drive": (zipped("C:\\evil.jsonl"), "archive_outside"),
    "drive without a slash": (zipped("C:evil.jsonl"), "archive_outside"),
    "link": (zipped("a.png", b"/etc/passwd", mode=stat.S_IFLNK | 0o777), "archive_link"),
    "link to a folder": (zipped("media", b"/etc", mode=stat.S_IFLNK | 0o777), "archive_link"),
    "device": (zipped("a.png", b"", mode=stat.S_IFCHR | 0o666), "archive_special"),
    "pipe": (zipped("a.png", b"", mode=stat.S_IFIFO | 0o666), "archive_special"),
    "encrypted": (zipped("a.jsonl", flags=0x1), "archive_encrypted"),
    "bomb": (zipped("a.jsonl", b"\n" * (20 << 20)), "archive_bomb"),
    "bomb that overlaps": (overlapping, "archive_b"),
    "bomb of a picture": (zipped("a.png", b"\0" * (20 << 20)), "archive_bomb"),
    "con": (zipped("con.jsonl"), "archive_device_name"),
    "nul in a folder": (zipped("NUL/a.jsonl"), "archive_device_name"),
    "long name": (zipped("x" * 260 + ".jsonl"), "archive_name_long"),
    "long name of few letters": (zipped("图" * 90 + ".jsonl"), "archive_name_long"),
    "deep": (zipped("a/" * 40 + "a.jsonl"), "archive_name_long"),
    "letters' case": (many("A.jsonl", "a.jsonl"), "archive_collision"),
    "folder's case": (many("Media/a.png", "media/A.png", "t.jsonl"), "archive_collision"),
    "file and folder": (many("a.jsonl", "a.jsonl/b.jsonl"), "archive_collision"),
    "composed and decomposed": (many("e\u0301.jsonl", "\u00e9.jsonl"), "archive_collision"),
    "control characters": (zipped("a\n.jsonl"), "archive_name_signs"),
    "only an archive": (nested, "archive_nested"),
    "no table": (zipped("a.png", picture(), more=False), "archive_no_table"),
    "empty table": (zipped("a.jsonl", b"", more=False), "archive_tables_empty"),
    "empty zip": (many(), "archive_no_table"),
    "cut": (cut, "archive_broken"),
    "corrupt": (corrupt, "archive_broken"),
    "two names": (other_name_inside, "archive_broken"),
    "directory": (huge_directory, "archive_directory"),
    "unreadable method": (zipped("a.jsonl"), ""),
}


@pytest.mark.parametrize(("write", "code"), HOSTILE.values(), ids=list(HOSTILE))
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_hostile_zips_are_refused_with_a_sentence(
    tmp_path: Path, write: Callable[[Path], None], code: str
) -> None:
    path = tmp_path / "upload.zip"
    write(path)
    if not code:
        data = path.read_bytes()
        path.write_bytes(data.replace(b"\x14\x00\x00\x00\x08\x00", b"\x14\x00\x00\x00\x63\x00"))
        code = "archive_method"
    folder = tmp_path / "inside" / "token"
    folder.mkdir(parents=True)
    with pytest.raises(UserError) as caught:
        stage(path, folder)
    assert caught.value.code.startswith(code) and "upload.zip" in caught.value.text
    # Nothing was written outside, and no link anywhere.
    assert {each.name for each in tmp_path.iterdir()} <= {"upload.zip", "inside", "upload.inner"}
    assert [each.name for each in (tmp_path / "inside").iterdir()] == ["token"]
    assert not any(each.is_symlink() for each in folder.rglob("*"))


def test_limits_are_options(tmp_path: Path) -> None:
    pictures = {f"{number}.png": picture() for number in range(4)}
    data = pack(tmp_path / "a.zip", {"t.jsonl": TABLE, **pictures}).read_bytes()
    for limits, code in (
        (Limits(media_files=3), "archive_media"),
        (Limits(file_bytes=200), "ingest_too_large"),
        (Limits(unpacked_bytes=100), "archive_unpacked"),
    ):
        with pytest.raises(UserError) as caught:
            staged(tmp_path, "a.zip", data, limits)
        assert caught.value.code == code
    assert staged(tmp_path, "a.zip", data, Limits(media_files=4)).media == 4
    repeated = pack(tmp_path / "b.zip", {"t.jsonl": TABLE * 50_000}).read_bytes()
    assert staged(tmp_path, "b.zip", repeated, Limits(ratio=2000)).tables[0].bytes == len(TABLE) * 50_000


def test_what_systems_add_is_left_out_and_told_where_it_matters(tmp_path: Path) -> None:
    files = {"d/t.jsonl": TABLE, "__MACOSX/d/._t.jsonl": b"x", "d/.DS_Store": b"x", "d/Thumbs.db": b"x", "d/readme.md": b"x",
             "d/dataset_info.json": b"{}", "d/inner.zip": b"PK", "d/.git/a.jsonl": TABLE}  # fmt: skip
    given = staged(tmp_path, "a.zip", pack(tmp_path / "a.zip", files).read_bytes())
    assert [table.name for table in given.tables] == ["d/t.jsonl"]
    (note,) = given.notes
    assert note.values["count"] == 3 and "readme.md" in note.text
    assert sorted(each.name for each in given.files.rglob("*") if each.is_file()) == ["t.jsonl"]


def test_names_of_chinese_windows_are_read(tmp_path: Path) -> None:
    """Windows writes the bytes of its own alphabet and does not say so; zipfile itself cannot write that."""
    files = {
        "数据/问答.jsonl": jsonl([{"image": "图片/一.png", "caption": "A red field."}]),
        "数据/图片/一.png": picture(),
    }
    fillers = {chr(65 + place) * len(name.encode("gb18030")): name for place, name in enumerate(files)}
    data = pack(tmp_path / "a.zip", {filler: files[name] for filler, name in fillers.items()}).read_bytes()
    for filler, name in fillers.items():
        data = data.replace(filler.encode(), name.encode("gb18030"))
    given = staged(tmp_path, "a.zip", data)
    assert [table.name for table in given.tables] == ["数据/问答.jsonl"] and given.media == 1
    assert sniff(given, (), Limits()).kind == "image_text"
    assert (given.files / "数据" / "图片" / "一.png").is_file()


def test_several_tables_are_a_choice(tmp_path: Path) -> None:
    files = {
        "train.jsonl": TABLE * 3,
        "test.jsonl": TABLE,
        "notes.txt": b"Some words.\n" * 99,
        "x.csv": b"question,answer\na b,c\n",
    }
    given = staged(tmp_path, "a.zip", pack(tmp_path / "a.zip", files).read_bytes())
    assert given.choices[0].tables == ("train.jsonl",)
    assert ("test.jsonl", "train.jsonl") in [choice.tables for choice in given.choices]
    assert {choice.kind for choice in given.choices} == {"jsonl", "csv", "txt"}
    assert given.require(()) == ("train.jsonl",)
    with pytest.raises(UserError) as caught:
        given.require(["../train.jsonl"])
    assert caught.value.code == "table_unknown"


def test_single_files(tmp_path: Path) -> None:
    assert staged(tmp_path, "a.ndjson", TABLE).tables[0].kind == "ndjson"
    assert staged(tmp_path, "no_ending", TABLE).tables[0].name == "no_ending.jsonl"
    assert staged(tmp_path, "a.dat", b"PAR1" + b"\0" * 20).tables[0].kind == "parquet"
    for name, data, code in (
        ("a.rar", b"Rar!\x1a\x07\0", "ingest_archive_kind"),
        ("a.jsonl.gz", b"\x1f\x8b\x08\0\0\0\0\0", "ingest_archive_kind"),
        ("a.pkl", b"\x80\x04\x95\0\0\0\0", "ingest_kind"),
        ("a.bin", b"words and words", "ingest_kind"),
        ("a.jsonl", b"", "ingest_empty"),
    ):
        with pytest.raises(UserError) as caught:
            staged(tmp_path, name, data)
        assert caught.value.code == code
    given = staged(tmp_path, "a.jsonl", TABLE)
    assert given.original.read_bytes() == TABLE and given.original.name == "a.jsonl"
    link = tmp_path / "link.jsonl"
    link.symlink_to(given.original)
    for path, code in (
        (link, "ingest_link"),
        (tmp_path, "ingest_folder"),
        (tmp_path / "none", "ingest_unreadable"),
    ):
        with pytest.raises(UserError) as caught:
            stage(path, tmp_path / "staging" / "other")
        assert caught.value.code == code


def test_a_file_is_looked_at_where_it_lies(tmp_path: Path) -> None:
    given = tmp_path / "a.jsonl"
    given.write_bytes(TABLE)
    folder = tmp_path / "look"
    folder.mkdir()
    seen = look_at(given, folder)
    assert seen.tables[0].bytes == len(TABLE) and (seen.files / "a.jsonl").resolve() == given
    assert sniff(seen, (), Limits()).kind == "question_answer"


@pytest.mark.parametrize(
    "name",
    [
        "../../etc/passwd",
        "C:\\x\\y.csv",
        "con.json",
        "a" * 400 + ".jsonl",
        "",
        "...",
        "a\0b.csv",
        "🙂.csv",
        "NUL",
    ],
)
def test_the_kept_original_has_a_name_that_every_system_takes(name: str) -> None:
    kept = plain_source(name)
    assert kept and len(kept.encode()) <= 255 and not set(kept) & set('/\\<>:"|?*\0')
    assert kept not in (".", "..") and kept.split(".")[0].casefold() not in DEVICES


def test_a_damaged_zip_is_unpacked_or_refused_never_more(tmp_path: Path) -> None:
    good = pack(
        tmp_path / "a.zip", {"d/t.jsonl": TABLE * 50, "d/a.png": picture(), "数据/b.csv": b"a,b\n1,2\n"}
    ).read_bytes()
    chance = random.Random(7)
    refused = 0
    for number in range(250):
        data = bytearray(good)
        for _ in range(chance.choice((1, 1, 2, 8))):
            # Most of the bytes that mean something stand in the directory at the end.
            at = (
                chance.randrange(len(data) - 300, len(data))
                if chance.random() < 0.7
                else chance.randrange(len(data))
            )
            data[at] = chance.randrange(256)
        path = tmp_path / "b.zip"
        path.write_bytes(bytes(data))
        folder = tmp_path / "out" / str(number)
        folder.mkdir(parents=True)
        try:
            given = stage(path, folder, limits=Limits(unpacked_bytes=1 << 24))
        except UserError:
            refused += 1
        else:
            assert all((given.files / table.name).is_file() for table in given.tables)
        assert {each.name for each in tmp_path.iterdir()} == {"a.zip", "b.zip", "out"}
    assert 20 < refused < 250
