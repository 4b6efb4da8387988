"""What is free, what a run needs on it, by which engine, and the changes that make it fit."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from trainer.config import RunConfig
from trainer.errors import sentences
from trainer.fit_command import run_fit
from trainer.model.fit import facts, fit, lines
from trainer.model.fit.weighing import SPARE, Fit, Machine

GB = 1 << 30


def _machine(free: float, devices: int = 1, host: int = 500) -> Machine:
    each = int(free * GB)
    return Machine("NVIDIA H100", (each,) * devices, (each,) * devices, host * GB, accelerated=True)


def _config(**changes: Any) -> RunConfig:
    flat = {"model_name_or_path": "Qwen2.5-7B-Instruct", "dataset": "x", "compute_type": "bf16"}
    return RunConfig.from_flat({**flat, **changes})


def _fit(machine: Machine, **changes: Any) -> Fit:
    found = fit(_config(**changes), machine)
    assert found is not None
    return found


def _rows(config: RunConfig) -> int:
    return config.train.per_device_train_batch_size * config.train.gradient_accumulation_steps


@pytest.mark.parametrize(
    ("free", "changes"),
    [
        (8, {}), (16, {}), (24, {"gradient_checkpointing": "off"}), (80, {"finetuning_type": "full"}),
        (48, {"finetuning_type": "full", "gradient_accumulation_steps": 3}), (24, {"finetuning_type": "freeze"}),
        (12, {"model_name_or_path": "Qwen2-VL-7B-Instruct"}), (40, {"model_name_or_path": "Llama-3.1-70B-Instruct"}),
        (24, {"model_name_or_path": "Qwen3-30B-A3B-Instruct-2507", "per_device_train_batch_size": 6}),
    ],
)  # fmt: skip
def test_each_change_is_enough_and_keeps_the_rows_of_a_step(free: float, changes: dict[str, Any]) -> None:
    config, machine = _config(**changes), _machine(free)
    found = fit(config, machine)
    assert found is not None
    if found.fits:
        assert not found.changes
        return
    assert len(found.changes) <= 3
    for change in found.changes:
        changed = config.with_values(**change.values)
        again = fit(changed, machine)
        assert again is not None
        assert again.fits
        assert again.need == change.need
        assert again.need.total <= (1 - SPARE) * min(machine.free)
        assert _rows(changed) == _rows(config)
        # A file with these values can be read.
        assert RunConfig.from_flat(changed.to_flat()).to_flat() == changed.to_flat()


def test_what_costs_time_only_comes_first() -> None:
    """7B with LoRA on 24 GB: smaller batches or checkpointing before fewer bits."""
    found = _fit(_machine(24), gradient_checkpointing="off")
    assert set(found.changes[0].values) <= {
        "gradient_checkpointing", "per_device_train_batch_size", "gradient_accumulation_steps",
    }  # fmt: skip
    whole = _fit(_machine(80), finetuning_type="full")
    assert {"finetuning_type": "lora"} in [each.values for each in whole.changes]


def test_several_devices_share_by_engine() -> None:
    """What an engine shares out is a share of it on each device; what it offloads lies on the host."""
    common = {"finetuning_type": "full", "devices": "0,1,2,3", "gradient_checkpointing": "on"}
    machine = _machine(80, devices=4)
    alone = _fit(machine, finetuning_type="full", gradient_checkpointing="on").need
    ddp = _fit(machine, **common)
    assert ddp.engine == "DDP"
    assert (ddp.need.weights, ddp.need.optimizer) == (alone.weights, alone.optimizer)
    two, three = _fit(machine, **common, ds_stage="2"), _fit(machine, **common, ds_stage="3")
    assert (two.engine, three.engine) == ("ZeRO-2", "ZeRO-3")
    assert three.need.weights == pytest.approx(two.need.weights / 4, rel=1e-6)
    assert three.need.gradients == two.need.gradients == pytest.approx(two.need.weights / 4, rel=1e-6)
    # Two moments and the weights, each in 32 bits.
    assert two.need.optimizer == pytest.approx(12 * two.parameters / 4, rel=0.35)
    away = _fit(machine, **common, ds_stage="3", ds_offload="true")
    assert away.need.weights == away.need.optimizer == 0
    assert away.need.host > 12 * away.parameters
    shared = _fit(machine, **common, fsdp="full_shard")
    assert shared.engine == "FSDP"
    assert shared.need.weights == pytest.approx(alone.weights / 4, rel=1e-6)
    assert shared.need.optimizer == pytest.approx(alone.optimizer / 4, rel=1e-6)


def test_a_file_of_deepspeed_is_read(tmp_path: Path) -> None:
    file = tmp_path / "zero3.json"
    zero = {"stage": 3, "offload_optimizer": {"device": "cpu"}, "offload_param": {"device": "none"}}
    file.write_text(json.dumps({"zero_optimization": zero, "train_batch_size": "auto"}), encoding="utf-8")
    found = _fit(_machine(80, devices=4), finetuning_type="full", devices="0,1,2,3", deepspeed=str(file))
    assert found.engine == "ZeRO-3 offload"
    assert found.need.optimizer == 0
    assert found.need.weights > 0


def test_what_changes_what() -> None:
    """Longer rows, more of them, fewer bits: each moves the part that it belongs to, and no other."""
    # Long enough that the vectors inside of a layer are more than a tile of logits in both.
    plain = _fit(_machine(900), gradient_checkpointing="off", cutoff_len=4096).need
    twice = _fit(_machine(900), gradient_checkpointing="off", cutoff_len=8192).need
    assert twice.activations == pytest.approx(2 * plain.activations, rel=0.01)
    assert (twice.weights, twice.optimizer) == (plain.weights, plain.optimizer)
    small = _fit(_machine(500), quantization_bit="4").need
    assert small.weights < 0.45 * plain.weights
    pages = _fit(_machine(500), finetuning_type="full", optim="paged_adamw_8bit").need
    assert pages.optimizer == 0
    assert pages.host > 0
    sees = _fit(_machine(500), model_name_or_path="Qwen2-VL-7B-Instruct").need
    assert sees.buffers > plain.buffers


def test_an_answer_takes_less_than_a_second() -> None:
    """The quickest of three: a busy machine is not the estimate's fault."""
    for name in ("Llama-3.1-70B-Instruct", "Qwen2.5-VL-32B-Instruct"):
        seconds = []
        for _ in range(3):
            begun = time.process_time()
            _fit(_machine(24), model_name_or_path=name)
            seconds.append(time.process_time() - begun)
        assert min(seconds) < 1


