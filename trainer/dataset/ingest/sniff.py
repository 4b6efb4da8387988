"""A first look at what was brought in: the shape of its tables, and the repairs that its rows need."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import islice

from trainer.dataset.conversation import Row
from trainer.dataset.files import Item
from trainer.dataset.ingest.archive import Limits
from trainer.dataset.ingest.plan import Plan
from trainer.dataset.ingest.reading import Bench
from trainer.dataset.ingest.repair import HARMLESS
from trainer.dataset.ingest.shape import Shape, recognise
from trainer.dataset.ingest.unpack import Staged

LOOKED_AT = 200


def sniff(staged: Staged, tables: Sequence[str], limits: Limits) -> Shape:
    """The shape of these tables (of the first choice when none is named), from the first rows of each.

    Raises UserError for a file that cannot be read.
    """
    chosen = staged.require(tables)
    each = max(3, LOOKED_AT // len(chosen))
    looked: list[tuple[str, Item]] = []
    for name in chosen[:LOOKED_AT]:
        looked += [(name, item) for item in islice(staged.read(name), each)]
    shape = recognise([item.value for _, item in looked if isinstance(item.value, dict)])
    if shape.mapping.problems():
        return shape
    bench = Bench(staged, Plan(chosen, shape.mapping), limits, whole=False)
    needed: dict[str, None] = {}
    for name, item in looked:
        found = bench.find(name, item)
        if not isinstance(found.read, Row):
            needed.update(dict.fromkeys(bench.mended_by(found, name, HARMLESS)))
    return replace(shape, repairs=tuple(needed))
