"""An export leaves whole folders or nothing, and never touches what it reads."""

from __future__ import annotations

import errno
import hashlib
import json
import os
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from tests.export.tiny import (
    Told,
    answers_of,
    inside,
    read_json,
    settings,
    source_of,
    write_adapter,
    write_base,
)
from trainer.config import RunConfig
from trainer.errors import UserError
from trainer.events import Finished, Note, Started, Stopped, Written
from trainer.export import place, plan, receipt, shards
from trainer.model.fingerprint import fingerprint

PROOF = {"ready": True, "formats": []}


@pytest.fixture
def unproved(monkeypatch: pytest.MonkeyPatch) -> None:
    """The proof has tests of its own, and asks the model for minutes."""
    monkeypatch.setattr(receipt, "make", lambda *given: dict(PROOF))


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return write_base(tmp_path / "base", dtype=torch.bfloat16)


@pytest.fixture
def adapter(tmp_path: Path, base: Path) -> Path:
    return write_adapter(tmp_path / "adapter", base)


def hashes(*folders: Path) -> dict[str, str]:
    return {
        str(file): hashlib.sha256(file.read_bytes()).hexdigest()
        for folder in folders
        for file in folder.rglob("*")
        if file.is_file()
    }


def hidden(folder: Path) -> list[str]:
    return sorted(each.name for each in folder.iterdir() if each.name.startswith("."))


def code_of(told: Told, *given: Any, **values: Any) -> set[str]:
    """The codes of all mistakes of an export."""
    with pytest.raises(UserError) as caught:
        told.export(*given, **values)
    return {each.code for each in getattr(caught.value, "problems", (caught.value,))}


def test_a_merged_model_is_loaded_by_transformers_alone(
    tmp_path: Path, base: Path, adapter: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shards, "GB", 50_000_000)
    before = hashes(base, adapter)
    told = Told(tmp_path / "run")
    target = tmp_path / 'it\'s a "model" 模型'
    ending = told.export(base, adapter, export_dir=str(target), infer_dtype="float32", export_size=0.001)
    assert isinstance(ending, Finished) and ending.path == str(target)
    assert hashes(base, adapter) == before
    model = AutoModelForCausalLM.from_pretrained(target).eval()
    assert torch.allclose(answers_of(model), inside(base, adapter), atol=1e-4)
    tokenizer = AutoTokenizer.from_pretrained(target)
    assert tokenizer.chat_template == (target / "chat_template.jinja").read_text(encoding="utf-8")
    assert tokenizer.eos_token_id in [read_json(target / "generation_config.json")["eos_token_id"]]
    assert read_json(target / "config.json")["dtype"] == "float32"
    assert len(list(target.glob("model-*.safetensors"))) > 1
    proof = read_json(target / "receipt.json")
    assert proof == read_json(told.folder / "receipt.json") and proof["ready"]
    assert not hidden(tmp_path)


def test_what_is_told_on_the_way(tmp_path: Path, base: Path, adapter: Path, unproved: None) -> None:
    told = Told(tmp_path / "run")
    told.export(base, adapter)
    (started,) = told.of(Started)
    assert started.task == "export" and started.precision == "bfloat16" and started.parameters > 0
    written = told.of(Written)
    assert written[-1].done_bytes == written[-1].total_bytes and written[-1].format == "merged"
    assert [each.code for each in told.of(Note)] == [
        "export_phase_checking", "export_base_unproved", "export_phase_writing", "export_phase_replaying",
        "export_phase_moving",
    ]  # fmt: skip
    assert (told.folder / "files" / "model.safetensors").is_file()


def test_several_formats_have_folders_of_their_own(
    tmp_path: Path, base: Path, adapter: Path, unproved: None
) -> None:
    target = tmp_path / "out"
    write_manifest(adapter, base_fingerprint=fingerprint(base), base=str(base), resumed_from=str(tmp_path))
    Told(tmp_path / "run").export(base, adapter, export_dir=str(target), export_format=["adapter", "merged"])
    # By the fingerprint the next program knows the base; where this machine keeps its files it is not told.
    assert read_json(target / "adapter" / "manifest.json") == {"base_fingerprint": fingerprint(base)}
    assert sorted(each.name for each in target.iterdir()) == ["adapter", "merged", "receipt.json"]
    weights = load_file(target / "adapter" / "adapter_model.safetensors")
    assert all(
        torch.equal(weights[name], each)
        for name, each in load_file(adapter / "adapter_model.safetensors").items()
    )
    assert torch.allclose(inside(base, target / "adapter"), inside(base, adapter))


@pytest.mark.parametrize("after", [0, 1, 7])
def test_a_stopped_export_leaves_nothing(
    tmp_path: Path, base: Path, adapter: Path, monkeypatch: pytest.MonkeyPatch, unproved: None, after: int
) -> None:
    monkeypatch.setattr("trainer.export.progress.EVERY_S", 0.0)
    told = Told(tmp_path / "run")
    told.stop = lambda: len(told.of(Written)) > after
    before = hashes(base, adapter)
    ending = told.export(base, adapter, export_dir=str(tmp_path / "out"))
    assert isinstance(ending, Stopped) and not ending.path
    assert not (tmp_path / "out").exists() and not hidden(tmp_path) and hashes(base, adapter) == before


