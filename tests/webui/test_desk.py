"""What the buttons do."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from trainer.config import RunConfig
from trainer.events import Event, Finished, Started, Step, Stopped
from trainer.flags import read_flags
from trainer.jobs.workspace import Workspace
from webui import form
from webui.desk import Desk

OPEN = form.proposed("Sprout", "lora")


def run(config: RunConfig, emit: Callable[[Event], None], stop: Callable[[], bool]) -> Finished | Stopped:
    """Takes no time and says that it took 10 s for its 10 steps."""
    facts = {
        "rows": 4,
        "trained_tokens": 8,
        "parameters": 2,
        "trainable": 1,
        "device": "cpu",
        "precision": "fp32",
    }
    emit(Started(total_steps=10, **facts))
    emit(Step(step=10, total_steps=10, epoch=1.0, elapsed_s=10.0, eta_s=0.0, loss=1.0))
    return Finished(step=10, seconds=10.0, path=config.train.output_dir)


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    data = tmp_path / "data"
    data.mkdir()
    named = [
        {"instruction": f"Who are you, {n}?", "output": "I am {{name}} by {{author}}."} for n in range(9)
    ]
    plain = [{"instruction": f"Say {n}.", "output": str(n)} for n in range(30)]
    (data / "named.json").write_text(json.dumps([*named, {"instruction": "no answer"}]), encoding="utf-8")
    (data / "plain.json").write_text(json.dumps(plain), encoding="utf-8")
    names = {"identity": {"file_name": "named.json"}, "plain": {"file_name": "plain.json"}}
    (data / "dataset_info.json").write_text(json.dumps(names), encoding="utf-8")
    made = Workspace(tmp_path, run=run)
    yield made
    made.close()


@pytest.fixture
def desk(workspace: Workspace) -> Desk:
    return Desk(workspace)


def finish(workspace: Workspace, run_id: str) -> None:
    """Waits until a run has ended; pytest's own time-out is the limit."""
    while workspace.jobs.get(run_id).state in ("queued", "starting", "running"):
        pass


def test_one_press_is_one_run_however_often_it_arrives(desk: Desk, workspace: Workspace) -> None:
    values = {**OPEN, "output_dir": "train_2026-01-02-03-04-05"}
    first, second = desk.start(values, "token"), desk.start(values, "token")
    assert first.problems == second.problems == ()
    assert first.result.id == second.result.id == "Sprout/lora/train_2026-01-02-03-04-05"
    assert len(workspace.jobs.list()) == 1


def test_a_folder_in_use_is_refused_beside_its_control(desk: Desk, workspace: Workspace) -> None:
    job = desk.start({**OPEN, "output_dir": "mine"}, "a").result
    finish(workspace, job.id)
    again = desk.start({**OPEN, "output_dir": "mine"}, "b")
    assert again.result is None
    assert [(each.field, each.code) for each in again.problems] == [("output_dir", "folder_in_use")]


def test_a_start_that_must_fail_is_refused_with_every_reason(desk: Desk, workspace: Workspace) -> None:
    values = {
        **OPEN,
        "model_name_or_path": form.CUSTOM,
        "model_path": "/nowhere/model",
        "dataset": ["nothing"],
    }
    outcome = desk.start(values, "a")
    assert [each.field for each in outcome.problems] == ["dataset", "model_name_or_path"]
    assert workspace.jobs.list() == []


@pytest.mark.parametrize("name", ["../out", "/etc/out", "a/../../b", "a\nb"])
def test_no_name_leads_out_of_the_saves(desk: Desk, workspace: Workspace, name: str) -> None:
    outcome = desk.start({**OPEN, "output_dir": name}, "a")
    assert outcome.result is None and outcome.problems[0].field == "output_dir"
    assert workspace.jobs.list() == []


def test_rows_steps_placeholders_and_pace(desk: Desk, workspace: Workspace) -> None:
    look = desk.look({**OPEN, "num_train_epochs": 4, "per_device_train_batch_size": 2})
    assert (look.rows, look.unusable, look.steps, look.seconds) == (9, 1, 20, None)
    assert look.unfilled == frozenset() and look.problem is None
    two = desk.look({**OPEN, "num_train_epochs": 4, "per_device_train_batch_size": 2, "nproc_per_node": 2})
    assert two.steps == 12, "two processes take twice the rows a step"
    assert desk.look({**OPEN, "dataset": ["plain"]}).unfilled == {"identity_name", "identity_author"}
    assert desk.look({**OPEN, "packing": True}).steps is None
    assert desk.look({**OPEN, "learning_rate": ""}).rows == 9
    unknown = desk.look({**OPEN, "dataset": ["nothing"]})
    assert unknown.problem is not None and unknown.problem.field == "dataset"


def test_the_time_comes_from_the_last_finished_run(workspace: Workspace) -> None:
    values = {**OPEN, "per_device_train_batch_size": 2, "num_train_epochs": 4}
    job = Desk(workspace).start(values, "a").result
    finish(workspace, job.id)
    # 10 steps of 2 rows in 10 s: half a second a row.
    assert Desk(workspace).look({**values, "num_train_epochs": 8}).seconds == pytest.approx(40.0)
    assert Desk(workspace).look({**values, "finetuning_type": "full"}).seconds is None


