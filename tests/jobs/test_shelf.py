"""The shelf of datasets, as the page and the terminal use it."""

from __future__ import annotations

import json
import os
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.dataset.ingest.staging import jsonl, pack, picture
from tests.jobs.fake import FakeRun, config, register_data, wait
from trainer.dataset.conversation import Row
from trainer.dataset.info import choose, load_info
from trainer.dataset.ingest.plan import Plan
from trainer.dataset.rows import Reading, read_rows
from trainer.errors import UserError, problems_of
from trainer.jobs.shelf import Limits, Shelf
from trainer.jobs.staging import KEPT_S
from trainer.jobs.workspace import Workspace
from trainer.paths import DATA

WAIT_S = 240
TABLE = jsonl(
    [
        {"question": "What is it?", "answer": "A thing."},
        {"question": "Nothing?", "answer": ""},
        {"question": "Six?", "answer": 6},
    ]
)


@pytest.fixture
def shelf(tmp_path: Path) -> Iterator[Shelf]:
    register_data(tmp_path)
    made = Shelf(tmp_path)
    yield made
    made.close()


def dropped(tmp_path: Path, name: str = "Meine Fragen.jsonl", content: bytes = TABLE) -> Path:
    path = tmp_path / "dropped" / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    return path


def registered(shelf: Shelf, path: Path, name: str, repairs: tuple[str, ...] = ()) -> None:
    staged = shelf.receive(path)
    plan = Plan((), shelf.recognise(staged.token).mapping, repairs)
    shelf.register(staged.token, plan, name).wait(WAIT_S)
    shelf.discard(staged.token)


def answers(folder: Path, name: str) -> list[str]:
    (info,) = choose(folder, [name])
    found = list(read_rows(info, Reading(dataset_dir=str(folder))))
    assert all(isinstance(row, Row) for row in found)
    return [row.conversation.messages[-1].text for row in found if isinstance(row, Row)]


def code_of(error: pytest.ExceptionInfo[UserError]) -> str:
    return problems_of(error.value)[0].code


def test_the_whole_way_of_a_file(tmp_path: Path, shelf: Shelf) -> None:
    staged = shelf.receive(dropped(tmp_path))
    assert shelf.staged(staged.token) is staged and staged.folder.parent == tmp_path / "data" / ".staging"
    shape = shelf.recognise(staged.token)
    assert shape.kind == "question_answer" and shape.repairs == ("numbers",)
    shown = shelf.samples(staged.token, Plan((), shape.mapping))
    assert shown[0].turns[1].text == "A thing." and shown[1].problem and shown[2].problem
    checking = shelf.check(staged.token, Plan((), shape.mapping))
    found = checking.wait(WAIT_S)
    assert shelf.checking(staged.token) is checking and checking.done and checking.error is None
    assert (found.rows, found.usable, found.counts) == (3, 1, {"row_empty_answer": 1, "row_type": 1})
    assert [(each.problem.number, each.repairs) for each in found.defects] == [(2, ()), (3, ("numbers",))]
    assert (
        found.offers == {"numbers": 1}
        and found.page(1, 1, "row_type")[0].problem.number == 3
        and found.page(2, 2) == ()
    )
    assert (
        checking.progress.rows == 3
        and checking.progress.bytes_done == checking.progress.bytes_total == len(TABLE)
    )
    name = shelf.propose_name(staged.token)
    assert name == "Meine_Fragen"
    before = {each.name for each in (tmp_path / "data").iterdir()}
    done = shelf.register(staged.token, Plan((), shape.mapping, shape.repairs), name).wait(WAIT_S)
    assert (done.name, done.rows, done.dropped, done.repaired) == (name, 2, 1, {"numbers": 1})
    assert {each.name for each in (tmp_path / "data").iterdir()} - before == {name}
    listed = shelf.get(name)
    assert listed in shelf.list() and (listed.rows, listed.source, listed.ours) == (
        2,
        "Meine Fragen.jsonl",
        True,
    )
    assert listed.bytes > 0 and listed.date and listed.problem is None and listed.formatting == "alpaca"
    assert answers(shelf.folder, name) == ["A thing.", "6"]
    assert shelf.propose_name(staged.token) == "Meine_Fragen_2"
    shelf.discard(staged.token)
    assert not staged.folder.exists()


