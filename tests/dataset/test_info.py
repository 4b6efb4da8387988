"""dataset_info.json: every entry that LLaMA-Factory's files have, and what is refused, each for itself."""

from __future__ import annotations

import codecs
import json
from dataclasses import fields
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from huggingface_hub import constants

from trainer.dataset.info import Columns, DatasetInfo, HubSource, choose, load_info, parse_entry
from trainer.errors import UserError

TEXT = {"prompt": "instruction", "query": "input", "response": "output"}
CHAT_TAGS = {
    "role_tag": "role", "content_tag": "content", "user_tag": "user", "assistant_tag": "assistant", "system_tag": "system",
}  # fmt: skip
# The kinds of entries of the file that comes with LLaMA-Factory (../shared/reference says which), with names of our own.
SHIPPED: dict[str, Any] = {
    "me": {"file_name": "me.json"},
    "notes_zh": {"file_name": "notes_zh.json"},
    "tool_use": {"file_name": "tool_use.json", "formatting": "sharegpt", "columns": {"messages": "conversations", "tools": "tools"}},
    "looks": {"file_name": "looks.json", "formatting": "sharegpt", "columns": {"messages": "messages", "images": "images"}, "tags": CHAT_TAGS},
    "listens": {"file_name": "listens.json", "formatting": "sharegpt", "columns": {"messages": "messages", "audios": "audios"}, "tags": CHAT_TAGS},
    "watches": {"file_name": "watches.json", "formatting": "sharegpt", "columns": {"messages": "messages", "videos": "videos"}, "tags": CHAT_TAGS},
    "watches_and_listens": {"file_name": "x.json", "formatting": "sharegpt", "columns": {"messages": "messages", "videos": "videos", "audios": "audios"}, "tags": CHAT_TAGS},
    "reasons": {"file_name": "reasons.json", "formatting": "sharegpt", "columns": {"messages": "messages", "system": "system", "tools": "tools"}, "tags": {**CHAT_TAGS, "observation_tag": "tool", "function_tag": "call"}},
    "hub": {"hf_hub_url": "someone/instructions", "ms_hub_url": "someone_else/instructions"},
    "hub_old": {"hf_hub_url": "someone/old", "columns": {**TEXT, "history": "history"}, "om_hub_url": "third/old"},
    "hub_subset": {"hf_hub_url": "someone/many", "subset": "part", "folder": "data/clean", "split": "train_sft"},
    "hub_chat": {"hf_hub_url": "someone/chats", "formatting": "sharegpt"},
    "hub_china": {"ms_hub_url": "someone/china", "formatting": "sharegpt", "tags": CHAT_TAGS},
    "hub_open": {"hf_hub_url": "someone/open", "formatting": "openai", "columns": {"messages": "messages"}, "tags": CHAT_TAGS},
    "hub_script": {"script_url": "made_by_code", "columns": {**TEXT, "history": "history"}, "ranking": True},
    "hub_third": {"om_hub_url": "third/only"},
    "cloud": {"cloud_file_name": "s3://bucket/rows.jsonl"},
    "pairs_zh": {"file_name": "pairs_zh.json", "ranking": True, "formatting": "sharegpt", "columns": {"messages": "conversations", "chosen": "chosen", "rejected": "rejected"}},
    "pairs_hub": {"hf_hub_url": "someone/pairs", "ranking": True, "columns": {"prompt": "question", "chosen": "chosen", "rejected": "rejected", "system": "system"}},
    "pairs_seen": {"hf_hub_url": "someone/seen", "ranking": True, "formatting": "sharegpt", "columns": {"messages": "conversations", "chosen": "chosen", "rejected": "rejected", "images": "images"}},
    "thumbs": {"file_name": "thumbs.json", "formatting": "sharegpt", "columns": {"messages": "messages", "kto_tag": "label"}, "tags": CHAT_TAGS},
    "thumbs_hub": {"hf_hub_url": "someone/thumbs", "columns": {"prompt": "prompt", "response": "completion", "kto_tag": "label"}},
    "wiki": {"file_name": "wiki.txt", "columns": {"prompt": "text"}},
    "web": {"file_name": "web.jsonl", "columns": {"prompt": "text"}},
    "wiki_hub": {"hf_hub_url": "someone/wiki", "columns": {"prompt": "text"}},
    "code": {"hf_hub_url": "someone/code", "columns": {"prompt": "content"}, "folder": "python"},
    "some": {"file_name": "some.parquet", "num_samples": 500, "file_sha1": "a1", "license": "CC0", "columns": {**TEXT, "comment": "x"}},
}  # fmt: skip
REFUSED = {
    "listens": "data_audios", "watches_and_listens": "data_audios", "hub_third": "data_openmind", "cloud": "data_cloud",
    "hub_script": "data_script",
    # Texts without an answer are for pre-training, in LLaMA-Factory too.
    "wiki": "data_entry_text", "web": "data_entry_text", "wiki_hub": "data_entry_text", "code": "data_entry_text",
}  # fmt: skip


