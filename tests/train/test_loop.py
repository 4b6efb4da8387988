"""The loop: its losses, its noise, the order of its rows, its rates, and when it ends."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, get_scheduler

from tests.train import tiny
from tests.train.conftest import Configure
from tests.train.test_equality import _rendered
from trainer.events import Evaluated, Finished, Note, Step
from trainer.options import options
from trainer.train.collation import Flattened, Padded
from trainer.train.items import items_of
from trainer.train.noise import RowNoise

WHOLE = {"per_device_train_batch_size": 24, "max_steps": 1}


def _reference(config: Any, weighted: bool) -> tuple[float, dict[str, torch.Tensor]]:
    """Loss and gradients of the first step, from the rows one by one and the formula alone."""
    model = AutoModelForCausalLM.from_pretrained(config.model.model_name_or_path, dtype=torch.float32)
    total, count = torch.zeros(()), 0
    for row in _rendered(config):
        logits = model(input_ids=torch.tensor([row.input_ids])).logits[0]
        chances = logits.log_softmax(-1)
        for place, label in enumerate(row.labels[1:]):
            if label != -100:
                own = chances[place, label]
                total = total - own * (own.detach().exp() if weighted else 1)
                count += 1
    loss = total / count
    loss.backward()
    return float(loss.detach()), {name: each.grad for name, each in model.named_parameters()}


@pytest.mark.parametrize(
    "change",
    [
        {}, {"packing": True, "cutoff_len": 96}, {"train_on_prompt": True}, {"flash_attn": "disabled"},
        {"per_device_train_batch_size": 6, "gradient_accumulation_steps": 4},
    ],
)  # fmt: skip
def test_the_dft_loss_weighs_each_token_by_its_own_probability(
    configure: Configure, change: dict[str, Any]
) -> None:
    options = {
        **WHOLE, "finetuning_type": "full", "use_dft_loss": True, "optim": "sgd", "max_grad_norm": 0,
        "learning_rate": 0.5, **change,
    }  # fmt: skip
    config = configure(**options)
    loss, gradients = _reference(config, weighted=True)
    plain, _ = _reference(config, weighted=False)
    run = tiny.train(config)
    assert run.losses[1] == pytest.approx(loss, rel=1e-5)
    assert loss < 0.5 * plain
    before = AutoModelForCausalLM.from_pretrained(config.model.model_name_or_path)
    after = AutoModelForCausalLM.from_pretrained(run.folder)
    for (name, weight), start in zip(after.named_parameters(), before.parameters(), strict=True):
        torch.testing.assert_close(weight, start - 0.5 * gradients[name], rtol=1e-4, atol=1e-5, msg=name)


def test_the_dft_loss_trains_adapters_and_is_judged_by_the_plain_one(configure: Configure) -> None:
    held = {"val_size": 6, "eval_strategy": "steps", "eval_steps": 1, "max_steps": 1, "learning_rate": 1e-12}
    weighed = tiny.train(configure("weighed", use_dft_loss=True, **held))
    plain = tiny.train(configure("plain", **held))
    assert weighed.losses[1] < 0.5 * plain.losses[1]
    assert weighed.end.eval_loss == pytest.approx(plain.end.eval_loss, rel=1e-6)


def test_label_smoothing_is_what_torch_calls_it(configure: Configure) -> None:
    config = configure(**WHOLE, label_smoothing_factor=0.2, finetuning_type="full")
    model = AutoModelForCausalLM.from_pretrained(config.model.model_name_or_path, dtype=torch.float32)
    total, count = 0.0, 0
    with torch.no_grad():
        for row in _rendered(config):
            logits = model(input_ids=torch.tensor([row.input_ids])).logits[0, :-1]
            labels = torch.tensor(row.labels[1:])
            total += float(
                torch.nn.functional.cross_entropy(logits, labels, reduction="sum", label_smoothing=0.2)
            )
            count += int((labels != -100).sum())
    assert tiny.train(config).losses[1] == pytest.approx(total / count, rel=1e-5)


# NEFTune


@pytest.mark.parametrize("collator", [Flattened(0), Flattened(0, flash=True), Padded(0)])
def test_noise_is_as_strong_as_the_row_is_short(collator: Any) -> None:
    """Uniform between plus and minus alpha / sqrt(length x width), by each row's own length."""
    from trainer.dataset.render import Rendered

    lengths, width, alpha = (4, 25, 9), 64, 5.0
    rows = [Rendered([1] * each, [1] * each, 1, each, False, True) for each in lengths]
    batch = collator([items_of(rows, None)[place] for place in range(3)])
    embeddings = torch.nn.Embedding(4, width)
    torch.manual_seed(0)
    with torch.no_grad(), RowNoise(alpha).on(embeddings, batch):
        noise = embeddings(batch["input_ids"]) - embeddings.weight[batch["input_ids"]]
    assert torch.equal(embeddings(batch["input_ids"]), embeddings.weight[batch["input_ids"]])
    parts = (
        noise[0].split(lengths)
        if len(noise) == 1
        else [row[:n] for row, n in zip(noise, lengths, strict=True)]
    )
    for length, part in zip(lengths, parts, strict=True):
        size = alpha / math.sqrt(length * width)
        assert 0.9 * size < float(part.abs().max()) <= size * 1.0001
        assert float(part.std()) == pytest.approx(size / math.sqrt(3), rel=0.1)


