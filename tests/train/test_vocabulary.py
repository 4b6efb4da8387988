"""New words: they are learned, saved with the result, and answered by everything that loads it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForImageTextToText, AutoTokenizer

from tests.train import families, tiny
from tests.train.conftest import Configure
from trainer.config import RunConfig
from trainer.dataset.conversation import message
from trainer.errors import UserError
from trainer.export.source import open_source
from trainer.model.adapter import quiet
from trainer.model.load import load_model
from trainer.model.reshaped import FILE, reshaped
from trainer.model.sides import Loader, plan
from trainer.model.vocabulary import grow_words, open_words
from trainer.options import DataOptions, ModelOptions

NEW = "<grip>"
# The next multiple of 64 above the words of the tiny tokenizer.
ROOM = 320
ROWS = [
    {"instruction": "red sun", "output": f"{NEW} one"},
    {"instruction": "blue moon", "output": f"two {NEW}"},
    {"instruction": "green tree", "output": "three"},
]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Models whose embeddings have a row for each word and none to spare, and one with rows to spare."""
    folder = tmp_path_factory.mktemp("models")
    tiny.save_tokenizer(folder / "words")
    words = len(AutoTokenizer.from_pretrained(folder / "words"))
    configs = {
        "tied": tiny.qwen(vocab_size=words),
        "untied": tiny.qwen(vocab_size=words, tie_word_embeddings=False),
        "roomy": tiny.qwen(vocab_size=ROOM),
    }
    return {name: tiny.save_model(folder / name, config) for name, config in configs.items()}


@pytest.fixture(scope="module")
def words_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("words")
    (folder / "acts.json").write_text(json.dumps(ROWS))
    (folder / "dataset_info.json").write_text(json.dumps({"acts": {"file_name": "acts.json"}}))
    return folder


@pytest.fixture
def learn(configure: Configure, words_folder: Path, models: dict[str, Path]) -> Any:
    def make(kind: str = "tied", name: str = "run", **changes: Any) -> RunConfig:
        settings: dict[str, Any] = {
            "dataset": "acts", "dataset_dir": str(words_folder), "add_tokens": NEW, "max_steps": 60,
            "logging_steps": 20, "model_name_or_path": str(models[kind]), "lora_rank": 16,
        }  # fmt: skip
        return configure(name, **{**settings, **changes})

    return make


def _answers(base: Path, checkpoint: Path, mode: str = "tuned") -> tuple[Any, list[str]]:
    """The last side of a load, and what it answers to the three questions."""
    sides = Loader("", False, DataOptions()).load(plan(base, [checkpoint], mode))
    side = sides[-1]
    found = []
    for row in ROWS:
        ids = side.renderer.prompt([message("user", row["instruction"])])
        written = side.model.generate(
            input_ids=torch.tensor([ids]), max_new_tokens=8, do_sample=False, pad_token_id=0,
            eos_token_id=sorted(side.stop_ids),
        )[0, len(ids) :]  # fmt: skip
        found.append(side.tokenizer.decode(written, skip_special_tokens=True))
    return sides, found


WANTED = [row["output"] for row in ROWS]


@pytest.mark.parametrize("kind", ["tied", "untied", "roomy"])
def test_an_adapter_with_a_new_word_answers_the_same_wherever_it_is_loaded(
    learn: Any, models: dict[str, Path], kind: str
) -> None:
    config = learn(kind)
    run = tiny.train(config)
    base = models[kind]
    sides, said = _answers(base, run.folder)
    assert said == WANTED
    token = AutoTokenizer.from_pretrained(run.folder).convert_tokens_to_ids(NEW)
    assert reshaped(run.folder).rows == ROOM
    assert (sides[-1].tokenizer.convert_tokens_to_ids(NEW), token < ROOM) == (token, True)
    ids = torch.tensor([[5, token, 9, 40, 7]])
    ours = sides[-1].model(input_ids=ids).logits
    # PEFT alone, on a base that somebody else has made larger.
    plain = AutoModelForCausalLM.from_pretrained(base)
    plain.resize_token_embeddings(ROOM, mean_resizing=False)
    alone = PeftModel.from_pretrained(plain, run.folder)
    torch.testing.assert_close(alone(input_ids=ids).logits, ours, rtol=1e-5, atol=1e-5)
    merged = _exported(run.folder, base)
    torch.testing.assert_close(merged(input_ids=ids).logits, ours, rtol=1e-4, atol=1e-4)
    assert merged.config.tie_word_embeddings is (kind != "untied")


