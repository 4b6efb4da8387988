"""What goes wrong has its sentence, and nothing is lost."""

from __future__ import annotations

import errno
import json
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.train import tiny
from tests.train.conftest import Configure
from trainer.errors import UserError
from trainer.events import Saved, Started
from trainer.train import sft
from trainer.train.failures import explain
from trainer.train.loop import RowTrainer


def _fails(config: Any, code: str) -> UserError:
    with pytest.raises(UserError) as caught:
        tiny.train(config)
    assert caught.value.code == code
    return caught.value


def test_a_loss_that_is_no_number(configure: Configure, monkeypatch: pytest.MonkeyPatch) -> None:
    summed = RowTrainer.summed_loss

    def broken(self: RowTrainer, *args: Any) -> torch.Tensor:
        loss = summed(self, *args)
        return loss * float("nan") if self.state.global_step == 2 else loss

    monkeypatch.setattr(RowTrainer, "summed_loss", broken)
    error = _fails(configure(save_steps=2), "loss_not_finite")
    assert error.values["step"] == 3
    monkeypatch.undo()
    # The checkpoint of the step before is whole.
    resumed = tiny.train(configure(save_steps=2, resume_from_checkpoint="true"))
    assert (resumed.of(Started)[0].resumed_from, resumed.end.step) == (2, 4)


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        RuntimeError("[enforce fail at inline_container.cc:659] . unexpected pos: No space left on device"),
    ],
)
def test_a_full_disk_while_saving(
    configure: Configure, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    save = RowTrainer._save_optimizer_and_scheduler

    def full(self: RowTrainer, folder: str) -> None:
        if self.state.global_step == 4:
            raise error
        save(self, folder)

    monkeypatch.setattr(RowTrainer, "_save_optimizer_and_scheduler", full)
    _fails(configure(save_steps=2), "disk_full")
    monkeypatch.undo()
    folder = Path(configure().train.output_dir)
    assert sorted(path.name for path in folder.glob("*checkpoint*")) == ["checkpoint-2"]
    resumed = tiny.train(configure(save_steps=2, resume_from_checkpoint="true"))
    assert [each.step for each in resumed.of(Saved)] == [4]


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB"),
        RuntimeError(
            "[enforce fail at alloc_cpu.cpp:117] DefaultCPUAllocator: not enough memory: you tried to"
        ),
        MemoryError(),
    ],
)
def test_memory_that_does_not_suffice(
    configure: Configure, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def broken(*_: Any) -> None:
        raise error

    monkeypatch.setattr(RowTrainer, "summed_loss", broken)
    caught = _fails(configure(), "out_of_memory")
    assert caught.__cause__ is None
    assert caught.__context__ is None
    monkeypatch.undo()
    assert tiny.train(configure(overwrite_output_dir=True, max_steps=1)).end.step == 1


def test_other_errors_are_not_explained_away(tmp_path: Path) -> None:
    assert explain(ValueError("what"), tmp_path) is None
    assert explain(RuntimeError("shapes cannot be multiplied"), tmp_path) is None


def test_an_output_folder_that_cannot_be_written(configure: Configure, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    _fails(configure(output_dir=str(tmp_path / "file" / "run")), "output_not_writable")


def test_no_row_ends_the_run_before_the_model_is_loaded(
    configure: Configure, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def loaded(*_: Any) -> None:
        raise AssertionError("the model was loaded")

    monkeypatch.setattr(sft, "prepare_model", loaded)
    rows = [{"instruction": "red", "output": ""}] * 3
    (tmp_path / "bad.json").write_text(json.dumps(rows), encoding="utf-8")
    (tmp_path / "dataset_info.json").write_text('{"bad": {"file_name": "bad.json"}}', encoding="utf-8")
    _fails(configure(dataset="bad", dataset_dir=str(tmp_path)), "data_no_rows")
    _fails(configure(cutoff_len=4), "data_all_cut")


def test_checkpoints_that_cannot_be_resumed(configure: Configure) -> None:
    tiny.train(configure(max_steps=2, save_steps=1))
    error = _fails(configure(resume_from_checkpoint="checkpoint-9"), "checkpoint_missing")
    assert "checkpoint-1" in error.hint
    assert "checkpoint-2" in error.hint
    _fails(configure(max_steps=1, resume_from_checkpoint="checkpoint-2"), "checkpoint_past_end")
    folder = Path(configure().train.output_dir)
    for changes in ({"finetuning_type": "full"}, {"lora_rank": 2}, {"lora_target": "q_proj"}):
        _fails(
            configure(resume_from_checkpoint=str(folder / "checkpoint-1"), **changes),
            "checkpoint_does_not_fit",
        )
    (folder / "checkpoint-2" / "scheduler.pt").unlink()
    error = _fails(configure(resume_from_checkpoint="checkpoint-2"), "checkpoint_incomplete")
    assert "checkpoint-1" in error.hint


def test_options_that_the_libraries_refuse(configure: Configure) -> None:
    error = _fails(configure(optim="adamw_torsch"), "optim_unknown")
    assert "adamw_torch" in error.hint
    _fails(configure(optim="lomo"), "optim_package")
    _fails(configure(adam_beta1="much"), "extra_rejected")
    _fails(configure(lr_scheduler_type="reduce_lr_on_plateau"), "extra_rejected")
    if not torch.cuda.is_available():
        _fails(configure(compute_type="fp16"), "fp16_needs_gpu")
