from __future__ import annotations

import json
from pathlib import Path

import pytest

from trainer.chat.exports import base_of, named, with_base
from trainer.config import RunConfig
from trainer.errors import UserError
from trainer.model import exported
from trainer.model.exported import default_system, gguf_of, is_export, things_in


def touch(*paths: Path, text: str = "{}") -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def code_of(path: Path | str, ask: object = gguf_of) -> str:
    with pytest.raises(UserError) as caught:
        ask(path)  # type: ignore[operator]
    return caught.value.code


def test_what_lies_in_a_folder_is_told_by_its_files(tmp_path: Path) -> None:
    touch(tmp_path / "adapter/adapter_config.json", tmp_path / "merged/config.json")
    touch(tmp_path / "quantized/config.json", text=json.dumps({"quantization_config": {"bits": 4}}))
    touch(tmp_path / "gguf/m-f16.gguf", tmp_path / "gguf/m-q8_0.gguf", tmp_path / "gguf/mmproj-m.gguf")
    touch(tmp_path / "ollama/m.gguf")
    touch(tmp_path / "ollama/Modelfile", text="FROM ./m.gguf\n")
    touch(tmp_path / ".half.part-1/config.json", tmp_path / "notes.txt")

    found = [(kind, str(path.relative_to(tmp_path))) for kind, path in things_in(tmp_path)]
    assert found == [
        ("adapter", "adapter"), ("gguf", "gguf/m-f16.gguf"), ("gguf", "gguf/m-q8_0.gguf"), ("merged", "merged"),
        ("ollama", "ollama"), ("quantized", "quantized"),
    ]  # fmt: skip
    assert code_of(str(tmp_path), named) == "chat_several_formats"
    assert named(f'  "{tmp_path / "ollama"}" ') == tmp_path / "ollama"
    assert named(str(tmp_path / "merged" / "config.json")) == tmp_path / "merged"
    assert code_of(" ", named) == "chat_no_path"
    assert code_of(str(tmp_path / "nowhere"), named) == "chat_path_missing"
    only = tmp_path / "only"
    touch(only / "一 'small' model.gguf")
    assert named(str(only)) == only / "一 'small' model.gguf"


def test_a_model_of_few_bits_names_the_package_that_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exported, "find_spec", lambda name: None)
    for method, fails in (("bitsandbytes", True), ("torchao", True), ("fp8", False)):
        touch(tmp_path / "config.json", text=json.dumps({"quantization_config": {"quant_method": method}}))
        if fails:
            assert code_of(tmp_path, exported.require_package) == "chat_needs_package"
        else:
            exported.require_package(tmp_path)
    touch(tmp_path / "config.json", text=json.dumps({"quantization_config": None}))
    exported.require_package(tmp_path)


def test_the_gguf_file_that_is_meant(tmp_path: Path) -> None:
    touch(
        tmp_path / "one/m.gguf",
        tmp_path / "two/a.gguf",
        tmp_path / "two/b.gguf",
        tmp_path / "model/config.json",
    )
    touch(tmp_path / "model/m.gguf")
    assert gguf_of(tmp_path / "one") == gguf_of(tmp_path / "one/m.gguf") == tmp_path / "one/m.gguf"
    assert code_of(tmp_path / "two") == "gguf_file_several"
    assert gguf_of(tmp_path / "model") is None
    assert gguf_of(tmp_path / "nowhere") is None
    split = [tmp_path / "split" / f"m-{number:05d}-of-00002.gguf" for number in (1, 2)]
    touch(*split)
    assert gguf_of(tmp_path / "split") == split[0]


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "modelfile_broken"),
        ("TEMPLATE x\n# FROM ./m.gguf", "modelfile_broken"),
        ("FROM ./gone.gguf", "modelfile_gone"),
        ("FROM llama3.2:1b", "modelfile_name"),
    ],
)
def test_a_modelfile_without_a_file_of_its_own(tmp_path: Path, text: str, code: str) -> None:
    touch(tmp_path / "Modelfile", text=text)
    assert code_of(tmp_path) == code


@pytest.mark.parametrize("name", ["m.gguf", "./m.gguf", '"./a b 一.gguf"', "./a b 一.gguf", "./sub"])
def test_a_modelfile_s_file_is_looked_for_beside_it(tmp_path: Path, name: str) -> None:
    touch(tmp_path / "m.gguf", tmp_path / "a b 一.gguf", tmp_path / "sub/x.gguf")
    touch(
        tmp_path / "Modelfile", text=f'# mine\nfrom {name}\nSYSTEM """You are\nkind."""\nPARAMETER stop "x"\n'
    )
    file = gguf_of(tmp_path)
    assert file is not None
    assert file.is_file()
    assert gguf_of(tmp_path / "Modelfile") == file
    assert default_system(tmp_path) == "You are\nkind."
    assert default_system(tmp_path / "m.gguf") == ""


def test_the_base_is_what_the_receipt_or_the_adapter_says(tmp_path: Path) -> None:
    base = tmp_path / "base"
    touch(base / "config.json", tmp_path / "export/gguf/m.gguf", tmp_path / "foreign/m.gguf")
    touch(tmp_path / "export/receipt.json", text=json.dumps({"base": str(base)}))
    assert base_of(tmp_path / "export/gguf/m.gguf") == base_of(tmp_path / "export/gguf") == str(base)
    assert is_export(tmp_path / "export/gguf")
    assert is_export(tmp_path / "export/gguf/m.gguf")
    assert base_of(tmp_path / "foreign/m.gguf") == ""
    assert not is_export(tmp_path / "foreign")
    for recorded, expected in (
        (str(base), str(base)),
        ("Qwen/Qwen2.5-7B", "Qwen/Qwen2.5-7B"),
        ("/gone/away", ""),
    ):
        adapter = {"base_model_name_or_path": recorded}
        touch(tmp_path / "adapter/adapter_config.json", text=json.dumps(adapter))
        assert base_of(tmp_path / "adapter") == expected
    touch(tmp_path / "export/receipt.json", text="[broken")
    assert base_of(tmp_path / "export/gguf") == ""


def test_a_chat_finds_the_base_of_what_is_named_alone(tmp_path: Path) -> None:
    touch(tmp_path / "base/config.json", tmp_path / "export/gguf/m.gguf", tmp_path / "foreign.gguf")
    touch(tmp_path / "export/receipt.json", text=json.dumps({"base": str(tmp_path / "base")}))
    touch(tmp_path / "adapter/adapter_config.json")

    def model_of(*adapters: Path, **more: str) -> str:
        flat = {"adapter_name_or_path": [str(each) for each in adapters], **more}
        return with_base(RunConfig.from_flat(flat)).model.model_name_or_path

    assert model_of(tmp_path / "export/gguf/m.gguf") == str(tmp_path / "base")
    assert model_of(tmp_path / "foreign.gguf") == str(tmp_path / "foreign.gguf")
    assert model_of(tmp_path / "foreign.gguf", model_name_or_path="Sprout") == "Sprout"
    for adapters in ((), (tmp_path / "adapter",)):
        with pytest.raises(UserError) as caught:
            model_of(*adapters)
        assert caught.value.code == "no_model"
