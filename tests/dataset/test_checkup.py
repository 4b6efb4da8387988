"""Every row is read, and each is either usable or told of, with its field and what can be done."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from tests.dataset import shots
from trainer.dataset.checkup import DROP, Checkup, check, helps_for
from trainer.dataset.conversation import Row
from trainer.dataset.duplicates import Place
from trainer.dataset.info import load_info
from trainer.dataset.ingest.repair import REPAIRS
from trainer.dataset.report import facts, lines, to_json, visible
from trainer.dataset.rows import Reading, read_rows

ANYTHING = some.recursive(
    some.none() | some.booleans() | some.integers() | some.text(max_size=5),
    lambda inner: (
        some.lists(inner, max_size=3)
        | some.dictionaries(some.sampled_from(["from", "value", "instruction", "output"]), inner, max_size=3)
    ),
    max_leaves=6,
)
TURN = some.fixed_dictionaries(
    {"from": some.sampled_from(["human", "gpt", "system", "observation", "nobody"]), "value": ANYTHING}
)
SHAREGPT = some.fixed_dictionaries({}, optional={"conversations": some.lists(TURN, max_size=4) | ANYTHING})
ALPACA = some.fixed_dictionaries(
    {}, optional={"instruction": ANYTHING, "input": ANYTHING, "output": ANYTHING, "history": ANYTHING}
)


def write(folder: Path, rows: Any, **entry: Any) -> None:
    folder.mkdir(exist_ok=True)
    (folder / "mine.json").write_text(json.dumps(rows))
    (folder / "dataset_info.json").write_text(json.dumps({"mine": {"file_name": "mine.json", **entry}}))


def checked(folder: Path, **more: Any) -> Checkup:
    return check(load_info(folder)["mine"], Reading(dataset_dir=str(folder)), **more)


@settings(
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    max_examples=150,
)
@given(rows=some.lists(ANYTHING | ALPACA | SHAREGPT, min_size=1, max_size=8), chat=some.booleans())
def test_rows_are_usable_or_told_of(tmp_path: Path, rows: list[Any], chat: bool) -> None:
    write(tmp_path, rows, formatting="sharegpt" if chat else "alpaca")
    found = checked(tmp_path)
    read = list(read_rows(load_info(tmp_path)["mine"], Reading(dataset_dir=str(tmp_path))))
    assert found.broken is None and found.rows == len(rows) == found.usable + len(found.problems)
    assert found.usable == sum(isinstance(each, Row) for each in read)
    assert list(found.problems) == [each for each in read if not isinstance(each, Row)]
    assert sum(defect.rows for defect in found.defects) == len(found.problems)
    for problem in found.problems:
        assert problem.text.startswith(f"mine, row {problem.number}: ")
    assert json.dumps(to_json(found)) and all(line.isprintable() or "\t" in line for line in lines(found))


def test_defects_are_gathered_by_kind_and_field(tmp_path: Path) -> None:
    turns = [{"from": "human", "value": "?"}, {"from": "gpt", "value": 7}]
    late = [
        *turns[:1],
        {"from": "gpt", "value": "!"},
        {"from": "human", "value": "?"},
        {"from": "gpt", "value": 8},
    ]
    rows = [{"conversations": each} for each in (turns, late, turns[:1], [turns[0], turns[0]])]
    write(tmp_path, rows, formatting="sharegpt")
    found = checked(tmp_path)
    assert (found.rows, found.usable, found.ok) == (4, 0, False)
    wrong = found.defects[0]
    assert (wrong.code, wrong.field, wrong.rows, wrong.first.number) == (
        "row_type",
        "conversations[…].value",
        2,
        1,
    )
    assert all(defect.helps[-1] == DROP for defect in found.defects)
    assert len(found.defects[0].helps) > 1 and set(found.defects[0].helps[:-1]) <= set(REPAIRS)
    assert [fact.values for fact in facts(found) if fact.code == "checked_help"] == [{"rows": 4}]
    assert helps_for("row_nothing_of_the_kind") == (DROP,)


def test_what_a_good_file_holds_is_told(tmp_path: Path) -> None:
    rows = [
        {"instruction": f"问题 {number}", "output": "Yes" if number < 2 else "An answer"}
        for number in range(1200)
    ]
    rows[700] = rows[3]
    write(tmp_path, rows)
    (tmp_path / "mine.json").write_text(json.dumps(rows, ensure_ascii=False), encoding="gb18030")
    heard: list[tuple[int, int, int]] = []
    found = checked(tmp_path, tell=lambda *far: heard.append(far))
    assert found.ok and (found.rows, found.usable, found.short) == (1200, 1200, 2)
    assert (found.kind, found.encoding) == ("json", "GB18030")
    assert found.duplicates.rows == 1
    assert (found.duplicates.first[0].row, found.duplicates.first[0].of) == (
        Place("mine", 701),
        Place("mine", 4),
    )
    assert found.scripts["zh"] == 2400
    assert [rows for rows, _, _ in heard] == [500, 1000, 1200]
    assert all(done <= total == found.bytes for _, done, total in heard) and heard[-1][1] == found.bytes
    assert [each.code for each in facts(found)][:2] == ["checked_file", "checked_good"]


def test_a_check_can_be_stopped(tmp_path: Path) -> None:
    write(tmp_path, [{"instruction": "?", "output": "!"}] * 1200)
    found = checked(tmp_path, stop=lambda: True)
    assert found.stopped and not found.ok and found.rows == 500
    assert "rows read until then: 500" in "\n".join(lines(found))


def test_a_file_that_breaks_off_tells_what_came_before(tmp_path: Path) -> None:
    write(tmp_path, [])
    (tmp_path / "mine.json").write_text('[{"instruction": "?", "output": "!"}, {"instruction": "?"}, {"instr')
    found = checked(tmp_path)
    assert found.broken is not None and not found.ok
    assert (found.rows, found.usable) == (2, 1)
    assert found.broken.text in "\n".join(lines(found))
    (tmp_path / "mine.json").unlink()
    gone = checked(tmp_path)
    assert gone.broken is not None and gone.rows == 0


def test_pictures_are_looked_at(tmp_path: Path) -> None:
    tmp_path.joinpath("good.png").write_bytes(shots.written(shots.drawn()))
    tmp_path.joinpath("half.png").write_bytes(shots.written(shots.drawn(400, 300))[:600])
    tmp_path.joinpath("text.png").write_text("not a picture at all")
    rows = [
        {"instruction": "<image>?", "output": "A drawing.", "images": [name]}
        for name in ("good.png", "good.png", "half.png", "text.png", "missing.png")
    ]
    write(tmp_path, rows, columns={"prompt": "instruction", "response": "output", "images": "images"})
    found = checked(tmp_path)
    assert {problem.number for problem in found.problems} >= {4, 5} and found.usable >= 2
    whole = checked(tmp_path, whole=True)
    assert [problem.number for problem in whole.problems] == [3, 4, 5] and whole.usable == 2
    assert any("half.png" in problem.text for problem in whole.problems)


@pytest.mark.parametrize("sign", ["\x1b[2J", "\x07", "\x9b31m", "\u202e", "\r"])
def test_a_row_never_commands_the_terminal(sign: str) -> None:
    assert sign[0] not in visible(f"a{sign}b") and len(visible(f"a{sign}b")) == len(sign) + 2
    assert visible("two\n\tlines 好") == "two\n\tlines 好"
