"""Tables of anything: each row is usable or reported, and what is registered is what was usable."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from trainer.dataset.conversation import Row
from trainer.dataset.info import choose
from trainer.dataset.ingest.archive import Limits
from trainer.dataset.ingest.checking import check
from trainer.dataset.ingest.cupboard import Cupboard
from trainer.dataset.ingest.mapping import ROLES, Mapping
from trainer.dataset.ingest.plan import Plan
from trainer.dataset.ingest.recipe import read_recipe
from trainer.dataset.ingest.register import register
from trainer.dataset.ingest.repair import REPAIRS
from trainer.dataset.ingest.samples import samples
from trainer.dataset.ingest.sniff import sniff
from trainer.dataset.ingest.unpack import Staged, stage
from trainer.dataset.rows import Reading, read_rows
from trainer.errors import UserError

TEXTS = st.one_of(
    st.text(max_size=10),
    st.sampled_from(["<image>", "a.png", "../a.png", "true", "[", '[{"role": "user"}]', "\ud83d"]),
)
LEAVES = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), TEXTS)
MESSAGES = st.lists(
    st.fixed_dictionaries(
        {"role": st.sampled_from(["user", "assistant", "system", "tool", "x"]), "content": TEXTS | st.none()}
    ),
    max_size=4,
)
VALUES = st.one_of(
    LEAVES,
    MESSAGES,
    st.lists(LEAVES, max_size=3),
    st.lists(st.lists(TEXTS, max_size=3), max_size=2),
    st.dictionaries(st.text(max_size=4), LEAVES, max_size=2),
)
COLUMNS = st.sampled_from(
    [
        "instruction",
        "input",
        "output",
        "messages",
        "chosen",
        "rejected",
        "image",
        "images",
        "text",
        "label",
        "问题",
        "system",
        "history",
        "",
        "x",
    ]
)
TABLES = st.lists(st.dictionaries(COLUMNS, VALUES, max_size=5) | LEAVES, min_size=1, max_size=5)


def brought(folder: Path, rows: list[Any]) -> tuple[Cupboard, Staged]:
    (folder / "data" / ".staging").mkdir(parents=True)
    (folder / "t.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return Cupboard(folder / "data"), stage(folder / "t.jsonl", folder / "data" / ".staging" / ("0" * 32))


@settings(max_examples=120, derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(TABLES, st.data())
def test_any_table_under_any_mapping(rows: list[Any], data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as name:
        cupboard, staged = brought(Path(name), rows)
        mapping = sniff(staged, (), Limits()).mapping
        for column, _ in mapping.roles[: data.draw(st.integers(0, 3))]:
            mapping = mapping.with_role(column, data.draw(st.sampled_from(ROLES)))
        plan = Plan((), mapping, data.draw(st.sampled_from([(), tuple(REPAIRS), ("merge_turns",)])))
        try:
            found = check(staged, plan, Limits())
        except UserError as error:
            assert error.text and _is_refused(mapping, error)
            return
        assert (
            found.rows
            == len(rows)
            == found.usable + sum(found.counts.values())
            == found.usable + len(found.defects)
        )
        assert all(each.problem.text for each in found.defects)
        assert len(samples(staged, plan, Limits(), 9)) == len(rows)
        if not found.usable:
            return
        done = register(cupboard, staged, plan, "d")
        recipe = read_recipe(cupboard.home("d"))
        assert (done.rows, done.dropped) == (found.usable, found.rows - found.usable)
        assert recipe and len(recipe.dropped) == done.dropped and recipe.plan.mapping == mapping
        (info,) = choose(cupboard.folder, ["d"])
        read = list(read_rows(info, Reading(dataset_dir=str(cupboard.folder))))
        # What was usable is usable still, from the files that were written.
        assert len(read) == done.rows and all(isinstance(row, Row) for row in read)


def _is_refused(mapping: Mapping, error: UserError) -> bool:
    """The mapping cannot be used at all; then every plan with it says so."""
    return bool(mapping.problems()) or error.field == "mapping"