@pytest.mark.parametrize(
    ("number", "code"), [(errno.ENOSPC, "export_disk_full"), (errno.EROFS, "export_dir_readonly")]
)
def test_a_full_disk_leaves_nothing(
    tmp_path: Path, base: Path, adapter: Path, monkeypatch: pytest.MonkeyPatch, number: int, code: str
) -> None:
    write, count = shards._all, 0

    def full(*given: Any) -> None:
        nonlocal count
        count += 1
        if count > 5:
            raise OSError(number, os.strerror(number))
        write(*given)

    monkeypatch.setattr(shards, "_all", full)
    before = hashes(base, adapter)
    assert code_of(Told(tmp_path / "run"), base, adapter, export_dir=str(tmp_path / "out")) == {code}
    assert not (tmp_path / "out").exists() and not hidden(tmp_path) and hashes(base, adapter) == before


def test_a_run_has_a_receipt_only_with_its_files(
    tmp_path: Path, base: Path, monkeypatch: pytest.MonkeyPatch, unproved: None
) -> None:
    def refuse(part: Path, target: Path) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(place, "settle", refuse)
    told = Told(tmp_path / "run")
    assert code_of(told, base, export_dir=str(tmp_path / "out")) == {"export_dir_readonly"}
    assert not (told.folder / "receipt.json").exists() and not (tmp_path / "out").exists()
    assert not hidden(tmp_path)


def test_what_a_killed_export_left_is_removed(tmp_path: Path, base: Path, unproved: None) -> None:
    gone = tmp_path / ".out.part-999999999-5-abcd"
    gone.mkdir()
    (gone / "model.safetensors").write_bytes(b"half")
    Told(tmp_path / "run").export(base, export_dir=str(tmp_path / "out"))
    assert not hidden(tmp_path) and (tmp_path / "out" / "model.safetensors").is_file()


def test_an_export_that_is_on_elsewhere_is_left_alone(tmp_path: Path) -> None:
    import psutil

    parent = psutil.Process(os.getppid())
    (tmp_path / f".out.part-{parent.pid}-{int(parent.create_time())}-abcd").mkdir()
    (tmp_path / f".out.part-{os.getpid()}-1-abcd").mkdir()
    place.remove_left(tmp_path / "out")
    assert len(hidden(tmp_path)) == 2
    place.remove_left(tmp_path / "out", own=True)
    assert len(hidden(tmp_path)) == 1


def test_a_filled_folder_is_replaced_only_when_that_is_confirmed(
    tmp_path: Path, base: Path, adapter: Path, unproved: None
) -> None:
    target = tmp_path / "out"
    Told(tmp_path / "one").export(base, export_dir=str(target))
    old = hashes(target)
    assert code_of(Told(tmp_path / "two"), base, adapter, export_dir=str(target)) == {"export_dir_filled"}
    assert hashes(target) == old
    Told(tmp_path / "three").export(base, adapter, export_dir=str(target), overwrite_output_dir=True)
    assert hashes(target).keys() == old.keys() and hashes(target) != old and not hidden(tmp_path)
    (target / "my diary.odt").write_text("dear diary")
    wanted = {"export_dir": str(target), "overwrite_output_dir": True}
    assert code_of(Told(tmp_path / "four"), base, adapter, **wanted) == {"export_dir_foreign"}


def test_a_target_that_holds_the_source_is_refused(tmp_path: Path, base: Path, adapter: Path) -> None:
    for target in (base, adapter, tmp_path):
        wanted = {"export_dir": str(target), "overwrite_output_dir": True}
        assert "export_dir_needed" in code_of(Told(tmp_path / "run"), base, adapter, **wanted)
    file = tmp_path / "file"
    file.write_text("a file")
    assert code_of(Told(tmp_path / "run"), base, export_dir=str(file)) == {"export_dir_file"}
    assert code_of(Told(tmp_path / "run"), base, export_dir=str(file / "inside")) == {"export_dir_unwritable"}


