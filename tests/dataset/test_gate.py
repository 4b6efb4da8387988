"""Runs of which nothing good can come are held back, each with the repair that mends it."""

from __future__ import annotations

import json
import string
from pathlib import Path
from typing import Any

import pytest

from tests.dataset import tokenizers as tk
from tests.dataset.tokenizers import tokenizer
from trainer.config import RunConfig
from trainer.dataset import gate
from trainer.dataset.doctor import count
from trainer.dataset.gate import Hold, holds, percent
from trainer.dataset.load import load_rows
from trainer.dataset.render import Renderer, render_all
from trainer.errors import UserError, sentences

# Two answers with nothing behind them.
ENDLESS = "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}"
# Refuses rows that speak of the moon.
MOONLESS = tk.own("chatml").replace(
    "{%",
    "{%- for each in messages if 'moon' in each.content %}{{ raise_exception('no moon') }}{% endfor %}{%",
    1,
)
ROW = {"instruction": "What is it?", "output": "It is a plain answer."}


def held(
    folder: Path, rows: list[Any], tokens: Any = None, **options: Any
) -> tuple[RunConfig, tuple[Hold, ...]]:
    (folder / "mine.json").write_text(json.dumps(rows))
    entry = {"file_name": "mine.json", "formatting": options.pop("formatting", "alpaca")}
    (folder / "dataset_info.json").write_text(json.dumps({"mine": entry}))
    config = RunConfig().with_values(dataset=("mine",), dataset_dir=str(folder), **options)
    found = holds(count(tokens or tokenizer(tk.own("chatml")), config))
    for hold in found:
        assert hold.text and hold.hint and "{" not in hold.text + hold.hint
    return config, found


def test_good_data_are_not_held_back(tmp_path: Path) -> None:
    assert held(tmp_path, [ROW] * 5)[1] == ()
    assert held(tmp_path, [ROW] * 4 + [{"instruction": "?"}])[1] == (), "a fifth is not more than a fifth"


def test_a_cutoff_that_leaves_nothing_names_the_one_that_would(tmp_path: Path) -> None:
    rows = [{"instruction": "long " * 30, "output": "longer " * number} for number in (20, 30)]
    config, (hold,) = held(tmp_path, rows, cutoff_len=4)
    assert (hold.code, hold.field, hold.insist) == ("hold_nothing_cutoff", "cutoff_len", False)
    assert hold.example is not None and hold.example.code == "row_cut"
    tokens = tokenizer(tk.own("chatml"))
    mended = config.with_values(cutoff_len=int(hold.values["longest"]))
    totals = count(tokens, mended)
    assert holds(totals) == () and (totals.rows, totals.cut) == (2, 0)
    assert count(tokens, config.with_values(cutoff_len=int(hold.values["shortest"]))).whole


def test_answers_that_all_lose_their_ends(tmp_path: Path) -> None:
    config, (hold,) = held(tmp_path, [{"instruction": "q", "output": "on and on " * 40}] * 2, cutoff_len=40)
    assert (hold.code, hold.field, hold.insist) == ("hold_end_cutoff", "cutoff_len", False)
    tokens = tokenizer(tk.own("chatml"))
    with pytest.raises(UserError) as refused:
        render_all(Renderer(tokens, "", config.data), load_rows(config.data, 42).train)
    assert refused.value.code == "data_all_cut", "training would refuse, so that nobody may insist"
    assert holds(count(tokens, config.with_values(cutoff_len=int(hold.values["longest"])))) == ()


def test_rows_that_take_every_answer_out(tmp_path: Path) -> None:
    turns = [{"role": "user", "content": "?"}, {"role": "assistant", "content": "an answer", "weight": 0}]
    _, (hold,) = held(tmp_path, [{"messages": turns}] * 3, formatting="openai")
    assert (hold.code, hold.insist) == ("hold_nothing_masked", False)
    assert "weight" in hold.hint and "mine" in hold.hint
    turns[1]["weight"] = 1
    assert held(tmp_path, [{"messages": turns}] * 3, formatting="openai")[1] == ()


