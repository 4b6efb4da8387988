"""`python -m trainer check`: what a file comes to, without torch, weights or a run."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from trainer.check_command import run_check
from trainer.check_report import Place, look
from trainer.cli import main
from trainer.config import RunConfig
from trainer.paths import REPOSITORY

HERE = Path(__file__).parent / "files" / "yaml"
SPROUT = REPOSITORY / "examples" / "sprout_lora_identity.yaml"
KEYS = {
    "file", "ok", "task", "stage", "method", "model", "adapters", "datasets", "template", "run", "batch", "steps",
    "settings", "arguments", "renamed", "harmless", "refused", "wrong", "warnings",
}  # fmt: skip


def alone(config: RunConfig) -> Place:
    return Place()


@pytest.fixture(autouse=True)
def somewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def report(words: list[str], capsys: pytest.CaptureFixture[str], status: int) -> dict[str, Any]:
    assert run_check([*words, "--json"], alone) == status
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_a_file_of_ours_is_told_whole(capsys: pytest.CaptureFixture[str], somewhere: Path) -> None:
    found = report([str(SPROUT), "lora_rank=4"], capsys, 0)
    assert set(found) == KEYS and found["ok"] and not found["warnings"]
    assert found["model"] == {
        "given": "Sprout", "from": "catalogue", "place": str(REPOSITORY / "models" / "sprout"), "here": True
    }  # fmt: skip
    (dataset,) = found["datasets"]
    assert dataset["name"] == "identity" and dataset["use"] == "train" and dataset["here"]
    rows = len(json.loads((REPOSITORY / "data" / "identity.json").read_text(encoding="utf-8")))
    assert dataset["rows"] == rows
    assert found["batch"]["together"] == 8 and found["steps"]["total"] == 10 * -(-rows // 8)
    assert found["settings"]["lora_rank"] == 4
    assert "dataset_dir" not in found["settings"]
    assert not list(somewhere.iterdir()), "nothing is written"


def test_what_is_not_on_this_machine_is_a_warning(capsys: pytest.CaptureFixture[str]) -> None:
    found = report([str(HERE / "qwen2vl_full_zero3_offload.yaml"), "dataset=identity"], capsys, 0)
    assert found["ok"] and not found["model"]["here"]
    assert [each["code"] for each in found["warnings"]] == ["check_model_absent", "check_deepspeed_shipped"]
    given = ["model_name_or_path=/nowhere/model", "adapter_name_or_path=/nowhere/a", "dataset=identity"]
    found = report(given, capsys, 0)
    assert [each["code"] for each in found["warnings"]] == ["check_folder_absent"] * 2
    assert found["file"] is None


def test_a_dataset_whose_file_is_elsewhere_is_a_warning(
    capsys: pytest.CaptureFixture[str], somewhere: Path
) -> None:
    (somewhere / "data").mkdir()
    entries = {"gone": {"file_name": "gone.json"}, "hub": {"hf_hub_url": "a/b"}}
    (somewhere / "data" / "dataset_info.json").write_text(json.dumps(entries))
    found = report(["model_name_or_path=Sprout", "dataset=gone,hub"], capsys, 0)
    assert [each["code"] for each in found["warnings"]] == ["check_data_absent", "check_data_hub"]
    assert found["steps"]["total"] is None
    found = report(["model_name_or_path=Sprout", "dataset=nobody"], capsys, 1)
    assert [each["code"] for each in found["wrong"]] == ["data_unknown"]


def test_what_cannot_be_run_says_why(capsys: pytest.CaptureFixture[str]) -> None:
    found = report([str(HERE / "refused.yaml"), "dataset=identity"], capsys, 1)
    assert not found["ok"]
    assert {"stage", "use_unsloth", "max_length"} <= {each["name"] for each in found["refused"]}
    assert {each["name"] for each in found["wrong"]} == {"learning_rat", "quantization_bit"}
    assert all(each["text"] and each["hint"] for each in found["refused"])


def test_what_is_missing_is_wrong(capsys: pytest.CaptureFixture[str]) -> None:
    found = report(["template=nobodys", "learning_rate=1e-4"], capsys, 1)
    assert [each["code"] for each in found["wrong"]] == ["no_model", "no_dataset", "data_template_unknown"]
    found = report(["model_name_or_path=Sprout", "dataset=identity", "optim=ADAMW"], capsys, 1)
    assert [each["code"] for each in found["wrong"]] == ["optim_unknown"]
    found = report(["model_name_or_path=Sprot", "dataset=identity"], capsys, 1)
    assert "'Sprout'" in found["wrong"][0]["hint"]


def test_what_is_renamed_and_what_is_harmless_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    found = report([str(HERE / "oft_badam_off.yaml"), "dataset=identity"], capsys, 0)
    assert {"name": "bf16", "option": "compute_type", "value": "bf16"} in found["renamed"]
    why = {each["name"]: each["why"] for each in found["harmless"]}
    assert why["badam_mode"] == "use_badam" and why["use_badam"] == "off" and why["pref_beta"] == "stage"
    assert why["vllm_maxlen"] == "infer_backend" and why["disable_tqdm"] == "report"


def test_many_processes_share_the_steps() -> None:
    given = {"model_name_or_path": "Sprout", "dataset": "identity", "num_train_epochs": 2}
    alone_, four = (look(given, None, Path.cwd(), lambda _, n=n: Place("ddp", n, 2)) for n in (1, 2))
    assert alone_["batch"]["together"] == 16 and four["batch"]["together"] == 32
    assert four["run"] == {"engine": "ddp", "processes": 2, "nodes": 2}
    assert alone_["steps"]["total"] == 2 * 7 and four["steps"]["total"] == 2 * 4


def test_the_words_are_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(HERE / "lora_sft.yaml"), "dataset=identity"]) == 0
    said = capsys.readouterr().out
    for part in (
        "task        train, stage sft, method lora",
        "rows",
        "is read as",
        "warning:",
        "can be run.",
    ):
        assert part in said


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("a: [1,", "yaml_broken"),
        ("lora_rank: 8\nlora_rank: 9\n", "file_name_twice"),
        ("output_dir: ${oc.env:NOT_SET_ANYWHERE}", "interpolation_variable"),
        ("- 1", "file_not_mapping"),
    ],
)
def test_a_file_that_cannot_be_read_is_wrong(
    text: str, code: str, capsys: pytest.CaptureFixture[str], somewhere: Path
) -> None:
    (somewhere / "a.yaml").write_text(text)
    found = report(["a.yaml"], capsys, 1)
    assert [each["code"] for each in found["wrong"]] == [code]


@pytest.mark.parametrize("words", [[], ["nowhere.yaml"], ["%%"], ["a.yaml", "b.yaml"]])
def test_wrong_arguments_are_not_a_report(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", *words]) == 2
    assert capsys.readouterr().err.startswith("error: ")


def test_nothing_heavy_is_loaded() -> None:
    code = (
        "import sys; from trainer.cli import main; main(['check', sys.argv[1]]);"
        "print(sorted({'torch', 'transformers', 'trl', 'peft', 'datasets', 'gradio'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(SPROUT)], cwd=REPOSITORY, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.stdout.splitlines()[-1] == "[]", done.stderr
