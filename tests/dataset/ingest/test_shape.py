"""Tables as people have them: what they are, and what each column means."""

from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.dataset.ingest.staging import jsonl, pack, picture, shape_of, staged
from trainer.dataset.ingest.archive import Limits
from trainer.dataset.ingest.checking import check
from trainer.dataset.ingest.mapping import ROLES
from trainer.dataset.ingest.plan import Plan
from trainer.dataset.ingest.repair import REPAIRS
from trainer.dataset.ingest.samples import samples
from trainer.dataset.ingest.shape import KINDS, recognise
from trainer.dataset.ingest.sniff import sniff
from trainer.paths import REPOSITORY

Q = ["What is a fraction?", "你好，请介绍一下你自己。", "Name three rivers of Europe, please."]
A = ["A part of a whole.", "我是一个助手。", "Rhine, Danube and Volga."]


def rows(**columns: Any) -> list[dict[str, Any]]:
    """Three rows; a value that is a list has one for each row."""
    return [
        {name: value[place] if isinstance(value, list) else value for name, value in columns.items()}
        for place in range(3)
    ]


def said(role: str, content: str, *words: str) -> list[list[dict[str, str]]]:
    return [[{role: words[0], content: q}, {role: words[1], content: a}] for q, a in zip(Q, A, strict=True)]


def turn(word: str, texts: list[str]) -> list[dict[str, str]]:
    return [{"role": word, "content": text} for text in texts]


def single(word: str, texts: list[str]) -> list[list[dict[str, str]]]:
    return [[each] for each in turn(word, texts)]


