"""A conversation of two sides: who said what, what goes on to the model, and how it looks."""

from __future__ import annotations

import json

import pytest

from tests.webui.test_panel import EVIL, Elements
from trainer.chat.request import Chunk, Turn
from webui.i18n import LANGUAGES
from webui.talk import Talk, answer_html, talk_html

BOTH = {"base": "Sprout", "tuned": f"run {EVIL}"}


def talked() -> Talk:
    """Two questions; the sides answered the first one differently, and the second is being answered."""
    talk = Talk().asked("Who are you?", list(BOTH))
    talk = talk.heard(Chunk("base", "Sprout", "end", 3, 20.0)).heard(Chunk("tuned", "Mo", "", 1, 20.0))
    talk = talk.heard(Chunk("tuned", "Momo", "end", 2, 20.0))
    return talk.asked(EVIL, list(BOTH)).heard(Chunk("base", f"I say {EVIL}", "", 2, 20.0))


def test_each_side_has_its_own_history_of_complete_turns() -> None:
    assert talked().histories() == {
        "base": (Turn("Who are you?", "Sprout"),),
        "tuned": (Turn("Who are you?", "Momo"),),
    }


def test_the_last_question_can_be_asked_again() -> None:
    before = talked().without_last()
    assert before.questions == ("Who are you?",)
    assert {side: [chunk.text for chunk in said] for side, said in before.said.items()} == {
        "base": ["Sprout"],
        "tuned": ["Momo"],
    }
    assert before.asked("again", list(BOTH)).histories() == before.histories()


def test_other_sides_begin_a_new_conversation() -> None:
    alone = talked().asked("Hello", ["base"])
    assert alone.questions == ("Hello",) and alone.histories() == {"base": ()}


def test_jsonl_holds_one_object_a_line_with_both_answers() -> None:
    rows = [json.loads(line) for line in talked().jsonl().splitlines()]
    assert rows[0] == {"prompt": "Who are you?", "answer": "Momo", "base": "Sprout"}
    assert rows[1] == {"prompt": EVIL, "answer": "", "base": f"I say {EVIL}"}
    alone = Talk().asked("Hi\nthere", ["base"]).heard(Chunk("base", "Yes", "end"))
    assert json.loads(alone.jsonl()) == {"prompt": "Hi\nthere", "answer": "Yes"}


@pytest.mark.parametrize("lang", LANGUAGES)
@pytest.mark.parametrize("busy", [True, False])
def test_what_people_and_models_write_is_escaped(lang: str, busy: bool) -> None:
    html = talk_html(talked(), BOTH, lang, busy=busy)
    found = Elements(html)
    assert "script" not in found.names
    assert found.names.count("section") == 3
    assert ("aria-disabled" in found.buttons["stop"]) != busy
    for name in ("retry", "clear", "copy"):
        assert ("aria-disabled" in found.buttons[name]) == busy
    if not busy:
        assert found.buttons["copy"]["data-copy"] == talked().jsonl()


def test_without_a_model_the_tab_says_what_to_do() -> None:
    for lang in LANGUAGES:
        assert "tb-empty" in talk_html(Talk(), {}, lang)
    assert "tb-empty" not in talk_html(Talk(), {"base": "Sprout"}, "en")
    assert "Sprout" in talk_html(talked(), {}, "en"), "what was said stays when the model is unloaded"


def test_endings_and_speed_are_told() -> None:
    talk = Talk().asked("q", ["base"]).heard(Chunk("base", "a", "length", 512, 33.25, left_out=2))
    html = talk_html(talk, {"base": "Sprout"}, "en")
    assert "512 tokens" in html and "33.2 tokens/s" in html
    assert "cut off" in html and "2 of the oldest turns" in html


def test_code_stands_apart_and_the_rest_stays_as_it_was() -> None:
    html = answer_html("Like this:\n```python\nprint('<b>')\n```\nDone *so*.")
    assert html == "Like this:<pre><code>print(&#x27;&lt;b&gt;&#x27;)</code></pre>Done *so*."
    assert answer_html("```\nopen") == "<pre><code>open</code></pre>"
    assert answer_html("a\n\nb `c`") == "a\n\nb `c`"
