"""`python -m trainer export`: an export at the terminal, and its receipt in short or as JSON."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from trainer.config import RunConfig
from trainer.errors import UserError
from trainer.flags import read_flags
from trainer.jobs import launch
from trainer.jobs.place import RECEIPT, locate
from trainer.jobs.work import Run
from trainer.paths import RunFolder
from trainer.terminal import watched


def run_export_command(words: Sequence[str], run: Run) -> int:
    """Exports what a file and flags say; returns the exit status. Raises UserError for what cannot be used."""
    as_json = "--json" in words
    given = read_flags([word for word in words if word != "--json"])
    if not given:
        raise UserError("export_what")
    # Whatever else the file is for, this command trains nothing.
    config = RunConfig.from_flat({"hub": launch.default_hub(), **given, "do_export": True})
    config = _with_base(config)
    status, folder = watched(config, run, sys.stderr if as_json else sys.stdout)
    receipt = _receipt(folder)
    if receipt is not None and as_json:
        print(json.dumps({"run": str(folder.path), **receipt}, ensure_ascii=False, indent=2))
    elif receipt is not None:
        print("\n".join(summary(receipt)))
    return status


def _with_base(config: RunConfig) -> RunConfig:
    """A result that is named alone says itself on what it was trained, and how."""
    adapters = config.model.adapter_name_or_path
    if not adapters:
        return config
    from trainer.export.subject import inherit

    known = inherit(
        config.with_values(adapter_name_or_path=tuple(locate(each, Path.cwd()) for each in adapters))
    )
    return config.with_values(
        model_name_or_path=known.model.model_name_or_path, finetuning_type=known.method.finetuning_type
    )


def _receipt(folder: RunFolder) -> dict[str, Any] | None:
    try:
        found = json.loads((folder.path / RECEIPT).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def summary(receipt: Mapping[str, Any]) -> Iterator[str]:
    """Each format with its files, what the proof found and the commands; last whether it is ready."""
    for each in receipt["formats"]:
        yield ""
        yield f"{each['key']}  {each['bytes']:,} bytes  {each['path']}"
        yield from (
            f"  {file['bytes']:>14,}  {file['sha256'][:16]}  {file['name']}" for file in each["files"]
        )
        yield f"  {_found(each['replay'])}"
        yield from (f"  {note['text']} {note['hint']}".rstrip() for note in each["notes"])
        yield from (f"  $ {line}" for command in each["commands"] for line in command["text"].splitlines())
    yield ""
    yield "Ready." if receipt["ready"] else "Not ready: see above."


def _found(replay: Mapping[str, Any]) -> str:
    if replay["state"] == "not_replayed":
        reason = replay["reason"] or {"text": "not replayed", "hint": ""}
        return f"{reason['text']} {reason['hint']}".strip()
    parts = [f"{replay['state']} in {replay['runtime']}"]
    if replay["tokens"]:
        parts.append(f"{replay['tokens']['same']} of {replay['tokens']['of']} tokens equal")
    if replay["logits"]:
        parts.append(f"largest difference of the logits {replay['logits']['difference']:.2g}")
    return ", ".join(parts)
