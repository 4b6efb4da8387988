"""Texts for pre-training as they are shown before they are trained."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.train import tiny
from trainer.config import RunConfig
from trainer.dataset.conversation import Row, RowProblem, message
from trainer.dataset.entry import parse_entry
from trainer.dataset.gate import holds
from trainer.dataset.gather import gather
from trainer.dataset.info import choose
from trainer.dataset.plain import TextRenderer, renderer_of
from trainer.dataset.report import facts
from trainer.dataset.rows import Reading, read_rows
from trainer.errors import UserError
from trainer.jobs.sight import Sight
from trainer.options import DataOptions
from trainer.paths import DATA

TEXTS = ["red sun\n\n  blue ", "one {{name}} two", "", None, "three", "half \ud83d"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("texts")
    (folder / "some.json").write_text(json.dumps([{"text": text} for text in TEXTS]))
    (folder / "pairs.json").write_text(json.dumps([{"q": "red", "more": "sun", "a": "never"}]))
    (folder / "seen.json").write_text(json.dumps([{"instruction": "red", "images": ["a.png"]}]))
    entries: dict[str, Any] = {
        "some": {"file_name": "some.json", "columns": {"prompt": "text"}},
        "pairs": {"file_name": "pairs.json", "columns": {"prompt": "q", "query": "more", "response": "a"}},
        "seen": {"file_name": "seen.json"},
        "talk": {"file_name": "some.json", "formatting": "openai"},
    }
    (folder / "dataset_info.json").write_text(json.dumps(entries))
    return folder


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.save_model(tmp_path_factory.mktemp("models") / "tiny")


def _rows(folder: Path, name: str) -> list[Row | RowProblem]:
    (info,) = choose(folder, [name], "pt")
    return list(read_rows(info, Reading(plain=True)))


def test_a_text_is_read_as_it_stands(folder: Path) -> None:
    found = _rows(folder, "some")
    good = [each.conversation.messages[0].text for each in found if isinstance(each, Row)]
    assert good == [TEXTS[0], TEXTS[1], TEXTS[4]]
    codes = [each.code for each in found if isinstance(each, RowProblem)]
    assert codes == ["row_missing", "row_missing", "row_half_character"]
    assert all(each.text for each in found if isinstance(each, RowProblem))


def test_only_the_prompt_of_a_pair_counts(folder: Path) -> None:
    (row,) = _rows(folder, "pairs")
    assert isinstance(row, Row)
    assert [each.text for each in row.conversation.messages] == ["red\nsun"]


def test_pictures_and_conversations_are_no_texts(folder: Path) -> None:
    (row,) = _rows(folder, "seen")
    assert isinstance(row, RowProblem) and row.code == "pretraining_media" and "images" in row.text
    with pytest.raises(UserError, match="conversations"):
        choose(folder, ["talk"], "pt")
    with pytest.raises(UserError, match="stage to pt"):
        choose(folder, ["some"])


def test_an_entry_of_texts_is_barred_for_answers_only() -> None:
    for columns in ({"prompt": "text"}, {"prompt": "text", "system": "s"}):
        info = parse_entry(Path(), "wiki", {"file_name": "wiki.txt", "columns": columns})
        assert info.refusal and info.texts_only and info.barred is None
    assert parse_entry(Path(), "bad", {"file_name": "x", "columns": {"query": "q"}}).barred


class _Llama:
    """A tokenizer that begins every text with a token of its own."""

    def __new__(cls, folder: Path) -> Any:
        from tokenizers.processors import TemplateProcessing
        from transformers import AutoTokenizer

        tokenizer = AutoTokenizer.from_pretrained(folder)
        start = tokenizer.convert_tokens_to_ids("<|im_start|>")
        tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
            single="<|im_start|> $A", special_tokens=[("<|im_start|>", start)]
        )
        return tokenizer


def test_the_tokenizer_s_own_beginning_stays_and_is_shown(model: Path) -> None:
    tokenizer = _Llama(model)
    renderer = renderer_of(tokenizer, "", DataOptions(stage="pt"))
    assert isinstance(renderer, TextRenderer)
    (row,) = _documents("red sun é 你好")
    tokens = renderer.explain(row)
    assert tokens.rendered.input_ids == [*tokenizer("red sun é 你好")["input_ids"], tokenizer.eos_token_id]
    assert tokens.text == "<|im_start|>red sun é 你好<|im_end|>"
    assert tokens.text[slice(*tokens.offsets[-1])] == "<|im_end|>"
    assert tokens.rendered == renderer.render(row) == next(iter(renderer.render_many([row])))
    asked = renderer.prompt([message("user", "red")])
    assert asked == tokenizer("red")["input_ids"]


def _documents(*texts: str) -> list[Any]:
    from trainer.dataset.conversation import Conversation

    return [Conversation((message("assistant", text),)) for text in texts]


def test_an_evaluation_s_text_is_cut_and_says_so(model: Path) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(model)
    renderer = TextRenderer(tokenizer, "", DataOptions(stage="pt", cutoff_len=6), cut=True)
    rendered = renderer.render(_documents("red green blue one two three sun moon")[0])
    assert (len(rendered.input_ids), rendered.cut, rendered.length > 6) == (6, True, True)


@pytest.mark.parametrize("packing", [True, False])
def test_what_is_shown_is_what_is_trained(model: Path, tmp_path: Path, packing: bool) -> None:
    config = RunConfig.from_flat(
        {
            "model_name_or_path": str(model), "dataset": "text_demo", "dataset_dir": str(DATA), "stage": "pt",
            "cutoff_len": 40, "packing": packing, "val_size": 10,
        }
    )  # fmt: skip
    sight = Sight(tmp_path)
    page = sight.preview(config, 1, 3)
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(model)
    first = json.loads((DATA / "text_demo.jsonl").read_text(encoding="utf-8").splitlines()[0])["text"]
    assert page.rows[0].input_ids == (*tokenizer(first)["input_ids"], tokenizer.eos_token_id)
    assert "".join(piece.text for piece in page.rows[0].pieces) == f"{first}{tokenizer.eos_token}"
    assert all(piece.trained for row in page.rows for piece in row.pieces)
    totals = sight.count(config)
    trained = gather(renderer_of(tokenizer, "", config.data), config.data, 42, folder=tmp_path).train
    assert (totals.rows, totals.evaluation, totals.dropped) == (90, 10, 0)
    assert (totals.places, totals.trained) == (len(trained), trained.trained)
    assert totals.steps and totals.steps.per_epoch == -(
        -len(trained) // config.train.per_device_train_batch_size
    )
    told = {fact.code: fact.values for fact in facts(totals)}
    assert told["seen_joined" if packing else "seen_split"]["rows"] == len(trained)
    assert holds(totals) == ()


def test_new_words_are_seen_before_they_are_trained(model: Path, folder: Path, tmp_path: Path) -> None:
    flat = {"model_name_or_path": str(model), "dataset": "pairs", "dataset_dir": str(folder), "stage": "pt"}
    sight = Sight(tmp_path)
    (before,) = sight.preview(RunConfig.from_flat(flat), 1, 1).rows
    (after,) = sight.preview(RunConfig.from_flat({**flat, "add_tokens": "red\nsun"}), 1, 1).rows
    assert len(after.input_ids) == 2 < len(before.input_ids)
