"""tokenized_path: a folder that keeps the rendered rows of a run, so that later runs need no files and no reading.

It says for which tokenizer and template its rows were made. A DatasetDict with input_ids and labels, which
LLaMA-Factory leaves in such a folder, is read too; it does not say for whom it was made.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from trainer.dataset.gather import Gathered
from trainer.dataset.plain import TextRenderer
from trainer.dataset.render import IGNORED, Rendered, Renderer
from trainer.dataset.table import Block, Builder, RowTable, whole_block
from trainer.errors import UserError
from trainer.events import Note

ABOUT, FORMAT, THEIRS = "tuneboard.json", 1, "dataset_dict.json"
AT_ONCE = 1000
_BROKEN = (OSError, ValueError, KeyError, TypeError)


def made_for(tokenizer: Any, renderer: Renderer) -> str:
    """A fingerprint of tokenizer and template."""
    facts: tuple[str, ...] = (tokenizer.backend_tokenizer.to_str(), renderer.chat_template)
    if isinstance(renderer, TextRenderer):
        facts = (renderer.fingerprint,)
    return hashlib.sha256(repr(facts).encode("utf-8", "surrogatepass")).hexdigest()[:32]


def _pixels(renderer: Renderer) -> str:
    """A fingerprint of what decides how many tokens pictures take; empty for a model that sees none."""
    expander = renderer.expander
    return hashlib.sha256(expander.fingerprint.encode()).hexdigest()[:32] if expander else ""


def has_rows(folder: Path) -> bool:
    """Whether the folder keeps rows. Raises UserError when it holds other things."""
    try:
        found = sorted(each.name for each in folder.iterdir()) if folder.exists() else []
    except OSError as error:
        raise _refused(folder, str(error.strerror)) from None
    if not found:
        return False
    if ABOUT in found or THEIRS in found:
        return True
    names = ", ".join(found[:5])
    raise UserError("tokenized_other_files", field="tokenized_path", path=str(folder), found=names)


def read(folder: Path, tokenizer: Any, renderer: Renderer) -> Gathered:
    """The rows in a folder that has some. Raises UserError when they are another tokenizer's or template's, or broken."""
    if not (folder / ABOUT).exists():
        return _read_theirs(folder, tokenizer, isinstance(renderer, TextRenderer))
    try:
        about = json.loads((folder / ABOUT).read_text(encoding="utf-8"))
        known, parts = about["made_for"], dict(about["parts"])
        if about["format"] != FORMAT:
            raise ValueError(f"format {about['format']}")
        if about.get("pixels", "") not in ("", _pixels(renderer)):
            raise UserError("tokenized_other_pixels", field="tokenized_path", path=str(folder))
        if known == made_for(tokenizer, renderer):
            tables = {name: whole_block(Block.read(folder / inner)) for name, inner in parts.items()}
            train = whole_block(Block.read(folder / "train"))
            return Gathered(train, tables, [], [_note("tokenized_read", folder, train)])
    except _BROKEN as error:
        raise _refused(folder, str(error)) from None
    raise UserError("tokenized_other_model", field="tokenized_path", path=str(folder))


def save(folder: Path, gathered: Gathered, tokenizer: Any, renderer: Renderer) -> Note:
    """Keeps the rows in a folder that is new or empty, all or nothing. Raises UserError when it cannot be written."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        part = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}.", suffix=".part"))
    except OSError as error:
        raise _refused(folder, str(error.strerror)) from None
    try:
        parts = {name: f"evaluation-{place}" for place, name in enumerate(gathered.parts)}
        for inner, table in (
            ("train", gathered.train),
            *((parts[name], t) for name, t in gathered.parts.items()),
        ):
            (part / inner).mkdir()
            builder = Builder(part / inner)
            for row in table:
                builder.add(row)
            builder.close()
        about = {
            "format": FORMAT,
            "made_for": made_for(tokenizer, renderer),
            "parts": parts,
            "pixels": _pixels(renderer),
        }
        (part / ABOUT).write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")
        if folder.exists():
            folder.rmdir()
        part.chmod(0o755)
        part.rename(folder)
    except OSError as error:
        raise _refused(folder, str(error.strerror)) from None
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return _note("tokenized_saved", folder, gathered.train)


def _refused(folder: Path, reason: str) -> UserError:
    return UserError("tokenized_unusable", field="tokenized_path", path=str(folder), reason=reason[:300])


def _note(code: str, folder: Path, train: RowTable) -> Note:
    return Note(code=code, values={"path": str(folder), "rows": len(train)})


def _read_theirs(folder: Path, tokenizer: Any, plain: bool) -> Gathered:
    """A DatasetDict: `train`, and `validation` or a `validation_<name>` for each dataset."""
    import datasets

    try:
        splits = datasets.load_from_disk(str(folder))
        tables = {str(name): _table(split, folder, len(tokenizer), plain) for name, split in splits.items()}
        train = tables.pop("train")
    except (*_BROKEN, AttributeError, datasets.exceptions.DatasetsError) as error:
        raise _refused(folder, " ".join(str(error).split()) or type(error).__name__) from None
    parts = {
        name.removeprefix("validation").removeprefix("_"): table
        for name, table in tables.items()
        if len(table)
    }
    return Gathered(train, parts, [], [_note("tokenized_read_foreign", folder, train)])


def _table(split: Any, folder: Path, vocabulary: int, plain: bool) -> RowTable:
    if "position_ids" in split.column_names:
        raise ValueError("its rows are packed already; make it again without packing")
    for name in ("images", "videos", "audios"):
        if name in split.column_names and any(split[name]):
            raise ValueError(f"its rows have {name}, which cannot be trained on yet")
    builder = Builder()
    for row in _rows(split, plain):
        if max(row.input_ids, default=0) >= vocabulary:
            raise UserError("tokenized_other_model", field="tokenized_path", path=str(folder))
        builder.add(row)
    return whole_block(builder.close())


def _rows(split: Any, plain: bool) -> Iterator[Rendered]:
    # LLaMA-Factory leaves the labels of a pre-training to its batches: they are the tokens.
    labelled = "input_ids" if plain and "labels" not in split.column_names else "labels"
    for start in range(0, len(split), AT_ONCE):
        batch = split[start : start + AT_ONCE]
        for ids, labels in zip(batch["input_ids"], batch[labelled], strict=True):
            if len(ids) != len(labels):
                raise ValueError("a row has more labels than tokens, or fewer")
            trained = sum(label != IGNORED for label in labels[1:])
            yield Rendered(ids, labels, trained, len(ids), False, bool(trained))
