"""python -m trainer data: what the Data drawer of the page does, at a terminal, in the same sentences."""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from trainer.config import RunConfig
from trainer.data_words import USAGE, Meter, Words, number, read_words
from trainer.dataset.checkup import check as check_dataset
from trainer.dataset.info import choose, load_info
from trainer.dataset.ingest.archive import MEDIA, TABLES, Limits, shown_size
from trainer.dataset.ingest.checking import Checked, check
from trainer.dataset.ingest.mapping import ROLES, Mapping
from trainer.dataset.ingest.plan import Plan
from trainer.dataset.ingest.recipe import Dropped
from trainer.dataset.ingest.register import Registered
from trainer.dataset.ingest.repair import require_repairs
from trainer.dataset.ingest.shape import Shape
from trainer.dataset.ingest.sniff import sniff
from trainer.dataset.ingest.unpack import Staged, look_at
from trainer.dataset.report import Fact, hints, lines, to_json, visible
from trainer.dataset.rows import Reading
from trainer.errors import UserError, UserErrors
from trainer.flags import read_flags
from trainer.jobs import launch
from trainer.jobs.shelf import Shelved
from trainer.jobs.sight import Sight

DONE, DEFECTIVE = 0, 1
MOST_LISTED = 100
ROWS_SHOWN = 3
AS_SAID = "as was said"


def run_data(words: Sequence[str]) -> int:
    """Runs one command and returns its exit status: 1 when a row is defective. Raises UserError for wrong arguments."""
    commands: dict[str, Callable[[Words], int]] = {
        "list": list_datasets,
        "check": check_data,
        "preview": preview,
        "register": register,
        "remove": remove,
    }
    command = words[0] if words else ""
    if command not in commands:
        raise UserError("data_command_what", word=command or "nothing")
    return commands[command](read_words(command, list(words[1:])))


def list_datasets(words: Words) -> int:
    """Every dataset of the folder with its rows, size and source."""
    load_info(words.folder)
    found = words.shelf().list()
    if words.json:
        _print_json({"folder": str(words.folder), "datasets": [_shelved(each) for each in found]})
        return DONE
    print(f"{words.folder}:")
    width = max((len(each.name) for each in found), default=0)
    for each in found:
        rows = "" if each.rows is None else f"{each.rows} row{'s' * (each.rows != 1)}"
        print(
            visible(
                f"  {each.name:<{width}}  {rows:>12}  {shown_size(each.bytes):>10}  {each.formatting:<8}  {each.source}"
            )
        )
        if each.used_by:
            print(visible(f"    in use by {', '.join(each.used_by)}"))
        if each.problem:
            print(visible(f"    {each.problem.text} {each.problem.hint}".rstrip()))
    return DONE


def _shelved(each: Shelved) -> dict[str, Any]:
    problem = {"code": each.problem.code, "text": each.problem.text} if each.problem else None
    return {**{name: getattr(each, name) for name in each.__dataclass_fields__}, "problem": problem}


def check_data(words: Words) -> int:
    """Reads every row; prints row numbers and reasons."""
    path = Path(words.what).expanduser()
    if words.on_disk and _is_file(words.what, path, words.folder):
        with tempfile.TemporaryDirectory(prefix="tuneboard-") as folder:
            return _check_file(path, Path(folder), words.json)
    known = load_info(words.dataset_dir).get(words.what)
    plain = bool(known and known.texts_only)
    (info,) = choose(words.dataset_dir, [words.what], "pt" if plain else "sft")
    meter = Meter()
    reading = Reading(dataset_dir=words.dataset_dir, hub=launch.default_hub(), plain=plain)
    checkup = check_dataset(info, reading, meter.tell, whole=True)
    meter.close()
    if words.json:
        _print_json({"ok": checkup.ok, **to_json(checkup)})
    else:
        print("\n".join(lines(checkup, most=MOST_LISTED)))
    return DONE if checkup.ok else DEFECTIVE


def _is_file(name: str, path: Path, folder: Path) -> bool:
    """Whether a file is meant and no registered name. A name that is both means the dataset."""
    looks_so = path.suffix.lower() in (*TABLES, *MEDIA, ".zip") or os.sep in str(path)
    try:
        if name in load_info(folder):
            return False
    except UserError:
        if not looks_so and not path.exists():
            raise
    return looks_so or path.exists()


