"""What is refused before a weight is read, and what the file says of the model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from jinja2.sandbox import ImmutableSandboxedEnvironment
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM

from tests.export.gguf import tiny
from trainer.errors import UserError
from trainer.export import gguf
from trainer.export.gguf.template import portable
from trainer.model import llama
from trainer.paths import MODELS


def refusal(folder: Path, kind: str = "f16", **changes: Any) -> UserError:
    with pytest.raises(UserError) as caught:
        gguf.check(tiny.opened(folder, **changes), kind)
    return caught.value


@pytest.mark.parametrize(
    ("kind", "changes", "code", "word"),
    [
        ("qwen2", {"hidden_act": "gelu"}, "gguf_setting", "hidden_act"),
        ("qwen2", {"rope_parameters": {"rope_type": "dynamic", "factor": 2.0, "rope_theta": 1e4}}, "gguf_rope", "dynamic"),
        (
            "llama",
            {"rope_parameters": {
                "rope_type": "yarn", "factor": 4.0, "rope_theta": 1e4, "original_max_position_embeddings": 64,
                "attention_factor": 3.0,
            }},
            "gguf_rope", "yarn",
        ),
        ("qwen3", {"attention_bias": True}, "gguf_tensor", "o_proj.bias"),
        ("gemma2", {"head_dim": 32, "query_pre_attn_scalar": 16}, "gguf_setting", "query_pre_attn_scalar"),
        ("gemma2", {"head_dim": 32, "query_pre_attn_scalar": 32, "attn_logit_softcapping": None}, "gguf_setting", "softcapping"),
        ("gemma", {"head_dim": 32, "tie_word_embeddings": False}, "gguf_setting", "tie_word_embeddings"),
        ("gpt_neox", {}, "gguf_family", "gpt_neox"),
    ],
)  # fmt: skip
def test_what_llama_cpp_computes_otherwise_is_refused(
    kind: str, changes: dict[str, Any], code: str, word: str, tmp_path: Path
) -> None:
    error = refusal(tiny.write_model(tmp_path / "model", kind, tiny.byte_level("bytes"), **changes))
    assert (error.code, error.field) == (code, "export_format")
    assert word in error.text
    assert error.hint


def test_a_model_that_sees_is_refused() -> None:
    error = refusal(MODELS / "sprout-vl")
    assert (error.code, error.field) == ("gguf_vision", "export_format")


def test_a_window_ends_the_context(tmp_path: Path) -> None:
    tokenizer = tiny.byte_level("bytes")
    folder = tiny.write_model(tmp_path / "model", "mistral", tokenizer, sliding_window=100)
    source = tiny.opened(folder)
    assert [note.values for note in gguf.notes(source, "f16") if note.code == "gguf_window"] == [
        {"window": 100}
    ]
    assert llama.read(tiny.written(folder, tmp_path)).number("context_length") == 100


def test_rows_that_do_not_fit_are_told(tmp_path: Path) -> None:
    folder = tiny.write_model(tmp_path / "model", "qwen2", tiny.byte_level("bytes"), intermediate_size=72)
    told = {note.code: note.values for note in gguf.notes(tiny.opened(folder), "q4_0")}
    assert told["gguf_kept"] == {"count": 3, "kind": "q4_0"}
    assert tiny.loaded(tiny.written(folder, tmp_path, "q4_0")).greedy([1, 2, 3], 3, ends=False)


def test_a_misleading_name_is_left_out(tmp_path: Path) -> None:
    source = tiny.opened(MODELS / "sprout")
    (path,) = gguf.write(source, tmp_path / "my-Phi-3-f16.gguf", "f16", tiny.Quiet())
    assert "general.name" not in llama.read(path).metadata


def test_the_template_outside_renders_the_same_text() -> None:
    tokenizer = tiny.opened(MODELS / "sprout").tokenizer
    template = tokenizer.chat_template
    assert "generation" in template
    plain = portable(template, tokenizer)
    assert "{%- generation" not in plain
    outside = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True).from_string(plain)
    for talk in (
        [{"role": "user", "content": " Hi "}],
        [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "a"}, {"role": "assistant", "content": "b\n"}],
    ):  # fmt: skip
        for ask in (True, False):
            wanted = tokenizer.apply_chat_template(talk, add_generation_prompt=ask, tokenize=False)
            assert (
                outside.render(messages=talk, add_generation_prompt=ask, bos_token="!", eos_token="?")
                == wanted
            )


@pytest.mark.parametrize("bos", [True, False])
def test_tokens_that_only_transformers_fills_in_are_said_by_the_template(bos: bool) -> None:
    tokenizer = tiny.byte_level("bytes", bos=bos)
    template = "{{ bos_token }}{{ pad_token }}{{ messages[0].content }}{{ eos_token }}"
    outside = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
    said = [{"role": "user", "content": "x"}]
    wanted = tokenizer.apply_chat_template(said, chat_template=template, tokenize=False)
    plain = outside.from_string(portable(template, tokenizer))
    # What stands in the file as bos, where there is none, is some token or other.
    assert plain.render(messages=said, bos_token="<|bos|>", eos_token="<|im_end|>") == wanted


def test_config_of_an_older_transformers_is_read(tmp_path: Path) -> None:
    """rope_theta and rope_scaling at the top level, and what is left to the family's usual values."""
    folder = tiny.write_model(tmp_path / "model", "qwen2", tiny.byte_level("bytes"))
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    for name in ("rope_parameters", "layer_types", "hidden_act", "head_dim"):
        config.pop(name, None)
    config |= {
        "rope_theta": 77777.0,
        "rope_scaling": {"type": "linear", "factor": 2.0},
        "torch_dtype": "float32",
    }
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    header = llama.read(tiny.written(folder, tmp_path))
    assert header.metadata["qwen2.rope.freq_base"] == pytest.approx(77777.0)
    assert header.metadata["qwen2.rope.scaling.type"] == "linear"
    ids = [5, 6, 7, 8, 9, 10]
    model = tiny.loaded(tmp_path / "tiny-f32.gguf")
    assert model.greedy(ids, 32, ends=False) == tiny.answers(folder, ids, 32)[0]


