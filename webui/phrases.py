"""Parts of sentences that are phrases themselves: a reason, what was found, what is allowed, another sentence.

They arrive in English, as values of a sentence, because logs and the terminal are in English. `locales/<lang>/words.json`
says them in the language of the page; a phrase with `{places}` stands for all that are filled in. What is not found there
(the words of another library, for example) stays as it is.
"""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path
from typing import Any

from trainer.errors import Values, sentences

LOCALES = Path(__file__).parent / "locales"
# The values that may be phrases. All others are names and numbers of the person's own.
FIELDS = ("reason", "reasons", "way", "found", "allowed", "what", "side", "score")
# Several reasons follow one another, each a sentence on a row: "questions, row 3: ...", "questions (a.csv), row 3: ..."
_BETWEEN = re.compile(r"(?<=\.) (?=\S+(?: \([^()]*\))?, row \d+: )")
_PLACE = re.compile(r"\{(\w+)(?:!r)?\}")


def in_language(values: Values, lang: str) -> Values:
    """The values of a sentence with every known phrase in a language of the page."""
    return {
        name: phrase(value, lang) if name in FIELDS and isinstance(value, str) else value
        for name, value in values.items()
    }


def phrase(text: str, lang: str) -> str:
    """A phrase, or several sentences on rows, in a language of the page; unknown ones as they are."""
    return " ".join(_one(part, lang) for part in _BETWEEN.split(text))


def _one(text: str, lang: str) -> str:
    words, patterns = _known(lang)
    if text in words:
        return words[text]
    for pattern, own in patterns:
        if found := pattern.fullmatch(text):
            # A column may be called "accuracy": what is a name stays one.
            values = {
                name: _one(value, lang) if name in FIELDS else value
                for name, value in found.groupdict().items()
            }
            return _filled(own, values)
    return text


def _filled(own: str, values: dict[str, str]) -> str:
    """What stood in a place with `!r` has its quotes already."""
    return _PLACE.sub(lambda place: values[place[1]], own)


@cache
def _known(lang: str) -> tuple[dict[str, str], list[tuple[re.Pattern[str], str]]]:
    """Phrases without places, and patterns with what they become."""
    words, errors = (_read(lang, name) for name in ("words", "errors"))
    rows = {
        _unescaped(sentence.text): _unescaped(errors[code]["text"])
        for code, sentence in sentences().items()
        if code.startswith("row_") and code in errors
    }
    plain = {english: own for english, own in words.items() if not _PLACE.search(english)}
    # The phrase with the most words of its own first: "{name} is cut short" would also fit what is longer.
    filled = {english: own for english, own in (words | rows).items() if english not in plain}
    longest = sorted(filled, key=lambda english: -len(_PLACE.sub("", english)))
    return plain, [(_pattern(english), filled[english]) for english in longest]


def _unescaped(sentence: str) -> str:
    """Braces that belong to the sentence itself, as they look once its places are filled in."""
    return sentence.replace("{{", "{").replace("}}", "}")


def _pattern(english: str) -> re.Pattern[str]:
    parts = _PLACE.split(english)
    texts, names = parts[::2], parts[1::2]
    places = [f"(?P<{name}>.*?)" for name in names] + [""]
    return re.compile(
        "".join(re.escape(text) + place for text, place in zip(texts, places, strict=True)), re.DOTALL
    )


def _read(lang: str, name: str) -> dict[str, Any]:
    path = LOCALES / lang / f"{name}.json"
    return dict(json.loads(path.read_text(encoding="utf-8"))) if path.exists() else {}
