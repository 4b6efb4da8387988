"""The tokens that llama.cpp makes of a text are those of transformers; where they would not be, the export is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from tests.export.gguf import tiny
from trainer.errors import UserError
from trainer.export import gguf
from trainer.export.gguf import pretokenizers
from trainer.export.gguf.vocabulary import ENDS
from trainer.paths import MODELS

NAMES = [(rule, whole, known.name) for (rule, whole), known in pretokenizers.KNOWN.items()]


def small(folder: Path, tokenizer: Any, **changes: Any) -> Path:
    sizes = {"hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    return tiny.write_model(folder, "llama", tokenizer, **sizes, **changes)


def refusal(folder: Path, kind: str = "f16", **changes: Any) -> UserError:
    with pytest.raises(UserError) as caught:
        gguf.check(tiny.opened(folder, **changes), kind)
    return caught.value


@pytest.mark.parametrize(("rule", "whole", "name"), NAMES, ids=[name for *_, name in NAMES])
def test_a_known_way_to_cut_gives_the_same_tokens(rule: str, whole: bool, name: str, tmp_path: Path) -> None:
    folder = small(tmp_path / "model", tiny.byte_level(rule, whole=whole))
    model = tiny.loaded(tiny.written(folder, tmp_path))
    assert model.header.metadata["tokenizer.ggml.pre"] == name
    texts = [each for each in tiny.HARD if name != "tekken" or not any(ord(sign) > 0x2FF for sign in each)]
    tokenizer = tiny.opened(folder).tokenizer
    assert list(tiny.same_tokens(tokenizer, model, texts)) == []
    for text in filter(None, texts):
        assert model.detokenize(tokenizer(text, add_special_tokens=False).input_ids, special=True) == text


@pytest.mark.parametrize(("manner", "complete"), [("gemma", True), ("gemma", False), ("legacy", True)])
def test_the_manner_of_sentencepiece_gives_the_same_tokens(
    manner: str, complete: bool, tmp_path: Path
) -> None:
    folder = small(tmp_path / "model", tiny.pieces(manner, complete=complete))
    model = tiny.loaded(tiny.written(folder, tmp_path))
    assert model.header.metadata["tokenizer.ggml.model"] == ("llama" if complete else "gemma4")
    tokenizer = tiny.opened(folder).tokenizer
    assert list(tiny.same_tokens(tokenizer, model)) == []
    for text in filter(None, tiny.HARD):
        # Behind a special token the space in front stays, in transformers' decoder as well.
        if manner != "legacy" or "<|" not in text:
            assert model.detokenize(tokenizer(text, add_special_tokens=False).input_ids, special=True) == text


@pytest.mark.parametrize("complete", [True, False])
def test_a_space_at_the_very_beginning_only_is_kept_out_of_conversations(
    complete: bool, tmp_path: Path
) -> None:
    folder = small(tmp_path / "model", tiny.pieces("first", complete=complete))
    source = tiny.opened(folder)
    model = tiny.loaded(tiny.written(folder, tmp_path))
    talks = [
        [{"role": "user", "content": each}, {"role": "assistant", "content": f" {each}"}]
        for each in tiny.HARD
    ]
    texts = [source.tokenizer.apply_chat_template(talk, tokenize=False) for talk in talks]
    assert [source.tokenizer(text, add_special_tokens=False).input_ids for text in texts] == [
        model.tokenize(text) for text in texts
    ]
    assert "gguf_no_prefix" in [note.code for note in gguf.notes(source, "f16")]


def test_a_space_in_front_stays_where_conversations_do_not_begin_with_a_special_token(tmp_path: Path) -> None:
    tokenizer = tiny.pieces("first")
    tokenizer.chat_template = (
        "{% for message in messages %}{{ message.role }}: {{ message.content }}<|im_end|>{% endfor %}"
    )
    folder = small(tmp_path / "model", tokenizer)
    source = tiny.opened(folder)
    model = tiny.loaded(tiny.written(folder, tmp_path))
    plain = [each for each in tiny.HARD if not each.startswith(" ") and "<|" not in each]
    # The tokenizer has a token of the beginning, but no conversation has it: llama.cpp must not add one either.
    for text in plain:
        bare = source.tokenizer(text, add_special_tokens=False).input_ids
        assert bare == model.tokenize(text) == model.tokenize_added(text), text
    assert "gguf_prefix" in [note.code for note in gguf.notes(source, "f16")]


def test_runs_of_spaces_that_nothing_merges_stay_apart(tmp_path: Path) -> None:
    """A word of spaces that was added by hand: llama.cpp would merge to it by its text."""
    tokenizer = tiny.pieces("gemma")
    facts = json.loads(tokenizer.backend_tokenizer.to_str())
    run = max((each for each in facts["model"]["vocab"] if set(each) == {"▁"}), key=len)
    facts["model"]["merges"] = [each for each in facts["model"]["merges"] if "".join(each) != run]
    facts["added_tokens"].append(
        {**facts["added_tokens"][0], "id": facts["model"]["vocab"][run], "content": run, "special": False}
    )
    facts["added_tokens"].sort(key=lambda each: each["id"])
    changed = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_str(json.dumps(facts)), bos_token="<|bos|>", eos_token="<|im_end|>"
    )
    changed.chat_template = tokenizer.chat_template
    folder = small(tmp_path / "model", changed)
    model = tiny.loaded(tiny.written(folder, tmp_path))
    texts = [*tiny.HARD, f"a{' ' * len(run)}b", f"a{run}b"]
    assert list(tiny.same_tokens(tiny.opened(folder).tokenizer, model, texts)) == []


def test_a_vocabulary_of_bytes_alone_needs_no_merges(tmp_path: Path) -> None:
    folder = small(tmp_path / "model", tiny.byte_level("bytes", merged=False))
    model = tiny.loaded(tiny.written(folder, tmp_path))
    assert list(tiny.same_tokens(tiny.opened(folder).tokenizer, model)) == []


def test_rows_without_a_word_get_a_name_and_added_words_keep_theirs(tmp_path: Path) -> None:
    tokenizer = tiny.byte_level("bytes")
    tokenizer.add_tokens(["[PAD910]", "<think>"])
    folder = small(tmp_path / "model", tokenizer, vocab_size=960)
    model = tiny.loaded(tiny.written(folder, tmp_path))
    assert model.size == 960
    words, kinds = (model.header.metadata[f"tokenizer.ggml.{each}"] for each in ("tokens", "token_type"))
    assert len(set(words)) == 960
    assert "[[PAD910]]" in words
    texts = [*tiny.HARD, "a <think>b</think> [PAD910]", "x[PAD911]"]
    assert list(tiny.same_tokens(tiny.opened(folder).tokenizer, model, texts)) == []
    assert kinds[words.index("<think>")] == 4
    assert kinds[words.index("<|im_end|>")] == 3
    assert kinds[959] == 5


def test_sprout_makes_the_same_tokens_and_ends_where_it_should(tmp_path: Path) -> None:
    source = tiny.opened(MODELS / "sprout")
    (path,) = gguf.write(source, tmp_path / "sprout-f16.gguf", "f16", tiny.Quiet())
    model = tiny.loaded(path)
    assert list(tiny.same_tokens(source.tokenizer, model)) == []
    assert all(model.is_end(each) for each in source.stop_ids)
    assert model.header.metadata["general.name"] == "sprout"


def test_every_end_of_an_answer_is_an_end_in_llama_cpp(tmp_path: Path) -> None:
    tokenizer = tiny.byte_level("bytes")
    folder = small(tmp_path / "model", tokenizer)
    ends = tokenizer.convert_tokens_to_ids(["<|im_end|>", "<|end|>", "<|bos|>", "<|im_start|>"])
    (folder / "generation_config.json").write_text(json.dumps({"eos_token_id": ends}), encoding="utf-8")
    source = tiny.opened(folder)
    model = tiny.loaded(tiny.written(folder, tmp_path))
    assert all(model.is_end(each) for each in ends)
    assert [note for note in gguf.notes(source, "f16") if note.code == "gguf_stops"] == []
    # A fourth that llama.cpp does not know by its text has no place left.
    ends.append(700)
    (folder / "generation_config.json").write_text(json.dumps({"eos_token_id": ends}), encoding="utf-8")
    told = {note.code: note.values for note in gguf.notes(tiny.opened(folder), "f16")}
    assert told["gguf_stops"] == {"tokens": tokenizer.convert_ids_to_tokens(700)}


def test_llama_cpp_ends_answers_at_the_texts_that_we_count_on(tmp_path: Path) -> None:
    tokenizer = tiny.byte_level("bytes")
    tokenizer.add_special_tokens({"additional_special_tokens": sorted(ENDS)})
    folder = small(tmp_path / "model", tokenizer)
    model = tiny.loaded(tiny.written(folder, tmp_path))
    known = {each for each in ENDS if model.is_end(tokenizer.convert_tokens_to_ids(each))}
    # With <|return|> there, <|end|> opens the next part of an answer.
    assert known >= ENDS - {"<|end|>"}


@pytest.mark.parametrize(
    ("rule", "reason"),
    [
        (r"\p{L}+|\p{N}{1,2}|\s+|[^\s\p{L}\p{N}]+", "pre-tokenizer"),
        # That of GPT-4o and Llama 4, which llama.cpp follows for A-Z only.
        (
            r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\s+",
            "pre-tokenizer",
        ),
    ],
)
def test_an_unknown_way_to_cut_is_refused(rule: str, reason: str, tmp_path: Path) -> None:
    error = refusal(small(tmp_path / "model", tiny.byte_level(rule)))
    assert (error.code, error.field) == ("gguf_tokenizer", "export_format")
    assert reason in error.text


def test_the_same_rule_with_another_way_to_merge_is_refused(tmp_path: Path) -> None:
    folder = small(tmp_path / "model", tiny.byte_level(pretokenizers.QWEN2, whole=True))
    assert refusal(folder).code == "gguf_tokenizer"


def test_merges_that_scores_cannot_say_are_refused_where_a_space_is_put_in_front(tmp_path: Path) -> None:
    folder = small(tmp_path / "model", tiny.pieces("legacy", complete=False))
    assert "merges" in refusal(folder).text


def test_merges_that_scores_cannot_say_are_refused_where_no_token_begins_a_text(tmp_path: Path) -> None:
    tokenizer = tiny.pieces("gemma", complete=False)
    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(single="$A", special_tokens=[])
    assert "merges" in refusal(small(tmp_path / "model", tokenizer)).text
    # Nor where the tokenizer has one, but conversations have none.
    tokenizer = tiny.pieces("gemma", complete=False)
    tokenizer.chat_template = tiny.CHATML
    assert "merges" in refusal(small(tmp_path / "other", tokenizer)).text


def test_a_tokenizer_that_cuts_at_spaces_is_refused(tmp_path: Path) -> None:
    made: PreTrainedTokenizerFast = tiny.byte_level("bytes")
    made.backend_tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    assert refusal(small(tmp_path / "model", made)).code == "gguf_tokenizer"


def test_more_words_than_rows_are_refused_and_added_ones_that_nothing_says_left_out(tmp_path: Path) -> None:
    tokenizer = tiny.byte_level("bytes")
    assert refusal(small(tmp_path / "less", tokenizer, vocab_size=850)).code == "gguf_vocabulary_larger"
    # The template says <|im_start|>, so its row is needed.
    assert refusal(small(tmp_path / "mark", tokenizer, vocab_size=901)).code == "gguf_vocabulary_larger"
    tokenizer.add_tokens(["<extra>"])
    folder = small(tmp_path / "one", tokenizer, vocab_size=len(tokenizer) - 1)
    told = {note.code: note.values for note in gguf.notes(tiny.opened(folder), "f16")}
    assert told["gguf_homeless"] == {"tokens": "<extra>", "count": 1}
    assert tiny.loaded(tiny.written(folder, tmp_path)).size == len(tokenizer) - 1
