from __future__ import annotations

import errno
import json
import re
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from trainer.config import RunConfig
from trainer.errors import UserError
from trainer.model import catalog
from trainer.paths import MODELS


def write_weights(file: Path, numbers: int = 4) -> None:
    """A safetensors file with one tensor, written by hand: https://github.com/huggingface/safetensors#format"""
    header = json.dumps(
        {"w": {"dtype": "F32", "shape": [numbers], "data_offsets": [0, 4 * numbers]}}
    ).encode()
    file.write_bytes(len(header).to_bytes(8, "little") + header + bytes(4 * numbers))


def write_folder(folder: Path, shards: int = 1) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text('{"model_type": "qwen2"}')
    names = (
        [f"model-{number}.safetensors" for number in range(shards)] if shards > 1 else ["model.safetensors"]
    )
    for name in names:
        write_weights(folder / name)
    if shards > 1:
        index = {"weight_map": {f"layer.{number}": name for number, name in enumerate(names)}}
        (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    return folder


def code_of(act: Callable[[], Any]) -> str:
    with pytest.raises(UserError) as caught:
        act()
    assert caught.value.hint
    return caught.value.code


def test_the_catalogue_is_wide_and_well_formed() -> None:
    entries = catalog.entries()
    assert [entry.name for entry in entries if entry.folder] == ["Sprout", "Sprout-VL"]
    assert entries[0].name == "Sprout"
    assert len(entries) >= 50
    assert len({entry.name for entry in entries}) == len(entries)
    for entry in entries[2:]:
        assert re.fullmatch(r"[\w.-]+/[\w.-]+", entry.huggingface)
        assert re.fullmatch(r"[\w.-]+/[\w.-]+", entry.modelscope)
        assert entry.hub_id("modelscope") == entry.modelscope
        assert catalog.find(entry.name) == entry
    assert {entry.kind for entry in entries} == {"chat", "base", "vision"}
    wanted = {
        "Qwen2",
        "Qwen2.5",
        "Qwen3",
        "Qwen2-VL",
        "Llama 3",
        "Gemma 2",
        "Gemma 3",
        "Mistral",
        "Phi",
        "GLM-4",
    }
    assert wanted <= {entry.family for entry in entries}
    assert catalog.find("Qwen2.5-0.5B-Instruct").template == "qwen"  # type: ignore[union-attr]
    assert catalog.find(str(MODELS / "sprout")) == entries[0]
    assert catalog.find("") is None


def test_proposals_and_presets_are_settings_that_can_be_used() -> None:
    for name in ("Sprout", "Qwen2.5-7B-Instruct", "/some/folder"):
        for method in ("lora", "full"):
            found = catalog.presets(name, method)
            assert set(found) == {"quick", "balanced", "thorough"}
            assert len({tuple(sorted(values)) for values in found.values()}) == 1
            for values in found.values():
                flat = {
                    "finetuning_type": method,
                    "val_size": 0.1,
                    **catalog.proposals(name, method),
                    **values,
                }
                config = RunConfig.from_flat({key: value for key, value in flat.items() if value is not None})
                assert all(
                    value is None or config.to_flat().get(key, value) == value
                    for key, value in values.items()
                )
            assert found["quick"]["num_train_epochs"] < found["balanced"]["num_train_epochs"]
            assert found["thorough"]["num_train_epochs"] > found["balanced"]["num_train_epochs"]
            assert ("lora_rank" in found["balanced"]) == (method == "lora")
    assert catalog.proposals("Sprout", "lora").items() >= {
        key: value for key, value in catalog.presets("Sprout", "lora")["balanced"].items() if key in ("lora_rank", "learning_rate")
    }.items()  # fmt: skip
    assert catalog.proposals("Qwen2.5-7B-Instruct", "lora") == {}


def test_a_folder_is_itself_when_it_is_a_whole_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one, many = write_folder(tmp_path / "one"), write_folder(tmp_path / "many", shards=3)
    assert catalog.resolve(str(one), "huggingface") == one
    assert catalog.resolve(f"  {many}/ ", "modelscope") == many
    assert [file.name for file in catalog.weight_files(many)] == [
        f"model-{number}.safetensors" for number in range(3)
    ]
    # A download of a model of the catalogue that lies where the program was started.
    monkeypatch.chdir(tmp_path)
    write_folder(tmp_path / "Qwen2.5-0.5B-Instruct")
    assert catalog.resolve("Qwen2.5-0.5B-Instruct", "huggingface") == Path("Qwen2.5-0.5B-Instruct")


def test_the_built_in_model_is_found_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalog, "MODELS", tmp_path)
    assert code_of(lambda: catalog.resolve("Sprout", "huggingface")) == "model_without_config"
    write_folder(tmp_path / "sprout")
    for hub in ("huggingface", "modelscope"):
        assert catalog.resolve("Sprout", hub) == tmp_path / "sprout"


