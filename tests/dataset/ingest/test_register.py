"""Registering: a folder and an entry, or neither, whatever happens and whoever else does the same."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.dataset.ingest.staging import jsonl, pack, picture, staged
from trainer.dataset.conversation import Row
from trainer.dataset.info import choose, load_info
from trainer.dataset.ingest.archive import Limits
from trainer.dataset.ingest.cupboard import Cupboard
from trainer.dataset.ingest.plan import Plan
from trainer.dataset.ingest.recipe import read_recipe
from trainer.dataset.ingest.register import Registered, register
from trainer.dataset.ingest.sniff import sniff
from trainer.dataset.ingest.unpack import Staged
from trainer.dataset.rows import Reading, read_rows
from trainer.errors import UserError
from trainer.paths import REPOSITORY

OWN = '{\n    "identity": {"file_name": "identity.json", "x-note": "von Hand"}\n}\n'


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "dataset_info.json").write_text(OWN)
    (folder / "identity.json").write_text('[{"instruction": "Who?", "output": "Momo."}]')
    return folder


def brought(cupboard: Cupboard, tmp_path: Path, name: str, content: bytes) -> Staged:
    """A file staged below the data folder, as the shelf does."""
    given = staged(tmp_path, name, content)
    cupboard.staging.mkdir(exist_ok=True)
    home = cupboard.staging / f"{len(list(cupboard.staging.iterdir())):032x}"
    shutil.copytree(given.folder, home)
    return Staged(home.name, home, given.source, given.bytes, given.sha256, given.tables, given.media)


def proposed(upload: Staged) -> Plan:
    shape = sniff(upload, (), Limits())
    return Plan((), shape.mapping, shape.repairs)


def rows_of(folder: Path, name: str) -> list[Any]:
    (info,) = choose(folder, [name])
    return list(read_rows(info, Reading(dataset_dir=str(folder))))


def test_a_table_becomes_a_dataset(tmp_path: Path, data: Path) -> None:
    cupboard = Cupboard(data)
    table = [{"id": n, "question": f"What is {n}?", "answer": str(n), "more": {"a": 1}} for n in range(5)]
    content = (
        jsonl(
            [
                *table,
                {"question": "Nothing?", "answer": ""},
                {"question": "", "answer": None},
                {"question": "Six?", "answer": 6},
            ]
        )
        + b"{broken\n"
    )
    upload = brought(cupboard, tmp_path, "Fragen.jsonl", content)
    plan = proposed(upload)
    assert plan.repairs == ("numbers",)
    done = register(cupboard, upload, plan, "fragen")
    assert done == Registered(
        "fragen", 6, 3, {"row_empty_answer": 1, "row_no_answer": 1, "row_broken": 1}, {"numbers": 1}, 0
    )
    # The entry stands behind the person's own, which is as it was.
    text = (data / "dataset_info.json").read_text()
    assert text.startswith(OWN.rstrip().removesuffix("}").rstrip()) and list(json.loads(text)) == [
        "identity",
        "fragen",
    ]
    assert json.loads(text)["fragen"] == {
        "file_name": "fragen/rows.jsonl",
        "formatting": "alpaca",
        "columns": {"prompt": "question", "response": "answer"},
    }
    found = rows_of(data, "fragen")
    assert all(isinstance(row, Row) for row in found) and len(found) == 6
    lines = (data / "fragen" / "rows.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines[:5]] == [
        {"question": each["question"], "answer": each["answer"]} for each in table
    ]
    assert json.loads(lines[5]) == {"question": "Six?", "answer": "6"}
    assert (data / "fragen" / "original" / "Fragen.jsonl").read_bytes() == content
    recipe = read_recipe(data / "fragen")
    assert recipe and (recipe.source, recipe.sha256, recipe.rows, recipe.registered) == (
        "Fragen.jsonl",
        upload.sha256,
        9,
        6,
    )
    assert [(each.row, each.code) for each in recipe.dropped] == [
        (6, "row_empty_answer"),
        (7, "row_no_answer"),
        (9, "row_broken"),
    ]
    assert (
        recipe.plan == Plan(("Fragen.jsonl",), plan.mapping, plan.repairs) and recipe.version and recipe.date
    )
    assert all("Fragen.jsonl" in each.text for each in recipe.dropped)


def test_a_table_with_pictures_becomes_a_dataset(tmp_path: Path, data: Path) -> None:
    cupboard = Cupboard(data)
    table = [
        {"image": "img/a.png", "question": "What colour?", "answer": "Red."},
        {"image": ["img/a.png", "img/b.png"], "question": "<image> and <image>?", "answer": "Red, blue."},
        {"image": "img/broken.png", "question": "And this?", "answer": "?"},
        {"image": "img/none.png", "question": "And this?", "answer": "?"},
        {"image": "../../../secret.png", "question": "And this?", "answer": "?"},
        {"image": "/etc/passwd", "question": "And this?", "answer": "?"},
        {"image": "~/x.png", "question": "And this?", "answer": "?"},
        {"image": "https://example.org/x.png", "question": "And this?", "answer": "?"},
    ]
    files = {"set/table.jsonl": jsonl(table), "set/img/a.png": picture(), "set/img/b.png": picture("blue"), "set/img/broken.png": b"no picture",
             "set/img/unused.png": picture("green")}  # fmt: skip
    upload = brought(cupboard, tmp_path, "set.zip", pack(tmp_path / "set.zip", files).read_bytes())
    done = register(cupboard, upload, proposed(upload), "bilder")
    assert (done.rows, done.dropped, done.media) == (2, 6, 2)
    assert done.reasons["row_media_outside"] == 3 and sum(done.reasons.values()) == 6
    first, second = rows_of(data, "bilder")
    assert [each.name for each in second.conversation.media] == ["a.png", "b.png"]
    assert first.conversation.media[0].path == data / "bilder" / "media" / "set" / "img" / "a.png"
    assert json.loads((data / "bilder" / "rows.jsonl").read_text().splitlines()[0])["image"] == [
        "media/set/img/a.png"
    ]
    assert sorted(each.name for each in (data / "bilder" / "media").rglob("*.png")) == ["a.png", "b.png"]


def test_pictures_inside_a_parquet_file_become_files(tmp_path: Path, data: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = [{"image": {"bytes": picture(), "path": None}, "text": "Red."}, {"image": {"bytes": picture("blue"), "path": "b.png"}, "text": "Blue."},
             {"image": {"bytes": picture(), "path": None}, "text": "Red again."}]  # fmt: skip
    pq.write_table(pa.Table.from_pylist(table), tmp_path / "a.parquet")
    cupboard = Cupboard(data)
    upload = brought(cupboard, tmp_path, "a.parquet", (tmp_path / "a.parquet").read_bytes())
    done = register(cupboard, upload, proposed(upload), "a")
    assert (done.rows, done.dropped, done.media) == (3, 0, 2)
    found = rows_of(data, "a")
    assert [row.conversation.messages[1].text for row in found] == ["Red.", "Blue.", "Red again."]
    assert all(row.conversation.media[0].path.is_file() for row in found)


def test_all_tables_of_a_kind_become_one_dataset(tmp_path: Path, data: Path) -> None:
    cupboard = Cupboard(data)
    files = {
        f"{name}.jsonl": jsonl([{"question": f"{name}?", "answer": "Yes, it is."}, {"question": "x"}])
        for name in "abc"
    }
    upload = brought(cupboard, tmp_path, "abc.zip", pack(tmp_path / "abc.zip", files).read_bytes())
    names = tuple(sorted(table.name for table in upload.tables))
    plan = Plan(names, sniff(upload, names, Limits()).mapping)
    done = register(cupboard, upload, plan, "abc")
    recipe = read_recipe(data / "abc")
    assert (
        (done.rows, done.dropped) == (3, 3)
        and recipe
        and [each.file for each in recipe.dropped] == list(names)
    )


def test_what_cannot_be_registered_leaves_nothing(tmp_path: Path, data: Path) -> None:
    cupboard = Cupboard(data)
    upload = brought(cupboard, tmp_path, "a.jsonl", jsonl([{"question": "a", "answer": ""}]))
    good = brought(cupboard, tmp_path, "b.jsonl", jsonl([{"question": "a b", "answer": "c d"}]))
    plan = proposed(good)
    for given, name, code in (
        (upload, "a", "register_no_rows"),
        (good, "identity", "dataset_name_taken"),
        (good, "../a", "dataset_name_signs"),
    ):
        with pytest.raises(UserError) as caught:
            register(cupboard, given, plan, name)
        assert caught.value.code == code
    many = brought(cupboard, tmp_path, "c.jsonl", jsonl([{"question": "a b", "answer": "c d"}] * 500))
    with pytest.raises(UserError) as caught:
        register(cupboard, many, plan, "c", stop=lambda: True)
    assert caught.value.code == "ingest_stopped"
    assert (data / "dataset_info.json").read_text() == OWN
    assert {each.name for each in data.iterdir()} == {"dataset_info.json", "identity.json", ".staging"}
    assert not list(cupboard.staging.glob("*/ready-*"))


def test_a_full_disk_leaves_the_old_file(tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cupboard = Cupboard(data)
    good = brought(cupboard, tmp_path, "b.jsonl", jsonl([{"question": "a b", "answer": "c d"}]))
    plan = proposed(good)

    def fails(self: Path, target: Path) -> Path:
        if Path(target).name == "dataset_info.json":
            raise OSError(28, "No space left on device")
        return self.rename(target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", fails)
        with pytest.raises((UserError, OSError)):
            register(cupboard, good, plan, "b")
    assert (data / "dataset_info.json").read_text() == OWN
    # The next one to change something finishes what was begun.
    with cupboard.changing():
        pass
    assert ("b" in load_info(data)) == (data / "b").is_dir()
    assert not (cupboard.staging / "journal.json").exists()


CRASH = """
import os, sys
from pathlib import Path
from trainer.dataset.ingest.archive import Limits
from trainer.dataset.ingest.cupboard import Cupboard
from trainer.dataset.ingest.plan import Plan
from trainer.dataset.ingest.register import register
from trainer.dataset.ingest.sniff import sniff
from trainer.dataset.ingest.unpack import stage

