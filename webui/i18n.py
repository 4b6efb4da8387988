"""Every text of the page in five languages.

`locales/<lang>/<area>.json` holds the texts of an area. English texts of options and of sentences are not kept twice:
they come from `trainer/options/` and `trainer/sentences/`. The page itself speaks through `page.js`: a component whose
id is `say-<area>-<name>` shows the text `<area>.<name>`, so a change of language needs no trip to the server. Handlers
that write HTML receive the language and call `say`.
"""

from __future__ import annotations

import json
from functools import cache
from html import escape
from pathlib import Path
from typing import Any

from trainer.errors import Sentence, UserError, Values, sentences
from trainer.options import options
from webui.phrases import in_language

LANGUAGES = {"en": "English", "zh": "中文", "ru": "Русский", "ko": "한국어", "ja": "日本語"}
AREAS = ("options", "page", "train", "live", "runs", "data", "chat", "evaluate", "export", "errors")
LOCALES = Path(__file__).parent / "locales"


@cache
def texts(lang: str) -> dict[str, str]:
    """All texts of a language by `area.name`. Raises KeyError for a language that is not in `LANGUAGES`."""
    LANGUAGES[lang]
    found: dict[str, str] = {}
    for area in AREAS:
        found.update(_flat(area, _area(lang, area)))
    return found


def _area(lang: str, area: str) -> dict[str, Any]:
    if lang == "en" and area == "options":
        return {name: {"label": info.label, "help": info.help} for name, info in options().items()}
    if lang == "en" and area == "errors":
        return {code: {"text": each.text, "hint": each.hint} for code, each in sentences().items()}
    path = LOCALES / lang / f"{area}.json"
    return dict(json.loads(path.read_text(encoding="utf-8"))) if path.exists() else {}


def _flat(prefix: str, entries: dict[str, Any]) -> dict[str, str]:
    flat: dict[str, str] = {}
    for name, entry in entries.items():
        key = f"{prefix}.{name}"
        flat.update(_flat(key, entry) if isinstance(entry, dict) else {key: entry})
    return flat


def say(key: str, lang: str = "en", **values: Any) -> str:
    """The text of `area.name` in a language; English where a language has none. Raises KeyError for an unknown key."""
    text = texts(lang if lang in LANGUAGES else "en").get(key) or texts("en")[key]
    return text.format(**values) if values else text


def say_sentence(code: str, values: Values, lang: str) -> Sentence:
    """What the person did wrong, or should know, and the way out of it, in their language."""
    values = in_language(values, lang)
    hint = sentences()[code].hint and say(f"errors.{code}.hint", lang)
    return Sentence(say(f"errors.{code}.text", lang).format(**values), hint.format(**values))


def say_error(error: UserError, lang: str) -> Sentence:
    return say_sentence(error.code, error.values, lang)


def tagged(key: str, tag: str = "span", **attributes: str) -> str:
    """HTML for a text that `page.js` keeps in the page's language by itself."""
    more = "".join(f' {name.rstrip("_")}="{escape(value)}"' for name, value in attributes.items())
    return f'<{tag} data-say="{key}"{more}>{escape(say(key))}</{tag}>'


def dictionary() -> dict[str, dict[str, str]]:
    """What `page.js` needs: the texts of every language, without the sentences, which only handlers say."""
    return {
        lang: {key: text for key, text in texts(lang).items() if not key.startswith("errors.")}
        for lang in LANGUAGES
    }
