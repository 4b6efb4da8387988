"""A tokenizer -> what a GGUF file says of it, so that llama.cpp makes the same tokens of the same text.

What counts is the tokenizer that transformers has in memory, as its tokenizer.json; what llama.cpp cannot do alike is refused.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from gguf import GGUFWriter, TokenType

from trainer.dataset.chat_template import special_tokens
from trainer.errors import UserError, Values
from trainer.export.gguf import pretokenizers, sentencepiece

# llama.cpp makes these the end of an answer by their text alone, whatever the metadata say.
ENDS = frozenset(
    ("<|eot_id|>", "<|im_end|>", "<|end|>", "<|return|>", "<end_of_turn>", "<|endoftext|>", "</s>", "<|eom_id|>", "<EOT>", "[EOT]",
     "[EOS]", "<|end_of_text|>", "<eos>", "<｜end▁of▁sentence｜>")
)  # fmt: skip


@dataclass(frozen=True)
class Vocabulary:
    """`model` and `pre` are llama.cpp's names; `types` and `scores` go with `tokens`, one for each row of the embedding.

    `special`: ids by role (bos, eos, eot, eom, unk, pad). `notes`: codes and values of what differs all the same.
    """

    model: str
    pre: str
    tokens: Sequence[str]
    types: Sequence[TokenType]
    scores: Sequence[float]
    merges: Sequence[str]
    special: Mapping[str, int]
    add_bos: bool
    add_eos: bool
    space_prefix: bool
    notes: Sequence[tuple[str, Values]] = field(default=())


def read(tokenizer: Any, rows: int, stop_ids: Iterable[int], template: str, name: str) -> Vocabulary:
    """The vocabulary of a transformers tokenizer for an embedding of `rows`. `name` is the model's, for messages.

    Raises UserError for a tokenizer that llama.cpp does not know, and one with more words than the model.
    """
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        raise _refused(name, "it has no tokenizer.json")
    facts = json.loads(backend.to_str())
    words, homeless = _words(facts, rows, name)
    if set(homeless) & {
        *stop_ids,
        *tokenizer(_example(template, tokenizer), add_special_tokens=False).input_ids,
    }:
        raise _too_many(facts, rows, name)
    if pretokenizers.is_byte_level(facts):
        model, pre, scores, space, notes = _byte_level(facts, name)
    else:
        pieces = sentencepiece.read(facts, name, _begins_special(template, tokenizer))
        model, pre, scores, space, notes = (
            pieces.model,
            "default",
            pieces.scores,
            pieces.space_prefix,
            [*pieces.notes],
        )
    tokens, types = _list(facts, words, rows, model, name)
    add_bos, add_eos = _added(tokenizer, name)
    if _begins_without_bos(template, tokenizer):
        # llama.cpp would put it before every chat, where the model has never seen it.
        add_bos = False
    if model == "gemma4" and not add_bos:
        # llama.cpp puts a bos before every text of such a file, whatever the metadata say.
        raise _refused(
            name, "its merges cannot be said by scores, and its texts begin with no token of their own"
        )
    special, left_over = _special(tokenizer, tokens, stop_ids)
    if left_over:
        notes.append(("gguf_stops", {"tokens": " ".join(tokens[each] for each in left_over)}))
    notes += _strips(facts)
    if homeless:
        notes.append(("gguf_homeless", {"tokens": " ".join(homeless.values()), "count": len(homeless)}))
    return Vocabulary(
        model, pre, tokens, types, [scores.get(each, -1000.0) for each in tokens] if model == "llama" else (),
        merges(facts) if model != "llama" else (), special, add_bos, add_eos, space, notes,
    )  # fmt: skip


def write(writer: GGUFWriter, vocabulary: Vocabulary) -> None:
    """The vocabulary as metadata."""
    writer.add_tokenizer_model(vocabulary.model)
    writer.add_tokenizer_pre(vocabulary.pre)
    writer.add_token_list(vocabulary.tokens)
    writer.add_token_types(vocabulary.types)
    if vocabulary.scores:
        writer.add_token_scores(vocabulary.scores)
    if vocabulary.merges:
        writer.add_token_merges(vocabulary.merges)
    for role, number in vocabulary.special.items():
        getattr(writer, f"add_{role}_token_id")(number)
    writer.add_add_bos_token(vocabulary.add_bos)
    writer.add_add_eos_token(vocabulary.add_eos)
    writer.add_add_space_prefix(vocabulary.space_prefix)


def merges(facts: Mapping[str, Any]) -> list[str]:
    """The merges of a tokenizer.json, each as its two sides with a space between."""
    found = [each if isinstance(each, str) else " ".join(each) for each in facts["model"].get("merges") or ()]
    # llama.cpp does not load a file without any. Nothing is ever put together to these sides, so this one never happens.
    return found or ["<|never|> <|never|>"]


def _words(facts: Mapping[str, Any], rows: int, name: str) -> tuple[dict[int, str], dict[int, str]]:
    """The words by id, and those added tokens for which the embedding has no row: no model can read these."""
    model = facts["model"]
    if model.get("type") != "BPE":
        raise _refused(name, f"its kind is {model.get('type')}")
    odd = ("dropout", "continuing_subword_prefix", "end_of_word_suffix")
    if used := [each for each in odd if model.get(each)]:
        raise _refused(name, f"it uses {used[0]}")
    words = {number: word for word, number in model["vocab"].items()}
    if max(words, default=0) >= rows:
        raise _too_many(facts, rows, name)
    added = {each["id"]: each["content"] for each in facts.get("added_tokens") or ()}
    return words | {number: word for number, word in added.items() if number < rows}, {
        number: word for number, word in added.items() if number >= rows
    }


def _byte_level(
    facts: Mapping[str, Any], name: str
) -> tuple[str, str, dict[str, float], bool, list[tuple[str, Values]]]:
    known = pretokenizers.recognise(facts)
    if known is None:
        raise _refused(name, "llama.cpp has no rules that cut text as its pre-tokenizer does")
    kinds = {each.get("type") for each in pretokenizers.steps(facts.get("normalizer"))}
    if kinds - {"NFC"}:
        raise _refused(name, f"it changes text beforehand ({', '.join(sorted(map(str, kinds)))})")
    if facts["model"].get("unk_token") or facts["model"].get("byte_fallback"):
        raise _refused(name, "it mixes bytes and unknown words")
    notes: list[tuple[str, Values]] = [("gguf_nfc", {})] if kinds else []
    if known.note:
        notes.append((known.note, {}))
    return "gpt2", known.name, {}, False, notes


def _list(
    facts: Mapping[str, Any], words: Mapping[int, str], rows: int, model: str, name: str
) -> tuple[list[str], list[TokenType]]:
    added = {each["id"]: bool(each["special"]) for each in facts.get("added_tokens") or ()}
    unknown = facts["model"].get("unk_token")
    taken = set(words.values())
    if len(taken) != len(words):
        raise _refused(name, "two of its tokens have the same text")
    tokens: list[str] = []
    types: list[TokenType] = []
    for number in range(rows):
        word = words.get(number)
        if not word:
            # Rows of the embedding that no word belongs to; llama.cpp wants a name of its own for each.
            word = f"[PAD{number}]"
            while word in taken:
                word = f"[{word}]"
            taken.add(word)
            kind = TokenType.UNUSED
        elif word == unknown and model == "llama":
            kind = TokenType.UNKNOWN
        elif number in added:
            kind = TokenType.CONTROL if added[number] else TokenType.USER_DEFINED
        elif model != "gpt2" and sentencepiece.is_byte(word):
            kind = TokenType.BYTE
        else:
            kind = TokenType.NORMAL
        tokens.append(word)
        types.append(kind)
    return tokens, types


def _added(tokenizer: Any, name: str) -> tuple[bool, bool]:
    """Whether the tokenizer itself puts its bos before, and its eos behind a text."""
    plain = tokenizer("a", add_special_tokens=False).input_ids
    full = tokenizer("a").input_ids
    before = len(full) > len(plain) and full[0] == tokenizer.bos_token_id
    behind = len(full) - before > len(plain) and full[-1] == tokenizer.eos_token_id
    if full != [tokenizer.bos_token_id] * before + plain + [tokenizer.eos_token_id] * behind:
        raise _refused(name, "it adds other tokens to a text than one at its beginning and one at its end")
    return before, behind


def _special(
    tokenizer: Any, tokens: Sequence[str], stop_ids: Iterable[int]
) -> tuple[dict[str, int], list[int]]:
    """Ids by role, and the ends of an answer for which llama.cpp has no place left."""
    stops = [each for each in dict.fromkeys(stop_ids) if 0 <= each < len(tokens)]
    eos = tokenizer.eos_token_id if tokenizer.eos_token_id is not None else next(iter(stops), None)
    rest = [each for each in stops if each != eos and tokens[each] not in ENDS]
    # Where there is no bos, llama.cpp would take whatever word has its usual number.
    bos = tokenizer.bos_token_id if tokenizer.bos_token_id is not None else eos
    roles = {
        "bos": bos, "eos": eos, "eot": next(iter(rest), None), "eom": next(iter(rest[1:]), None),
        "unk": tokenizer.unk_token_id, "pad": tokenizer.pad_token_id,
    }  # fmt: skip
    return {role: int(number) for role, number in roles.items() if number is not None and number >= 0}, rest[
        2:
    ]


def _example(template: str, tokenizer: Any) -> str:
    """A short conversation."""
    said = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
    return (
        str(tokenizer.apply_chat_template(said, chat_template=template, tokenize=False)) if template else ""
    )


def _begins_special(template: str, tokenizer: Any) -> bool:
    """Whether conversations begin with a special token, as those of nearly all chat templates do."""
    text = _example(template, tokenizer)
    return text.startswith(special_tokens(tokenizer))


def _begins_without_bos(template: str, tokenizer: Any) -> bool:
    """Whether conversations begin with something else than the tokenizer's bos."""
    text, bos = _example(template, tokenizer), tokenizer.bos_token
    return bool(text) and not (bos and text.startswith(bos))


def _strips(facts: Mapping[str, Any]) -> list[tuple[str, Values]]:
    """Added tokens that swallow the spaces around them, which llama.cpp does not do."""
    odd = [
        each["content"]
        for each in facts.get("added_tokens") or ()
        if each.get("lstrip") or each.get("rstrip") or each.get("single_word")
    ]
    return [("gguf_strips", {"tokens": " ".join(odd[:5]), "count": len(odd)})] if odd else []


def _too_many(facts: Mapping[str, Any], rows: int, name: str) -> UserError:
    words = 1 + max(
        [*facts["model"]["vocab"].values(), *(each["id"] for each in facts.get("added_tokens") or ())]
    )
    return UserError("gguf_vocabulary_larger", field="export_format", name=name, words=words, rows=rows)


def _refused(name: str, reason: str) -> UserError:
    return UserError("gguf_tokenizer", field="export_format", name=name, reason=reason)