def test_the_root_of_a_disk_is_refused_before_anything_is_written(
    tmp_path: Path, base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "disk"
    target.mkdir()
    monkeypatch.setattr(Path, "is_mount", lambda self: self == target)
    told = Told(tmp_path / "run")
    assert code_of(told, base, export_dir=str(target)) == {"export_dir_unwritable"}
    assert not told.of(Written) and target.is_dir()


def test_a_folder_that_may_not_be_written(
    tmp_path: Path, base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The tests may run as root, who may write everywhere.
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    assert code_of(Told(tmp_path / "run"), base, export_dir=str(tmp_path / "out")) == {"export_dir_readonly"}


def write_manifest(adapter: Path, **facts: Any) -> None:
    (adapter / "manifest.json").write_text(json.dumps(facts))


def test_an_adapter_belongs_to_the_weights_it_was_trained_on(
    tmp_path: Path, base: Path, adapter: Path, unproved: None
) -> None:
    write_manifest(adapter, base_fingerprint=fingerprint(base), base=str(base))
    told = Told(tmp_path / "run")
    told.export(base, adapter)
    assert "export_base_unproved" not in {each.code for each in told.of(Note)}
    # The same name, shapes and settings, other numbers.
    weights = load_file(base / "model.safetensors")
    save_file(
        {name: each * 1.01 for name, each in weights.items()}, base / "model.safetensors", {"format": "pt"}
    )
    assert code_of(Told(tmp_path / "two"), base, adapter) == {"export_other_base"}


def test_an_adapter_on_top_of_others_needs_them(
    tmp_path: Path, base: Path, adapter: Path, unproved: None
) -> None:
    top = write_adapter(tmp_path / "top", base, seed=9)
    write_manifest(top, adapters=[str(adapter)], merged_adapters=1)
    assert code_of(Told(tmp_path / "run"), base, top) == {"export_adapters_before"}
    assert isinstance(Told(tmp_path / "run").export(base, adapter, top), Finished)


def test_an_adapter_of_a_wider_model_is_refused(tmp_path: Path, base: Path) -> None:
    wide = write_base(tmp_path / "gpt", kind="gpt2")
    adapter = write_adapter(tmp_path / "other", wide, target_modules=["c_attn"], fan_in_fan_out=True)
    assert code_of(Told(tmp_path / "run"), base, adapter) == {"adapter_other_base"}


def test_words_without_a_row_are_refused(tmp_path: Path, base: Path, adapter: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(base)
    tokenizer.add_tokens(["brand", "new"])
    tokenizer.save_pretrained(adapter)
    assert code_of(Told(tmp_path / "run"), base, adapter) == {"export_vocabulary"}
    # Words that only the loading program adds are in no file, and nobody has used them.
    source = source_of(base)
    source.tokenizer.add_tokens(["brand", "new"])
    made = plan.make(settings(base, export_dir=str(tmp_path / "two")), source)
    assert made.problems == ()


def test_a_model_without_a_tokenizer_is_refused(tmp_path: Path, base: Path) -> None:
    for file in base.glob("tokenizer*"):
        file.unlink()
    assert code_of(Told(tmp_path / "run"), base) == {"tokenizer_missing"}


def test_a_kind_that_nobody_can_load_is_refused_before_anything_is_written(
    tmp_path: Path, base: Path
) -> None:
    config = {**read_json(base / "config.json"), "model_type": "martian", "architectures": ["Martian"]}
    (base / "config.json").write_text(json.dumps(config))
    told = Told(tmp_path / "run")
    assert code_of(told, base) == {"model_unknown_kind"} and not told.of(Written)


def test_nothing_is_merged_into_few_bits(tmp_path: Path, base: Path, adapter: Path) -> None:
    config = {**read_json(base / "config.json"), "quantization_config": {"quant_method": "gptq", "bits": 4}}
    (base / "config.json").write_text(json.dumps(config))
    assert code_of(Told(tmp_path / "run"), base, adapter) == {"export_base_quantized"}


def test_without_room_nothing_begins(tmp_path: Path, base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "trainer.export.plan.shutil.disk_usage", lambda path: type("Disk", (), {"free": 10})()
    )
    monkeypatch.setattr("trainer.export.plan.free_bytes", lambda device: 10)
    assert code_of(Told(tmp_path / "run"), base) == {"export_no_disk", "export_no_memory"}


def test_an_adapter_is_wanted_where_there_is_none(tmp_path: Path, base: Path, adapter: Path) -> None:
    assert code_of(Told(tmp_path / "run"), base, export_format="adapter") == {"export_no_adapter"}
    two = (adapter, write_adapter(tmp_path / "two", base))
    assert code_of(Told(tmp_path / "run"), base, *two, export_format="adapter") == {"export_many_adapters"}


def test_a_run_lends_its_template_and_data(
    tmp_path: Path, base: Path, adapter: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "saves" / "base" / "lora" / "run"
    run.parent.mkdir(parents=True)
    adapter.rename(run)
    (run / "config.yaml").write_text(
        "model_name_or_path: x\ntemplate: qwen\nenable_thinking: false\ndataset: mine\n"
    )
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "dataset_info.json").write_text("{}")
    seen: list[Any] = []

    def prove(config: RunConfig, *rest: Any) -> dict[str, Any]:
        seen.append(config.data)
        return dict(PROOF)

    monkeypatch.setattr(receipt, "make", prove)
    told = Told(tmp_path / "run")
    told.export(base, run)
    assert seen[0].dataset == ("mine",) and seen[0].dataset_dir == str(tmp_path / "data")
    template = (told.folder / "files" / "chat_template.jinja").read_text(encoding="utf-8")
    assert template.startswith("{%- set enable_thinking = false -%}")
