"""A receipt tells the truth: what answers alike is ready, and what was spoiled is found, whatever was spoiled."""

from __future__ import annotations

import hashlib
import json
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from tests.export.gguf import tiny as gguf_tiny
from tests.export.tiny import Told, settings, write_adapter, write_base
from trainer.config import RunConfig
from trainer.events import Event, Note
from trainer.export import adapter, gguf, merged, ollama, receipt, serve
from trainer.export.agreement import Heard, Reference
from trainer.export.made import Made
from trainer.export.progress import ExportStopped, Quiet
from trainer.export.prompts import LEAST, prompts_of
from trainer.export.replay import Replay
from trainer.export.source import Source, open_source
from trainer.export.verdict import judge
from trainer.model import llama
from trainer.paths import DATA, MODELS

Spoil = Callable[[Path], None]


def made_of(folder: Path, format: str, kind: str = "", inner: str = "") -> Made:
    files = sorted(
        each.relative_to(folder).as_posix() for each in (folder / inner).rglob("*") if each.is_file()
    )
    return Made(format, kind, inner, tuple(files))


def receipt_of(
    source: Source, folder: Path, *made: Made, events: list[Event] | None = None
) -> dict[str, Any]:
    config = source.run_config
    told = [] if events is None else events
    found = receipt.make(config, source, made, folder, Path("/there/the export"), told.append, lambda: False)
    text = json.dumps(found, allow_nan=False)
    back: dict[str, Any] = json.loads(text)
    return back


def state_of(found: dict[str, Any], key: str) -> tuple[str, str]:
    (entry,) = [each for each in found["formats"] if each["key"] == key]
    reason = entry["replay"]["reason"]
    assert entry["ready"] == (entry["replay"]["state"] in ("same", "close"))
    return entry["replay"]["state"], reason["code"] if reason else ""


@pytest.fixture
def tuned(tmp_path: Path) -> Source:
    base = write_base(tmp_path / "base")
    return open_source(settings(base, write_adapter(tmp_path / "adapter", base)))


def write_merged(source: Source, folder: Path) -> Made:
    (folder / "merged").mkdir(parents=True)
    merged.write(source, folder / "merged", 1, Quiet())
    return made_of(folder, "merged", "", "merged")


def test_merged_and_adapter_answer_as_the_model_inside(tmp_path: Path) -> None:
    base = write_base(tmp_path / "base")
    tuned = write_adapter(tmp_path / "adapter", base)
    told = Told(tmp_path / "run")
    told.export(base, tuned, export_format=["merged", "adapter"], export_prompts=["My own?"])
    found = json.loads((tmp_path / "run" / "files" / "receipt.json").read_text())
    assert found == json.loads((tmp_path / "run" / "receipt.json").read_text())
    assert found["ready"] and [note.code for note in told.of(Note)].count("receipt_ready") == 1
    for entry in found["formats"]:
        replay = entry["replay"]
        assert (
            replay["state"] == "same" and replay["logits"]["difference"] <= replay["logits"]["limit"] == 1e-4
        )
        assert replay["tokens"]["same"] == replay["tokens"]["of"] >= 30 * LEAST
        assert replay["template"] == {"same": len(found["prompts"]), "of": len(found["prompts"])}
        for file in entry["files"]:
            data = (tmp_path / "run" / "files" / file["name"]).read_bytes()
            assert (len(data), hashlib.sha256(data).hexdigest()) == (file["bytes"], file["sha256"])
    talks = [each for each in found["prompts"] if each["system"] and len(each["messages"]) == 3]
    assert len(found["prompts"]) >= LEAST and len(talks) == 2
    assert [each["origin"] for each in found["prompts"]].count("own") == 1
    assert found["stop_tokens"] and found["template"]["text"] and found["versions"]["transformers"]
    asked_by_hand(base, tuned, found)


def asked_by_hand(base: Path, tuned: Path, found: dict[str, Any]) -> None:
    """The answers of the receipt are those that PEFT and transformers give, without any code of ours."""
    model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base), str(tuned)).eval()
    tokenizer = AutoTokenizer.from_pretrained(base)
    for each in found["prompts"][:2]:
        given = [{"role": "system", "content": each["system"]}] if each["system"] else []
        ids = tokenizer.apply_chat_template(
            [*given, *each["messages"]], add_generation_prompt=True, return_tensors="pt", return_dict=True
        )
        ids.pop("token_type_ids", None)
        said = model.generate(**ids, max_new_tokens=32, do_sample=False)[0, ids["input_ids"].shape[1] :]
        assert tokenizer.decode(said, skip_special_tokens=True) == each["inside"]["text"]


