"""The preview shows what is trained, and the counts are those of training."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.dataset import shots
from tests.dataset import tokenizers as tk
from tests.dataset.tokenizers import tokenizer
from trainer.config import RunConfig
from trainer.dataset import counting, gate, tokenized
from trainer.dataset.doctor import RowView, count, count_steps, preview
from trainer.dataset.duplicates import Place, Twin
from trainer.dataset.gather import gather
from trainer.dataset.load import load_rows
from trainer.dataset.packing import fit
from trainer.dataset.render import IGNORED, Renderer, render_all
from trainer.dataset.report import facts, lines, to_json
from trainer.dataset.statistics import with_steps
from trainer.errors import UserError
from trainer.options import DataOptions

# Takes no row that speaks of 1.
REFUSING = (
    "{% for m in messages %}{% if '问 1' in m.content %}{{ raise_exception('not today') }}{% endif %}"
    "<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


@pytest.fixture
def options(tmp_path: Path) -> DataOptions:
    rows: list[Any] = [
        {
            "instruction": f"问 {number}",
            "output": "答 🙂 " * (1 + number % 4),
            "system": "S" if number % 2 else "",
        }
        for number in range(23)
    ]
    rows[4] = {"instruction": "no answer"}
    rows[7] = {"instruction": "long " * 40, "output": "short"}
    (tmp_path / "mine.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    (tmp_path / "dataset_info.json").write_text('{"mine": {"file_name": "mine.jsonl"}}')
    return DataOptions(dataset=("mine",), dataset_dir=str(tmp_path), cutoff_len=100)


def every_view(tokens: Any, options: DataOptions, size: int) -> list[RowView]:
    views: list[RowView] = []
    page = 0
    more = True
    while more:
        page += 1
        rows, more = preview(tokens, options, page, size)
        assert 0 < len(rows) <= size
        views.extend(rows)
    return views


@pytest.mark.parametrize("template", ["chatml", "llama3"])
def test_what_is_shown_is_what_is_trained(options: DataOptions, template: str) -> None:
    tokens = tokenizer(tk.own(template))
    views = every_view(tokens, options, 5)
    assert [view.number for view in views] == list(range(1, 24))
    assert views == every_view(tokens, options, 23)
    trained = render_all(Renderer(tokens, "", options), load_rows(options, 42).train).rows
    usable = [view for view in views if view.problem is None]
    assert [(list(v.input_ids), list(v.labels), v.trained, v.cut) for v in usable] == [
        (r.input_ids, r.labels, r.trained, r.cut) for r in trained
    ]
    for view in usable:
        if not view.cut:
            assert "".join(piece.text for piece in view.pieces) == tokens.decode(view.input_ids)
        shown = "".join(piece.text for piece in view.pieces if piece.trained)
        assert shown == tokens.decode([each for each in view.labels if each != IGNORED])
        assert [piece.special for piece in view.pieces if piece.text == "<|im_end|>"] == [True] * len(
            [piece for piece in view.pieces if piece.text == "<|im_end|>"]
        )
        assert not any(piece.special for piece in view.pieces if "答" in piece.text)


def test_rows_with_problems_are_in_their_place(options: DataOptions) -> None:
    tokens = tokenizer(tk.own("chatml"))
    view = preview(tokens, options, 1, 10).rows[4]
    assert view.problem is not None and view.problem.text == "mine, row 5: there is no answer (output)."
    assert (view.pieces, view.input_ids) == ((), ())
    refused = preview(tokenizer(REFUSING), options, 1, 2).rows[1]
    assert refused.problem is not None and "not today" in refused.problem.text
    cut = preview(tokens, options, 1, 10).rows[7]
    assert cut.cut and cut.length > 100 == len(cut.input_ids)


def test_the_first_page_reads_no_further(options: DataOptions) -> None:
    with (Path(options.dataset_dir) / "mine.jsonl").open("ab") as file:
        file.write(b"\n" + b'{"instruction": "q", "output": "a"}\n' * 100_000 + b"\xff")
    assert preview(tokenizer(tk.own("chatml")), options, 1, 10).more
    with pytest.raises(UserError, match="cannot be read"):
        preview(tokenizer(tk.own("chatml")), options, 10_002, 10)


@pytest.mark.parametrize("most", [None, 7])
def test_pages_go_on_from_one_dataset_to_the_next(tmp_path: Path, most: int | None) -> None:
    lengths = {"one": 5, "two": 12, "three": 1}
    for name, length in lengths.items():
        rows = [{"instruction": f"{name} {row}", "output": "a"} for row in range(length)]
        (tmp_path / f"{name}.json").write_text(json.dumps(rows))
    info = {name: {"file_name": f"{name}.json"} for name in lengths}
    (tmp_path / "dataset_info.json").write_text(json.dumps(info))
    options = DataOptions(dataset=tuple(lengths), dataset_dir=str(tmp_path), max_samples=most)
    expected = [
        (name, row + 1) for name, length in lengths.items() for row in range(min(length, most or length))
    ]
    for size in (1, 3, 4, 5, 17, 18, 30):
        views = every_view(tokenizer(tk.own("chatml")), options, size)
        assert [(view.dataset, view.number) for view in views] == expected, size
    beyond = preview(tokenizer(tk.own("chatml")), options, 9, 10)
    assert (beyond.rows, beyond.more) == ([], False)


def test_what_is_coloured_is_what_the_first_batch_trains(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The tensors are those that a run with LoRA's defaults hands to its model."""
    from tests.train.tiny import save_data, save_model, train
    from trainer.model.load import load_tokenizer
    from trainer.train.collation import Flattened

    seen: list[dict[str, Any]] = []
    collate = Flattened.__call__

    def watch(self: Flattened, items: Any) -> dict[str, Any]:
        seen.append(collate(self, items))
        return seen[-1]

    monkeypatch.setattr(Flattened, "__call__", watch)
    folder, model = save_data(tmp_path), save_model(tmp_path / "model")
    flat = {
        "model_name_or_path": str(model), "dataset": "rows", "dataset_dir": str(folder), "max_steps": 1,
        "output_dir": str(tmp_path / "run"), "cutoff_len": 20, "compute_type": "fp32",
    }  # fmt: skip
    config = RunConfig.from_flat(flat)
    assert config.method.finetuning_type == "lora"
    train(config)
    batch = seen[0]
    sizes = list(batch["row_lengths"])
    assert len(sizes) == config.train.per_device_train_batch_size
    ids, labels = (batch[name][0].split(sizes) for name in ("input_ids", "labels"))
    trained = sorted((row.tolist(), label.tolist()) for row, label in zip(ids, labels, strict=True))

    views = every_view(load_tokenizer(model), config.data, 5)
    # A row's first token is never predicted, so that flattened its label must not be, either.
    shown = [(list(view.input_ids), [IGNORED, *view.labels[1:]]) for view in views if not view.problem]
    assert any(view.cut for view in views)
    assert len(trained) > 1 and all(row in shown for row in trained)
    for view in views:
        coloured = "".join(piece.text for piece in view.pieces if piece.trained)
        assert coloured == load_tokenizer(model).decode([each for each in view.labels if each >= 0])


