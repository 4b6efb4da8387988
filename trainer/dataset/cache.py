"""Rendered rows of large datasets, kept from one run to the next.

The key is what decides the tokens: the rows themselves, the tokenizer, the template and the options, never a time. So a
changed row, model or cutoff renders anew without being told, and `overwrite_cache` is only for a person who doubts it.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from trainer.dataset.conversation import Row, RowProblem
from trainer.dataset.render import Rendered, RenderedRows, Renderer, render_all

# Below this many rows, rendering takes less than a second: not worth a file.
WORTHWHILE = 2_000
KEPT_FILES = 20
_BROKEN = (OSError, ValueError, KeyError, zipfile.BadZipFile)


def default_folder() -> Path:
    """Where rendered rows lie unless a caller says otherwise."""
    return Path.home() / ".cache" / "tuneboard" / "rows"


def render_cached(
    renderer: Renderer, rows: Sequence[Row], again: bool = False, folder: Path | None = None
) -> RenderedRows:
    """As `render_all`; large datasets are read from the cache, unless `again` asks to render them once more."""
    if len(rows) < WORTHWHILE:
        return render_all(renderer, rows)
    folder = folder or default_folder()
    path = folder / f"{_key(renderer, rows)}.npz"
    if not again:
        try:
            return _read(path)
        except _BROKEN:
            pass
    rendered = render_all(renderer, rows)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _write(path, rendered)
        _prune(folder)
    except OSError:
        pass  # a full or read-only disk: the cache is a comfort, the rows are there
    return rendered


def _key(renderer: Renderer, rows: Sequence[Row]) -> str:
    digest = hashlib.sha256(renderer.fingerprint.encode())
    for row in rows:
        digest.update(repr((row.dataset, row.number, row.conversation)).encode("utf-8", "surrogatepass"))
    return digest.hexdigest()


def _write(path: Path, rendered: RenderedRows) -> None:
    rows = rendered.rows
    facts = [[row.trained, row.length, row.cut, row.whole] for row in rows]
    problems = [[p.dataset, p.number, p.code, p.values] for p in rendered.problems]
    handle, temporary = tempfile.mkstemp(dir=path.parent, suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file:
            np.savez(
                file,
                sizes=np.array([len(row.input_ids) for row in rows], dtype=np.int64),
                ids=np.array([each for row in rows for each in row.input_ids], dtype=np.int32),
                labels=np.array([each for row in rows for each in row.labels], dtype=np.int32),
                facts=np.array(facts, dtype=np.int64).reshape(len(rows), 4),
                problems=np.frombuffer(json.dumps(problems).encode(), dtype=np.uint8),
            )
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _read(path: Path) -> RenderedRows:
    with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
        ends = np.cumsum(stored["sizes"]).tolist()
        ids, labels = stored["ids"].tolist(), stored["labels"].tolist()
        facts = stored["facts"].tolist()
        problems = json.loads(stored["problems"].tobytes())
    rows = [
        Rendered(ids[start:end], labels[start:end], trained, length, bool(cut), bool(whole))
        for start, end, (trained, length, cut, whole) in zip([0, *ends], ends, facts, strict=False)
    ]
    path.touch()
    return RenderedRows(rows, [RowProblem(*each) for each in problems])


def _prune(folder: Path) -> None:
    """Keeps the files used last."""
    newest = sorted(folder.glob("*.npz"), key=lambda each: each.stat().st_mtime, reverse=True)
    for old in newest[KEPT_FILES:]:
        old.unlink(missing_ok=True)