FLAG = [True, False, True]
TABLES: list[tuple[str, list[dict[str, Any]], str, dict[str, str]]] = [
    ("alpaca", rows(instruction=Q, input="", output=A), "alpaca", {"instruction": "prompt", "input": "query", "output": "response"}),
    ("alpaca with input", rows(instruction=Q, input=["x y", "z", "w"], output=A), "alpaca", {"input": "query"}),
    ("alpaca with more", rows(id=[1, 2, 3], instruction=Q, output=A, system="Be kind.", history=[[["a", "b"]], [], []]),
     "alpaca", {"id": "ignore", "system": "system", "history": "history"}),
    ("question, answer", rows(question=Q, answer=A), "question_answer", {"question": "prompt", "answer": "response"}),
    ("Chinese", rows(问题=Q, 回答=A), "question_answer", {"问题": "prompt", "回答": "response"}),
    ("Chinese alpaca", rows(指令=Q, 输入=["a b", "c", "d"], 输出=A), "question_answer", {"指令": "prompt", "输入": "query", "输出": "response"}),
    ("Chinese with id", rows(编号=["a1", "a2", "a3"], 问=Q, 答=A), "question_answer", {"编号": "ignore", "问": "prompt", "答": "response"}),
    ("Russian", rows(Вопрос=Q, Ответ=A), "question_answer", {"Вопрос": "prompt", "Ответ": "response"}),
    ("Japanese", rows(質問=Q, 回答=A), "question_answer", {"質問": "prompt", "回答": "response"}),
    ("Korean", rows(질문=Q, 답변=A), "question_answer", {"질문": "prompt", "답변": "response"}),
    ("instruction, response", rows(instruction=Q, response=A), "question_answer", {"instruction": "prompt", "response": "response"}),
    ("dolly", rows(instruction=Q, context=["", "A text.", ""], response=A, category="qa"), "question_answer",
     {"context": "query", "category": "ignore"}),
    ("query, response", rows(query=Q, response=A), "question_answer", {"query": "prompt", "response": "response"}),
    ("input, output", rows(input=Q, output=A), "question_answer", {"input": "prompt", "output": "response"}),
    ("prompt, completion", rows(prompt=Q, completion=A), "prompt_completion", {"prompt": "prompt", "completion": "response"}),
    ("capitals and blanks", rows(**{"User Prompt": Q, "Model_Response": A}), "question_answer", {"User Prompt": "prompt", "Model_Response": "response"}),
    ("answer before question", rows(answer=A, question=Q), "question_answer", {"question": "prompt", "answer": "response"}),
    ("numbers as answers", rows(question=Q, answer=[3, 4, 12]), "question_answer", {"answer": "response"}),
    ("sharegpt", rows(conversations=said("from", "value", "human", "gpt")), "sharegpt", {"conversations": "messages"}),
    ("sharegpt with tools", rows(conversations=said("from", "value", "human", "gpt"), system="S", tools=json.dumps([{"name": "f", "parameters": {}}])),
     "sharegpt", {"system": "system", "tools": "tools"}),
    ("words in names", rows(**{"Customer question": Q, "Agent answer": A, "Agent": ["Mia", "Tom", "Ann"]}), "question_answer",
     {"Customer question": "prompt", "Agent answer": "response", "Agent": "ignore"}),
    ("words in Chinese names", rows(客户问题=Q, 客服回答=A, 客服=["小王", "小李", "小张"]), "question_answer",
     {"客户问题": "prompt", "客服回答": "response", "客服": "ignore"}),
    ("openai with tools", rows(messages=said("role", "content", "user", "assistant"),
                               tools=[[{"type": "function", "function": {"name": "f", "parameters": {}}}]] * 3),
     "openai", {"messages": "messages", "tools": "tools"}),
    ("openai", rows(messages=said("role", "content", "user", "assistant"), source="web"), "openai", {"messages": "messages", "source": "ignore"}),
    ("other words", rows(dialog=said("speaker", "text", "customer", "agent")), "sharegpt", {"dialog": "messages"}),
    ("unknown words", rows(chat=said("speaker", "text", "Alice", "Bob")), "sharegpt", {"chat": "messages"}),
    ("unknown column", rows(xyz=said("role", "content", "user", "assistant")), "openai", {"xyz": "messages"}),
    ("Chinese messages", rows(对话=said("角色", "内容", "用户", "助手")), "sharegpt", {"对话": "messages"}),
    ("pairs", rows(prompt=Q, chosen=A, rejected="No."), "preference", {"prompt": "prompt", "chosen": "chosen", "rejected": "rejected"}),
    ("pairs without question", rows(chosen=A, rejected="No."), "preference", {"chosen": "chosen", "rejected": "rejected"}),
    ("pairs after a conversation", rows(conversations=[[{"from": "human", "value": q}] for q in Q],
        chosen=[{"from": "gpt", "value": a} for a in A], rejected={"from": "gpt", "value": "No."}),
     "preference", {"conversations": "messages", "chosen": "chosen"}),
    ("conversational pairs", rows(prompt=single("user", Q), chosen=single("assistant", A), rejected=[single("assistant", ["No."])[0]] * 3),
     "preference", {"prompt": "prompt"}),
    ("conversational pairs, implicit", rows(chosen=[[*q, *a] for q, a in zip(single("user", Q), single("assistant", A), strict=True)],
        rejected=[[*q, *single("assistant", ["No."])[0]] for q in single("user", Q)]), "preference", {"chosen": "chosen"}),
    ("kto", rows(prompt=Q, completion=A, label=FLAG), "kto", {"label": "kto_tag", "completion": "response"}),
    ("kto messages", rows(messages=said("role", "content", "user", "assistant"), label=FLAG), "kto", {"messages": "messages", "label": "kto_tag"}),
    ("conversational completion", rows(prompt=single("user", Q), completion=single("assistant", A)), "prompt_completion", {"prompt": "prompt", "completion": "response"}),
    ("text", rows(text=A), "text", {"text": "response"}),
    ("text with facts", rows(url=["http://a.b/1", "http://a.b/2", "http://a.b/3"], content=[f"{a} {a}" for a in A], tokens=[1, 2, 3]), "text", {"content": "response"}),
    ("only text", rows(x=A), "text", {"x": "response"}),
    ("two unknown texts", rows(x=Q, y=A), "question_answer", {"x": "prompt", "y": "response"}),
    ("captions", rows(image=["a.png", "b.png", "c.png"], caption=A), "image_text", {"image": "images", "caption": "response"}),
    ("image folder", rows(file_name=["a.png", "b.png", "c.png"], text=A), "image_text", {"file_name": "images", "text": "response"}),
    ("image, question, answer", rows(image=["a.png", "b.png", "c.png"], question=Q, answer=A), "image_text",
     {"image": "images", "question": "prompt", "answer": "response"}),
    ("Chinese pictures", rows(图片=["a.jpg", "b.jpg", "c.jpg"], 描述=A), "image_text", {"图片": "images", "描述": "response"}),
    ("images of a chat", rows(messages=said("role", "content", "user", "assistant"), images=[["a.png"], [], ["b.png"]]), "openai", {"images": "images"}),
    ("videos", rows(video=["a.mp4", "b.mp4", "c.mp4"], question=Q, answer=A), "image_text", {"video": "videos"}),
    ("articles", rows(title=["One", "Two things", "Three"], text=A), "text", {"title": "ignore", "text": "response"}),
    ("labels", rows(text=Q, label=["maths", "self", "rivers"]), "question_answer", {"text": "prompt", "label": "response"}),
    ("pairs with everything", rows(prompt=Q, prompt_id=["a1", "b2", "c3"], messages=said("role", "content", "user", "assistant"), score_chosen=[8, 9, 7],
        chosen=said("role", "content", "user", "assistant"), rejected=[[{"role": "user", "content": q}, {"role": "assistant", "content": "No."}] for q in Q]),
     "preference", {"chosen": "chosen", "rejected": "rejected", "score_chosen": "ignore"}),
    ("calls", rows(conversations=[[{"from": "human", "value": q}, {"from": "function_call", "value": '{"name": "f", "arguments": {}}'},
        {"from": "observation", "value": "{}"}, {"from": "gpt", "value": a}] for q, a in zip(Q, A, strict=True)],
        tools=json.dumps([{"name": "f", "description": "d", "parameters": {}}])), "sharegpt", {"tools": "tools"}),
    ("orca", rows(id=["t1.2", "t1.3", "t1.4"], system_prompt=["", "Be kind.", ""], question=Q, response=A), "question_answer", {"system_prompt": "system", "id": "ignore"}),
    ("numbers only", rows(a=[5, 6, 7], b=[7, 8, 9]), "unknown", {}),
    ("names only", rows(id=["x1", "x2", "x3"]), "unknown", {}),
]  # fmt: skip


