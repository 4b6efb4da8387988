"""A chat template as programs outside understand it: plain Jinja, and the same special tokens as inside."""

from __future__ import annotations

import json
import re
from typing import Any

_MARKS = re.compile(r"\{%(?P<left>[-+]?)\s*(?P<end>end)?generation\s*(?P<right>[-+]?)%\}")
_TOKENS = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token")
# What programs outside fill in themselves, from the ids in the file.
_FILLED = ("bos_token", "eos_token")


def portable(template: str, tokenizer: Any) -> str:
    """The template without transformers' own marks of what the model says, and with the tokens that only it fills in.

    It renders the same text. Marks become blocks that are always true, so that the spaces around them stay as they were.
    """
    plain = _MARKS.sub(_plain, template)
    known = tokenizer.special_tokens_map
    lines = []
    for token in _TOKENS:
        said = known.get(token)
        if re.search(rf"\b{token}\b", plain) and not (said and token in _FILLED):
            lines.append(f"{{%- set {token} = {json.dumps(str(said or ''), ensure_ascii=False)} -%}}")
    return "".join(lines) + plain


def _plain(mark: re.Match[str]) -> str:
    return f"{{%{mark['left']} {'endif' if mark['end'] else 'if true'} {mark['right']}%}}"
