"""Sizes and names of an export as the page writes them."""

from __future__ import annotations

from collections.abc import Sequence

from webui.i18n import say

# In the order in which they are offered; the first is proposed.
FORMATS = ("merged", "adapter", "gguf", "ollama", "quantized")
_UNITS = ("KB", "MB", "GB", "TB")


def size(count: float) -> str:
    """`840 KB`, `16.4 MB` or `2.9 GB`; a kilobyte has 1024 bytes here, as in the names of the units elsewhere on the page."""
    value = float(count)
    if value < 1024:
        return f"{round(value)} B"
    for unit in _UNITS:
        value /= 1024
        if value < 1000 or unit == _UNITS[-1]:
            break
    return f"{value:.0f} {unit}" if value >= 100 or unit == "KB" else f"{value:.1f} {unit}"


def name_of(kind: str, lang: str) -> str:
    """What a format is called on the page; one of another version keeps its own name."""
    return say(f"export.formats.{kind}.name", lang) if kind in FORMATS else kind


def key_name(key: str, lang: str) -> str:
    """What a format of a receipt is called, such as "merged" or "gguf:q8_0"."""
    kind, _, type_ = key.partition(":")
    return f"{name_of(kind, lang)} {type_}".strip()


def names(kinds: Sequence[str], lang: str) -> str:
    return ", ".join(name_of(kind, lang) for kind in kinds)