data, source, action, stroke = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], sys.argv[4]

class Crashing(Cupboard):
    def checkpoint(self, here):
        if here == stroke:
            os._exit(9)

cupboard = Crashing(data)
if action in ("add", "replace"):
    cupboard.staging.mkdir(exist_ok=True)
    upload = stage(source, cupboard.staging / os.urandom(16).hex())
    plan = Plan((), sniff(upload, (), Limits()).mapping)
    register(cupboard, upload, plan, "d", replacing=action == "replace")
else:
    with cupboard.changing():
        if action == "remove":
            cupboard.remove("d", folder=True)
        else:
            entry = {**cupboard.text().entries()["d"], "file_name": "e/rows.jsonl"}
            cupboard.rename("d", "e", entry, folder=True)
"""
STROKES = {
    "add": ("noted", "placed", "entered"),
    "replace": ("noted", "old away", "placed", "entered"),
    "remove": ("noted", "entered", "old away"),
    "rename": ("noted", "placed", "entered"),
}


@pytest.mark.parametrize(
    ("action", "stroke"), [(action, stroke) for action, strokes in STROKES.items() for stroke in strokes]
)
def test_a_crash_at_any_stroke_leaves_a_whole_folder(
    tmp_path: Path, data: Path, action: str, stroke: str
) -> None:
    cupboard = Cupboard(data)
    if action != "add":
        first = brought(
            cupboard, tmp_path, "old.jsonl", jsonl([{"question": "old one", "answer": "old answer"}])
        )
        register(cupboard, first, proposed(first), "d")
    source = tmp_path / "new.jsonl"
    source.write_bytes(jsonl([{"instruction": "new one", "output": "new answer"}]))
    died = subprocess.run(
        [sys.executable, "-c", CRASH, str(data), str(source), action, stroke],
        cwd=REPOSITORY, capture_output=True, text=True, timeout=240, check=False,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY), "HF_HUB_OFFLINE": "1"},
    )  # fmt: skip
    assert died.returncode == 9, died.stderr
    # A reader in between sees a file that is whole.
    assert "identity" in load_info(data)
    with cupboard.changing():
        pass
    assert not (cupboard.staging / "journal.json").exists() and not list(cupboard.staging.glob("old-*"))
    entries = json.loads((data / "dataset_info.json").read_text())
    assert entries["identity"] == {"file_name": "identity.json", "x-note": "von Hand"}
    folders = {each.name for each in data.iterdir() if each.is_dir() and each.name != ".staging"}
    assert folders == set(entries) - {"identity"}
    wanted = {
        "add": {"noted": [], "placed": ["new answer"], "entered": ["new answer"]},
        "replace": {
            "noted": ["old answer"],
            "old away": ["old answer"],
            "placed": ["new answer"],
            "entered": ["new answer"],
        },
        "remove": {"noted": [], "entered": [], "old away": []},
        "rename": {"noted": ["old answer"], "placed": ["old answer"], "entered": ["old answer"]},
    }[action][stroke]
    found = [row.conversation.messages[1].text for name in folders for row in rows_of(data, name)]
    assert found == wanted
    assert not [each for each in data.iterdir() if each.name.startswith(".") and each.name != ".staging"]


TOGETHER = """
import sys
from pathlib import Path
from trainer.jobs.shelf import Shelf
from trainer.dataset.ingest.plan import Plan