def test_nothing_is_a_path(tmp_path: Path, shelf: Shelf) -> None:
    staged = shelf.receive(dropped(tmp_path))
    plan = Plan((), shelf.recognise(staged.token).mapping)
    for token in ("", "..", f"../{staged.token}", staged.token.upper() + "x", "0" * 32):
        with pytest.raises(UserError) as caught:
            shelf.staged(token)
        assert code_of(caught) == "staged_unknown"
    for name in ("..", ".staging", "identity.json", "", "nobody", "../data"):
        for act in (shelf.get, shelf.delete, shelf.download, shelf.change, shelf.recipe):
            with pytest.raises(UserError) as caught:
                act(name)
            assert code_of(caught) == "shelf_unknown"
    for wish in ("../x", "con", "x" * 300, "😀", "", "identity"):
        with pytest.raises(UserError) as caught:
            shelf.register(staged.token, plan, wish)
        assert caught.value.field == "name" and caught.value.values["proposal"]
    with pytest.raises(UserError) as caught:
        shelf.samples(staged.token, Plan(("../../identity.json",), plan.mapping))
    assert code_of(caught) == "table_unknown"
    with pytest.raises(UserError) as caught:
        shelf.check(staged.token, Plan((), plan.mapping.with_role("answer", "ignore"))).wait(WAIT_S)
    assert code_of(caught) == "mapping_no_answer"


def test_a_dataset_is_renamed_changed_handed_out_and_removed(tmp_path: Path, shelf: Shelf) -> None:
    files = {
        "t.jsonl": jsonl([{"image": "m/a.png", "question": "Colour?", "answer": "Red."}]),
        "m/a.png": picture(),
    }
    registered(shelf, pack(tmp_path / "set.zip", files), "one")
    with pytest.raises(UserError) as caught:
        shelf.rename("one", "identity")
    assert code_of(caught) == "dataset_name_taken"
    assert shelf.rename("one", "zwei").name == "zwei" and answers(shelf.folder, "zwei") == ["Red."]
    assert list(load_info(shelf.folder)) == ["identity", "zwei"] and not (shelf.folder / "one").exists()
    recipe = shelf.recipe("zwei")
    assert (
        recipe
        and recipe.name == "zwei"
        and json.loads((shelf.folder / "zwei" / "recipe.json").read_text())["name"] == "zwei"
    )
    # The original, brought in once more with the plan of the first time, takes the place of the dataset.
    staged, plan = shelf.change("zwei")
    assert plan == recipe.plan and shelf.propose_name(staged.token) == "zwei"
    swapped = plan.mapping.with_role("answer", "ignore").with_role("question", "response").with_ask("<image>")
    done = shelf.register(staged.token, Plan(plan.tables, swapped), "zwei").wait(WAIT_S)
    assert done.rows == 1 and answers(shelf.folder, "zwei") == ["Colour?"]
    assert (
        shelf.get("zwei").source == "set.zip"
        and shelf.download("zwei", "original").read_bytes() == (tmp_path / "set.zip").read_bytes()
    )
    # What is handed out can be brought in again, here or elsewhere.
    packed = shelf.download("zwei")
    with zipfile.ZipFile(packed) as archive:
        assert sorted(archive.namelist()) == ["dataset_info.json", "media/m/a.png", "rows.jsonl"]
        archive.extractall(tmp_path / "elsewhere")
    assert answers(tmp_path / "elsewhere", "zwei") == ["Colour?"]
    again = shelf.receive(packed)
    assert [table.name for table in again.tables] == ["rows.jsonl"] and again.media == 1
    shelf.delete("zwei")
    assert list(load_info(shelf.folder)) == ["identity"] and not (shelf.folder / "zwei").exists()