def write(folder: Path, entries: Any) -> Path:
    (folder / "dataset_info.json").write_text(json.dumps(entries), encoding="utf-8")
    return folder


def parse(**entry: Any) -> DatasetInfo:
    return parse_entry(Path("/data"), "mine", entry)


def test_a_file_with_every_kind_of_entry_loads_unchanged(tmp_path: Path) -> None:
    found = load_info(write(tmp_path, SHIPPED))
    assert list(found) == list(SHIPPED)
    assert {name: info.refusal.code for name, info in found.items() if info.refusal} == REFUSED
    for name in REFUSED:
        with pytest.raises(UserError, match=repr(name)) as error:
            choose(tmp_path, ["hub", name])
        assert error.value.field == "dataset" and error.value.text and error.value.hint
    good = [name for name in SHIPPED if name not in REFUSED and "file_name" not in SHIPPED[name]]
    assert [info.name for info in choose(tmp_path, good)] == good
    assert found["tool_use"].columns == Columns(messages="conversations", tools="tools")
    assert found["reasons"].tags.function_tag == "call" and found["looks"].tags.function_tag is None
    assert [info.ranking for info in found.values()].count(True) == 3
    assert found["thumbs"].columns.kto_tag == "label" and found["some"].num_samples == 500


def test_all_thirteen_columns() -> None:
    names = {each.name: f"my {each.name}" for each in fields(Columns) if each.name != "audios"}
    assert parse(file_name="x.json", ranking=True, columns=names).columns == Columns(**names)
    assert len(fields(Columns)) == 13
    for formatting in ("alpaca", "sharegpt", "openai"):
        columns = {**TEXT, "messages": "m", "audios": "sounds"}
        refusal = parse(file_name="x.json", formatting=formatting, columns=columns).refusal
        assert refusal is not None and refusal.code == "data_audios" and refusal.values["column"] == "sounds"


def test_which_hub() -> None:
    hub = parse(hf_hub_url="a/b", ms_hub_url="c/d", subset="s", folder="f", split="t", file_name="x.json")
    assert hub.hub == HubSource("a/b", "c/d", "s", "f") and hub.split == "t" and hub.refusal is None
    assert hub.hub.pick("huggingface") == ("huggingface", "a/b")
    assert hub.hub.pick("modelscope") == ("modelscope", "c/d")
    only = [parse(**{key: "a/b"}).hub for key in ("hf_hub_url", "ms_hub_url")]
    assert [each.pick(hub) for each in only if each for hub in ("huggingface", "modelscope")] == [  # type: ignore[arg-type]
        ("huggingface", "a/b"), ("huggingface", "a/b"), ("modelscope", "a/b"), ("modelscope", "a/b"),
    ]  # fmt: skip
    # LLaMA-Factory reads subset and folder of hubs only.
    local = parse(file_name="x.json", subset="s", folder="f", hf_hub_url=None, ms_hub_url="")
    assert local.hub is None and local.path == Path("/data/x.json") and local.refusal is None


class Bad(NamedTuple):
    name: str
    entry: Any
    code: str
    told: str


