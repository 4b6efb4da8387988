"""llama.cpp's own programs: called with a list of arguments, ended with us, and their last words told."""

from __future__ import annotations

import errno
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from gguf import GGUFReader

from tests.export.gguf import tiny
from trainer.errors import UserError
from trainer.export import gguf
from trainer.export.gguf import outside
from trainer.export.progress import ExportStopped, Progress
from trainer.model import llama
from trainer.paths import MODELS

# Stands in for the converter: it shows that it got a whole model folder, and writes the arguments down.
CONVERTER = """
import json, sys, time
from pathlib import Path
folder, out = Path(sys.argv[1]), Path(sys.argv[3])
assert sys.argv[2::2] == ["--outfile", "--outtype"], sys.argv
names = sorted(each.name for each in folder.iterdir())
assert "config.json" in names and "tokenizer.json" in names and any(each.endswith(".safetensors") for each in names)
out.write_text(json.dumps([names, sys.argv[5]]))
"""


def checkout(folder: Path, script: str) -> Path:
    """A folder that passes for one of llama.cpp; its name needs quotes in a shell."""
    place = folder / "llama cpp's 目录"
    place.mkdir()
    (place / outside.CONVERTER).write_text(script, encoding="utf-8")
    return place


def quantizer(place: Path, script: str) -> None:
    program = place / "build" / "bin" / outside.QUANTIZER
    program.parent.mkdir(parents=True)
    program.write_text(f"#!{sys.executable}\n{script}", encoding="utf-8")
    program.chmod(0o755)


def foreign(folder: Path) -> Path:
    """A family that is not written here."""
    return tiny.write_model(folder / "foreign", "olmo2", tiny.byte_level("bytes"))


def left(folder: Path) -> list[str]:
    return sorted(each.name for each in folder.iterdir())


def test_another_family_is_converted_by_a_named_checkout(tmp_path: Path) -> None:
    source = tiny.opened(foreign(tmp_path))
    with pytest.raises(UserError, match="llama_cpp_dir"):
        gguf.check(source, "f16")
    place = checkout(tmp_path, CONVERTER)
    target = tmp_path / "out"
    target.mkdir()
    gguf.check(source, "f16", str(place))
    assert [note.code for note in gguf.notes(source, "f16", str(place))] == ["gguf_converter"]
    (path,) = gguf.write(source, target / "m-f16.gguf", "f16", tiny.Quiet(), str(place))
    assert path.read_text(encoding="utf-8").endswith('"f16"]')
    assert left(target) == ["m-f16.gguf"]


def test_a_family_that_is_written_here_needs_no_checkout(tmp_path: Path) -> None:
    place = checkout(tmp_path, "raise SystemExit(3)")
    source = tiny.opened(MODELS / "sprout")
    (path,) = gguf.write(source, tmp_path / "sprout-f16.gguf", "f16", tiny.Quiet(), str(place))
    assert GGUFReader(path).tensors


def test_a_folder_without_the_converter_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        gguf.check(tiny.opened(foreign(tmp_path)), "f16", str(tmp_path))
    assert (caught.value.code, caught.value.field) == ("gguf_no_converter", "llama_cpp_dir")


def test_a_program_that_fails_on_a_full_disk_says_that(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = checkout(tmp_path, "import sys; print('iostream error'); sys.exit(1)")
    target = tmp_path / "out"
    target.mkdir()
    monkeypatch.setattr(outside.shutil, "disk_usage", lambda path: SimpleNamespace(free=1000))
    with pytest.raises(OSError) as caught:
        gguf.write(tiny.opened(foreign(tmp_path)), target / "m-f16.gguf", "f16", tiny.Quiet(), str(place))
    assert caught.value.errno == errno.ENOSPC
    assert left(target) == []


def test_a_program_that_fails_is_quoted(tmp_path: Path) -> None:
    place = checkout(tmp_path, "import sys; print('Model Foo is not supported'); sys.exit(4)")
    target = tmp_path / "out"
    target.mkdir()
    with pytest.raises(UserError) as caught:
        gguf.write(tiny.opened(foreign(tmp_path)), target / "m-f16.gguf", "f16", tiny.Quiet(), str(place))
    assert caught.value.code == "gguf_program_failed"
    assert "Model Foo is not supported" in caught.value.text
    assert "4" in caught.value.text
    assert left(target) == []


def test_a_stop_ends_the_program(tmp_path: Path) -> None:
    started = tmp_path / "started"
    place = checkout(
        tmp_path, f"import pathlib, time; pathlib.Path({str(started)!r}).touch(); time.sleep(600)"
    )
    target = tmp_path / "out"
    target.mkdir()
    progress = Progress(1, lambda event: None, started.exists)
    with pytest.raises(ExportStopped):
        gguf.write(tiny.opened(foreign(tmp_path)), target / "m-f16.gguf", "f16", progress, str(place))
    assert left(target) == []


def test_the_quantiser_of_a_checkout_comes_first(tmp_path: Path) -> None:
    place = checkout(tmp_path, "")
    quantizer(
        place,
        "import sys; open(sys.argv[2], 'w').write(sys.argv[3] + open(sys.argv[1], 'rb').read(4).decode())",
    )
    target = tmp_path / "out"
    target.mkdir()
    source = tiny.opened(MODELS / "sprout")
    (path,) = gguf.write(source, target / "sprout-q4_k_m.gguf", "q4_k_m", tiny.Quiet(), str(place))
    assert path.read_text(encoding="utf-8") == "Q4_K_MGGUF"
    assert left(target) == ["sprout-q4_k_m.gguf"]


def test_without_any_quantiser_the_k_formats_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(outside, "find_spec", lambda name: None)
    with pytest.raises(UserError) as caught:
        gguf.check(tiny.opened(MODELS / "sprout"), "q4_k_m")
    assert (caught.value.code, caught.value.field) == ("gguf_no_quantizer", "gguf_type")


@pytest.mark.parametrize("kind", ["q6_k", "q4_k_m"])
def test_llama_cpp_python_quantises_where_no_program_is_installed(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    source = tiny.opened(MODELS / "sprout")
    (path,) = gguf.write(source, tmp_path / f"sprout-{kind}.gguf", kind, tiny.Quiet())
    kinds = {each.tensor_type.name for each in GGUFReader(path).tensors}
    assert abs(gguf.size(source, kind) / path.stat().st_size - 1) < 0.05
    assert "Q6_K" in kinds
    assert kind == "q6_k" or "Q4_K" in kinds
    model = llama.open_model(path)
    said = source.tokenizer.apply_chat_template(
        [{"role": "user", "content": "Who are you?"}], add_generation_prompt=True, tokenize=False
    )
    assert model.greedy(model.tokenize(said), 8)
    assert left(tmp_path) == [path.name]