def test_an_entry_written_by_hand_keeps_its_file(tmp_path: Path, shelf: Shelf) -> None:
    hand = shelf.get("identity")
    assert (hand.rows, hand.ours, hand.source, shelf.recipe("identity")) == (
        None,
        False,
        "identity.json",
        None,
    )
    for act in (shelf.change, lambda name: shelf.download(name, "original")):
        with pytest.raises(UserError) as caught:
            act("identity")
        assert code_of(caught) == "shelf_not_ours"
    with zipfile.ZipFile(shelf.download("identity")) as archive:
        assert "identity.json" in archive.namelist()
    shelf.rename("identity", "ich")
    assert answers(shelf.folder, "ich") == ["Momo."]
    shelf.delete("ich")
    assert load_info(shelf.folder) == {} and (shelf.folder / "identity.json").exists()


def test_entries_that_cannot_be_loaded_are_listed_with_the_reason(tmp_path: Path, shelf: Shelf) -> None:
    entries = {
        "gone": {"file_name": "gone.json"},
        "odd": {"file_name": "a.json", "formatting": "xml"},
        "none": 3,
        "../x": {"file_name": "../x/rows.jsonl"},
    }
    (shelf.folder / "dataset_info.json").write_text(json.dumps(entries))
    listed = {each.name: each for each in shelf.list()}
    assert set(listed) == set(entries) and all(each.problem and each.problem.text for each in listed.values())
    assert not listed["../x"].ours
    for name in entries:
        shelf.delete(name)
    assert shelf.list() == [] and tmp_path.is_dir()
    (shelf.folder / "dataset_info.json").write_text("{broken")
    with pytest.raises(UserError) as caught:
        shelf.list()
    assert code_of(caught) == "info_unreadable"


def test_data_in_use_stays(tmp_path: Path) -> None:
    register_data(tmp_path)
    run = FakeRun()
    run.gate.clear()
    workspace = Workspace(tmp_path, run=run)
    try:
        shelf = workspace.shelf
        for name in ("mine", "other"):
            registered(shelf, dropped(tmp_path), name)
        job = workspace.jobs.submit(config("a", dataset="mine", max_steps=3))
        waiting = workspace.jobs.submit(config("b", dataset="identity", eval_dataset="other", max_steps=3))
        wait(workspace.jobs, job.id, "running")
        assert shelf.get("mine").used_by == (job.id,) and shelf.get("other").used_by == (waiting.id,)
        for act in (shelf.delete, lambda name: shelf.rename(name, "neu")):
            for name, user in (("mine", job.id), ("other", waiting.id)):
                with pytest.raises(UserError) as caught:
                    act(name)
                assert code_of(caught) == "shelf_in_use" and user in str(caught.value)
        staged, plan = shelf.change("mine")
        with pytest.raises(UserError) as caught:
            shelf.register(staged.token, plan, "mine")
        assert code_of(caught) == "shelf_in_use"
        workspace.jobs.cancel(waiting.id)
        shelf.delete("other")
        run.gate.set()
        wait(workspace.jobs, job.id, "finished")
        shelf.delete("mine")
        assert [each.name for each in shelf.list()] == ["identity"]
    finally:
        run.gate.set()
        workspace.close()


def test_the_first_upload_makes_the_data_folder_the_workspace_s_own(tmp_path: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in DATA.rglob("*") if ".staging" not in path.parts}
    workspace = Workspace(tmp_path, run=FakeRun())
    try:
        assert workspace.data_dir == DATA and [each.name for each in workspace.shelf.list()] == list(
            load_info(DATA)
        )
        registered(workspace.shelf, dropped(tmp_path), "mine")
        assert workspace.data_dir == tmp_path / "data"
        assert list(load_info(workspace.data_dir)) == [*load_info(DATA), "mine"]
        assert answers(workspace.data_dir, "mine") == ["A thing."] and answers(workspace.data_dir, "identity")
    finally:
        workspace.close()
    assert {
        path: path.stat().st_mtime_ns for path in DATA.rglob("*") if ".staging" not in path.parts
    } == before
    assert not [each for each in tmp_path.iterdir() if each.name.startswith(".")]