def test_torch_is_not_waited_for() -> None:
    code = (
        "import sys\nfrom trainer.model.fit import fit\nfrom trainer.config import RunConfig\n"
        "assert fit(RunConfig.from_flat({'model_name_or_path': 'Sprout-VL', 'dataset': 'x'})) is not None\n"
        "assert not {'torch', 'transformers', 'numpy'} & set(sys.modules), 'it loads torch'"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr


def test_before_torch_is_there_nobody_knows_what_is_free() -> None:
    found = _fit(Machine("", (), (), 500 * GB, accelerated=True))
    assert (found.fits, found.free, found.changes) == (None, None, ())
    assert lines(found)[0] == f"Memory: needs {found.need.total / GB:.0f} GB; what is free is not known yet."


def test_lines_and_facts() -> None:
    found = _fit(_machine(24), gradient_checkpointing="off")
    said = lines(found)
    assert said[0].startswith("Memory: needs ")
    assert said[0].endswith("of 24.0 GB free on NVIDIA H100.")
    assert len([line for line in said if line.startswith("It would fit with ")]) == len(found.changes) > 0
    told = json.loads(json.dumps(facts(found)))
    assert told["need"]["total"] == found.need.total
    assert told["changes"][0]["values"] == found.changes[0].values
    assert facts(None) == {"known": False}
    assert lines(None) == [sentences()["fit_unknown"].text]


def test_at_the_terminal(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trainer.model.fit.weighing.this_machine", lambda *_: _machine(24))
    words = ["--model_name_or_path", "Qwen2.5-7B-Instruct", "--dataset", "x"]
    assert run_fit(words) == 0
    assert "GB free on NVIDIA H100" in capsys.readouterr().out
    assert run_fit([*words, "--finetuning_type", "full", "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["fits"] is False


def test_settings_of_deepspeed_may_stand_in_the_config_itself() -> None:
    """As a run's own processes are handed them; a file that is elsewhere says nothing."""
    inline = json.dumps({"zero_optimization": {"stage": 2}})
    common: dict[str, Any] = {"finetuning_type": "full", "devices": "0,1"}
    assert _fit(_machine(80, devices=2), **common, deepspeed=inline).engine == "ZeRO-2"
    assert _fit(_machine(80, devices=2), **common, deepspeed="nowhere/ds.json").engine == "ZeRO-0"


def test_processes_on_a_processor_share_its_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trainer.device.free_ram", lambda: 8 * GB)
    monkeypatch.setattr("trainer.device.is_accelerated", lambda: False)
    monkeypatch.setattr("trainer.device.is_known", lambda: True)
    found = fit(_config(model_name_or_path="Sprout", nproc_per_node=2))
    assert found is not None
    assert (found.machine.free, found.engine) == ((4 * GB, 4 * GB), "DDP")
