"""The same questions before and after an export, as HTML. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from webui.export_words import name_of
from webui.i18n import say
from webui.read import mapping_in, mappings_in, text_in
from webui.words import count, marked

_MOST_SHOWN = 1200


def prompts_html(receipt: Mapping[str, Any], lang: str) -> str:
    """Every prompt of a receipt with the answer from before, and what each format answers."""
    asked = mappings_in(receipt, "prompts")
    if not asked:
        return ""
    kinds = {text_in(each, "key"): text_in(each, "format") for each in mappings_in(receipt, "formats")}
    rows = "".join(_asked(each, kinds, lang) for each in asked)
    title = _say("title", lang, count=count(len(asked), lang))
    return f'<details class="tb-fold tb-questions" open><summary>{title}</summary><div class="tb-scroll-down" tabindex="0">{rows}</div></details>'


def _say(key: str, lang: str, **values: object) -> str:
    return escape(say(f"export.prompts.{key}", lang, **values))


def _asked(prompt: Mapping[str, Any], kinds: Mapping[str, str], lang: str) -> str:
    system = text_in(prompt, "system")
    head = f'<p class="tb-quiet">{_say("system", lang)}: {_clip(system)}</p>' if system else ""
    *earlier, last = mappings_in(prompt, "messages") or ({},)
    head += "".join(
        f'<p class="tb-quiet" dir="auto">{"→" if text_in(each, "role") == "assistant" else "·"} {_clip(text_in(each, "content"))}</p>'
        for each in earlier
    )
    inside = text_in(mapping_in(prompt, "inside"), "text")
    return (
        f'<div class="tb-asked">{head}<p class="tb-asked-what" dir="auto">{_clip(text_in(last, "content"))}</p><dl>'
        f'<dt>{_say("original", lang)}</dt><dd class="tb-original" dir="auto">{_clip(inside) or "–"}</dd>'
        f"{_answers(inside, mapping_in(prompt, 'outside'), kinds, lang)}</dl></div>"
    )


def _answers(inside: str, outside: Mapping[str, Any], kinds: Mapping[str, str], lang: str) -> str:
    """What answers alike is named together, and said once."""
    found = {key: mapping_in(outside, key) for key in outside}
    same = [key for key, each in found.items() if text_in(each, "text") == inside]
    parts = []
    if same:
        parts.append(f"<dt>{_names(same, kinds, lang)}</dt><dd>{_say('same', lang)}</dd>")
    for key, each in found.items():
        if key not in same:
            text = text_in(each, "text")
            shown = (
                marked(inside[:_MOST_SHOWN], text[:_MOST_SHOWN]) if text else f"<i>{_say('none', lang)}</i>"
            )
            parts.append(f'<dt>{_names([key], kinds, lang)}</dt><dd class="tb-other" dir="auto">{shown}</dd>')
    return "".join(parts)


def _names(keys: Sequence[str], kinds: Mapping[str, str], lang: str) -> str:
    return escape(", ".join(_name(key, kinds, lang) for key in keys))


def _name(key: str, kinds: Mapping[str, str], lang: str) -> str:
    """`GGUF file` for "gguf", `GGUF file (q8_0)` for "gguf:q8_0"."""
    kind, _, more = key.partition(":")
    name = name_of(kinds.get(key, kind), lang)
    return f"{name} ({more})" if more else name


def _clip(text: str) -> str:
    return escape(text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]} …")
