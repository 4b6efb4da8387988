"""`python -m trainer export`, as a person at a terminal meets it, and files of LLaMA-Factory."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from trainer import cli
from trainer.config import RunConfig
from trainer.events import Event, Finished
from trainer.export_command import run_export_command

# As in LLaMA-Factory's own examples of an export, with a folder in place of the hub's name.
THEIRS = """### Note: DO NOT use quantized model or quantization_bit when merging lora adapters
### model
model_name_or_path: Sprout
adapter_name_or_path: {adapter}
template: qwen
trust_remote_code: false

### export
export_dir: {target}
export_size: 5
export_device: cpu  # choices: [cpu, auto]
export_legacy_format: false
"""
RECEIPT: dict[str, Any] = {
    "ready": True,
    "formats": [{
        "key": "merged", "bytes": 5000, "path": "/there/out",
        "files": [{"name": "model.safetensors", "bytes": 5000, "sha256": "ab" * 32}],
        "replay": {"state": "same", "runtime": "transformers", "tokens": {"same": 9, "of": 9}, "logits": None, "reason": None},
        "commands": [{"runtime": "vllm", "text": "vllm serve /there/out"}], "notes": [],
    }],
}  # fmt: skip


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


class Exporter:
    """An export that writes nothing but its receipt."""

    def __init__(self) -> None:
        self.configs: list[RunConfig] = []

    def __call__(
        self, config: RunConfig, emit: Callable[[Event], None], stop: Callable[[], bool]
    ) -> Finished:
        self.configs.append(config)
        (Path(config.train.output_dir) / "receipt.json").write_text(json.dumps(RECEIPT))
        return Finished(step=1, seconds=0.1, path="/there/out")


def theirs(tmp_path: Path) -> Path:
    file = tmp_path / "merge.yaml"
    file.write_text(THEIRS.format(adapter="saves/a", target="models/merged"))
    return file


def test_a_file_of_llama_factory_is_an_export(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = Exporter()
    assert run_export_command([str(theirs(tmp_path))], run) == 0
    (config,) = run.configs
    assert config.task == "export" and config.export.export_format == ("merged",)
    assert config.export.export_dir == str(tmp_path / "models/merged") and not config.notes
    assert "/export_" in config.train.output_dir
    said = capsys.readouterr().out
    assert (
        "vllm serve /there/out" in said and "9 of 9 tokens equal" in said and said.rstrip().endswith("Ready.")
    )


def test_as_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_export_command([str(theirs(tmp_path)), "--json"], Exporter()) == 0
    assert json.loads(capsys.readouterr().out)["ready"] is True


def test_train_names_the_right_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = theirs(tmp_path)
    assert cli.main(["train", str(file)]) == 2
    said = capsys.readouterr().err
    assert "those of an export" in said and f"python -m trainer export {file}" in said


def test_a_training_may_name_an_export_folder() -> None:
    config = RunConfig.from_flat({"dataset": "identity", "export_dir": "out"})
    assert config.task == "train"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "nothing to export"),
        (["--model_name_or_path", "Sprout", "--export_format", "ggml"], "Did you mean gguf?"),
        (["--model_name_or_path", "Sprout", "--gguf_type", "q4_km"], "Did you mean q4_k_m?"),
        (["--model_name_or_path", "Sprout", "--export_quantization_bit", "4"], "gguf_type"),
        (["--model_name_or_path", "Sprout", "--export_legacy_format", "true"], "safetensors"),
        (["--export_format", "merged"], "model_name_or_path"),
    ],
)
def test_mistakes_are_sentences(words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["export", *words]) == 2
    assert said in capsys.readouterr().err


def test_a_config_repeats_the_export(tmp_path: Path) -> None:
    config = RunConfig.from_flat(
        {"model_name_or_path": "Sprout", "export_dir": "out", "gguf_type": "F16,q8_0"}
    )
    assert RunConfig.from_flat(config.to_flat()) == config and config.task == "export"
