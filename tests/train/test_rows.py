"""Rows that come in other ways than from one file at once: streamed, kept, mixed, evaluated one dataset at a time."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.train import tiny
from tests.train.conftest import Configure
from trainer.dataset.render import Renderer
from trainer.errors import UserError, UserErrors
from trainer.events import Evaluated, Note, Started, Step, Stopped

STREAM: dict[str, Any] = {
    "streaming": True, "buffer_size": 5, "max_steps": 9, "per_device_train_batch_size": 3, "lora_dropout": 0.0,
    "gradient_accumulation_steps": 2, "save_steps": 4, "dataset": "rows,more", "mix_strategy": "interleave_over",
}  # fmt: skip


def _after(step: int) -> Any:
    return lambda run: any(each.step >= step for each in run.of(Step))


def test_a_stream_trains_and_goes_on_where_it_was_stopped(
    configure: Configure, monkeypatch: pytest.MonkeyPatch
) -> None:
    straight = tiny.train(configure("straight", **STREAM))
    assert straight.end.step == 9
    assert straight.of(Started)[0].rows == 0
    assert len(set(straight.losses.values())) == 9
    run = tiny.train(configure(**STREAM), stop=_after(5))
    assert isinstance(run.end, Stopped)
    rendered: list[Any] = []
    many = Renderer.render_many

    def counted(self: Renderer, given: Any) -> Any:
        batch = list(given)
        rendered.extend(batch)
        return many(self, batch)

    monkeypatch.setattr("trainer.dataset.stream.AT_ONCE", 2)
    monkeypatch.setattr(Renderer, "render_many", counted)
    resumed = tiny.train(configure(resume_from_checkpoint="true", **STREAM))
    after = {step: loss for step, loss in straight.losses.items() if step > run.end.step}
    assert resumed.losses == pytest.approx(after, rel=1e-6)
    for name, weight in tiny.adapter(straight.folder).items():
        torch.testing.assert_close(tiny.adapter(resumed.folder)[name], weight, rtol=1e-5, atol=1e-6)
    # What was trained before the stop is read, not rendered; a few rows are ahead, or looked at beforehand.
    assert len(rendered) <= 6 * (9 - run.end.step) + 12


def test_a_packed_stream_goes_on_where_it_was_stopped(
    configure: Configure, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trainer.train.flow.PACKED", 7)
    options = {**STREAM, "packing": True, "cutoff_len": 64}
    straight = tiny.train(configure("straight", **options))
    run = tiny.train(configure(**options), stop=_after(5))
    resumed = tiny.train(configure(resume_from_checkpoint="true", **options))
    after = {step: loss for step, loss in straight.losses.items() if step > run.end.step}
    assert resumed.losses == pytest.approx(after, rel=1e-6)
    assert straight.losses != tiny.train(configure("apart", **{**options, "packing": False})).losses


def test_a_stream_holds_rows_back_and_tells_of_bad_ones(configure: Configure, tmp_path: Path) -> None:
    rows = [*tiny.rows(11), {"instruction": "red", "output": ""}]
    (tmp_path / "bad.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    (tmp_path / "dataset_info.json").write_text('{"bad": {"file_name": "bad.jsonl", "num_samples": 3}}')
    options = {**STREAM, "dataset": "bad", "val_size": 4, "eval_strategy": "steps", "eval_steps": 3}
    run = tiny.train(configure(dataset_dir=str(tmp_path), **options))
    assert [each.step for each in run.of(Evaluated)] == [3, 6, 9]
    told = [note for note in run.of(Note) if note.code == "stream_rows_left_out"]
    assert [note.values["count"] for note in told] == [1]
    assert "row 12" in told[0].text
    manifest = json.loads((run.folder / "manifest.json").read_text())
    assert manifest["rows"]["evaluation"] == 4


def test_each_dataset_has_a_loss_of_its_own(configure: Configure) -> None:
    common = {"dataset": "rows", "eval_dataset": "rows,more", "eval_strategy": "steps", "eval_steps": 2}
    run = tiny.train(configure("each", eval_on_each_dataset=True, **common))
    whole = tiny.train(configure("whole", **common))
    assert [each.parts.keys() for each in run.of(Evaluated)] == [{"rows", "more"}] * 2
    assert all(each.parts == {} for each in whole.of(Evaluated))
    # The loss of all is that of all tokens, whether datasets are looked at apart or not.
    losses = [each.loss for each in run.of(Evaluated)]
    assert losses == pytest.approx([each.loss for each in whole.of(Evaluated)], rel=1e-5)
    last = run.of(Evaluated)[-1]
    assert min(last.parts.values()) < last.loss < max(last.parts.values())
    results = json.loads((run.folder / "all_results.json").read_text())
    lines = [json.loads(line) for line in (run.folder / "trainer_log.jsonl").read_text().splitlines()]
    logged = [line for line in lines if "eval_loss" in line][-1]
    for name, loss in (("eval_rows_loss", last.parts["rows"]), ("eval_more_loss", last.parts["more"])):
        assert results[name] == logged[name] == loss
    assert run.end.eval_loss == last.loss


def test_rows_that_are_kept_are_trained_without_their_files(configure: Configure, tmp_path: Path) -> None:
    options = {
        "tokenized_path": str(tmp_path / "kept"),
        "val_size": 4,
        "eval_strategy": "steps",
        "eval_steps": 2,
    }
    first = tiny.train(configure("first", **options))
    assert "tokenized_saved" in first.codes
    again = tiny.train(
        configure("again", **{**options, "dataset": "", "dataset_dir": str(tmp_path / "nowhere")})
    )
    assert "tokenized_read" in again.codes and "tokenized_saved" not in again.codes
    assert again.losses == first.losses
    assert [each.loss for each in again.of(Evaluated)] == [each.loss for each in first.of(Evaluated)]
    packed = tiny.train(configure("packed", packing=True, **options))
    assert packed.end.step == 4


def test_kept_rows_need_somewhere_to_come_from(configure: Configure, tmp_path: Path) -> None:
    kept = str(tmp_path / "kept")
    for changes, code in (
        ({"tokenized_path": kept, "dataset": ""}, "no_dataset"),
        ({"tokenized_path": kept, "eval_strategy": "steps"}, "eval_without_rows"),
        ({"tokenized_path": kept, **STREAM}, "streaming_excludes"),
    ):
        with pytest.raises(UserError) as error:
            tiny.train(configure(**changes))
        assert error.value.code == code
    assert not list(tmp_path.glob("*kept*"))
    tiny.train(configure(tokenized_path=kept, max_steps=1))
    with pytest.raises(UserError) as error:
        tiny.train(configure("later", tokenized_path=kept, eval_strategy="steps"))
    assert error.value.code == "tokenized_no_evaluation"
    with pytest.raises(UserErrors, match="buffer_size"):
        configure(buffer_size=0)


def test_a_second_run_renders_nothing(configure: Configure, monkeypatch: pytest.MonkeyPatch) -> None:
    first = tiny.train(configure("one", val_size=3))

    def refuse(*_: object) -> None:
        raise AssertionError("rendered although the rows are kept")

    monkeypatch.setattr(Renderer, "render_many", refuse)
    assert tiny.train(configure("two", val_size=3)).losses == first.losses
