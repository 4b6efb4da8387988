"""Exports as partners of a chat: the menu, and what a choice stands for."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.webui.test_desk import run
from trainer.config import RunConfig, write_yaml
from trainer.errors import UserError
from trainer.events import EventLog, Finished, Started
from trainer.jobs.workspace import Workspace
from trainer.paths import MODELS
from webui import exported
from webui.export_words import name_of
from webui.i18n import LANGUAGES
from webui.partner import Top

TOP = Top("Qwen2.5-0.5B", "", "huggingface", "lora", (), "chatml")
SPROUT = str(MODELS / "sprout")
KINDS = ("merged", "gguf", "gguf", "ollama")


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    made = Workspace(tmp_path, run=run)
    yield made
    made.close()


def write_export(root: Path, name: str = "export_2026-11-28-22-00-00") -> Path:
    """An export of the built-in model as a folder, two GGUF files and an Ollama folder; the files are empty."""
    folder = root / "saves" / "Sprout" / "lora" / name
    files = folder / "files"
    for each in (
        "merged/config.json",
        "gguf/m-f16.gguf",
        "gguf/m-q8_0.gguf",
        "ollama/m-f16.gguf",
        "ollama/Modelfile",
    ):
        (files / each).parent.mkdir(parents=True, exist_ok=True)
        (files / each).write_text(
            "FROM ./m-f16.gguf" if each.endswith("Modelfile") else "{}", encoding="utf-8"
        )
    formats = [
        {"key": key, "format": key.partition(":")[0], "type": kind, "path": str(files / place), "files": [{"name": file}]}
        for key, kind, place, file in (
            ("merged", "bfloat16", "merged", "merged/config.json"),
            ("gguf", "f16", "gguf", "gguf/m-f16.gguf"),
            ("gguf:q8_0", "q8_0", "gguf", "gguf/m-q8_0.gguf"),
            ("ollama", "f16", "ollama", "ollama/Modelfile"),
        )
    ]  # fmt: skip
    receipt = json.dumps({"version": 1, "base": SPROUT, "folder": str(files), "formats": formats})
    for place in (folder, files):
        (place / "receipt.json").write_text(receipt, encoding="utf-8")
    flat = {"model_name_or_path": "Sprout", "do_export": True, "export_format": ["merged", "gguf", "ollama"]}
    (folder / "config.yaml").write_text(write_yaml(RunConfig.from_flat(flat)), encoding="utf-8")
    log = EventLog(folder / "events.jsonl")
    log.append(
        Started(
            total_steps=1, rows=0, trained_tokens=0, parameters=1, trainable=0, device="cpu", precision="bfloat16",
            task="export",
        )
    )  # fmt: skip
    log.append(Finished(step=3, seconds=1.0, path=str(files)))
    return files


def test_the_menu_lists_every_format_and_a_typed_path(workspace: Workspace, tmp_path: Path) -> None:
    files = write_export(tmp_path)
    for lang in LANGUAGES:
        found = exported.choices(workspace.exports, lang)
        assert len(found) == len({label for label, _ in found}) == 5
        assert found[-1][1] == exported.TYPED
        assert all(name_of(kind, lang) in label for (label, _), kind in zip(found, KINDS, strict=False))
        assert all(exported.is_export(value) for _, value in found)
    paths = [
        exported.partner(workspace, value, "", TOP).checkpoints[0]
        for _, value in exported.choices(workspace.exports, "en")[:-1]
    ]
    expected = ["merged", "gguf/m-f16.gguf", "gguf/m-q8_0.gguf", "ollama"]
    assert paths == [str(files / each) for each in expected]


def test_a_format_of_a_receipt_opens_with_its_base(workspace: Workspace, tmp_path: Path) -> None:
    files = write_export(tmp_path)
    id = workspace.exports.list()[0].id
    for key, place in (("merged", "merged"), ("gguf", "gguf/m-f16.gguf"), ("gguf:q8_0", "gguf/m-q8_0.gguf")):
        assert exported.chosen({"act": "chat", "id": id, "name": key}) == (id, key)
        found = exported.partner(workspace, exported.value_of(workspace.exports, id, key), "", TOP)
        assert (found.model, found.checkpoints) == (SPROUT, (str(files / place),))
        assert key.partition(":")[0] in found.name
    for data in (None, {}, {"act": "zip", "id": id}, "chat"):
        assert exported.chosen(data) is None
    for run_id, key in ((id, "adapter"), ("nobody", "merged")):
        with pytest.raises(UserError) as caught:
            exported.value_of(workspace.exports, run_id, key)
        assert caught.value.code == "chat_export_gone"
    (files / "gguf" / "m-q8_0.gguf").unlink()
    with pytest.raises(UserError) as caught:
        exported.partner(workspace, f"export:{id}#gguf:q8_0", "", TOP)
    assert caught.value.code == "chat_export_gone"


def test_a_typed_path_is_compared_with_its_receipt_s_base_or_the_chosen_model(
    workspace: Workspace, tmp_path: Path
) -> None:
    files = write_export(tmp_path)
    foreign = tmp_path / "一 'my' model.gguf"
    foreign.write_bytes(b"GGUF")
    found = exported.partner(workspace, exported.TYPED, str(files / "gguf" / "m-f16.gguf"), TOP)
    assert (found.model, found.checkpoints) == (SPROUT, (str(files / "gguf" / "m-f16.gguf"),))
    found = exported.partner(workspace, exported.TYPED, f' "{foreign}"', TOP)
    assert (found.model, found.name) == ("Qwen2.5-0.5B", foreign.name)
    assert found.checkpoints == (str(foreign),)
    codes = {"": "chat_no_path", "/no/where": "chat_path_missing", str(files): "chat_several_formats"}
    for typed, code in codes.items():
        with pytest.raises(UserError) as caught:
            exported.partner(workspace, exported.TYPED, typed, TOP)
        assert caught.value.code == code
