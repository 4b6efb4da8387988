"""Tokenizers in SentencePiece's manner (Llama 2, Mistral, Gemma): whole text, spaces as ▁, unknown signs as bytes.

tokenizer.json has a list of merges there, llama.cpp a score for each word: it always merges the two neighbours whose union
has the best score. Both do the same when every way to put a word together is in the list, word by word.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any

from trainer.errors import UserError, Values
from trainer.export.gguf.pretokenizers import steps

SPACE = "▁"
_BYTE = re.compile(r"<0x[0-9A-F]{2}>")


@dataclass(frozen=True)
class Pieces:
    """`model` is llama.cpp's name; `scores` by word, for "llama" only. `space_prefix`: a text gets a space in front."""

    model: str
    scores: dict[str, float]
    space_prefix: bool
    notes: Sequence[tuple[str, Values]]


def is_byte(word: str) -> bool:
    """Whether a word stands for one byte."""
    return bool(_BYTE.fullmatch(word))


def read(facts: Mapping[str, Any], name: str, begins_special: bool) -> Pieces:
    """What llama.cpp needs of such a tokenizer.json. `begins_special`: conversations begin with a special token.

    Raises UserError for one that it would follow otherwise.
    """
    model = facts["model"]
    if not model.get("byte_fallback") or sum(is_byte(each) for each in model["vocab"]) != 256:
        raise _refused(name, "it has no bytes for signs that it does not know")
    if model.get("ignore_merges"):
        raise _refused(name, "it takes whole words before merging")
    prefix = _prefix(facts, name)
    notes: list[tuple[str, Values]] = []
    space = prefix != "never"
    if prefix == "first" and begins_special:
        # llama.cpp puts the space behind every special token, the original at the very beginning of a text only.
        space = False
        notes.append(("gguf_no_prefix", {}))
    elif prefix in ("first", "always"):
        notes.append(("gguf_prefix", {}))
    scores = _scores(model, {each["content"] for each in facts.get("added_tokens") or ()})
    if scores is None:
        if space or any("\n" in each and each.strip("\n") for each in model["vocab"]):
            raise _refused(name, "its merges cannot be said by scores")
        return Pieces("gemma4", {}, False, [*notes, ("gguf_recent", {})])
    return Pieces("llama", scores, space, notes)


def _prefix(facts: Mapping[str, Any], name: str) -> str:
    """When a space is put in front: "each" part between special tokens, "always", "first" part only, or "never"."""
    replaced, prefix = False, "never"
    for step in steps(facts.get("normalizer")):
        if step.get("type") == "Prepend" and step.get("prepend") == SPACE and not replaced:
            prefix = "each"
        elif (
            step.get("type") == "Replace"
            and step.get("pattern") == {"String": " "}
            and step.get("content") == SPACE
        ):
            replaced = True
        else:
            raise _refused(name, f"it changes text beforehand ({step.get('type')})")
    for step in steps(facts.get("pre_tokenizer")):
        if step.get("type") == "Metaspace" and step.get("replacement") == SPACE and not replaced:
            replaced, prefix = True, str(step.get("prepend_scheme", "always"))
            if step.get("split", True) and _spans_words(facts):
                raise _refused(name, "it cuts text at spaces, but has words with spaces inside")
        # Cutting at spaces that have all become ▁ by then does nothing.
        elif not (step.get("type") == "Split" and step.get("pattern") == {"String": " "} and replaced):
            raise _refused(
                name, f"llama.cpp has no rules that cut text as its pre-tokenizer does ({step.get('type')})"
            )
    if not replaced:
        raise _refused(name, "it does not write spaces as ▁")
    return prefix


def _spans_words(facts: Mapping[str, Any]) -> bool:
    return any(SPACE in word[1:] for word in facts["model"]["vocab"])


def _scores(model: Mapping[str, Any], added: Set[str]) -> dict[str, float] | None:
    """The better a score, the earlier a word is put together. None when no scores say what the merges say.

    `added` words are cut out of a text before anything is merged, but for spaces, which are not yet ▁ by then.
    """
    vocab = model["vocab"]
    ranks: dict[str, int] = {}
    pairs: set[tuple[str, str]] = set()
    last = ""
    for each in model["merges"]:
        left, right = each.split(" ") if isinstance(each, str) else each
        word = left + right
        if word in ranks and word != last:
            return None
        ranks.setdefault(word, len(ranks))
        pairs.add((left, right))
        last = word
    for word in vocab:
        if is_byte(word) or (word in added and SPACE not in word):
            continue
        for cut in range(1, len(word)):
            pair = (word[:cut], word[cut:])
            if pair[0] in vocab and pair[1] in vocab and pair not in pairs:
                return None
    return {word: -float(rank) for word, rank in ranks.items()}


def _refused(name: str, reason: str) -> UserError:
    return UserError("gguf_tokenizer", field="export_format", name=name, reason=reason)
