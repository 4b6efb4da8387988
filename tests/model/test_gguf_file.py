from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

import pytest
from gguf import GGUFReader
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.model.gguf_files import WORDS, write_gguf
from trainer.errors import UserError
from trainer.model import gguf_file


def refusal(path: Path, check: Callable[[Path], object] = gguf_file.read) -> UserError:
    with pytest.raises(UserError) as caught:
        check(path)
    assert "{" not in caught.value.text
    return caught.value


def require(path: Path) -> None:
    gguf_file.require_speaker(gguf_file.read(path))


def test_the_header_says_what_gguf_s_own_reader_says(tmp_path: Path) -> None:
    path = write_gguf(tmp_path / "m.gguf", "qwen2", tokenizer__chat_template="{{ x }}")
    header, known = gguf_file.read(path), GGUFReader(path)

    assert header.architecture == "qwen2"
    assert header.metadata["tokenizer.ggml.tokens"] == tuple(WORDS)
    assert set(header.metadata) == {name for name in known.fields if not name.startswith("GGUF.")}
    assert header.template == "{{ x }}"
    assert header.control_words == ("<|turn|>", "</s>", "<s>")
    assert (header.word("bos"), header.word("eos"), header.word("padding")) == ("<s>", "</s>", None)
    assert (header.number("context_length"), header.number("head_count", 7)) == (128, 7)
    assert [(t.name, t.shape, t.kind) for t in header.tensors] == [
        (t.name, tuple(t.shape), t.tensor_type) for t in known.tensors
    ]
    assert [header.data_at + t.offset for t in header.tensors] == [t.data_offset for t in known.tensors]
    assert header.type_name == "q8_0"


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return write_gguf(tmp_path_factory.mktemp("gguf") / "m.gguf").read_bytes()


@settings(max_examples=60, deadline=None)
@given(end=st.floats(0, 1, exclude_max=True))
def test_a_file_that_ends_too_early_is_never_taken(
    whole: bytes, tmp_path_factory: pytest.TempPathFactory, end: float
) -> None:
    path = tmp_path_factory.mktemp("cut") / "m.gguf"
    path.write_bytes(whole[: int(end * len(whole))])
    code = refusal(path).code
    assert code in ("gguf_file_cut", "gguf_file_empty", "gguf_file_other")
    assert code == "gguf_file_cut" or path.stat().st_size < 4


@settings(max_examples=150, deadline=None)
@given(place=st.floats(0, 1, exclude_max=True), value=st.integers(0, 255))
def test_a_changed_byte_ends_in_a_header_or_a_sentence(
    whole: bytes, tmp_path_factory: pytest.TempPathFactory, place: float, value: int
) -> None:
    path = tmp_path_factory.mktemp("changed") / "m.gguf"
    changed = bytearray(whole)
    changed[int(place * len(whole))] = value
    path.write_bytes(bytes(changed))
    try:
        header = gguf_file.read(path)
        gguf_file.require_speaker(header)
    except UserError as error:
        assert error.code.startswith("gguf_file_")
    else:
        assert header.tensors


def test_files_that_are_no_model_have_their_sentences(tmp_path: Path, whole: bytes) -> None:
    def file(name: str, content: bytes) -> Path:
        (tmp_path / name).write_bytes(content)
        return tmp_path / name

    assert refusal(tmp_path / "nowhere.gguf").code == "gguf_file_missing"
    assert refusal(tmp_path).code == "gguf_file_none"
    assert refusal(file("empty.gguf", b"")).code == "gguf_file_empty"
    assert refusal(file("text.gguf", b"hello, I am no model")).code == "gguf_file_other"
    for version, shown in ((1, 1), (3 << 24, 3 << 24), (9, 9)):
        error = refusal(file("version.gguf", b"GGUF" + struct.pack("<I", version) + whole[8:]))
        assert (error.code, error.values["version"]) == ("gguf_file_version", shown)
    assert (
        refusal(file("huge.gguf", whole[:8] + struct.pack("<QQ", 1 << 60, 1) + whole[24:])).code
        == "gguf_file_broken"
    )

    silent = {"clip": {}, "nomic-bert": {}, "llama": {"general__type": "adapter"}}
    for number, (architecture, more) in enumerate(silent.items()):
        error = refusal(write_gguf(tmp_path / f"silent{number}.gguf", architecture, **more), require)
        assert (error.code, error.values["kind"]) == (
            "gguf_file_silent",
            more.get("general__type", architecture),
        )
    assert refusal(write_gguf(tmp_path / "bare.gguf", words=False), require).code == "gguf_file_wordless"


def test_a_model_in_parts_needs_all_of_them_and_begins_with_the_first(tmp_path: Path) -> None:
    first, second, third = (tmp_path / f"big-{number:05d}-of-00003.gguf" for number in (1, 2, 3))
    for path in (first, second):
        write_gguf(path, split__count=3)
    error = refusal(first, require)
    assert (error.code, error.values["name"]) == ("gguf_file_parts", third.name)
    error = refusal(second, require)
    assert (error.code, error.values["first"]) == ("gguf_file_part", first.name)
    write_gguf(third, split__count=3)
    require(first)
    assert gguf_file.parts(first) == [first, second, third]
