"""What must not change the numbers does not: how rows are batched, interrupted, asked in between."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.train import tiny
from tests.train.conftest import Configure
from trainer.events import Sample, Saved, Started, Step
from trainer.train import prepare
from trainer.train.collation import Padded
from trainer.train.items import items_of

CLOSE = {"rel": 1e-5, "abs": 1e-5}


def test_one_batch_is_the_same_however_it_is_cut_up(configure: Configure) -> None:
    whole = tiny.train(configure("whole"))
    parts = tiny.train(configure("parts", per_device_train_batch_size=1, gradient_accumulation_steps=4))
    assert len(whole.losses) == 4
    assert parts.losses == pytest.approx(whole.losses, **CLOSE)
    for name, weight in tiny.adapter(whole.folder).items():
        torch.testing.assert_close(tiny.adapter(parts.folder)[name], weight, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("method", ["lora", "full"])
def test_flattened_batches_equal_padded_ones(
    configure: Configure, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    common: dict[str, Any] = {
        "finetuning_type": method,
        "val_size": 5,
        "eval_strategy": "steps",
        "eval_steps": 2,
    }
    flat = tiny.train(configure("flat", **common))
    eager = tiny.train(configure("eager", flash_attn="disabled", **common))
    monkeypatch.setattr(prepare, "why_not_by_row", lambda *_: "a test wants padding.")
    padded = tiny.train(configure("padded", **common))
    assert "padded_batches" not in flat.codes
    for other in (padded, eager):
        assert "padded_batches" in other.codes
        assert other.losses == pytest.approx(flat.losses, **CLOSE)
        assert other.end.eval_loss == pytest.approx(flat.end.eval_loss, **CLOSE)


def test_packed_rows_equal_unpacked_ones(configure: Configure) -> None:
    """All rows in one step: packing changes which rows share a step, but not what they contribute."""
    common = {"max_steps": 3, "cutoff_len": 96}
    plain = tiny.train(configure("plain", per_device_train_batch_size=24, **common))
    packed = tiny.train(configure("packed", per_device_train_batch_size=24, packing=True, **common))
    assert packed.of(Started)[0].total_steps == 3
    assert packed.losses == pytest.approx(plain.losses, **CLOSE)


def test_packing_fills_rows(configure: Configure) -> None:
    run = tiny.train(configure(packing=True, max_steps=-1, num_train_epochs=1, per_device_train_batch_size=1))
    tokens = sum(len(row.input_ids) for row in _rendered(configure()))
    assert run.end.step == -(-tokens // 128)


def _rendered(config: Any) -> Any:
    from trainer.dataset.load import load_rows
    from trainer.dataset.render import Renderer, render_all
    from trainer.model.load import load_tokenizer

    tokenizer = load_tokenizer(Path(config.model.model_name_or_path))
    return render_all(Renderer(tokenizer, "", config.data), load_rows(config.data, 0).train).rows


RESUMED: dict[str, dict[str, Any]] = {
    "lora": {},
    "dropout": {
        "lora_dropout": 0.3,
        "neftune_noise_alpha": 5,
        "lr_scheduler_type": "cosine",
        "warmup_steps": 2,
    },
    "loraplus": {"loraplus_lr_ratio": 8, "weight_decay": 0.1},
    "full": {"finetuning_type": "full", "max_grad_norm": 0.5},
    "packed": {"packing": True, "per_device_train_batch_size": 1, "cutoff_len": 64},
}


@pytest.mark.parametrize("kind", RESUMED)
def test_a_resumed_run_equals_an_uninterrupted_one(configure: Configure, kind: str) -> None:
    """Interrupted between two points of the curve, in the second epoch, with gradients accumulated."""
    options = {
        "max_steps": 9,
        "save_steps": 4,
        "logging_steps": 3,
        "gradient_accumulation_steps": 2,
        **RESUMED[kind],
    }
    straight = tiny.train(configure("straight", **options))
    config = configure("broken", **options)
    with pytest.raises(KeyboardInterrupt):
        tiny.train(config, emit=_die_at(6))
    resumed = tiny.train(configure("broken", resume_from_checkpoint="true", **options))
    assert resumed.of(Started)[0].resumed_from == 4
    assert list(resumed.losses) == [6, 9]
    assert resumed.losses == pytest.approx({s: straight.losses[s] for s in (6, 9)}, rel=1e-6, abs=1e-6)
    assert resumed.end.loss == pytest.approx(straight.end.loss, rel=1e-6)
    log = (resumed.folder / "trainer_log.jsonl").read_text().splitlines()
    assert [_log_step(line) for line in log] == [3, 6, 9]


def _log_step(line: str) -> int:
    import json

    return int(json.loads(line)["current_steps"])


def _die_at(step: int) -> Any:
    def emit(event: Any) -> None:
        if isinstance(event, Step) and event.step == step:
            raise KeyboardInterrupt

    return emit


def test_a_half_written_checkpoint_is_passed_over(configure: Configure) -> None:
    options = {"max_steps": 6, "save_steps": 2}
    straight = tiny.train(configure("broken", **options))
    for name, cut in (("checkpoint-6", "optimizer.pt"), ("checkpoint-4", "adapter_model.safetensors")):
        path = straight.folder / name / cut
        path.write_bytes(path.read_bytes()[:-40])
    shutil.copytree(straight.folder / "checkpoint-2", straight.folder / ".checkpoint-6.part")
    resumed = tiny.train(configure("broken", resume_from_checkpoint="true", **options))
    assert resumed.of(Started)[0].resumed_from == 2
    assert resumed.codes.count("checkpoint_passed_over") == 2
    assert resumed.losses == pytest.approx({s: straight.losses[s] for s in (3, 4, 5, 6)}, rel=1e-6)
    assert not list(straight.folder.glob(".checkpoint*"))


def test_resuming_without_a_checkpoint_begins_at_the_first_step(configure: Configure) -> None:
    straight = tiny.train(configure("straight"))
    with pytest.raises(KeyboardInterrupt):
        tiny.train(configure("broken"), emit=_die_at(2))
    resumed = tiny.train(configure("broken", resume_from_checkpoint="true"))
    assert "checkpoint_none_yet" in resumed.codes
    assert resumed.losses == pytest.approx(straight.losses, rel=1e-6)


def test_resuming_a_finished_run_trains_nothing_more(configure: Configure) -> None:
    first = tiny.train(configure("run", max_steps=3))
    before = tiny.adapter(first.folder)
    again = tiny.train(configure("run", max_steps=3, resume_from_checkpoint="checkpoint-3"))
    assert (again.end.step, again.of(Step)) == (3, [])
    assert all(torch.equal(tiny.adapter(again.folder)[name], weight) for name, weight in before.items())


def test_asking_what_it_learns_changes_nothing(configure: Configure) -> None:
    options = {"lora_dropout": 0.3, "max_steps": 5}
    silent = tiny.train(configure("silent", **options))
    asked = tiny.train(configure("asked", learn_prompts="red sun\nblue moon", learn_steps=2, **options))
    assert asked.losses == silent.losses
    assert [(each.step, each.prompt) for each in asked.of(Sample)] == [
        (step, prompt) for step in (0, 2, 4, 5) for prompt in ("red sun", "blue moon")
    ]


def test_runs_leave_the_process_as_they_found_it(configure: Configure) -> None:
    torch.manual_seed(11)
    before = torch.get_rng_state()
    run = tiny.train(configure(max_steps=2))
    assert torch.equal(torch.get_rng_state(), before)
    assert [each.step for each in run.of(Saved)] == [2]


def test_padded_batches_carry_the_same_facts() -> None:
    items = items_of(_rows_of([[1, 2, 3, 4], [5, 6, 7]], [[-100, 2, 3, -100], [-100, -100, 7]]), None)
    padded = Padded(0)(items)
    flat = prepare.Flattened(0, multiple=8)(items)
    assert (padded["tokens"], padded["trained"]) == (flat["tokens"], flat["trained"]) == (7, 3)
    assert flat["row_lengths"] == (4, 3, 1)
    assert flat["position_ids"].tolist() == [[0, 1, 2, 3, 0, 1, 2, 0]]
    assert flat["keep"].tolist() == [0, 1, 5]
    assert flat["targets"].tolist() == [[2, 3, 7]]
    assert padded["keep"].tolist() == [0, 1]
    assert padded["targets"].tolist() == [[2, 3], [-100, 7]]


def _rows_of(ids: list[list[int]], labels: list[list[int]]) -> Any:
    from trainer.dataset.render import Rendered

    return [Rendered(a, b, 1, len(a), False, True) for a, b in zip(ids, labels, strict=True)]
