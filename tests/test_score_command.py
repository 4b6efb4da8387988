"""python -m trainer score, as a person at a terminal meets it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from trainer import cli
from trainer.evaluate.scores import peer
from trainer.paths import REPOSITORY


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty working directory; variables that commands set are put back."""
    before = dict(os.environ)
    monkeypatch.chdir(tmp_path)
    # A slow machine may take its time over a small file.
    monkeypatch.setattr("trainer.data_words.SILENT_S", 3600.0)
    yield tmp_path
    os.environ.clear()
    os.environ.update(before)


def write(name: str, rows: list[Any]) -> str:
    Path(name).write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return name


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    code = cli.main(["score", *words])
    said = capsys.readouterr()
    assert "Traceback" not in said.out + said.err
    return code, said.out, said.err


TEXTS = [
    {
        "prompt": "p",
        "predict": f"The cat number {place} sat on the mat",
        "label": f"The cat number {place} sits on the mat",
    }
    for place in range(8)
]


def test_one_side_is_scored(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = write("generated_predictions.jsonl", TEXTS)
    code, out, err = run(capsys, file, "--json")
    found = json.loads(out)
    assert code == 0 and err == "" and found["ok"] and found["kind"] == "text"
    wanted = peer.score(TEXTS[0]["predict"], TEXTS[0]["label"])
    assert {name: found["scores"][name] for name in peer.NAMES} == pytest.approx(wanted)
    assert (found["rows"], found["of"], found["base_scores"], found["verdict"]) == (8, 8, None, None)
    code, out, _ = run(capsys, file)
    assert code == 0 and "8 rows, scores for text" in out and "difference" not in out
    assert f"rouge-l {wanted['rouge-l']:.2f}".split() in [line.split() for line in out.splitlines()]


def test_both_sides_get_a_verdict(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [{**row, "base": "A dog"} for row in TEXTS]
    file = write("both.jsonl", [*rows, TEXTS[0], {**rows[0], "label": None}])
    code, out, _ = run(capsys, file)
    assert code == 0
    assert "Tuned is better on 8, equal on 0, worse on 0 of 8; ROUGE-L +" in out
    assert "1 of 9 rows have no answer of base" in out and "1 of 10 rows have no reference answer" in out
    code, out, _ = run(capsys, file, "--json")
    found = json.loads(out)
    assert found["verdict"]["shown"] and found["base_scores"]["rouge-l"] == 0 and found["rows"] == 9
    assert "score_zero" in [note["code"] for note in found["notes"]]


def test_labels_and_json_are_recognised_and_can_be_changed(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = write(
        "labels.jsonl", [{"predict": word, "label": "yes"} for word in ("yes", "Yes.", "no", "[[7mx")]
    )
    code, out, _ = run(capsys, file)
    assert code == 0 and "accuracy" in out and "macro-f1" in out and "reference" in out
    code, out, _ = run(capsys, file, "--kind", "text")
    assert code == 0 and "sacrebleu" in out and "accuracy" not in out
    objects = [
        {"predict": {"a": 1, "b": None}, "label": json.dumps({"a": 1, "b": 2})},
        {"predict": [1], "label": [1]},
    ]
    code, out, _ = run(capsys, write("objects.jsonl", objects), "--json")
    found = json.loads(out)
    assert code == 0 and found["kind"] == "json" and found["scores"]["field-f1"] == pytest.approx(75)
    assert {row["field"] for row in found["table"]["fields"]} == {"a", "b", "[]"}
    code, out, _ = run(capsys, "objects.jsonl")
    assert code == 0 and "field" in out and "precision" in out


def test_defective_rows_are_told_and_the_others_scored(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = Path(write("mixed.jsonl", [*TEXTS, {"label": "no answer"}, [1], {"predict": "", "label": "x"}]))
    with file.open("a", encoding="utf-8") as more:
        more.write("{broken\n")
    code, out, _ = run(capsys, "mixed.jsonl")
    assert (
        code == 1
        and "mixed.jsonl, row 9: the answer (predict) is missing." in out
        and "row 10: it is no object" in out
    )
    assert "row 12" in out and "3 of 12 rows are defective" in out and "9 rows, scores for text" in out
    code, out, _ = run(capsys, "mixed.jsonl", "--json")
    found = json.loads(out)
    assert code == 1 and not found["ok"] and [each["row"] for each in found["problems"]] == [9, 10, 12]


def test_nothing_to_score_is_said(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = write("none.jsonl", [{"predict": "a"}, {"label": "b"}])
    code, out, err = run(capsys, file)
    assert (
        code == 1
        and err == ""
        and "No row of 'none.jsonl' can be scored: 1 are defective, 1 have no label." in out
    )
    code, out, _ = run(capsys, file, "--json")
    assert code == 1 and json.loads(out)["broken"]["code"] == "score_no_rows"
    for words, said in (
        ((), "There is nothing to score"),
        (("none.jsonl", "other.jsonl"), "There is nothing to score"),
        (("none.jsonl", "--nosuch"), "'--nosuch' is given"),
        (("none.jsonl", "--kind", "poem"), "Choose one of text, labels, json."),
        (("none.jsonl", "--kind"), "There is no set of scores"),
        (("nowhere.jsonl",), "nowhere.jsonl"),
    ):
        code, out, err = run(capsys, *words)
        assert code == 2 and out == "" and said in err


def test_texts_of_every_sort_are_printed(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["\ud800", "\x1b[31mred", "", "是", "x" * 60]
    rows = [{"predict": word, "label": word} for word in words for _ in range(3)]
    for kind in ("text", "labels", "json"):
        code, out, _ = run(capsys, write("odd.jsonl", rows), f"--kind={kind}")
        assert code == 0 and "\x1b" not in out
        code, out, _ = run(capsys, "odd.jsonl", "--kind", kind, "--json")
        assert code == 0 and json.loads(out)["scores"]["exact"] == 100


def test_the_start_waits_for_no_library_of_scores() -> None:
    asked = """
import sys
import trainer.cli
heavy = {"jieba", "nltk", "sacrebleu", "rouge_chinese", "rouge_score", "regex", "numpy", "torch"}
assert not heavy & set(sys.modules), "the start"
import trainer.score_command
assert heavy & set(sys.modules) <= {"regex", "numpy"}, "the command"
from trainer.evaluate.scores import score
score("text", "a b", "a c")
# NLTK takes seconds to load.
assert not {"nltk", "torch"} & set(sys.modules), "a score"
"""
    subprocess.run([sys.executable, "-c", asked], cwd=REPOSITORY, check=True)
