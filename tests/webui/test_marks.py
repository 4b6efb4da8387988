"""What the page says about the form."""

from __future__ import annotations

import html
import json
import re

import pytest

from trainer.dataset.conversation import RowProblem
from trainer.dataset.doctor import Page, Piece, RowView
from trainer.errors import UserError
from trainer.options import options
from webui import form, marks
from webui.i18n import LANGUAGES
from webui.outlook import Look
from webui.preview import preview

OPEN = form.proposed("Sprout", "lora")
EVIL = "<img src=x onerror=alert(1)>'\"&"


def read_marks(text: str) -> dict[str, object]:
    found = re.search(r'data-marks="([^"]*)"', text)
    assert found
    facts: dict[str, object] = json.loads(html.unescape(found.group(1)))
    return facts


def test_marks_count_what_is_changed_and_say_what_a_reset_brings_back() -> None:
    values = {**OPEN, "lora_rank": 4, "lora_alpha": "", "optim": "sgd", "extra": "{}"}
    facts = read_marks(marks.marks(values, OPEN, {"identity_name"}, "en"))
    assert facts["panels"] == {"lora": 2, "optimizer": 1, "extra": 1}
    assert facts["changed"] == {
        "lora_rank": "16", "lora_alpha": "32", "optim": options()["optim"].default, "extra": "nothing",
    }  # fmt: skip
    assert set(facts["hidden"]) == {"identity_name", *form.hidden(OPEN)}  # type: ignore[call-overload]


@pytest.mark.parametrize(
    ("method", "folded", "titles"),
    [
        ("lora", ["freeze"], {}),
        ("oft", ["freeze"], {"lora": "oft"}),
        ("freeze", ["lora"], {}),
        ("full", ["lora", "freeze"], {}),
    ],
)
def test_a_fold_without_controls_is_gone_and_the_adapters_fold_is_called_as_the_method(
    method: str, folded: list[str], titles: dict[str, str]
) -> None:
    facts = read_marks(marks.marks(form.proposed("Sprout", method), OPEN, (), "en"))
    assert facts["folded"] == folded and facts["titles"] == titles


@pytest.mark.parametrize("lang", list(LANGUAGES))
def test_nothing_from_outside_becomes_markup(lang: str) -> None:
    values = {
        **OPEN,
        "dataset": [EVIL],
        "identity_name": EVIL,
        "model_name_or_path": form.CUSTOM,
        "model_path": f"a/{EVIL}",
    }
    error = UserError("data_unknown", field="dataset", name=EVIL, folder=EVIL, names=EVIL)
    row = RowView(EVIL, 1, (Piece(EVIL, True, False), Piece(EVIL, False, True)))
    broken = RowView(
        EVIL, 2, problem=RowProblem(EVIL, 2, "data_unknown", {"name": EVIL, "folder": EVIL, "names": EVIL})
    )
    said = [
        marks.marks(values, {**OPEN, "dataset": [EVIL]}, (), lang),
        marks.outlook(values, Look(rows=3, steps=4, seconds=50.0), lang),
        marks.facts(Look(problem=error), lang),
        marks.problems([error], lang),
        marks.command(EVIL, lang),
        preview(Page([row, broken], True), 1, lang),
    ]
    for text in said:
        assert "<img" not in text


@pytest.mark.parametrize("lang", list(LANGUAGES))
def test_the_sentence_beside_start(lang: str) -> None:
    text = marks.outlook({**OPEN, "identity_name": "Luojia"}, Look(91, 0, 1200, 88.0), lang)
    for part in ("Sprout", "Luojia", "91", "90"):
        assert part in text
    assert re.search(r"1.?200", text)
    other = marks.outlook(
        {**OPEN, "dataset": ["ner_demo"]},
        Look(4, 0, 1, None, frozenset({"identity_name", "identity_author"})),
        lang,
    )
    assert "ner_demo" in other and "Momo" not in other


def test_problems_name_their_control() -> None:
    found = [
        UserError("option_below", field="lora_rank", name="lora_rank", value=0, min=1),
        UserError("no_training"),
    ]
    text = marks.problems(found, "en")
    assert 'data-go="lora_rank">LoRA rank<' in text and 'data-field=""' in text
    assert marks.problems([], "en") == ""


def test_a_preview_marks_what_is_trained() -> None:
    row = RowView(
        "d",
        7,
        (Piece("<|im_start|>", False, True), Piece("Hi & bye", True, False)),
        (1, 2),
        (-100, 2),
        1,
        9,
        True,
    )
    text = preview(Page([row], False), 2, "en")
    assert '<mark class="trained">Hi &amp; bye</mark>' in text and "<code>&lt;|im_start|&gt;</code>" in text
    assert "1 of 2 tokens trained" in text and "cut from 9" in text
    assert 'data-turn="3" aria-label="More rows" title="More rows" aria-disabled="true"' in text