def _exported(adapter: Path, base: Path) -> Any:
    """A model of what an export would write."""
    source = open_source(
        RunConfig.from_flat(
            {
                "model_name_or_path": str(base),
                "adapter_name_or_path": str(adapter),
                "do_export": True,
                "template": "",
            }
        )
    )
    folder = adapter.parent / f"{adapter.name}-merged"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(source.config))
    from safetensors.torch import save_file

    save_file(
        {info.name: source.read(info.name) for info in source.names()},
        folder / "model.safetensors",
        {"format": "pt"},
    )
    assert len(source.tokenizer) == len(AutoTokenizer.from_pretrained(adapter))
    return load_model(folder, torch.float32)


def test_the_base_beside_such_an_adapter_is_the_base_as_it_was(learn: Any, models: dict[str, Path]) -> None:
    run = tiny.train(learn(max_steps=3))
    (before, after), _ = _answers(models["tied"], run.folder, "compare")
    plain = AutoModelForCausalLM.from_pretrained(models["tied"])
    ids = torch.tensor([[5, 9, 40, 7]])
    torch.testing.assert_close(before.model(input_ids=ids).logits, plain(input_ids=ids).logits)
    assert len(before.tokenizer) + 1 == len(after.tokenizer)
    assert before.tokenizer(NEW)["input_ids"] != after.tokenizer(NEW)["input_ids"]


@pytest.mark.parametrize(("kind", "method"), [("tied", "full"), ("untied", "full"), ("untied", "freeze")])
def test_full_fine_tuning_leaves_a_model_with_the_word(learn: Any, kind: str, method: str) -> None:
    run = tiny.train(learn(kind, finetuning_type=method, learning_rate=0.005))
    config = json.loads((run.folder / "config.json").read_text())
    assert config["vocab_size"] == ROOM
    assert not (run.folder / FILE).exists()
    assert _answers(run.folder, run.folder)[1] == WANTED


def test_a_run_that_goes_on_is_the_run_that_never_stopped(learn: Any) -> None:
    straight = tiny.train(learn(name="straight", max_steps=6, logging_steps=1))
    first = tiny.train(learn(max_steps=6, logging_steps=1), stop=lambda run: len(run.losses) >= 3)
    assert (Path(first.end.path) / FILE).exists()
    resumed = tiny.train(learn(max_steps=6, logging_steps=1, resume_from_checkpoint=first.end.path))
    assert resumed.losses == pytest.approx({step: straight.losses[step] for step in resumed.losses}, rel=1e-5)
    assert 6 in resumed.losses
    one, other = tiny.adapter(straight.folder), tiny.adapter(resumed.folder)
    assert all(torch.allclose(one[name], other[name], atol=1e-6) for name in one)


def test_an_adapter_that_is_trained_further_keeps_its_words(learn: Any, models: dict[str, Path]) -> None:
    first = tiny.train(learn(name="first", max_steps=30))
    second = tiny.train(
        learn(name="second", add_tokens="", adapter_name_or_path=str(first.folder), max_steps=30)
    )
    assert _answers(models["tied"], second.folder)[1] == WANTED
    with pytest.raises(UserError, match="no room"):
        tiny.train(learn(name="third", add_tokens="<more>", adapter_name_or_path=str(first.folder)))


def _grown(model_folder: Path, **options: Any) -> tuple[torch.Tensor, torch.Tensor, Any]:
    torch.manual_seed(3)
    before = load_model(model_folder, torch.float32)
    after = load_model(model_folder, torch.float32)
    words = open_words(model_folder, ModelOptions(**options))
    grow_words(after, words, options.get("init_special_tokens", "noise_init"))
    rows = [each.get_input_embeddings().weight.detach() for each in (before, after)]
    return rows[0], rows[1], words


