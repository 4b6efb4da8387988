"""README.md of an exported folder: what it is, from what it was made, and how it is loaded."""

from __future__ import annotations

from pathlib import Path

from trainer import __version__
from trainer.export.naming import model_name
from trainer.export.source import Source
from trainer.export.subject import run_of
from trainer.model.adapter_files import kind_of, read_adapter
from trainer.model.catalog import find
from trainer.model.eyes import is_vision
from trainer.model.reshaped import of_all
from trainer.paths import write_atomic

_TRANSFORMERS = """```python
from transformers import {kind}, AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained(".")
model = {kind}.from_pretrained(".")
```
"""
_PEFT = """```python
from peft import PeftModel
from transformers import {kind}, AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained(".")
base = {kind}.from_pretrained({base!r}{stretch})
{grow}model = PeftModel.from_pretrained(base, ".")
```
"""


def write(source: Source, folder: Path, format: str) -> None:
    """Writes the card of a folder in a format that transformers reads ("adapter", "merged", "quantized")."""
    write_atomic(folder / "README.md", text(source, format))


def text(source: Source, format: str) -> str:
    """The card as Markdown, with the block of facts that hubs read."""
    sees = is_vision(source.base)
    kind = "AutoModelForImageTextToText" if sees else "AutoModelForCausalLM"
    base = _base(source)
    facts = [
        "---",
        f"library_name: {'peft' if format == 'adapter' else 'transformers'}",
        f"pipeline_tag: {'image-text-to-text' if sees else 'text-generation'}",
        *([f"base_model: {base}"] if "/" in base and not base.startswith("/") else []),
        "tags:",
        "- tuneboard",
        *(f"- {kind_of(read_adapter(each)).lower()}" for each in source.adapters if format == "adapter"),
        "---",
    ]
    data = source.run_config.data
    rows = [
        ("Base model", base),
        ("Adapters", ", ".join(_run_name(each) for each in source.adapters)),
        ("Datasets", ", ".join(data.dataset)),
        ("Weights", f"{source.parameters:,} numbers in {source.dtype}" if format != "adapter" else ""),
        ("Ends an answer", ", ".join(f"`{each}`" for each in _stop_words(source))),
        ("Written by", f"TuneBoard {__version__}"),
    ]
    table = ["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows if value)]
    how = (_PEFT if format == "adapter" else _TRANSFORMERS).format(kind=kind, base=base, **_changes(source))
    return "\n".join([*facts, "", f"# {model_name(source.run_config)}", "", *table, "", how])


def _changes(source: Source) -> dict[str, str]:
    """What whoever loads the adapter has to change of its base first, as arguments and as a line."""
    changes = of_all(source.adapters)
    rope = f", rope_parameters={dict(changes.rope)!r}, max_position_embeddings={changes.positions}"
    grow = f"base.resize_token_embeddings({changes.rows}, mean_resizing=False)\n"
    return {"stretch": rope if changes.rope else "", "grow": grow if changes.rows else ""}


def _base(source: Source) -> str:
    wanted = source.run_config.model.model_name_or_path
    entry = find(wanted)
    if entry and not entry.folder:
        return entry.hub_id(source.run_config.model.hub) or entry.name
    return entry.name if entry else Path(wanted).name if Path(wanted).is_dir() else wanted


def _run_name(adapter: Path) -> str:
    run = run_of(adapter)
    return run.name if run == adapter else f"{run.name} ({adapter.name})"


def _stop_words(source: Source) -> list[str]:
    words = source.tokenizer.convert_ids_to_tokens(list(source.stop_ids))
    return [str(each) for each in words if each]