def test_an_adapter_is_in_the_file(tmp_path: Path) -> None:
    """As merged by PEFT, in a folder whose name needs quotes."""
    base = tiny.write_model(tmp_path / "base", "llama", tiny.byte_level("bytes", bos=True))
    model: Any = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    with torch.random.fork_rng():
        torch.manual_seed(4)
        settings = LoraConfig(r=4, target_modules=["q_proj", "k_proj", "down_proj"], init_lora_weights=False)
        tuned = get_peft_model(model, settings)
    tuned.save_pretrained(tmp_path / "adapter")
    merged = tmp_path / "merged"
    tuned.merge_and_unload().save_pretrained(merged)
    place = tmp_path / 'it\'s "名字" here'
    place.mkdir()
    source = tiny.opened(base, adapter_name_or_path=[str(tmp_path / "adapter")])
    (path,) = gguf.write(source, place / "名 字-f32.gguf", "f32", tiny.Quiet())
    ids = [7, 8, 9, 300, 301]
    wanted, scores = tiny.answers(merged, ids, 32)
    found = llama.open_model(path, 256, exact=True).logits_of([*ids, *wanted[:-1]], len(ids) - 1)
    assert abs(found - scores).max() < 1e-3
    assert abs(found - tiny.answers(base, ids, 1)[1][0]).max() > 0.1


def test_llama_cpp_python_talks_as_transformers_does(tmp_path: Path) -> None:
    """By the template and the ends that lie in the file, and nothing else."""
    source = tiny.opened(MODELS / "sprout")
    (path,) = gguf.write(source, tmp_path / "sprout-f16.gguf", "f16", tiny.Quiet())
    outside = llama.library().Llama(str(path), n_ctx=512, verbose=False)
    inside: Any = AutoModelForCausalLM.from_pretrained(MODELS / "sprout", dtype=torch.float32)
    talks = (
        [{"role": "user", "content": "Who are you?"}],
        [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "What is the capital of France?"},
        ],
    )
    for talk in talks:
        said = outside.create_chat_completion(talk, temperature=0, max_tokens=60)
        given = source.tokenizer.apply_chat_template(
            talk, add_generation_prompt=True, return_tensors="pt", return_dict=True
        )
        ids = inside.generate(
            **given, max_new_tokens=60, do_sample=False, eos_token_id=list(source.stop_ids)
        )[0]
        wanted = source.tokenizer.decode(ids[given["input_ids"].shape[1] :], skip_special_tokens=True)
        assert said["choices"][0]["message"]["content"] == wanted
    outside.close()