FILE = {"file_name": "rows.json"}
BAD = [
    Bad("entry a text", "rows.json", "data_entry_wrong", "'mine'"),
    Bad("no file_name", {}, "data_no_file_name", "no file_name"),
    Bad("an empty name", {"file_name": " "}, "data_no_file_name", "no file_name"),
    Bad("a name with NUL", {"file_name": "a\0b"}, "data_no_file_name", "no file_name"),
    Bad("no such file", {"file_name": "none.json"}, "data_file_missing", "none.json"),
    Bad("a name too long", {"file_name": "x" * 5000}, "file_unreadable", "cannot be read"),
    Bad("a link to nothing", {"file_name": "link.json"}, "data_file_missing", "link.json"),
    Bad("another split", {**FILE, "split": "test"}, "data_split", "the split 'test'"),
    Bad("a split a number", {**FILE, "split": 3}, "data_entry_wrong", "split is 3"),
    Bad("a hub a list", {"hf_hub_url": ["a/b"]}, "data_entry_wrong", "hf_hub_url is"),
    Bad("ranking a text", {**FILE, "ranking": "yes"}, "data_entry_wrong", "ranking is yes"),
    Bad("formatting", {**FILE, "formatting": "chatml"}, "data_formatting_unknown", "'chatml'; allowed are alpaca"),
    Bad("formatting a list", {**FILE, "formatting": []}, "", ""),
    Bad("formatting an object", {**FILE, "formatting": {"a": 1}}, "data_formatting_unknown", "alpaca"),
    Bad("a key misspelt", {**FILE, "colums": {}}, "data_entry_key", "'colums'"),
    Bad("a key in capitals", {**FILE, "Formatting": "openai"}, "data_entry_key", "'Formatting'"),
    Bad("a column misspelt", {**FILE, "columns": {**TEXT, "sytem": "x"}}, "data_entry_word", "columns has 'sytem'"),
    Bad("a tag misspelt", {**FILE, "formatting": "openai", "tags": {**CHAT_TAGS, "functon_tag": "x"}}, "data_entry_word", "tags has 'functon_tag'"),
    Bad("columns a list", {**FILE, "columns": []}, "data_entry_wrong", "columns is list"),
    Bad("a column a number", {**FILE, "columns": {"prompt": 1}}, "data_entry_wrong", "columns.prompt is 1"),
    Bad("columns without response", {**FILE, "columns": {"prompt": "q", "query": "r"}}, "data_entry_lacks", "columns does not name response"),
    Bad("columns of texts", {**FILE, "columns": {"prompt": "q"}}, "data_entry_text", "columns names texts"),
    Bad("columns without messages", {**FILE, "formatting": "openai", "columns": {"tools": "t"}}, "data_entry_lacks", "columns does not name messages"),
    Bad("half a pair", {**FILE, "ranking": True, "columns": {"prompt": "q", "chosen": "c"}}, "data_entry_lacks", "columns does not name rejected"),
    Bad("tags without role_tag", {**FILE, "formatting": "sharegpt", "tags": {"content_tag": "x"}}, "data_entry_lacks", "tags does not name role_tag"),
    Bad("num_samples of zero", {**FILE, "num_samples": 0}, "data_entry_wrong", "num_samples is 0"),
    Bad("num_samples true", {**FILE, "num_samples": True}, "data_entry_wrong", "num_samples is True"),
]  # fmt: skip


@pytest.mark.parametrize("bad", BAD, ids=lambda bad: bad.name)
def test_a_bad_entry_has_its_sentence_and_harms_no_other(bad: Bad, tmp_path: Path) -> None:
    (tmp_path / "rows.json").write_text('[{"instruction": "Hi", "output": "Yo"}]')
    (tmp_path / "link.json").symlink_to(tmp_path / "gone.json")
    write(tmp_path, {"mine": bad.entry, "other": FILE})
    assert load_info(tmp_path)["other"].refusal is None
    assert choose(tmp_path, ["other"])[0].path == tmp_path / "rows.json"
    if not bad.code:
        assert choose(tmp_path, ["mine"])
        return
    with pytest.raises(UserError) as error:
        choose(tmp_path, ["mine"])
    assert (error.value.code, error.value.field) == (bad.code, "dataset") and bad.told in error.value.text