def test_a_model_that_sees_is_shown_the_pictures_of_its_rows(tmp_path: Path) -> None:
    source = open_source(
        settings(
            MODELS / "sprout-vl",
            dataset="guide_demo",
            dataset_dir=str(DATA),
            val_size=0.1,
            infer_dtype="float32",
        )
    )
    made = write_merged(source, tmp_path / "out")
    found = receipt_of(source, tmp_path / "out", made)
    assert state_of(found, "merged") == ("same", "")
    shown = [each for each in found["prompts"] if any(said["media"] for said in each["messages"])]
    assert len(shown) >= 6 and all(each["inside"]["text"] for each in shown)


def spoil_weight(folder: Path) -> None:
    weights = load_file(folder / "merged" / "model.safetensors")
    weights["model.layers.1.mlp.down_proj.weight"] *= 1.5
    save_file(weights, folder / "merged" / "model.safetensors", {"format": "pt"})


def spoil_number(folder: Path) -> None:
    weights = load_file(folder / "merged" / "model.safetensors")
    weights["model.norm.weight"][3] = torch.nan
    save_file(weights, folder / "merged" / "model.safetensors", {"format": "pt"})


def spoil_template(folder: Path) -> None:
    file = folder / "merged" / "chat_template.jinja"
    file.write_text(file.read_text().replace("assistant\n", "assistant: "))


def spoil_file(folder: Path) -> None:
    file = folder / "merged" / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-100])


@pytest.mark.parametrize(
    ("spoil", "state", "code"),
    [
        (spoil_weight, "differs", "receipt_tokens_differ"),
        (spoil_number, "differs", "receipt_not_finite"),
        (spoil_template, "differs", "receipt_template_differs"),
        (spoil_file, "not_replayed", "model_half"),
    ],
    ids=["weight", "number", "template", "file"],
)
def test_a_spoiled_model_is_found(tuned: Source, tmp_path: Path, spoil: Spoil, state: str, code: str) -> None:
    made = write_merged(tuned, tmp_path / "out")
    spoil(tmp_path / "out")
    events: list[Event] = []
    found = receipt_of(tuned, tmp_path / "out", made, events=events)
    assert state_of(found, "merged") == (state, code) and not found["ready"]
    last = events[-1]
    assert isinstance(last, Note) and last.code == "receipt_not_ready" and last.level == "warning"