def test_pictures_are_shown_where_their_tokens_are(tmp_path: Path) -> None:
    import io

    from PIL import Image

    from tests.dataset.processors import processor

    eyes = processor("qwen2_5_vl")
    shots.drawn(120, 90).save(tmp_path / "one.png")
    rows = [{"messages": [
        {"role": "user", "content": "a <image> b"}, {"role": "assistant", "content": "said"},
        {"role": "user", "content": "<image>?"}, {"role": "assistant", "content": "again"},
    ], "images": ["one.png", "one.png"]}]  # fmt: skip
    (tmp_path / "seen.json").write_text(json.dumps(rows))
    entry = {"file_name": "seen.json", "formatting": "openai"}
    entry |= {"columns": {"messages": "messages", "images": "images"}}
    (tmp_path / "dataset_info.json").write_text(json.dumps({"seen": entry}))
    options = DataOptions(dataset=("seen",), dataset_dir=str(tmp_path))
    (view,) = preview(eyes.tokenizer, options, processor=eyes).rows
    assert view.problem is None, view.problem
    assert [(picture.name, picture.kind) for picture in view.pictures] == [("one.png", "image")] * 2
    pad = eyes.tokenizer.convert_tokens_to_ids(eyes.image_token)
    inside = sum(picture.tokens for picture in view.pictures) - view.input_ids.count(pad)
    assert 0 <= inside <= 4, "the cost is the picture's tokens and the marks around them"
    assert Image.open(io.BytesIO(view.pictures[0].thumbnail)).format == "JPEG"
    places = [piece for piece in view.pieces if piece.picture is not None]
    assert [piece.picture for piece in places] == [0, 1]
    assert all(not piece.trained and set(piece.text.split(eyes.image_token)) == {""} for piece in places)

    config = RunConfig(data=options)
    assert count(eyes.tokenizer, config, eyes).pictures == 2
    # Cut before the second turn: one picture is left, and it is the first.
    short = replace(options, cutoff_len=view.length - 12)
    (view,) = preview(eyes.tokenizer, short, processor=eyes).rows
    assert view.problem is None and view.cut
    assert len(view.pictures) == 1
    assert {piece.picture for piece in view.pieces} == {None, 0}


