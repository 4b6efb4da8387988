"""QLoRA on a CPU: the base lies in few bits, only the adapter moves, and what comes of it is loaded, asked and measured."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import LlamaConfig, LlamaForCausalLM

from tests.train import families, tiny
from tests.train.conftest import Configure
from tests.train.test_equality import _die_at
from trainer.chat.engine import ChatEngine
from trainer.chat.request import Request
from trainer.config import RunConfig
from trainer.errors import UserError
from trainer.evaluate.run import run_eval
from trainer.events import Note, Started
from trainer.model import quantization
from trainer.model.adapter import linear_layers
from trainer.model.counting import parameters
from trainer.model.load import PRECISIONS, load_model
from trainer.model.memory import needed_bytes
from trainer.model.parts import parts_of
from trainer.model.quantization import Quantization
from trainer.train.prepare import prepare_model

# 4 bits lie in blocks of 64 numbers: a model a little wider than the other tests', without outliers.
SIZE = {
    "vocab_size": tiny.VOCABULARY, "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2,
    "num_attention_heads": 4, "num_key_value_heads": 2, "eos_token_id": 2, "pad_token_id": 0, "bos_token_id": None,
    "initializer_range": 0.1, "max_position_embeddings": 512,
}  # fmt: skip
BITS: dict[str, dict[str, Any]] = {
    "nf4": {"quantization_bit": 4},
    "fp4": {"quantization_bit": 4, "quantization_type": "fp4", "double_quantization": False},
    "int8": {"quantization_bit": 8},
}


@pytest.fixture(scope="module")
def wide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.save_model(
        tmp_path_factory.mktemp("models") / "wide", LlamaConfig(**SIZE, tie_word_embeddings=False)
    )


def _held(model: Any) -> int:
    return sum(each.numel() * each.element_size() for each in model.parameters())


@pytest.mark.parametrize("kind", ["nf4", "int8", pytest.param("fp4", marks=pytest.mark.slow)])
def test_only_the_adapter_moves_and_the_base_is_small(configure: Configure, wide: Path, kind: str) -> None:
    config = configure(model_name_or_path=str(wide), max_steps=6, learning_rate=0.005, **BITS[kind])
    before = load_file(wide / "model.safetensors")
    run = tiny.train(config)
    plain = tiny.train(configure("plain", model_name_or_path=str(wide), max_steps=6, learning_rate=0.005))
    assert run.losses[6] < run.losses[1] - 0.1
    # The rounded base is a little worse than the base itself, and not another model.
    assert run.losses[1] == pytest.approx(plain.losses[1], rel=0.05)
    assert run.losses[1] != plain.losses[1]
    assert set(tiny.adapter(run.folder)) == set(tiny.adapter(plain.folder))
    assert all(weight.dtype == torch.float32 for weight in tiny.adapter(run.folder).values())
    assert all(
        torch.equal(weight, before[name]) for name, weight in load_file(wide / "model.safetensors").items()
    )
    assert (run.of(Started)[0].trainable, run.of(Started)[0].parameters) == (
        plain.of(Started)[0].trainable, plain.of(Started)[0].parameters,
    )  # fmt: skip
    assert "quantized_size" in run.codes and "padded_batches" not in run.codes
    model = prepare_model(config, wide, PRECISIONS["fp32"]).model.get_base_model()
    layers = [module.base_layer for name, module in model.named_modules() if hasattr(module, "base_layer")]
    packed = {"int8": 8}.get(kind, 4)
    for layer in layers:
        assert (
            layer.weight.numel() * layer.weight.element_size() * 8
            == packed * layer.in_features * layer.out_features
        )
    assert type(model.lm_head) is torch.nn.Linear and model.lm_head.weight.dtype == torch.float32


@pytest.mark.parametrize("kind", ["nf4", pytest.param("int8", marks=pytest.mark.slow)])
def test_a_resumed_run_equals_an_uninterrupted_one(configure: Configure, wide: Path, kind: str) -> None:
    options = {
        "model_name_or_path": str(wide),
        "max_steps": 4,
        "save_steps": 2,
        "learn_prompts": "red sun",
        **BITS[kind],
    }
    straight = tiny.train(configure("straight", **options, learn_steps=1))
    with pytest.raises(KeyboardInterrupt):
        tiny.train(configure("broken", **options), emit=_die_at(3))
    resumed = tiny.train(configure("broken", resume_from_checkpoint="true", **options))
    # Questions on the way change nothing of what is learned.
    assert resumed.losses == pytest.approx({step: straight.losses[step] for step in (3, 4)}, rel=1e-6)


@pytest.mark.slow
def test_one_batch_is_the_same_however_it_is_cut_up_and_computed(configure: Configure, wide: Path) -> None:
    options = {"model_name_or_path": str(wide), "max_steps": 3, **BITS["nf4"]}
    whole = tiny.train(configure("whole", **options))
    parts = tiny.train(
        configure("parts", **options, per_device_train_batch_size=1, gradient_accumulation_steps=4)
    )
    twice = tiny.train(configure("twice", **options, gradient_checkpointing="on"))
    reentrant = {"gradient_checkpointing_kwargs": {"use_reentrant": True}, "gradient_checkpointing": "on"}
    other = tiny.train(configure("other", **options, **reentrant))
    for run in (parts, twice, other):
        assert run.losses == pytest.approx(whole.losses, rel=1e-4)


def test_the_result_is_chatted_with_and_evaluated(configure: Configure, wide: Path, tmp_path: Path) -> None:
    """On the base as it is, and on the base in as few bits as it was trained on."""
    run = tiny.train(configure(model_name_or_path=str(wide), max_steps=20, learning_rate=0.01, **BITS["nf4"]))
    question = tiny.rows(1)[0]["instruction"]
    answers, dtypes = [], []
    for wish in (None, Quantization(4), Quantization(4)):
        engine = ChatEngine()
        loaded = engine.load(str(wide), [str(run.folder)], "compare", quantization=wish)
        (found,) = engine.answers([Request(question, max_new_tokens=8)])
        answers.append({side: chunk.text for side, chunk in found.items()})
        dtypes.append(loaded.dtype)
        engine.unload()
    assert dtypes == ["float32", "bitsandbytes", "bitsandbytes"]
    assert answers[1] == answers[2]
    assert answers[1]["tuned"] != answers[1]["base"]
    losses = {}
    for name, more in {"plain": {}, "nf4": BITS["nf4"]}.items():
        config = RunConfig.from_flat({
            "model_name_or_path": str(wide), "adapter_name_or_path": str(run.folder), "do_train": False,
            "do_eval": True, "eval_dataset": "rows", "dataset_dir": str(configure().data.dataset_dir),
            "output_dir": str(tmp_path / f"eval-{name}"), "max_samples": 8, "compute_type": "fp32", **more,
        })  # fmt: skip
        run_eval(config, lambda _: None, lambda: False)
        losses[name] = json.loads((tmp_path / f"eval-{name}" / "report.json").read_text())["loss"]
    for found in losses.values():
        assert found["tuned"] < found["base"] - 0.2
    # The adapter was fitted to the rounded base.
    assert losses["nf4"]["tuned"] != losses["plain"]["tuned"]
    assert losses["nf4"]["tuned"] == pytest.approx(losses["plain"]["tuned"], rel=0.2)


def test_an_adapter_goes_on_and_none_is_merged(configure: Configure, wide: Path) -> None:
    common = {"model_name_or_path": str(wide), **BITS["nf4"]}
    first = tiny.train(configure("first", max_steps=4, **common))
    more = {**common, "adapter_name_or_path": str(first.folder), "max_steps": 1, "learning_rate": 1e-9}
    continued = tiny.train(configure("continued", **more))
    assert "adapter_continued" in continued.codes
    for name, weight in tiny.adapter(continued.folder).items():
        torch.testing.assert_close(weight, tiny.adapter(first.folder)[name], rtol=0, atol=1e-6)
    with pytest.raises(UserError) as caught:
        tiny.train(configure("built", create_new_adapter=True, **more))
    assert "create_new_adapter" in str(caught.value)


def test_what_sees_stays_as_it_is(configure: Configure, tmp_path: Path) -> None:
    import bitsandbytes

    folder = families.save("qwen2_vl", tmp_path / "vl")
    config = configure(
        model_name_or_path=str(folder), quantization_bit=4, freeze_vision_tower=True, lora_target="all"
    )
    prepared = prepare_model(config, folder, PRECISIONS["fp32"])
    base = prepared.model.get_base_model()
    parts = parts_of(base)
    squeezed = {
        parts.part_of(name)
        for name, each in base.named_modules()
        if isinstance(each, bitsandbytes.nn.Linear4bit)
    }
    assert squeezed == {"language_model"}
    told = next(note for note in prepared.notes if note.code == "parts_trained")
    assert told.values["vision_tower"] == 0 and told.values["language_model"] > 0
    plain = load_model(folder, torch.float32)
    adapter = sum(each.numel() for each in base.parameters() if each.requires_grad)
    assert parameters(plain) == parameters(base) - adapter
    assert len(linear_layers(plain)) == sum(hasattr(each, "base_layer") for each in base.modules())


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"quantization_bit": 4, "finetuning_type": "full"}, ("4", "full", "lora")),
        ({"quantization_bit": 8, "finetuning_type": "freeze"}, ("8", "freeze", "lora")),
        ({"quantization_bit": 3}, ("bnb", "3", "8, 4")),
        ({"quantization_bit": 4, "quantization_method": "hqq"}, ("hqq",)),
        ({"quantization_bit": 8, "quantization_method": "eetq"}, ("eetq",)),
        ({"quantization_bit": 4, "quantization_method": "eetq"}, ("eetq", "4", "8")),
    ],
)
def test_what_cannot_be_done_is_refused_by_name(
    configure: Configure,
    wide: Path,
    monkeypatch: pytest.MonkeyPatch,
    options: dict[str, Any],
    words: tuple[str, ...],
) -> None:
    monkeypatch.setattr(quantization, "find_spec", lambda name: None if name in ("hqq", "kernels") else name)
    with pytest.raises(UserError) as caught:
        tiny.train(configure(model_name_or_path=str(wide), **options))
    assert all(word in str(caught.value) for word in words)


def _stored(folder: Path, source: Path, settings: dict[str, Any]) -> Path:
    shutil.copytree(source, folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "quantization_config": settings}))
    return folder


@pytest.mark.parametrize("method", ["gptq", pytest.param("awq", marks=pytest.mark.slow)])
def test_models_of_few_bits_are_known_by_their_config(
    configure: Configure, wide: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    monkeypatch.setattr(
        quantization, "find_spec", lambda name: None if name in ("gptqmodel", "optimum") else name
    )
    folder = _stored(tmp_path / method, wide, {"quant_method": method, "bits": 4, "group_size": 64})
    with pytest.raises(UserError, match="is not installed") as caught:
        tiny.train(configure(model_name_or_path=str(folder)))
    assert caught.value.field == "model_name_or_path"
    monkeypatch.setattr(quantization, "find_spec", lambda name: name)
    with pytest.raises(UserError, match=f"by {method} and cannot be trained"):
        tiny.train(configure("whole", model_name_or_path=str(folder), finetuning_type="full"))


def test_a_model_stored_by_bitsandbytes_is_trained_as_it_is(
    configure: Configure, wide: Path, tmp_path: Path
) -> None:
    """The same curve as from the model that is squeezed while it is loaded; a wish for other bits is told to be vain."""
    folder = tmp_path / "stored"
    load_model(wide, torch.float32, quantization=Quantization(4)).save_pretrained(folder)
    tiny.save_tokenizer(folder)
    squeezed = tiny.train(configure("squeezed", model_name_or_path=str(wide), max_steps=3, **BITS["nf4"]))
    stored = tiny.train(
        configure("stored_run", model_name_or_path=str(folder), max_steps=3, quantization_bit=8)
    )
    assert stored.losses == pytest.approx(squeezed.losses, rel=1e-5)
    assert "quantized_already" in stored.codes
    assert [each.level for each in stored.of(Note) if each.code == "quantized_already"] == ["warning"]


def test_room_is_reckoned_with_what_the_base_will_take(wide: Path) -> None:
    held = _held(load_model(wide, torch.float32, quantization=Quantization(4)))
    whole, squeezed = (needed_bytes([wide], torch.float32, each) for each in (None, Quantization(4)))
    assert held < squeezed < 1.35 * held
    assert squeezed < whole


def _in_fp8(folder: Path, made: Any) -> Path:
    """A model as its makers publish it in fp8: blocks of 128 by 128 numbers with a scale each."""
    made.save_pretrained(folder)
    tiny.save_tokenizer(folder)
    weights = load_file(folder / "model.safetensors")
    for name, weight in list(weights.items()):
        if "_proj" in name:
            rows, columns = (-(-size // 128) for size in weight.shape)
            padded = torch.zeros(rows * 128, columns * 128)
            padded[: weight.shape[0], : weight.shape[1]] = weight
            blocks = padded.view(rows, 128, columns, 128)
            scales = blocks.abs().amax((1, 3)) / 448
            squeezed = (blocks / scales[:, None, :, None]).reshape(padded.shape)
            weights[name] = squeezed[: weight.shape[0], : weight.shape[1]].to(torch.float8_e4m3fn)
            weights[f"{name}_scale_inv"] = scales
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    config = json.loads((folder / "config.json").read_text())
    config["quantization_config"] = {
        "quant_method": "fp8", "activation_scheme": "dynamic", "weight_block_size": [128, 128],
    }  # fmt: skip
    (folder / "config.json").write_text(json.dumps(config))
    return folder


@pytest.mark.parametrize("method", ["lora", "full"])
def test_a_model_stored_in_fp8_is_opened_and_trained(
    configure: Configure, tmp_path: Path, method: str
) -> None:
    torch.manual_seed(0)
    made = LlamaForCausalLM(LlamaConfig(**{**SIZE, "hidden_size": 128}, tie_word_embeddings=False))
    plain = tmp_path / "plain"
    made.save_pretrained(plain)
    tiny.save_tokenizer(plain)
    folder = _in_fp8(tmp_path / "fp8", made)
    options = {"max_steps": 2, "finetuning_type": method, "learning_rate": 1e-3}
    run = tiny.train(configure(model_name_or_path=str(folder), **options))
    other = tiny.train(configure("plain", model_name_or_path=str(plain), **options))
    assert run.losses == pytest.approx(other.losses, rel=0.02)
    assert "quantized_size" not in run.codes
    if method == "full":
        assert "quantization_config" not in json.loads((run.folder / "config.json").read_text())
        again = load_model(run.folder, torch.float32)
        assert {each.dtype for each in again.parameters()} == {torch.float32}