def test_a_template_that_ends_no_answer(tmp_path: Path) -> None:
    tokens = tokenizer(ENDLESS)
    config, (hold,) = held(tmp_path, [ROW] * 3, tokens)
    assert (hold.code, hold.field, hold.insist) == ("hold_end_template", "template", True)
    assert holds(count(tokens, config.with_values(template=str(hold.values["name"])))) == ()


def test_a_template_that_refuses_every_row(tmp_path: Path) -> None:
    _, (hold,) = held(tmp_path, [{"instruction": "the moon", "output": "far"}] * 3, tokenizer(MOONLESS))
    assert (hold.code, hold.field) == ("hold_nothing_template", "template")
    assert hold.example is not None and "no moon" in hold.example.text


def test_files_of_which_no_row_can_be_used(tmp_path: Path) -> None:
    _, (hold,) = held(tmp_path, [{"instruction": "?"}, {"output": "!"}])
    assert (hold.code, hold.field, hold.insist) == ("hold_nothing_read", "dataset", False)
    assert "data check mine" in hold.hint


@pytest.mark.parametrize(
    ("bad", "template", "code", "options"),
    [
        ({"instruction": "?"}, tk.own("chatml"), "hold_dropped_rows", {}),
        ({"instruction": "the moon", "output": "far"}, MOONLESS, "hold_dropped_template", {}),
        ({"instruction": "long " * 900, "output": "long " * 6}, tk.own("chatml"), "hold_dropped_cutoff", {"cutoff_len": 30}),
    ],
)  # fmt: skip
def test_more_than_a_fifth_dropped(
    tmp_path: Path, bad: dict[str, str], template: str, code: str, options: dict[str, Any]
) -> None:
    config, found = held(
        tmp_path, [{"instruction": "?", "output": "!"}] * 7 + [bad] * 2, tokenizer(template), **options
    )
    assert [each.code for each in found] == [code] and found[0].insist
    assert (found[0].values["percent"], found[0].values["dropped"], found[0].values["read"]) == (22, 2, 9)
    assert found[0].example is not None
    if "longest" in found[0].values:
        mended = config.with_values(cutoff_len=int(found[0].values["longest"]))
        assert holds(count(tokenizer(template), mended)) == ()


def test_a_sample_never_says_that_nothing_helps(tmp_path: Path) -> None:
    config, _ = held(tmp_path, [{"instruction": "?"}] * 5 + [ROW] * 50)
    (hold,) = holds(count(tokenizer(tk.own("chatml")), config, sample=5))
    assert (hold.code, hold.insist) == ("hold_nothing_read", True)


def test_every_reason_has_its_sentence() -> None:
    kinds = {"cutoff", "masked", "template", "pictures", "read"}
    codes = {f"hold_nothing_{kind}" for kind in kinds} | {
        "hold_end_cutoff",
        "hold_end_template",
        "hold_end_nowhere",
    }
    codes |= {f"hold_dropped_{kind}" for kind in ("cutoff", "template", "pictures", "rows")}
    known = {code for code in sentences() if code.startswith("hold_")}
    assert known == codes
    values = dict.fromkeys(
        ("read", "datasets", "first", "cutoff", "shortest", "longest", "rows", "name", "dropped", "percent"),
        7,
    )
    for code in codes:
        fields = {
            field for text in sentences()[code] for _, field, _, _ in string.Formatter().parse(text) if field
        }
        assert fields <= set(values), code
    assert all(code in sentences() for code in gate._KINDS)


@pytest.mark.parametrize(
    ("share", "told"), [(0, 0), (0.0001, 0.1), (0.004, 0.4), (0.07, 7), (0.219, 22), (1, 100)]
)
def test_shares_as_they_are_told(share: float, told: float) -> None:
    assert percent(share) == told