def test_a_column_that_no_row_has_is_a_mistake(tmp_path: Path) -> None:
    from trainer.dataset.rows import read_rows

    rows = [{"q": "Hi", "a": "Yo"}, {"q": "Hi", "a": "Yo", "sys": "S"}, {"q": "Hi", "a": "Yo"}]
    (tmp_path / "rows.json").write_text(json.dumps(rows))
    columns = {"prompt": "q", "response": "a", "system": "sys"}
    info = parse_entry(tmp_path, "mine", {**FILE, "columns": columns})
    assert len(list(read_rows(info))) == 3 and len(list(read_rows(info, limit=1))) == 1
    assert len(list(read_rows(info, skip=2))) == 1
    info = parse_entry(tmp_path, "mine", {**FILE, "columns": {**columns, "system": "systm", "tools": "tls"}})
    assert len(list(read_rows(info, limit=2))) == 2
    for limit in (None, 3, 9):
        with pytest.raises(UserError, match="no row has: systm, tls"):
            list(read_rows(info, limit=limit))


@pytest.mark.parametrize(
    "encoded",
    [
        lambda text: text.encode(),
        lambda text: text.encode("utf-8-sig"),
        lambda text: text.encode("utf-16"),
        lambda text: codecs.BOM_UTF16_BE + text.encode("utf-16-be"),
        lambda text: text.encode("gb18030"),
    ],
    ids=["UTF-8", "UTF-8 with mark", "UTF-16", "UTF-16 BE", "GB18030"],
)
def test_the_file_in_every_encoding(encoded: Any, tmp_path: Path) -> None:
    text = json.dumps({"中文数据集": {"file_name": "数据.json"}}, ensure_ascii=False)
    (tmp_path / "dataset_info.json").write_bytes(encoded(text))
    assert load_info(tmp_path)["中文数据集"].path == tmp_path / "数据.json"


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b'{"a": {}\n"b": 1}', "line 2, column 1"),
        (b"[]", "must hold an object"),
        (b'\xff{"a": \xff}', "byte 0"),
        (b"", ""),
        (b"[" * 100_000, "nested too deep"),
        (b'{"a": 1' + b"0" * 5000 + b"}", "thousands of digits"),
    ],
)
def test_a_broken_file(tmp_path: Path, content: bytes, told: str) -> None:
    (tmp_path / "dataset_info.json").write_bytes(content)
    with pytest.raises(UserError) as error:
        load_info(tmp_path)
    assert error.value.field == "dataset_dir"
    assert told in error.value.text and "dataset_info.json" in error.value.text


def test_a_missing_folder_and_a_folder_without_the_file(tmp_path: Path) -> None:
    for name in (tmp_path / "none", "x" * 5000, "~nobody-of-this-name/data", "a\0b"):
        with pytest.raises(UserError, match="no data folder"):
            load_info(name)
    with pytest.raises(UserError, match=r"holds no dataset_info\.json"):
        load_info(tmp_path)


def test_online_every_id_is_a_dataset() -> None:
    assert load_info("ONLINE") == {}
    (info,) = choose("ONLINE", ["someone/rows"])
    assert info.hub == HubSource("someone/rows", "someone/rows") and info.columns.prompt == "instruction"


def test_remote_is_the_file_of_a_repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(
        UserError, match=r"'someone/shelf' is not on this machine, and huggingface\.co cannot be"
    ):
        load_info("REMOTE:someone/shelf")
    with pytest.raises(UserError, match=r"huggingface\.co has no dataset 'no name'"):
        load_info("REMOTE:no name")
    # As the library keeps what it has fetched.
    kept = tmp_path / "datasets--someone--shelf"
    for folder in (kept / "refs", kept / "snapshots" / "0123"):
        folder.mkdir(parents=True)
    (kept / "refs" / "main").write_text("0123")
    write(kept / "snapshots" / "0123", {"far": {"hf_hub_url": "someone/far"}, "near": FILE})
    assert list(load_info("REMOTE:someone/shelf")) == ["far", "near"]
    assert choose("REMOTE:someone/shelf", ["far"])[0].hub == HubSource("someone/far")
    with pytest.raises(UserError) as error:
        choose("REMOTE:someone/shelf", ["near"])
    assert error.value.code == "data_remote_file"
