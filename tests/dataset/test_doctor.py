"""The preview shows what is trained, and the counts are those of training."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.dataset import tokenizers as tk
from tests.dataset.tokenizers import tokenizer
from trainer.config import RunConfig
from trainer.dataset.doctor import RowView, count, count_steps, preview
from trainer.dataset.load import load_rows
from trainer.dataset.render import IGNORED, Renderer, render_all
from trainer.errors import UserError
from trainer.options import DataOptions


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
    refused = preview(tokenizer(tk.GEMMA_LIKE), options, 1, 2).rows[1]
    assert refused.problem is not None and "no system turn" in refused.problem.text
    cut = preview(tokens, options, 1, 10).rows[7]
    assert cut.cut and cut.length > 100 == len(cut.input_ids)


def test_the_first_page_reads_no_further(options: DataOptions) -> None:
    with (Path(options.dataset_dir) / "mine.jsonl").open("ab") as file:
        file.write(b"\n\xff")
    assert preview(tokenizer(tk.own("chatml")), options, 1, 10).more
    with pytest.raises(UserError, match="not UTF-8"):
        preview(tokenizer(tk.own("chatml")), options, 3, 10)


def test_counts_are_those_of_training(options: DataOptions) -> None:
    tokens = tokenizer(tk.own("chatml"))
    config = RunConfig(data=options).with_values(
        val_size=4.0, per_device_train_batch_size=2, gradient_accumulation_steps=4, num_train_epochs=2.0
    )
    totals = count(tokens, config)
    rows = load_rows(config.data, config.train.seed)
    trained = render_all(Renderer(tokens, "", config.data), rows.train)
    assert (totals.rows, totals.evaluation, len(totals.problems)) == (18, 4, 1)
    assert totals.tokens == sum(len(row.input_ids) for row in trained.rows)
    assert (totals.trained, totals.longest, totals.cut) == (trained.trained, trained.longest, trained.cut)
    assert totals.steps == (3, 6)
    assert count(tokens, config.with_values(packing=True)).steps is None


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
        "import sys, trainer.dataset.info, trainer.dataset.doctor, trainer.dataset.load; "
        "print([name for name in ('torch', 'transformers', 'datasets', 'tokenizers') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
