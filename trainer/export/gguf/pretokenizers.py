"""Which of llama.cpp's names belongs to the way in which a tokenizer cuts text before it looks words up.

llama.cpp has these rules built in and knows them by name. A wrong name gives wrong tokens without any error, so a name
is only taken when the rules of tokenizer.json are, sign by sign, those that stand here. Each entry was proved by
tokenising hard strings with both (tests/export/gguf).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

_WORDS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?"
_REST = r"[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
QWEN2 = _WORDS + r"\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+" + _REST
LLAMA3 = _WORDS + r"\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+" + _REST
QWEN35 = _WORDS + r"[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+" + _REST
_UPPER, _LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
_BEGIN = r"[^\r\n\p{L}\p{N}]?"
TEKKEN = (
    rf"{_BEGIN}{_UPPER}*{_LOWER}+|{_BEGIN}{_UPPER}+{_LOWER}*|\p{{N}}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


class Known(NamedTuple):
    """llama.cpp's name. `whole_words`: a word that is in the vocabulary is taken without merging.

    `note` is the code of a sentence on texts that come out otherwise in llama.cpp.
    """

    name: str
    whole_words: bool
    note: str = ""


# By the regular expression, or the list of steps, and whether whole words are taken first.
KNOWN = {
    ("bytes", False): Known("gpt-2", False),
    ("digits bytes", False): Known("smollm", False),
    (QWEN2, False): Known("qwen2", False),
    (QWEN35, False): Known("qwen35", False),
    (LLAMA3, True): Known("llama-bpe", True),
    (LLAMA3, False): Known("dbrx", False),
    (TEKKEN, True): Known("tekken", True, "gguf_tekken"),
}


def recognise(tokenizer: Mapping[str, Any]) -> Known | None:
    """The name for a byte-level tokenizer.json; None when its rules are none of those that llama.cpp is known to follow."""
    return KNOWN.get((_rule(tokenizer.get("pre_tokenizer")), bool(tokenizer["model"].get("ignore_merges"))))


def is_byte_level(tokenizer: Mapping[str, Any]) -> bool:
    """Whether its words are written in the 256 signs that stand for bytes."""
    return any(step.get("type") == "ByteLevel" for step in steps(tokenizer.get("pre_tokenizer")))


def steps(rules: Mapping[str, Any] | None) -> list[Mapping[str, Any]]:
    """The single steps of a pre-tokenizer or a normalizer, in their order."""
    if not rules:
        return []
    if rules.get("type") == "Sequence":
        return [
            step
            for each in rules.get("pretokenizers") or rules.get("normalizers") or ()
            for step in steps(each)
        ]
    return [rules]


def _rule(rules: Mapping[str, Any] | None) -> str:
    """The regular expression, or "bytes" / "digits bytes" for the older kinds; empty for anything else."""
    found = steps(rules)
    if not found or found[-1].get("type") != "ByteLevel" or found[-1].get("add_prefix_space", True):
        return ""
    own, before = found[-1].get("use_regex", True), found[:-1]
    if own:
        digits = [each.get("type") == "Digits" and bool(each.get("individual_digits")) for each in before]
        return {(): "bytes", (True,): "digits bytes"}.get(tuple(digits), "")
    if len(before) != 1 or before[0].get("type") != "Split":
        return ""
    split = before[0]
    kept = split.get("behavior") == "Isolated" and not split.get("invert")
    # "Removed" and inverted: the regular expression is that of what stays; the same, since it matches everything.
    kept = kept or (split.get("behavior") == "Removed" and bool(split.get("invert")))
    pattern = split.get("pattern") or {}
    return str(pattern.get("Regex", "")) if kept else ""
