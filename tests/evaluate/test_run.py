"""Whole evaluations of tiny models: whatever way the rows are answered, the answers are the same."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from transformers import AutoTokenizer, Qwen2ForCausalLM

from tests.chat.tiny import write_adapter
from tests.evaluate.tiny import Run, after, evaluate, rows, write_data, write_speaker
from trainer import eval_command
from trainer.cli import main
from trainer.config import RunConfig
from trainer.errors import UserError
from trainer.evaluate import progress
from trainer.evaluate.table import Table
from trainer.events import Finished, Stopped
from trainer.paths import REPOSITORY

Configure = Callable[..., RunConfig]
COUNT = 14


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_speaker(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="module")
def adapter(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_adapter(tmp_path_factory.mktemp("adapters") / "tuned", base)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_data(
        tmp_path_factory.mktemp("data"), rows=rows(COUNT), more=rows(3, COUNT), empty=[],
        some=[*rows(2), {"instruction": "what now", "output": ""}, {"instruction": "and now"}],
    )  # fmt: skip


@pytest.fixture
def every_row_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "EVERY_S", 0.0)


@pytest.fixture
def configure(base: Path, adapter: Path, data: Path, tmp_path: Path) -> Configure:
    """Makes the config of an evaluation on the CPU; option names change it, `name` its folder."""

    def make(name: str = "run", **changes: Any) -> RunConfig:
        flat: dict[str, Any] = {
            "model_name_or_path": str(base), "adapter_name_or_path": str(adapter), "eval_dataset": "rows",
            "dataset_dir": str(data), "do_predict": True, "max_new_tokens": 20, "compute_type": "fp32",
            "output_dir": str(tmp_path / name),
        }  # fmt: skip
        return RunConfig.from_flat({**flat, **changes})

    return make


@pytest.fixture
def straight(configure: Configure) -> Run:
    """All rows by both sides, in one go."""
    return evaluate(configure("straight"))


def test_both_sides_in_one_batch_answer_as_transformers_does_for_each_row_alone(
    straight: Run, base: Path, adapter: Path
) -> None:
    tokenizer = AutoTokenizer.from_pretrained(base)
    model = Qwen2ForCausalLM.from_pretrained(base)
    tuned = PeftModel.from_pretrained(Qwen2ForCausalLM.from_pretrained(base), str(adapter))
    assert {each["ending"]["tuned"] for each in straight.rows} == {"end", "length"}, "rows leave the batch"
    for row in straight.rows:
        ids = tokenizer(row["prompt"], return_tensors="pt", add_special_tokens=False)
        for speaker, said in ((model, row["base"]), (tuned, row["predict"])):
            found = speaker.generate(
                **ids, max_new_tokens=20, do_sample=False, eos_token_id=tokenizer.eos_token_id
            )[0, ids["input_ids"].shape[1] :]
            assert tokenizer.decode(found, skip_special_tokens=True) == said


@pytest.mark.parametrize("size", [1, 4])
@pytest.mark.parametrize("temperature", [0.0, 0.9])
def test_the_size_of_a_batch_changes_no_answer(configure: Configure, size: int, temperature: float) -> None:
    drawn = {"temperature": temperature, "top_p": 0.9}
    whole = evaluate(configure("whole", **drawn))
    parts = evaluate(configure("parts", per_device_eval_batch_size=size, **drawn))
    assert parts.said == whole.said
    if temperature:
        assert evaluate(configure("other", seed=7, **drawn)).said != whole.said


def test_comparing_says_what_each_side_says_alone(configure: Configure, straight: Run) -> None:
    tuned = evaluate(configure("tuned", compare_base=False))
    base = evaluate(configure("base", adapter_name_or_path=""))
    assert [each for each, _ in tuned.said] == [each for each, _ in straight.said]
    assert [each for each, _ in base.said] == [each for _, each in straight.said]
    assert {each["base"] for each in (*tuned.rows, *base.rows)} == {None}


def test_the_files_are_llama_factorys(configure: Configure) -> None:
    run = evaluate(configure(eval_dataset="rows,more", do_eval=True, max_samples=5))
    assert [(each["dataset"], each["number"]) for each in run.rows] == [
        *(("rows", number) for number in range(1, 6)), *(("more", number) for number in range(1, 4)),
    ]  # fmt: skip
    text = (run.folder / "generated_predictions.jsonl").read_text(encoding="utf-8")
    predictions = [json.loads(each) for each in text.splitlines()]
    assert predictions == [
        {name: each[name] for name in ("prompt", "predict", "label", "base")} for each in run.rows
    ]
    assert predictions[0]["prompt"].startswith("<|im_start|>user\n0 red<|im_end|>")
    found, whole = run.json("predict_results.json"), run.json("all_results.json")
    for name in ("rouge-1", "rouge-2", "rouge-l", "bleu-4"):
        assert 0 <= found[f"predict_{name}"] <= 100 and f"base_{name}" in found
    for name in ("runtime", "samples_per_second", "steps_per_second", "model_preparation_time"):
        assert found[f"predict_{name}"] > 0
    assert whole == {**found, **run.json("eval_results.json")}
    report = run.json("report.json")
    assert (report["rows"], report["of"], report["stopped"]) == (8, 8, False)
    assert (
        isinstance(run.end, Finished) and run.end.step == 8 and run.end.eval_loss == report["loss"]["tuned"]
    )
    last = run.progress[-1]
    assert (last.done, last.total) == (8, 8)
    assert last.scores["tuned"]["rouge-l"] == pytest.approx(report["sides"]["tuned"]["rouge-l"], abs=1e-6)


@torch.no_grad()
def test_losses_are_those_of_each_row_alone(configure: Configure, base: Path, adapter: Path) -> None:
    run = evaluate(configure(do_eval=True))
    tokenizer = AutoTokenizer.from_pretrained(base)
    model = PeftModel.from_pretrained(Qwen2ForCausalLM.from_pretrained(base), str(adapter))
    total = 0.0
    for row in run.rows:
        prompt = tokenizer(row["prompt"], add_special_tokens=False)["input_ids"]
        answer = tokenizer(row["label"] + "<|im_end|>", add_special_tokens=False)["input_ids"]
        assert row["label_tokens"] == len(answer)
        ids, labels = torch.tensor([prompt + answer]), torch.tensor([[-100] * len(prompt) + answer])
        loss = float(model(input_ids=ids, labels=labels).loss)
        total += loss * len(answer)
        assert row["loss"]["tuned"] == pytest.approx(loss, rel=1e-4)
        with model.disable_adapter():
            assert row["loss"]["base"] == pytest.approx(
                float(model(input_ids=ids, labels=labels).loss), rel=1e-4
            )
    mean = total / sum(each["label_tokens"] for each in run.rows)
    assert run.json("report.json")["loss"]["tuned"] == pytest.approx(mean, rel=1e-4)
    only = evaluate(configure("only", do_predict=False, do_eval=True))
    assert only.json("eval_results.json")["eval_loss"] == pytest.approx(mean, rel=1e-4)
    assert not (only.folder / "generated_predictions.jsonl").exists()
    report = only.json("report.json")
    assert (report["main"], report["sides"], report["verdict"]) == ("loss", {}, None)
    assert sum(each["rows"] for each in report["lengths"]) == COUNT
    table = Table(only.folder / "rows.jsonl")
    assert table.counts().main == "loss" and table.means()["tuned"]["loss"] == pytest.approx(
        sum(each["loss"]["tuned"] for each in only.rows) / COUNT
    )
    assert eval_command.table(report)[-1].startswith("perplexity")


def test_a_stopped_run_keeps_its_rows_and_goes_on_after_them(
    configure: Configure, straight: Run, every_row_told: None
) -> None:
    config = configure(per_device_eval_batch_size=3)
    first = evaluate(config, stop=after(3))
    assert isinstance(first.end, Stopped) and 3 <= first.end.step < COUNT
    report = first.json("report.json")
    assert (report["rows"], report["of"], report["stopped"]) == (first.end.step, COUNT, True)
    assert first.notes["evaluate_stopped"] == {"done": first.end.step, "total": COUNT}
    assert report["sides"]["tuned"] and len(first.lines) == first.end.step
    with (first.folder / "rows.jsonl").open("a", encoding="utf-8") as file:
        file.write('{"row": 99')
    second = evaluate(config)
    assert second.said == straight.said and len(second.lines) == COUNT
    assert second.lines[: first.end.step] == first.lines[: first.end.step]
    assert second.notes["evaluate_resumed"] == {"done": first.end.step, "total": COUNT}
    assert second.json("report.json")["sides"] == straight.json("report.json")["sides"]


def test_a_killed_run_goes_on_after_its_rows(configure: Configure, straight: Run, tmp_path: Path) -> None:
    settings = tmp_path / "killed.yaml"
    config = configure("killed", per_device_eval_batch_size=1)
    settings.write_text(json.dumps({**config.to_flat(), "max_samples": None}), encoding="utf-8")
    words = [sys.executable, "-m", "trainer", "eval", str(settings)]
    log = tmp_path / "killed" / "rows.jsonl"
    process = subprocess.Popen(words, cwd=REPOSITORY, env=dict(os.environ), stdout=subprocess.DEVNULL)
    end = time.monotonic() + 600
    while process.poll() is None and not (log.exists() and log.read_bytes().count(b"\n") >= 2):
        assert time.monotonic() < end
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait(60)
    kept = log.read_bytes().count(b"\n")
    assert kept >= 2
    run = evaluate(config)
    assert run.said == straight.said and len(run.lines) == COUNT


def test_too_little_memory_halves_the_batch(
    configure: Configure, straight: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    from trainer.evaluate import answering

    decode = answering.decode

    def tight(model: Any, given: Any, *rest: Any, **options: Any) -> None:
        if len(given) > 4:
            raise torch.OutOfMemoryError("CUDA out of memory")
        decode(model, given, *rest, **options)

    monkeypatch.setattr(answering, "decode", tight)
    run = evaluate(configure())
    assert run.said == straight.said
    assert run.notes["evaluate_halved"] == {"before": 4, "size": 2}
    monkeypatch.setattr(answering, "decode", lambda *_, **__: tight(None, [0] * 9))
    with pytest.raises(UserError) as caught:
        evaluate(configure("never"))
    assert caught.value.code == "evaluate_memory"


def test_a_whole_tuned_model_is_compared_at_once_or_in_turn(
    configure: Configure, base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, every_row_told: None
) -> None:
    from trainer.model import sides

    whole = write_speaker(tmp_path / "whole", seed=5)
    given = {"adapter_name_or_path": str(whole), "finetuning_type": "full", "do_eval": True}
    at_once = evaluate(configure("once", **given))
    alone = evaluate(configure("alone", adapter_name_or_path="", model_name_or_path=str(whole)))
    assert [each for each, _ in at_once.said] == [each for each, _ in alone.said]
    enough = sides.require_room

    def scarce(folders: list[Path], *rest: Any) -> None:
        if len(folders) > 1:
            raise UserError("chat_no_room", needed=2, free=1, device="cpu")
        enough(folders, *rest)

    monkeypatch.setattr(sides, "require_room", scarce)
    config = configure("turn", **given, per_device_eval_batch_size=2)
    assert isinstance(evaluate(config, stop=after(9)).end, Stopped)
    in_turn = evaluate(config)
    assert "evaluate_in_turn" in in_turn.notes and in_turn.progress[-1].done == COUNT
    assert [{**each, "row": 0} for each in in_turn.rows] == [
        {**each, "row": 0, "loss": {side: pytest.approx(loss, rel=1e-4) for side, loss in each["loss"].items()}}
        for each in at_once.rows
    ]  # fmt: skip
    assert in_turn.json("report.json")["sides"] == at_once.json("report.json")["sides"]
    assert not (in_turn.folder / "side.jsonl").exists()


def test_an_adapter_that_no_batch_can_mix_is_switched_off_for_the_base(
    configure: Configure, base: Path, straight: Run, tmp_path: Path
) -> None:
    dora = write_adapter(tmp_path / "dora", base, use_dora=True)
    run = evaluate(configure(adapter_name_or_path=str(dora)))
    assert [each for _, each in run.said] == [each for _, each in straight.said]
    assert [each for each, _ in run.said] != [each for _, each in run.said]


def test_rows_without_reference_are_answered_and_counted(configure: Configure) -> None:
    run = evaluate(configure(eval_dataset="some", do_eval=True))
    assert run.notes["evaluate_no_label"] == {"count": 2, "rows": 4}
    assert [each["label"] is None for each in run.rows] == [False, False, True, True]
    assert all(each["predict"] is not None for each in run.rows)
    assert set(run.rows[2]["scores"]["tuned"].values()) == {None}
    assert run.json("report.json")["verdict"]["rows"] == 2


def test_an_empty_split_is_a_sentence(configure: Configure) -> None:
    with pytest.raises(UserError) as caught:
        evaluate(configure(eval_dataset="empty"))
    assert "empty" in caught.value.text


def test_a_split_held_back_is_the_one_of_the_training(
    configure: Configure, data: Path, tmp_path: Path
) -> None:
    from trainer.dataset.load import load_rows

    split = {"dataset": "rows,more", "eval_dataset": "", "val_size": 0.3, "seed": 11}
    config = configure(**split)
    held = load_rows(config.data, 11).evaluation
    folder = tmp_path / "trained"
    (folder / "checkpoint-3").mkdir(parents=True)
    run = evaluate(config)
    assert [(each["dataset"], each["number"]) for each in run.rows] == [
        (row.dataset, row.number) for row in held
    ]
    assert "evaluate_trained_on" not in run.notes


def test_of_what_a_training_held_back_as_many_are_asked_as_are_wished(
    configure: Configure, data: Path
) -> None:
    from trainer.dataset.load import load_rows
    from trainer.evaluate.rows import rows_of

    split = {"dataset": "rows,more", "eval_dataset": "", "val_size": 0.5}
    for limit in (None, 6):
        trained = configure(**split, seed=11, max_samples=limit)
        held = [(row.dataset, row.number) for row in load_rows(trained.data, 11).evaluation]
        named = {**split, "held_seed": 11, "held_samples": limit or 0}
        for seed, most in ((42, None), (7, 2)):
            found = rows_of(configure(**named, seed=seed, max_samples=most)).rows
            assert [(row.dataset, row.number) for row in found] == held[:most]


def test_rows_that_were_trained_on_are_counted(
    configure: Configure, adapter: Path, data: Path, tmp_path: Path
) -> None:
    import shutil

    checkpoint = tmp_path / "trained" / "checkpoint-3"
    shutil.copytree(adapter, checkpoint)
    trained: dict[str, Any] = {
        "model_name_or_path": "x",
        "dataset": ["rows"],
        "dataset_dir": str(data),
        "val_size": 4,
    }
    (checkpoint.parent / "config.yaml").write_text(json.dumps(trained), encoding="utf-8")
    run = evaluate(
        configure(eval_dataset="rows,more", adapter_name_or_path=str(checkpoint), compare_base=False)
    )
    assert run.notes["evaluate_trained_on"]["count"] == COUNT - 4
    codes = [note["code"] for note in run.json("report.json")["notes"]]
    assert "evaluate_trained_on" in codes


def test_a_checkpoint_that_is_gone_is_a_sentence_and_the_rows_stay(
    configure: Configure, adapter: Path, tmp_path: Path
) -> None:
    import shutil

    checkpoint = tmp_path / "gone"
    shutil.copytree(adapter, checkpoint)
    config = configure(adapter_name_or_path=str(checkpoint), per_device_eval_batch_size=2)
    first = evaluate(config, stop=lambda run: bool(run.progress))
    assert isinstance(first.end, Stopped)
    shutil.rmtree(checkpoint)
    with pytest.raises(UserError) as caught:
        evaluate(config)
    assert caught.value.code == "evaluate_gone"
    assert len(first.lines) == first.end.step > 0


def test_files_of_llama_factory_run_through_both_commands(
    base: Path,
    adapter: Path,
    data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    settings = tmp_path / "predict.yaml"
    settings.write_text(
        f"model_name_or_path: {base}\nadapter_name_or_path: {adapter}\ntrust_remote_code: true\nstage: sft\n"
        f"do_predict: true\nfinetuning_type: lora\neval_dataset: rows\ndataset_dir: {data}\ncutoff_len: 64\n"
        "max_samples: 6\noverwrite_cache: true\npreprocessing_num_workers: 2\noutput_dir: saves/predict\n"
        "overwrite_output_dir: true\nper_device_eval_batch_size: 2\npredict_with_generate: true\n"
        "ddp_timeout: 180000000\nmax_new_tokens: 8\n",
        encoding="utf-8",
    )
    assert main(["train", str(settings)]) == 0
    by_train = (tmp_path / "saves/predict/generated_predictions.jsonl").read_bytes()
    assert main(["eval", str(settings), "--json"]) == 0
    printed = json.loads(capsys.readouterr().out.partition("\n{")[2].join(["{", ""]))
    assert printed["rows"] == 6 and printed["folder"].endswith("saves/predict")
    assert (tmp_path / "saves/predict/generated_predictions.jsonl").read_bytes() == by_train
    assert {"predict_rouge-l", "predict_bleu-4", "predict_runtime"} <= set(
        json.loads((tmp_path / "saves/predict/all_results.json").read_text())
    )
    words = ["--model_name_or_path", str(base), "--eval_dataset", "more", "--dataset_dir", str(data)]
    assert main(["eval", *words, "--max_new_tokens", "4"]) == 0
    out = capsys.readouterr().out
    assert "3 of 3 rows" in out and "perplexity" in out
    (made,) = (tmp_path / "saves/tiny/lora").glob("eval_*")
    assert (made / "config.yaml").is_file()
    # What the run needs is never cleared for it.
    assert main(["eval", *words, "--output_dir", str(base), "--overwrite_output_dir", "true"]) == 2
    assert (base / "model.safetensors").is_file()