def test_an_adapter_that_was_changed_on_the_way_is_found(tuned: Source, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    adapter.write(tuned, tmp_path / "out", Quiet())
    config = json.loads((tmp_path / "out" / "adapter_config.json").read_text())
    (tmp_path / "out" / "adapter_config.json").write_text(json.dumps({**config, "lora_alpha": 60}))
    found = receipt_of(tuned, tmp_path / "out", made_of(tmp_path / "out", "adapter"))
    assert state_of(found, "adapter") == ("differs", "receipt_tokens_differ")


def test_sixteen_bits_are_compared_with_the_model_rounded_to_sixteen_bits(tmp_path: Path) -> None:
    base = write_base(tmp_path / "base", dtype=torch.bfloat16)
    source = open_source(settings(base, write_adapter(tmp_path / "adapter", base)))
    found = receipt_of(source, tmp_path / "out", write_merged(source, tmp_path / "out"))
    (entry,) = found["formats"]
    assert entry["type"] == "bfloat16" and entry["ready"]
    assert entry["replay"]["logits"]["difference"] <= entry["replay"]["logits"]["limit"]


@pytest.fixture(scope="module")
def speaking(tmp_path_factory: pytest.TempPathFactory) -> Source:
    folder = tmp_path_factory.mktemp("speaking")
    qwen = gguf_tiny.byte_level(
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
        nfc=True,
    )
    return gguf_tiny.opened(gguf_tiny.write_model(folder / "base", "qwen2", qwen), default_system="Be brief.")


def write_gguf(source: Source, folder: Path, kind: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (path,) = gguf.write(source, folder / f"tiny-{kind}.gguf", kind, Quiet())
    return path


def test_llama_cpp_says_the_same_tokens_and_few_bits_nearly(speaking: Source, tmp_path: Path) -> None:
    made = []
    for kind in ("f32", "f16", "q8_0"):
        path = write_gguf(speaking, tmp_path / "gguf", kind)
        made.append(Made("gguf", kind, "gguf", (f"gguf/{path.name}",)))
    path = write_gguf(speaking, tmp_path / "ollama", "f16")
    files = [path, *ollama.write(speaking, tmp_path / "ollama", path, "小 tiny")]
    made.append(
        Made("ollama", "f16", "ollama", tuple(each.relative_to(tmp_path).as_posix() for each in files))
    )
    found = receipt_of(speaking, tmp_path, *made)
    assert found["ready"], [each["replay"] for each in found["formats"]]
    keys = [each["key"] for each in found["formats"]]
    assert keys == ["gguf", "gguf:f16", "gguf:q8_0", "ollama"]
    for key in ("gguf", "gguf:f16", "ollama"):
        (entry,) = [each for each in found["formats"] if each["key"] == key]
        assert entry["replay"]["state"] == "same"
        # A tie between two tokens of a model of random numbers may fall either way on another processor.
        assert entry["replay"]["tokens"]["agreement"] > 0.9 and entry["replay"]["tokens"]["of"] >= 30 * LEAST
    assert found["system"] == "Be brief." and found["template"]["ollama"]
    commands = {each["runtime"]: each["text"] for each in found["formats"][-1]["commands"]}
    assert commands["ollama_create"].startswith("cd '/there/the export/ollama' && ollama create ")


def test_a_modelfile_that_says_another_text_is_found(speaking: Source, tmp_path: Path) -> None:
    path = write_gguf(speaking, tmp_path, "f16")
    ollama.write(speaking, tmp_path, path, "tiny")
    file = tmp_path / "Modelfile"
    file.write_text(file.read_text().replace("<|im_end|>\n{{ end }}", "{{ end }}", 1))
    found = receipt_of(speaking, tmp_path, made_of(tmp_path, "ollama", "f16"))
    assert state_of(found, "ollama") == ("differs", "receipt_template_differs")


def test_without_llama_cpp_it_says_how(
    speaking: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_gguf(speaking, tmp_path, "f16")
    monkeypatch.setattr(llama, "installed", lambda: False)
    found = receipt_of(speaking, tmp_path, made_of(tmp_path, "gguf", "f16"))
    assert state_of(found, "gguf") == ("not_replayed", "receipt_no_llama") and not found["ready"]
    reason = found["formats"][0]["replay"]["reason"]
    assert "not replayed in llama.cpp" in reason["text"].lower() and "pip install" in reason["hint"]
    assert found["formats"][0]["files"][0]["sha256"]


def test_a_broken_gguf_is_a_sentence(speaking: Source, tmp_path: Path) -> None:
    path = write_gguf(speaking, tmp_path, "f16")
    path.write_bytes(path.read_bytes()[:-4096])
    found = receipt_of(speaking, tmp_path, made_of(tmp_path, "gguf", "f16"))
    assert state_of(found, "gguf")[0] == "not_replayed"
    assert found["formats"][0]["replay"]["reason"]["text"]


def test_a_stop_ends_the_proof(tuned: Source, tmp_path: Path) -> None:
    made = write_merged(tuned, tmp_path / "out")
    asked: list[int] = []

    def stop() -> bool:
        asked.append(1)
        return len(asked) > 5

    with pytest.raises(ExportStopped):
        receipt.make(tuned.run_config, tuned, [made], tmp_path / "out", tmp_path, lambda event: None, stop)


def test_without_memory_every_format_says_so(
    tuned: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = write_merged(tuned, tmp_path / "out")
    monkeypatch.setattr("trainer.export.voices.free_bytes", lambda device: 0)
    found = receipt_of(tuned, tmp_path / "out", made)
    assert state_of(found, "merged") == ("not_replayed", "receipt_no_room")


def data_with_split(folder: Path) -> RunConfig:
    rows = [{"instruction": f"Question {number}?", "output": f"Answer {number}."} for number in range(40)]
    folder.mkdir()
    (folder / "rows.json").write_text(json.dumps(rows))
    (folder / "dataset_info.json").write_text(json.dumps({"rows": {"file_name": "rows.json"}}))
    return RunConfig.from_flat(
        {
            "do_export": True,
            "model_name_or_path": "x",
            "dataset": "rows",
            "dataset_dir": str(folder),
            "val_size": 0.25,
        }
    )


def test_the_rows_that_were_held_back_are_asked(tmp_path: Path) -> None:
    from trainer.dataset.load import load_rows

    config = data_with_split(tmp_path / "data")
    prompts, notes = prompts_of(config)
    held = {row.number for row in load_rows(config.data, config.train.seed).evaluation}
    rows = [each for each in prompts if each.origin == "evaluation"]
    assert len(rows) == 6 and {each.row for each in rows} <= held and not notes
    assert all(each.messages[-1].text == f"Question {each.row - 1}?" for each in rows)
    assert len(prompts) >= LEAST
    assert sum(len(each.messages) == 3 and bool(each.system) for each in prompts) == 2


def test_data_that_is_gone_is_told_and_other_questions_are_asked(tmp_path: Path) -> None:
    config = data_with_split(tmp_path / "data")
    (tmp_path / "data" / "rows.json").unlink()
    prompts, notes = prompts_of(config)
    assert [note.code for note in notes] == ["receipt_no_rows"] and len(prompts) >= LEAST


def heard(same: int, margin: float = 5.0, loss: float = 0.5) -> Heard:
    return Heard(tuple(range(32)), same, None if same == 32 else 3, margin if same < 32 else 0.0, 0.0, loss)


@pytest.mark.parametrize(
    ("kind", "same", "margin", "state", "warned"),
    [
        ("", 32, 0.0, "same", False),
        ("", 31, 0.001, "same", False),
        ("f16", 31, 0.5, "differs", False),
        ("bf16", 31, 5.0, "close", False),
        ("q8_0", 32, 0.0, "same", False),
        ("q8_0", 31, 5.0, "close", False),
        ("q8_0", 27, 5.0, "close", True),
        ("q4_0", 27, 5.0, "close", False),
        ("q4_0", 8, 5.0, "differs", True),
        ("bnb_nf4", 20, 5.0, "close", True),
        ("q2_k", 20, 5.0, "close", False),
    ],
)
def test_verdicts(kind: str, same: int, margin: float, state: str, warned: bool) -> None:
    reference = Reference((1,), tuple(range(32)), torch.eye(32) * 9)
    verdict = judge(
        kind, Replay("r", "cpu", "f", (heard(same, margin),), tie=0.01, template=(True,)), [reference]
    )
    assert verdict.state == state
    assert bool(verdict.notes) == warned


@pytest.mark.parametrize("place", ["/plain/place", "/with blanks/and 'quotes' \"two\"/模型", "/$HOME/`x`;rm"])
def test_commands_keep_any_path_in_one_piece(place: str) -> None:
    folder = Path(place)
    for format in ("merged", "adapter", "gguf", "ollama", "quantized"):
        for each in serve.commands(format, folder, "m.gguf", "name", 2048, base=place):
            words = shlex.split(each.text)
            written = (place, json.dumps(place, ensure_ascii=False)[1:-1])
            whole = any(each in word for each in written for word in words)
            assert whole or each.runtime == "ollama_run", each.text


def test_an_adapter_is_loaded_on_its_base_by_the_class_that_it_needs() -> None:
    for sees, loader in ((False, "AutoModelForCausalLM"), (True, "AutoModelForImageTextToText")):
        made = serve.commands("adapter", Path("/a"), "", "name", 64, base="/b", sees=sees)
        (line,) = [each.text for each in made if each.runtime == "peft"]
        assert f"import {loader} as M" in line and 'P.from_pretrained(M.from_pretrained("/b"), p)' in line
    # vLLM serves plain LoRA only.
    assert [
        each.runtime for each in serve.commands("adapter", Path("/a"), "", "name", 64, base="/b", rank=0)
    ] == ["peft"]


@pytest.mark.parametrize(
    ("name", "called"),
    [("Sprout-7", "sprout-7"), ("我的模型", "tuned-model"), ("模型 v2..1", "v2.1"), ("-a/b", "a-b")],
)
def test_ollama_gets_a_name_that_it_takes(name: str, called: str) -> None:
    assert serve.ollama_name(name) == called
