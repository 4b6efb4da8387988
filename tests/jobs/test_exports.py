"""The page's view of exports: what can be exported, what it takes, what is left, and the archive."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.jobs.fake import config, register_data, save_checkpoint, until
from trainer.config import RunConfig, write_yaml
from trainer.errors import UserError
from trainer.events import EventLog, Finished, Started
from trainer.jobs.exports import Exports
from trainer.jobs.jobs import Jobs
from trainer.paths import REPOSITORY


@pytest.fixture
def exports(jobs: Jobs) -> Exports:
    return Exports(jobs)


def write_run(saves: Path, name: str, settings: RunConfig, ending: str = "") -> Path:
    """A run that is over: settings, first and last event."""
    folder = saves / "Sprout" / "lora" / name
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text(write_yaml(settings))
    log = EventLog(folder / "events.jsonl")
    log.append(
        Started(
            total_steps=4, rows=1, trained_tokens=1, parameters=1, trainable=1, device="CPU", precision="fp32"
        )
    )
    log.append(Finished(step=4, seconds=1.0, path=ending or str(folder), loss=0.5))
    return folder


def write_export(jobs: Jobs, target: Path) -> str:
    """A finished export of two formats; returns its run."""
    target.mkdir()
    for name, text in {"merged/model.safetensors": "w" * 5000, "gguf/m-f16.gguf": "g" * 100}.items():
        (target / name).parent.mkdir()
        (target / name).write_text(text)
    formats = [
        {"key": "merged", "format": "merged", "type": "", "path": str(target / "merged"),
         "files": [{"name": "merged/model.safetensors"}]},
        {"key": "gguf", "format": "gguf", "type": "f16", "path": str(target / "gguf"),
         "files": [{"name": "gguf/m-f16.gguf"}]},
    ]  # fmt: skip
    text = json.dumps({"ready": True, "folder": str(target), "formats": formats})
    run = write_run(jobs.saves, "export_1", export_config(), ending=str(target))
    for folder in (run, target):
        (folder / "receipt.json").write_text(text)
    return "Sprout/lora/export_1"


def export_config(**values: object) -> RunConfig:
    return RunConfig.from_flat({"do_export": True, "model_name_or_path": "Sprout", **values})


def test_results_and_checkpoints_are_offered_with_what_they_need(jobs: Jobs, exports: Exports) -> None:
    folder = write_run(jobs.saves, "one", config(adapter_name_or_path=["before", "on"], template="qwen"))
    (folder / "adapter_config.json").write_text("{}")
    for step in (2, 4):
        (save_checkpoint(folder, step) / "adapter_config.json").write_text("{}")
    save_checkpoint(folder, 6)
    found = exports.candidates()
    assert [(each.kind, each.step) for each in found] == [("run", 4), ("checkpoint", 4), ("checkpoint", 2)]
    first = found[0]
    assert first.values["adapter_name_or_path"] == ("before", str(folder))
    assert first.values["template"] == "qwen" and first.scores == {"train_loss": 0.5}
    assert first.datasets == ("identity",) and exports.candidate(found[2].id) == found[2]
    with pytest.raises(UserError, match="no run or checkpoint"):
        exports.candidate("Sprout/lora/one/checkpoint-6")


def test_an_outlook_has_sizes_and_every_problem(jobs: Jobs, exports: Exports) -> None:
    found = exports.outlook(export_config(export_format="merged", infer_dtype="float32"))
    (size,) = found.sizes
    assert size.bytes == 4 * found.parameters > 20_000_000 and not found.problems and found.target is None
    assert found.disk_needed > size.bytes and found.disk_free > 0 and found.memory_free > 0
    found = exports.outlook(export_config(export_format="merged,adapter", export_dir=str(REPOSITORY)))
    assert {each.code for each in found.problems} == {"export_dir_needed", "export_no_adapter"}
    assert {each.code for each in exports.outlook(RunConfig()).problems} == {"no_model"}


def test_an_archive_holds_the_files_and_the_proof(jobs: Jobs, exports: Exports, tmp_path: Path) -> None:
    run = write_export(jobs, tmp_path / "out")
    with zipfile.ZipFile(exports.archive(run)) as archive:
        assert archive.namelist() == [
            "export_1/gguf/m-f16.gguf", "export_1/merged/model.safetensors", "export_1/receipt.json",
        ]  # fmt: skip
        assert all(each.compress_type == zipfile.ZIP_STORED for each in archive.infolist())
    with zipfile.ZipFile(exports.archive(run, "gguf")) as archive:
        assert archive.namelist() == ["export_1-gguf/gguf/m-f16.gguf", "export_1-gguf/receipt.json"]
    assert [(each.format, each.path.name) for each in exports.made()] == [
        ("merged", "merged"),
        ("gguf", "m-f16.gguf"),
    ]
    assert exports.folder(run) == tmp_path / "out" and exports.receipt(run)
    (tmp_path / "out").rename(tmp_path / "elsewhere")
    with pytest.raises(UserError) as caught:
        exports.archive(run)
    assert caught.value.code == "export_gone" and exports.made() == ()


def test_an_archive_needs_room(
    jobs: Jobs, exports: Exports, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = write_export(jobs, tmp_path / "out")
    monkeypatch.setattr(
        "trainer.jobs.exports.shutil.disk_usage", lambda path: type("Disk", (), {"free": 1000})()
    )
    with pytest.raises(UserError) as caught:
        exports.archive(run)
    assert caught.value.code == "export_zip_room"


def test_a_page_exports_into_its_own_workspace_only(jobs: Jobs, tmp_path: Path) -> None:
    for outside in ("/etc/tuneboard", "../elsewhere", str(tmp_path.parent / "elsewhere")):
        with pytest.raises(UserError) as caught:
            jobs.submit(export_config(export_dir=outside))
        assert caught.value.code == "export_dir_outside"
    with pytest.raises(UserError) as caught:
        jobs.submit(export_config(llama_cpp_dir="/opt/llama.cpp"))
    assert caught.value.code == "export_llama_cpp_page"
    job = jobs.submit(export_config(export_dir="exports/mine"))
    until(lambda: jobs.get(job.id).state == "finished")
    assert job.name.startswith("export_") and job.task == "export" and jobs.get(job.id).result is None


@pytest.fixture
def left(tmp_path: Path) -> Iterator[Path]:
    """A workspace in which an export was killed with its server."""
    register_data(tmp_path)
    folder = tmp_path / "saves" / "Sprout" / "lora" / "export_1"
    part = folder / ".files.part-999999999-5-abcd"
    part.mkdir(parents=True)
    (folder / "config.yaml").write_text(write_yaml(export_config()))
    yield part


def test_what_a_killed_server_left_is_removed_at_the_next_start(left: Path, tmp_path: Path) -> None:
    from trainer.jobs.workspace import Workspace

    workspace = Workspace(tmp_path)
    until(lambda: not left.exists())
    assert [job.state for job in workspace.exports.list()] == ["interrupted"]
    workspace.close()