def _check_file(path: Path, folder: Path, as_json: bool) -> int:
    staged = look_at(path, folder)
    meter, shape = Meter(), None
    try:
        shape = sniff(staged, (), Limits())
        plan = Plan((), shape.mapping)
        found = check(staged, plan, Limits(), tell=meter.hear)
    except UserError as error:
        # The file is there and of a kind that can be read: what is wrong is in it.
        meter.close()
        if as_json:
            _print_json({"ok": False, "dataset": staged.source, "broken": to_json(error)})
        else:
            print(
                "\n".join(
                    [*(_shape_lines(staged, shape, shape.mapping) if shape else ()), visible(str(error))]
                )
            )
        return DEFECTIVE
    meter.close()
    ok = found.usable == found.rows and found.rows > 0
    if as_json:
        _, others = _tables(staged, ())
        said = {"ok": ok, "dataset": staged.source, "shape": _shape(shape, shape.mapping), "not_read": others}
        _print_json({**said, **_checked(found)})
    else:
        print("\n".join([*_shape_lines(staged, shape, shape.mapping), *_checked_lines(found)]))
    return DONE if ok else DEFECTIVE


def _checked(found: Checked) -> dict[str, Any]:
    problems = [{**to_json(each.problem), "repairs": each.repairs} for each in found.defects]
    return {
        "rows": found.rows, "usable": found.usable, "encoding": found.encoding, "counts": found.counts,
        "offers": found.offers, "problems": problems,
    }  # fmt: skip


def _checked_lines(found: Checked) -> list[str]:
    bad = found.rows - found.usable
    counts = {"rows": found.rows, "usable": found.usable, "unusable": bad}
    told = [
        Fact("checked_rows", dict(counts)).text if bad else Fact("checked_good", {"rows": found.rows}).text
    ]
    told += [note.text for note in found.notes]
    for each in found.defects[:MOST_LISTED]:
        mend = f" [--repair {' --repair '.join(each.repairs)}]" if each.repairs else ""
        told.append(f"  {each.problem.text}{mend}")
    if bad > MOST_LISTED:
        told.append(f"  … {bad - MOST_LISTED} more")
    told += hints([each.problem for each in found.defects[:MOST_LISTED]])
    return [visible(line) for line in told]


def _roles(shape: Shape, mapping: Mapping) -> Iterator[tuple[str, str, str]]:
    """Each column, its role, and why it has it."""
    chosen = dict(mapping.roles)
    for column in shape.columns:
        role = chosen.get(column.name, column.role)
        yield column.name, role, column.reason.text if role == column.role else AS_SAID


def _shape(shape: Shape, mapping: Mapping) -> dict[str, Any]:
    columns = {name: {"role": role, "reason": reason} for name, role, reason in _roles(shape, mapping)}
    return {
        "kind": shape.kind,
        "confidence": shape.confidence,
        "columns": columns,
        "tags": dict(mapping.tags),
    }


def _tables(staged: Staged, chosen: Sequence[str]) -> tuple[list[str], list[str]]:
    """The tables that are read, and those that are not."""
    read = staged.require(chosen)
    return list(read), [table.name for table in staged.tables if table.name not in read]


def _shape_lines(staged: Staged, shape: Shape, mapping: Mapping, tables: Sequence[str] = ()) -> list[str]:
    told = [f"{staged.source}: {shape.kind}"]
    read, others = _tables(staged, tables)
    if others:
        told.append(f"  read: {', '.join(read)}; not read: {', '.join(others)} (--table NAME chooses)")
    told += [f"  {name} -> {role}, {reason}" for name, role, reason in _roles(shape, mapping)]
    return [visible(line) for line in told]


def preview(words: Words) -> int:
    """Rows as the model sees them, trained text marked."""
    given = read_flags(words.rest)
    size, page = (number(words, name, least) for name, least in (("rows", ROWS_SHOWN), ("page", 1)))
    model = given.pop("model_name_or_path", "Sprout")
    chosen = {"dataset": words.what, "dataset_dir": words.dataset_dir}
    config = RunConfig.from_flat(
        {"hub": launch.default_hub(), **given, "model_name_or_path": model, **chosen}
    )
    choose(words.dataset_dir, [words.what], config.data.stage)
    found = Sight(Path.cwd()).preview(config, page, size)
    if words.json:
        _print_json(to_json(found))
    elif found.rows:
        print("\n".join(lines(found, colour=sys.stdout.isatty())))
    else:
        print(f"{visible(words.what)} has no rows on page {page}.")
    return DONE


