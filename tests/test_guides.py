"""What the guides say is what the program does: their files load, their commands are read, their tables are true."""

from __future__ import annotations

import re
import shlex
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml

from trainer import compat
from trainer.config import RunConfig, read_file, require_training
from trainer.flags import read_flags
from trainer.jobs.work import run_stage
from trainer.model.fit import fit
from trainer.model.fit.said import gigabytes
from trainer.model.fit.weighing import Machine
from trainer.paths import DATA, MODELS, REPOSITORY
from trainer.values import plain

DOCUMENTS = [
    *REPOSITORY.glob("README*.md"),
    *(REPOSITORY / "docs" / "guides").glob("*.md"),
    *(REPOSITORY / "docs").glob("methods*.md"),
    *(REPOSITORY / "docs").glob("devices*.md"),
    *(REPOSITORY / "examples").glob("*.yaml"),
]
METHODS = sorted((REPOSITORY / "docs").glob("methods*.md"))
# What stands for a file of the person's own.
OWN = ("my.yaml", "FILE.yaml")
COMMANDS = tuple(f"python -m trainer {name} " for name in ("train", "chat", "check", "fit", "export"))
YAML_GUIDES = sorted((REPOSITORY / "docs" / "guides").glob("yaml*.md"))


def blocks(path: Path, language: str) -> list[str]:
    return re.findall(
        rf"^```{language}\n(.*?)^```", path.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE
    )


def commands() -> list[str]:
    """Every line of a document that starts a run or asks about one, with what stands for a person's own file left out."""
    found = set()
    for path in DOCUMENTS:
        for line in path.read_text(encoding="utf-8").splitlines():
            # Variables of the environment may stand before a command, and words of ours behind it.
            line = re.sub(r"^(?:[A-Z_]+=\S+ )+", "", line.strip("# "))
            if line.startswith(COMMANDS):
                found.add(re.split(r" > | {2,}# ", line)[0].strip())
    return sorted(each for each in found if not any(own in each for own in OWN))


def tables(path: Path) -> list[list[str]]:
    """The first cell of each row that holds code, table by table."""
    found: list[list[str]] = []
    lines = path.read_text(encoding="utf-8").splitlines()
    for before, line in pairwise(lines):
        if line.startswith("|---"):
            found.append([])
        elif line.startswith("| `") and before.startswith("|"):
            found[-1].append(line.split("`")[1])
    return found


@pytest.mark.parametrize("line", commands())
def test_a_command_is_read(line: str) -> None:
    words = [word for word in shlex.split(line.replace("$'", "'"))[4:] if word not in ("--compare", "--json")]
    trains = line.startswith(("python -m trainer train", "python -m trainer check", "python -m trainer fit"))
    for name in ("--prompt", "--image", "--video"):
        while name in words:
            given = words.index(name)
            if name != "--prompt":
                assert (REPOSITORY / words[given + 1]).is_file()
            del words[given : given + 2]
    config = RunConfig.from_flat(
        read_flags([str(REPOSITORY / w) if w.endswith(".yaml") else w for w in words])
    )
    if trains:
        require_training(config)
    assert config.model.model_name_or_path


@pytest.mark.parametrize("path", YAML_GUIDES, ids=lambda path: path.name)
def test_the_whole_file_works(path: Path) -> None:
    (text,) = blocks(path, "yaml")
    assert blocks(YAML_GUIDES[0], "yaml") == [text], "the same in every language"
    require_training(RunConfig.from_flat(yaml.safe_load(text)))


@pytest.mark.parametrize("path", YAML_GUIDES, ids=lambda path: path.name)
def test_the_tables_are_true(path: Path) -> None:
    renamed, harmless, refused = tables(path)
    text = path.read_text(encoding="utf-8")
    assert renamed and harmless and refused
    for written in renamed:
        name, _, value = written.partition(": ")
        ((own, said),) = (compat.translate(name, plain(value)) or {}).items()
        own_value = {True: "true", 0.0: "0"}.get(said, said)
        assert f"| `{written}` | `{own}: {own_value}` |" in text
    assert set(harmless) <= compat.HARMLESS
    assert set(refused) <= set(compat.REFUSED)


@pytest.mark.parametrize("path", METHODS, ids=lambda path: path.name)
def test_the_memory_of_methods_is_what_is_reckoned(path: Path) -> None:
    rows = re.findall(
        r"^\| `([^`]+)` \| ([\d.]+) \| ([\d.]+) \| ([\d.]+) \|$", path.read_text("utf-8"), re.MULTILINE
    )
    assert len(rows) >= 10
    machine = Machine("GPU", (1 << 50,), (1 << 50,), 1 << 50, accelerated=True)
    for settings, *told in rows:
        given = dict(each.split(": ") for each in settings.split(", "))
        common = {"model_name_or_path": "Qwen2.5-7B-Instruct", "dataset": "x", "compute_type": "bf16"}
        found = fit(RunConfig.from_flat({**common, **given}), machine)
        assert found is not None
        parts = found.need.parts()
        assert told == [gigabytes(parts[name]) for name in ("weights", "gradients", "optimizer")], settings


def test_the_examples_that_are_named_are_there() -> None:
    for path in (*METHODS, *(REPOSITORY / "docs").glob("devices*.md")):
        text = path.read_text(encoding="utf-8")
        for name in re.findall(r"`(sprout_\w+\.yaml)`", text):
            assert (REPOSITORY / "examples" / name).is_file(), name
        for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text):
            assert (path.parent / link).exists(), link
        for language in ("python", "sh"):
            assert len(blocks(path, language)) == len(
                blocks(METHODS[0].with_name(path.name.replace(".zh", "")), language)
            )


@pytest.mark.slow
def test_results_are_loaded_as_the_document_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By PEFT and transformers alone: an adapter, one with new words, a whole model."""
    for name in ("sprout_lora_identity", "sprout_new_tokens", "sprout_full_identity"):
        given = read_file(REPOSITORY / "examples" / f"{name}.yaml")
        output = str(tmp_path / str(given["output_dir"]))
        config = RunConfig.from_flat(
            {**given, "output_dir": output, "max_steps": 1, "dataset_dir": str(DATA)}
        )
        run_stage(config, lambda _: None, lambda: False)
    (tmp_path / "models").symlink_to(MODELS)
    monkeypatch.chdir(tmp_path)
    first, *others = [blocks(path, "python") for path in METHODS]
    assert len(first) == 3 and all(each == first for each in others)
    for text in first:
        made: dict[str, Any] = {}
        exec(text, made)
        ids = made["tokenizer"]("Who are you?", return_tensors="pt")["input_ids"]
        assert made["model"](input_ids=ids).logits.isfinite().all()