def test_counts_are_those_of_training(options: DataOptions) -> None:
    tokens = tokenizer(tk.own("chatml"))
    config = RunConfig(data=options).with_values(
        val_size=4.0, per_device_train_batch_size=2, gradient_accumulation_steps=4, num_train_epochs=2.0
    )
    totals = count(tokens, config)
    rows = load_rows(config.data, config.train.seed)
    trained = render_all(Renderer(tokens, "", config.data), rows.train)
    lengths = [row.length for row in trained.rows]
    assert (totals.rows, totals.evaluation, totals.dropped, len(totals.problems)) == (18, 4, 1, 1)
    assert totals.reasons == {"row_no_answer": 1}
    assert totals.tokens == sum(len(row.input_ids) for row in trained.rows)
    assert (totals.trained, totals.longest, totals.cut) == (trained.trained, trained.longest, trained.cut)
    assert totals.steps == (3, 6)
    assert totals.histogram.rows == 18
    for start, end, count_ in totals.histogram.bins:
        assert count_ == sum(start <= length < end for length in lengths)
    assert not totals.sampled and gate.holds(totals) == ()
    assert with_steps(totals, config.with_values(num_train_epochs=5.0)).steps == (3, 15)
    packed = count(tokens, config.with_values(packing=True))
    places = len(fit([len(row.input_ids) for row in trained.rows], config.data.cutoff_len))
    assert places < 18 and packed.steps == count_steps(places, config)


def test_answers_that_lose_tokens_are_counted(tmp_path: Path) -> None:
    rows = [
        {"instruction": "long " * 60, "output": "short"},
        {"instruction": "q", "output": "far too long " * 30},
        {"instruction": "q", "output": "fits"},
        {"instruction": "q", "output": "second", "history": [["first " * 20, "answer " * 20]]},
    ]
    config = write(tmp_path, rows, cutoff_len=60)
    for on_prompt in (False, True):
        totals = count(tokenizer(tk.own("chatml")), config.with_values(train_on_prompt=on_prompt))
        assert (totals.rows, totals.cut, totals.answers_cut) == (4, 3, 2)
    assert totals.answers_cut_share == 0.5
    assert [each.values["percent"] for each in facts(totals) if each.code == "seen_lost"] == [50]


