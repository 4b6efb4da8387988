"""Every example is a run: its file can be read, nothing in it is without effect, its header says how to start it, and it
trains.

Those of one process train here, each for two steps; those of several are started as a person does at a terminal.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from trainer.cli import main
from trainer.config import RunConfig, read_file
from trainer.events import EventLog, Finished, Step
from trainer.jobs.place import require_usable
from trainer.model.catalog import find, proposals
from trainer.options import options
from trainer.paths import REPOSITORY, RunFolder

EXAMPLES = REPOSITORY / "examples"
FILES = sorted(EXAMPLES.glob("*.yaml"))
CONFIGS = {path.stem: RunConfig.from_flat(read_file(path)) for path in FILES}
TRAINED = [name for name, config in CONFIGS.items() if config.task == "train"]
EXPORTED = [name for name, config in CONFIGS.items() if config.task == "export"]
TOGETHER = [name for name in TRAINED if CONFIGS[name].distributed.nproc_per_node]
ALONE = [name for name in TRAINED if name not in TOGETHER]
# The longest rows are what this one is about.
LONG = ("sprout_lora_yarn",)
# A run of two processes compiles DeepSpeed's kernels the first time.
PATIENCE_S = 600


def header(path: Path) -> str:
    lines = path.read_text(encoding="utf-8").splitlines()
    return "\n".join(lines[: next(number for number, line in enumerate(lines) if not line.startswith("#"))])


def test_there_are_examples() -> None:
    assert len(TRAINED) >= 20 and len(TOGETHER) >= 4


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_an_example_can_be_started(path: Path) -> None:
    config = CONFIGS[path.stem]
    require_usable(config, REPOSITORY)
    command = "export" if config.task == "export" else "train"
    assert f"python -m trainer {command} examples/{path.name}" in header(path)
    assert find(config.model.model_name_or_path), "a model of the catalogue"
    assert not [note for note in config.notes if note.code == "note_harmless"]
    # An example can be started twice, and its run lies where the page looks for runs.
    assert config.train.overwrite_output_dir
    if config.task == "train":
        model = Path(config.model.model_name_or_path).name
        assert config.train.output_dir.startswith(f"saves/{model}/{config.method.finetuning_type}/")


def test_each_example_has_a_place_of_its_own() -> None:
    places = [CONFIGS[name].train.output_dir for name in TRAINED]
    assert len(set(places)) == len(places)


@pytest.mark.parametrize("method", ["lora", "full"])
def test_the_first_example_has_the_values_that_the_page_proposes(method: str) -> None:
    config = CONFIGS[f"sprout_{method}_identity"]
    proposed = proposals("Sprout", method)
    given = {name: getattr(getattr(config, options()[name].section), name) for name in proposed}
    assert given == proposed


def test_the_examples_show_every_method() -> None:
    shown: set[str] = set()
    for config in CONFIGS.values():
        shown |= {f"{name}: {value}" for name, value in config.to_flat().items()} | set(config.to_flat())
    for word in (
        "finetuning_type: full", "finetuning_type: freeze", "finetuning_type: oft", "use_llama_pro", "use_rslora", "use_dora",
        "pissa_init", "loraplus_lr_ratio", "additional_target", "adapter_name_or_path", "create_new_adapter",
        "quantization_bit: 4", "quantization_bit: 8", "use_galore", "use_apollo", "use_muon", "neftune_noise_alpha",
        "use_dft_loss", "packing", "stage: pt", "rope_scaling: yarn", "resize_vocab", "early_stopping_steps", "streaming",
        "nproc_per_node", "ds_stage: 2", "ds_stage: 3", "ds_offload", "deepspeed", "fsdp: full_shard",
    ):  # fmt: skip
        assert word in shown, word


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The result of the first example, which others go on from."""
    folder = tmp_path_factory.mktemp("first") / "identity"
    assert main(["train", *words("sprout_lora_identity", folder)]) == 0
    return folder


def words(name: str, folder: Path, **more: Any) -> list[str]:
    """The example as it is, but for two steps, and in a folder of the test."""
    config = CONFIGS[name]
    changes: dict[str, Any] = {"output_dir": folder, "max_steps": 2, "logging_steps": 1, "plot_loss": "false"}
    if name not in LONG:
        changes |= {"cutoff_len": 128}
    if not config.data.streaming:
        changes |= {"max_samples": 48}
    if config.train.eval_strategy != "no":
        changes |= {"eval_steps": 1, "save_steps": 1}
    if not find(config.model.model_name_or_path).folder:  # type: ignore[union-attr]
        changes |= {"model_name_or_path": "Sprout", "template": ""}
    return [str(EXAMPLES / f"{name}.yaml"), *(f"{key}={value}" for key, value in {**changes, **more}.items())]


def trained(folder: Path) -> list[Step]:
    """The steps of a run that has come to its end."""
    events = EventLog(RunFolder(folder).events).read().events
    assert isinstance(events[-1], Finished), events[-1]
    return [event for event in events if isinstance(event, Step) and event.loss is not None]


@pytest.mark.parametrize("name", ALONE)
def test_an_example_trains(name: str, tmp_path: Path, first: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(REPOSITORY)
    more = {"adapter_name_or_path": first} if CONFIGS[name].model.adapter_name_or_path else {}
    assert main(["train", *words(name, tmp_path / "run", **more)]) == 0
    steps = trained(tmp_path / "run")
    assert [step.step for step in steps] == [1, 2]
    assert all(step.loss is not None and 0 < step.loss < 20 for step in steps)
    weights = list((tmp_path / "run").glob("*.safetensors"))
    assert weights and not list((tmp_path / "run").glob("*.bin"))


@pytest.mark.slow
@pytest.mark.parametrize("name", TOGETHER)
def test_an_example_of_several_processes_trains(name: str, tmp_path: Path) -> None:
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "trainer", "train", *words(name, tmp_path / "run")],
        cwd=REPOSITORY, env=environment, capture_output=True, text=True, timeout=PATIENCE_S,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    assert [step.step for step in trained(tmp_path / "run")] == [1, 2]
    assert list((tmp_path / "run").glob("*.safetensors"))


@pytest.mark.parametrize("name", EXPORTED)
def test_an_example_is_exported(
    name: str,
    tmp_path: Path,
    first: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(REPOSITORY)
    places = [
        f"adapter_name_or_path={first}",
        f"export_dir={tmp_path / 'out'}",
        f"output_dir={tmp_path / 'run'}",
    ]
    assert main(["export", str(EXAMPLES / f"{name}.yaml"), *places, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["run"] == str(tmp_path / "run")
    assert list((tmp_path / "out").rglob("*.safetensors")) or list((tmp_path / "out").rglob("*.gguf"))