@pytest.mark.parametrize(
    ("table", "kind", "roles"), [each[1:] for each in TABLES], ids=[each[0] for each in TABLES]
)
def test_tables_are_recognised(
    tmp_path: Path, table: list[dict[str, Any]], kind: str, roles: dict[str, str]
) -> None:
    shape = recognise(table)
    assert shape.kind == kind and shape.kind in KINDS
    assert {name: shape.mapping.role(name) for name in roles} == roles
    assert 0 <= shape.confidence <= 1
    for column in shape.columns:
        assert column.reason.text and len(column.example) <= 80
    if kind in ("unknown", "image_text") or any("images" in row for row in table):
        return
    # The proposal works: every row but those of unwanted answers becomes a conversation.
    given = staged(tmp_path, "table.jsonl", jsonl(table))
    found = sniff(given, (), Limits())
    assert found.mapping == shape.mapping
    checked = check(given, Plan((), found.mapping, found.repairs), Limits())
    assert checked.rows == 3 and checked.usable == 3 - checked.counts.get("row_undesired", 0)


def test_there_are_enough_tables() -> None:
    assert len(TABLES) >= 40


@pytest.mark.parametrize(
    "name", ["alpaca", "sharegpt", "openai", "Chinese", "pairs", "kto", "history as text"]
)
def test_the_same_table_as_csv(tmp_path: Path, name: str) -> None:
    """Cells are texts: lists come as JSON, flags as words."""
    table = {each[0]: each for each in TABLES}.get(name)
    given, kind = (
        (table[1], table[2])
        if table
        else (rows(instruction=Q, output=A, history=[[["a", "b"]]] * 3), "alpaca")
    )
    written = io.StringIO()
    writer = csv.DictWriter(written, list(given[0]))
    writer.writeheader()
    for row in given:
        writer.writerow(
            {
                key: value if isinstance(value, (str, bool)) else json.dumps(value)
                for key, value in row.items()
            }
        )
    upload = staged(tmp_path, "table.csv", written.getvalue().encode("utf-8-sig"))
    shape = sniff(upload, (), Limits())
    checked = check(upload, Plan((), shape.mapping, shape.repairs), Limits())
    assert shape.kind == kind and checked.rows == 3
    assert checked.usable == 3 - checked.counts.get("row_undesired", 0)


def test_the_role_of_a_message_is_known_by_its_words_not_by_their_number() -> None:
    """On few rows the texts may repeat more than the speakers do."""
    table = [
        {"chat": [{"body": "Hi", "by": "human"}, {"body": "Hi", "by": "gpt"}]},
        {"chat": [{"body": "Hi", "by": "human"}, {"body": "Hi", "by": "gpt"}]},
    ]
    shape = recognise(table)
    assert (shape.mapping.tag("role_tag"), shape.mapping.tag("content_tag")) == ("by", "body")
    assert (shape.mapping.tag("user_tag"), shape.mapping.tag("assistant_tag")) == ("human", "gpt")


def test_gb18030_and_utf16_tables(tmp_path: Path) -> None:
    text = "问题,回答\n" + "".join(
        f"{q},{a}\n"
        for q, a in zip(("你是谁", "天为什么是蓝的", "一加一"), ("助手", "散射", "二"), strict=True)
    )
    for encoding in ("gb18030", "utf-16", "utf-8-sig"):
        upload = staged(tmp_path, f"{encoding}.csv", text.encode(encoding))
        shape = sniff(upload, (), Limits())
        checked = check(upload, Plan((), shape.mapping), Limits())
        assert (shape.kind, checked.usable) == ("question_answer", 3)
        assert checked.encoding and encoding[:2].upper() in checked.encoding.upper()