def test_noise_is_for_training_only(configure: Configure) -> None:
    held = {"val_size": 6, "eval_strategy": "steps", "eval_steps": 1, "max_steps": 2, "learning_rate": 1e-12}
    loud = tiny.train(configure("loud", neftune_noise_alpha=50, **held))
    still = tiny.train(configure("still", neftune_noise_alpha=0, **held))
    assert all(abs(loud.losses[step] - loss) > 1e-3 for step, loss in still.losses.items())
    assert [each.loss for each in loud.of(Evaluated)] == pytest.approx(
        [each.loss for each in still.of(Evaluated)], rel=1e-6
    )


# The order of rows


@pytest.mark.parametrize(
    "change",
    [
        {}, {"packing": True}, {"streaming": True}, {"streaming": True, "packing": True},
        {"per_device_train_batch_size": 1, "packing": True},
    ],
)  # fmt: skip
def test_rows_come_in_their_order(
    configure: Configure, monkeypatch: pytest.MonkeyPatch, change: dict[str, Any]
) -> None:
    seen: list[list[int]] = []
    whole = Flattened.__call__

    def look(self: Flattened, items: Any) -> Any:
        for item in items:
            rest = item["input_ids"]
            for length in item["seq_lengths"]:
                seen.append(rest[:length])
                rest = rest[length:]
        return whole(self, items)

    monkeypatch.setattr(Flattened, "__call__", look)
    config = configure(disable_shuffling=True, max_steps=10, **change)
    rows = [row.input_ids for row in _rendered(configure())]
    tiny.train(config)
    assert len(seen) >= 40 or change.get("per_device_train_batch_size") == 1
    assert seen[:40] == (rows * 3)[: len(seen[:40])]


def test_neighbours_are_packed_together() -> None:
    from trainer.dataset.packing import fit_in_order

    assert fit_in_order([3, 4, 2, 9, 1, 1, 12, 5], 10) == [[0, 1, 2], [3, 4], [5], [6], [7]]
    assert fit_in_order([], 10) == []


# Rates


def _names() -> list[str]:
    from typing import get_args

    return list(get_args(options()["lr_scheduler_type"].kind))


NEEDS_EVALUATION = ("reduce_lr_on_plateau", "greedy")


