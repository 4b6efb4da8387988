"""A corrected answer goes into a dataset: a new one, one of corrections, one that a person brought in; whole or not at all."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.dataset.ingest.staging import jsonl, picture
from tests.evaluate.lines import line
from trainer.dataset.conversation import Conversation, Row, message
from trainer.dataset.info import choose
from trainer.dataset.ingest.cupboard import Cupboard
from trainer.dataset.ingest.plan import Plan
from trainer.dataset.ingest.recipe import read_recipe
from trainer.dataset.rows import Reading, read_rows
from trainer.errors import UserError
from trainer.evaluate.correct import add_correction, conversation_of
from trainer.evaluate.lines import read_line
from trainer.evaluate.shown import Corrected, TableRow
from trainer.jobs.shelf import Shelf
from trainer.options import DataOptions

WAIT_S = 240
ASKED = Conversation((message("user", "Who are you?"), message("assistant", "Nobody.")), "Be kind.")
LONG = Conversation(
    (
        message("user", "Hi."),
        message("assistant", "Hello."),
        message("user", "Bye?"),
        message("assistant", "No."),
    )
)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "dataset_info.json").write_text('{"hand": {"file_name": "hand.json"}}')
    (folder / "hand.json").write_text('[{"instruction": "a", "output": "b"}]')
    return folder


def add(data: Path, name: str, answer: str = "I am Momo.", asked: Conversation = ASKED) -> Corrected:
    cupboard = Cupboard(data)
    with cupboard.changing():
        return add_correction(cupboard, name, asked, answer)


def conversations(data: Path, name: str) -> list[Conversation]:
    (info,) = choose(data, [name])
    found = list(read_rows(info, Reading(dataset_dir=str(data))))
    assert all(isinstance(each, Row) for each in found), found
    return [each.conversation for each in found if isinstance(each, Row)]


def said(conversation: Conversation) -> list[str]:
    return [each.text for each in conversation.messages]


def registered(data: Path, name: str, rows: list[dict[str, Any]], source: str = "given.jsonl") -> None:
    path = data.parent / source
    path.write_bytes(jsonl(rows))
    shelf = Shelf(data.parent)
    staged = shelf.receive(path)
    shelf.register(staged.token, Plan((), shelf.recognise(staged.token).mapping), name).wait(WAIT_S)
    shelf.close()


def code(data: Path, *given: Any) -> tuple[str, str]:
    with pytest.raises(UserError) as wrong:
        add(data, *given)
    return wrong.value.code, wrong.value.field


def test_a_new_dataset_grows_with_each_correction(data: Path) -> None:
    assert add(data, "corrections") == Corrected("corrections", 1, True)
    assert add(data, "corrections", "No, goodbye.", LONG) == Corrected("corrections", 2, False)
    first, second = conversations(data, "corrections")
    assert first.system == "Be kind." and said(first) == ["Who are you?", "I am Momo."]
    assert said(second) == ["Hi.", "Hello.", "Bye?", "No, goodbye."]
    recipe = read_recipe(data / "corrections")
    assert recipe and (recipe.rows, recipe.registered, recipe.added) == (2, 2, 0)
    shelf = Shelf(data.parent)
    assert shelf.get("corrections").ours and shelf.get("corrections").rows == 2
    # Mapped anew from what is kept, it is the same again.
    staged, plan = shelf.change("corrections")
    assert staged.notes == ()
    shelf.register(staged.token, plan, "corrections").wait(WAIT_S)
    shelf.close()
    assert [said(each) for each in conversations(data, "corrections")] == [said(first), said(second)]


def test_pictures_come_along(data: Path) -> None:
    (data / "cat.png").write_bytes(picture())
    entry = {"file_name": "seen.json", "columns": {"prompt": "q", "response": "a", "images": "i"}}
    (data / "dataset_info.json").write_text(json.dumps({"seen": entry}))
    (data / "seen.json").write_text(
        json.dumps([{"q": "See <image> here: what?", "a": "A dog.", "i": ["cat.png"]}])
    )
    asked = conversation_of(
        row(dataset="seen", number=1, question="See  here: what?"), DataOptions(dataset_dir=str(data))
    )
    add(data, "corrections")
    add(data, "corrections", "A cat.", asked)
    (data / "cat.png").unlink()
    plain, seen = conversations(data, "corrections")
    assert plain.media == () and said(seen) == ["See  here: what?", "A cat."]
    assert seen.media[0].path and seen.media[0].path.read_bytes() == picture()
    shelf = Shelf(data.parent)
    staged, plan = shelf.change("corrections")
    shelf.register(staged.token, plan, "corrections").wait(WAIT_S)
    shelf.close()
    assert conversations(data, "corrections")[1].media[0].path


def test_a_registered_dataset_keeps_its_columns_and_its_original(data: Path) -> None:
    registered(data, "mine", [{"question": "Eins?", "answer": "1"}, {"question": "Zwei?", "answer": "2"}])
    before = (data / "mine" / "original" / "given.jsonl").read_bytes()
    assert add(data, "mine", "I am Momo.", LONG) == Corrected("mine", 3, False)
    assert add(data, "mine") == Corrected("mine", 4, False)
    found = conversations(data, "mine")
    assert [said(each)[-1] for each in found] == ["1", "2", "I am Momo.", "I am Momo."]
    assert said(found[2])[:2] == ["Hi.", "Hello."] and found[3].system == "Be kind."
    assert (data / "mine" / "original" / "given.jsonl").read_bytes() == before
    recipe = read_recipe(data / "mine")
    assert recipe and (recipe.rows, recipe.registered, recipe.added) == (2, 4, 2)
    shelf = Shelf(data.parent)
    staged, _ = shelf.change("mine")
    assert [(each.code, each.values) for each in staged.notes] == [("change_without_added", {"count": 2})]
    shelf.close()


def test_a_dataset_of_conversations_keeps_its_words(data: Path) -> None:
    talk = [{"conversations": [{"from": "human", "value": "Hi."}, {"from": "gpt", "value": "Ho."}]}] * 3
    registered(data, "talk", talk)
    add(data, "talk", "I am Momo.")
    last = json.loads((data / "talk" / "rows.jsonl").read_text(encoding="utf-8").splitlines()[-1])
    assert [each["from"] for each in last["conversations"]][-2:] == ["human", "gpt"]
    found = conversations(data, "talk")[-1]
    assert found.system == "Be kind." and said(found) == ["Who are you?", "I am Momo."]


def test_what_cannot_be_is_refused_and_changes_nothing(data: Path) -> None:
    pairs = [{"prompt": f"{n}?", "chosen": "good answer", "rejected": "bad"} for n in range(3)]
    registered(data, "pairs", pairs)
    registered(data, "texts", [{"text": "Once upon a time there was a story."}] * 3, "texts.jsonl")
    before = {path: path.read_bytes() for path in data.rglob("*.json*") if ".staging" not in path.parts}
    assert code(data, "hand") == ("correct_not_ours", "name")
    assert code(data, "texts") == ("correct_texts", "name")
    assert code(data, "pairs") == ("correct_pairs", "name")
    assert code(data, "../x") == ("dataset_name_signs", "name") and code(data, "") == (
        "dataset_name_empty",
        "name",
    )
    assert code(data, "corrections", " \n") == ("correct_empty", "answer")
    assert code(data, "corrections", "x" * 100_001) == ("correct_long", "answer")
    assert code(data, "corrections", "half \ud83d")[0] == "correct_shape"
    assert {
        path: path.read_bytes() for path in data.rglob("*.json*") if ".staging" not in path.parts
    } == before


@pytest.mark.parametrize("stroke", ["noted", "old away", "placed", "entered"])
def test_a_crash_leaves_the_old_rows_or_the_new(data: Path, stroke: str) -> None:
    add(data, "corrections")

    class Crash(BaseException):
        pass

    class Falling(Cupboard):
        def checkpoint(self, at: str) -> None:
            if at == stroke:
                # As if the process were gone: nothing of this object tidies up.
                self._settle = lambda: None  # type: ignore[method-assign]
                raise Crash

    cupboard = Falling(data)
    with pytest.raises(Crash), cupboard.changing():
        add_correction(cupboard, "corrections", ASKED, "New.")
    with Cupboard(data).changing():
        pass
    answers = [said(each)[-1] for each in conversations(data, "corrections")]
    assert answers in (["I am Momo."], ["I am Momo.", "New."])


def row(**values: Any) -> TableRow:
    made = read_line(json.dumps(line(0, **values)).encode())
    assert made is not None
    return made


def test_what_was_asked_comes_from_the_dataset_or_from_the_row_itself(data: Path) -> None:
    options = DataOptions(dataset_dir=str(data))
    known = conversation_of(row(dataset="hand", number=1, question="a", system="default"), options)
    assert said(known) == ["a", "b"] and known.system == ""
    for changed in (
        {"question": "other"},
        {"question": "a", "number": 2},
        {"question": "a", "dataset": "gone"},
    ):
        alone = conversation_of(row(**{"dataset": "hand", "number": 1, "system": "S", **changed}), options)
        assert said(alone)[0] == changed["question"] and alone.system == "S"
    for lost, expected in (({"turns": 2}, "correct_turns"), ({"media": ["/x.png"]}, "correct_media")):
        with pytest.raises(UserError) as wrong:
            conversation_of(row(dataset="gone", **lost), options)
        assert wrong.value.code == expected