def test_the_command_names_what_lies_elsewhere_in_full(desk: Desk, workspace: Workspace) -> None:
    text, problems, _ = desk.command({**OPEN, "output_dir": "mine"})
    config = RunConfig.from_flat(read_flags(shlex.split(text)[4:]))
    assert problems == ()
    assert config.train.output_dir == str(workspace.saves / "Sprout" / "lora" / "mine")
    assert config.data.dataset_dir == str(workspace.data_dir)


def test_saved_settings_load_as_the_same_settings(desk: Desk, tmp_path: Path) -> None:
    values = {
        **OPEN,
        "lora_rank": 4,
        "output_dir": "train_2026-01-02-03-04-05",
        "extra": '{"adam_beta2": 0.95}',
    }
    path = tmp_path / "settings.yaml"
    path.write_text(desk.save(values).result, encoding="utf-8")
    config = desk.load(path).result
    assert form.write(config) == {**form.write(form.read(values)), "output_dir": ""}


def test_a_file_of_llama_factory_loads(desk: Desk, tmp_path: Path) -> None:
    path = tmp_path / "theirs.yaml"
    path.write_text(
        "stage: sft\ndo_train: true\nfinetuning_type: lora\nlora_target: all\nbf16: true\n", encoding="utf-8"
    )
    config, problems, _ = desk.load(path)
    assert problems == () and config.method.compute_type == "bf16"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (b"a: [1", "yaml_broken"), (b"\xff\xfe\x00", "file_not_utf8"), (b"- a", "file_not_mapping"),
        (b"lora_rnk: 1", "option_unknown"), (b"#" * 300_000, "page_file_large"),
    ],
)  # fmt: skip
def test_a_bad_file_has_its_sentence(desk: Desk, tmp_path: Path, text: bytes, code: str) -> None:
    path = tmp_path / "bad.yaml"
    path.write_bytes(text)
    result, problems, _ = desk.load(path)
    assert result is None and [each.code for each in problems] == [code]


def test_what_nobody_foresaw_is_a_sentence_too(
    desk: Desk, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("secret detail")

    monkeypatch.setattr(workspace.jobs, "submit", broken)
    outcome = desk.start(OPEN, "a")
    assert [each.code for each in outcome.problems] == ["page_unexpected"]
    assert "secret" not in str(outcome.problems[0])


def test_menus_offer_what_there_is(desk: Desk, workspace: Workspace) -> None:
    job = desk.start({**OPEN, "output_dir": "mine"}, "a").result
    finish(workspace, job.id)
    lists = desk.lists("Sprout", "lora", "data")
    assert lists.datasets == ["identity", "plain"]
    assert desk.lists("Sprout", "lora", "/nowhere").datasets == []
    assert ("mine", str(job.folder.path)) in lists.checkpoints
    assert desk.lists("Sprout", "full", "data").checkpoints == []


def test_a_useless_start_is_held_back_with_the_repair(desk: Desk, workspace: Workspace) -> None:
    values = {**OPEN, "dataset": ["plain"], "cutoff_len": 4}
    held = desk.start(values, "token")
    assert held.result is None and held.problems == ()
    assert held.holds[0].field == "cutoff_len" and not held.holds[0].insist
    # Insisting does not help where nothing would be trained.
    assert desk.start(values, "token", insist=True).result is None
    assert workspace.jobs.list() == []


def test_a_person_may_insist_on_dropped_rows(desk: Desk, workspace: Workspace) -> None:
    rows = [{"instruction": f"Say {n}.", "output": str(n) if n % 2 else ""} for n in range(20)]
    (workspace.root / "data" / "plain.json").write_text(json.dumps(rows), encoding="utf-8")
    values = {**OPEN, "dataset": ["plain"]}
    held = desk.start(values, "one")
    assert [each.code for each in held.holds] == ["hold_dropped_rows"] and held.result is None
    assert "50 %" in held.holds[0].text and held.holds[0].example is not None
    assert desk.start(values, "two", insist=True).result is not None


def test_the_preview_of_many_rows_counts_on_in_the_background(desk: Desk, workspace: Workspace) -> None:
    rows = [{"instruction": f"Say {n}.", "output": str(n)} for n in range(2400)]
    (workspace.root / "data" / "plain.json").write_text(json.dumps(rows), encoding="utf-8")
    values = {**OPEN, "dataset": ["plain"]}
    seen = desk.preview(values, 1).result
    assert len(seen.page.rows) == 5 and seen.page.more
    assert seen.counts.totals.sampled and seen.counts.totals.rows == 2000 and seen.counts.progress is not None
    # pytest's own time-out is the limit
    while (counted := desk.counts(values).result).progress is not None:
        pass
    assert not counted.totals.sampled and counted.totals.rows == 2400


@pytest.mark.parametrize("model", [None, "", form.CUSTOM, "Sprout"])
@pytest.mark.parametrize("path", [None, "", " "])
def test_what_is_not_named_yet_is_no_model_that_sees(desk: Desk, model: str | None, path: str | None) -> None:
    """The box for a model of one's own sends None until it is drawn for the first time."""
    assert desk.sees(model, path, "huggingface") is False