AT_ONCE = ("cosine", "warmup_stable_decay", "greedy")


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in AT_ONCE else pytest.mark.slow) for name in _names()]
)
def test_rates_are_those_of_transformers(configure: Configure, name: str) -> None:
    held = {"val_size": 4, "eval_strategy": "steps", "eval_steps": 1} if name in NEEDS_EVALUATION else {}
    run = tiny.train(configure(lr_scheduler_type=name, max_steps=12, warmup_steps=3, **held))
    rates = [step.lr for step in run.of(Step)]
    assert len(rates) == 12
    if held:
        assert all(0 < rate < 1 for rate in rates)
        return
    more: dict[str, Any] = {}
    if "min_lr" in name:
        more = {"min_lr_rate": 0.1}
    if name == "warmup_stable_decay":
        # 9 steps after the warm-up: a third at the peak, two thirds falling.
        more = {"num_decay_steps": 6}
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.01)
    schedule = get_scheduler(name, optimizer, 3, 12, more)
    expected = []
    for _ in range(12):
        expected.append(schedule.get_last_lr()[0])
        optimizer.step()
        schedule.step()
    assert rates == pytest.approx(expected, rel=1e-6, abs=1e-12)


def test_half_of_a_split_is_completed(configure: Configure) -> None:
    """A file may say how long the peak lasts, or what shape the fall has, and leave the rest."""
    common = {"lr_scheduler_type": "warmup_stable_decay", "max_steps": 10}
    peak = tiny.train(configure("peak", **common, lr_scheduler_kwargs={"num_stable_steps": 7}))
    assert [step.lr for step in peak.of(Step)][:8] == [0.01] * 8
    shape = tiny.train(configure("shape", **common, lr_scheduler_kwargs={"decay_type": "linear"}))
    falling = [step.lr for step in shape.of(Step)][3:]
    assert falling == pytest.approx([0.01 * (1 - each / 7) for each in range(7)], rel=1e-5)


def test_rows_of_like_length_share_a_batch(configure: Configure, monkeypatch: pytest.MonkeyPatch) -> None:
    spreads: list[int] = []
    whole = Flattened.__call__

    def look(self: Flattened, items: Any) -> Any:
        sizes = [len(item["input_ids"]) for item in items]
        spreads.append(max(sizes) - min(sizes))
        return whole(self, items)

    monkeypatch.setattr(Flattened, "__call__", look)
    sums = {}
    for strategy in ("random", "group_by_length"):
        spreads.clear()
        tiny.train(
            configure(strategy, train_sampling_strategy=strategy, max_steps=12, per_device_train_batch_size=2)
        )
        sums[strategy] = sum(spreads)
    assert sums["group_by_length"] < 0.75 * sums["random"]


# The end

WORSE: dict[str, Any] = {
    "val_size": 6, "eval_strategy": "steps", "eval_steps": 1, "save_steps": 1, "max_steps": 20, "learning_rate": 0.2,
}  # fmt: skip


def test_a_training_that_gets_no_better_ends_early_and_keeps_the_best(configure: Configure) -> None:
    run = tiny.train(configure(early_stopping_steps=3, load_best_model_at_end=True, **WORSE))
    losses = {each.step: each.loss for each in run.of(Evaluated)}
    best = min(losses, key=lambda step: losses[step])
    assert isinstance(run.end, Finished)
    assert (run.end.step, max(losses)) == (best + 3, best + 3)
    assert run.end.step < 20
    (note,) = [each for each in run.of(Note) if each.code == "stopped_early"]
    assert note.values == {"count": 3, "best": losses[best], "step": best + 3}
    kept = tiny.adapter(run.folder / f"checkpoint-{best}")
    assert all(torch.equal(weight, kept[name]) for name, weight in tiny.adapter(run.folder).items())
    assert run.end.eval_loss == losses[best]


def test_a_resumed_run_counts_on(configure: Configure) -> None:
    straight = tiny.train(configure("straight", early_stopping_steps=3, **WORSE))
    last = straight.end.step

    def die(event: Any) -> None:
        if isinstance(event, Step) and event.step == last - 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        tiny.train(configure("broken", early_stopping_steps=3, **WORSE), emit=die)
    resumed = tiny.train(configure("broken", early_stopping_steps=3, resume_from_checkpoint="true", **WORSE))
    assert resumed.end.step == last
    assert list(resumed.losses) == [last - 1, last]
    # At its end already, it does nothing more.
    again = tiny.train(configure("broken", early_stopping_steps=3, resume_from_checkpoint="true", **WORSE))
    assert (again.end.step, list(again.losses)) == (last, [])