def test_rows_of_tokenized_path_are_shown_as_a_run_takes_them(options: DataOptions, tmp_path: Path) -> None:
    tokens = tokenizer(tk.own("chatml"))
    config = RunConfig(data=options).with_values(val_size=4.0)
    kept = config.with_values(tokenized_path=str(tmp_path / "kept"))
    before = count(tokens, kept)
    assert before == count(tokens, config), "there is nothing in the folder yet"
    renderer = Renderer(tokens, "", config.data)
    gathered = gather(renderer, config.data, config.train.seed, folder=tmp_path / "cache")
    tokenized.save(tmp_path / "kept", gathered, tokens, renderer)
    (Path(options.dataset_dir) / "mine.jsonl").unlink()
    views = every_view(tokens, kept.data, 5)
    assert [(list(view.input_ids), list(view.labels)) for view in views] == [
        (row.input_ids, row.labels) for row in gathered.train
    ]
    for view in views:
        assert "".join(piece.text for piece in view.pieces if piece.trained) == tokens.decode(
            [each for each in view.labels if each != IGNORED]
        )
    totals = count(tokens, kept)
    same = (
        "rows",
        "evaluation",
        "tokens",
        "trained",
        "longest",
        "cut",
        "whole",
        "endless",
        "histogram",
        "steps",
    )
    assert [getattr(totals, name) for name in same] == [getattr(before, name) for name in same]
    part = count(tokens, kept, sample=3)
    assert part.sampled and part.rows == 3
    (tmp_path / "kept" / "tuneboard.json").write_text('{"format": 1, "made_for": "another", "parts": {}}')
    with pytest.raises(UserError) as refused:
        preview(tokens, kept.data)
    assert refused.value.code == "tokenized_other_model"


def write(folder: Path, rows: list[Any], held: list[Any] | None = None, **options: Any) -> RunConfig:
    """A config for these rows."""
    named = {"mine": rows} | ({"held": held} if held else {})
    for name, each in named.items():
        (folder / f"{name}.json").write_text(json.dumps(each))
    info = {name: {"file_name": f"{name}.json"} for name in named}
    (folder / "dataset_info.json").write_text(json.dumps(info))
    flat = {"dataset": ("mine",), "dataset_dir": str(folder), "eval_dataset": ("held",) if held else ()}
    return RunConfig().with_values(**flat, **options)


def test_repeated_rows_words_and_languages_are_counted(tmp_path: Path) -> None:
    rows = [
        {"instruction": "Where is the nearest library?", "output": "Two streets from here, by the river."},
        {"instruction": "今天天气怎么样？", "output": "晴，有一点风。"},
        {"instruction": "Where is the nearest library?", "output": "Two streets from here, by the river."},
        {"instruction": "where is the nearest  Library?", "output": "Two streets from here, by the river!"},
        {"instruction": "Is it open?", "output": "Yes"},
        {"instruction": "開いていますか", "output": "はい、開いています"},
        {"instruction": "Открыто?", "output": "Да, до вечера.", "system": "Говори кратко."},
    ]
    held = [
        {"instruction": "Who reads there?", "output": "Everybody who wants to."},
        {"instruction": "IS IT  OPEN?", "output": "yes"},
    ]
    totals = count(tokenizer(tk.GEMMA_LIKE), write(tmp_path, rows, held))
    assert (totals.rows, totals.evaluation) == (7, 2)
    assert totals.duplicates is not None and totals.near_duplicates is not None and totals.overlap is not None
    assert (totals.duplicates.rows, totals.duplicates.first[0].row) == (1, Place("mine", 3))
    assert totals.near_duplicates.first == (Twin(Place("mine", 4), Place("mine", 1)),)
    assert totals.overlap == (1, (Twin(Place("held", 2), Place("mine", 5)),))
    assert (totals.short, totals.folded) == (1, 1)
    assert set(totals.scripts) == {"latin", "zh", "ja", "ru"}
    assert totals.scripts["ru"] == len("ОткрытоДадовечера")
    codes = [each.code for each in facts(totals)]
    for code in ("seen_duplicates", "seen_near", "seen_overlap", "seen_short", "seen_scripts", "seen_folded"):
        assert code in codes
    assert "\n".join(lines(totals)) and json.dumps(to_json(totals))


