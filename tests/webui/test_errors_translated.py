"""Every sentence in every language, with the same places for values."""

from __future__ import annotations

import json
from string import Formatter

import pytest

from trainer.errors import sentences
from webui.i18n import LANGUAGES, LOCALES

TRANSLATED = [lang for lang in LANGUAGES if lang != "en"]


def places(text: str) -> set[str]:
    """The names in braces. Raises ValueError for braces that `str.format` cannot read."""
    return {name for _, name, _, _ in Formatter().parse(text) if name is not None}


@pytest.mark.parametrize("lang", TRANSLATED)
def test_every_sentence_is_translated(lang: str) -> None:
    given = json.loads((LOCALES / lang / "errors.json").read_text(encoding="utf-8"))
    assert set(given) == set(sentences())
    for code, english in sentences().items():
        own = given[code]
        assert places(own["text"]) == places(english.text), code
        assert places(own.get("hint", "")) == places(english.hint), code
        assert bool(own.get("hint")) == bool(english.hint), code
        assert own["text"] != english.text, code
