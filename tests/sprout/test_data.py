"""The datasets that ship can be read and are what they say."""

from __future__ import annotations

import json
from typing import Any

from PIL import Image

from tests.sprout.asking import DATA, sprout_scripts
from trainer.config import RunConfig
from trainer.dataset.load import load_rows


def _rows(dataset: str, **names: str) -> Any:
    flat = {
        "model_name_or_path": "x",
        "dataset_dir": str(DATA),
        "dataset": dataset,
        "output_dir": "y",
        **names,
    }
    return load_rows(RunConfig.from_flat(flat).data, seed=1)


def _read(name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((DATA / name).read_text(encoding="utf-8"))
    return found


def test_every_dataset_loads_without_a_problem() -> None:
    for name, least in (
        ("identity", 90), ("ner_demo", 400), ("chat_demo", 60), ("guide_demo", 60), ("guard", 60), ("guide_demo_eval", 40),
    ):  # fmt: skip
        rows = _rows(name)
        assert len(rows.train) >= least
        assert rows.problems == []


def test_identity_names_both_in_most_rows_and_both_languages() -> None:
    rows = _read("identity.json")
    chinese = [row for row in rows if any("\u4e00" <= char <= "\u9fff" for char in row["instruction"])]
    assert 0.4 < len(chinese) / len(rows) < 0.6
    assert sum("{{name}}" in row["output"] and "{{author}}" in row["output"] for row in rows) > 0.8 * len(
        rows
    )


def test_ner_demo_holds_triples_that_stand_in_the_sentence() -> None:
    rows = _read("ner_demo.json")
    assert len({row["input"] for row in rows}) == len(rows)
    for row in rows:
        for triple in json.loads(row["output"]):
            assert list(triple) == ["subject", "predicate", "object"]
            assert triple["subject"] in row["input"]
            assert triple["object"] in row["input"]


def test_ner_demo_is_what_its_script_writes() -> None:
    with sprout_scripts("ner_demo") as (ner_demo,):
        assert list(ner_demo.rows(480, 11)) == _read("ner_demo.json")


def test_chat_demo_has_turns_and_system_prompts() -> None:
    lines = (DATA / "chat_demo.jsonl").read_text(encoding="utf-8").splitlines()
    chats = [json.loads(line)["messages"] for line in lines]
    assert sum(chat[0]["role"] == "system" for chat in chats) >= 10
    for chat in chats:
        turns = [message["role"] for message in chat if message["role"] != "system"]
        assert turns == ["user", "assistant"] * (len(turns) // 2)
        assert len(turns) >= 4


def test_guide_demo_is_what_its_script_writes() -> None:
    with sprout_scripts("guide_demo") as (guide,):
        for number, (name, (each, plain, folder)) in enumerate(guide.SPLITS.items()):
            made = guide.make(guide.SEED + number, each, plain, folder)
            assert [row for row, _ in made] == _read(f"{name}.json")
            for row, picture in made:
                with Image.open(DATA / row["images"][0]) as found:
                    assert found.size == picture.size


def test_guide_demo_and_its_evaluation_share_no_drawing() -> None:
    seen = {path.read_bytes() for path in (DATA / "guide_demo").glob("*.png")}
    unseen = {path.read_bytes() for path in (DATA / "guide_demo" / "eval").glob("*.png")}
    assert len(seen) == len(_read("guide_demo.json"))
    assert len(unseen) == len(_read("guide_demo_eval.json"))
    assert not seen & unseen


def test_guide_demo_has_a_system_prompt_and_a_mark_for_each_picture() -> None:
    rows = _read("guide_demo.json")
    assert 60 <= len(rows) <= 150
    told = [row for row in rows if row["messages"][-1]["content"].startswith(("Welcome", "各位来宾"))]
    assert len(told) >= 0.6 * len(rows)
    assert sum(row["messages"][0]["role"] == "system" for row in told) >= 0.6 * len(told)
    for row in rows:
        marks = sum(message["content"].count("<image>") for message in row["messages"])
        assert marks == len(row["images"]) == 1
