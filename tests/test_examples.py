"""Every example is a run: its file can be read, nothing in it is without effect, and its header says how to start it."""

from __future__ import annotations

from pathlib import Path

import pytest

from trainer.config import RunConfig, read_file
from trainer.jobs.place import require_usable
from trainer.model.catalog import find, proposals
from trainer.options import options
from trainer.paths import REPOSITORY

FILES = sorted((REPOSITORY / "examples").glob("*.yaml"))


def header(path: Path) -> str:
    lines = path.read_text(encoding="utf-8").splitlines()
    return "\n".join(lines[: next(number for number, line in enumerate(lines) if not line.startswith("#"))])


def test_there_are_examples() -> None:
    assert len(FILES) >= 6


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_an_example_can_be_started(path: Path) -> None:
    config = RunConfig.from_flat(read_file(path))
    require_usable(config, REPOSITORY)
    command = "export" if config.task == "export" else "train"
    assert f"python -m trainer {command} examples/{path.name}" in header(path)
    assert find(config.model.model_name_or_path), "a model of the catalogue"
    assert not [note for note in config.notes if note.code == "note_harmless"]
    # An example can be started twice, and its run lies where the page looks for runs.
    assert config.train.overwrite_output_dir
    if config.task == "train":
        assert config.train.output_dir.startswith(f"saves/{Path(config.model.model_name_or_path).name}/")


@pytest.mark.parametrize("method", ["lora", "full"])
def test_the_first_example_has_the_values_that_the_page_proposes(method: str) -> None:
    config = RunConfig.from_flat(read_file(REPOSITORY / "examples" / f"sprout_{method}_identity.yaml"))
    proposed = proposals("Sprout", method)
    given = {name: getattr(getattr(config, options()[name].section), name) for name in proposed}
    assert given == proposed
