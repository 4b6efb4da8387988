"""stage pt: plain texts, trained to their last word, joined into blocks or each by itself."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from tests.train import tiny
from tests.train.conftest import Configure
from trainer.config import RunConfig
from trainer.dataset.blocks import Blocks, cuts, flow_in_blocks
from trainer.dataset.gather import gather
from trainer.dataset.plain import renderer_of
from trainer.errors import UserError
from trainer.events import Evaluated, Started, Stopped
from trainer.jobs.work import run_stage

TEXTS = [
    " ".join(tiny.WORDS[(row * 5 + place * 7) % 12] for place in range(3 + row * 3 % 17)) for row in range(23)
]


@pytest.fixture(scope="module")
def texts_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("texts")
    (folder / "wiki.jsonl").write_text("\n".join(json.dumps({"text": text}) for text in TEXTS))
    (folder / "lines.txt").write_text("\n\n".join(TEXTS))
    alpaca = [{"instruction": text, "input": "", "output": "never seen"} for text in TEXTS]
    (folder / "alpaca.json").write_text(json.dumps(alpaca))
    tiny.save_data(folder, 4)
    entries: dict[str, Any] = {
        "wiki": {"file_name": "wiki.jsonl", "columns": {"prompt": "text"}},
        "bare": {"file_name": "wiki.jsonl"},
        "lines": {"file_name": "lines.txt", "columns": {"prompt": "text"}},
        "alpaca": {"file_name": "alpaca.json"},
        "talk": {"file_name": "wiki.jsonl", "formatting": "sharegpt", "columns": {"messages": "text"}},
    }
    (folder / "dataset_info.json").write_text(json.dumps(entries))
    return folder


@pytest.fixture
def pretrain(configure: Configure, texts_folder: Path) -> Configure:
    def make(name: str = "run", **changes: Any) -> RunConfig:
        return configure(
            name,
            **{
                "stage": "pt",
                "dataset": "wiki",
                "dataset_dir": str(texts_folder),
                "cutoff_len": 32,
                **changes,
            },
        )

    return make


def documents(model_folder: Path, texts: list[str] = TEXTS) -> list[list[int]]:
    tokenizer = AutoTokenizer.from_pretrained(model_folder)
    return [[*tokenizer(text)["input_ids"], tokenizer.eos_token_id] for text in texts]


def _rows(config: RunConfig) -> Any:
    tokenizer = AutoTokenizer.from_pretrained(config.model.model_name_or_path)
    renderer = renderer_of(tokenizer, config.data.template, config.data)
    return gather(renderer, config.data, config.train.seed)


@pytest.mark.parametrize("dataset", ["wiki", "bare", "lines", "alpaca"])
def test_every_kind_of_file_gives_the_texts_and_their_ends(
    pretrain: Configure, model_folder: Path, dataset: str
) -> None:
    found = _rows(pretrain(dataset=dataset, packing=False, cutoff_len=256))
    assert found.problems == []
    assert [row.input_ids for row in found.train] == documents(model_folder)
    assert all(row.labels == row.input_ids for row in found.train)


def test_packing_joins_all_texts_and_cuts_them_into_full_blocks(
    pretrain: Configure, model_folder: Path
) -> None:
    config = pretrain()
    assert config.data.packing
    assert not pretrain(packing=False).data.packing
    whole = [token for ids in documents(model_folder) for token in ids]
    table = _rows(config).train
    assert isinstance(table, Blocks)
    blocks = [row.input_ids for row in table]
    assert [token for block in blocks for token in block] == whole
    assert {len(block) for block in blocks[:-1]} == {32}
    assert table.trained == len(whole) - len(blocks)
    assert table[2:4] == [table[2], table[3]]
    assert table[-1].input_ids == blocks[-1]


@pytest.mark.parametrize("packing", [True, False])
@pytest.mark.parametrize("size", [4, 7, 32, 500])
def test_a_stream_is_cut_as_a_table_is(pretrain: Configure, packing: bool, size: int) -> None:
    data = pretrain(packing=packing, cutoff_len=size).data
    table = _rows(pretrain(packing=packing, cutoff_len=size)).train
    flow = list(flow_in_blocks(iter(table.texts), data))
    assert [row.input_ids for row in flow] == [row.input_ids for row in table]
    assert all(row.trained > 0 for row in flow)
    assert sum(len(row.input_ids) for row in flow) == int(table.texts.sizes.sum())


def test_a_token_that_is_left_over_gets_company() -> None:
    assert cuts([9], 4, joined=False).tolist() == [[0, 4], [4, 7], [7, 9]]
    assert cuts([3, 5, 1], 4, joined=True).tolist() == [[0, 4], [4, 7], [7, 9]]
    assert cuts([3, 5], 4, joined=False).tolist() == [[0, 3], [3, 6], [6, 8]]
    assert cuts([], 4, joined=True).tolist() == []


def _blocks(model_folder: Path, size: int = 32) -> list[list[int]]:
    whole = [token for ids in documents(model_folder) for token in ids]
    return [whole[start : start + size] for start in range(0, len(whole), size)]


def _batch(blocks: list[list[int]]) -> dict[str, torch.Tensor]:
    longest = max(map(len, blocks))
    ids = torch.tensor([block + [0] * (longest - len(block)) for block in blocks])
    mask = torch.tensor([[1] * len(block) + [0] * (longest - len(block)) for block in blocks])
    return {"input_ids": ids, "attention_mask": mask, "labels": ids.masked_fill(mask == 0, -100)}


def test_the_loss_is_that_of_a_plain_loop_over_the_same_blocks(
    pretrain: Configure, model_folder: Path
) -> None:
    settings = {"optim": "sgd", "max_steps": 3, "max_grad_norm": 0.0, "finetuning_type": "full"}
    run = tiny.train(pretrain(per_device_train_batch_size=64, **settings))
    model = AutoModelForCausalLM.from_pretrained(model_folder)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    for step in (1, 2, 3):
        loss = model(**_batch(_blocks(model_folder))).loss
        assert run.losses[step] == pytest.approx(loss.item(), rel=1e-4)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    saved = load_file(run.folder / "model.safetensors")
    for name, weight in model.state_dict().items():
        if name in saved:
            torch.testing.assert_close(saved[name], weight, rtol=1e-4, atol=1e-5)


def test_an_evaluation_gives_loss_and_perplexity_of_what_was_held_back(
    pretrain: Configure, model_folder: Path
) -> None:
    config = pretrain(val_size=5, eval_strategy="steps", eval_steps=2, do_eval=True, do_train=True)
    run = tiny.train(config)
    results = json.loads((run.folder / "all_results.json").read_text())
    assert results["eval_perplexity"] == pytest.approx(math.exp(results["eval_loss"]))
    evaluated = json.loads((run.folder / "eval_results.json").read_text())
    assert evaluated["eval_perplexity"] == pytest.approx(math.exp(evaluated["eval_loss"]))
    logged = [json.loads(line) for line in (run.folder / "trainer_log.jsonl").read_text().splitlines()]
    told = [each for each in logged if "eval_loss" in each]
    assert all(each["eval_perplexity"] == pytest.approx(math.exp(each["eval_loss"])) for each in told)
    assert len(told) == len(run.of(Evaluated))
    held = [row.input_ids for row in _rows(config).parts[""]]
    trained = tiny.merged(model_folder, run.folder)
    assert results["eval_loss"] == pytest.approx(trained(**_batch(held)).loss.item(), rel=1e-4)


def test_the_evaluation_room_measures_texts(pretrain: Configure, model_folder: Path) -> None:
    run = tiny.train(pretrain())
    config = pretrain(
        "eval", do_train=False, do_eval=True, eval_dataset="lines", dataset="", cutoff_len=256,
        adapter_name_or_path=str(run.folder), max_samples=4, compare_base=True,
    )  # fmt: skip
    end = run_stage(config, lambda _: None, lambda: False)
    results = json.loads((Path(end.path) / "eval_results.json").read_text())
    model = AutoModelForCausalLM.from_pretrained(model_folder)
    loss = model(**_batch(documents(model_folder, TEXTS[:4]))).loss.item()
    assert results["base_loss"] == pytest.approx(loss, rel=1e-4)
    assert results["eval_loss"] < loss
    assert results["eval_perplexity"] == pytest.approx(math.exp(results["eval_loss"]))


@pytest.mark.parametrize("packing", [True, False])
def test_a_stream_trains_what_is_there_and_goes_on_where_it_stopped(
    pretrain: Configure, packing: bool
) -> None:
    settings = {"streaming": True, "packing": packing, "max_steps": 6, "buffer_size": 4, "val_size": 2}
    straight = tiny.train(pretrain("straight", **settings))
    first = tiny.train(pretrain(**settings), stop=lambda run: len(run.losses) >= 3)
    assert isinstance(first.end, Stopped)
    resumed = tiny.train(pretrain(resume_from_checkpoint="true", **settings))
    assert resumed.losses == pytest.approx(
        {s: v for s, v in straight.losses.items() if s in resumed.losses}, rel=1e-5
    )
    assert 6 in resumed.losses


def test_rendered_blocks_are_kept_and_trained_again(pretrain: Configure, tmp_path: Path) -> None:
    first = tiny.train(pretrain("first", tokenized_path=str(tmp_path / "kept"), max_samples=9))
    again = tiny.train(pretrain("again", tokenized_path=str(tmp_path / "kept"), dataset="", packing=True))
    assert again.losses == pytest.approx(first.losses)
    with pytest.raises(UserError, match="another"):
        tiny.train(pretrain("talk", tokenized_path=str(tmp_path / "kept"), dataset="", stage="sft"))


def test_rows_of_their_own_go_on_in_the_next_and_say_so(pretrain: Configure, model_folder: Path) -> None:
    run = tiny.train(pretrain(packing=False, max_samples=6, cutoff_len=16))
    pieces = [
        ids[start : start + 16]
        for ids in documents(model_folder, TEXTS[:6])
        for start in range(0, len(ids), 16)
    ]
    (note,) = [each for each in run.events if getattr(each, "code", "") == "pretraining_split"]
    assert note.values["rows"] == len(pieces)
    assert run.of(Started)[0].rows == len(pieces)


def test_what_asks_for_conversations_is_refused(pretrain: Configure) -> None:
    for name in ("train_on_prompt", "mask_history"):
        with pytest.raises(UserError, match=name):
            pretrain(**{name: True})
    with pytest.raises(UserError, match="do_predict"):
        pretrain(do_predict=True, val_size=2, do_train=True)
    with pytest.raises(UserError, match="holds conversations"):
        tiny.train(pretrain(dataset="talk"))
    with pytest.raises(UserError, match="set stage to pt"):
        tiny.train(pretrain(stage="sft"))


def test_a_config_says_whether_texts_are_packed(pretrain: Configure) -> None:
    for packing in (True, False):
        config = pretrain(packing=packing)
        assert config.to_flat()["packing"] is packing
        assert RunConfig.from_flat(config.to_flat()) == config


def test_a_model_without_a_chat_template_learns_texts(
    pretrain: Configure, model_folder: Path, tmp_path: Path
) -> None:
    bare = tmp_path / "bare"
    AutoModelForCausalLM.from_pretrained(model_folder).save_pretrained(bare)
    tokenizer = AutoTokenizer.from_pretrained(model_folder)
    tokenizer.chat_template = None
    tokenizer.save_pretrained(bare)
    run = tiny.train(pretrain(model_name_or_path=str(bare), learn_prompts="red sun", learn_steps=2))
    assert not AutoTokenizer.from_pretrained(run.folder).chat_template
    assert len([event for event in run.events if type(event).__name__ == "Sample"]) > 0


@pytest.mark.parametrize("method", ["lora", "freeze"])
def test_other_methods_begin_with_the_same_loss(pretrain: Configure, model_folder: Path, method: str) -> None:
    settings = {"finetuning_type": method, "freeze_trainable_layers": 1, "max_steps": 2}
    run = tiny.train(pretrain(per_device_train_batch_size=64, **settings))
    model = AutoModelForCausalLM.from_pretrained(model_folder)
    assert run.losses[1] == pytest.approx(model(**_batch(_blocks(model_folder))).loss.item(), rel=1e-4)
    assert run.losses[2] < run.losses[1]
