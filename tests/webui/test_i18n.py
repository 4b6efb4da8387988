"""Five languages, no text missing, none left in English."""

from __future__ import annotations

from string import Formatter

import pytest

from trainer.options import options
from webui import i18n
from webui.marks import label

OTHERS = [lang for lang in i18n.LANGUAGES if lang != "en"]
# Names and values that are the same in every language.
ALIKE = {"page.placeholder.lora_target", "train.room.then"}


def places(text: str) -> list[str]:
    return sorted(name for _, name, _, _ in Formatter().parse(text) if name is not None)


@pytest.mark.parametrize("lang", OTHERS)
def test_every_text_of_the_page_in_every_language(lang: str) -> None:
    english, own = i18n.dictionary()["en"], i18n.dictionary()[lang]
    assert set(own) == set(english)
    for key, text in english.items():
        assert places(own[key]) == places(text), key
        assert own[key].strip(), key
        translated = any(ord(letter) > 127 for letter in own[key]) or not any(c.isalpha() for c in own[key])
        assert translated or key in ALIKE, f"{key}: {own[key]}"


@pytest.mark.parametrize("lang", list(i18n.LANGUAGES))
def test_every_option_has_its_name_and_help(lang: str) -> None:
    for name in options():
        assert i18n.say(f"options.{name}.label", lang) and i18n.say(f"options.{name}.help", lang)
        assert label(name, lang) == i18n.say(f"options.{name}.label", lang)
    labels = [i18n.say(f"options.{name}.label", lang) for name in options()]
    assert len(labels) == len(set(labels))


@pytest.mark.parametrize("lang", list(i18n.LANGUAGES))
def test_texts_of_one_component_can_be_told_apart(lang: str) -> None:
    """`page.js` finds a text by what it says in any language: within one component no two may say the same."""
    texts = i18n.dictionary()[lang]
    for name in options():
        assert texts[f"options.{name}.label"] != texts[f"options.{name}.help"]
    goals = [text for key, text in texts.items() if key.startswith("train.goal.")]
    assert len(goals) == len(set(goals)) == 4


def test_an_unknown_language_is_english_and_an_unknown_key_a_mistake() -> None:
    assert i18n.say("train.start", "xx") == i18n.say("train.start") == "Start training"
    with pytest.raises(KeyError):
        i18n.say("train.no_such_text")


def test_sentences_are_not_sent_to_the_browser() -> None:
    assert not any(key.startswith("errors.") for key in i18n.dictionary()["en"])
