"""What is asked while a model learns: questions of one's own, those of rows, and others about a row's pictures."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.train import gallery, tiny
from tests.train.test_vision import Configure, configure, data, folders, pixels_folder  # noqa: F401
from trainer.chat.engine import ChatEngine
from trainer.chat.request import Request
from trainer.config import RunConfig
from trainer.dataset.conversation import Media
from trainer.errors import UserErrors
from trainer.events import Note, Sample, decode, encode
from trainer.values import named_row


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("row:3", (3, "")), (" ROW: 12 ", (12, "")), ("row:3 What is this?", (3, "What is this?")),
        ("row:3\n这是什么？", (3, "这是什么？")), ("row:0", (0, "")), ("row:3x", (0, "")), ("row:", (0, "")),
        ("the row:3", (0, "")), ("row:-1", (0, "")), ("row:٣", (0, "")), ("", (0, "")),
    ],
)  # fmt: skip
def test_a_line_names_a_row_or_it_does_not(line: str, found: tuple[int, str]) -> None:
    assert named_row(line) == found


def test_a_line_that_means_no_row_is_refused_beside_its_option() -> None:
    with pytest.raises(UserErrors) as caught:
        RunConfig.from_flat(
            {"model_name_or_path": "Sprout", "dataset": "identity", "learn_prompts": ["row:x", "row:0"]}
        )
    assert [(each.code, each.field) for each in caught.value.problems] == [
        ("learn_row_unknown", "learn_prompts")
    ] * 2


def test_a_sample_with_pictures_comes_back_from_its_line() -> None:
    sample = Sample(step=3, prompt="row:1", answer="a", question="b", media=("row-1-1.jpg",), at=1.0)
    assert decode(encode(sample)) == sample
    assert decode('{"kind": "Sample", "step": 1, "prompt": "p", "answer": "a", "at": 1.0}') == Sample(
        step=1, prompt="p", answer="a", at=1.0
    )


def test_rows_are_asked_with_their_pictures_as_the_chat_asks(
    configure: Configure,  # noqa: F811
    data: Path,  # noqa: F811
    folders: Callable[[str], Path],  # noqa: F811
) -> None:
    """The answer of the untrained model is the one that the chat gives to the same question and picture."""
    asked = ["row:1", "row:3 red sun", "green tree"]
    run = tiny.train(
        configure(dataset="mixed", learn_prompts=asked, learn_steps=2, max_steps=3, max_new_tokens=12)
    )
    samples = run.of(Sample)
    assert [(each.step, each.prompt) for each in samples] == [
        (step, each) for step in (0, 2, 3) for each in asked
    ]
    rows = [gallery.row(number, gallery.MARKS[number]) for number in range(3)]
    own = rows[0]["messages"][0]["content"].removeprefix("<image>")
    assert [each.question for each in samples[:3]] == [own, "red sun", ""]
    assert [each.media for each in samples[:3]] == [("row-1-1.jpg",), ("row-3-1.jpg", "row-3-2.jpg"), ()]
    with Image.open(run.folder / "row-3-2.jpg") as small:
        assert max(small.size) <= 192

    engine = ChatEngine()
    engine.load(str(folders("qwen2_vl")), data=configure().data)
    for sample, row in zip(samples, (rows[0], rows[2], None), strict=False):
        pictures = tuple(Media("image", path=data / name) for name in row["images"]) if row else ()
        request = Request(
            question=sample.question or sample.prompt, media=pictures, max_new_tokens=12, temperature=0.0
        )
        assert list(engine.stream(request))[-1].text == sample.answer
    engine.unload()


@pytest.mark.parametrize("family", ["qwen2_vl", "qwen3_vl", "gemma3", "internvl"])
def test_asking_changes_nothing_that_is_learned(configure: Configure, family: str) -> None:  # noqa: F811
    options: dict[str, Any] = {"max_steps": 3, "lora_dropout": 0.2, "max_new_tokens": 4}
    silent = tiny.train(configure(family, "silent", **options))
    asked = tiny.train(
        configure(family, "asked", learn_prompts=["row:1", "red", "row:2"], learn_steps=1, **options)
    )
    assert len(asked.of(Sample)) == 12
    assert asked.losses == silent.losses


def test_a_row_of_the_evaluation_is_asked_and_what_cannot_be_asked_is_told(
    configure: Configure,  # noqa: F811
    data: Path,  # noqa: F811
) -> None:
    rows = [gallery.row(1, (1,)), gallery.row(2, (1,)), {"messages": [{"role": "user", "content": "x"}]}]
    rows[0]["messages"].insert(0, {"role": "system", "content": "star"})
    rows[1]["images"] = ["gone.png"]
    (data / "held.json").write_text(json.dumps(rows), encoding="utf-8")
    info = json.loads((data / "dataset_info.json").read_text(encoding="utf-8"))
    tags = {**gallery.TAGS, "system_tag": "system"}
    info["held"] = {**info["shown"], "file_name": "held.json", "tags": tags}
    (data / "dataset_info.json").write_text(json.dumps(info), encoding="utf-8")
    run = tiny.train(
        configure(dataset="said", eval_dataset="held", learn_prompts=["row:1", "row:3", "row:9"], max_steps=1)
    )
    assert {(each.prompt, each.media) for each in run.of(Sample)} == {("row:1", ("row-1-1.jpg",))}
    told = {each.code: each for each in run.of(Note)}
    assert told["learn_row_unusable"].values["number"] == 3
    assert told["learn_row_missing"].values == {"number": 9, "name": "held"}


def test_a_text_model_is_asked_what_its_rows_ask(tmp_path: Path) -> None:
    folder = tiny.save_model(tmp_path / "model")
    tiny.save_data(tmp_path)
    run = tiny.train(RunConfig.from_flat({
        "model_name_or_path": str(folder), "dataset": "rows", "dataset_dir": str(tmp_path), "max_steps": 1,
        "output_dir": str(tmp_path / "run"), "learn_prompts": ["row:2"], "compute_type": "fp32", "cutoff_len": 128,
    }))  # fmt: skip
    assert {each.question for each in run.of(Sample)} == {tiny.rows(2)[1]["instruction"]}
    assert [each.step for each in run.of(Sample)] == [0, 1]