def test_samples_show_any_mapping_and_what_is_wrong_with_it(tmp_path: Path) -> None:
    files = {"t/table.jsonl": jsonl(rows(image=["a.png", "b.png", "gone.png"], question=Q, answer=A)),
             "t/a.png": picture(), "t/b.png": picture("blue")}  # fmt: skip
    upload = staged(tmp_path, "x.zip", pack(tmp_path / "x.zip", files).read_bytes())
    shape = sniff(upload, (), Limits())
    shown = samples(upload, Plan((), shape.mapping), Limits())
    assert [each.number for each in shown] == [1, 2, 3]
    assert shown[0].turns[0].media == ("a.png",) and shown[0].turns[1].text == A[0]
    assert shown[0].media[0].path is not None and shown[0].media[0].path.is_file()
    assert shown[2].problem and "gone.png" in shown[2].problem.text
    swapped = shape.mapping.with_role("answer", "ignore").with_role("question", "response")
    assert samples(upload, Plan((), swapped), Limits())[0].turns[-1].text == Q[0]


def test_an_unfilled_column_keeps_its_place_and_gets_no_role() -> None:
    shape = recognise(
        [
            {"question": "a b", "answer": "c d", "notes": None},
            {"question": "e f", "answer": "g h", "notes": ""},
        ]
    )
    assert shape.mapping.roles == (("question", "prompt"), ("answer", "response"), ("notes", "ignore"))


def test_captions_are_asked_for_by_their_picture_alone(tmp_path: Path) -> None:
    files = {"table.jsonl": jsonl([{"image": "a.png", "caption": "A red field."}]), "a.png": picture()}
    upload = staged(tmp_path, "x.zip", pack(tmp_path / "x.zip", files).read_bytes())
    shape = sniff(upload, (), Limits())
    (shown,) = samples(upload, Plan((), shape.mapping), Limits())
    assert [(each.role, each.text, each.media) for each in shown.turns] == [
        ("user", "", ("a.png",)),
        ("assistant", "A red field.", ()),
    ]
    asked = samples(upload, Plan((), shape.mapping.with_ask("<image>What is it?")), Limits())
    assert asked[0].turns[0].text == "What is it?"


def test_nothing_to_recognise() -> None:
    for table in ([], [{}], [{"a": None}], [{"a": [1, [2]]}, {"b": {"c": 1}}]):
        shape = recognise(table)
        assert shape.kind == "unknown" and shape.mapping.problems()


def test_a_whole_shape_of_a_file_names_rows(tmp_path: Path) -> None:
    assert shape_of(tmp_path, "a.txt", b"Eine Zeile.\nNoch eine Zeile.\n").kind == "text"


def test_columns_of_later_rows_are_told(tmp_path: Path) -> None:
    upload = staged(
        tmp_path,
        "a.jsonl",
        jsonl([*rows(question=Q, answer=A) * 100, {"question": "a b", "answer": "c d", "system": "Late."}]),
    )
    shape = sniff(upload, (), Limits())
    (note,) = check(upload, Plan((), shape.mapping), Limits()).notes
    assert "system" in note.text


def test_names_of_pictures_from_another_machine_mean_the_files_that_fit(tmp_path: Path) -> None:
    names = [
        r"D:\own\img\a.PNG",
        "/home/me/img/a.png",
        "IMG/A.png",
        "a.png",
        "/home/me/other/a.png",
        "/etc/passwd",
        "other/img/a.png",
    ]
    table = [{"image": name, "caption": "A red field."} for name in names]
    files = {
        "set/t.jsonl": jsonl(table),
        "set/img/a.png": picture(),
        "set/two/b.png": picture(),
        "set/three/b.png": picture(),
    }
    upload = staged(tmp_path, "x.zip", pack(tmp_path / "x.zip", files).read_bytes())
    found = check(upload, Plan((), sniff(upload, (), Limits()).mapping), Limits())
    assert [each.problem.number for each in found.defects] == [5, 6]
    (note,) = found.notes
    assert note.values["count"] == 5 and "set/img/a.png" in note.text
    assert all(
        ".staging" not in each.problem.text and str(tmp_path) not in each.problem.text
        for each in found.defects
    )


def test_the_guide_names_every_role_and_repair() -> None:
    for guide in (REPOSITORY / "docs").glob("bring*.md"):
        named = set(
            re.findall(
                r"`(\w+)`",
                "\n".join(
                    line for line in guide.read_text(encoding="utf-8").splitlines() if line.startswith("|")
                ),
            )
        )
        assert named >= {*ROLES, *REPAIRS}