def register(words: Words) -> int:
    """Registers a file; the rows that cannot be used are listed and left out."""
    if "name" not in words.single:
        raise UserError("data_command_missing", command="register", what="--name", usage=USAGE["register"])
    repairs = require_repairs(words.repeated["repair"])
    shelf = words.shelf()
    try:
        staged = shelf.receive(Path(words.what).expanduser(), local=True)
        shape = shelf.recognise(staged.token, words.repeated["table"])
        mapping = _mapped(shape.mapping, words)
        asked = tuple(name for name in require_repairs(["all"]) if name in (*repairs, *shape.repairs))
        plan = Plan(tuple(words.repeated["table"]), mapping, asked)
        shape_lines = _shape_lines(staged, shape, mapping, plan.tables)
        if mapping.problems():
            # Which columns there are is what the person needs to know.
            print("\n".join(shape_lines), file=sys.stderr)
        task = shelf.register(staged.token, plan, words.single["name"])
        meter = Meter()
        while not task.done:
            meter.hear(task.progress)
            time.sleep(0.02)
        meter.close()
        done = task.wait()
        recipe = shelf.recipe(done.name)
    finally:
        shelf.close()
    dropped = recipe.dropped if recipe else ()
    if words.json:
        _print_json(
            {
                **to_json(done),
                "shape": _shape(shape, mapping),
                "not_read": _tables(staged, plan.tables)[1],
                "folder": str(shelf.folder / done.name),
                "dropped_rows": to_json(dropped),
            }
        )
        return DONE
    print("\n".join(shape_lines))
    _print_registered(done, dropped, shelf.folder)
    return DONE


def _print_registered(done: Registered, dropped: Sequence[Dropped], folder: Path) -> None:
    print(
        f"registered {visible(done.name)} in {folder}. "
        f"Rows: {done.rows}; left out: {done.dropped}; pictures and videos: {done.media}"
    )
    for name, count in done.repaired.items():
        print(f"  rows repaired by {name}: {count}")
    for each in dropped[:MOST_LISTED]:
        print(visible(f"  {each.text}"))
    if done.dropped > MOST_LISTED:
        print(f"  … {done.dropped - MOST_LISTED} more")


def _mapped(mapping: Mapping, words: Words) -> Mapping:
    """The proposed mapping with what was typed. Raises UserErrors with everything that is wrong in it."""
    problems: list[UserError] = []
    columns = [column for column, _ in mapping.roles]
    for word in words.repeated["map"]:
        column, _, role = word.rpartition("=")
        if column not in columns or role not in ROLES:
            values = {"word": word[:80], "columns": ", ".join(columns)[:400], "roles": ", ".join(ROLES)}
            problems.append(UserError("mapping_map", field="mapping", **values))
        else:
            mapping = mapping.with_role(column, role)
    for word in words.repeated["tag"]:
        tag, _, text = word.partition("=")
        try:
            mapping = mapping.with_tag(tag, text)
        except UserError as error:
            problems.append(error)
    if problems:
        raise UserErrors(problems) if len(problems) > 1 else problems[0]
    return mapping.with_ask(words.single["ask"]) if "ask" in words.single else mapping


def remove(words: Words) -> int:
    """Takes a dataset out of the folder."""
    shelf = words.shelf()
    known = shelf.get(words.what)
    shelf.delete(words.what)
    kept = "" if known.ours else f"; its file is left where it is ({known.source})"
    print(visible(f"removed {known.name}{kept}"))
    return DONE


def _print_json(found: Any) -> None:
    """One object. Half a character in a name cannot be printed as it is, so everything beyond ASCII may be spelt."""
    text = json.dumps(found, ensure_ascii=False, default=str)
    try:
        text.encode()
    except UnicodeEncodeError:
        text = json.dumps(found, default=str)
    print(text)