def test_new_rows_begin_as_the_options_say(models: dict[str, Path], tmp_path: Path) -> None:
    known, grown, words = _grown(models["untied"], add_tokens=("<a>", "red"), add_special_tokens=("<b>",))
    assert torch.equal(grown[: len(known)], known)
    assert len(grown) == ROOM
    # "red" is a word that the tokenizer has as a whole, or becomes one: only unknown ones are new.
    assert len(words.new) >= 2
    assert "<b>" in {
        token.content for token in words.tokenizer.added_tokens_decoder.values() if token.special
    }
    spread = (grown[len(known) :] - known.mean(0)).std()
    assert float(spread) == pytest.approx(1 / 32**0.5, rel=0.1)
    file = tmp_path / "words.yaml"
    file.write_text('"<open>": "red sun"\n"<shut>": ""\n')
    options = {"new_special_tokens_config": str(file), "init_special_tokens": "desc_init"}
    known, grown, words = _grown(models["untied"], **options)
    spoken = words.tokenizer("red sun", add_special_tokens=False)["input_ids"]
    row = words.tokenizer.convert_tokens_to_ids("<open>")
    torch.testing.assert_close(grown[row], known[spoken].mean(0))
    _, noisy, _ = _grown(models["untied"], **{**options, "init_special_tokens": "desc_init_w_noise"})
    assert not torch.allclose(noisy[row], known[spoken].mean(0), atol=1e-2)


def test_resizing_alone_trains_the_embeddings_of_a_tokenizer_that_has_outgrown_them(
    learn: Any, models: dict[str, Path], tmp_path: Path
) -> None:
    outgrown = tmp_path / "outgrown"
    AutoModelForCausalLM.from_pretrained(models["untied"]).save_pretrained(outgrown)
    tokenizer = AutoTokenizer.from_pretrained(models["untied"])
    tokenizer.add_tokens([NEW])
    tokenizer.save_pretrained(outgrown)
    run = tiny.train(learn(model_name_or_path=str(outgrown), add_tokens="", resize_vocab=True))
    weights = load_file(run.folder / "adapter_model.safetensors")
    assert weights["base_model.model.lm_head.weight"].shape == (ROOM, 32)
    assert _answers(outgrown, run.folder)[1] == WANTED


def test_what_cannot_be_is_refused(learn: Any, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="new_special_tokens_config"):
        tiny.train(learn(new_special_tokens_config=str(tmp_path / "none.yaml")))
    with pytest.raises(UserError, match="train_from_scratch"):
        learn(train_from_scratch=True)


def test_a_base_in_few_bits_learns_new_words_too(learn: Any) -> None:
    run = tiny.train(learn("untied", quantization_bit="4", max_steps=3, logging_steps=1))
    weights = tiny.adapter(run.folder)
    assert reshaped(run.folder).rows == ROOM
    names = ("base_model.model.lm_head.weight", "base_model.model.model.embed_tokens.weight")
    assert [weights[name].shape for name in names] == [(ROOM, 32)] * 2
    assert run.losses[3] < run.losses[1]


SMALL: dict[str, Any] = {
    "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4, "head_dim": 8,
    "num_key_value_heads": 2, "max_position_embeddings": 64, "pad_token_id": 0, "bos_token_id": None, "eos_token_id": 2,
}  # fmt: skip
GPT2 = {"n_embd": 32, "n_head": 4, "n_layer": 2, "n_positions": 64}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "changes"), [("gemma2", {}), ("gpt2", GPT2), ("gpt_neox", {}), ("qwen3", {}), ("qwen2_vl", None)]
)
def test_other_families_answer_the_same_after_growing(
    learn: Any, tmp_path: Path, kind: str, changes: dict[str, Any] | None
) -> None:
    auto: Any = AutoModelForCausalLM
    if changes is None:
        base, auto = families.save(kind, tmp_path / kind), AutoModelForImageTextToText
    else:
        tiny.save_tokenizer(tmp_path / "words")
        words = len(AutoTokenizer.from_pretrained(tmp_path / "words"))
        config = AutoConfig.for_model(kind, **{**SMALL, **changes, "vocab_size": words})
        base = tiny.save_model(tmp_path / kind, config)
    run = tiny.train(learn(model_name_or_path=str(base), max_steps=2, lora_rank=4))
    (before, after) = Loader("", False, DataOptions()).load(plan(base, [run.folder], "compare"))
    ids = torch.tensor([[5, 9, 40, 7]])
    plain = auto.from_pretrained(base)
    torch.testing.assert_close(before.model(input_ids=ids).logits, plain(input_ids=ids).logits)
    plain.resize_token_embeddings(reshaped(run.folder).rows, mean_resizing=False)
    with quiet():
        alone = PeftModel.from_pretrained(plain, run.folder)
    torch.testing.assert_close(alone(input_ids=ids).logits, after.model(input_ids=ids).logits)