def test_thoughts_that_the_template_takes_out_are_counted(tmp_path: Path) -> None:
    rows = [
        {"instruction": "What is 1 + 1?", "output": "<think>\nEasy.\n</think>\n\nTwo, of course."},
        {"instruction": "And 1 + 2?", "output": "Three, of course."},
    ]
    for template, lost in (("deepseek_r1_distill", 1), ("qwen3", 0)):
        totals = count(tokenizer(tk.published(template)), write(tmp_path, rows))
        assert totals.forgotten == lost
        assert [fact.warns for fact in facts(totals) if fact.code == "seen_forgotten"] == [True] * lost


def test_a_sample_says_that_it_is_one(options: DataOptions, monkeypatch: pytest.MonkeyPatch) -> None:
    tokens, config = tokenizer(tk.own("chatml")), RunConfig(data=options).with_values(val_size=0.25)
    whole = count(tokens, config)
    assert count(tokens, config, sample=23) == whole and not whole.sampled
    part = count(tokens, config, sample=8)
    assert part.sampled and part.read == 8 and part.steps is None
    assert next(fact.code for fact in facts(part)) == "seen_sampled"
    assert count(tokens, config.with_values(val_size=20.0), sample=8).evaluation == 0
    monkeypatch.setattr(counting, "SAMPLE_TOKENS", 10)
    monkeypatch.setattr(counting, "SMALL_CHUNK", 3)
    assert count(tokens, config, sample=23).read == 3, "long rows make a small sample"
    heard: list[tuple[int, int, int]] = []
    stopped = count(tokens, config, tell=lambda *far: heard.append(far), stop=lambda: bool(heard))
    assert stopped.sampled and heard[0][0] == 23 and 0 < heard[0][1] <= heard[0][2]


def test_the_page_counts_once_and_anew_when_a_file_changes(tmp_path: Path) -> None:
    from tests.train.tiny import save_data, save_tokenizer
    from trainer.jobs.sight import Sight

    (tmp_path / "model").mkdir()
    save_tokenizer(tmp_path / "model")
    (tmp_path / "model" / "config.json").write_text('{"model_type": "qwen2"}')
    save_data(tmp_path)
    config = RunConfig().with_values(
        model_name_or_path=str(tmp_path / "model"), dataset=("rows",), dataset_dir=str(tmp_path)
    )
    sight = Sight(tmp_path)
    assert sight.counted(config) is None
    assert sight.sample(config).rows == 24 and not sight.sample(config).sampled
    task = sight.counting(config)
    assert task.wait(300).rows == 24
    longer = config.with_values(num_train_epochs=9.0)
    assert sight.counting(longer) is task
    counted = sight.counted(longer)
    assert counted is not None and counted.steps == count_steps(24, longer)
    assert sight.holds(config) == () and len(sight.preview(config, 2, 20).rows) == 4
    (tmp_path / "rows.json").write_text('[{"instruction": "q", "output": "a"}]')
    assert sight.counting(config) is not task and sight.count(config).rows == 1
    (tmp_path / "rows.json").write_text("[{]")
    with pytest.raises(UserError):
        sight.counting(config).wait(300)
    sight.close()


@pytest.mark.parametrize(
    ("rows", "batch", "accumulation", "epochs", "most", "expected"),
    [
        (100, 2, 8, 3.0, -1, (7, 21)),
        (1, 8, 8, 1.0, -1, (1, 1)),
        (16, 2, 8, 0.5, -1, (1, 1)),
        (17, 2, 8, 2.5, 9, (2, 9)),
    ],
)
def test_steps(
    rows: int, batch: int, accumulation: int, epochs: float, most: int, expected: tuple[int, int]
) -> None:
    config = RunConfig().with_values(
        per_device_train_batch_size=batch,
        gradient_accumulation_steps=accumulation,
        num_train_epochs=epochs,
        max_steps=most,
    )
    assert count_steps(rows, config) == expected


def test_the_page_waits_for_no_heavy_library() -> None:
    code = (
        "import sys, trainer.dataset.info, trainer.dataset.doctor, trainer.dataset.load, trainer.dataset.gate; "
        "import trainer.dataset.checkup, trainer.dataset.report, trainer.jobs.sight; "
        "print([name for name in ('torch', 'transformers', 'datasets', 'tokenizers') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
