"""tokenized_path keeps rendered rows; other people's folders are read or refused with a sentence."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import datasets
import pytest

from tests.dataset.test_cache import CHATML, renderer, rows, same, write
from tests.dataset.tokenizers import own, tokenizer
from trainer.dataset import tokenized
from trainer.dataset.gather import Gathered, gather
from trainer.errors import UserError

TOKENS = tokenizer(CHATML)


def gathered(folder: Path, **changes: Any) -> Gathered:
    data = replace(write(folder / "data", a=rows("a", 9), b=rows("b", 5)), **changes)
    return gather(renderer(data), data, 42, folder=folder / "cache")


@pytest.mark.parametrize("each", [False, True])
def test_what_was_kept_is_read_again(each: bool, tmp_path: Path) -> None:
    found = gathered(tmp_path, val_size=4, eval_on_each_dataset=each)
    folder = tmp_path / "deep" / "kept"
    assert not tokenized.has_rows(folder)
    data = write(tmp_path / "data", a=rows("a", 1))
    assert tokenized.save(folder, found, TOKENS, renderer(data)).code == "tokenized_saved"
    assert tokenized.has_rows(folder)
    again = tokenized.read(folder, TOKENS, renderer(data))
    assert same(again, replace(found, problems=[]))
    assert [note.code for note in again.notes] == ["tokenized_read"]
    assert sorted(each.name for each in folder.parent.iterdir()) == ["kept"]


def test_rows_of_another_template_or_with_half_a_file_are_refused(tmp_path: Path) -> None:
    found, folder = gathered(tmp_path), tmp_path / "kept"
    folder.mkdir()
    data = write(tmp_path / "data", a=rows("a", 1))
    tokenized.save(folder, found, TOKENS, renderer(data))
    other = own("llama3")
    with pytest.raises(UserError) as error:
        tokenized.read(folder, tokenizer(other), renderer(data, other))
    assert error.value.code == "tokenized_other_model"
    (folder / "train" / "labels.bin").write_bytes(b"123")
    with pytest.raises(UserError) as error:
        tokenized.read(folder, TOKENS, renderer(data))
    assert error.value.code == "tokenized_unusable" and "cut short" in error.value.text


def test_a_folder_with_other_things_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(UserError) as error:
        tokenized.has_rows(tmp_path)
    assert error.value.code == "tokenized_other_files" and "thesis.txt" in error.value.text
    with pytest.raises(UserError) as error:
        tokenized.has_rows(tmp_path / "thesis.txt")
    assert error.value.code == "tokenized_unusable"


def theirs(folder: Path, **more: list[Any]) -> Path:
    """A folder as LLaMA-Factory leaves it."""
    train = {
        "input_ids": [[5, 6, 7], [8, 9]], "attention_mask": [[1, 1, 1], [1, 1]], "labels": [[-100, 6, 7], [-100, -100]],
        "images": [None, None], "videos": [None, None], "audios": [None, None], **more,
    }  # fmt: skip
    held = {"input_ids": [[5, 6]], "labels": [[5, 6]]}
    splits = {"train": datasets.Dataset.from_dict(train), "validation_b": datasets.Dataset.from_dict(held)}
    datasets.DatasetDict(splits).save_to_disk(str(folder))
    return folder


def test_the_folder_of_another_program(tmp_path: Path) -> None:
    folder = theirs(tmp_path / "theirs")
    data = write(tmp_path / "data", a=rows("a", 1))
    assert tokenized.has_rows(folder)
    found = tokenized.read(folder, TOKENS, renderer(data))
    assert [(row.input_ids, row.labels, row.trained) for row in found.train] == [
        ([5, 6, 7], [-100, 6, 7], 2), ([8, 9], [-100, -100], 0),
    ]  # fmt: skip
    assert {name: len(part) for name, part in found.parts.items()} == {"b": 1}
    assert [note.code for note in found.notes] == ["tokenized_read_foreign"]


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"position_ids": [[0, 1, 2], [0, 1]]}, "packed"),
        ({"images": [["cat.png"], None]}, "images"),
        ({"labels": [[1], [1]]}, "more labels"),
        ({"input_ids": [[10**6, 1, 1], [1, 1]]}, "another tokenizer"),
    ],
)
def test_the_folder_of_another_program_that_does_not_fit(more: Any, words: str, tmp_path: Path) -> None:
    data = write(tmp_path / "data", a=rows("a", 1))
    with pytest.raises(UserError, match=words):
        tokenized.read(theirs(tmp_path / "theirs", **more), TOKENS, renderer(data))
