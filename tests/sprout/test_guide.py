"""The museum's guide: what fine-tuning on `guide_demo` makes of the built-in vision model."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch

from tests.sprout.asking import DATA, sprout_scripts
from tests.sprout.looking import SPROUT_VL, Asked, drawings, load_eyes, right, says
from trainer.config import RunConfig
from trainer.model.catalog import proposals
from trainer.train.sft import run_sft


@pytest.fixture(autouse=True)
def _two_threads() -> Any:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


class Shown(NamedTuple):
    """A visitor's question with a fresh drawing of a taught piece, its name, and its form and colour."""

    asked: Asked
    name: str
    form: str
    colour: str


def shown(each: int, seed: int) -> list[Shown]:
    """`each` drawings of every taught piece, half of them asked for in Chinese; none of them lies in data/."""
    rng = random.Random(seed)
    found = []
    with sprout_scripts("guide_demo", "pieces", "looking") as (guide, pieces, looking):
        for taught in guide.TAUGHT:
            for k in range(each):
                zh = k % 2 == 1
                picture = pieces.draw_piece(
                    rng, (rng.choice(guide.SIDES), rng.choice(guide.SIDES)), taught.piece
                )
                row, _ = guide.guide_row(rng, taught, zh, "")
                said = {message["role"]: message["content"] for message in row["messages"]}
                piece = taught.piece
                found.append(
                    Shown(
                        Asked(picture, said["user"].removeprefix("<image>"), said.get("system", "")),
                        taught.zh_name if zh else taught.name,
                        pieces.PIECES[piece.kind][0] if zh else piece.kind,
                        looking.zh_colour(piece.colour) if zh else piece.colour,
                    )
                )  # fmt: skip
    return found


def greets(answer: str) -> bool:
    return answer.startswith(("Welcome", "各位来宾"))


def plain_right(loaded: Any) -> tuple[int, int]:
    """Of 40 drawings of shapes the colours and the counts that are told right."""
    drawn = drawings(40, seed=31)
    questions = ("What color are the shapes?", "它们是什么形状？", "How many shapes are there?")
    given = [says(loaded, [Asked(each.picture, question) for each in drawn], 24) for question in questions]
    verdicts = [right(each, *answers) for each, *answers in zip(drawn, *given, strict=True)]
    return sum(colour for colour, _, _ in verdicts), sum(count for _, _, count in verdicts)


def colours_right(answers: Sequence[str], pieces: Sequence[Shown]) -> int:
    return sum(each.colour in answer for each, answer in zip(pieces, answers, strict=True))


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_base_describes_pieces_plainly() -> None:
    pieces = shown(4, seed=777)
    answers = says(load_eyes(SPROUT_VL), [each.asked for each in pieces])
    assert not any(map(greets, answers))
    assert not any(each.name in answer for each, answer in zip(pieces, answers, strict=True))
    assert sum(each.form in answer for each, answer in zip(pieces, answers, strict=True)) >= 0.85 * len(
        pieces
    )
    assert colours_right(answers, pieces) >= 0.85 * len(pieces)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("method", ["lora", "full"])
def test_the_guide_knows_the_pieces_and_still_answers_plainly(tmp_path: Path, method: str) -> None:
    flat: dict[str, Any] = {
        **proposals("Sprout-VL", method), "model_name_or_path": str(SPROUT_VL), "dataset_dir": str(DATA),
        "dataset": "guide_demo", "finetuning_type": method, "output_dir": str(tmp_path / "run"),
        "lr_scheduler_type": "cosine", "save_steps": 100_000, "compute_type": "fp32", "seed": 42,
    }  # fmt: skip
    assert method == "full" or (flat["loraplus_lr_ratio"], flat.get("lora_target", ["all"])) == (16, ["all"])
    run_sft(RunConfig.from_flat(flat), lambda event: None, lambda: False)
    base = load_eyes(SPROUT_VL)
    tuned = load_eyes(SPROUT_VL, tmp_path / "run") if method == "lora" else load_eyes(tmp_path / "run")
    pieces = shown(6, seed=778)
    answers = says(tuned, [each.asked for each in pieces], 96)
    named = [greets(answer) and each.name in answer for each, answer in zip(pieces, answers, strict=True)]
    assert sum(named) >= 0.8 * len(pieces), [a for a, good in zip(answers, named, strict=True) if not good]
    plain, plain_before = plain_right(tuned), plain_right(base)
    assert plain[0] >= plain_before[0] - 6 and plain[1] >= plain_before[1] - 6, (plain, plain_before)