root, mark = Path(sys.argv[1]), sys.argv[2]
shelf = Shelf(root)
source = root / f"{mark}.jsonl"
source.write_text('{"question": "a b", "answer": "%s"}\\n' % mark)
print("ready", flush=True)
sys.stdin.readline()
for number in range(10):
    staged = shelf.receive(source)
    plan = Plan((), shelf.recognise(staged.token).mapping)
    shelf.register(staged.token, plan, f"{mark}_{number}").wait(200)
    shelf.discard(staged.token)
"""


def test_two_processes_register_at_once_and_no_entry_is_lost(tmp_path: Path, data: Path) -> None:
    both = [
        subprocess.Popen(
            [sys.executable, "-c", TOGETHER, str(tmp_path), mark], cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": str(REPOSITORY), "HF_HUB_OFFLINE": "1"},
        )
        for mark in ("one", "two")
    ]  # fmt: skip
    try:
        for process in both:
            assert process.stdout and process.stdout.readline() == "ready\n"
        for process in both:
            assert process.stdin
            process.stdin.write("\n")
            process.stdin.flush()
        for process in both:
            _, problems = process.communicate(timeout=400)
            assert process.returncode == 0, problems
    finally:
        for process in both:
            process.kill()
            process.wait()
    names = [f"{mark}_{number}" for mark in ("one", "two") for number in range(10)]
    assert set(load_info(data)) == {"identity", *names}
    for name in names:
        assert [row.conversation.messages[1].text for row in rows_of(data, name)] == [name[:3]]
