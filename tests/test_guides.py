"""What the guides say is what the program does: their files load, their commands are read, their tables are true."""

from __future__ import annotations

import re
import shlex
from itertools import pairwise
from pathlib import Path

import pytest
import yaml

from trainer import compat
from trainer.config import RunConfig, require_training
from trainer.flags import read_flags
from trainer.paths import REPOSITORY
from trainer.values import plain

DOCUMENTS = [
    *REPOSITORY.glob("README*.md"),
    *(REPOSITORY / "docs" / "guides").glob("*.md"),
    *(REPOSITORY / "examples").glob("*.yaml"),
]
YAML_GUIDES = sorted((REPOSITORY / "docs" / "guides").glob("yaml*.md"))


def blocks(path: Path, language: str) -> list[str]:
    return re.findall(
        rf"^```{language}\n(.*?)^```", path.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE
    )


def commands() -> list[str]:
    """Every line of a document that starts a run or a chat, with what stands for a person's own file left out."""
    found = set()
    for path in DOCUMENTS:
        for line in path.read_text(encoding="utf-8").splitlines():
            line = line.strip("# ")
            if line.startswith(("python -m trainer train ", "python -m trainer chat ")):
                found.add(line.split(" > ")[0])
    return sorted(each for each in found if "my.yaml" not in each)


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
    asks = line.startswith("python -m trainer chat")
    for name in ("--prompt", "--image", "--video"):
        while name in words:
            given = words.index(name)
            if name != "--prompt":
                assert (REPOSITORY / words[given + 1]).is_file()
            del words[given : given + 2]
    config = RunConfig.from_flat(
        read_flags([str(REPOSITORY / w) if w.endswith(".yaml") else w for w in words])
    )
    if not asks:
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