def test_what_is_no_model_has_its_sentence(tmp_path: Path) -> None:
    def resolve(path: Path | str) -> Callable[[], Path]:
        return lambda: catalog.resolve(str(path), "huggingface")

    assert code_of(resolve("  ")) == "no_model"
    assert code_of(resolve("qwen2.5-0.5b-instruc")) == "model_unknown"
    assert code_of(resolve(tmp_path / "nowhere")) == "model_folder_missing"
    assert code_of(resolve("../some/where/else")) == "model_folder_missing"
    assert code_of(resolve(tmp_path)) == "model_without_config"
    (tmp_path / "adapter_config.json").write_text("{}")
    assert code_of(resolve(tmp_path)) == "model_is_adapter"
    for broken in ("{", "[]", ""):
        (tmp_path / "config.json").write_text(broken)
        assert code_of(resolve(tmp_path)) == "model_config_broken"

    half = write_folder(tmp_path / "half", shards=2)
    (half / "model-1.safetensors").write_bytes((half / "model-1.safetensors").read_bytes()[:-1])
    assert code_of(resolve(half)) == "model_half"
    (half / "model-1.safetensors").unlink()
    assert code_of(resolve(half)) == "model_half"
    (half / "model.safetensors.index.json").write_text("{}")
    assert code_of(resolve(half)) == "model_config_broken"

    empty = write_folder(tmp_path / "empty")
    (empty / "model.safetensors").unlink()
    assert code_of(lambda: catalog.weight_files(empty)) == "model_without_weights"
    (empty / "pytorch_model.bin").write_bytes(b"x")
    assert code_of(lambda: catalog.weight_files(empty)) == "model_only_pickle"


class Hub:
    """Stands in for a hub's library: a cache on this machine, and a network that gives or refuses."""

    def __init__(self, cached: Path | None = None, remote: Path | Exception | None = None) -> None:
        self.cached = cached
        self.remote = remote
        self.calls: list[tuple[str, bool]] = []

    def snapshot_download(self, name: str, *, local_files_only: bool, **patterns: Any) -> str:
        assert "*.safetensors" in patterns["allow_patterns"]
        assert not any(pattern.endswith(("bin", "pt", "pth")) for pattern in patterns["allow_patterns"])
        self.calls.append((name, local_files_only))
        found = self.cached if local_files_only else self.remote
        if isinstance(found, Exception):
            raise found
        if found is None:
            raise _error("LocalEntryNotFoundError", "nothing is cached")
        return str(found)


def _error(name: str, text: str) -> Exception:
    error: Exception = type(name, (Exception,), {})(text)
    return error


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Hub]:
    def install(module: str = "huggingface_hub", **given: Any) -> Hub:
        hub = Hub(**given)
        fake = types.ModuleType(module)
        fake.snapshot_download = hub.snapshot_download  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, module, fake)
        return hub

    return install


NAME = "Llama-3-8B-Instruct"
HF, MS = "meta-llama/Meta-Llama-3-8B-Instruct", "LLM-Research/Meta-Llama-3-8B-Instruct"


def test_a_model_that_is_here_is_not_asked_for_again(install: Callable[..., Hub], tmp_path: Path) -> None:
    hub = install(cached=write_folder(tmp_path / "cached"))
    assert catalog.resolve(NAME, "huggingface") == tmp_path / "cached"
    assert hub.calls == [(HF, True)]
    other = install("modelscope", cached=tmp_path / "cached")
    assert catalog.resolve(NAME, "modelscope") == tmp_path / "cached"
    assert other.calls == [(MS, True)]
    assert catalog.resolve("someone/model-of_theirs.v2", "huggingface") == tmp_path / "cached"


def test_half_a_download_is_completed_or_refused(install: Callable[..., Hub], tmp_path: Path) -> None:
    half = write_folder(tmp_path / "half", shards=2)
    (half / "model-0.safetensors").unlink()
    hub = install(cached=half, remote=write_folder(tmp_path / "whole"))
    assert catalog.resolve(NAME, "huggingface") == tmp_path / "whole"
    assert hub.calls == [(HF, True), (HF, False)]
    install(cached=half, remote=half)
    assert code_of(lambda: catalog.resolve(NAME, "huggingface")) == "model_half"
    install(cached=half)
    assert code_of(lambda: catalog.resolve(NAME, "huggingface")) == "model_no_network"
    assert code_of(lambda: catalog.resolve_here(NAME, "huggingface")) == "model_not_here"


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (_error("GatedRepoError", "403 Client Error"), "model_gated"),
        (_error("RepositoryNotFoundError", "401 Client Error. Repository Not Found"), "model_not_found"),
        (_error("OfflineModeIsEnabled", "outgoing traffic is disabled"), "model_no_network"),
        (ConnectionError("Connection refused"), "model_no_network"),
        (OSError(errno.ENOSPC, "No space left on device"), "model_disk_full"),
        (ValueError("something\nelse"), "model_not_fetched"),
    ],
)
def test_why_a_model_cannot_be_fetched(error: Exception, code: str, install: Callable[..., Hub]) -> None:
    install(remote=error)
    assert code_of(lambda: catalog.resolve(NAME, "huggingface")) == code


def test_modelscope_is_not_needed_until_it_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "modelscope", None)
    assert code_of(lambda: catalog.resolve(NAME, "modelscope")) == "hub_missing"


def test_the_real_library_says_that_there_is_no_network(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    assert code_of(lambda: catalog.resolve("someone/not-here", "huggingface")) == "model_no_network"


def test_settings_of_pictures_are_for_models_that_see(tmp_path: Path) -> None:
    entries = catalog.entries()
    seen = {entry.name for entry in entries if catalog.sees(entry.name, "huggingface")}
    assert seen == {entry.name for entry in entries if entry.kind == "vision"} and seen
    blind, seeing = write_folder(tmp_path / "blind"), write_folder(tmp_path / "seeing")
    (seeing / "config.json").write_text('{"model_type": "qwen2_vl", "vision_config": {"depth": 1}}')
    assert not catalog.sees(str(blind), "huggingface") and catalog.sees(str(seeing), "huggingface")
    # Nobody knows yet.
    assert catalog.sees(str(tmp_path / "nowhere"), "huggingface") and catalog.sees("", "huggingface")