def test_uploads_do_not_stay_for_ever(tmp_path: Path, shelf: Shelf) -> None:
    kept, old = shelf.receive(dropped(tmp_path)), shelf.receive(dropped(tmp_path))
    orphan = shelf.folder / ".staging" / ("ab" * 16)
    orphan.mkdir()
    (orphan / "owner.json").write_text(json.dumps({"pid": os.getpid(), "started": 1.0}))
    os.utime(old.folder / "owner.json", (time.time() - KEPT_S - 60,) * 2)
    # Another server of this workspace starts: what belongs to a living one stays.
    other = Shelf(tmp_path)
    other.tidy()
    assert kept.folder.is_dir() and not old.folder.exists() and not orphan.exists()
    fresh = other.receive(dropped(tmp_path))
    assert kept.folder.is_dir() and fresh.folder.is_dir()
    with pytest.raises(UserError) as caught:
        shelf.staged(old.token)
    assert code_of(caught) == "staged_unknown"
    with pytest.raises(UserError):
        other.staged(kept.token)
    other.close()
    assert not fresh.folder.exists() and shelf.staged(kept.token) is kept


def test_a_refused_upload_leaves_nothing(tmp_path: Path, shelf: Shelf) -> None:
    small = Shelf(tmp_path, Limits(file_bytes=10))
    for each, path, code in (
        (small, dropped(tmp_path), "ingest_too_large"),
        (shelf, dropped(tmp_path, "a.exe", b"MZ"), "ingest_kind"),
        (shelf, dropped(tmp_path, "a.zip", b"PK\x03\x04nothing"), "archive_broken"),
    ):
        with pytest.raises(UserError) as caught:
            each.receive(path)
        assert code_of(caught) == code
    assert {each.name for each in (shelf.folder / ".staging").iterdir() if each.is_dir()} == set()


def test_pictures_may_come_beside_a_table(tmp_path: Path, shelf: Shelf) -> None:
    table = dropped(
        tmp_path,
        "t.jsonl",
        jsonl(
            [{"image": "a.png", "caption": "A red field."}, {"image": "huge.png", "caption": "Too large."}]
        ),
    )
    shelf.limits = Limits(megapixels=0.01)
    media = [dropped(tmp_path, "a.png", picture()), dropped(tmp_path, "huge.png", picture("red", (200, 100)))]
    staged = shelf.receive(table, "Bilder.jsonl", media)
    assert (staged.source, staged.media) == ("Bilder.jsonl", 2)
    shape = shelf.recognise(staged.token)
    found = shelf.check(staged.token, Plan((), shape.mapping)).wait(WAIT_S)
    assert (found.usable, found.counts) == (1, {"row_image_large": 1})
    shelf.register(staged.token, Plan((), shape.mapping), "bilder").wait(WAIT_S)
    # The pictures are not in the original; they are kept for the next change all the same.
    again, plan = shelf.change("bilder")
    assert shelf.check(again.token, plan).wait(WAIT_S).usable == 1


def test_a_check_is_stopped_by_the_next_one(tmp_path: Path, shelf: Shelf) -> None:
    staged = shelf.receive(dropped(tmp_path, "big.jsonl", TABLE * 3000))
    plan = Plan((), shelf.recognise(staged.token).mapping)
    first, second = shelf.check(staged.token, plan), shelf.check(staged.token, plan)
    assert second.wait(WAIT_S).rows == 9000
    try:
        assert first.wait(WAIT_S).rows == 9000
    except UserError as error:
        assert error.code == "ingest_stopped" and first.error is error and first.result is None
